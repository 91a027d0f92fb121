//! Tests of routing: the rules that receive an object, and as which change.

use klaxon_test_support::manifests;
use klaxon_test_support::values::{interest, manifest};
use serde_json::{Value as Json, json};

use super::{Router, Routing};
use crate::normalize::decode;
use klaxon_model::{
    Change, Changes, Coverage, Event, FailureKind, GapEffect, GapStart, Identity, Interest,
    Narrowing, Observation, Origin, PartitionBy, RuleId, Seen, Timestamp, Value,
};

/// A router with one rule, and its clock.
struct House {
    router: Router,
    now: i64,
}

impl House {
    fn new(interests: Vec<Interest>) -> Self {
        let origin = Origin { cluster: "c".to_owned(), source: "s".to_owned() };
        let mut router = Router::new(origin);
        router.add_rule("rule".into(), &manifest(interests), &Narrowing::new()).unwrap();
        Self { router, now: 0 }
    }

    fn see(&mut self, seen: Seen, object: &Json) -> Routing {
        self.see_in("scope", seen, object)
    }

    fn see_in(&mut self, scope: &str, seen: Seen, object: &Json) -> Routing {
        self.now += 1;
        let object = decode(&object.to_string(), &self.router.wanted()).unwrap();
        let time = Timestamp::from_millis(self.now);
        self.router.route(scope, Observation { time, seen, object: object.into(), digest: 0 })
    }

    fn begin_gap(&mut self, from: Timestamp, effect: GapEffect) {
        let complete_at = self.router.complete_at("scope");
        let reason = String::new();
        let start = GapStart { from, reason, effect, complete_at, is_other_epoch: false };
        self.router.begin_gap("scope", start);
    }

    /// Returns the events of an observation.
    #[track_caller]
    fn events(&mut self, seen: Seen, object: &Json) -> Vec<Event> {
        match self.see(seen, object) {
            Routing::News(routed) => {
                routed.into_iter().map(|(_, event)| (*event).clone()).collect()
            }
            other => panic!("no news: {other:?}"),
        }
    }

    /// Returns `change partition` of each event.
    #[track_caller]
    fn changes(&mut self, seen: Seen, object: &Json) -> Vec<String> {
        let events = self.events(seen, object);
        events.iter().map(|e| format!("{} {}", e.change.as_str(), e.partition)).collect()
    }
}

fn pod(version: u32, app: &str) -> Json {
    let metadata = json!({"uid": "u1", "namespace": "n", "resourceVersion": version.to_string(),
        "labels": {"app": app}});
    manifests::pod("p", metadata)
}

fn kubernetes_event(version: u32, count: u32, created: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"uid": "e1", "name": "e",
        "resourceVersion": version.to_string(), "creationTimestamp": created},
        "involvedObject": {"kind": "Pod", "name": "p", "uid": "u1"}, "count": count})
}

/// Digests are stored: with others an upgrade would backfill every rule again.
#[test]
fn the_digest_of_a_backfill_stays_the_same_over_versions() {
    let house = House::new(vec![interest("pods", "v1", "Pod")]);
    let digest = house.router.backfill_digest(RuleId(0), "{}", "", "Pod");
    assert_eq!(digest.as_str(), "6bb93da67bfc2cb73f8a8be9cc19ecc6");
}

#[test]
fn an_object_is_added_modified_and_deleted_and_a_repeat_is_no_news() {
    let mut house = House::new(vec![interest("pods", "v1", "Pod")]);
    assert_eq!(house.changes(Seen::Present, &pod(1, "a")), ["added u1"]);
    assert_eq!(house.see(Seen::Present, &pod(1, "a")), Routing::Repeated);
    assert_eq!(house.changes(Seen::Present, &pod(2, "a")), ["modified u1"]);
    assert_eq!(house.changes(Seen::Deleted, &pod(3, "a")), ["deleted u1"]);
    assert_eq!(house.see(Seen::Deleted, &pod(3, "a")), Routing::Unknown);
    assert_eq!(house.changes(Seen::Present, &pod(4, "a")), ["added u1"]);
}

