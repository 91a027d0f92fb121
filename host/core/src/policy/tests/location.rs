//! Tests of an incident's location, and of the properties it has in common with others.

use super::*;
use crate::policy::inhibition::index::{Inhibitors, location};
use klaxon_model::{KubernetesEvent, ObjectRef};

fn at(object: Object) -> klaxon_model::IncidentLocation {
    let mut verdict = verdict("v", "web/R14 a", Status::Firing, second(0));
    let event = Event::clone(verdict.event.as_ref().unwrap());
    verdict.event = Some(Arc::new(Event { object: Arc::new(object), ..event }));
    location(&verdict)
}

/// Returns a Kubernetes Event about an object.
fn kubernetes_event(text: &str, host: &str) -> Object {
    let regarding = ObjectRef { identity: object(text).meta.identity, part: None };
    let source_host = Some(host.to_owned());
    let kubernetes_event = KubernetesEvent { regarding, source_host, ..KubernetesEvent::default() };
    Object { subject: Subject::KubernetesEvent(kubernetes_event), ..object("Event/e") }
}

#[test]
fn a_kubernetes_event_is_where_its_object_is() {
    assert_eq!(at(kubernetes_event("Pod/a", "n1")), at(object("Pod/a on n1")));
    assert_eq!(at(kubernetes_event("Node/n1", "elsewhere")), at(object("Node/n1")));
}

#[test]
fn a_namespace_is_in_itself() {
    let location = at(object("Namespace/shop"));
    assert_eq!((location.namespace.as_str(), location.node.as_str()), ("shop", ""));
}

#[test]
fn what_two_locations_have_in_common() {
    let cases = [
        ("Pod/a on n1", "Pod/a on n1", "object node namespace"),
        ("Node/n1", "Pod/a on n1", "object node"),
        ("Pod/a on n1", "Node/n1", "node"),
        ("Pod/a on n1", "Pod/b on n1", "node namespace"),
        ("Pod/a", "Pod/b", "namespace"),
        ("Namespace/shop", "Pod/a on n1", "namespace"),
        ("Node/n1", "Node/n2", ""),
        ("Node/n1", "Pod/a", ""),
    ];
    for (inhibits, inhibited, common) in cases {
        let mut inhibitors = Inhibitors::new(vec![vec![0]]);
        inhibitors.open(0, "k", &at(object(inhibits)));
        let equals =
            [(Equal::Object, "object"), (Equal::Node, "node"), (Equal::Namespace, "namespace")];
        let location = at(object(inhibited));
        let found: Vec<&str> = equals
            .into_iter()
            .filter(|(equal, _)| inhibitors.inhibits(0, *equal, "other", &location))
            .map(|(_, name)| name)
            .collect();
        assert_eq!(found.join(" "), common, "{inhibits} and {inhibited}");
        assert!(inhibitors.inhibits(0, Equal::Cluster, "other", &location));
        assert!(inhibitors.inhibits(0, Equal::Key, "k", &location));
        assert!(!inhibitors.inhibits(0, Equal::Key, "other", &location));
    }
}

#[test]
fn a_timer_without_its_object_changes_no_location() {
    let entry = inhibitor("nodes/NotReady", Equal::Object);
    let policy = Policy { repeat: Some(seconds(1)), ..inhibited_by(vec![entry]) };
    let mut play = Play::new(&[("nodes", Policy::default()), ("web", policy)]);
    play.fires(0, "web/R14 a", "a", &["a"]);
    let down = verdict("down", "nodes/NotReady n1", Status::Firing, second(1));
    play.say(about(down, "Node/n1"), "down", &["down"]);
    let timer = verdict("timer", "web/R14 a", Status::Firing, second(2));
    play.say(about(timer, "Pod/a"), "timer", &[]);
}
