//! `cargo xtask ci`: the checks that a change must pass.

use std::process::Command;

use anyhow::Result;

use crate::workspace::{cargo, run_command};
use crate::{advisories, e2e, r#gen, test, tidy, tools};

/// Runs all checks and stops at the first failure.
pub(crate) fn run() -> Result<()> {
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::run()?;
    r#gen::check()?;
    let deny = ["-D", "warnings"];
    run_command(cargo().args(["clippy", "--workspace", "--all-targets", "--"]).args(deny))?;
    // Not enabled by default: `cargo test` leaves these tests to `cargo xtask e2e`.
    let e2e = ["clippy", "--package", "klaxon", "--test", "e2e", "--"];
    run_command(cargo().args(e2e).args(deny))?;
    test::run()?;
    e2e::run(None, None)?;
    let checks = ["check", "bans", "licenses", "sources"];
    run_command(Command::new(tools::cargo_deny()?).args(checks))?;
    // Advisories change independently of the code, so they are reported and do not fail a change.
    advisories::report();
    Ok(())
}
