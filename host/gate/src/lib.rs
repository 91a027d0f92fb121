//! Gates: a gate is open while its file exists. A sidecar serves it over HTTP, so that a readiness probe can ask for it
//! and anyone in the pod's network can open and close it. Other containers of the pod may create and remove the file
//! too: nothing is cached.

mod arguments;
mod file;
mod incidents;
mod server;

pub use arguments::{GateArguments, Outcome, RunError, run};
pub use file::{GateError, GateFile};
pub use incidents::{GateIncidents, Incident, IncidentError};
pub use server::{DownStatus, serve};
