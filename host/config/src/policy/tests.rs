//! Tests of parsing a rule's policy.

use serde_json::json;

use super::file::*;
use super::*;

const RULES: [&str; 3] = ["web", "node-health", "team/quota"];

fn read(value: serde_json::Value) -> Read {
    serde_json::from_value::<PolicyFile>(value).unwrap().read(&RULES)
}

fn said(value: serde_json::Value) -> Vec<String> {
    let found = read(value).found.into_iter();
    found.map(|(at, message)| format!("{at}: {message}")).collect()
}

#[test]
fn the_whole_of_it() {
    let read = read(json!({
        "repeat": "30m", "pair": true,
        "inhibited_by": [
            "node-health/NotReady",
            "team/quota/Full",
            {"rule": "web", "code": "Frozen", "equal": "namespace", "for": "2h"},
        ],
        "throttle": {"count": 20, "per": "1m"},
        "forget": "1d",
        "budget": {"burst": 3},
    }));
    assert_eq!(read.found, []);
    let inhibitor = |rule: &str, code: &str, equal, hours: u32| Inhibitor {
        rule: rule.to_owned(),
        code: code.to_owned(),
        equal,
        at_most: HOUR * hours,
    };
    let throttle = Throttle { count: 20, per: Duration::from_secs(60), digest: true };
    assert_eq!(
        read.policy,
        Policy {
            repeat: Some(Duration::from_secs(1800)),
            pair: true,
            inhibited_by: vec![
                inhibitor("node-health", "NotReady", Equal::Object, 1),
                inhibitor("team/quota", "Full", Equal::Object, 1),
                inhibitor("web", "Frozen", Equal::Namespace, 2),
            ],
            throttle: Some(throttle),
            forget: HOUR * 24,
            budget: Budget { burst: 3, per: Duration::from_secs(300) },
        }
    );
}

#[test]
fn nothing_holds_nothing_back() {
    let read = read(json!({}));
    assert_eq!((read.policy.is_empty(), read.found), (true, Vec::new()));
    assert_eq!(read.policy, Policy::default());
}

#[test]
fn each_fault_has_a_hint() {
    let cases = [
        (
            json!({"repeat": "0s"}),
            "/repeat: this suppresses nothing; hint: write a time such as 30m",
        ),
        (
            json!({"repeat": "2d", "forget": "1d"}),
            "/forget: this is shorter than `repeat`, so that it would be cut short; hint: write a longer time",
        ),
        (
            json!({"throttle": {"count": 0, "per": "1m"}}),
            "/throttle/count: this would suppress everything; hint: write at least 1, or leave the rule out",
        ),
        (
            json!({"throttle": {"count": 1, "per": "0s"}}),
            "/throttle/per: this is shorter than a second; hint: write a longer time",
        ),
        (
            json!({"inhibited_by": ["node-helth/NotReady"]}),
            "/inhibited_by/0: there is no rule \"node-helth\"; hint: did you mean \"node-health\"?",
        ),
        (
            json!({"inhibited_by": [{"rule": "x", "code": "y"}]}),
            "/inhibited_by/0/rule: there is no rule \"x\"; hint: use one of web, node-health, team/quota",
        ),
        (
            json!({"inhibited_by": ["NotReady"]}),
            "/inhibited_by/0: \"NotReady\" names no rule and code; hint: write rule/code, such as nodes/NotReady",
        ),
        (
            json!({"inhibited_by": [{"rule": "web", "code": "y", "for": "8d"}]}),
            "/inhibited_by/0/for: what is held would be forgotten before; hint: write a shorter time, or a longer `forget`",
        ),
        (
            json!({"inhibited_by": [{"rule": "web", "code": "y", "for": "1ms"}]}),
            "/inhibited_by/0/for: this is shorter than a second; hint: write a longer time",
        ),
        (
            json!({"forget": "0s"}),
            "/forget: this is shorter than a second; hint: write a longer time",
        ),
    ];
    for (value, message) in cases {
        assert_eq!(said(value.clone()), [message], "{value}");
    }
}

#[test]
fn a_long_repeat_is_remembered_long_enough() {
    let read = read(json!({"repeat": "30d"}));
    assert_eq!((read.policy.forget, read.found), (HOUR * 24 * 30, Vec::new()));
}

#[test]
fn rules_that_hold_each_other_are_a_fault() {
    let by = |rules: &[&str]| {
        let texts: Vec<String> = rules.iter().map(|rule| format!("{rule}/X")).collect();
        serde_json::from_value::<PolicyFile>(json!({"inhibited_by": texts}))
            .unwrap()
            .read(rules)
            .policy
    };
    let (a, b, c, d) = (by(&["b"]), by(&["c"]), by(&["a"]), by(&["a", "d"]));
    let found = cycles(&[("a", &a), ("b", &b), ("c", &c), ("d", &d)]);
    assert_eq!(found.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(
        found[0].1,
        "\"a\" and \"b\" hold each other; hint: take one out of the other's list"
    );
    assert!(cycles(&[("a", &a), ("b", &b), ("c", &Policy::default()), ("d", &d)]).is_empty());
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schemars::schema_for!(PolicyFile).to_value();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), 6);
    for (key, property) in properties {
        assert!(property.get("description").is_some(), "{key}");
    }
}