#[test]
fn what_a_second_stream_tells_late_is_no_news() {
    let mut house = House::new(vec![interest("pods", "v1", "Pod")]);
    house.events(Seen::Present, &pod(5, "a"));
    assert_eq!(house.see(Seen::Present, &pod(4, "a")), Routing::Repeated);
    house.events(Seen::Deleted, &pod(9, "a"));
    assert_eq!(house.see(Seen::Present, &pod(5, "a")), Routing::Repeated);
    assert_eq!(house.see(Seen::Deleted, &pod(9, "a")), Routing::Unknown);
    // After a gap versions may have gone back: only an identical version is the same.
    house.events(Seen::Present, &pod(20, "a"));
    house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
    assert_eq!(house.changes(Seen::Present, &pod(12, "a")), ["modified u1"]);
}

#[test]
fn a_custom_resource_called_node_is_not_a_node() {
    let mut house = House::new(vec![interest("nodes", "longhorn.io/v1", "Node")]);
    let custom = json!({"apiVersion": "longhorn.io/v1", "kind": "Node", "metadata":
        {"uid": "x", "name": "node-1", "resourceVersion": "1"}});
    assert_eq!(house.changes(Seen::Present, &custom), ["added x"]);
}

#[test]
fn leaving_a_selector_is_left_and_coming_back_is_added() {
    let mut selective = interest("pods", "v1", "Pod");
    selective.label_selector = "app=a".to_owned();
    let mut house = House::new(vec![selective]);
    assert!(house.changes(Seen::Present, &pod(1, "b")).is_empty());
    assert_eq!(house.changes(Seen::Present, &pod(2, "a")), ["added u1"]);
    assert_eq!(house.changes(Seen::Present, &pod(3, "b")), ["left u1"]);
    assert_eq!(house.changes(Seen::Present, &pod(4, "a")), ["added u1"]);
}

#[test]
fn moving_to_another_partition_is_left_there_and_added_here() {
    let mut by_label = interest("pods", "v1", "Pod");
    by_label.partition = PartitionBy::Label("app".to_owned());
    let mut house = House::new(vec![by_label]);
    assert_eq!(house.changes(Seen::Present, &pod(1, "a")), ["added n/a"]);
    assert_eq!(house.changes(Seen::Present, &pod(2, "b")), ["left n/a", "added n/b"]);
    assert_eq!(house.changes(Seen::Deleted, &pod(3, "c")), ["deleted n/b"]);
}

#[test]
fn the_first_interest_that_matches_counts_and_its_changes_too() {
    let mut first = interest("a", "v1", "Pod");
    first.label_selector = "app=a".to_owned();
    first.changes = Changes { modified: false, ..Changes::ALL };
    let mut house = House::new(vec![first, interest("all", "v1", "Pod")]);
    assert_eq!(house.events(Seen::Present, &pod(1, "a"))[0].interest, 0);
    assert!(house.events(Seen::Present, &pod(2, "a")).is_empty());
    let moved = house.events(Seen::Present, &pod(3, "b"));
    assert_eq!((moved[0].interest, moved[0].change), (1, Change::Modified));
}

#[test]
fn snapshots_have_ids_of_their_own() {
    let mut house = House::new(vec![interest("pods", "v1", "Pod")]);
    let snapshot = house.events(Seen::Snapshot, &pod(1, "a")).remove(0);
    let mut other = House::new(vec![interest("pods", "v1", "Pod")]);
    let added = other.events(Seen::Present, &pod(1, "a")).remove(0);
    assert_eq!((snapshot.change, added.change), (Change::Snapshot, Change::Added));
    assert_ne!(snapshot.id, added.id);
    let mut again = House::new(vec![interest("pods", "v1", "Pod")]);
    assert_eq!(again.events(Seen::Present, &pod(1, "a"))[0].id, added.id);
}

#[test]
fn the_delta_of_a_kubernetes_event_is_what_its_count_grew_by() {
    let mut house = House::new(vec![interest("events", "v1", "Event")]);
    let created = "1970-01-01T00:00:00Z";
    let mut delta = |seen, version, count| {
        house.events(seen, &kubernetes_event(version, count, created))[0].delta
    };
    assert_eq!(delta(Seen::Present, 1, 3), 3);
    assert_eq!(delta(Seen::Present, 2, 5), 2);
    assert_eq!(delta(Seen::Present, 3, 4), 0);
    let mut house = House::new(vec![interest("events", "v1", "Event")]);
    assert_eq!(house.events(Seen::Snapshot, &kubernetes_event(1, 3, created))[0].delta, 0);
    assert_eq!(house.events(Seen::Present, &kubernetes_event(2, 4, created))[0].delta, 1);
}

