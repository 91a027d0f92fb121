//! Unit tests of a rule as plain Rust, with constructed events and one partition's state in memory.
//!
//! ```
//! use klaxon_sdk::prelude::*;
//! use klaxon_sdk::testing::{Scene, container, pod};
//! # const OOM: Code = Code::new("OOM", "", Severity::Error, "");
//! # struct Oom;
//! # impl Rule for Oom {
//! #     type Settings = NoSettings;
//! #     fn manifest() -> Manifest { Manifest::new("oom", "1.0.0", "").code(OOM) }
//! #     fn configure(_: NoSettings) -> Result<Self, Problem> { Ok(Oom) }
//! #     fn evaluate(&mut self, _: &mut Cx, e: &Event, out: &mut Outcome) -> Result<(), Error> {
//! #         let oom = e.pod().unwrap().containers.iter().any(|c| c.state.terminated().is_some());
//! #         if oom { out.emit(Verdict::firing(OOM, "")); }
//! #         Ok(())
//! #     }
//! # }
//! let mut scene = Scene::<Oom>::new("{}").unwrap();
//! let event = pod("shop", "web-1").container(container("app").terminated("OOMKilled", 137)).event();
//! assert_eq!(scene.codes(&event), ["OOM"]);
//! ```

mod kubernetes_event;
mod object;
mod pod;
mod workload;

pub use kubernetes_event::{KubernetesEventBuilder, kubernetes_event};
pub use object::{NEW_YEAR, condition, event, label};
pub use pod::{ContainerBuilder, PodBuilder, container, pod};
pub use workload::{WorkloadBuilder, deployment};

use crate::{Cx, Error, Event, Level, Outcome, Problem, Rule, settings};

/// A configured rule and the state of the one partition to which its events belong.
pub struct Scene<R> {
    rule: R,
    cx: Cx,
}

impl<R: Rule> Scene<R> {
    /// Configures the rule with settings as JSON.
    ///
    /// # Errors
    /// If the rule rejects the settings.
    pub fn new(settings: &str) -> Result<Self, Problem> {
        let rule = R::configure(settings::parse(settings)?)?;
        Ok(Self { rule, cx: Cx::at(0) })
    }

    /// Returns the rule's answer to an event. Unlike in the host, state written for an event persists if its
    /// answer is an error.
    ///
    /// # Errors
    /// The rule's error.
    pub fn evaluate(&mut self, event: &Event) -> Result<Outcome, Error> {
        self.cx.backend.now = event.time();
        let mut outcome = Outcome::default();
        self.rule.evaluate(&mut self.cx, event, &mut outcome)?;
        Ok(outcome)
    }

    /// Returns the codes of the rule's verdicts on an event.
    ///
    /// # Panics
    /// If the answer is an error.
    pub fn codes(&mut self, event: &Event) -> Vec<String> {
        let outcome = self.evaluate(event).unwrap_or_else(|error| panic!("rule error: {error}"));
        outcome.verdicts.into_iter().map(|verdict| verdict.code).collect()
    }

    /// Discards the rule's memory, as the host may do between any two batches; state persists.
    ///
    /// # Errors
    /// If the rule rejects the settings.
    pub fn forget(&mut self, settings: &str) -> Result<(), Problem> {
        self.rule = R::configure(settings::parse(settings)?)?;
        Ok(())
    }

    /// Returns the lines that the rule wrote to the log so far.
    pub fn log(&self) -> &[(Level, String)] {
        &self.cx.backend.lines
    }
}
