//! `cargo xtask torture`: kills the service on a real control plane, a given number of times.

use anyhow::Result;
use clap::Args;

use crate::workspace::{cargo, run_command};
use crate::{control_plane, rules};

/// Parameters of the torture test; the defaults are those of `cargo xtask e2e`.
#[derive(Args)]
pub(crate) struct Torture {
    /// Number of times that the service is killed (25)
    #[arg(long)]
    cycles: Option<u64>,
    /// Number of changes in the cluster (6000)
    #[arg(long)]
    events: Option<u64>,
    /// Seed of the random moments and changes (2); the seed in use is always printed
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the journal and the log, even of a run that passes
    #[arg(long)]
    keep: bool,
    /// Build with optimizations
    #[arg(long)]
    release: bool,
}

/// Builds all requirements and runs the test with its output.
pub(crate) fn run(torture: &Torture) -> Result<()> {
    rules::build_all()?;
    let mut test = cargo();
    test.args(["test", "--package", "klaxon", "--test", "e2e"]);
    if torture.release {
        test.arg("--release");
    }
    test.args(["--", "torture::killed", "--nocapture"]);
    let settings = [
        ("KLAXON_TORTURE_CYCLES", torture.cycles),
        ("KLAXON_TORTURE_EVENTS", torture.events),
        ("KLAXON_TORTURE_SEED", torture.seed),
    ];
    for (name, value) in settings {
        test.envs(value.map(|value| (name, value.to_string())));
    }
    if torture.keep {
        test.env("KLAXON_TORTURE_KEEP", "1");
    }
    run_command(test.env("KLAXON_CONTROL_PLANE", control_plane::build()?))
}
