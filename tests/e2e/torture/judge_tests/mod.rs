//! Tests of the judge: a run is made up, once without a violation and then with one at a time, each of which the
//! judge must detect and name.

mod alarms;
mod deliveries;
mod sights;
mod state;

use std::collections::{BTreeMap, HashMap};

use klaxon_journal::Journal;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::generator::Made;
use super::judge::{Evidence, judge};
use super::ledger::Ledger;
use super::plan::Plan;
use super::record::Record;
use super::setup::RETAIN;
use super::{Cut, Deeds};
use crate::observation::{Confirmed, Final};
use crate::receiver::Taken;
use crate::support::live::Site;

/// A verdict with its delivery, as in the journal.
#[derive(Clone)]
struct Said {
    rule: &'static str,
    target: &'static str,
    code: &'static str,
    key: String,
    status: &'static str,
    severity: &'static str,
    id: String,
    payload: Value,
    state: &'static str,
    reason: Option<&'static str>,
    made_at: i64,
}

/// A delivery that came to a receiver.
#[derive(Clone)]
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
    /// More SQL for the journal.
    extra: &'static str,
    deeds: Deeds,
    made: Made,
    last: HashMap<String, Final>,
}

/// A state of a pod that a rule of the module `alarm` fires or resolves.
#[derive(Clone, Copy)]
struct State {
    code: &'static str,
    uid: &'static str,
    /// Version and change.
    state: &'static str,
    status: &'static str,
    severity: &'static str,
}

fn confirmed(kind: &'static str, name: &str, version: &str, count: u64, at: i64) -> Confirmed {
    let name = format!("default/{name}");
    Confirmed { kind, name, version: version.to_owned(), count, from: at, to: at + 1 }
}

fn known(uid: &str, version: &str, count: u64, labels: Value) -> Final {
    Final { uid: uid.to_owned(), version: version.to_owned(), count, labels }
}

impl Said {
    fn verdict(&self) -> Value {
        let Self { rule, code, key, status, severity, id, payload, .. } = self;
        json!({"id": format!("of {id}"), "rule": rule, "code": code, "key": key, "status": status,
            "severity": severity, "payload": payload})
    }

    fn body(&self) -> String {
        json!({"specversion": "1.0", "data": self.verdict()}).to_string()
    }
}

impl Run {
    /// A run in which every promise was kept, and in which each promise was exercised.
    fn whole() -> Self {
        let mut run = Self {
            said: Vec::new(),
            received: Vec::new(),
            gaps: vec![("Pod", 100, 200), ("Event", 300, 400)],
            extra: "",
            deeds: Deeds::default(),
            made: Made::default(),
            last: HashMap::new(),
        };
        run.cluster();
        run.alarms();
        run
    }

    /// Makes the events of the cluster: a state was missed within a gap, and so was the end of a Kubernetes Event;
    /// one fuse burnt down and another was cut in time; the counting rule changed to its second version and back.
    fn cluster(&mut self) {
        self.sees("Pod/pod-0", "u0", "1 snapshot", 0);
        self.sees("Widget/widget-0", "w0", "1 snapshot", 0);
        self.sees("Pod/pod-0", "u0", "2 modified", 0);
        self.sees("Pod/fuse-0", "f0", "3 added", 0);
        self.recounts("Pod/fuse-1", "f1", "4 added");
        self.sees("Event/event-0", "e0", "5 added", 1);
        self.sees("Event/event-1", "e1", "5 added", 4);
        self.sees("Event/event-0", "e0", "6 modified", 2);
        self.sees("Pod/fuse-1", "f1", "7 deleted", 0);
        self.burns_down("f0", "burnt", 90);
        self.sees("Pod/pod-0", "u0", "9 modified", 0);
        self.made.confirmed = vec![
            confirmed("Pod", "pod-0", "2", 0, 20),
            confirmed("Pod", "fuse-0", "3", 0, 30),
            confirmed("Pod", "fuse-1", "4", 0, 40),
            confirmed("Event", "event-0", "5", 1, 50),
            confirmed("Event", "event-1", "5", 4, 50),
            confirmed("Event", "event-0", "6", 3, 60),
            confirmed("Pod", "pod-0", "8", 0, 150),
            confirmed("Pod", "pod-0", "9", 0, 160),
            confirmed("Event", "event-1", "10", 6, 350),
        ];
        self.made.left_burning = vec!["f0".to_owned()];
        self.deeds.cuts = vec![Cut { uid: "f1".to_owned(), since: 70 }];
        let alarm = json!({"alarm": "critical"});
        self.last.insert("Pod/default/pod-0".to_owned(), known("u0", "9", 0, alarm));
        self.last.insert("Pod/default/fuse-0".to_owned(), known("f0", "3", 0, json!({})));
        self.last.insert("Event/default/event-0".to_owned(), known("e0", "6", 3, Value::Null));
        self.last.insert("Widget/default/widget-0".to_owned(), known("w0", "1", 0, Value::Null));
    }

