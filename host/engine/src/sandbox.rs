//! State shared by all rules of a process: the compiler's configuration, the ticker that interrupts calls,
//! and compiled code. Several engines, each with its own workers, may use one sandbox.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::instance::Code;
use super::load::{self, Compiled};
use super::{EngineError, LoadError, LoadedRule, RuleSpec, deadline, instance};
use klaxon_model::{Manifest, RuleId};

/// The code of one digest. The first user compiles it, while other users of the same digest wait.
type Slot = Arc<Mutex<Option<Arc<Compiled>>>>;

/// Compiles and loads rules.
pub struct Sandbox {
    pub(super) code: Code,
    /// Compiled code by the digest of the file: a rule that is loaded again with other settings is not
    /// compiled again.
    compiled: Mutex<HashMap<String, Slot>>,
    // Calls in progress need its ticks to end.
    _ticker: deadline::Ticker,
}

impl Sandbox {
    /// Starts a sandbox that caches compiled code in the folder `cache`; `None` disables the cache.
    ///
    /// # Errors
    /// If the folder is not safe, or a thread cannot be started.
    pub fn start(cache: Option<&Path>) -> Result<Arc<Self>, EngineError> {
        Self::new(cache, false)
    }

    /// Starts a sandbox that counts the fuel of each call, roughly its instructions. Its code is slower, and
    /// compiled separately.
    ///
    /// # Errors
    /// See [`Self::start`].
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

    /// Loads a rule: makes a component of a core module, checks its imports, compiles it, calls `describe`
    /// and `configure`.
    ///
    /// # Errors
    /// A [`LoadError`] if the module, its manifest or its settings are wrong, with a hint.
    pub fn load(&self, id: RuleId, spec: RuleSpec) -> Result<Arc<LoadedRule>, LoadError> {
        load::load(self, id, spec).map(Arc::new)
    }

    /// Returns a module's manifest without checking its settings.
    ///
    /// # Errors
    /// A [`LoadError`] if the module or its manifest is wrong, with a hint.
    pub fn describe(&self, spec: &RuleSpec) -> Result<Manifest, LoadError> {
        load::describe(self, spec)
    }

    /// Returns the code of a digest, and compiles it if it was not compiled before.
    pub(super) fn compiled<E>(
        &self,
        digest: &str,
        compile: impl FnOnce() -> Result<Compiled, E>,
    ) -> Result<Arc<Compiled>, E> {
        // A thread that panicked while holding a lock had added a complete entry or none.
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
