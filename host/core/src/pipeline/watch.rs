//! Questions of a watch about the known objects that it covers.

use std::collections::HashSet;
use std::sync::Arc;

use klaxon_model::Coverage;

use super::Pipeline;

/// The pipeline as one watch sees it.
pub struct Watch<'a> {
    pipeline: &'a mut Pipeline,
    scope: &'a Arc<str>,
    coverage: Coverage,
}

impl Pipeline {
    /// Returns the pipeline as a watch sees it. `scope` is the name of the watch.
    pub fn watch<'a>(&'a mut self, scope: &'a Arc<str>, coverage: Coverage) -> Watch<'a> {
        Watch { pipeline: self, scope, coverage }
    }
}

impl Watch<'_> {
    /// Returns `true` if any object that the watch covers is known.
    pub fn knows_any(&self) -> bool {
        self.pipeline.shared.router.knows_any(&self.coverage)
    }

    /// Compares the uids and versions of all listed objects with the known objects, to check that a cursor still
    /// belongs to the cluster's revision epoch. Returns `true` if a known object was not listed; that object must be
    /// gone once the watch has come past the list.
    ///
    /// # Errors
    /// Describes the first object that contradicts the revision epoch.
    pub fn verify(&mut self, cursor: u64, listed: &[(String, String)]) -> Result<bool, String> {
        let router = &self.pipeline.shared.router;
        let odd =
            listed.iter().find(|(uid, version)| !router.is_of_this_epoch(uid, version, cursor));
        if let Some((uid, version)) = odd {
            return Err(format!("object {uid} has version {version}, which was never seen"));
        }
        let listed: HashSet<&str> = listed.iter().map(|(uid, _)| uid.as_str()).collect();
        let mut missing = router.missing_from(&self.coverage, &listed);
        // The end of a Kubernetes Event is not reported, regardless of its cause.
        if self.coverage.is_of_events() {
            missing.clear();
        }
        let has_suspects = !missing.is_empty();
        self.pipeline.watches.suspect(self.scope, missing);
        Ok(has_suspects)
    }

    /// Returns an object that the list of [`Watch::verify`] did not have and that is still known, now that the watch
    /// has come past that list: the object vanished without being deleted. `None` if there is no such object; the
    /// watch is then in sync.
    pub fn undeleted(&mut self) -> Option<Arc<str>> {
        let Pipeline { watches, shared, .. } = &mut *self.pipeline;
        let suspects = watches.take_suspects(self.scope);
        let undeleted = suspects.into_iter().find(|uid| shared.router.knows_partition(uid));
        if undeleted.is_none() {
            watches.set_in_sync(self.scope, true);
        }
        undeleted
    }

    /// Returns `true` if objects are known of a kind that is not served now; timers of the rules that the watch
    /// feeds are then suspended.
    pub fn suspend_unserved(&mut self) -> bool {
        let is_known = self.knows_any();
        if is_known {
            self.pipeline.watches.set_in_sync(self.scope, false);
        }
        is_known
    }
}
