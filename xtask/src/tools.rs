//! External programs that the tests and checks use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{root, run_command, target_dir};

/// Installs the independent verifier of webhook signatures below the target directory.
pub(crate) fn webhook_verifier() -> Result<()> {
    let source = root().join("tests/tools/standardwebhooks");
    let tool = target_dir().join("tools/standardwebhooks");
    let lock = "package-lock.json";
    // Written last, so that an interrupted installation does not count.
    let stamp = tool.join("installed-lock.json");
    let same = |a: &Path, b: &Path| matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b);
    let current = same(&source.join(lock), &stamp);
    fs::create_dir_all(&tool).with_context(|| tool.display().to_string())?;
    for file in ["package.json", lock, ".npmrc", "verify.mjs"] {
        fs::copy(source.join(file), tool.join(file)).with_context(|| file.to_owned())?;
    }
    if current {
        return Ok(());
    }
    need("npm", "--version", &["nodejs", "npm"])?;
    run_command(
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--prefix"]).arg(&tool),
    )?;
    fs::copy(source.join(lock), &stamp).with_context(|| stamp.display().to_string())?;
    Ok(())
}

/// Checks for strace, with which the tests of durability trace system calls and make them fail.
pub(crate) fn system_call_tracer() -> Result<()> {
    need("strace", "-V", &["strace"])
}

/// Checks for curl, which commands of the documentation use.
pub(crate) fn http_client() -> Result<()> {
    need("curl", "--version", &["curl"])
}

/// Checks that a program can be run; on Debian, it is installed if the user is root.
fn need(program: &str, version: &str, packages: &[&str]) -> Result<()> {
    if !install(program, version, packages) {
        bail!("{program} is needed; hint: install {}", packages.join(" and "));
    }
    Ok(())
}

/// Returns `true` if a program can be run, after an attempt to install it if it is missing.
pub(crate) fn install(program: &str, version: &str, packages: &[&str]) -> bool {
    let runs = || {
        let mut look = Command::new(program);
        look.arg(version).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        look.status().is_ok_and(|status| status.success())
    };
    if runs() {
        return true;
    }
    if Path::new("/usr/bin/apt-get").exists() {
        eprintln!("{program} is missing: installing {}", packages.join(", "));
        // If the user may not install packages, the error below has a hint.
        drop(run_command(Command::new("apt-get").arg("update")));
        drop(run_command(
            Command::new("apt-get")
                .args(["install", "--yes", "--no-install-recommends"])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        ));
    }
    runs()
}

/// Returns `cargo-deny`: the one on the path, else one that is built in the cache folder.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let on_path = Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).status();
    if on_path.is_ok_and(|status| status.success()) {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let tools = PathBuf::from(home).join(".cache/klaxon/tools");
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        eprintln!("building cargo-deny once, into {}", tools.display());
        let mut install = Command::new("cargo");
        install
            .args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"])
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build"));
        run_command(&mut install)?;
        // Half a gigabyte that is not needed again.
        drop(fs::remove_dir_all(tools.join("build")));
    }
    Ok(program)
}

/// The newest release that the pinned compiler can build.
const CARGO_DENY: &str = "^0.19";
