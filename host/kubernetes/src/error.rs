//! Describes errors of the connection to the API server without revealing credentials.
//!
//! kube's errors cannot be shown unchanged: an error of a credential plugin holds the plugin's output and
//! environment, an error of a kubeconfig may quote the line with the token.

use std::error::Error as StdError;

use kube::client::AuthError;
use kube::config::KubeconfigError;

/// The maximum number of characters of foreign text in an error.
const MOST_TEXT: usize = 200;

/// Describes the error of a request or a client. The text is safe for logs.
pub fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => {
            format!("the API server answered {}: {}", status.code, shorten(&status.message))
        }
        kube::Error::Auth(error) => auth(error),
        kube::Error::InferKubeconfig(error) => kubeconfig(error),
        kube::Error::Service(error) => chain(error.as_ref()),
        kube::Error::HyperError(error) => chain(error),
        // The address of a proxy may hold a password.
        kube::Error::ProxyProtocolUnsupported { .. }
        | kube::Error::ProxyProtocolDisabled { .. } => {
            "the proxy-url is of a kind that is not understood; hint: use http, https or socks5"
                .to_owned()
        }
        other => shorten(&chain(other)),
    }
}

/// Describes the error of a kubeconfig.
pub(super) fn kubeconfig(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let place = error.location().map_or_else(String::new, |at| {
                format!(" at line {} column {}", at.line(), at.column())
            });
            format!("is no kubeconfig{place}; hint: look at it with `kubectl config view`")
        }
        // The address of a proxy may hold a password.
        KubeconfigError::ParseProxyUrl(_) => {
            "has a proxy-url that is no URL; hint: write it as http://HOST:PORT".to_owned()
        }
        other => shorten(&chain(other)),
    }
}

/// Joins an error and its causes, as far as they add something. Stops at causes that may quote a credential.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let (said, is_last) = match (error.downcast_ref(), error.downcast_ref()) {
            (Some(error), _) => (auth(error), true),
            (_, Some(error)) => (kubeconfig(error), true),
            _ => (error.to_string(), false),
        };
        // Many errors of kube and its dependencies repeat their cause in their own text.
        if !text.contains(&said) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        next = if is_last { None } else { error.source() };
    }
    text
}

/// Describes an authentication error. Only the texts of variants that hold no secret are repeated.
fn auth(error: &AuthError) -> String {
    const BY_HAND: &str = "hint: run it by hand, as the kubeconfig writes it";
    match error {
        AuthError::AuthExecStart(why) => {
            format!("the credential plugin cannot be started: {why}; {BY_HAND}")
        }
        AuthError::AuthExecRun { out, .. } => {
            format!("the credential plugin failed with {}; {BY_HAND}", out.status)
        }
        AuthError::ReadTokenFile(why, path) => {
            format!("the token in {} cannot be read: {why}", path.display())
        }
        AuthError::InvalidBearerToken(_) => {
            "the token has characters that none may have; hint: look for a line break in it"
                .to_owned()
        }
        AuthError::MissingCommand => {
            "the kubeconfig names no command of its credential plugin".to_owned()
        }
        AuthError::ExecPluginFailed => {
            format!("the credential plugin answered without a status; {BY_HAND}")
        }
        AuthError::UnrefreshableTokenResponse => {
            format!("the credential plugin answered without a token that expires; {BY_HAND}")
        }
        AuthError::Oidc(_) => "the OpenID Connect token cannot be renewed; hint: sign in again \
             with the tool that wrote the kubeconfig"
            .to_owned(),
        _ => format!("the credential cannot be used or was not given by its plugin; {BY_HAND}"),
    }
}

/// Returns the beginning of a text, on one line, of at most `MOST_TEXT` characters.
pub(super) fn shorten(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(MOST_TEXT) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

/// Returns `true` if the credential failed, rather than the connection.
pub(super) fn is_credential(error: &kube::Error) -> bool {
    if matches!(error, kube::Error::Auth(_)) {
        return true;
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<AuthError>() {
            return true;
        }
        next = error.source();
    }
    false
}
