//! The service on a real control plane: `cargo xtask e2e`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may end here, and tells what it measured"
)]

mod account;
mod anywhere;
mod balancer;
mod continuity;
mod exporters;
mod history;
mod kinds;
mod nats;
mod objects;
mod plane;
mod receiver;
mod relister;
mod rights;
mod storm;
mod story;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../support/mod.rs"]
mod support;
mod torture;
