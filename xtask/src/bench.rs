//! `cargo xtask bench`: measures, and prints ratios of one run.

use anyhow::Result;

use crate::rules;
use crate::workspace::{cargo, run_command};

/// Each by name: asked for all benches, cargo would run the unit tests too.
const BENCHES: [&str; 5] = ["ratios", "harness", "scale", "journal", "latency"];

/// Builds what is measured and measures; with a filter, only what has it in its name.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    rules::build_all()?;
    let mut bench = cargo();
    bench.args(["bench", "--package", "klaxon"]);
    for name in BENCHES {
        bench.args(["--bench", name]);
    }
    run_command(bench.arg("--").args(filter))
}
