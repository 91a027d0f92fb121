//! Klaxon: a Kubernetes event processor that WebAssembly extends.

pub mod engine;
pub mod model;
pub mod normalize;
pub mod route;
