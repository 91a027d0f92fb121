//! The event of a timer that fires.

use std::sync::Arc;

use klaxon_model::{Change, Event, Id, Meta, Object, PersistedTimer, Subject, Timer, Timestamp};

use crate::pipeline::rule::RuleRuntime;
use crate::pipeline::shared::Shared;

impl RuleRuntime {
    /// Returns the event of a timer. It carries the last known form of the object of the event that last set the
    /// timer or, if that object is gone, its identity.
    pub(in crate::pipeline) fn timer_event(
        &self,
        at: Timestamp,
        timer: &PersistedTimer,
        shared: &Shared,
    ) -> Event {
        let PersistedTimer { slot, key, due, payload, set_by, interest, object } = timer.clone();
        let (rule, router) = (self.info.id, &shared.router);
        let interest = router.interest_place(rule, &interest);
        let identity = &object.meta.identity;
        let form = match self.form_at_position(identity) {
            Some(form) => form,
            None => router.last_known(identity),
        };
        let object = form.unwrap_or_else(|| {
            let meta = Meta { identity: identity.clone(), ..Meta::default() };
            Arc::new(Object { meta, subject: Subject::Other, document: None })
        });
        let cluster = shared.origin.cluster.as_str();
        Event {
            id: Id::of("w", &[&cluster, &&*slot.rule, &&*slot.partition, &key, &set_by]),
            origin: shared.origin.clone(),
            time: at,
            change: Change::Timer,
            gap: false,
            interest,
            fields: router.fields(rule, interest, &object, Change::Timer),
            object,
            delta: 0,
            partition: slot.partition,
            timer: Some(Timer { key, due, payload, set_by }),
        }
    }
}
