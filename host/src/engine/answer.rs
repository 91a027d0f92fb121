//! Checks an outcome against what the rule declared and what the host allows.

use serde::de::IgnoredAny;

use super::Answer;
use crate::model::{Failure, FailureKind, Manifest, Outcome, RuleVerdict};

/// Most timers of one partition, and so of one answer.
pub const MAX_WAKES: usize = 100;
/// Most bytes of a verdict's code and key: the policy remembers both of every open incident.
const MAX_INCIDENT: usize = 1 << 10;
/// So many characters of each are told where they are too long.
const TOLD: usize = 40;

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
    for (number, verdict) in (1..).zip(&outcome.verdicts) {
        if manifest.code(&verdict.code).is_none() {
            let declared: Vec<&str> =
                manifest.codes.iter().map(|code| code.name.as_str()).collect();
            return invalid(format!(
                "code {:?} is not declared in the manifest (declared: {}); mend: declare it in `describe`",
                verdict.code,
                declared.join(", ")
            ));
        }
        check_key(number, verdict)?;
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

fn check_key(number: usize, verdict: &RuleVerdict) -> Result<(), Failure> {
    let RuleVerdict { code, key, .. } = verdict;
    let bytes = code.len().saturating_add(key.len());
    if bytes <= MAX_INCIDENT {
        return Ok(());
    }
    let begin = |text: &str| text.chars().take(TOLD).collect::<String>();
    let (code, key) = (begin(code), begin(key));
    invalid(format!(
        "verdict {number} of the answer, {code} on a key that begins with {key:?}, has {bytes} bytes of code and key, and there is room for {MAX_INCIDENT}; mend: name the thing in the key, such as by its uid, and say the rest in the payload"
    ))
}

fn invalid(message: String) -> Result<(), Failure> {
    Err(Failure { kind: FailureKind::InvalidAnswer, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Severity, Status};

    fn manifest(code: &str) -> Manifest {
        let code = Code {
            name: code.to_owned(),
            title: String::new(),
            severity: Severity::Info,
            description: String::new(),
        };
        Manifest {
            name: "rule".to_owned(),
            version: String::new(),
            description: String::new(),
            codes: vec![code],
            interests: Vec::new(),
            schedules: Vec::new(),
            settings_schema: String::new(),
            capabilities: Vec::new(),
            state_version: 0,
        }
    }

    fn says(code: &str, key: String) -> Outcome {
        let verdict = RuleVerdict {
            code: code.to_owned(),
            key,
            status: Status::Firing,
            severity: None,
            title: String::new(),
            payload: String::new(),
            targets: Vec::new(),
        };
        Outcome { verdicts: vec![verdict], ..Outcome::default() }
    }

    #[test]
    fn code_and_key_of_a_verdict_are_bounded_together() {
        let most = 1 << 20;
        for code in ["A", &"A".repeat(100)] {
            let room = MAX_INCIDENT - code.len();
            assert_eq!(check(&manifest(code), most, &says(code, "k".repeat(room))), Ok(()));
            let fault = check(&manifest(code), most, &says(code, "k".repeat(room + 1)));
            assert_eq!(fault.unwrap_err().kind, FailureKind::InvalidAnswer);
        }
        // What is told of it is cut between characters.
        let fault = check(&manifest("A"), most, &says("A", "ü".repeat(600))).unwrap_err();
        assert!(fault.message.contains(&format!("{:?}", "ü".repeat(40))), "{}", fault.message);
    }
}
