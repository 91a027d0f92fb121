//! Authentication with the cluster: with the pod's service account, a kubeconfig, or a token from Vault.
//!
//! Each method counts only after access reviews: a credential that works but has no permissions is useless. No
//! credential is ever part of an error, of a log or of `Debug`.

mod address;
mod client;
mod environment;
mod failure;
mod in_cluster;
mod kubeconfig;
mod vault;

use std::fmt;
use std::time::Duration;

use kube::Client;

use super::permissions::{self, Answer, Permission};
use client::Connection;
use in_cluster::InCluster;
use kubeconfig::KubeconfigFile;
use vault::Vault;

pub use environment::Environment;
pub use failure::{Attempt, Failure, SignInError};

/// An authentication method. The variants are in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The pod's service account.
    InCluster,
    /// A kubeconfig.
    Kubeconfig,
    /// A token that is stored in Vault.
    Vault,
}

/// The method that authenticated with the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The pod's service account.
    InCluster,
    /// A kubeconfig.
    Kubeconfig {
        /// The context that was used.
        context: String,
    },
    /// A token that is stored in Vault.
    Vault,
}

/// An authenticated connection to the cluster.
pub struct SignedIn {
    /// Sends requests. It has no read timeout and retries nothing: both are left to the caller.
    pub client: Client,
    /// The method that was used.
    pub how: How,
    /// The API server's address.
    pub server: String,
    /// The namespace that the credential belongs to.
    pub default_namespace: String,
    /// The reviewed permissions, each with the cluster's answer.
    pub reviewed: Vec<(Permission, Answer)>,
    /// The other methods that were tried, and the reasons for not using them.
    pub passed_over: Vec<Attempt>,
    source: Source,
    patience: Duration,
}

/// The settings from which a new connection can be made.
#[derive(Debug, Clone)]
enum Source {
    InCluster(InCluster),
    Kubeconfig(KubeconfigFile),
    Vault(Vault),
}

/// The rank of a method by its permissions; later variants are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// No permission is granted.
    Useless,
    /// No permission is known to be granted, and at least one could not be reviewed.
    Unsure,
    /// Some permissions are granted.
    Partial,
    /// All permissions are granted.
    Whole,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InCluster => "in cluster",
            Self::Kubeconfig => "kubeconfig",
            Self::Vault => "Vault",
        })
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCluster => f.write_str("in cluster"),
            Self::Kubeconfig { context } => write!(f, "kubeconfig, context {context:?}"),
            Self::Vault => f.write_str("Vault"),
        }
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn")
            .field("how", &self.how)
            .field("server", &self.server)
            .field("default_namespace", &self.default_namespace)
            .field("reviewed", &self.reviewed)
            .field("passed_over", &self.passed_over)
            .finish_non_exhaustive()
    }
}

impl SignedIn {
    /// Returns the reviewed permissions that are not known to be granted.
    pub fn missing(&self) -> impl Iterator<Item = &(Permission, Answer)> {
        self.reviewed.iter().filter(|(_, answer)| *answer != Answer::Granted)
    }

    /// Makes a new client from the method's present settings: a rotated token, a rewritten kubeconfig, Vault's
    /// present secret. Used after the API server answered 401; the permissions are not reviewed again.
    ///
    /// # Errors
    /// Returns [`SignInError::Renew`] if the method no longer works.
    pub async fn renew(&self) -> Result<Client, SignInError> {
        let renewed = self.source.connect();
        let outcome = tokio::time::timeout(self.patience, renewed).await;
        match outcome.unwrap_or(Err(Failure::Slow(self.patience))) {
            Ok(connection) => Ok(connection.client),
            Err(failure) => Err(SignInError::Renew { how: self.how.clone(), failure }),
        }
    }
}

impl Source {
    fn of(method: Method, environment: &Environment) -> Result<Self, Failure> {
        match method {
            Method::InCluster => InCluster::of(environment).map(Self::InCluster),
            Method::Kubeconfig => KubeconfigFile::of(environment).map(Self::Kubeconfig),
            Method::Vault => Vault::of(environment).map(Self::Vault),
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        match self {
            Self::InCluster(source) => source.connect().await,
            Self::Kubeconfig(source) => source.connect().await,
            Self::Vault(source) => source.connect().await,
        }
    }
}

impl Standing {
    fn of(reviewed: &[(Permission, Answer)]) -> Self {
        let has = |wanted: fn(&Answer) -> bool| reviewed.iter().any(|(_, answer)| wanted(answer));
        if reviewed.iter().all(|(_, answer)| *answer == Answer::Granted) {
            Self::Whole
        } else if has(|answer| *answer == Answer::Granted) {
            Self::Partial
        } else if has(|answer| matches!(answer, Answer::Unknown { .. })) {
            Self::Unsure
        } else {
            Self::Useless
        }
    }
}

/// Authenticates with the cluster: with the first method that has all needed permissions, else the first with some
/// of them, else the first whose permissions the cluster does not report.
///
/// # Errors
/// Returns [`SignInError::NoMethod`], with each method's failure, if no method works.
pub async fn sign_in(
    environment: &Environment,
    needs: &[Permission],
) -> Result<SignedIn, SignInError> {
    // Another part of the process may have installed the provider already; both are the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    let methods: &[Method] = if environment.only_kubeconfig {
        &[Method::Kubeconfig]
    } else {
        &[Method::InCluster, Method::Kubeconfig, Method::Vault]
    };
    let mut tried: Vec<Attempt> = Vec::new();
    let mut best: Option<(Standing, Method, SignedIn)> = None;
    for method in methods.iter().copied() {
        let attempt = attempt(method, environment, needs);
        let outcome = tokio::time::timeout(environment.patience, attempt).await;
        match outcome.unwrap_or(Err(Failure::Slow(environment.patience))) {
            Err(failure) => tried.push(Attempt { method, failure }),
            Ok(signed_in) => {
                let standing = Standing::of(&signed_in.reviewed);
                if standing == Standing::Whole {
                    return Ok(SignedIn { passed_over: tried, ..signed_in });
                }
                tried.push(Attempt { method, failure: Failure::lacking(&signed_in) });
                let is_better = best.as_ref().is_none_or(|(before, ..)| standing > *before);
                if is_better && standing > Standing::Useless {
                    best = Some((standing, method, signed_in));
                }
            }
        }
    }
    match best {
        Some((_, method, signed_in)) => {
            tried.retain(|attempt| attempt.method != method);
            Ok(SignedIn { passed_over: tried, ..signed_in })
        }
        None => Err(SignInError::NoMethod(tried)),
    }
}

async fn attempt(
    method: Method,
    environment: &Environment,
    needs: &[Permission],
) -> Result<SignedIn, Failure> {
    let source = Source::of(method, environment)?;
    let Connection { client, how, server, default_namespace } = source.connect().await?;
    if needs.is_empty() {
        permissions::probe(&client).await?;
    }
    let reviewed = permissions::review(&client, needs).await?;
    Ok(SignedIn {
        client,
        how,
        server,
        default_namespace,
        reviewed,
        passed_over: Vec::new(),
        source,
        patience: environment.patience,
    })
}

#[cfg(test)]
mod tests;
