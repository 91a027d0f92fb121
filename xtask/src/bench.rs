//! `cargo xtask bench`: runs the benches and prints ratios of one run.

use anyhow::{Result, bail};

use crate::rules;
use crate::workspace::{cargo, run_command};

/// All benches by name: if cargo ran all benches without names, it would run the unit tests too.
const BENCHES: [&str; 6] = ["ratios", "harness", "scale", "journal", "latency", "gate"];
/// The packages of the benches.
const PACKAGES: [&str; 2] = ["klaxon", "klaxon-gate"];
/// The bench that has candidates to select.
const HAS_CANDIDATES: &str = "ratios";

/// Builds and runs the benches with the filter in their names, or all of them.
pub(crate) fn run(filter: Option<&str>, only: Option<&str>) -> Result<()> {
    let chosen = choose(filter, only)?;
    rules::build_all()?;
    let mut bench = cargo();
    bench.arg("bench");
    for package in PACKAGES {
        bench.args(["--package", package]);
    }
    for name in chosen {
        bench.args(["--bench", name]);
    }
    run_command(bench.arg("--").args(only))
}

/// Selects benches by name, before anything is built.
fn choose(filter: Option<&str>, only: Option<&str>) -> Result<Vec<&'static str>> {
    let is_meant = |name: &&str| filter.is_none_or(|filter| name.contains(filter));
    let chosen: Vec<&str> = BENCHES.into_iter().filter(is_meant).collect();
    if let Some(filter) = filter
        && chosen.is_empty()
    {
        bail!("no bench has {filter:?} in its name; hint: use {}", BENCHES.join(", "));
    }
    if only.is_some() && chosen != [HAS_CANDIDATES] {
        bail!(
            "--only selects candidates of one bench; hint: cargo xtask bench {HAS_CANDIDATES} --only TEXT"
        );
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benches_are_chosen_by_name() {
        assert_eq!(choose(None, None).unwrap(), BENCHES);
        assert_eq!(choose(Some("ratios"), None).unwrap(), ["ratios"]);
        assert_eq!(choose(Some("ratios"), Some("decode")).unwrap(), ["ratios"]);
    }

    #[test]
    fn a_filter_that_matches_nothing_lists_the_names() {
        let error = choose(Some("decode"), None).unwrap_err().to_string();
        for name in BENCHES {
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn candidates_belong_to_one_bench() {
        for filter in [None, Some("scale")] {
            assert!(choose(filter, Some("decode")).is_err());
        }
    }

    /// Checks that every bench of the manifests can be selected.
    #[test]
    fn every_bench_of_the_manifest_is_listed() {
        let manifests = ["klaxon", "gate"].map(|krate| {
            let manifest = crate::workspace::root().join("host").join(krate).join("Cargo.toml");
            std::fs::read_to_string(manifest).unwrap()
        });
        let names: Vec<&str> = manifests
            .iter()
            .flat_map(|manifest| manifest.split("[[bench]]").skip(1))
            .filter_map(|table| table.split('"').nth(1))
            .collect();
        assert_eq!(names, BENCHES);
    }
}
