//! Klaxon: a Kubernetes event processor that runs sandboxed WebAssembly rules.
//!
//! The modules, in the order in which data flows; a module knows only the types of the modules before it:
//!
//! [`recording`] and [`source`] → [`normalize`] → [`route`] → [`engine`] → [`policy`] → [`journal`] →
//! [`deliver`] → [`targets`].
//!
//! [`pipeline`] runs the steps from normalize to policy under one event clock; [`app`] drives it as a service,
//! [`harness`] offline. Without the feature `serve` the crate contains only the parts that rule authors need.

/// Compiles the Rust examples of the book's pages and checks their assertions.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../docs/book/testing-rules.md")]
    mod testing_rules {}
    #[doc = include_str!("../../docs/book/what-a-rule-sees.md")]
    mod what_a_rule_sees {}
    #[doc = include_str!("../../docs/book/what-a-rule-may-say.md")]
    mod what_a_rule_may_say {}
    #[doc = include_str!("../../docs/book/sdk-reference.md")]
    mod sdk_reference {}
}

#[cfg(feature = "serve")]
pub mod admin;
#[cfg(feature = "serve")]
pub mod app;
pub mod assembly;
#[cfg(feature = "serve")]
pub mod backoff;
pub mod cli;
pub mod config;
#[cfg(feature = "serve")]
pub mod deliver;
pub mod engine;
pub mod harness;
#[cfg(feature = "serve")]
pub mod journal;
pub mod model;
pub mod normalize;
pub mod pipeline;
pub mod policy;
pub mod recording;
pub mod route;
pub mod scaffold;
#[cfg(feature = "serve")]
pub mod source;
#[cfg(feature = "serve")]
pub mod targets;
pub mod telemetry;
pub mod yaml;
