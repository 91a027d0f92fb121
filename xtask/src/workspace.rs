//! Paths of the workspace, and running of commands.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Returns the checkout, as cargo reports it at run time: the program may have been compiled in another
/// checkout that shares the target directory.
pub(crate) fn root() -> PathBuf {
    let compiled_in = || env!("CARGO_MANIFEST_DIR").into();
    let here: PathBuf = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(compiled_in).into();
    here.parent().unwrap_or(&here).to_owned()
}

/// Returns cargo's target directory: `CARGO_TARGET_DIR`, else `target` in the checkout.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Returns a cargo command; it uses the target directory that this process was started with.
pub(crate) fn cargo() -> Command {
    Command::new("cargo")
}

/// Runs a prepared command in the checkout and shows its output.
pub(crate) fn run_command(command: &mut Command) -> Result<()> {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    let program = command.get_program().to_string_lossy();
    let shown = std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ");
    eprintln!("\n$ {shown}");
    let status =
        command.current_dir(root()).status().with_context(|| format!("cannot run `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Returns all files below a folder of the checkout with one of these suffixes, sorted.
pub(crate) fn files(folder: &str, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            let is_ours = path.file_name().is_none_or(|name| name != "node_modules");
            if path.is_dir() && is_ours {
                folders.push(path);
            } else if endings.iter().any(|end| path.extension().is_some_and(|is| is == *end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the files of the contract.
pub(crate) fn wit_files() -> Result<Vec<PathBuf>> {
    files("guest-sdk/wit", &["wit"])
}
