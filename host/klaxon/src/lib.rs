//! Klaxon: a Kubernetes event processor that runs sandboxed WebAssembly rules. This crate is the program: it wires the
//! stages, each of which is a crate of its own (ARCHITECTURE.md has the graph), to the service and the command line.

/// Compiles the Rust examples of the book's pages and checks their assertions.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/book/testing-rules.md")]
    mod testing_rules {}
    #[doc = include_str!("../../../docs/book/what-a-rule-sees.md")]
    mod what_a_rule_sees {}
    #[doc = include_str!("../../../docs/book/what-a-rule-may-say.md")]
    mod what_a_rule_may_say {}
    #[doc = include_str!("../../../docs/book/sdk-reference.md")]
    mod sdk_reference {}
}

pub mod admin;
pub mod app;
pub mod assembly;
pub mod cli;
pub mod scaffold;
