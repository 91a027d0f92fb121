//! Compilation of a crate to a core module.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::toolchain::TARGET;
use crate::{Error, Toolchain};

/// Optimized first for speed, then for size. Passed on the command line, so that a rule outside this
/// workspace is built in the same way.
const PROFILE: [&str; 7] = [
    "profile.rule.inherits='release'",
    "profile.rule.opt-level=3",
    "profile.rule.lto=true",
    "profile.rule.codegen-units=1",
    "profile.rule.panic='abort'",
    "profile.rule.strip=true",
    "profile.rule.debug=false",
];

/// Makes cargo name the module in JSON on stdout, and print compiler errors on stderr.
const MESSAGES: &str = "json-render-diagnostics";

/// The crate to build.
#[derive(Debug, Clone)]
pub struct Crate<'a> {
    /// Path of its `Cargo.toml`.
    pub manifest: &'a Path,
    /// Name of the crate in errors.
    pub name: &'a str,
    /// A separate target directory: it may be filled by another compiler than the host's.
    pub target_dir: &'a Path,
}

/// Compiles a crate and returns the path of its core module. Cargo's progress goes to stderr.
///
/// # Errors
/// If cargo cannot be run or fails, or the package builds no module.
pub fn compile(toolchain: &Toolchain, wanted: &Crate<'_>) -> Result<PathBuf, Error> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--target", TARGET, "--profile", "rule", "--message-format", MESSAGES])
        .arg("--manifest-path")
        .arg(wanted.manifest)
        .arg("--target-dir")
        .arg(wanted.target_dir)
        // Flags that are set for native code would be passed to the sandbox's linker.
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    for setting in PROFILE {
        cargo.args(["--config", setting]);
    }
    toolchain.apply(&mut cargo);
    let output =
        cargo.output().map_err(|source| Error::Run { program: "cargo".to_owned(), source })?;
    let messages = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(Error::Compile { package: wanted.name.to_owned() });
    }
    messages
        .lines()
        .filter_map(module_of)
        .next_back()
        .ok_or_else(|| Error::NoModule { package: wanted.name.to_owned() })
}

/// Returns the path of the `.wasm` file in one of cargo's messages, if there is one.
fn module_of(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    if message.get("reason")? != "compiler-artifact" {
        return None;
    }
    let files = message.get("filenames")?.as_array()?;
    files
        .iter()
        .filter_map(|file| file.as_str())
        .find(|file| file.ends_with(".wasm"))
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_found_among_cargos_messages() {
        let artifact = r#"{"reason":"compiler-artifact","filenames":["/t/a.rlib","/t/a.wasm"]}"#;
        assert_eq!(module_of(artifact), Some(PathBuf::from("/t/a.wasm")));
        assert_eq!(module_of(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(module_of("not json"), None);
    }
}