    /// Makes the alarms: a pod fires and gets worse; another fires while a guard does, and is resolved. Each rule
    /// reports them as its policy and its receiver allow: the second pod never fires for those that the guard
    /// inhibits, a digest has one firing, a dead letter another.
    fn alarms(&mut self) {
        let first = State {
            code: "ALARM",
            uid: "u0",
            state: "2 added",
            status: "firing",
            severity: "error",
        };
        self.alarm(first, &[]);
        let guard = State { code: "GUARD", uid: "g0", state: "3 added", ..first };
        self.alarm(guard, &[]);
        let brief = State { uid: "f1", state: "4 added", ..first };
        self.alarm(brief, &["guarded"]);
        let over = State { uid: "f1", state: "7 deleted", status: "resolved", ..first };
        self.alarm(over, &["guarded"]);
        let over = State { state: "8 left", status: "resolved", ..guard };
        self.alarm(over, &[]);
        let worse = State { state: "9 modified", severity: "critical", ..first };
        self.alarm(worse, &["throttled"]);
        let digest = json!({"suppressed": 1, "codes": {"ALARM": 1}});
        let said = Said { code: "digest", payload: digest, ..self.of("throttled", worse) };
        self.say(Said { id: "digest".to_owned(), key: "digest".to_owned(), ..said });
        self.gives_up("doomed ALARM u0 9 modified");
    }

    /// Adds a verdict on a state for every rule of the module, except those in `without`.
    fn alarm(&mut self, state: State, without: &[&str]) {
        let rules = ["alarm", "paired", "throttled", "guarded", "guest", "doomed", "mover", "void"];
        for rule in rules.into_iter().filter(|rule| !without.contains(rule)) {
            let said = self.of(rule, state);
            self.say(said);
        }
    }

    fn of(&self, rule: &'static str, state: State) -> Said {
        let State { code, uid, state, status, severity } = state;
        let (version, change) = state.split_once(' ').unwrap();
        let payload = json!({"change": change, "namespace": "default", "name": format!("of {uid}"),
            "uid": uid, "version": version});
        Said {
            rule,
            target: if rule == "mover" { "there" } else { rule },
            code,
            key: uid.to_owned(),
            status,
            severity,
            id: format!("{rule} {code} {uid} {version} {change}"),
            payload,
            state: if rule == "void" { "pending" } else { "sent" },
            reason: None,
            made_at: 1,
        }
    }

    /// Adds a sight of the witness and, for a pod, a count of both rules that count; `state` is its version and the
    /// change.
    fn sees(&mut self, name: &str, uid: &str, state: &str, delta: u64) {
        self.sees_as(name, uid, state, delta, 1);
    }

    /// Adds a sight and its counts like [`Run::sees`], with the counting rule at its second version.
    fn recounts(&mut self, name: &str, uid: &str, state: &str) {
        self.sees_as(name, uid, state, 0, 2);
    }

