//! Whole-program tests, one file for each property.
#![expect(clippy::unwrap_used, reason = "a test may end here")]

mod author;
mod backlog;
mod book;
mod budgets;
mod classify;
mod cli;
mod cluster;
mod delivery;
mod durability;
mod engine;
mod explain;
mod fake_api;
mod gaps;
mod harness;
mod hostile;
mod invariants;
mod isolation;
mod pipeline_restart;
mod receivers;
mod record;
mod support;
mod targets;
