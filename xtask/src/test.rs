//! `cargo xtask test`: builds everything that the tests need, then runs every test.

use std::process::Command;

use anyhow::Result;

use crate::workspace::{cargo, run_command, target_dir};
use crate::{rules, tools};

/// Builds the requirements and runs the tests.
pub(crate) fn run() -> Result<()> {
    rules::build_all()?;
    tools::webhook_verifier()?;
    tools::system_call_tracer()?;
    tools::http_client()?;
    // Snapshots must be reviewed, so a test run never writes them.
    run_command(cargo().args(["test", "--workspace"]).env("INSTA_UPDATE", "no"))?;
    // Tests that measure run alone.
    let hostile = ["test", "--package", "klaxon", "--test", "program", "hostile", "--"];
    run_command(cargo().args(hostile).args(["--ignored", "--nocapture"]))?;
    let klaxon = target_dir().join("debug/klaxon");
    run_command(Command::new(klaxon).args(["test", "rules"]))
}