    fn sees_as(&mut self, name: &str, uid: &str, state: &str, delta: u64, state_version: u64) {
        let (version, change) = state.split_once(' ').unwrap();
        let (kind, name) = name.split_once('/').unwrap();
        let sight = json!({"change": change, "kind": kind, "namespace": "default", "name": name,
            "uid": uid, "version": version, "delta": delta});
        let status = if change == "deleted" { "resolved" } else { "firing" };
        let event = format!("{uid} {state}");
        self.reports("witness", "SAW", uid, status, &event, sight);
        for rule in ["counter", "slow"].into_iter().filter(|_| kind == "Pod") {
            let of = if rule == "counter" { state_version } else { 1 };
            let is_before = |said: &&Said| said.rule == rule && said.payload["state"] == of;
            let before = self.said.iter().rfind(is_before);
            let (n, previous) = before.map_or((0, String::new()), |said| {
                let text = said.payload["event"].as_str().unwrap();
                (said.payload["n"].as_u64().unwrap(), text.to_owned())
            });
            let counted = json!({"lane": "lane-0", "state": of, "n": n + 1, "event": event,
                "previous": previous});
            self.reports(rule, "COUNTED", "lane-0", "firing", &event, counted);
        }
    }

    /// Repeats the first report of the witness on an object.
    fn reports_again(&mut self, uid: &str) {
        let first = self.said.iter().find(|said| said.rule == "witness" && said.key == uid);
        let mut again = first.unwrap().clone();
        again.id.push_str(" again");
        self.say(again);
    }

    fn burns_down(&mut self, uid: &str, event: &str, at: i64) {
        let payload = json!({ "uid": uid, "event": event });
        self.reports("fuse", "BURNT", uid, "firing", event, payload);
        self.said.last_mut().unwrap().made_at = at;
    }

    fn reports(
        &mut self,
        rule: &'static str,
        code: &'static str,
        key: &str,
        status: &'static str,
        event: &str,
        payload: Value,
    ) {
        self.say(Said {
            rule,
            target: rule,
            code,
            key: key.to_owned(),
            status,
            severity: "info",
            id: format!("{rule} {event}"),
            payload,
            state: "sent",
            reason: None,
            made_at: 1,
        });
    }

    /// Adds a decided verdict which, unless it is pending, is also sent and received.
    fn say(&mut self, said: Said) {
        if said.state == "sent" {
            self.received.push(Came {
                id: said.id.clone(),
                path: said.target.to_owned(),
                body: said.body(),
            });
        }
        self.said.push(said);
    }

    fn place(&self, id: &str) -> usize {
        let place = self.received.iter().position(|came| came.id == id);
        place.unwrap_or_else(|| panic!("nothing came with the id {id:?}"))
    }

    fn said(&mut self, id: &str) -> &mut Said {
        self.said.iter_mut().find(|said| said.id == id).unwrap()
    }

    /// Changes a verdict, in the journal and at the receiver.
    fn changes(&mut self, id: &str, change: impl FnOnce(&mut Said)) {
        change(self.said(id));
        let body = self.said(id).body();
        let place = self.place(id);
        self.received[place].body = body;
    }

    /// Changes a value in the payload of a verdict.
    fn says(&mut self, id: &str, key: &str, value: Value) {
        self.changes(id, |said| said.payload[key] = value);
    }

    /// Turns a delivery into a dead letter.
    fn gives_up(&mut self, id: &str) {
        let place = self.place(id);
        self.received.remove(place);
        let said = self.said(id);
        (said.state, said.reason) = ("dead", Some("status 500"));
    }

    /// Removes a verdict, as if it had never been decided.
    fn never(&mut self, id: &str) {
        let before = self.said.len();
        self.said.retain(|said| said.id != id);
        assert!(self.said.len() < before, "nothing has the id {id:?}");
        self.received.retain(|came| came.id != id);
    }

    /// Removes the verdicts on a state, as if no rule of the module `alarm` had decided them.
    fn never_alarmed(&mut self, of: &str) {
        self.said.retain(|said| !said.id.ends_with(of));
        self.received.retain(|came| !came.id.ends_with(of));
    }

