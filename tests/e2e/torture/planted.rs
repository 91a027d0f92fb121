//! The judge is judged: a run is made up, once whole and then with one fault at a time, each of which it
//! must see and name.

use std::collections::HashMap;

use klaxon::journal::Journal;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::generator::Made;
use super::{Cut, Deeds, Plan, judge};
use crate::account::{Confirmed, Final};
use crate::receiver::Taken;
use crate::support::live::Site;

/// What a rule said, as it is in the journal.
#[derive(Clone)]
struct Said {
    rule: &'static str,
    key: String,
    id: String,
    payload: Value,
    state: &'static str,
    made_at: i64,
}

/// What came to the receiver.
struct Came {
    id: String,
    path: String,
    body: String,
}

/// Everything that a run leaves behind.
struct Run {
    said: Vec<Said>,
    received: Vec<Came>,
    gaps: Vec<(&'static str, i64, i64)>,
    /// What else is in the journal.
    extra: &'static str,
    deeds: Deeds,
    made: Made,
    last: HashMap<String, Final>,
}

fn confirmed(kind: &'static str, name: &str, version: &str, at: i64) -> Confirmed {
    Confirmed { kind, name: name.to_owned(), version: version.to_owned(), from: at, to: at + 1 }
}

fn known(uid: &str, version: &str, count: u64) -> Final {
    Final { uid: uid.to_owned(), version: version.to_owned(), count }
}

impl Run {
    /// One in which every promise was kept, and in which each had something to keep: a state was passed
    /// over within a gap, one fuse burnt down and another was cut in time.
    fn whole() -> Self {
        let mut run = Self {
            said: Vec::new(),
            received: Vec::new(),
            gaps: vec![("Pod", 100, 200)],
            extra: "",
            deeds: Deeds::default(),
            made: Made::default(),
            last: HashMap::new(),
        };
        run.sees("Pod/pod-0", "u0", "1 snapshot", 0);
        run.sees("Pod/pod-0", "u0", "2 modified", 0);
        run.sees("Pod/fuse-0", "f0", "3 added", 0);
        run.sees("Pod/fuse-1", "f1", "4 added", 0);
        run.sees("Event/event-0", "e0", "5 added", 1);
        run.sees("Event/event-0", "e0", "6 modified", 2);
        run.sees("Pod/fuse-1", "f1", "7 deleted", 0);
        run.burns_down("f0", "burnt", 90);
        run.sees("Pod/pod-0", "u0", "9 modified", 0);
        run.made.confirmed = vec![
            confirmed("Pod", "pod-0", "2", 20),
            confirmed("Pod", "fuse-0", "3", 30),
            confirmed("Pod", "fuse-1", "4", 40),
            confirmed("Event", "event-0", "5", 50),
            confirmed("Event", "event-0", "6", 60),
            confirmed("Pod", "pod-0", "8", 150),
            confirmed("Pod", "pod-0", "9", 160),
        ];
        run.made.left_burning = vec!["f0".to_owned()];
        run.deeds.cuts = vec![Cut { uid: "f1".to_owned(), since: 70 }];
        run.last.insert("Pod/pod-0".to_owned(), known("u0", "9", 0));
        run.last.insert("Pod/fuse-0".to_owned(), known("f0", "3", 0));
        run.last.insert("Event/event-0".to_owned(), known("e0", "6", 3));
        run
    }

    /// The witness says it, and of a pod both rules that count; `state` is its version and the change.
    fn sees(&mut self, name: &str, uid: &str, state: &str, delta: u64) {
        let (version, change) = state.split_once(' ').unwrap();
        let (kind, name) = name.split_once('/').unwrap();
        let sight = json!({"change": change, "kind": kind, "name": name, "uid": uid,
            "version": version, "delta": delta});
        let event = format!("{uid} {state}");
        self.say("witness", uid, &event, sight);
        for rule in ["counter", "slow"].into_iter().filter(|_| kind == "Pod") {
            let before = self.said.iter().rfind(|said| said.rule == rule);
            let (n, previous) = before.map_or((0, String::new()), |said| {
                let text = said.payload["event"].as_str().unwrap();
                (said.payload["n"].as_u64().unwrap(), text.to_owned())
            });
            let counted =
                json!({"lane": "lane-0", "n": n + 1, "event": event, "previous": previous});
            self.say(rule, "lane-0", &event, counted);
        }
    }

    fn burns_down(&mut self, uid: &str, event: &str, at: i64) {
        self.say("fuse", uid, event, json!({ "uid": uid, "event": event }));
        self.said.last_mut().unwrap().made_at = at;
    }

    /// It is said, sent and received.
    fn say(&mut self, rule: &'static str, key: &str, event: &str, payload: Value) {
        let id = format!("{rule} {event}");
        let body = payload.to_string();
        self.received.push(Came { id: id.clone(), path: rule.to_owned(), body });
        self.said.push(Said { rule, key: key.to_owned(), id, payload, state: "sent", made_at: 1 });
    }

