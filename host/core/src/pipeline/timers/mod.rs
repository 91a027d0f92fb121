//! Timers of rules: pending ones in a queue, and those that fired until they are answered.

mod event;
mod in_flight;
mod queue;

pub(super) use queue::Timers;
