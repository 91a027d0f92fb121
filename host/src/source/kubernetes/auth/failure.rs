//! Why a way into the cluster was not taken.

use std::fmt;
use std::time::Duration;

use super::{How, Method, SignedIn};
use crate::source::kubernetes::permissions::{Answer, ReviewError};

/// So many missing rights are named; a table of all is another matter.
const MOST_NAMED: usize = 4;

/// A method that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which.
    pub method: Method,
    /// Why it was not taken.
    pub failure: Failure,
}

/// Why a method was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The environment says nothing of it.
    #[error("not configured: {0}")]
    NotConfigured(String),
    /// What the environment says of it cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// It took too long.
    #[error("no outcome within {0:?}; hint: check the address and the network")]
    Slow(Duration),
    /// The rights could not be reviewed.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// Rights are missing.
    #[error(
        "signed in to {server}, where {granted} of {needed} needed rights are granted; not \
         granted: {missing}; hint: bind a role that allows it"
    )]
    Lacking {
        /// The API server's address.
        server: String,
        /// How many rights are granted.
        granted: usize,
        /// How many are needed.
        needed: usize,
        /// Those that are not granted, and why.
        missing: String,
    },
}

/// Why there is no way into the cluster.
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
        /// Why.
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
            .map(|(right, answer)| match answer {
                Answer::Granted => right.to_string(),
                Answer::Missing { why } | Answer::Unknown { why } => format!("{right} ({why})"),
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
