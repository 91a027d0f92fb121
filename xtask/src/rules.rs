//! `cargo xtask rules`: every rule of the workspace as one component.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use klaxon_build::{Crate, Toolchain, compile, componentize};

use crate::workspace::{root, target_dir};

/// Folders whose crates are rules: those we ship, and those that only the tests use.
const FOLDERS: [&str; 2] = ["rules", "tests/rules"];

/// Builds all rules; returns where they are.
pub(crate) fn build_all() -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::find(&mut |what| eprintln!("{what}"))?;
    let out = target_dir().join("rules");
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let mut built = Vec::new();
    for (name, package) in packages()? {
        let module = compile(
            &toolchain,
            &Crate {
                manifest: &root().join("Cargo.toml"),
                package: &package,
                target_dir: &target_dir().join("rules-build"),
            },
        )?;
        let bytes = fs::read(&module).with_context(|| module.display().to_string())?;
        let component = componentize(&bytes).with_context(|| format!("rule {name}"))?;
        let path = out.join(format!("{name}.wasm"));
        fs::write(&path, &component).with_context(|| path.display().to_string())?;
        println!("{} ({} KiB)", path.display(), component.len() / 1024);
        built.push(path);
    }
    Ok(built)
}

/// The folder name and the package name of every rule, sorted.
fn packages() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let folder = root().join(folder);
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            if entry.path().join("Cargo.toml").exists() {
                let name = entry.file_name().to_string_lossy().into_owned();
                found.push((name.clone(), format!("klaxon-rule-{name}")));
            }
        }
    }
    found.sort();
    Ok(found)
}
