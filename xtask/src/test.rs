//! `cargo xtask test`: everything that the tests need, then every test.

use anyhow::Result;

use crate::workspace::{cargo, run_command};
use crate::{rules, tools};

/// Builds and runs.
pub(crate) fn run() -> Result<()> {
    rules::build_all()?;
    tools::webhook_verifier()?;
    // Snapshots are reviewed, never written by a test run that someone may trust.
    run_command(cargo().args(["test", "--workspace"]).env("INSTA_UPDATE", "no"))
}
