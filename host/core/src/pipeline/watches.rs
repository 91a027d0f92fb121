//! The watches that feed the rules: their coverage, and those that are out of sync.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use klaxon_model::{Coverage, Object, PersistedObject, RuleId};

/// Reads the last known form of an object from the journal, by uid.
pub type ReadForm = Box<dyn FnMut(&str) -> Option<Object> + Send>;

/// The watches that feed the rules.
#[derive(Default)]
pub(super) struct Watches {
    /// The rules that each watch feeds, by the watch's name.
    fed: HashMap<Arc<str>, Vec<RuleId>>,
    covers: Vec<Coverage>,
    /// Watches that are not in sync.
    out_of_sync: HashSet<Arc<str>>,
    forms: Option<ReadForm>,
    /// Known objects that were missing from a list of everything that exists, by watch: the watch must report their
    /// deletion.
    suspects: BTreeMap<Arc<str>, HashSet<Arc<str>>>,
    /// Rules, by name, that are backfilled again with the objects that a watch covers: their earlier view of those
    /// objects does not count.
    renewed: Vec<(Coverage, Arc<str>)>,
}

impl Watches {
    /// Reads last known forms of objects with `forms` from now on.
    pub(super) fn use_journal(&mut self, forms: ReadForm) {
        self.forms = Some(forms);
    }

    /// Adds a watch and the rules that it feeds. It is out of sync until [`Watches::set_in_sync`].
    pub(super) fn add(&mut self, scope: &Arc<str>, coverage: Coverage, rules: &[RuleId]) {
        self.covers.push(coverage);
        self.fed.insert(scope.clone(), rules.to_vec());
        self.out_of_sync.insert(scope.clone());
    }

    /// Marks a watch as in sync or out of sync. A recorded stream, which is not a watch, is never out of sync.
    pub(super) fn set_in_sync(&mut self, scope: &str, is_in_sync: bool) {
        if is_in_sync {
            self.out_of_sync.remove(scope);
        } else if let Some((scope, _)) = self.fed.get_key_value(scope) {
            self.out_of_sync.insert(scope.clone());
        }
    }

    /// Returns `true` if a watch that feeds a rule is out of sync.
    pub(super) fn is_out_of_sync(&self, rule: RuleId) -> bool {
        self.out_of_sync.iter().any(|scope| self.feeds(scope, rule))
    }

    /// Returns `true` if a stream or watch feeds a rule; a recorded stream may feed any rule.
    pub(super) fn feeds(&self, scope: &str, rule: RuleId) -> bool {
        self.fed.get(scope).is_none_or(|rules| rules.contains(&rule))
    }

    /// Returns the rules that a watch feeds.
    pub(super) fn fed_by(&self, scope: &str) -> &[RuleId] {
        self.fed.get(scope).map_or(&[], Vec::as_slice)
    }

    /// Returns `true` if a watch covers a stored object.
    pub(super) fn cover(&self, object: &PersistedObject) -> bool {
        self.covers.iter().any(|coverage| coverage.covers_persisted(object))
    }

    /// Records that a rule is backfilled with the objects of a watch.
    pub(super) fn renew(&mut self, coverage: Coverage, rule: Arc<str>) {
        self.renewed.push((coverage, rule));
    }

    /// Returns the names of the rules that are backfilled with a stored object.
    pub(super) fn renewed_with(&self, object: &PersistedObject) -> Vec<Arc<str>> {
        let renewed = self.renewed.iter().filter(|(coverage, _)| coverage.covers_persisted(object));
        renewed.map(|(_, rule)| rule.clone()).collect()
    }

    /// Sets the objects whose deletion a watch must report.
    pub(super) fn suspect(&mut self, scope: &Arc<str>, missing: HashSet<Arc<str>>) {
        self.suspects.insert(scope.clone(), missing);
    }

    /// Clears the suspicion against an object, after its watch reported something about it.
    pub(super) fn clear_suspect(&mut self, scope: &str, uid: &str) {
        if let Some(suspects) = self.suspects.get_mut(scope) {
            suspects.remove(uid);
        }
    }

    /// Removes and returns the suspects of a watch.
    pub(super) fn take_suspects(&mut self, scope: &str) -> HashSet<Arc<str>> {
        self.suspects.remove(scope).unwrap_or_default()
    }

    /// Returns the last known form of an object in the journal.
    pub(super) fn form(&mut self, uid: &str) -> Option<Arc<Object>> {
        self.forms.as_mut()?(uid).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> Coverage {
        Coverage { group: String::new(), kind: "Pod".to_owned(), namespace: None }
    }

    fn two_watches() -> (Watches, Arc<str>, Arc<str>) {
        let mut watches = Watches::default();
        let (pods_scope, nodes_scope): (Arc<str>, Arc<str>) = ("pods".into(), "nodes".into());
        watches.add(&pods_scope, pods(), &[RuleId(0), RuleId(1)]);
        let nodes = Coverage { kind: "Node".to_owned(), ..pods() };
        watches.add(&nodes_scope, nodes, &[RuleId(1)]);
        (watches, pods_scope, nodes_scope)
    }

    #[test]
    fn a_rule_is_out_of_sync_until_every_watch_that_feeds_it_is_in_sync() {
        let (mut watches, pods, nodes) = two_watches();
        assert!(watches.is_out_of_sync(RuleId(0)) && watches.is_out_of_sync(RuleId(1)));
        watches.set_in_sync(&pods, true);
        assert!(!watches.is_out_of_sync(RuleId(0)) && watches.is_out_of_sync(RuleId(1)));
        watches.set_in_sync(&nodes, true);
        assert!(!watches.is_out_of_sync(RuleId(1)));
        watches.set_in_sync(&nodes, false);
        assert!(!watches.is_out_of_sync(RuleId(0)) && watches.is_out_of_sync(RuleId(1)));
    }

    #[test]
    fn a_recorded_stream_feeds_every_rule_and_is_never_out_of_sync() {
        let (mut watches, pods, nodes) = two_watches();
        watches.set_in_sync(&pods, true);
        watches.set_in_sync(&nodes, true);
        watches.set_in_sync("pods.jsonl", false);
        assert!(watches.feeds("pods.jsonl", RuleId(7)) && !watches.is_out_of_sync(RuleId(7)));
        assert!(watches.fed_by("pods.jsonl").is_empty());
    }

    #[test]
    fn an_object_that_its_watch_reports_is_no_suspect_any_longer() {
        let (mut watches, pods, nodes) = two_watches();
        watches.suspect(&pods, HashSet::from(["a".into(), "b".into()]));
        watches.clear_suspect(&nodes, "a");
        watches.clear_suspect(&pods, "b");
        assert_eq!(watches.take_suspects(&pods), HashSet::from(["a".into()]));
        assert!(watches.take_suspects(&pods).is_empty());
    }
}
