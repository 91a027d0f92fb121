//! Tests of the NATS subject of a verdict.

use std::path::Path;

use serde_json::json;

use crate::support::targets::{delivery, target, verdict};

#[test]
fn a_value_is_one_part_of_a_subject() {
    let subject = "{cluster}.{rule}.{code}.{severity}.{status}.{namespace}.{kind}";
    let written = json!({"nats": {"url": "nats://a", "subject": subject}});
    let target = target(Path::new("."), written);
    let mut odd = verdict("a.b *>\u{85}c");
    odd.cluster = "$SYS".into();
    odd.object.namespace = String::new();
    assert_eq!(
        delivery(1, &target, &odd).address.as_deref(),
        Some("_SYS.akkeris.a_b____c.error.firing._.Pod")
    );
}
