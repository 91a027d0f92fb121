//! Versions of the contract: each has its own module, which converts it to the model's types. No other module
//! knows a rule's version of the contract.

mod v0_1;

use std::sync::Arc;

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::store_data::Host;
use klaxon_model::{Event, Manifest, Outcome};

/// A rule's reason for rejecting its settings.
pub(super) struct Problem {
    /// JSON Pointer (RFC 6901) to the wrong value.
    pub(super) path: String,
    pub(super) message: String,
}

/// The exports of an instance, with the model's types.
pub(super) trait Guest: Send {
    fn describe(&mut self, store: &mut Store<Host>) -> wasmtime::Result<Manifest>;

    fn configure(
        &mut self,
        store: &mut Store<Host>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), Problem>>;

    fn evaluate(
        &mut self,
        store: &mut Store<Host>,
        manifest: &Manifest,
        events: &[Arc<Event>],
    ) -> wasmtime::Result<Vec<Result<Outcome, String>>>;
}

/// A compiled component with its imports resolved.
pub(super) struct Loaded {
    pre: v0_1::Pre,
}

impl Loaded {
    /// Resolves the imports of a component.
    pub(super) fn link(engine: &Engine, component: &Component) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        v0_1::add_to_linker(&mut linker)?;
        let pre = v0_1::prepare(&linker, component)?;
        Ok(Self { pre })
    }

    pub(super) fn instantiate(&self, store: &mut Store<Host>) -> wasmtime::Result<Box<dyn Guest>> {
        v0_1::instantiate(&self.pre, store)
    }
}