    fn place(&self, id: &str) -> usize {
        self.received.iter().position(|came| came.id == id).unwrap()
    }

    fn said(&mut self, id: &str) -> &mut Said {
        self.said.iter_mut().find(|said| said.id == id).unwrap()
    }

    /// What a rule that counts says is another, in the journal and at the receiver.
    fn counts(&mut self, id: &str, key: &str, value: Value) {
        self.said(id).payload[key] = value;
        let body = self.said(id).payload.to_string();
        let place = self.place(id);
        self.received[place].body = body;
    }

    /// As if it had never been decided.
    fn never(&mut self, id: &str) {
        self.said.retain(|said| said.id != id);
        self.received.retain(|came| came.id != id);
    }

    /// A journal with the tables of a real one.
    fn write(&self, site: &Site) {
        let folder = site.folder.path().join("journal");
        drop(Journal::open(&folder).unwrap());
        let mut connection = Connection::open(folder.join("klaxon.db")).unwrap();
        let all = connection.transaction().unwrap();
        for Said { rule, key, id, payload, state, made_at } in &self.said {
            let body = json!({"key": key, "payload": payload}).to_string();
            let verdict = "INSERT INTO verdicts (id, time, rule, code, body) \
                           VALUES (?1, ?2, ?3, 'CODE', ?4)";
            all.execute(verdict, params![format!("of {id}"), made_at, rule, body]).unwrap();
            let delivery = "INSERT INTO deliveries (id, verdict, target, key, body, state, made_at) \
                            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let number = all.last_insert_rowid();
            let body = payload.to_string().into_bytes();
            all.execute(delivery, params![id, number, rule, key, body, state, made_at]).unwrap();
        }
        for (watch, since, until) in &self.gaps {
            let gap = "INSERT INTO gaps (watch, kinds, since, until, reason) \
                       VALUES (?1, ?1, ?2, ?3, 'made up')";
            all.execute(gap, params![watch, since, until]).unwrap();
        }
        all.execute_batch(self.extra).unwrap();
        all.commit().unwrap();
    }

