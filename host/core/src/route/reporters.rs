//! Interned sets of scopes: the watches or streams that have reported an object.
//!
//! Several recorded streams may be about the same kind, each about its part of the objects. A list of one of them
//! says nothing about the objects of the others. Most objects share one of a few sets, so each stores the number of
//! its set only.

use std::collections::HashMap;
use std::sync::Arc;

/// The scopes that have reported an object, as the number of an interned set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reporters(u32);

impl Reporters {
    /// An object that was restored from a journal, which does not store its scopes: any may have reported it.
    pub(super) const UNKNOWN: Self = Self(0);
}

/// The number of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ScopeId(u32);

/// The sets of scopes that occur.
#[derive(Debug)]
pub(super) struct ReporterSets {
    scopes: HashMap<Arc<str>, ScopeId>,
    /// Each set is sorted. The first is [`Reporters::UNKNOWN`].
    sets: Vec<Box<[ScopeId]>>,
    /// The number of each set, except for the first.
    numbers: HashMap<Box<[ScopeId]>, Reporters>,
}

impl Default for ReporterSets {
    fn default() -> Self {
        Self { scopes: HashMap::new(), sets: vec![Box::default()], numbers: HashMap::new() }
    }
}

impl ReporterSets {
    /// Returns the number of a scope; a new scope gets the next one.
    pub(super) fn scope(&mut self, name: &str) -> ScopeId {
        if let Some(scope) = self.scopes.get(name) {
            return *scope;
        }
        let scope = ScopeId(u32::try_from(self.scopes.len()).unwrap_or(u32::MAX));
        self.scopes.insert(name.into(), scope);
        scope
    }

    /// Returns the set with a scope added.
    pub(super) fn with(&mut self, reporters: Reporters, scope: ScopeId) -> Reporters {
        let set = self.set(reporters);
        let Err(at) = set.binary_search(&scope) else { return reporters };
        let mut wider = set.to_vec();
        wider.insert(at, scope);
        let wider: Box<[ScopeId]> = wider.into();
        if let Some(known) = self.numbers.get(&wider) {
            return *known;
        }
        let Ok(number) = u32::try_from(self.sets.len()) else { return Reporters::UNKNOWN };
        self.sets.push(wider.clone());
        self.numbers.insert(wider, Reporters(number));
        Reporters(number)
    }

    /// Returns `true` if a scope has reported the object, or may have.
    pub(super) fn include(&self, reporters: Reporters, scope: &str) -> bool {
        reporters == Reporters::UNKNOWN
            || self.scopes.get(scope).is_some_and(|scope| self.set(reporters).contains(scope))
    }

    fn set(&self, reporters: Reporters) -> &[ScopeId] {
        self.sets.get(reporters.0 as usize).map_or(&[], |set| set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_shared_and_independent_of_the_order() {
        let mut sets = ReporterSets::default();
        let (a, b) = (sets.scope("a"), sets.scope("b"));
        assert_eq!(sets.scope("a"), a);
        let only_a = sets.with(Reporters::UNKNOWN, a);
        let only_b = sets.with(Reporters::UNKNOWN, b);
        assert_eq!(sets.with(only_a, a), only_a);
        let both = sets.with(only_a, b);
        assert_eq!(sets.with(only_b, a), both);
        assert!(sets.include(only_a, "a") && !sets.include(only_a, "b"));
        assert!(sets.include(both, "a") && sets.include(both, "b"));
        assert!(sets.include(Reporters::UNKNOWN, "b"), "it was restored");
        assert!(!sets.include(both, "c"));
    }
}
