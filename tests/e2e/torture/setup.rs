//! The configuration of the service: the rules, their targets, and the treatment of each path by the receiver.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::Variant;
use crate::receiver::{Receiver, Temper};
use crate::support::module;

/// Duration of a fuse: longer than most downtimes, so that many are burning at a kill.
const BURNS_MS: i64 = 3_000;
/// Rounds of work for each event of the slow rule: about two milliseconds.
const SLOW: u32 = 1_000_000;
/// Retention of settled rows.
pub(super) const RETAIN: Duration = Duration::from_secs(15);
/// One in this number of deliveries of the rule `doomed` fails until it is given up.
const DOOMED: u64 = 6;
/// The names of the targets of the rule `mover`, which is routed to one of them.
pub(super) const ROUTES: [&str; 2] = ["here", "there"];
/// The rule and target whose receiver takes nothing.
pub(super) const VOID: &str = "void";
/// The rule and target whose deliveries are sometimes given up.
pub(super) const GIVEN_UP: &str = "doomed";

/// Everything that is constant during a run.
pub(super) struct Setup {
    folder: PathBuf,
    kubeconfig: PathBuf,
    receiver: String,
}

impl Setup {
    pub(super) fn new(folder: &Path, kubeconfig: PathBuf, receiver: &Receiver) -> Self {
        receiver.treat(VOID, Temper::Dead);
        receiver.treat(GIVEN_UP, Temper::Picky(DOOMED));
        Self { folder: folder.to_owned(), kubeconfig, receiver: receiver.url("") }
    }

    /// Writes the configuration in one of its variants.
    pub(super) fn write(&self, variant: Variant) -> PathBuf {
        let mut journal = json!({"path": "journal", "retain": format!("{}s", RETAIN.as_secs())});
        if let Some(size) = variant.max_size {
            journal["max_size"] = json!(format!("{size}B"));
        }
        let config = json!({
            "apiVersion": "klaxon.dev/v1alpha1", "cluster": "test",
            "sources": [{"name": "cluster", "kubernetes": {"kubeconfig": self.kubeconfig,
                // So that a kind that is not served for a moment ends and returns.
                "event_ttl": "6h", "unserved_grace": "1s"}}],
            "rules": rules(variant),
            "targets": self.targets(variant),
            "journal": journal,
        });
        let path = self.folder.join("klaxon.yaml");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    fn targets(&self, variant: Variant) -> Value {
        let mut targets = json!({});
        let plain = [
            "witness",
            "counter",
            "slow",
            "fuse",
            "alarm",
            "paired",
            "throttled",
            "guarded",
            "guest",
        ];
        for name in plain {
            targets[name] = self.patient_target(name, variant);
        }
        for (place, name) in ROUTES.iter().enumerate() {
            if place == variant.route || variant.has_other {
                targets[*name] = self.patient_target(name, variant);
            }
        }
        targets[GIVEN_UP] = self.target(GIVEN_UP);
        targets[GIVEN_UP]["webhook"]["retry"] = json!({"for": "1s"});
        targets[VOID] = self.target(VOID);
        targets[VOID]["webhook"]["timeout"] = json!("2s");
        // Most deliveries do not fit into that queue, and become dead letters at once.
        targets[VOID]["max_queue"] = json!("64KiB");
        targets
    }

    fn target(&self, name: &str) -> Value {
        let url = format!("{}{name}", self.receiver);
        json!({"webhook": {"url": url, "format": "cloudevents", "allow": ["loopback"]}})
    }

    /// Returns a target that waits when the journal is small, because its queue gets only a part of the journal.
    fn patient_target(&self, name: &str, variant: Variant) -> Value {
        let mut target = self.target(name);
        if variant.max_size.is_some() {
            target["when_full"] = json!("block");
        }
        target
    }
}

fn rules(variant: Variant) -> Value {
    let counter = if variant.recounts { "recounter" } else { "counter" };
    let mut rules = vec![
        rule("witness", "witness", json!({"settings": {"resolves": true}})),
        rule("counter", counter, json!({})),
        rule("slow", "counter", json!({"settings": {"work": SLOW}})),
        rule("fuse", "fuse", json!({"settings": {"burns_ms": BURNS_MS}})),
        rule("alarm", "alarm", json!({})),
        rule("paired", "alarm", json!({"policy": {"pair": true}})),
        rule("throttled", "alarm", {
            json!({"policy": {"throttle": {"count": 10, "per": "2s", "digest": true}}})
        }),
        rule("guarded", "alarm", {
            let guard = json!({"rule": "guarded", "code": "GUARD", "equal": "namespace"});
            json!({"policy": {"repeat": "12h", "inhibited_by": [guard]}})
        }),
        rule(GIVEN_UP, "alarm", json!({})),
        rule(VOID, "alarm", json!({})),
        rule("mover", "alarm", json!({"targets": [ROUTES[variant.route]]})),
    ];
    if let Some(number) = variant.guest {
        let label = format!("setting {number}");
        rules.push(rule("guest", "alarm", json!({"settings": {"label": label}})));
    }
    Value::Array(rules)
}

/// Returns a rule that is routed to the target of its name, with the overrides of `more`.
fn rule(name: &str, module_name: &str, more: Value) -> Value {
    let mut rule = json!({"name": name, "module": module(module_name), "targets": [name]});
    for (key, value) in more.as_object().unwrap() {
        rule[key] = value.clone();
    }
    rule
}
