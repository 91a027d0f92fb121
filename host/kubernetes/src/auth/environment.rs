//! The environment variables that describe the cluster, read once.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The time limit for trying one authentication method, access reviews included.
const PATIENCE: Duration = Duration::from_secs(10);

/// A secret text that `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// The authentication settings of the environment. An empty variable counts as not set.
#[derive(Debug, Clone)]
pub struct Environment {
    pub(super) service_host: Option<String>,
    pub(super) service_port: Option<String>,
    pub(super) service_account: PathBuf,
    pub(super) kubeconfig: Vec<PathBuf>,
    pub(super) home: Option<PathBuf>,
    pub(super) context: Option<String>,
    pub(super) token_secret: Option<String>,
    pub(super) vault_address: Option<String>,
    pub(super) vault_token: Option<Hidden>,
    pub(super) api_server: Option<String>,
    pub(super) only_kubeconfig: bool,
    pub(super) patience: Duration,
}

impl Environment {
    /// Reads the variables of this process.
    pub fn of_process() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    /// Reads variables through a function, such as a test's.
    pub fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let raw = |name| variable(name).filter(|value| !value.is_empty());
        let text = |name| {
            let value = raw(name)?.to_string_lossy().trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let paths = raw("KUBECONFIG").unwrap_or_default();
        Self {
            service_host: text("KUBERNETES_SERVICE_HOST"),
            service_port: text("KUBERNETES_SERVICE_PORT"),
            service_account: PathBuf::from(SERVICE_ACCOUNT),
            kubeconfig: std::env::split_paths(&paths)
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
            home: raw("HOME").map(PathBuf::from),
            context: text("KUBERNETES_CONTEXT"),
            token_secret: text("KUBERNETES_TOKEN_SECRET"),
            vault_address: text("VAULT_ADDR"),
            vault_token: text("VAULT_TOKEN").map(Hidden),
            api_server: text("KUBERNETES_API_SERVER"),
            only_kubeconfig: false,
            patience: PATIENCE,
        }
    }

    /// Uses this kubeconfig and no other method. If `context` is `None`, the context of `KUBERNETES_CONTEXT` is used,
    /// else the file's current one.
    #[must_use]
    pub fn with_kubeconfig(self, path: impl Into<PathBuf>, context: Option<String>) -> Self {
        Self {
            kubeconfig: vec![path.into()],
            context: context.or(self.context),
            only_kubeconfig: true,
            ..self
        }
    }

    /// Sets the folder of the service account's files.
    #[must_use]
    pub fn with_service_account(self, folder: impl Into<PathBuf>) -> Self {
        Self { service_account: folder.into(), ..self }
    }

    /// Sets the time limit of each method, instead of 10 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// Formats the names of unset variables: `A is not set`, `A, B and C are not set`.
pub(super) fn not_set(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("{one} is not set"),
        [before @ .., last] => format!("{} and {last} are not set", before.join(", ")),
    }
}
