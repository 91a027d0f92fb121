//! Properties of any policies on any verdicts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::plan::*;
use super::*;

/// Returns the combined result of a sequence of verdicts.
fn run(incidents: &mut Incidents, verdicts: &[Verdict]) -> Decision {
    let mut all = Decision::default();
    for verdict in verdicts {
        let decision = incidents.decide(verdict.clone());
        all.verdicts.extend(decision.verdicts);
        all.suppressed.extend(decision.suppressed);
    }
    all
}

fn is_digest(verdict: &Verdict) -> bool {
    verdict.code == "digest"
}

fn spot(verdict: &Verdict) -> (Arc<str>, String, String) {
    (verdict.rule.clone(), verdict.code.clone(), verdict.key.clone())
}

fn lines(decision: &Decision) -> Vec<String> {
    decision.verdicts.iter().map(|verdict| verdict.to_line().unwrap()).collect()
}

/// Resolves everything that fires, and returns the result.
fn end_all(incidents: &mut Incidents, rules: &[&str], at: Timestamp) -> Decision {
    let mut all = Vec::new();
    for rule in rules {
        for (code, key) in (0..3).flat_map(|code| (0..3).map(move |key| (code, key))) {
            let about = format!("{rule}/C{code} k{key}");
            all.push(verdict(&format!("end of {about}"), &about, Status::Resolved, at));
        }
    }
    run(incidents, &all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn without_policies_everything_passes_unchanged(play in any_play()) {
        let none: Vec<_> = RULES.iter().map(|rule| ((*rule).into(), Policy::default())).collect();
        let mut incidents = incidents(&none);
        let said = verdicts(&play);
        let decision = run(&mut incidents, &said);
        let said = Decision { verdicts: said, ..Decision::default() };
        prop_assert_eq!(lines(&decision), lines(&said));
        prop_assert!(decision.suppressed.is_empty() && incidents.take_changes().is_empty());
    }

    #[test]
    fn each_verdict_is_delivered_held_back_or_waits_and_only_once(
        policies in any_policies(),
        play in any_play(),
    ) {
        let mut incidents = incidents(&policies);
        let said = verdicts(&play);
        let decision = run(&mut incidents, &said);
        let delivered = decision.verdicts.iter().filter(|one| !is_digest(one)).map(|one| one.id);
        let mut ids: Vec<Id> = delivered.collect();
        ids.extend(decision.suppressed.iter().map(|one| one.verdict));
        let waiting: usize = incidents.sizes().map(|(_, _, waiting)| waiting).sum();
        prop_assert_eq!(ids.len() + waiting, said.len());
        let all: BTreeSet<Id> = said.iter().map(|one| one.id).collect();
        let found: BTreeSet<Id> = ids.iter().copied().collect();
        prop_assert_eq!(found.len(), ids.len(), "something came twice");
        prop_assert!(found.is_subset(&all));
        let counted: u64 = incidents.tally().suppressed.values().sum();
        prop_assert_eq!(counted, decision.suppressed.len() as u64);
    }

    #[test]
    fn whoever_hears_that_it_is_over_has_heard_that_it_fires_and_the_other_way_round(
        mut policies in any_policies(),
        play in any_play(),
    ) {
        for (_, policy) in &mut policies {
            policy.forget = seconds(7 * 86_400);
        }
        let mut incidents = incidents(&policies);
        let mut heard = BTreeSet::new();
        for said in verdicts(&play) {
            let (is_over, about, id) = (said.status == Status::Resolved, spot(&said), said.id);
            let decision = incidents.decide(said);
            let is_delivered = decision.verdicts.iter().any(|one| one.id == id);
            for one in decision.verdicts.iter().filter(|one| !is_digest(one)) {
                if one.status == Status::Firing {
                    heard.insert(spot(one));
                }
            }
            // A pending firing may have been delivered just before.
            let fires = heard.contains(&about);
            if is_over {
                let rule = policies.iter().find(|(name, _)| *name == about.0).unwrap();
                prop_assert!(!fires || is_delivered, "the end of {:?} is not told", about);
                prop_assert!(!is_delivered || fires || !rule.1.pair, "{:?} never began", about);
                heard.remove(&about);
            }
        }
    }

    #[test]
    fn once_nothing_inhibits_what_still_fires_is_delivered_exactly_once(
        mut policies in any_policies(),
        play in any_play(),
    ) {
        for (_, policy) in &mut policies {
            policy.throttle = None;
            policy.inhibited_by.retain(|one| one.rule == "nodes");
        }
        let mut incidents = incidents(&policies);
        let said = verdicts(&play);
        let mut last: BTreeMap<_, (Id, bool)> = BTreeMap::new();
        let mut waits: BTreeMap<Id, (Arc<str>, String, String)> = BTreeMap::new();
        for one in &said {
            let decision = incidents.decide(one.clone());
            let gone = decision.verdicts.iter().map(|one| one.id);
            let gone: Vec<Id> = gone.chain(decision.suppressed.iter().map(|one| one.verdict)).collect();
            waits.insert(one.id, spot(one));
            waits.retain(|id, _| !gone.contains(id));
            last.insert(spot(one), (one.id, one.status == Status::Firing));
        }
        for (id, about) in &waits {
            prop_assert!(last[about].1, "{:?} waits, but {:?} is over", id, about);
        }
        let now = said.last().map_or(second(0), |one| one.time);
        let decision = end_all(&mut incidents, &["nodes"], now);
        let released = decision.verdicts.iter().filter(|one| waits.contains_key(&one.id));
        let released: Vec<Id> = released.map(|one| one.id).collect();
        prop_assert_eq!(released.len(), waits.len());
        prop_assert_eq!(released.iter().collect::<BTreeSet<_>>().len(), waits.len());
        prop_assert_eq!(incidents.sizes().map(|(_, _, waiting)| waiting).sum::<usize>(), 0);
    }

    #[test]
    fn digests_add_up_to_what_was_throttled(
        mut policies in any_policies(),
        play in any_play(),
    ) {
        for (_, policy) in &mut policies {
            policy.throttle = policy.throttle.map(|throttle| Throttle { digest: true, ..throttle });
        }
        let mut incidents = incidents(&policies);
        let said = verdicts(&play);
        let mut all = run(&mut incidents, &said);
        let end = said.last().map_or(second(0), |one| one.time).plus_millis(365 * 86_400_000);
        let last = incidents.advance_to(end);
        all.verdicts.extend(last.verdicts);
        all.suppressed.extend(last.suppressed);
        let digests: Vec<&Verdict> = all.verdicts.iter().filter(|one| is_digest(one)).collect();
        let mut counted = 0;
        for digest in &digests {
            let body: serde_json::Value = serde_json::from_str(digest.payload.get()).unwrap();
            let codes = body["codes"].as_object().unwrap().values();
            let codes: u64 = codes.map(|count| count.as_u64().unwrap()).sum();
            prop_assert_eq!(body["suppressed"].as_u64(), Some(codes));
            counted += codes;
        }
        let throttled = all.suppressed.iter().filter(|one| one.reason == Reason::Throttled);
        prop_assert_eq!(counted, throttled.count() as u64);
        let ids: BTreeSet<Id> = digests.iter().map(|one| one.id).collect();
        prop_assert_eq!(ids.len(), digests.len());
        prop_assert_eq!((incidents.next_due(), incidents.sizes().map(|(_, open, _)| open).sum::<usize>()), (None, 0));
    }

    #[test]
    fn no_window_delivers_more_than_it_may(policies in any_policies(), play in any_play()) {
        let mut incidents = incidents(&policies);
        let mut heard = BTreeSet::new();
        // The time and rule of each delivery that counts.
        let mut times: Vec<(Timestamp, Arc<str>)> = Vec::new();
        for said in verdicts(&play) {
            let now = said.time;
            for one in incidents.decide(said).verdicts.iter().filter(|one| !is_digest(one)) {
                let is_firing = one.status == Status::Firing;
                if is_firing || !heard.remove(&spot(one)) {
                    times.push((now, one.rule.clone()));
                }
                if is_firing {
                    heard.insert(spot(one));
                }
            }
        }
        for (name, policy) in policies.iter().filter(|(_, policy)| policy.forget > seconds(9999)) {
            let Some(throttle) = policy.throttle.filter(|_| policy.inhibited_by.is_empty()) else {
                continue;
            };
            let per = i64::try_from(throttle.per.as_millis()).unwrap();
            let times = times.iter().filter(|(_, rule)| rule == name).map(|(time, _)| *time);
            let mut window: Option<(Timestamp, u32)> = None;
            for time in times {
                let open = window.filter(|(since, _)| time.millis_since(*since) < per);
                let (since, count) = open.unwrap_or((time, 0));
                prop_assert!(count < throttle.count);
                window = Some((since, count + 1));
            }
        }
    }

    #[test]
    fn it_does_not_matter_when_the_clock_is_moved(
        policies in any_policies(),
        play in any_play(),
        stops in proptest::collection::vec(any::<bool>(), 120),
    ) {
        let said = verdicts(&play);
        let plain = run(&mut incidents(&policies), &said);
        let mut incidents = incidents(&policies);
        let mut moved = Decision::default();
        let mut before = second(0);
        for (one, stop) in said.iter().zip(stops) {
            let halves = before.millis_since(one.time) / 2;
            for time in [one.time.plus_millis(halves), one.time] {
                let decision = if stop { incidents.advance_to(time) } else { Decision::default() };
                moved.verdicts.extend(decision.verdicts);
                moved.suppressed.extend(decision.suppressed);
            }
            let decision = incidents.decide(one.clone());
            moved.verdicts.extend(decision.verdicts);
            moved.suppressed.extend(decision.suppressed);
            before = one.time;
        }
        prop_assert_eq!(lines(&plain), lines(&moved));
        prop_assert_eq!(plain.suppressed, moved.suppressed);
    }
}
