//! The way into the cluster: in the pod's own, by a kubeconfig, or with a token from Vault.
//!
//! Each method counts only after access reviews: a credential that works but allows nothing is no
//! way in. No credential is ever part of an error, of a log or of `Debug`.

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

use super::permissions::{self, Answer, Right};
use client::Connection;
use in_cluster::InCluster;
use kubeconfig::KubeconfigFile;
use vault::Vault;

pub use environment::Environment;
pub use failure::{Attempt, Failure, SignInError};

/// A kind of way into a cluster, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// With the pod's service account.
    InCluster,
    /// With a kubeconfig.
    Kubeconfig,
    /// With a token that Vault keeps.
    Vault,
}

/// How the cluster was signed in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// With the pod's service account.
    InCluster,
    /// With a kubeconfig.
    Kubeconfig {
        /// The context that was used.
        context: String,
    },
    /// With a token that Vault keeps.
    Vault,
}

/// A way into the cluster.
pub struct SignedIn {
    /// Sends requests. A silent response is never ended by it, and no request is repeated by it:
    /// both are left to who asks.
    pub client: Client,
    /// How.
    pub how: How,
    /// The API server's address.
    pub server: String,
    /// The namespace that the credential belongs to.
    pub default_namespace: String,
    /// What was asked for, and what is granted of it.
    pub reviewed: Vec<(Right, Answer)>,
    /// The other methods that were tried, and why they were not taken.
    pub passed_over: Vec<Attempt>,
    source: Source,
    patience: Duration,
}

/// Where a connection can be made anew from.
#[derive(Debug, Clone)]
enum Source {
    InCluster(InCluster),
    Kubeconfig(KubeconfigFile),
    Vault(Vault),
}

/// How good a way in is; a later one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Nothing is granted.
    Useless,
    /// Nothing is known to be granted, and something not known to be missing.
    Unsure,
    /// Something is granted.
    Partial,
    /// All is granted.
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
    /// What was asked for and is not known to be granted.
    pub fn missing(&self) -> impl Iterator<Item = &(Right, Answer)> {
        self.reviewed.iter().filter(|(_, answer)| *answer != Answer::Granted)
    }

    /// Makes a new client from what the method finds now: a rotated token, a rewritten kubeconfig,
    /// Vault's present secret. For when the API server answers 401; the rights are not reviewed.
    ///
    /// # Errors
    /// Where the method does not work any more.
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
    fn of(reviewed: &[(Right, Answer)]) -> Self {
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

/// Finds a way into the cluster: the first method with all the rights that are needed, else the
/// first with some of them, else the first whose rights the cluster does not tell.
///
/// # Errors
/// Where there is none: why each method failed.
pub async fn sign_in(environment: &Environment, needs: &[Right]) -> Result<SignedIn, SignInError> {
    // Another part of the process may have installed it already; both are the same.
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
    needs: &[Right],
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
