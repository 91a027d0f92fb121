//! Throttling of a rule's deliveries, and the digest of suppressed verdicts.
//!
//! A window begins with a delivery and has a fixed length; the next delivery after its end begins another
//! one. The digest can therefore state both ends of the window, and the state does not grow with the
//! number of deliveries.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rule::Rule;
use klaxon_model::{Digest, Id, Identity, Status, Timestamp, Verdict, Window};

/// Maximum number of keys in a digest.
const KEYS: usize = 10;

/// Counts a delivery in a rule's window. Windows that are over must have been closed.
///
/// Returns `false` if the limit is reached.
pub(super) fn take(rule: &mut Rule, now: Timestamp) -> bool {
    let Some(throttle) = &rule.settings.throttle else { return true };
    let new = || Window { since: now, delivered: 0, digest: None };
    let window = rule.window.get_or_insert_with(new);
    if window.delivered >= throttle.count {
        return false;
    }
    window.delivered += 1;
    true
}

/// Counts a suppressed verdict.
pub(super) fn suppress(rule: &mut Rule, verdict: &Verdict) {
    let Some(window) = &mut rule.window else { return };
    let digest = window.digest.get_or_insert_with(|| Digest {
        suppressed: 0,
        severity: verdict.severity,
        codes: BTreeMap::new(),
        keys: Vec::new(),
        targets: Vec::new(),
        cluster: verdict.cluster.clone(),
        rule_version: verdict.rule_version.clone(),
    });
    digest.suppressed += 1;
    digest.severity = digest.severity.max(verdict.severity);
    digest.rule_version.clone_from(&verdict.rule_version);
    *digest.codes.entry(verdict.code.clone()).or_default() += 1;
    if digest.keys.len() < KEYS && !digest.keys.contains(&verdict.key) {
        digest.keys.push(verdict.key.clone());
    }
    for target in &verdict.targets {
        if !digest.targets.contains(target) {
            digest.targets.push(target.clone());
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    suppressed: u64,
    codes: &'a BTreeMap<String, u64>,
    keys: &'a [String],
    since: Timestamp,
    until: Timestamp,
}

/// Closes a rule's window. Returns a digest of the suppressed verdicts if there are any and the rule
/// wants one.
pub(super) fn close(rule: &mut Rule, until: Timestamp) -> Option<Verdict> {
    let Window { since, digest, .. } = rule.window.take()?;
    // If the throttle was removed from the settings, the rest is reported too.
    let is_told = rule.settings.throttle.as_ref().is_none_or(|throttle| throttle.has_digest);
    let digest = digest.filter(|_| is_told)?;
    let (suppressed, codes, keys) = (digest.suppressed, &digest.codes, &*digest.keys);
    let body = Body { suppressed, codes, keys, since, until };
    let id =
        Id::of("digest", &[&&*digest.cluster, &&*rule.name, &since.as_millis().cast_unsigned()]);
    Some(Verdict {
        id,
        time: until,
        rule: rule.name.clone(),
        code: "digest".to_owned(),
        severity: digest.severity,
        status: Status::Firing,
        title: title(suppressed),
        key: "digest".to_owned(),
        object: Identity::default(),
        payload: serde_json::value::to_raw_value(&body).unwrap_or_default(),
        targets: digest.targets,
        cluster: digest.cluster,
        rule_version: digest.rule_version,
        gap: false,
        delta: None,
        event: None,
        refused: Vec::new(),
    })
}

fn title(suppressed: u64) -> String {
    match suppressed {
        1 => "1 verdict was suppressed".to_owned(),
        many => format!("{many} verdicts were suppressed"),
    }
}
