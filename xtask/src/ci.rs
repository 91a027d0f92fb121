//! `cargo xtask ci`: what a change must pass.

use std::process::Command;

use anyhow::Result;

use crate::workspace::{cargo, run_command};
use crate::{advisories, e2e, r#gen, test, tidy, tools};

/// Runs everything; the first failure ends it.
pub(crate) fn run() -> Result<()> {
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    r#gen::check()?;
    let deny = ["-D", "warnings"];
    run_command(cargo().args(["clippy", "--workspace", "--all-targets", "--"]).args(deny))?;
    // No default: `cargo test` leaves it to `cargo xtask e2e`.
    let e2e = ["clippy", "--package", "klaxon", "--test", "e2e", "--"];
    run_command(cargo().args(e2e).args(deny))?;
    let library = ["clippy", "--package", "klaxon", "--lib", "--no-default-features", "--"];
    run_command(cargo().args(library).args(deny))?;
    test::run()?;
    e2e::run(None, None)?;
    let checks = ["check", "bans", "licenses", "sources"];
    run_command(Command::new(tools::cargo_deny()?).args(checks))?;
    // Advisories change by themselves, so they are reported and do not decide over a change.
    advisories::report();
    Ok(())
}
