//! The settings of the target `statsd`: a counter for each code, over UDP.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Template;
use super::file::RetryFile;
use crate::validate::Check;
use klaxon_model::{Status, Verdict};
use klaxon_yaml::Span;

const PREFIX: &str = "klaxon.";
const FIRING: &str = "{rule}.{code}";
/// The time for which a datagram is retried. It is short: a counter that arrives late misleads.
const RETRY_FOR: Duration = Duration::from_secs(10);

/// The settings of a `statsd` target as they are written. Delivery is best effort: a datagram may be lost unnoticed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatsdFile {
    /// Host and port of the statsd server, such as 127.0.0.1:8125.
    address: String,
    /// The prefix of each name (klaxon.).
    prefix: Option<String>,
    /// The counter of a firing verdict ({rule}.{code}); further placeholders: {cluster}, {severity},
    /// {status}, {namespace}, {kind}.
    firing: Option<String>,
    /// The counter of a resolved verdict. Without it these are not counted.
    resolved: Option<String>,
    /// Retries where a datagram cannot be sent (for 10s): a counter that comes late misleads.
    #[serde(default)]
    retry: RetryFile,
}

/// The validated settings of a `statsd` target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statsd {
    /// The host and port.
    pub address: String,
    /// The prefix of each name.
    pub prefix: String,
    /// The name of the counter of firing verdicts.
    pub firing: Template,
    /// The name of the counter of resolved verdicts. `None` if they are not counted.
    pub resolved: Option<Template>,
    /// The time for which a delivery is retried.
    pub retry_for: Duration,
}

impl Statsd {
    /// Returns the name of the counter for a verdict. `None` if the verdict is not counted.
    pub fn name(&self, verdict: &Verdict) -> Option<String> {
        let template = match verdict.status {
            Status::Firing => &self.firing,
            Status::Resolved => self.resolved.as_ref()?,
        };
        Some(format!("{}{}", self.prefix, template.render(verdict, is_unfit)))
    }
}

/// Returns `true` for characters that would end a name or the line.
fn is_unfit(c: char) -> bool {
    matches!(c, ':' | '|' | '@') || c.is_whitespace() || c.is_control()
}

/// Validates a statsd target. `None` if its names are invalid, which is reported. Addresses are not restricted: an
/// agent on the same machine is the usual receiver, and it sends no answer.
pub(super) fn check(check: &mut Check<'_>, pointer: &str, file: StatsdFile) -> Option<Statsd> {
    let host = file.address.rsplit_once(':').and_then(|(host, port)| {
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        // Without brackets the last group of an IPv6 address would be taken as the port.
        let is_host = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
        (is_port && is_host).then_some(host)
    });
    if host.is_none() {
        check.say(
            format!("{pointer}/address"),
            format!(
                "{:?} is no host and port; hint: write both, such as 127.0.0.1:8125 or [::1]:8125",
                file.address
            ),
        );
    }
    let prefix = file.prefix.unwrap_or_else(|| PREFIX.to_owned());
    fit(check, &format!("{pointer}/prefix"), &prefix);
    let firing = file.firing.as_deref().unwrap_or(FIRING);
    let firing = template(check, &format!("{pointer}/firing"), firing);
    let resolved = match file.resolved {
        Some(text) => Some(template(check, &format!("{pointer}/resolved"), &text)?),
        None => None,
    };
    let retry_for = file.retry.r#for.map_or(RETRY_FOR, |Span(span)| span);
    Some(Statsd { address: file.address, prefix, firing: firing?, resolved, retry_for })
}

fn template(check: &mut Check<'_>, pointer: &str, text: &str) -> Option<Template> {
    match Template::parse(text) {
        Ok(template) => {
            fit(check, pointer, &template.filled_with("x"));
            Some(template)
        }
        Err(why) => {
            check.say(pointer, why);
            None
        }
    }
}

fn fit(check: &mut Check<'_>, pointer: &str, text: &str) {
    if let Some(unfit) = text.chars().find(|c| is_unfit(*c)) {
        check.say(
            pointer,
            format!("{unfit:?} may not be in a name of statsd; hint: leave out : | @ and blanks"),
        );
    }
}