    /// Writes a journal with the tables of a real one.
    fn write(&self, site: &Site) {
        let folder = site.folder.path().join("journal");
        drop(Journal::open(&folder).unwrap());
        let mut connection = Connection::open(folder.join("klaxon.db")).unwrap();
        let all = connection.transaction().unwrap();
        for said in &self.said {
            let Said { rule, target, code, key, id, state, reason, made_at, .. } = said;
            let verdict = "INSERT INTO verdicts (id, time, rule, code, body) \
                           VALUES (?1, ?2, ?3, ?4, ?5)";
            let body = said.verdict().to_string();
            all.execute(verdict, params![format!("of {id}"), made_at, rule, code, body]).unwrap();
            let delivery = "INSERT INTO deliveries (id, verdict, target, key, body, state, made_at, \
                            settled_at, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)";
            let (number, body) = (all.last_insert_rowid(), said.body().into_bytes());
            let values = params![id, number, target, key, body, state, made_at, reason];
            all.execute(delivery, values).unwrap();
        }
        for (watch, since, until) in &self.gaps {
            let gap = "INSERT INTO gaps (watch, kinds, since, until, reason) \
                       VALUES (?1, ?1, ?2, ?3, 'made up')";
            all.execute(gap, params![watch, since, until]).unwrap();
        }
        all.execute_batch(self.extra).unwrap();
        all.commit().unwrap();
    }

    /// Judges a run whose journal is also read before `later` changes it.
    fn judge_after(&self, later: &str) {
        let site = Site::new(std::path::Path::to_owned);
        self.write(&site);
        let journal = site.folder.path().join("journal/klaxon.db");
        let mut ledger = Ledger::default();
        ledger.read(&journal, RETAIN);
        Connection::open(&journal).unwrap().execute_batch(later).unwrap();
        ledger.finish(&journal, RETAIN);
        let mut taken = Taken::nothing(0, 0);
        for Came { id, path, body } in &self.received {
            taken.take(id.clone(), path.clone(), body.clone().into());
        }
        let record = Record::of(&taken);
        judge(&Evidence {
            plan: Plan { cycles: 1, events: 1, seed: 0 },
            deeds: &self.deeds,
            made: &self.made,
            last: &self.last,
            taken: &taken,
            record,
            ledger,
        });
    }

    fn judge(&self) {
        self.judge_after("");
    }
}

#[test]
fn a_run_without_fault_passes() {
    Run::whole().judge();
}

#[test]
fn settled_rows_may_be_removed_in_the_midst_of_a_run() {
    Run::whole().judge_after(
        "DELETE FROM deliveries WHERE state <> 'pending'; DELETE FROM gaps; \
         DELETE FROM verdicts WHERE n NOT IN (SELECT verdict FROM deliveries)",
    );
}

#[test]
fn every_fault_is_reported() {
    let mut run = Run::whole();
    run.received.remove(run.place("slow u0 2 modified"));
    run.never("fuse burnt");
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.judge()));
    let said = judged.unwrap_err().downcast::<String>().unwrap();
    let expected = ["sent and never received", "burnt down, and nobody said so"];
    let found: BTreeMap<&str, bool> =
        expected.iter().map(|text| (*text, said.contains(text))).collect();
    assert!(found.values().all(|is_found| *is_found), "{found:?} in {said}");
}

#[test]
#[should_panic(expected = "the service panicked: thread 'x' panicked at y")]
fn a_service_that_panicked() {
    let mut run = Run::whole();
    run.deeds.panics.push("thread 'x' panicked at y".to_owned());
    run.judge();
}

#[test]
#[should_panic(expected = "quarantined: counter: trap")]
fn a_quarantined_event() {
    let mut run = Run::whole();
    run.extra = "INSERT INTO quarantine (time, rule, scope, reason, input) \
                 VALUES (1, 'counter', 'e', 'trap', '{}')";
    run.judge();
}

#[test]
#[should_panic(expected = "refused: x: none")]
fn a_refused_target() {
    let mut run = Run::whole();
    run.extra = "INSERT INTO refusals (verdict, target, time, reason) VALUES (1, 'x', 1, 'none')";
    run.judge();
}
