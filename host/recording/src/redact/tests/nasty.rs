//! Hostile input, made to break the redaction.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::RedactError;
use super::{redacted, redactor};

#[test]
fn what_is_no_object_is_refused() {
    for text in ["", "{", "nothing", "{\"a\":}"] {
        assert!(matches!(redactor().object(text), Err(RedactError::Json(_))), "{text}");
    }
    for text in ["1", "[]", "\"x\"", "null"] {
        assert!(matches!(redactor().object(text), Err(RedactError::NotAnObject)), "{text}");
        assert!(redactor().learn(text).is_err());
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    assert!(matches!(redactor().object(&deep), Err(RedactError::Json(_))));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(120), "]".repeat(120));
    assert_eq!(redactor().object(&deep).unwrap(), deep);
}

#[test]
fn no_script_and_no_length_hides_a_word() {
    let long = "x".repeat(200_000);
    for word in ["äöü-straße", "名前", "наме_1", "e\u{301}tat", "🙂shop🙂", long.as_str()]
    {
        let text = redactor().text(&format!("failed: \"{word}\" not found"));
        assert!(text.starts_with("failed: \"") && text.ends_with("\" not found"), "{text}");
        assert!(!text.contains(word) && text.is_ascii() && text.len() < 100, "{text}");
    }
    assert_eq!(redactor().text("“web” — “web”").matches(&redactor().text("web")).count(), 2);
}

#[test]
fn names_within_urls_and_command_lines_go() {
    for text in [
        "Get \"https://web.shop.svc:8443/healthz?user=alice&token=s3cr3t#top\"",
        "exec: \"/opt/acme/bin/start\" --name=alice -p hunter2x",
        "alice@acme.com, alice+ops@acme.com; C:\\acme\\alice",
        "arn:aws:iam::123456789012:role/alice {\"user\":\"alice\"} acme::alice",
        "alice,acme|hunter2x;shop\tacme\nalice%20acme",
    ] {
        let redacted = redactor().text(text);
        let private = ["alice", "acme", "hunter2x", "s3cr3t", "shop", "123456789012", "healthz"];
        for name in private {
            assert!(!redacted.contains(name), "{name} in {redacted}");
        }
    }
}

#[test]
fn addresses_in_odd_places_go() {
    for text in [
        "10.1.2.3.4",
        "x=10.1.2.3;y",
        "10.1.2.3:10.1.2.3",
        "(10.1.2.3)",
        "a/10.1.2.3/b",
        "10.1.2.3-10.1.2.9",
        "fe80::1:2:3%eth0",
        "::ffff:10.1.2.3",
        "v6=fe80::1:2:3,10.1.2.3",
        "http://[fe80::1:2:3]:80/10.1.2.3",
    ] {
        let redacted = redactor().text(text);
        assert!(!redacted.contains("1.2.3") && !redacted.contains("1:2:3"), "{text}: {redacted}");
    }
}

#[test]
fn fields_of_the_wrong_type_do_no_harm() {
    let odd = [
        json!(null),
        json!(1),
        json!("shop-web"),
        json!(["shop-web"]),
        json!({"shop-web": "shop-web"}),
    ];
    let keys = [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "status",
        "data",
        "items",
        "labels",
        "annotations",
    ];
    for value in &odd {
        for key in keys {
            let object = json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {key: value}, "spec": {key: [value]}});
            let text = redacted(&redactor(), &object).to_string();
            let is_enum = matches!(key, "apiVersion" | "kind" | "status") && !value.is_object();
            assert!(is_enum || !text.contains("shop"), "{text}");
            redactor().object(&json!({key: value, "kind": "List"}).to_string()).unwrap();
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        "(apiVersion|kind|metadata|labels|annotations|data|items|spec|env|value|key|taints|limits)",
        ".*"
    ];
    let text = prop_oneof![".*", "[0-9a-f:.@/_ -]{0,60}", "(v1|apps/v1|x.io/v1|Secret|List)"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_redacted_or_refused(value in any_json(), text in ".*") {
        let mut redactor = redactor();
        let json = value.to_string();
        prop_assert_eq!(redactor.learn(&json).is_ok(), value.is_object());
        let redacted = redactor.object(&json);
        prop_assert_eq!(redacted.is_ok(), value.is_object());
        if let Ok(redacted) = redacted {
            prop_assert!(serde_json::from_str::<Value>(&redacted).is_ok());
        }
        redactor.object(&text).ok();
    }

    #[test]
    fn any_text_keeps_its_white_space(text in "\\PC*[ \t\n]\\PC*", word in "[a-z0-9.:/@_-]{1,80}") {
        let white = |text: &str| text.chars().filter(|c| c.is_whitespace()).collect::<String>();
        let redacted = redactor().text(&text);
        prop_assert_eq!(white(&redacted), white(&text));
        let (stays, name) = (format!("({word})"), redactor().pseudonyms.name(&word));
        let redacted = redactor().text(&stays);
        prop_assert!(redacted == stays || redacted == format!("({name})"), "{}", redacted);
    }
}
