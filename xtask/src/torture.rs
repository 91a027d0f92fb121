//! `cargo xtask torture`: the service killed again and again on a real control plane, as often as asked.

use anyhow::Result;
use clap::Args;

use crate::workspace::{cargo, run_command};
use crate::{control_plane, rules};

/// How often, and how much; without any it is the form that `cargo xtask e2e` runs too.
#[derive(Args)]
pub(crate) struct Torture {
    /// How often the service is killed (25)
    #[arg(long)]
    cycles: Option<u64>,
    /// How many changes are made in the cluster (6000)
    #[arg(long)]
    events: Option<u64>,
    /// What decides the random moments and changes (2); the one in use is always printed
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the journal and the log, also of a run that passes
    #[arg(long)]
    keep: bool,
    /// Build with optimizations
    #[arg(long)]
    release: bool,
}

/// Builds all that it needs and runs it, showing how it goes.
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