#[test]
fn after_a_gap_an_old_event_counts_for_nothing_and_a_new_one_for_all() {
    for (created, delta) in [("1970-01-01T00:00:00Z", 0), ("1970-01-01T00:00:10Z", 3)] {
        let mut house = House::new(vec![interest("events", "v1", "Event")]);
        house.begin_gap(Timestamp::from_millis(5000), GapEffect::Marked);
        let event = house.events(Seen::Present, &kubernetes_event(1, 3, created)).remove(0);
        assert_eq!((event.delta, event.gap), (delta, true));
    }
}

#[test]
fn a_kubernetes_events_end_is_no_news_and_both_apis_are_one() {
    let mut house = House::new(vec![interest("events", "events.k8s.io/v1", "Event")]);
    let created = "1970-01-01T00:00:00Z";
    assert_eq!(house.changes(Seen::Present, &kubernetes_event(1, 1, created)), ["added u1"]);
    let mut same = kubernetes_event(1, 1, created);
    same["apiVersion"] = json!("events.k8s.io/v1");
    assert_eq!(house.see(Seen::Present, &same), Routing::Repeated);
    assert!(house.changes(Seen::Deleted, &kubernetes_event(2, 1, created)).is_empty());
}

#[test]
fn a_node_and_the_events_about_it_share_a_partition() {
    let mut house =
        House::new(vec![interest("nodes", "v1", "Node"), interest("events", "v1", "Event")]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata":
        {"uid": "x", "name": "node-1", "resourceVersion": "1"}});
    let about = json!({"apiVersion": "v1", "kind": "Event", "metadata":
        {"uid": "e", "resourceVersion": "2"}, "involvedObject": {"kind": "Node", "name": "node-1", "uid": "node-1"}});
    assert_eq!(house.changes(Seen::Present, &node), ["added Node/node-1"]);
    assert_eq!(house.changes(Seen::Present, &about), ["added Node/node-1"]);
}

#[test]
fn fields_of_any_kind_come_by_position_and_can_partition() {
    let mut custom = interest("pkis", "box.com/v1", "PKI");
    custom.fields = vec!["$.spec.serviceName".to_owned(), "$.spec.count".to_owned()];
    custom.partition = PartitionBy::Field("$.spec.serviceName".to_owned());
    custom.field_selector = "spec.serviceName!=skip".to_owned();
    let mut house = House::new(vec![custom]);
    let object = |version: u32, name: &str| {
        json!({"apiVersion": "box.com/v1", "kind": "PKI", "metadata": {"uid": "k", "namespace": "n",
            "name": "k", "resourceVersion": version.to_string()}, "spec": {"serviceName": name, "count": 2}})
    };
    let event = house.events(Seen::Present, &object(1, "app1")).remove(0);
    assert_eq!(event.fields, Ok(vec![Value::Text("app1".to_owned()), Value::Integer(2)]));
    assert_eq!(&*event.partition, "n/app1");
    assert_eq!(house.changes(Seen::Present, &object(2, "skip")), ["left n/app1"]);
}

