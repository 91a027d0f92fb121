//! SDK for writing Klaxon rules in Rust.
//!
//! A rule is a type that implements [`Rule`] and one line that exports it:
//!
//! ```
//! use klaxon_sdk::prelude::*;
//!
//! const OOM: Code =
//!     Code::new("OOM", "Out of memory", Severity::Error, "A container was killed for memory");
//!
//! struct Oom;
//!
//! impl Rule for Oom {
//!     type Settings = NoSettings;
//!
//!     fn manifest() -> Manifest {
//!         Manifest::new("oom", "1.0.0", "Containers killed for memory")
//!             .code(OOM)
//!             .interest(Interest::new("pods", "v1", "Pod"))
//!     }
//!
//!     fn configure(_: NoSettings) -> Result<Self, Problem> {
//!         Ok(Oom)
//!     }
//!
//!     fn evaluate(&mut self, _cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error> {
//!         let Some(pod) = event.pod() else { return Ok(()) };
//!         for container in &pod.containers {
//!             if container.state.terminated().is_some_and(|end| end.reason == "OOMKilled") {
//!                 let key = format!("{}/{}", event.object.uid, container.name);
//!                 out.emit(Verdict::firing(OOM, key));
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! klaxon_sdk::export!(Oom);
//! ```
//!
//! The export exists under `cfg(target_family = "wasm")` only, so a rule is also an ordinary crate: it is
//! tested natively (see [`testing`]), and several rules can be linked into one program.
//!
//! A rule's memory does not persist: the host may discard an instance between any two batches. Data that must
//! persist belongs in [`Cx::state`].

pub mod bindings;
mod code;
mod cx;
mod duration;
mod error;
mod event;
#[doc(hidden)]
pub mod guest;
mod manifest;
mod outcome;
mod settings;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod timestamp;

pub use bindings::klaxon::rule::log::Level;
// `Code` and `Timestamp` below take precedence over the contract's own.
pub use bindings::klaxon::rule::types::*;
pub use code::Code;
pub use cx::{Cx, State};
pub use duration::Duration;
pub use error::Error;
pub use settings::NoSettings;
pub use timestamp::{Timestamp, TimestampError};

/// Items that most rules need.
pub mod prelude {
    pub use crate::{
        Change, Changes, Code, ConditionStatus, ContainerKind, ContainerState, Cx, Duration, Error,
        Event, EventType, Interest, Level, Manifest, NoSettings, Outcome, Partition, Parts,
        PodPhase, Problem, Rule, Severity, Status, Subject, Target, Timestamp, Value, Verdict,
    };
}

/// A rule: its manifest, its configuration and its answer to an event.
pub trait Rule: Sized {
    /// Settings of the rule. Their JSON Schema is derived and shown to the operator. The host rejects
    /// settings that do not match the schema before the rule gets them.
    type Settings: serde::de::DeserializeOwned + schemars::JsonSchema;

    /// Returns the manifest. The result must always be the same.
    fn manifest() -> Manifest;

    /// Creates a rule from its settings; called once per instance.
    ///
    /// # Errors
    /// A [`Problem`] with the path of the wrong value and the reason.
    fn configure(settings: Self::Settings) -> Result<Self, Problem>;

    /// Answers one event.
    ///
    /// # Errors
    /// An [`Error`], which the host records for this event. State written for the event is then discarded;
    /// the other events of the batch are not affected.
    fn evaluate(&mut self, cx: &mut Cx, event: &Event, out: &mut Outcome) -> Result<(), Error>;
}

/// Exports a [`Rule`] as the module's rule. Does nothing on a native target.
#[macro_export]
macro_rules! export {
    ($rule:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            thread_local! {
                static INSTANCE: ::core::cell::RefCell<::core::option::Option<$rule>> =
                    const { ::core::cell::RefCell::new(None) };
            }

            struct Exported;

            impl $crate::bindings::exports::klaxon::rule::rule::Guest for Exported {
                fn describe() -> $crate::Manifest {
                    $crate::guest::describe::<$rule>()
                }
                fn configure(
                    settings: ::std::string::String,
                ) -> ::core::result::Result<(), $crate::Problem> {
                    $crate::guest::configure::<$rule>(&INSTANCE, &settings)
                }
                fn evaluate(
                    events: ::std::vec::Vec<$crate::Event>,
                ) -> ::std::vec::Vec<::core::result::Result<$crate::Outcome, ::std::string::String>>
                {
                    $crate::guest::evaluate::<$rule>(&INSTANCE, &events)
                }
            }

    $crate::bindings::export_bindings!(Exported with_types_in $crate::bindings);
        };
    };
}
