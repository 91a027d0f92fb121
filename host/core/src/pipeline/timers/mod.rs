//! Timers that rules set: pending timers, and fired timers that are not answered yet.

mod in_flight;
mod queue;

pub(super) use queue::TimerQueue;