#[test]
fn an_object_whose_fields_cost_too_much_fails_where_it_is_and_is_back_with_its_next_state() {
    let mut custom = interest("pkis", "box.com/v1", "PKI");
    custom.fields = vec!["$.spec.name".to_owned(), "$.spec.items[*].x".to_owned()];
    custom.partition = PartitionBy::Field("$.spec.name".to_owned());
    let mut house = House::new(vec![custom]);
    let object = |version: u32, name: &str, items: usize| {
        json!({"apiVersion": "box.com/v1", "kind": "PKI", "metadata": {"uid": "k", "namespace": "n",
            "name": "k", "resourceVersion": version.to_string()},
            "spec": {"name": name, "items": vec![json!({"x": 1}); items]}})
    };
    let failure = |event: &Event| event.fields.clone().unwrap_err();
    let kind = |event: &Event| (event.change, event.partition.to_string());

    // At first the host knows only the object's own partition.
    let event = house.events(Seen::Present, &object(1, "app", 100_000)).remove(0);
    assert_eq!(failure(&event).kind, FailureKind::FieldsOverBudget);
    assert!(
        failure(&event).message.contains("\"$.spec.items[*].x\""),
        "{}",
        failure(&event).message
    );
    assert_eq!(kind(&event), (Change::Added, "k".to_owned()));
    assert_eq!(house.changes(Seen::Present, &object(2, "app", 1)), ["left k", "added n/app"]);

    // Later the object stays in its partition; it is not reported to have left.
    let event = house.events(Seen::Present, &object(3, "other", 100_000)).remove(0);
    assert!(event.fields.is_err());
    assert_eq!(kind(&event), (Change::Modified, "n/app".to_owned()));
    assert_eq!(house.changes(Seen::Present, &object(4, "app", 2)), ["modified n/app"]);

    // The same if the partition's name would be too long.
    let long = "x".repeat(513);
    let event = house.events(Seen::Present, &object(5, &long, 1)).remove(0);
    assert!(failure(&event).message.contains("513 bytes"), "{}", failure(&event).message);
    assert_eq!(kind(&event), (Change::Modified, "n/app".to_owned()));
    // The rule is called for the deletion, however large the object has become.
    let event = house.events(Seen::Deleted, &object(6, "app", 100_000)).remove(0);
    assert_eq!(kind(&event), (Change::Deleted, "n/app".to_owned()));
    assert_eq!(
        event.fields.clone().unwrap(),
        [klaxon_model::Value::Null, klaxon_model::Value::Null]
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_the_name_of_the_interest() {
    let refusal = |change: fn(&mut Interest)| {
        let mut wrong = interest("pods", "v1", "Pod");
        change(&mut wrong);
        let mut router = Router::new(Origin { cluster: String::new(), source: String::new() });
        let added = router.add_rule("rule".into(), &manifest(vec![wrong]), &Narrowing::new());
        added.unwrap_err().to_string()
    };
    assert!(refusal(|i| i.label_selector = "a b".to_owned()).contains("no requirement"));
    assert!(refusal(|i| i.field_selector = "a".to_owned()).contains("path=value"));
    assert!(
        refusal(|i| i.fields = vec!["spec".to_owned()]).starts_with("interest \"pods\": field")
    );
    assert!(
        refusal(|i| i.partition = PartitionBy::Field("$.x".to_owned()))
            .contains("none of its fields")
    );
}

#[test]
fn the_operator_narrows_namespaces_and_cannot_widen_them() {
    let narrowed = |asked: &[&str], allowed: &[&str]| {
        let mut pods = interest("pods", "v1", "Pod");
        pods.namespaces = asked.iter().map(|name| (*name).to_owned()).collect();
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect();
        let mut router = Router::new(Origin { cluster: String::new(), source: String::new() });
        let narrowing = Narrowing::from([("pods".to_owned(), allowed)]);
        router.add_rule("rule".into(), &manifest(vec![pods]), &narrowing).map(|()| router)
    };
    let mut house = House { router: narrowed(&[], &["other"]).unwrap(), now: 0 };
    assert!(house.changes(Seen::Present, &pod(1, "a")).is_empty());
    assert!(narrowed(&["a"], &["b"]).is_err());
}

#[test]
fn what_returns_unchanged_after_its_end_was_told_is_another_event_each_time() {
    let mut house = House::new(vec![interest("nodes", "v1", "Node")]);
    let mut ids = vec![house.events(Seen::Present, &node("first", "5"))[0].id];
    for _ in 0..2 {
        // A list without the object, and one with it.
        house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
        let covers = Coverage { group: String::new(), kind: "Node".to_owned(), namespace: None };
        house.router.cover("scope", covers);
        let end = house.router.end_gap("scope", Timestamp::from_millis(9), &mut |_| None).unwrap();
        assert_eq!(end.routed[0].1.change, Change::Deleted);
        ids.push(end.routed[0].1.id);
        house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
        let back = house.events(Seen::Snapshot, &node("first", "5")).remove(0);
        house.router.end_gap("scope", Timestamp::from_millis(9), &mut |_| None).unwrap();
        assert_eq!((back.change, back.gap), (Change::Added, true));
        ids.push(back.id);
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn what_a_comparison_finds_newer_than_all_before_has_its_usual_id() {
    let id_of = |is_compared: bool| {
        let mut house = House::new(vec![interest("nodes", "v1", "Node")]);
        house.events(Seen::Present, &node("first", "5"));
        if is_compared {
            house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
        }
        house.events(Seen::Present, &node("second", "6"))[0].id
    };
    assert_eq!(id_of(true), id_of(false));
}

#[test]
fn versions_that_go_back_in_a_comparison_are_other_events_until_the_object_ends() {
    let mut house = House::new(vec![interest("nodes", "v1", "Node")]);
    let mut ids: Vec<_> =
        ["5", "7"].map(|version| house.events(Seen::Present, &node("first", version))[0].id).into();
    house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
    ids.push(house.events(Seen::Snapshot, &node("first", "5"))[0].id);
    house.router.end_gap("scope", Timestamp::from_millis(9), &mut |_| None).unwrap();
    ids.push(house.events(Seen::Present, &node("first", "7"))[0].id);
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn versions_and_not_clocks_say_whether_an_event_is_new_where_all_was_known_before() {
    for (version, delta) in [(4, 0), (6, 3)] {
        for created in ["1970-01-01T00:00:00Z", "1970-01-01T09:00:00Z"] {
            let mut house = House::new(vec![
                interest("events", "v1", "Event"),
                interest("nodes", "v1", "Node"),
            ]);
            house.events(Seen::Present, &node("first", "5"));
            house.begin_gap(Timestamp::from_millis(5000), GapEffect::Counted);
            let event =
                house.events(Seen::Snapshot, &kubernetes_event(version, 3, created)).remove(0);
            assert_eq!((event.change, event.delta), (Change::Added, delta), "{version} {created}");
        }
    }
}

#[test]
fn an_object_of_which_only_the_name_or_the_uid_can_be_read_has_not_vanished() {
    let mut house = House::new(vec![interest("pods", "v1", "Pod")]);
    let named = |name: &str| {
        let uid = format!("u-{name}");
        manifests::pod(name, json!({"uid": uid, "namespace": "n", "resourceVersion": "1"}))
    };
    for name in ["by-name", "by-uid", "gone"] {
        house.events(Seen::Present, &named(name));
    }
    house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
    let covers = Coverage { group: String::new(), kind: "Pod".to_owned(), namespace: None };
    house.router.cover("scope", covers);
    for identity in [
        Identity { namespace: "n".to_owned(), name: "by-name".to_owned(), ..Identity::default() },
        Identity { uid: "u-by-uid".to_owned(), ..Identity::default() },
        // An object of which nothing can be read does not hide vanished objects.
        Identity::default(),
    ] {
        house.router.note_undecodable("scope", Seen::Snapshot, Err(identity));
    }
    let end = house.router.end_gap("scope", Timestamp::from_millis(9), &mut |_| None).unwrap();
    let gone: Vec<&str> =
        end.routed.iter().map(|(_, event)| event.object.meta.identity.name.as_str()).collect();
    assert_eq!(gone, ["gone"]);
}

fn node(uid: &str, version: &str) -> Json {
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "node-1", "uid": uid, "resourceVersion": version}})
}

#[test]
fn a_node_that_was_replaced_within_a_gap_is_there() {
    let mut house = House::new(vec![interest("nodes", "v1", "Node")]);
    house.events(Seen::Present, &node("first", "1"));
    house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
    house.events(Seen::Snapshot, &node("second", "5"));
    house.router.end_gap("scope", Timestamp::from_millis(9), &mut |_| None).unwrap();
    assert!(house.router.knows_partition("Node/node-1"));
    house.see(Seen::Deleted, &node("second", "6"));
    assert!(!house.router.knows_partition("Node/node-1"));
}

#[test]
fn what_another_stream_shows_during_a_comparison_has_not_vanished() {
    let mut house = House::new(vec![interest("nodes", "v1", "Node")]);
    house.events(Seen::Present, &node("first", "1"));
    house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
    assert_eq!(house.see(Seen::Snapshot, &node("first", "1")), Routing::Repeated);
    let object = decode(&node("first", "2").to_string(), &house.router.wanted()).unwrap();
    let time = Timestamp::from_millis(8);
    let other = Observation { time, seen: Seen::Present, object: object.into(), digest: 0 };
    house.router.route("another", other);
    let end = house.router.end_gap("scope", Timestamp::from_millis(9), &mut |_| None).unwrap();
    assert_eq!(end.routed, []);
}

#[test]
fn a_list_of_one_stream_says_nothing_about_the_objects_of_another() {
    let in_namespace = |namespace: &str, name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"uid": format!("u-{name}"),
            "name": name, "namespace": namespace, "resourceVersion": "1"}})
    };
    let covers = |namespace: Option<&str>| Coverage {
        group: String::new(),
        kind: "Pod".to_owned(),
        namespace: namespace.map(str::to_owned),
    };
    let gone = |coverage: Option<Coverage>| {
        let mut house = House::new(vec![interest("pods", "v1", "Pod")]);
        for (scope, namespace, name) in [
            ("scope", "a", "stays"),
            ("scope", "a", "goes"),
            ("another", "a", "of-another"),
            ("another", "b", "elsewhere"),
            ("another", "a", "of-both"),
            ("scope", "a", "of-both"),
        ] {
            house.see_in(scope, Seen::Present, &in_namespace(namespace, name));
        }
        house.begin_gap(Timestamp::from_millis(0), GapEffect::Marked);
        house.see(Seen::Snapshot, &in_namespace("a", "stays"));
        if let Some(coverage) = coverage {
            house.router.cover("scope", coverage);
        }
        let end = house.router.end_gap("scope", Timestamp::from_millis(9), &mut |_| None).unwrap();
        let gone = end.routed.iter().map(|(_, event)| event.object.meta.identity.name.clone());
        (gone.collect::<Vec<_>>(), end.gap.namespace)
    };
    let of_the_stream = ["goes", "of-both"].map(str::to_owned).to_vec();
    assert_eq!(gone(None), (of_the_stream.clone(), None));
    assert_eq!(gone(Some(covers(None))), (of_the_stream, None));
    // A stream that says that it is about a namespace is about all objects there.
    let of_the_namespace = ["goes", "of-another", "of-both"].map(str::to_owned).to_vec();
    assert_eq!(gone(Some(covers(Some("a")))), (of_the_namespace, Some("a".to_owned())));
}

