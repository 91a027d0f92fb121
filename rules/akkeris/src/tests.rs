//! The table of codes, row by row, on constructed pods and deployments.

use klaxon_sdk::prelude::*;
use klaxon_sdk::testing::{
    ContainerBuilder, NEW_YEAR, PodBuilder, Scene, WorkloadBuilder, condition, container,
    deployment, pod,
};

use super::Akkeris;

const MINUTE: Duration = Duration::minutes(1);

fn scene(settings: &str) -> Scene<Akkeris> {
    Scene::new(settings).unwrap()
}

fn web() -> PodBuilder {
    pod("thespace", "testapp-1").label("akkeris.io/app-name", "testapp")
}

fn codes(settings: &str, event: &Event) -> Vec<String> {
    scene(settings).codes(event)
}

#[track_caller]
fn says(containers: &[ContainerBuilder], compatible: &str, extended: &str) {
    let event = containers.iter().cloned().fold(web(), PodBuilder::container).event();
    assert_eq!(codes("{}", &event).concat(), compatible, "compatible mode");
    assert_eq!(codes(r#"{"extended":true}"#, &event).concat(), extended, "extended mode");
}

#[test]
fn the_table_row_by_row() {
    let app = || container("app");
    says(&[app().terminated("OOMKilled", 137)], "R14", "R14");
    says(&[app().terminated("Error", 1)], "H10", "H10");
    for explained in [0, 126, 127, 130, 143, 15, 137] {
        says(&[app().terminated("Error", explained)], "", "");
    }
    says(&[app().waiting("CrashLoopBackOff").last_terminated("Error", 137, None)], "H10", "H10");
    says(
        &[app().waiting("CrashLoopBackOff").last_terminated("OOMKilled", 137, None)],
        "H10",
        "H10",
    );
    says(&[app().waiting("CrashLoopBackOff").last_terminated("Error", 143, None)], "", "");
    says(&[app().terminated("ContainerCannotRun", 127)], "H9", "H9");
    says(
        &[app().waiting("CrashLoopBackOff").last_terminated("ContainerCannotRun", 127, None)],
        "H9",
        "H9",
    );
    says(&[app().terminated("StartError", 128)], "", "H9");
    says(&[app().terminated("Completed", 0)], "H8", "H8");
    says(&[app().waiting("ImagePullBackOff")], "H99", "H99");
    says(&[app().waiting("ErrImagePull")], "H99", "H99");
    for reason in ["CreateContainerConfigError", "InvalidImageName", "RunContainerError"] {
        says(&[app().waiting(reason)], "", "H0");
    }
    says(&[app()], "", "");
    says(&[], "", "");
}

#[test]
fn the_first_match_wins_over_all_containers() {
    says(
        &[container("a").terminated("Completed", 0), container("b").terminated("OOMKilled", 137)],
        "R14",
        "R14",
    );
}

#[test]
fn init_and_sidecar_containers_count_in_the_extended_mode_only() {
    let init = |kind| container("migrate").kind(kind);
    says(&[init(ContainerKind::Init).terminated("Error", 1)], "", "H10");
    says(&[init(ContainerKind::Sidecar).waiting("ErrImagePull")], "", "H99");
    says(&[init(ContainerKind::Init).terminated("Completed", 0)], "", "");
    says(&[init(ContainerKind::Ephemeral).terminated("Error", 1)], "", "");
}

#[test]
fn an_unschedulable_pod_is_h98_with_no_restarts() {
    let unschedulable = condition(
        "PodScheduled",
        ConditionStatus::IsFalse,
        "Unschedulable",
        "0/3 nodes are available",
    );
    let restarted = container("app").restarts(3);
    let event =
        web().phase(PodPhase::Pending).condition(unschedulable).container(restarted).event();
    let outcome = scene("{}").evaluate(&event).unwrap();
    assert_eq!(outcome.verdicts[0].code, "H98");
    assert!(outcome.verdicts[0].payload.contains(r#""restarts":0"#));
    let gated = condition("PodScheduled", ConditionStatus::IsFalse, "SchedulingGated", "gated");
    let event = web().phase(PodPhase::Pending).condition(gated).event();
    assert!(codes("{}", &event).is_empty());
}

#[test]
fn restarts_are_the_sum_over_the_app_containers_in_both_modes() {
    let crash = web()
        .container(container("app").terminated("Error", 1).restarts(3))
        .container(container("log").restarts(2))
        .container(container("migrate").kind(ContainerKind::Init).restarts(7))
        .event();
    for settings in ["{}", r#"{"extended":true}"#] {
        let payload = scene(settings).evaluate(&crash).unwrap().verdicts.remove(0).payload;
        assert!(payload.contains(r#""restarts":5"#), "{payload}");
    }
}

#[test]
fn an_empty_label_counts_as_absent() {
    let late = |pod: PodBuilder| {
        pod.container(container("app").running(NEW_YEAR, false)).at(NEW_YEAR + MINUTE).event()
    };
    let no_app = pod("thespace", "testapp-1").label("akkeris.io/app-name", "");
    assert!(codes("{}", &late(no_app)).is_empty());
    let no_type = web().label("akkeris.io/dyno-type", "");
    assert_eq!(codes("{}", &late(no_type)), ["H20"], "web is the default");
    let by_name = pod("thespace", "testapp--cron-1")
        .label("akkeris.io/app-name", "testapp")
        .label("akkeris.io/dyno-type", "");
    assert!(codes("{}", &late(by_name)).is_empty(), "the name says cron");
    assert!(codes("{}", &release("").event()).is_empty());
    let no_dyno = release("1111").label("akkeris.io/dyno-type", "").event();
    let payload = scene("{}").evaluate(&no_dyno).unwrap().verdicts.remove(0).payload;
    assert!(payload.contains(r#""dyno":{}"#), "{payload}");
}

#[test]
fn others_and_stops_on_purpose_say_nothing() {
    let crash = || container("app").terminated("Error", 1);
    let stranger = pod("thespace", "stranger").container(crash()).event();
    assert!(codes("{}", &stranger).is_empty());
    let stopping = web().container(crash()).terminating(NEW_YEAR).event();
    let outcome = scene("{}").evaluate(&stopping).unwrap();
    assert!(outcome.verdicts.is_empty());
    assert_eq!(outcome.cancels, ["boot"]);
}

#[test]
fn a_web_pod_that_is_not_ready_is_woken_a_minute_after_its_start() {
    let starting = || web().container(container("app").running(NEW_YEAR, false));
    let mut scene = scene("{}");
    let outcome =
        scene.evaluate(&starting().at(NEW_YEAR + Duration::millis(1500)).event()).unwrap();
    assert!(outcome.verdicts.is_empty());
    assert_eq!(
        (outcome.timers[0].key.as_str(), outcome.timers[0].at()),
        ("boot", NEW_YEAR + MINUTE)
    );

    let woken = starting().at(NEW_YEAR + MINUTE).with(|event| event.change = Change::Timer).event();
    assert_eq!(scene.codes(&woken), ["H20"]);

    let ready = web().container(container("app").running(NEW_YEAR, true)).event();
    assert_eq!(scene.evaluate(&ready).unwrap().cancels, ["boot"]);
}

#[test]
fn only_web_dynos_have_a_boot_limit() {
    let late = |pod: PodBuilder| {
        let event =
            pod.container(container("app").running(NEW_YEAR, false)).at(NEW_YEAR + MINUTE).event();
        codes("{}", &event)
    };
    assert_eq!(late(web()), ["H20"]);
    assert!(late(web().label("akkeris.io/dyno-type", "worker")).is_empty());
    let by_name = pod("thespace", "testapp--cron-1").label("akkeris.io/app-name", "testapp");
    assert!(late(by_name).is_empty());
}

#[test]
fn a_pod_is_reported_once_per_code_until_the_repeat_is_over() {
    let crash = |time| web().container(container("app").terminated("Error", 1)).at(time).event();
    let killed =
        |time| web().container(container("app").terminated("OOMKilled", 137)).at(time).event();
    let mut scene = scene("{}");
    assert_eq!(scene.codes(&crash(NEW_YEAR)), ["H10"]);
    scene.forget("{}").unwrap();
    assert!(scene.codes(&crash(NEW_YEAR + Duration::minutes(30) - Duration::millis(1))).is_empty());
    assert_eq!(scene.codes(&killed(NEW_YEAR + Duration::millis(1))), ["R14"]);
    assert_eq!(scene.codes(&crash(NEW_YEAR + Duration::minutes(30))), ["H10"]);
}

#[test]
fn an_end_that_nobody_saw_counts_after_a_gap_and_only_once() {
    let running = |gap: bool, finished_at| {
        web()
            .container(container("app").running(NEW_YEAR, true).last_terminated(
                "OOMKilled",
                137,
                Some(finished_at),
            ))
            .at(NEW_YEAR + Duration::minutes(60))
            .with(move |event| event.gap = gap)
            .event()
    };
    let mut scene = scene("{}");
    assert!(scene.codes(&running(false, NEW_YEAR)).is_empty());
    assert_eq!(scene.codes(&running(true, NEW_YEAR)), ["R14"]);
    let seen_again = PodBuilder::at(
        web().container(container("app").running(NEW_YEAR, true).last_terminated(
            "OOMKilled",
            137,
            Some(NEW_YEAR),
        )),
        NEW_YEAR + Duration::minutes(600),
    )
    .with(|event| event.gap = true)
    .event();
    assert!(scene.codes(&seen_again).is_empty());
}

fn release(uuid: &str) -> WorkloadBuilder {
    release_of("testapp", uuid)
}

/// Returns a fully rolled out deployment of the app.
fn release_of(deployment_name: &str, uuid: &str) -> WorkloadBuilder {
    deployment("thespace", deployment_name, 2)
        .label("akkeris.io/app-name", "testapp")
        .label("akkeris.io/release-uuid", uuid)
        .image("registry.example.com/repo/testapp:1")
        .condition(condition(
            "Progressing",
            ConditionStatus::IsTrue,
            "NewReplicaSetAvailable",
            "done",
        ))
}

/// Returns the same deployment, as found when the rule is new.
fn existing(deployment_name: &str, uuid: &str) -> WorkloadBuilder {
    release_of(deployment_name, uuid).with(|event, _| event.change = Change::Snapshot)
}

/// Checks for each deployment in turn that it reports its release, or does not.
#[track_caller]
fn reports(scene: &mut Scene<Akkeris>, steps: &[(&str, &str, bool)]) {
    for (n, (deployment_name, uuid, is_reported)) in steps.iter().enumerate() {
        let codes = scene.codes(&release_of(deployment_name, uuid).event());
        assert_eq!(codes == ["released"], *is_reported, "step {n}: {deployment_name} at {uuid}");
        scene.forget("{}").unwrap();
    }
}

#[test]
fn a_release_is_reported_once_with_its_image() {
    let mut scene = scene("{}");
    let outcome = scene.evaluate(&release("1111").event()).unwrap();
    assert_eq!(
        outcome.verdicts[0].payload,
        r#"{"app":{"name":"testapp"},"space":{"name":"thespace"},"dyno":{},"release":{"id":"1111"},"key":"testapp-thespace","action":"released","slug":{"image":"registry.example.com/repo/testapp:1"},"released_at":"2026-01-01T00:00:00.000Z"}"#
    );
    assert!(scene.codes(&release("1111").event()).is_empty());
    let worker = release("2222").label("akkeris.io/dyno-type", "worker").event();
    let outcome = scene.evaluate(&worker).unwrap();
    assert!(outcome.verdicts[0].payload.contains(r#""dyno":{"type":"worker"}"#));
}

#[test]
fn a_roll_back_is_reported() {
    reports(
        &mut scene("{}"),
        &[("web", "a", true), ("web", "b", true), ("web", "b", false), ("web", "a", true)],
    );
}

#[test]
fn the_deployments_of_one_release_report_it_once() {
    reports(
        &mut scene("{}"),
        &[
            ("web", "a", true),
            ("worker", "a", false),
            ("worker", "b", true),
            ("web", "b", false),
            ("web", "a", true),
            ("worker", "a", false),
        ],
    );
}

#[test]
fn a_deployment_that_stays_on_an_old_release_reports_nothing() {
    reports(
        &mut scene("{}"),
        &[
            ("web", "a", true),
            ("cron", "a", false),
            ("web", "b", true),
            ("cron", "a", false),
            ("web", "b", false),
            ("cron", "a", false),
            ("web", "a", true),
            ("cron", "a", false),
        ],
    );
}

#[test]
fn a_rollout_that_never_finished_leaves_the_release_before_it() {
    let mut scene = scene("{}");
    reports(&mut scene, &[("web", "a", true)]);
    let failed = release_of("web", "b").with(|_, workload| workload.updated = 1).event();
    assert!(scene.codes(&failed).is_empty());
    reports(&mut scene, &[("web", "a", false)]);
}

#[test]
fn a_release_waits_for_its_own_status() {
    let stale = release("1").with(|event, _| event.object.generation = 2).event();
    let rolling = release("1").with(|_, workload| workload.updated = 1).event();
    let old = release("1").at(NEW_YEAR + Duration::minutes(61)).event();
    for event in [stale, rolling, old] {
        assert!(codes("{}", &event).is_empty());
    }
}

#[test]
fn releases_that_existed_are_learnt_whatever_their_rollout() {
    let mut scene = scene("{}");
    let rolling = existing("web", "b").with(|_, workload| workload.updated = 1).event();
    for event in [rolling, existing("cron", "a").event()] {
        assert!(scene.codes(&event).is_empty());
    }
    reports(
        &mut scene,
        &[
            ("web", "b", false),
            ("cron", "a", false),
            // These deployments are new, but their release is not.
            ("worker", "b", false),
            ("clock", "a", false),
            // A rollback to a learnt release is a release.
            ("web", "a", true),
            ("web", "c", true),
        ],
    );
}

#[test]
fn two_hundred_deployments_of_an_app_are_remembered() {
    let mut scene = scene("{}");
    for n in 0..=200 {
        assert!(scene.codes(&existing(&format!("web-{n}"), "a").event()).is_empty());
    }
    reports(&mut scene, &[("new", "b", true), ("web-200", "a", false), ("web-2", "a", false)]);
    // The oldest deployments were forgotten, so their release looks new.
    reports(&mut scene, &[("web-0", "a", true)]);
}

#[test]
fn settings_are_checked() {
    assert!(Scene::<Akkeris>::new(r#"{"repeat":"1h","extended":true}"#).is_ok());
    let problem = Scene::<Akkeris>::new(r#"{"repeat":"often"}"#).err().unwrap();
    assert_eq!(problem.path, "/repeat");
}