    fn judge(&self) {
        let site = Site::new(std::path::Path::to_owned);
        self.write(&site);
        let mut taken = Taken::nothing(0, 0);
        for Came { id, path, body } in &self.received {
            taken.take(id.clone(), path.clone(), body.clone().into());
        }
        let plan = Plan { cycles: 1, events: 1, seed: 0 };
        judge::judge(&site, plan, &self.deeds, &self.made, &self.last, &taken);
    }
}

#[test]
fn a_run_without_fault_passes() {
    Run::whole().judge();
}

#[test]
fn a_delivery_may_come_again_as_it_was() {
    let mut run = Run::whole();
    let Came { id, path, body } = &run.received[0];
    let again = Came { id: id.clone(), path: path.clone(), body: body.clone() };
    run.received.push(again);
    run.judge();
}

#[test]
#[should_panic(expected = "was sent and never received")]
fn a_delivery_that_never_came() {
    let mut run = Run::whole();
    run.received.remove(run.place("slow u0 2 modified"));
    run.judge();
}

#[test]
#[should_panic(expected = "came with another body than the journal's")]
fn another_body_than_the_journals() {
    let mut run = Run::whole();
    let place = run.place("witness u0 2 modified");
    run.received[place].body.push(' ');
    run.judge();
}

#[test]
#[should_panic(expected = "went elsewhere")]
fn a_delivery_at_another_target() {
    let mut run = Run::whole();
    let place = run.place("counter u0 2 modified");
    "slow".clone_into(&mut run.received[place].path);
    run.judge();
}

#[test]
#[should_panic(expected = "the same id with another body")]
fn one_id_with_two_bodies() {
    let mut run = Run::whole();
    let Came { id, path, body } = &run.received[0];
    let again = Came { id: id.clone(), path: path.clone(), body: format!("{body} ") };
    run.received.push(again);
    run.judge();
}

#[test]
#[should_panic(expected = "received and not in the journal: [\"out of nowhere\"]")]
fn an_id_that_the_journal_does_not_know() {
    let mut run = Run::whole();
    let body = json!({ "event": "another" }).to_string();
    run.received.push(Came { id: "out of nowhere".to_owned(), path: "fuse".to_owned(), body });
    run.judge();
}

#[test]
#[should_panic(expected = "two ids for one event: fuse burnt")]
fn two_ids_for_one_event() {
    let mut run = Run::whole();
    let mut twice = run.said("fuse burnt").clone();
    "fuse burnt again".clone_into(&mut twice.id);
    let (id, body) = (twice.id.clone(), twice.payload.to_string());
    run.said.push(twice);
    run.received.push(Came { id, path: "fuse".to_owned(), body });
    run.judge();
}

#[test]
#[should_panic(expected = "verdicts that were not delivered")]
fn a_verdict_that_waits() {
    let mut run = Run::whole();
    run.said("slow u0 2 modified").state = "pending";
    run.judge();
}

#[test]
#[should_panic(expected = "verdicts that were not delivered")]
fn a_verdict_that_was_given_up() {
    let mut run = Run::whole();
    run.said("slow u0 2 modified").state = "dead";
    run.judge();
}

#[test]
#[should_panic(expected = "events that were set aside")]
fn an_event_that_was_set_aside() {
    let mut run = Run::whole();
    run.extra = "INSERT INTO quarantine (time, rule, scope, reason, input) \
                 VALUES (1, 'counter', 'e', 'trap', '{}')";
    run.judge();
}

#[test]
#[should_panic(expected = "targets that were refused")]
fn a_target_that_was_refused() {
    let mut run = Run::whole();
    run.extra = "INSERT INTO refusals (verdict, target, time, reason) VALUES (1, 'x', 1, 'none')";
    run.judge();
}

#[test]
#[should_panic(expected = "counter u0 9 modified came before what was decided before it")]
fn deliveries_of_one_key_out_of_order() {
    let mut run = Run::whole();
    let late = run.received.remove(run.place("counter u0 9 modified"));
    run.received.insert(run.place("counter f1 7 deleted"), late);
    run.judge();
}

#[test]
#[should_panic(expected = "counter counted what the witness saw")]
fn a_number_that_was_lost() {
    let mut run = Run::whole();
    run.never("counter f0 3 added");
    run.judge();
}

#[test]
#[should_panic(expected = "slow, lane-0")]
fn a_number_that_is_missing() {
    let mut run = Run::whole();
    // Its state went on twice, and a verdict once.
    run.counts("slow u0 9 modified", "n", json!(7));
    run.judge();
}

#[test]
#[should_panic(expected = "counter, lane-0")]
fn a_number_that_is_there_twice() {
    let mut run = Run::whole();
    // Its state was that of the event before.
    run.counts("counter u0 9 modified", "n", json!(5));
    run.judge();
}

#[test]
#[should_panic(expected = "counter, lane-0")]
fn a_number_that_knows_another_before_it() {
    let mut run = Run::whole();
    run.counts("counter u0 9 modified", "previous", json!("u0 2 modified"));
    run.judge();
}

#[test]
#[should_panic(expected = "the fuse of f0 was told twice")]
fn a_fuse_that_is_told_twice() {
    let mut run = Run::whole();
    run.burns_down("f0", "burnt once more", 95);
    run.judge();
}

#[test]
#[should_panic(expected = "pod f1 was gone at 70, and its fuse was told at Some(80)")]
fn a_fuse_that_is_told_after_its_pod_was_gone() {
    let mut run = Run::whole();
    run.burns_down("f1", "burnt too late", 80);
    run.judge();
}

#[test]
#[should_panic(expected = "the fuse of f0 burnt down, and nobody said so")]
fn a_fuse_that_nobody_tells() {
    let mut run = Run::whole();
    run.never("fuse burnt");
    run.judge();
}

#[test]
#[should_panic(expected = "no fuse was cut while it burnt")]
fn a_run_in_which_no_fuse_was_cut_shows_nothing() {
    let mut run = Run::whole();
    run.deeds.cuts.clear();
    run.judge();
}

#[test]
#[should_panic(expected = "was lost outside of every gap")]
fn a_state_that_nobody_saw_outside_of_gaps() {
    let mut run = Run::whole();
    run.gaps = vec![("Pod", 100, 149), ("Event", 100, 200)];
    run.judge();
}

#[test]
#[should_panic(expected = "the final state of Pod/pod-0, 9, was not seen")]
fn a_final_state_that_nobody_saw_though_within_a_gap() {
    let mut run = Run::whole();
    for rule in ["witness", "counter", "slow"] {
        run.never(&format!("{rule} u0 9 modified"));
    }
    run.judge();
}

#[test]
#[should_panic(expected = "Event/event-0 6 was lost")]
fn a_kubernetes_event_is_lost_within_a_gap_too() {
    let mut run = Run::whole();
    run.gaps.push(("Event", 0, 100));
    run.never("witness e0 6 modified");
    run.judge();
}

#[test]
#[should_panic(expected = "what Event/event-0 counted")]
fn a_count_that_is_told_twice() {
    let mut run = Run::whole();
    run.counts("witness e0 6 modified", "delta", json!(3));
    run.judge();
}

#[test]
#[should_panic(expected = "seen twice: Pod/pod-0 9")]
fn a_state_that_is_seen_twice() {
    let mut run = Run::whole();
    run.sees("Pod/pod-0", "u0", "9 snapshot", 0);
    run.judge();
}

#[test]
#[should_panic(expected = "the end of pod f1 was told 0 times")]
fn an_end_that_nobody_tells() {
    let mut run = Run::whole();
    for rule in ["witness", "counter", "slow"] {
        run.never(&format!("{rule} f1 7 deleted"));
    }
    run.judge();
}

#[test]
#[should_panic(expected = "pod f1 was seen after its end")]
fn a_pod_that_is_seen_after_its_end() {
    let mut run = Run::whole();
    run.sees("Pod/fuse-1", "f1", "8 modified", 0);
    run.judge();
}
