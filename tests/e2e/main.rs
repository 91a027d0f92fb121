//! The service on a real control plane: `cargo xtask e2e`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may end here, and tells what it measured"
)]

mod any_cluster;
mod balancer;
mod continuity;
mod deploy;
mod exporters;
mod history;
mod kinds;
mod nats;
mod nodes;
mod objects;
mod observation;
mod permissions;
mod plane;
mod receiver;
mod relister;
mod storm;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../support/mod.rs"]
mod support;
mod torture;
