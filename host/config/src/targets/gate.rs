//! The settings of the target `gate`: a file that exists while no incident is open.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::RetryFile;
use crate::validate::Check;
use klaxon_yaml::Span;

const RETRY_FOR: Duration = Duration::from_secs(72 * 3600);

/// The settings of a `gate` target as they are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GateTargetFile {
    /// The file, relative to this file's folder; its folder must exist. The gate is open while the file exists.
    file: PathBuf,
    /// Address and port of /up, /down and /health, such as 0.0.0.0:9999. Without it only the file counts.
    listen: Option<String>,
    /// Answer /down with 503 if the gate was closed before (false).
    #[serde(default)]
    readme_status: bool,
    /// Retries.
    #[serde(default)]
    retry: RetryFile,
}

/// A gate: a firing verdict closes it, and the resolved verdict of the last open incident opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The file.
    pub file: PathBuf,
    /// The address of its HTTP interface. `None` if it has none.
    pub listen: Option<String>,
    /// `true` if `/down` answers 503 while the gate is closed.
    pub readme_status: bool,
    /// The time for which a delivery is retried.
    pub retry_for: Duration,
}

/// Validates a gate target. The existence of the folder is checked at the start.
pub(super) fn check(check: &mut Check<'_>, pointer: &str, file: GateTargetFile) -> Gate {
    if file.file.file_name().is_none() {
        check.say(
            format!("{pointer}/file"),
            format!("{} is no name of a file; hint: write one", file.file.display()),
        );
    }
    if let Some(listen) = &file.listen {
        check.has_port(&format!("{pointer}/listen"), listen, "0.0.0.0:9999");
    }
    let retry_for = file.retry.r#for.map_or(RETRY_FOR, |Span(span)| span);
    let (listen, readme_status) = (file.listen, file.readme_status);
    Gate { file: check.base.join(file.file), listen, readme_status, retry_for }
}
