//! The configuration of wasmtime, and one instance of a rule in its own store.

use std::path::Path;
use std::sync::Arc;

use wasmtime::{Config, Engine, Store, UpdateDeadline};

use super::EngineError;
use super::abi::Guest;
use super::cache;
use super::load::LoadedRule;
use super::store_data::{Call, Host};
use super::trap::failure_in;
use klaxon_model::{Cost, Event, Failure, Limits, Outcome};

/// Returns an engine with the one configuration for rules: deterministic, interruptible, no threads.
pub(super) fn wasm_engine(cache: Option<&Path>, counts_fuel: bool) -> Result<Engine, EngineError> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        // No SDK emits these features, so nothing tests them with the host, and some of them bypass a limit.
        // `diagnose` rejects several memories in a module, but multi-memory stays enabled: wasmtime's own
        // adapters between the parts of a component have two memories, and its compiler panics without the
        // feature.
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .wasm_component_model_map(false)
        .wasm_component_model_fixed_length_lists(false)
        .wasm_component_model_implements(false)
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(true)
        .consume_fuel(counts_fuel)
        .coredump_on_trap(true)
        .max_wasm_stack(512 << 10);
    if let Some(directory) = cache {
        config.cache(Some(cache::open(directory)?));
    }
    Engine::new(&config).map_err(|error| EngineError::Wasm(format!("{error:#}")))
}

/// Creates a store that interrupts calls over their time limit and refuses growth over the memory limits.
pub(super) fn store(code: &Code, limits: &Limits) -> Store<Host> {
    let mut store = Store::new(&code.wasm, Host::new(limits, code.counts_fuel));
    store.limiter(|host| &mut host.limiter);
    store.epoch_deadline_callback(|mut context| {
        context.data_mut().deadline.tick().map_err(wasmtime::Error::new)?;
        Ok(UpdateDeadline::Continue(1))
    });
    store
}

/// Prepares a store for a call with `events` events.
pub(super) fn arm(store: &mut Store<Host>, limits: &Limits, events: usize) {
    store.data_mut().deadline.arm(limits.cpu_for(events));
    store.set_epoch_deadline(1);
    store.set_hostcall_fuel(limits.transfer());
    if store.data().counts_fuel {
        // Time limits a call: fuel is only counted.
        drop(store.set_fuel(u64::MAX));
    }
}

/// The engine that compiles the code, and the fuel setting.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) wasm: Engine,
    pub(super) counts_fuel: bool,
}

/// One configured instance of a rule.
pub(super) struct Instance {
    store: Store<Host>,
    guest: Box<dyn Guest>,
}

/// Result of a call: the raw answers, and the rule's use of its imports.
pub(super) struct Called {
    pub(super) answers: Result<Vec<Result<Outcome, String>>, Failure>,
    pub(super) call: Call,
    pub(super) cost: Cost,
}

impl Instance {
    /// Instantiates and configures a rule.
    ///
    /// # Errors
    /// If the sandbox or the rule fails; at load, both succeeded once.
    pub(super) fn new(rule: &LoadedRule) -> Result<Self, Failure> {
        let mut store = store(&rule.compiled.code, &rule.limits);
        arm(&mut store, &rule.limits, 1);
        let guest = rule.compiled.component.instantiate(&mut store).and_then(|mut guest| {
            guest.configure(&mut store, &rule.settings)?.map_err(|problem| {
                wasmtime::format_err!("settings at {:?}: {}", problem.path, problem.message)
            })?;
            Ok(guest)
        });
        let guest = guest.map_err(|error| failure_in(&store, &error))?;
        Ok(Self { store, guest })
    }

    /// Calls the rule with a batch. After an error the instance must be dropped: a trap poisons its whole
    /// store.
    pub(super) fn evaluate(
        &mut self,
        rule: &LoadedRule,
        events: &[Arc<Event>],
        call: Call,
    ) -> Called {
        arm(&mut self.store, &rule.limits, events.len());
        self.store.data_mut().call = call;
        let answers = self.guest.evaluate(&mut self.store, &rule.manifest, events);
        let answers = answers.map_err(|error| failure_in(&self.store, &error));
        let call = std::mem::take(&mut self.store.data_mut().call);
        Called { answers, call, cost: self.cost() }
    }

    /// Returns the cost of the last call.
    fn cost(&self) -> Cost {
        let fuel = self.store.data().counts_fuel.then(|| self.store.get_fuel().ok()).flatten();
        Cost { fuel: fuel.map(|left| u64::MAX - left), memory: self.store.data().limiter.memory() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component that contains two components, one of which calls the other with a string, as in components
    /// of jco, which wraps an interpreter.
    const NESTED: &str = r#"(component
        (component $callee
            (core module $m
                (memory (export "mem") 1)
                (func (export "f") (param i32 i32))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func (export "f") (param "s" string) (canon lift (core func $i "f")
                (memory (core memory $i "mem")) (realloc (core func $i "realloc")))))
        (component $caller
            (import "f" (func $f (param "s" string)))
            (core module $libc (memory (export "mem") 1))
            (core instance $libc (instantiate $libc))
            (core func $lowered (canon lower (func $f) (memory (core memory $libc "mem"))))
            (core module $user (import "" "f" (func (param i32 i32))))
            (core instance (instantiate $user
                (with "" (instance (export "f" (func $lowered)))))))
        (instance $callee (instantiate $callee))
        (alias export $callee "f" (func $f))
        (instance (instantiate $caller (with "f" (func $f)))))"#;

    #[test]
    fn components_that_call_each_other_compile_without_the_features_that_are_off() {
        let engine = wasm_engine(None, false).unwrap();
        let bytes = wat::parse_str(NESTED).unwrap();
        assert!(wasmtime::component::Component::new(&engine, bytes).is_ok());
    }
}
