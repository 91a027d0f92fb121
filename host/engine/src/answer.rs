//! Checks of an outcome against the rule's manifest and the host's limits.

use serde::de::IgnoredAny;

use klaxon_model::{Failure, FailureKind, MAX_TIMERS, Manifest, Outcome, RuleTarget, RuleVerdict};

/// Maximum number of verdicts of one answer, of their targets, of the labels of metrics, and of cancelled
/// timers.
const MAX_ITEMS: usize = 1000;
/// Maximum size of a verdict's code and key together, in bytes: the policy stores both for every open
/// incident.
const MAX_INCIDENT: usize = 1 << 10;
/// Number of characters of a code or key in the error about their size.
const TOLD: usize = 40;

/// Message for an answer over its size limit, used by every check that finds one.
pub(super) const TOO_LARGE: &str =
    "the answer to the event is larger than the host takes; hint: answer less";

/// Checks the numbers of items of an outcome: each item costs more than its strings.
fn check_counts(outcome: &Outcome) -> Result<(), Failure> {
    let targets = outcome.verdicts.iter().flat_map(|verdict| &verdict.targets);
    let labels = targets.clone().map(|target| match target {
        RuleTarget::Metric(metric) => metric.labels.len(),
        _ => 0,
    });
    let counts = [
        ("verdicts", outcome.verdicts.len()),
        ("targets", targets.count()),
        ("labels of metrics", labels.sum()),
        ("cancelled timers", outcome.cancels.len()),
    ];
    match counts.into_iter().find(|(_, count)| *count > MAX_ITEMS) {
        None => Ok(()),
        Some((what, count)) => Err(Failure::new(
            FailureKind::AnswerTooLarge,
            format!(
                "the answer to the event has {count} {what}, and may have {MAX_ITEMS}; hint: say it in fewer verdicts, with the rest in their payloads"
            ),
        )),
    }
}

/// Returns an error if an outcome is invalid.
pub(super) fn check(
    manifest: &Manifest,
    most_bytes: usize,
    outcome: &Outcome,
) -> Result<(), Failure> {
    check_counts(outcome)?;
    if outcome.bytes() > most_bytes {
        return Err(Failure::new(FailureKind::AnswerTooLarge, TOO_LARGE));
    }
    for (number, verdict) in (1..).zip(&outcome.verdicts) {
        if manifest.code(&verdict.code).is_none() {
            let declared: Vec<&str> =
                manifest.codes.iter().map(|code| code.name.as_str()).collect();
            return invalid(format!(
                "code {:?} is not declared in the manifest (declared: {}); hint: declare it in `describe`",
                verdict.code,
                declared.join(", ")
            ));
        }
        check_key(number, verdict)?;
        if !verdict.payload.is_empty()
            && let Err(error) = serde_json::from_str::<IgnoredAny>(&verdict.payload)
        {
            return invalid(format!("the payload of {} is not JSON: {error}", verdict.code));
        }
    }
    if outcome.timers.len() > MAX_TIMERS {
        return invalid(format!(
            "the answer sets {} timers; a partition has room for {MAX_TIMERS}",
            outcome.timers.len()
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
        "verdict {number} of the answer, {code} on a key that begins with {key:?}, has {bytes} bytes of code and key, and there is room for {MAX_INCIDENT}; hint: name the thing in the key, such as by its uid, and say the rest in the payload"
    ))
}

fn invalid(message: String) -> Result<(), Failure> {
    Err(Failure::new(FailureKind::InvalidAnswer, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use klaxon_model::{Code, Severity, Status};
    use klaxon_test_support::values;

    fn manifest(code: &str) -> Manifest {
        let code = Code {
            name: code.to_owned(),
            title: String::new(),
            severity: Severity::Info,
            description: String::new(),
        };
        Manifest { codes: vec![code], ..values::manifest(Vec::new()) }
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
            let error = check(&manifest(code), most, &says(code, "k".repeat(room + 1)));
            assert_eq!(error.unwrap_err().kind, FailureKind::InvalidAnswer);
        }
        // The text in the message is cut between characters.
        let error = check(&manifest("A"), most, &says("A", "ü".repeat(600))).unwrap_err();
        assert!(error.message.contains(&format!("{:?}", "ü".repeat(40))), "{}", error.message);
    }
}
