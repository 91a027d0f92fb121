//! The table of alarms, row by row, on constructed Kubernetes Events.

use klaxon_sdk::Duration;
use klaxon_sdk::testing::{NEW_YEAR, Scene, kubernetes_event};

use super::Eventarbiter;

fn scene(settings: &str) -> Scene<Eventarbiter> {
    Scene::new(settings).unwrap()
}

fn alarms(kind: &str, reason: &str, message: &str) -> String {
    let event = kubernetes_event(reason, kind, "shop", "it").message(message).event();
    scene("{}").codes(&event).join(" ")
}

#[test]
fn the_table_row_by_row() {
    for (alarm, kind, reason) in [
        ("node_notready", "Node", "NodeNotReady"),
        ("node_notschedulable", "Node", "NodeNotSchedulable"),
        ("node_systemoom", "Node", "SystemOOM"),
        ("node_rebooted", "Node", "Rebooted"),
        ("pod_backoff", "Pod", "BackOff"),
        ("pod_failed", "Pod", "Failed"),
        ("pod_failedsync", "Pod", "FailedSync"),
        ("pod_unhealthy", "Pod", "Unhealthy"),
        ("npd_oomkilling", "Node", "OOMKilling"),
        ("npd_taskhung", "Node", "TaskHung"),
    ] {
        assert_eq!(alarms(kind, reason, "any"), alarm);
        assert_eq!(alarms(&kind.to_lowercase(), reason, "any"), alarm, "the kind's case");
        assert_eq!(alarms(kind, &reason.to_lowercase(), "any"), "", "the reason is exact");
        let other = if kind == "Pod" { "Node" } else { "Pod" };
        assert_eq!(alarms(other, reason, "any"), "", "{reason} of another kind");
    }
}

#[test]
fn a_schedulers_message_says_which_resource_is_short() {
    let of = |message| alarms("Pod", "FailedScheduling", message);
    assert_eq!(of("0/3 nodes are available: 3 Insufficient cpu."), "pod_insufficientcpu");
    assert_eq!(of("0/3 nodes are available: 3 Insufficient memory."), "pod_insufficientmemory");
    assert_eq!(
        of("1 Insufficient memory, 2 Insufficient cpu"),
        "pod_insufficientcpu pod_insufficientmemory"
    );
    assert_eq!(of("fit failure on node (n1): INSUFFICIENT CPU"), "pod_insufficientcpu");
    assert_eq!(
        of("3 Insufficient CPU, 1 insufficient Memory"),
        "pod_insufficientcpu pod_insufficientmemory"
    );
    assert_eq!(of("0/3 nodes are available"), "pod_failedscheduling");
}

#[test]
fn payloads_are_eventarbiters_own() {
    let settings = r#"{"environment":"cluster = prod,zone=a=b"}"#;
    let body = |event| scene(settings).evaluate(&event).unwrap().verdicts.remove(0).payload;
    let pod =
        kubernetes_event("BackOff", "pod", "shop", "web-1").message("Back-off").host("node-1");
    assert_eq!(
        body(pod.event()),
        r#"{"kind":"POD","name":"web-1","namespace":"shop","host":"node-1","reason":"BackOff","last_timestamp":"2026-01-01T00:00:00Z","message":"Back-off","environment":{"cluster":"prod","zone":"a=b"}}"#
    );
    let node = kubernetes_event("Rebooted", "Node", "default", "node-1").host("node-1");
    assert_eq!(
        body(node.event()),
        r#"{"kind":"NODE","name":"node-1","namespace":"default","reason":"Rebooted","last_timestamp":"2026-01-01T00:00:00Z","message":"","environment":{"cluster":"prod","zone":"a=b"}}"#
    );
}

#[test]
fn a_long_message_of_the_scheduler_is_cut_at_a_character() {
    let payload = |reason: &str, message: &str| {
        let event = kubernetes_event(reason, "Pod", "shop", "web-1").message(message).event();
        scene("{}").evaluate(&event).unwrap().verdicts.remove(0).payload
    };
    let message = format!("a{}", "ä".repeat(300));
    let cut = payload("FailedScheduling", &message);
    assert!(cut.contains(&format!("\"a{}\"", "ä".repeat(255))), "511 bytes: {cut}");
    assert!(payload("Failed", &message).contains(&message), "others are whole");
    let exact = "a".repeat(512);
    assert!(payload("FailedScheduling", &exact).contains(&exact));
}

