//! The settings of the target `nats`: verdicts in a stream of NATS JetStream.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{RetryFile, TlsFile};
use super::validate::tls;
use super::{Template, Tls};
use crate::validate::Check;
use klaxon_model::Verdict;
use klaxon_yaml::Span;

const SUBJECT: &str = "klaxon.{rule}.{code}";
const TIMEOUT: Duration = Duration::from_secs(15);
const RETRY_FOR: Duration = Duration::from_secs(72 * 3600);

/// The settings of a `nats` target as they are written. Each verdict is acknowledged, and stored once within the
/// stream's duplicate window.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NatsFile {
    /// nats:// or tls://, with host and port; several servers of one cluster are separated by commas.
    url: String,
    /// The subject (klaxon.{rule}.{code}); further placeholders: {cluster}, {severity}, {status},
    /// {namespace}, {kind}. A stream must capture it.
    subject: Option<String>,
    /// how long one attempt may take, with connecting, such as 15s (the default).
    timeout: Option<Span>,
    /// Sign in with this credentials file (.creds), relative to this file's folder. It is read again
    /// when it changes.
    credentials: Option<PathBuf>,
    /// Sign in with this name, and the password.
    user: Option<String>,
    /// The password.
    password: Option<String>,
    /// Sign in with this token.
    token: Option<String>,
    /// TLS to the servers; where it is written, TLS is required.
    tls: Option<TlsFile>,
    /// Connect to further servers that the named ones announce, with the same credentials (false).
    #[serde(default)]
    discover: bool,
    /// Retries.
    #[serde(default)]
    retry: RetryFile,
}

impl fmt::Debug for NatsFile {
    /// Omits secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsFile").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// The validated settings of a `nats` target.
#[derive(Clone, PartialEq, Eq)]
pub struct Nats {
    /// The servers, each with scheme and host, without secrets.
    pub servers: Vec<String>,
    /// The subject to which a verdict is published.
    pub subject: Template,
    /// The time limit of one attempt.
    pub timeout: Duration,
    /// The client's credentials.
    pub login: Login,
    /// The certificates of both sides. `None` uses TLS only if the servers require it.
    pub tls: Option<Tls>,
    /// `true` if servers that the named ones announce are used too.
    pub discover: bool,
    /// The time for which a delivery is retried.
    pub retry_for: Duration,
}

/// The client's credentials for a server.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// No credentials besides a client certificate, if any.
    None,
    /// The content of a credentials file.
    Credentials(String),
    /// A name and a password.
    User(String, String),
    /// A token.
    Token(String),
}

impl fmt::Debug for Nats {
    /// Omits secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Nats");
        shown.field("servers", &self.servers).field("subject", &self.subject);
        shown.finish_non_exhaustive()
    }
}

impl Nats {
    /// Returns the subject for a verdict.
    pub fn address(&self, verdict: &Verdict) -> String {
        self.subject.render(verdict, is_unfit)
    }
}

/// Returns `true` for characters that would split a token, form a wildcard, or begin a subject of the server's own.
fn is_unfit(c: char) -> bool {
    matches!(c, '.' | '*' | '>' | '$') || c.is_whitespace() || c.is_control()
}

/// Validates a NATS target. `None` if its subject is invalid, which is reported. Addresses are not restricted: a
/// server on the same machine is common, and with `discover` a server announces the addresses of its cluster anyway.
pub(super) fn check(check: &mut Check<'_>, pointer: &str, file: NatsFile) -> Option<Nats> {
    let mut servers = Vec::new();
    for url in file.url.split(',').map(str::trim) {
        match server(url) {
            Ok(()) => servers.push(url.to_owned()),
            Err(why) => check.say(format!("{pointer}/url"), why),
        }
    }
    let login = login(check, pointer, file.credentials, (file.user, file.password), file.token);
    let timeout = file.timeout.map_or(TIMEOUT, |Span(span)| span);
    if timeout.is_zero() {
        check.say(
            format!("{pointer}/timeout"),
            "with 0 no attempt would ever succeed; hint: write one such as 15s",
        );
    }
    let tls = file.tls.map(|file| tls(check, &format!("{pointer}/tls"), file));
    let subject = subject(file.subject.as_deref().unwrap_or(SUBJECT));
    let subject = match subject {
        Ok(subject) => subject,
        Err(why) => {
            check.say(format!("{pointer}/subject"), why);
            return None;
        }
    };
    let retry_for = file.retry.r#for.map_or(RETRY_FOR, |Span(span)| span);
    Some(Nats { servers, subject, timeout, login, tls, discover: file.discover, retry_for })
}

