//! Errors of the authentication methods.

use std::fmt;
use std::time::Duration;

use super::{How, Method, SignedIn};
use crate::permissions::{Answer, ReviewError};

/// The maximum number of missing permissions that an error names.
const MOST_NAMED: usize = 4;

/// A failed attempt to authenticate with one method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The method.
    pub method: Method,
    /// The reason for which the method was not used.
    pub failure: Failure,
}

/// The reason for which a method was not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The environment does not configure the method.
    #[error("not configured: {0}")]
    NotConfigured(String),
    /// The method's settings cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The method exceeded its time limit.
    #[error("no outcome within {0:?}; hint: check the address and the network")]
    Slow(Duration),
    /// The permissions could not be reviewed.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// Permissions are missing.
    #[error(
        "signed in to {server}, where {granted} of {needed} needed rights are granted; not \
         granted: {missing}; hint: bind a role that allows it"
    )]
    Lacking {
        /// The API server's address.
        server: String,
        /// The number of granted permissions.
        granted: usize,
        /// The number of needed permissions.
        needed: usize,
        /// The permissions that are not granted, with reasons.
        missing: String,
    },
}

/// The error of authenticating with the cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// No method works.
    #[error("there is no way into the cluster{}", listed(.0))]
    NoMethod(Vec<Attempt>),
    /// The method worked before and does not now.
    #[error("the credential cannot be renewed ({how}): {failure}")]
    Renew {
        /// The method.
        how: How,
        /// The reason.
        failure: Failure,
    },
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.method, self.failure)
    }
}

impl Failure {
    pub(super) fn lacking(signed_in: &SignedIn) -> Self {
        let mut missing: Vec<String> = signed_in
            .missing()
            .map(|(permission, answer)| match answer {
                Answer::Granted => permission.to_string(),
                Answer::Missing { why } | Answer::Unknown { why } => {
                    format!("{permission} ({why})")
                }
            })
            .collect();
        let needed = signed_in.reviewed.len();
        let granted = needed - missing.len();
        if missing.len() > MOST_NAMED {
            let more = missing.len() - MOST_NAMED;
            missing.truncate(MOST_NAMED);
            missing.push(format!("and {more} more"));
        }
        let server = signed_in.server.clone();
        Self::Lacking { server, granted, needed, missing: missing.join(", ") }
    }
}

fn listed(attempts: &[Attempt]) -> String {
    let mut text: String = attempts.iter().map(|attempt| format!("\n  {attempt}")).collect();
    if attempts.iter().all(|attempt| matches!(attempt.failure, Failure::NotConfigured(_))) {
        text.push_str("\nhint: run in a pod that has a service account, or set KUBECONFIG");
    }
    text
}
