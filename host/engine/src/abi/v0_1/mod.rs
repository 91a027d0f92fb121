//! `klaxon:rule@0.1`.

mod imports;
mod lift;
mod lower;

use std::sync::Arc;

use bumpalo::Bump;
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::{Guest, Problem};
use crate::store_data::Host;
use klaxon_model::{Event, Manifest, Outcome};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../guest-sdk/wit/v0_1",
        world: "stateful-rule",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(super) use imports::add_to_linker;

pub(super) type Pre = bindings::StatefulRulePre<Host>;

pub(super) fn prepare(linker: &Linker<Host>, component: &Component) -> wasmtime::Result<Pre> {
    bindings::StatefulRulePre::new(linker.instantiate_pre(component)?)
}

pub(super) fn instantiate(pre: &Pre, store: &mut Store<Host>) -> wasmtime::Result<Box<dyn Guest>> {
    let exports = pre.instantiate(store)?;
    Ok(Box::new(Exports { exports, arena: Bump::new() }))
}

struct Exports {
    exports: bindings::StatefulRule,
    /// Memory for the arguments of one call; reset before the next call.
    arena: Bump,
}

impl Guest for Exports {
    fn describe(&mut self, store: &mut Store<Host>) -> wasmtime::Result<Manifest> {
        let manifest = self.exports.klaxon_rule_rule().call_describe(store)?;
        Ok(lift::manifest(manifest))
    }

    fn configure(
        &mut self,
        store: &mut Store<Host>,
        settings: &str,
    ) -> wasmtime::Result<Result<(), Problem>> {
        let configured = self.exports.klaxon_rule_rule().call_configure(store, settings)?;
        Ok(configured.map_err(|problem| Problem { path: problem.path, message: problem.message }))
    }

    fn evaluate(
        &mut self,
        store: &mut Store<Host>,
        manifest: &Manifest,
        events: &[Arc<Event>],
    ) -> wasmtime::Result<Vec<Result<Outcome, String>>> {
        self.arena.reset();
        let passed = lower::events(&self.arena, manifest, events);
        let answers = self.exports.klaxon_rule_rule().call_evaluate(store, passed)?;
        Ok(answers.into_iter().map(|answer| answer.map(lift::outcome)).collect())
    }
}
