//! Records a live cluster: objects are written unchanged to a folder that only its owner may read, and then redacted
//! like any other recording.
#![expect(clippy::print_stderr, reason = "progress is for the person who waits")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::app::{Accept, Capture, Stop};
use klaxon_config::Kubernetes;
use klaxon_core::route::Need;
use klaxon_harness::RuleUnderTest;

/// The cluster to record, and the resources in it.
#[derive(Debug, Args)]
pub(super) struct LiveArguments {
    /// Resources to record, such as pods,events,deployments.apps; those that --rule watches come
    /// beside
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) kinds: Vec<String>,
    /// The kubeconfig [default: as `klaxon run` authenticates]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Its context [default: the current one]
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// Only these namespaces
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    namespace: Vec<String>,
    /// Record for so long [default: until Ctrl-C]
    #[arg(long = "for", value_name = "SPAN", value_parser = super::span)]
    lasts: Option<Duration>,
}

impl LiveArguments {
    /// Returns the watches that rules need, one for each kind, in addition to `--kinds`.
    pub(super) fn needs(&self, rules: &[RuleUnderTest]) -> Result<Vec<Need>, String> {
        let mut needs = Vec::new();
        for rule in rules {
            needs.extend(rule.needs().map_err(|error| error.to_string())?);
        }
        if self.kinds.is_empty() && needs.is_empty() {
            return Err(
                "nothing says what to record; hint: name --kinds such as pods,events, a --rule, or recorded streams with --from"
                    .to_owned(),
            );
        }
        // The selectors are cleared: one rule may need all objects of which another selects some.
        for need in &mut needs {
            need.label_selector.clear();
            need.field_selector.clear();
            need.metadata_only = false;
        }
        needs.sort_by(|a, b| (a.group(), &a.kind).cmp(&(b.group(), &b.kind)));
        needs.dedup_by(|next, kept| {
            let is_same = next.kind == kept.kind && next.group() == kept.group();
            if is_same {
                kept.namespaces = match (kept.namespaces.take(), next.namespaces.take()) {
                    (Some(mut all), Some(more)) => {
                        all.extend(more);
                        all.sort();
                        all.dedup();
                        Some(all)
                    }
                    _ => None,
                };
            }
            is_same
        });
        Ok(needs)
    }

    /// Records into a folder. `accept` is given the paths of the streams before anything is recorded, and may refuse
    /// them. Returns the paths of the streams that are not empty.
    pub(super) fn capture(
        &self,
        needs: Vec<Need>,
        folder: &Path,
        accept: &mut Accept<'_>,
    ) -> Result<Vec<PathBuf>, String> {
        let mut namespaces = self.namespace.clone();
        namespaces.sort();
        let settings = Kubernetes {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespaces,
            lease: false,
            event_ttl: Duration::from_secs(3600),
            ..Kubernetes::default()
        };
        let capture = Capture { settings, resources: self.kinds.clone(), needs, lasts: self.lasts };
        match self.lasts {
            Some(lasts) => eprintln!("recording for {} s; Ctrl-C ends it earlier", lasts.as_secs()),
            None => eprintln!("recording; Ctrl-C ends it"),
        }
        let captured =
            capture.run(folder, accept, &Stop::default()).map_err(|error| error.to_string())?;
        for one in &captured {
            let name = one.path.file_name().unwrap_or_default().to_string_lossy();
            eprintln!("recorded {name}: {}", super::some(one.lines, "line", "lines"));
        }
        Ok(captured.into_iter().filter(|one| one.lines > 0).map(|one| one.path).collect())
    }
}