#[test]
fn the_original_form_is_that_of_version_1_2_0() {
    let original = r#"{"payload":"original"}"#;
    let answer = |settings: &str, event| scene(settings).evaluate(&event).unwrap().verdicts;
    let pod =
        || kubernetes_event("BackOff", "pod", "shop", "web-1").message("Back-off").host("node-1");
    assert_eq!(
        answer(original, pod().event())[0].payload,
        r#"{"kind":"POD","name":"web-1","namespace":"shop","host":"node-1","reason":"BackOff","last_timestamp":"2026-01-01 00:00:00 +0000 UTC","message":"Back-off","environment":null}"#
    );
    let node = kubernetes_event("Rebooted", "Node", "default", "node-1").host("node-1");
    let with_environment = r#"{"payload":"original","environment":"zone=a"}"#;
    assert_eq!(
        answer(with_environment, node.event())[0].payload,
        r#"{"kind":"NODE","name":"node-1","namespace":"default","reason":"Rebooted","last_timestamp":"2026-01-01 00:00:00 +0000 UTC","message":"","environment":{"zone":"a"}}"#
    );
    let newer = pod()
        .with(|_, kubernetes_event| kubernetes_event.action = Some("Scheduling".to_owned()))
        .event();
    let no_time = pod().with(|_, kubernetes_event| kubernetes_event.last_at = None).event();
    for event in [newer, no_time] {
        let payload = &answer(original, event)[0].payload;
        assert!(payload.contains(r#""last_timestamp":"0001-01-01 00:00:00 +0000 UTC""#));
    }
}

#[test]
fn the_original_form_of_the_schedulers_alarms() {
    let original = r#"{"payload":"original"}"#;
    let message = format!("Insufficient CPU and Insufficient memory {}", "ä".repeat(300));
    let event =
        kubernetes_event("FailedScheduling", "Pod", "shop", "web-1").message(&message).host("n1");
    let verdicts = scene(original).evaluate(&event.event()).unwrap().verdicts;
    let codes: Vec<&str> = verdicts.iter().map(|verdict| verdict.code.as_str()).collect();
    assert_eq!(codes, ["pod_insufficentcpu", "pod_insufficientmemory"]);
    let payload = &verdicts[0].payload;
    assert!(payload.contains(r#""host":"""#), "{payload}");
    let cut = format!("{}\"", "ä".repeat(107));
    assert!(payload.contains(&cut), "41 + 214 bytes: {payload}");
    assert!(!payload.contains(&"ä".repeat(108)), "{payload}");
}

#[test]
fn only_an_increase_is_an_alarm() {
    let seen = |count, delta| {
        let event = kubernetes_event("BackOff", "Pod", "shop", "web-1").count(count, delta).event();
        scene("{}").codes(&event).len()
    };
    assert_eq!((seen(5, 0), seen(5, 4)), (0, 1));
}

#[test]
fn alarms_can_be_left_out() {
    let left = |settings: &str, reason: &str, message: &str| {
        let event = kubernetes_event(reason, "Pod", "shop", "web-1").message(message).event();
        scene(settings).codes(&event).join(" ")
    };
    let text = r#"{"event_filter":" pod_unhealthy , pod_failed "}"#;
    assert_eq!(left(text, "Unhealthy", ""), "");
    assert_eq!(left(text, "Failed", ""), "");
    assert_eq!(left(text, "FailedSync", ""), "pod_failedsync");
    let list = r#"{"event_filter":["pod_insufficientcpu"]}"#;
    let both = "1 Insufficient cpu, 1 Insufficient memory";
    assert_eq!(left(list, "FailedScheduling", both), "pod_insufficientmemory");
    let misspelled = r#"{"event_filter":"pod_insufficentcpu"}"#;
    assert_eq!(left(misspelled, "FailedScheduling", both), "pod_insufficientmemory");
    let all = r#"{"event_filter":"pod_failedscheduling"}"#;
    assert_eq!(left(all, "FailedScheduling", both), "", "eventarbiter knew one alarm only");
}

#[test]
fn repeat_quiets_an_alarm_about_one_object() {
    let mut scene = scene(r#"{"repeat":"10m"}"#);
    let at = |time| kubernetes_event("FailedScheduling", "Pod", "shop", "web-1").at(time).event();
    assert_eq!(scene.codes(&at(NEW_YEAR)), ["pod_failedscheduling"]);
    scene.forget(r#"{"repeat":"10m"}"#).unwrap();
    assert!(scene.codes(&at(NEW_YEAR + Duration::minutes(10) - Duration::millis(1))).is_empty());
    let other = kubernetes_event("Failed", "Pod", "shop", "web-1")
        .at(NEW_YEAR + Duration::millis(1))
        .event();
    assert_eq!(scene.codes(&other), ["pod_failed"]);
    assert_eq!(scene.codes(&at(NEW_YEAR + Duration::minutes(10))), ["pod_failedscheduling"]);
}

#[test]
fn settings_are_checked() {
    let problem = |settings: &str| Scene::<Eventarbiter>::new(settings).err().unwrap();
    let unknown = problem(r#"{"event_filter":"pod_unhealty"}"#);
    assert_eq!(unknown.path, "/event_filter");
    assert!(unknown.message.contains("pod_unhealthy"), "{}", unknown.message);
    assert_eq!(problem(r#"{"environment":"prod"}"#).path, "/environment");
    assert_eq!(problem(r#"{"repeat":"often"}"#).path, "/repeat");
    assert_eq!(problem(r#"{"payload":"raw"}"#).path, "/payload");
}
