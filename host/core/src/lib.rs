//! The stages between a source and the journal.
//!
//! [`normalize`] decodes the JSON of an object as far as some rule asks for it, [`route`] decides which rules get it and
//! as which change, [`verdict`] turns their answers into verdicts, and [`policy`] suppresses and delays those.
//! [`pipeline`] runs them under one event clock. Rules are evaluated behind the trait [`klaxon_model::Evaluate`], so that nothing here depends on WebAssembly.

pub mod normalize;
pub mod pipeline;
pub mod policy;
pub mod route;
pub mod verdict;
