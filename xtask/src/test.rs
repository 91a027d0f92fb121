//! `cargo xtask test`: everything that the tests need, then every test.

use std::process::Command;

use anyhow::Result;

use crate::workspace::{cargo, run_command, target_dir};
use crate::{rules, tools};

/// Builds and runs.
pub(crate) fn run() -> Result<()> {
    rules::build_all()?;
    tools::webhook_verifier()?;
    tools::system_call_tracer()?;
    // Snapshots are reviewed, never written by a test run that someone may trust.
    run_command(cargo().args(["test", "--workspace"]).env("INSTA_UPDATE", "no"))?;
    // What measures runs alone.
    let hostile = ["test", "--package", "klaxon", "--test", "program", "hostile", "--"];
    run_command(cargo().args(hostile).args(["--ignored", "--nocapture"]))?;
    let klaxon = target_dir().join("debug/klaxon");
    run_command(Command::new(klaxon).args(["test", "rules"]))
}
