//! `cargo xtask tidy`: rules that the compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::words::Words;
use crate::workspace::{files, root};

const LONGEST_FILE: usize = 600;
const SOURCES: [&str; 5] = ["host", "guest-sdk", "rules", "tests", "xtask"];

/// Permitted imports between the modules of the crates that have several. The compiler checks those between crates.
const EDGES: [(&str, &str, &[&str]); 10] = [
    ("core", "normalize", &[]),
    ("core", "route", &["normalize"]),
    ("core", "policy", &[]),
    ("core", "pipeline", &["normalize", "route", "policy", "verdict"]),
    ("core", "verdict", &[]),
    ("klaxon", "admin", &[]),
    ("klaxon", "assembly", &[]),
    ("klaxon", "app", &["admin", "assembly"]),
    ("klaxon", "cli", &["app", "assembly", "scaffold"]),
    ("klaxon", "scaffold", &[]),
];
/// Dependencies without a use in the code, each with a comment in its manifest.
const FEATURES_ONLY: [&str; 1] = ["k8s-openapi"];

/// Checks everything and reports every error.
pub(crate) fn run() -> Result<()> {
    let mut errors = Vec::new();
    let mut words = Words::default();
    let mut used = BTreeSet::new();
    // All code of each crate of the host.
    let mut code: BTreeMap<String, String> = BTreeMap::new();
    for folder in SOURCES {
        for path in files(folder, &["rs"])? {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            check_file(&name, &text, &mut errors);
            words.check(&name, &text, &mut errors);
            if let Some((krate, module)) = host_module(&name) {
                code.entry(krate.to_owned()).or_default().push_str(&text);
                check_edges(&name, krate, module, &text, &mut errors);
                let uses = used_modules(&text).into_iter();
                used.extend(uses.map(|to| (krate.to_owned(), module.to_owned(), to)));
            }
        }
    }
    words.finish(&mut errors);
    check_unused_edges(&used, &mut errors);
    check_unused_dependencies(&code, &mut errors)?;
    check_decisions(&mut errors)?;
    if errors.is_empty() {
        println!("tidy: all is well");
        return Ok(());
    }
    bail!("tidy:\n  {}", errors.join("\n  "));
}

fn check_file(name: &str, text: &str, errors: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        errors.push(format!("{name}: {lines} lines, over {LONGEST_FILE}; hint: it has two jobs"));
    }
    if !text.starts_with("//! ") {
        errors.push(format!("{name}: no module doc on its first line; hint: say what it is for"));
    }
}

/// Returns the crate and the module that contain a file of the host.
fn host_module(name: &str) -> Option<(&str, &str)> {
    let mut parts = name.strip_prefix("host/")?.split('/');
    let krate = parts.next()?;
    parts.next().filter(|folder| *folder == "src")?;
    let first = parts.next()?;
    Some((krate, first.strip_suffix(".rs").unwrap_or(first)))
}

fn check_edges(name: &str, krate: &str, module: &str, text: &str, errors: &mut Vec<String>) {
    let has_edges = EDGES.iter().any(|(of, ..)| *of == krate);
    if !has_edges || ["lib", "main"].contains(&module) {
        return;
    }
    let Some((_, _, allowed)) = EDGES.iter().find(|(of, from, _)| (*of, *from) == (krate, module))
    else {
        errors.push(format!(
            "{name}: module {module} has no edges; hint: add it to xtask/src/tidy.rs"
        ));
        return;
    };
    if text.contains("crate::{") {
        errors.push(format!(
            "{name}: `crate::{{` hides which modules are used; hint: a line for each"
        ));
    }
    for used in used_modules(text) {
        if used != module && !allowed.contains(&used.as_str()) {
            errors.push(format!("{name}: {module} may not use crate::{used}"));
        }
    }
}

/// Reports edges that are allowed and that no file uses.
fn check_unused_edges(used: &BTreeSet<(String, String, String)>, errors: &mut Vec<String>) {
    for (krate, from, allowed) in EDGES {
        for to in allowed {
            if !used.contains(&(krate.to_owned(), from.to_owned(), (*to).to_owned())) {
                errors.push(format!(
                    "xtask/src/tidy.rs: {from} does not use {to}; hint: remove the edge"
                ));
            }
        }
    }
}

/// Reports dependencies of the host's crates that their code does not use.
fn check_unused_dependencies(
    code: &BTreeMap<String, String>,
    errors: &mut Vec<String>,
) -> Result<()> {
    for (krate, code) in code {
        let manifest = root().join("host").join(krate).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        for name in dependencies(&text) {
            let used = name.replace('-', "_");
            let is_used =
                code.contains(&format!("{used}::")) || code.contains(&format!("{used} as"));
            if !is_used && !FEATURES_ONLY.contains(&name) {
                errors.push(format!("host/{krate}/Cargo.toml: {name} is unused; hint: remove it"));
            }
        }
    }
    Ok(())
}

/// Returns the names in a manifest's `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let table = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let table = table.split("\n[").next().unwrap_or_default();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('.')).map(|(name, _)| name).collect()
}

/// Returns every `x` of `crate::x` in code.
fn used_modules(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

fn check_decisions(errors: &mut Vec<String>) -> Result<()> {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    for path in files("docs/decisions", &["md"])? {
        let name = path.file_name().map(Path::new).unwrap_or(&path).display().to_string();
        if !map.contains(&name) {
            errors.push(format!("docs/decisions/{name}: ARCHITECTURE.md does not link it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_those_of_the_first_table_alone() {
        let manifest = "[package]\n\n[dependencies]\na-b.workspace = true\n\n[dev-dependencies]\nc.workspace = true\n";
        assert_eq!(dependencies(manifest), ["a-b"]);
    }

    #[test]
    fn uses_are_found_in_code_and_not_in_comments() {
        let text =
            "use crate::model::Id;\n// crate::cli\nlet x = crate::engine::y(crate::config::z);";
        let used: Vec<String> = used_modules(text).into_iter().collect();
        assert_eq!(used, ["config", "engine", "model"]);
        assert_eq!(host_module("host/core/src/route/mod.rs"), Some(("core", "route")));
        assert_eq!(host_module("host/model/src/lib.rs"), Some(("model", "lib")));
        assert_eq!(host_module("host/klaxon/benches/scale.rs"), None);
        assert_eq!(host_module("xtask/src/main.rs"), None);
    }
}
