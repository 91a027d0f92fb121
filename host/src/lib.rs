//! Klaxon: a Kubernetes event processor that WebAssembly extends.
//!
//! The pipeline, in the order in which data flows; a module knows only the types of those before it:
//!
//! [`stream`] and [`source`] → [`normalize`] → [`route`] → [`engine`] → [`policy`] → [`journal`] →
//! [`deliver`] → [`targets`].
//!
//! [`pipeline`] joins the middle (normalize to policy) under one event clock; [`app`] drives it as a
//! service, [`harness`] offline. Without the feature `serve` there is only what rule authors need.

#[cfg(feature = "serve")]
pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "serve")]
pub mod deliver;
pub mod document;
pub mod engine;
pub mod harness;
#[cfg(feature = "serve")]
pub mod journal;
pub mod model;
pub mod normalize;
pub mod pipeline;
pub mod policy;
pub mod route;
pub mod scaffold;
#[cfg(feature = "serve")]
pub mod source;
pub mod stream;
#[cfg(feature = "serve")]
pub mod targets;
pub mod telemetry;
