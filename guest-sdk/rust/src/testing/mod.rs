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

use crate::{Cx, Error, Event, Level, Outcome, Problem, Rule, Verdict, settings};

/// A configured rule and the state of the one partition to which its events belong.
pub struct Scene<R> {
    rule: R,
    declared: Vec<String>,
    cx: Cx,
}

impl<R: Rule> Scene<R> {
    /// Configures the rule with settings as JSON.
    ///
    /// # Errors
    /// If the rule rejects the settings.
    pub fn new(settings: &str) -> Result<Self, Problem> {
        let rule = R::configure(settings::parse(settings)?)?;
        let declared = R::manifest().codes.into_iter().map(|code| code.name).collect();
        Ok(Self { rule, declared, cx: Cx::at(0) })
    }

    /// Returns the rule's answer to an event. Unlike in the host, state written for an event persists if its
    /// answer is an error.
    ///
    /// # Errors
    /// The rule's error. As in the host, a verdict with a code that the manifest does not declare is an
    /// error too.
    pub fn evaluate(&mut self, event: &Event) -> Result<Outcome, Error> {
        self.cx.backend.now = event.time();
        let mut outcome = Outcome::default();
        self.rule.evaluate(&mut self.cx, event, &mut outcome)?;
        match outcome.verdicts.iter().find(|verdict| !self.declared.contains(&verdict.code)) {
            None => Ok(outcome),
            Some(Verdict { code, .. }) => {
                Err(format!("a verdict has the code {code:?}, which the manifest does not declare")
                    .into())
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Manifest, NoSettings, Severity};

    const DECLARED: Code = Code::new("DECLARED", "", Severity::Info, "");
    const FORGOTTEN: Code = Code::new("FORGOTTEN", "", Severity::Info, "");

    struct Forgetful;

    impl Rule for Forgetful {
        type Settings = NoSettings;

        fn manifest() -> Manifest {
            Manifest::new("forgetful", "1.0.0", "").code(DECLARED)
        }

        fn configure(_: NoSettings) -> Result<Self, Problem> {
            Ok(Self)
        }

        fn evaluate(&mut self, _: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
            let code = if event.gap { FORGOTTEN } else { DECLARED };
            out.emit(Verdict::firing(code, ""));
            Ok(())
        }
    }

    #[test]
    fn a_verdict_with_an_undeclared_code_is_an_error() {
        let mut scene = Scene::<Forgetful>::new("{}").unwrap();
        let event = |gap| pod("shop", "web-1").with(|event| event.gap = gap).event();
        assert_eq!(scene.codes(&event(false)), ["DECLARED"]);
        let error = scene.evaluate(&event(true)).unwrap_err().to_string();
        assert!(error.contains(r#"the code "FORGOTTEN""#), "{error}");
    }
}
