//! What all rules of a process share: the compiler's configuration, the clock that interrupts calls,
//! and the code that was compiled. Engines with workers of their own run on it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::instance::Code;
use super::load::{self, Compiled};
use super::{EngineError, LoadError, LoadedRule, RuleIndex, RuleSpec, deadline, instance};
use crate::model::Manifest;

/// The code of one digest; whoever needs it first compiles it, while others wait for just this one.
type Slot = Arc<Mutex<Option<Arc<Compiled>>>>;

/// Loads rules.
pub struct Sandbox {
    pub(super) code: Code,
    /// By the digest of the file: a rule that is loaded again, with other settings, is not compiled
    /// again.
    compiled: Mutex<HashMap<String, Slot>>,
    // Calls under way need its ticks to end.
    _ticker: deadline::Ticker,
}

impl Sandbox {
    /// Compiled code is kept in a folder, or nowhere.
    ///
    /// # Errors
    /// Where the folder is not safe, or a thread cannot be started.
    pub fn start(cache: Option<&Path>) -> Result<Arc<Self>, EngineError> {
        Self::new(cache, false)
    }

    /// A sandbox that counts the fuel of each call: instructions, by and large. Its code is
    /// slower, and compiled separately.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn counting_fuel(cache: Option<&Path>) -> Result<Arc<Self>, EngineError> {
        Self::new(cache, true)
    }

    fn new(cache: Option<&Path>, counts_fuel: bool) -> Result<Arc<Self>, EngineError> {
        let wasm = instance::wasm_engine(cache, counts_fuel)?;
        let ticker = deadline::Ticker::start(&wasm).map_err(EngineError::Thread)?;
        let compiled = Mutex::default();
        let code = Code { wasm, counts_fuel };
        Ok(Arc::new(Self { code, compiled, _ticker: ticker }))
    }

    /// Loads a rule: componentizes it where it is a core module, checks what it imports, compiles
    /// it, asks for its manifest and tries its settings.
    ///
    /// # Errors
    /// What is wrong with the module, its manifest or its settings, and how to correct it.
    pub fn load(&self, index: RuleIndex, spec: RuleSpec) -> Result<Arc<LoadedRule>, LoadError> {
        load::load(self, index, spec).map(Arc::new)
    }

    /// What a module says of itself, without its settings being tried.
    ///
    /// # Errors
    /// What is wrong with the module or its manifest, and how to correct it.
    pub fn describe(&self, spec: &RuleSpec) -> Result<Manifest, LoadError> {
        load::describe(self, spec)
    }

    /// The code of a digest, compiled now if it was not before.
    pub(super) fn compiled<E>(
        &self,
        digest: &str,
        compile: impl FnOnce() -> Result<Compiled, E>,
    ) -> Result<Arc<Compiled>, E> {
        // Whoever panicked while holding a lock had added a whole entry, or none.
        let mut slots = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(digest.to_owned()).or_default().clone();
        drop(slots);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*slot {
            return Ok(found.clone());
        }
        let new = Arc::new(compile()?);
        *slot = Some(new.clone());
        Ok(new)
    }
}