#[test]
fn after_a_change_of_history_an_old_end_says_nothing() {
    let mut house = House::new(vec![interest("nodes", "v1", "Node")]);
    house.events(Seen::Present, &node("first", "1"));
    house.see(Seen::Deleted, &node("first", "50"));
    assert_eq!(house.see(Seen::Present, &node("first", "20")), Routing::Repeated);
    house.router.begin_epoch();
    assert_eq!(house.changes(Seen::Present, &node("first", "20")), ["added Node/node-1"]);
}

#[test]
fn kubernetes_events_are_asked_for_in_one_form() {
    let mut asks = interest("events", "events.k8s.io/v1", "Event");
    asks.fields = vec!["$.note".to_owned()];
    let origin = Origin { cluster: "c".to_owned(), source: "s".to_owned() };
    let mut router = Router::new(origin);
    let refused = router.add_rule("rule".into(), &manifest(vec![asks]), &Narrowing::new());
    let why = refused.unwrap_err().to_string();
    assert!(
        why.contains("hint: ask for fields and field selectors with the API version v1"),
        "{why}"
    );
}

/// Returns `kind labels fields namespaces metadata_only` of each need.
fn needs(interests: Vec<Interest>) -> Vec<String> {
    let house = House::new(interests);
    let needs = house.router.needs().into_iter();
    needs
        .map(|need| {
            format!(
                "{} [{}] [{}] {:?} {}",
                need.kind,
                need.label_selector,
                need.field_selector,
                need.namespaces,
                need.metadata_only
            )
        })
        .collect()
}

