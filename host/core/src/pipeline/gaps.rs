//! Gaps: the span from the time at which a source lost its position to the end of the list that is compared with the
//! known objects. The router owns the gaps that are open; this is what follows for the rules.

use klaxon_model::{GapStart, StoreOp, Timestamp};

use super::Pipeline;
use super::backlog::entry::Entry;
use crate::route::GapEnd;

impl Pipeline {
    /// Begins a gap in a scope, after its source lost its position. A list follows, which is compared with the known
    /// objects.
    pub(super) fn begin_gap(&mut self, scope: &str, start: GapStart) {
        self.flush();
        self.shared.router.begin_gap(scope, start);
        let number = self.shared.router.comparisons();
        self.shared.changes.record(|| StoreOp::Comparison(number));
    }

    /// Ends the gap of a scope, after its list is complete. Does nothing if the scope has no open gap.
    pub(super) fn end_gap(&mut self, scope: &str, time: Timestamp) {
        let time = self.advance_to(time);
        let watches = &mut self.watches;
        let end = self.shared.router.end_gap(scope, time, &mut |uid| watches.form(uid));
        let Some(GapEnd { gap, routed, gone, left, vanished }) = end else { return };
        self.enqueue(routed);
        for (object, before) in vanished {
            self.enqueue_for_all(Entry::Known { object, exists: false, before, time });
        }
        for partition in gone {
            if !self.shared.router.knows_partition(&partition) {
                self.enqueue_for_all(Entry::Went(partition, time));
            }
        }
        for partition in left {
            if !self.shared.router.knows_partition(&partition) {
                self.enqueue_for_all(Entry::Unfollowed(partition, time));
            }
        }
        self.shared.output.gaps.push(gap);
    }
}
