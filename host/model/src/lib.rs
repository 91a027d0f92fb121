//! Data types that flow through the pipeline: plain data, without input or output.

mod backoff;
pub mod clock;
mod evaluate;
mod event;
mod failure;
mod id;
mod incident;
mod limits;
mod manifest;
mod monotonic;
mod object;
mod observation;
mod outcome;
mod outcome_size;
mod persisted;
mod pulse;
mod rule;
mod source_event;
mod state;
mod subject;
mod text;
mod timestamp;
mod verdict;

pub use backoff::Backoff;
pub use evaluate::{Answer, Cost, Dedicated, Evaluate, Level, Line, Task, Waker};
pub use event::{Change, Event, Fields, Origin, Timer, Value};
pub use failure::{Failure, FailureKind, cut, prefix};
pub use id::{Id, IdPart, IdWriter, NoId};
pub use incident::{
    Bucket, Delivered, Digest, Incident, IncidentLocation, IncidentRecord, PendingFiring,
    PersistedIncident, Window,
};
pub use limits::{Limits, MAX_TIMERS, WhenFull};
pub use manifest::{
    Capability, Changes, Code, Interest, Manifest, Narrowing, PartitionBy, Parts, Schedule,
    Severity,
};
pub use object::{
    Identity, Label, Meta, Object, ObjectRef, Owner, api_group, are_kubernetes_events,
};
pub use observation::{Observation, Seen};
pub use outcome::{
    ConditionRequest, EventRequest, Extension, GateRequest, Metric, MetricKind, Outcome,
    RuleTarget, RuleVerdict, Status, TimerRequest,
};
pub use persisted::{
    Backfill, BacklogEntry, PersistedMembership, PersistedObject, PersistedState, PersistedTimer,
    StoreOp,
};
pub use pulse::Pulse;
pub use rule::{RuleId, RuleInfo};
pub use source_event::{Coverage, GapEffect, GapStart, ListStart, SourceEvent};
pub use state::{KEY_BYTES, SLOT_BYTES, Slot, SlotKind, StateKeeper, StateView, Write};
pub use subject::{
    Addresses, Cause, Condition, ConditionStatus, Container, ContainerKind, ContainerState,
    EventType, Image, Job, KubernetesEvent, Node, Pod, PodPhase, QosClass, Running, Subject, Taint,
    Terminated, Workload,
};
pub use text::{beginning, plain};
pub use timestamp::Timestamp;
pub use verdict::{Refused, Verdict};

/// Returns `true` for zero, to omit counts of zero when serializing.
pub fn is_zero(number: &u64) -> bool {
    *number == 0
}