#[test]
fn a_watch_is_as_wide_as_the_widest_interest() {
    let selected = |labels: &str, fields: &str, namespaces: &[&str]| Interest {
        label_selector: labels.to_owned(),
        field_selector: fields.to_owned(),
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        ..interest("pods", "v1", "Pod")
    };
    let one = selected("app=a", "spec.nodeName=n", &["y", "x"]);
    assert_eq!(
        needs(vec![one.clone()]),
        ["Pod [app=a] [spec.nodeName=n] Some([\"x\", \"y\"]) false"]
    );
    assert_eq!(
        needs(vec![one.clone(), selected("app=b", "", &["z"])]),
        ["Pod [] [] Some([\"x\", \"y\", \"z\"]) false"]
    );
    assert_eq!(needs(vec![one, selected("app=a", "", &[])]), ["Pod [app=a] [] None false"]);
    // The server does not support this field selector.
    assert_eq!(needs(vec![selected("", "spec.dnsPolicy=None", &[])]), ["Pod [] [] None false"]);
    let both = [interest("a", "v1", "Event"), interest("b", "events.k8s.io/v1", "Event")];
    assert_eq!(needs(both.to_vec()), ["Event [] [] None false"]);
    assert_eq!(needs(vec![interest("a", "v1", "Secret")]), ["Secret [] [] None true"]);
}
