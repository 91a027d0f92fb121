//! Checks an outcome against what the rule declared and what the host allows.

use serde::de::IgnoredAny;

use super::Answer;
use crate::model::{Failure, FailureKind, Manifest, Outcome};

/// Most timers of one partition, and so of one answer.
pub const MAX_WAKES: usize = 100;

impl Answer {
    pub(super) fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into() }.into()
    }

    /// For an event whose rule is out of service.
    pub fn out_of_service() -> Self {
        Self::failed(
            FailureKind::OutOfService,
            "the rule failed too often and is out of service for now",
        )
    }

    /// For an event whose worker is gone. Workers end with the engine only, so it is a bug if
    /// anyone sees this; an event must have an answer all the same.
    pub(super) fn lost() -> Self {
        Self::failed(FailureKind::Trap, "the worker that ran the rule ended")
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self { outcome: Err(failure), writes: Vec::new(), log: Vec::new(), cost: None }
    }
}

/// What is said of an answer over its limit, whoever notices.
pub(super) const TOO_LARGE: &str =
    "the answer to the event is larger than the host takes; mend: answer less";

/// All texts that can be long.
fn texts(outcome: &Outcome) -> impl Iterator<Item = &str> {
    let verdicts = outcome.verdicts.iter();
    let verdicts = verdicts.flat_map(|verdict| [&verdict.key, &verdict.title, &verdict.payload]);
    let wakes = outcome.wakes.iter().flat_map(|wake| [&wake.key, &wake.payload]);
    verdicts.chain(wakes).chain(&outcome.cancels).map(String::as_str)
}

/// What is wrong with an outcome, if anything is.
pub(super) fn check(
    manifest: &Manifest,
    most_bytes: usize,
    outcome: &Outcome,
) -> Result<(), Failure> {
    if texts(outcome).map(str::len).sum::<usize>() > most_bytes {
        let message = TOO_LARGE.to_owned();
        return Err(Failure { kind: FailureKind::AnswerTooLarge, message });
    }
    for verdict in &outcome.verdicts {
        if manifest.code(&verdict.code).is_none() {
            let declared: Vec<&str> =
                manifest.codes.iter().map(|code| code.name.as_str()).collect();
            return invalid(format!(
                "code {:?} is not declared in the manifest (declared: {}); mend: declare it in `describe`",
                verdict.code,
                declared.join(", ")
            ));
        }
        if !verdict.payload.is_empty()
            && let Err(fault) = serde_json::from_str::<IgnoredAny>(&verdict.payload)
        {
            return invalid(format!("the payload of {} is not JSON: {fault}", verdict.code));
        }
    }
    if outcome.wakes.len() > MAX_WAKES {
        return invalid(format!(
            "the answer sets {} wakes; a partition has room for {MAX_WAKES}",
            outcome.wakes.len()
        ));
    }
    Ok(())
}

fn invalid(message: String) -> Result<(), Failure> {
    Err(Failure { kind: FailureKind::InvalidAnswer, message })
}