/// Validates the address of one server. Errors do not repeat the address, which may contain a password.
fn server(url: &str) -> Result<(), String> {
    let Some((scheme @ ("nats" | "tls"), rest)) = url.split_once("://") else {
        return Err(
            "this is no nats:// or tls:// address; hint: write it with its scheme".to_owned()
        );
    };
    if rest.contains('@') {
        return Err(format!(
            "credentials are not part of the address; hint: write {scheme}://HOST:PORT, and user \
             and password, or token, beside it"
        ));
    }
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() || rest.contains(['/', '?', '#']) || rest.contains(char::is_whitespace) {
        return Err(format!("this is no server; hint: write {scheme}://HOST:PORT"));
    }
    Ok(())
}

/// Reads the credentials, of which at most one kind may be given.
fn login(
    check: &mut Check<'_>,
    pointer: &str,
    credentials: Option<PathBuf>,
    user: (Option<String>, Option<String>),
    token: Option<String>,
) -> Login {
    match (credentials, user, token) {
        (None, (None, None), None) => Login::None,
        (Some(path), (None, None), None) => match std::fs::read_to_string(check.base.join(&path)) {
            Ok(text) if text.contains("NKEY SEED") && text.contains("USER JWT") => {
                Login::Credentials(text)
            }
            read => {
                let why = match read {
                    Ok(_) => "it has no JWT and seed".to_owned(),
                    Err(error) => error.to_string(),
                };
                check.say(
                    format!("{pointer}/credentials"),
                    format!(
                        "{} cannot be used: {why}; hint: name a file that `nsc generate creds` wrote",
                        path.display()
                    ),
                );
                Login::None
            }
        },
        (None, (Some(user), Some(password)), None) => Login::User(user, password),
        (None, (None, None), Some(token)) => Login::Token(token),
        (None, (user, _), None) => {
            let missing = if user.is_some() { "password" } else { "user" };
            check.say(pointer, format!("user and password belong together; hint: add {missing}"));
            Login::None
        }
        _ => {
            check.say(
                pointer,
                "there is more than one way to authenticate; hint: keep credentials, token, or user and \
                 password",
            );
            Login::None
        }
    }
}

/// Parses the template of a subject, which must have neither empty tokens nor wildcards.
fn subject(text: &str) -> Result<Template, String> {
    let template = Template::parse(text)?;
    let filled = template.filled_with("x");
    let is_unfit = |c: char| matches!(c, '*' | '>') || c.is_whitespace() || c.is_control();
    if let Some(unfit) = filled.chars().find(|c| is_unfit(*c)) {
        return Err(format!(
            "{unfit:?} may not be in a subject that is published to; hint: leave it out"
        ));
    }
    if filled.split('.').any(str::is_empty) {
        return Err(
            "a part of this subject is empty; hint: write one dot between parts, and none \
                    at its ends"
                .to_owned(),
        );
    }
    if filled.starts_with('$') {
        return Err(
            "subjects with $ at the beginning are the server's own; hint: write another".to_owned()
        );
    }
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_that_a_server_would_not_take_are_told() {
        assert!(subject("klaxon.{cluster}.{rule}-{code}").is_ok());
        for wrong in ["", ".", "a..{rule}", ".a", "a.", "a.*", "a.>", "a b", "a\tb", "$JS.{rule}"] {
            let error = subject(wrong).unwrap_err();
            assert!(error.contains("hint: "), "{wrong}: {error}");
        }
    }

    #[test]
    fn addresses_of_servers_have_a_scheme_and_no_user() {
        for right in
            ["nats://127.0.0.1:4222", "tls://nats.example:4222", "nats://[::1]", "nats://a/"]
        {
            assert_eq!(server(right), Ok(()), "{right}");
        }
        let wrong =
            ["", "a:4222", "http://a", "ws://a", "nats://", "nats://a/b", "nats://u:secret@a"];
        for wrong in wrong {
            let error = server(wrong).unwrap_err();
            assert!(error.contains("hint: ") && !error.contains("secret"), "{wrong}: {error}");
        }
    }
}
