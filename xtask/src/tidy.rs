//! `cargo xtask tidy`: rules that the compiler does not check.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::words::Words;
use crate::workspace::{files, root};

const LONGEST_FILE: usize = 600;
const SOURCES: [&str; 5] = ["host", "guest-sdk", "rules", "tests", "xtask"];

/// Permitted imports between the host's modules. A module knows the modules before it in the pipeline only as
/// far as it takes their data.
const EDGES: [(&str, &[&str]); 22] = [
    ("backoff", &[]),
    ("admin", &[]),
    ("model", &[]),
    ("telemetry", &[]),
    ("recording", &["model"]),
    ("yaml", &[]),
    ("config", &["yaml", "model", "recording"]),
    ("normalize", &["model"]),
    ("route", &["model", "normalize"]),
    ("engine", &["model", "yaml"]),
    ("policy", &["model", "config", "yaml"]),
    ("pipeline", &["model", "config", "normalize", "route", "engine", "policy"]),
    ("scaffold", &[]),
    ("source", &["model", "config", "telemetry", "recording", "route", "backoff"]),
    ("targets", &["model", "config", "telemetry"]),
    ("journal", &["model", "config", "pipeline", "targets", "telemetry"]),
    ("deliver", &["model", "targets", "journal", "backoff", "telemetry"]),
    ("harness", &["yaml", "model", "recording", "route", "engine", "policy", "pipeline"]),
    (
        "app",
        &[
            "model",
            "config",
            "telemetry",
            "recording",
            "source",
            "pipeline",
            "engine",
            "journal",
            "deliver",
            "targets",
            "policy",
            "route",
            "admin",
        ],
    ),
    (
        "cli",
        &[
            "yaml",
            "model",
            "config",
            "telemetry",
            "recording",
            "engine",
            "pipeline",
            "policy",
            "harness",
            "scaffold",
            "targets",
            "app",
            "route",
            "source",
            "journal",
        ],
    ),
    ("main", &[]),
    ("lib", &[]),
];

/// Checks everything and reports every error.
pub(crate) fn run() -> Result<()> {
    let mut errors = Vec::new();
    let mut words = Words::default();
    let mut used = BTreeSet::new();
    for folder in SOURCES {
        for path in files(folder, &["rs"])? {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            check_file(&name, &text, &mut errors);
            words.check(&name, &text, &mut errors);
            if let Some(module) = host_module(&name) {
                check_edges(&name, module, &text, &mut errors);
                used.extend(used_modules(&text).into_iter().map(|to| (module.to_owned(), to)));
            }
        }
    }
    words.finish(&mut errors);
    check_unused_edges(&used, &mut errors);
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

/// Returns the host's module that contains a file.
fn host_module(name: &str) -> Option<&str> {
    let inside = name.strip_prefix("host/src/")?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

fn check_edges(name: &str, module: &str, text: &str, errors: &mut Vec<String>) {
    let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == module) else {
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
fn check_unused_edges(used: &BTreeSet<(String, String)>, errors: &mut Vec<String>) {
    for (from, allowed) in EDGES {
        for to in allowed {
            if !used.contains(&(from.to_owned(), (*to).to_owned())) {
                errors.push(format!(
                    "xtask/src/tidy.rs: {from} does not use {to}; hint: remove the edge"
                ));
            }
        }
    }
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
    fn uses_are_found_in_code_and_not_in_comments() {
        let text =
            "use crate::model::Id;\n// crate::cli\nlet x = crate::engine::y(crate::config::z);";
        let used: Vec<String> = used_modules(text).into_iter().collect();
        assert_eq!(used, ["config", "engine", "model"]);
        assert_eq!(host_module("host/src/route/mod.rs"), Some("route"));
        assert_eq!(host_module("host/src/lib.rs"), Some("lib"));
        assert_eq!(host_module("xtask/src/main.rs"), None);
    }
}
