//! What the environment says about the cluster, taken once.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long a method may take, reviews included.
const PATIENCE: Duration = Duration::from_secs(10);

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(pub(super) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

/// What the environment says. An empty variable is like one that is not set.
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
    /// Takes the variables of this process.
    pub fn of_process() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    /// Takes variables from elsewhere, such as a test.
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

    /// Uses this kubeconfig and no other method. Without a context it is that of
    /// `KUBERNETES_CONTEXT`, else the file's current one.
    #[must_use]
    pub fn with_kubeconfig(self, path: impl Into<PathBuf>, context: Option<String>) -> Self {
        Self {
            kubeconfig: vec![path.into()],
            context: context.or(self.context),
            only_kubeconfig: true,
            ..self
        }
    }

    /// Looks for the service account's files in another folder.
    #[must_use]
    pub fn with_service_account(self, folder: impl Into<PathBuf>) -> Self {
        Self { service_account: folder.into(), ..self }
    }

    /// Gives each method so much time instead of 10 s.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// Says which variables are not set: `A is not set`, `A, B and C are not set`.
pub(super) fn not_set(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("{one} is not set"),
        [before @ .., last] => format!("{} and {last} are not set", before.join(", ")),
    }
}
