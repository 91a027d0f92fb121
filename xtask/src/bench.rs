//! `cargo xtask bench`: measures, and prints ratios of one run.

use anyhow::Result;

use crate::rules;
use crate::workspace::{cargo, run_command};

/// Builds what is measured and measures.
pub(crate) fn run() -> Result<()> {
    rules::build_all()?;
    run_command(cargo().args(["bench", "--package", "klaxon", "--bench", "ratios"]))
}
