//! `cargo xtask e2e`: the tests on a real control plane.

use std::path::Path;

use anyhow::{Context, Result};

use crate::workspace::{cargo, run_command};
use crate::{control_plane, rules};

/// Runs the tests; with a kubeconfig, only those that need nothing but a cluster.
pub(crate) fn run(filter: Option<&str>, kubeconfig: Option<&Path>) -> Result<()> {
    rules::build_all()?;
    let mut test = cargo();
    test.args(["test", "--package", "klaxon", "--test", "e2e", "--"]);
    // Each test has its own control plane; more than one at a time is too much for two cores.
    test.args(["--test-threads", "1", "--show-output"]);
    test.args(filter);
    match kubeconfig {
        Some(path) => {
            let path = path.canonicalize().with_context(|| path.display().to_string())?;
            test.arg("any_cluster").env("KLAXON_E2E_KUBECONFIG", path);
        }
        None => {
            test.env("KLAXON_CONTROL_PLANE", control_plane::build()?);
        }
    }
    run_command(test.env("INSTA_UPDATE", "no"))
}
