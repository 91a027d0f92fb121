//! `cargo xtask bench`: measures, and prints ratios of one run.

use anyhow::Result;

use crate::rules;
use crate::workspace::{cargo, run_command};

/// Builds what is measured and measures; with a filter, only what has it in its name.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    rules::build_all()?;
    let mut bench = cargo();
    bench
        .args(["bench", "--package", "klaxon"])
        .args(["--bench", "ratios", "--bench", "harness", "--bench", "scale", "--"])
        .args(filter);
    run_command(&mut bench)
}
