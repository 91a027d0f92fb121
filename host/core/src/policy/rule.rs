//! Settings and state of one rule in the policy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::rate_limit::budget::Budgets;
use klaxon_config::{Equal, Policy};
use klaxon_model::{Timestamp, Window};

/// The settings of a rule, with inhibitors by their numbers.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) repeat: Option<i64>,
    pub(super) pair: bool,
    pub(super) inhibited_by: Vec<Entry>,
    pub(super) throttle: Option<Throttle>,
    pub(super) forget: i64,
}

/// A code that inhibits a rule's firings.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) inhibitor: usize,
    /// `true` for a code of the rule itself.
    pub(super) is_own: bool,
    pub(super) equal: Equal,
    pub(super) at_most: i64,
}

#[derive(Debug)]
pub(super) struct Throttle {
    pub(super) count: u32,
    pub(super) per: i64,
    pub(super) has_digest: bool,
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) settings: Settings,
    is_empty: bool,
    /// Its codes that inhibit, with the inhibitor's number.
    pub(super) inhibits: BTreeMap<String, usize>,
    pub(super) window: Option<Window>,
    pub(super) writes: Budgets,
}

impl Rule {
    /// Creates the state of a rule. `number` returns the number of a rule's code as an inhibitor.
    pub(super) fn new(
        name: Arc<str>,
        policy: &Policy,
        mut number: impl FnMut(&str, &str) -> usize,
    ) -> Self {
        let inhibited_by = policy.inhibited_by.iter().map(|one| Entry {
            inhibitor: number(&one.rule, &one.code),
            is_own: *one.rule == *name,
            equal: one.equal,
            at_most: millis(one.at_most),
        });
        let throttle = policy.throttle.map(|one| Throttle {
            count: one.count,
            per: millis(one.per),
            has_digest: one.digest,
        });
        let settings = Settings {
            repeat: policy.repeat.map(millis),
            pair: policy.pair,
            inhibited_by: inhibited_by.collect(),
            throttle,
            forget: millis(policy.forget),
        };
        let (inhibits, window) = (BTreeMap::new(), None);
        let writes = Budgets::new(policy.budget);
        Self { name, settings, is_empty: policy.is_empty(), inhibits, window, writes }
    }

    /// Returns `true` if incidents of a code are tracked: the rule's own policy needs them, or that of
    /// another rule.
    pub(super) fn tracks(&self, code: &str) -> bool {
        !self.is_empty || self.inhibits.contains_key(code)
    }

    /// Returns the entries that may inhibit firings of a code. Codes of a rule that inhibit its other
    /// codes do not inhibit each other, or they would be pending for ever.
    pub(super) fn inhibitors_of(&self, code: &str) -> impl Iterator<Item = &Entry> {
        let own: Vec<usize> = self.own_inhibitors().collect();
        let is_own = self.inhibits.get(code).is_some_and(|number| own.contains(number));
        self.settings.inhibited_by.iter().filter(move |entry| !(is_own && entry.is_own))
    }

    fn own_inhibitors(&self) -> impl Iterator<Item = usize> {
        let own = self.settings.inhibited_by.iter().filter(|entry| entry.is_own);
        own.map(|entry| entry.inhibitor)
    }

    /// Returns the end of the window. Without a throttle (the setting was removed) the window is over.
    pub(super) fn window_end(&self) -> Option<Timestamp> {
        let per = self.settings.throttle.as_ref().map_or(0, |throttle| throttle.per);
        Some(self.window.as_ref()?.since.plus_millis(per))
    }
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
