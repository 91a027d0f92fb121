//! Gaps: the span from the time at which a source lost its position to the end of the list that is compared with the
//! known objects.

use super::Pipeline;
use super::backlog::entry::Entry;
use super::watches::Watching;
use crate::route::{Gap, GapEnd};
use klaxon_model::{Coverage, StoreOp, Telling, Timestamp};

/// The text that is added to a gap's record if Kubernetes Events outlived the gap.
const COUNTED: &str =
    "; Kubernetes Events are complete, but for those that were deleted before their time";

/// A gap that has not ended.
pub(super) struct OpenGap {
    pub(super) scope: String,
    pub(super) from: Timestamp,
    pub(super) reason: String,
    pub(super) telling: Telling,
}

/// Returns `true` if a rule's timers are suspended, because a watch or stream that feeds the rule is out of sync.
pub(super) fn is_suspended(watching: &Watching, open_gaps: &[OpenGap], rule: usize) -> bool {
    watching.holds(rule) || open_gaps.iter().any(|gap| watching.feeds(&gap.scope, rule))
}

impl Pipeline {
    /// Begins a gap in a scope, after its source lost its position. A list follows, which is compared with the known
    /// objects.
    pub(super) fn begin_gap(&mut self, scope: &str, from: Timestamp, reason: &str) {
        let (from, telling) = self.open_gap(scope, from, reason, Telling::Gap);
        self.router.begin_gap(scope, from, telling);
        self.number_comparison();
    }

    /// Begins a gap of a watch like [`Pipeline::begin_gap`]. `complete_at` is the version at which all existing
    /// objects were known.
    pub(super) fn compare(
        &mut self,
        scope: &str,
        from: Timestamp,
        reason: &str,
        telling: Telling,
        complete_at: Option<u64>,
        is_other_history: bool,
    ) {
        let (from, telling) = self.open_gap(scope, from, reason, telling);
        self.router.compare(scope, from, telling, complete_at, is_other_history);
        self.number_comparison();
    }

    fn number_comparison(&mut self) {
        let number = self.router.comparisons();
        self.store(|| StoreOp::Comparison(number));
    }

    /// Opens a gap. If a list was interrupted and starts again, the gap that is already open continues. Returns the
    /// time at which the gap began and the marks that it leaves.
    fn open_gap(
        &mut self,
        scope: &str,
        from: Timestamp,
        reason: &str,
        telling: Telling,
    ) -> (Timestamp, Telling) {
        self.flush();
        let before = self.open_gaps.iter().position(|gap| gap.scope == scope);
        let mut gap = OpenGap { scope: scope.to_owned(), from, reason: reason.to_owned(), telling };
        if let Some(open) = before.map(|at| self.open_gaps.swap_remove(at)) {
            gap.from = open.from.min(from);
            gap.reason = open.reason;
            if open.telling == Telling::Gap {
                gap.telling = Telling::Gap;
            }
        }
        let begun = (gap.from, gap.telling);
        self.open_gaps.push(gap);
        begun
    }

    /// Ends the gap of a scope, after its list is complete. Does nothing if the scope has no open gap.
    pub(super) fn end_gap(&mut self, scope: &str, time: Timestamp) {
        let time = self.advance_to(time);
        let watching = &mut self.watching;
        let end = self.router.end_gap(scope, time, &mut |uid| watching.form(uid));
        let GapEnd { routed, gone, left, covers, vanished } = end;
        self.enqueue(routed);
        for (object, before) in vanished {
            self.happen(Entry::Known { object, exists: false, before, time });
        }
        for partition in gone {
            if !self.router.knows_partition(&partition) {
                self.happen(Entry::Went(partition, time));
            }
        }
        for partition in left {
            if !self.router.knows_partition(&partition) {
                self.happen(Entry::Unfollowed(partition, time));
            }
        }
        if let Some(at) = self.open_gaps.iter().position(|gap| gap.scope == scope) {
            let open = self.open_gaps.swap_remove(at);
            self.close(open, covers, time);
        }
    }

    /// Adds the record of a gap that has ended to the output.
    pub(super) fn close(&mut self, open: OpenGap, covers: Vec<Coverage>, to: Timestamp) {
        let OpenGap { scope, from, mut reason, telling } = open;
        if telling == Telling::Counted {
            reason.push_str(COUNTED);
        }
        let namespace = covers.first().and_then(|coverage| coverage.namespace.clone());
        let mut kinds: Vec<String> = covers.into_iter().map(|coverage| coverage.kind).collect();
        kinds.sort();
        kinds.dedup();
        self.output.gaps.push(Gap { from, to, scope, kinds, namespace, reason });
    }
}
