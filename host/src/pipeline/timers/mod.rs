//! Timers that rules set: those that are pending, and those that fired and have no answer yet.

mod in_flight;
mod queue;

pub(super) use queue::TimerQueue;
