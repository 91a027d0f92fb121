//! The service is killed at random moments, again and again, while a cluster changes and a receiver
//! misbehaves; then everything that was promised is judged. `cargo xtask torture` says how often.

mod generator;
mod judge;
mod planted;

use std::env;
use std::process::Child;
use std::str::FromStr;
use std::time::Duration;

use klaxon::model::clock::{self, Stopwatch};
use kube::Client;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::account;
use crate::plane::{Part, Plane};
use crate::receiver::Receiver;
use crate::storm::spawn_with;
use crate::support::live::Site;
use crate::support::module;
use generator::Generator;

/// The form that every change must pass.
const CYCLES: u64 = 25;
const EVENTS: u64 = 6_000;
/// Every so many kills the API server is killed too.
const SERVER_EVERY: u64 = 5;
/// Of a thousand deliveries so many go wrong at the receiver.
const TROUBLES: u32 = 15;
/// How long a fuse burns: longer than most downtimes, so that many are burning at a kill.
const BURNS_MS: i64 = 3_000;
/// About two milliseconds of work.
const SLOW: u32 = 1_000_000;
/// Longest time between the first change of a cycle and its kill, in milliseconds.
const LONGEST: u64 = 2_000;

/// What is asked for; the seed decides what is random.
#[derive(Clone, Copy)]
struct Plan {
    cycles: u64,
    events: u64,
    seed: u64,
}

impl Plan {
    fn of_environment() -> Self {
        let cycles = number("KLAXON_TORTURE_CYCLES").unwrap_or(CYCLES);
        let events = number("KLAXON_TORTURE_EVENTS").unwrap_or(EVENTS);
        let seed = number("KLAXON_TORTURE_SEED").unwrap_or_else(rand::random);
        Self { cycles, events, seed }
    }
}

fn number<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; mend: a whole number")))
}

/// A pod that was gone while the service was down, and from when on nothing may be said of its fuse.
struct Cut {
    uid: String,
    since: i64,
}

/// What was done.
#[derive(Default)]
struct Deeds {
    kills: u64,
    server_kills: u64,
    cuts: Vec<Cut>,
    seconds: u64,
}

fn site(plane: &Plane, receiver: &Receiver) -> Site {
    let kubeconfig = plane.kubeconfig().to_owned();
    let rule = |name: &str, module_name: &str, settings: Value| json!({"name": name, "module": module(module_name), "settings": settings, "targets": [name]});
    let rules = vec![
        rule("witness", "witness", json!({})),
        rule("counter", "counter", json!({})),
        rule("slow", "counter", json!({ "work": SLOW })),
        rule("fuse", "fuse", json!({ "burns_ms": BURNS_MS })),
    ];
    let target = |name| json!({"webhook": {"url": receiver.url(name), "allow": ["loopback"]}});
    let targets = json!({
        "witness": target("witness"),
        "counter": target("counter"),
        "slow": target("slow"),
        "fuse": target("fuse"),
    });
    let mut site = Site::new(|_| kubeconfig).rules(rules).targets(targets);
    site.kubernetes("event_ttl", json!("6h"));
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_random_moments_the_service_keeps_its_promises() {
    let plan = Plan::of_environment();
    eprintln!("torture: {} cycles, {} changes, seed {}", plan.cycles, plan.events, plan.seed);
    let since = Stopwatch::start();
    let mut plane = Plane::start_with(&[Part::Etcd, Part::ApiServer], &["--event-ttl=6h"]).await;
    let client = plane.client().await;
    let receiver = Receiver::start(plan.seed, TROUBLES).await;
    let mut site = site(&plane, &receiver);
    // What went wrong is looked for in the journal and the log.
    site.folder.disable_cleanup(true);
    eprintln!("torture: a run that fails leaves {}", site.folder.path().display());
    generator::first_pods(&client).await;
    let service = spawn_with(&site, 2);
    site.wait_until_following(&["Pod", "Event"]);

    let generator = Generator::start(&client, plan.seed);
    let scene = Scene { plan, client: &client, site: &site, receiver: &receiver, generator };
    let (mut service, mut deeds) = scene.kill_again_and_again(service, &mut plane).await;
    let made = scene.generator.end().await;
    let last = account::final_versions(&client).await;
    account::wait_until_all_arrived(&site, &last);
    account::wait_while_it_goes_on(&site, "every wake and every delivery", || {
        let left = "SELECT (SELECT count(*) FROM wakes) + \
                    (SELECT count(*) FROM deliveries WHERE state = 'pending')";
        site.rows(left) == ["0"]
    });
    service.kill().unwrap();
    service.wait().unwrap();
    deeds.seconds = since.elapsed().as_secs();
    judge::judge(&site, plan, &deeds, &made, &last, &receiver.taken()).print();
    site.folder.disable_cleanup(env::var_os("KLAXON_TORTURE_KEEP").is_some());
}

/// Who takes part.
struct Scene<'a> {
    plan: Plan,
    client: &'a Client,
    site: &'a Site,
    receiver: &'a Receiver,
    generator: Generator,
}

impl Scene<'_> {
    /// Kills the service as often as planned, each time in the midst of changes.
    async fn kill_again_and_again(&self, mut service: Child, plane: &mut Plane) -> (Child, Deeds) {
        let Plan { cycles, events, seed } = self.plan;
        let mut random = StdRng::seed_from_u64(seed);
        let mut deeds = Deeds::default();
        for cycle in 1..=cycles {
            self.generator.allow(events * cycle / cycles - events * (cycle - 1) / cycles);
            // The moment is what is tested: nothing is waited for here.
            tokio::time::sleep(Duration::from_millis(random.random_range(20..LONGEST))).await;
            service.kill().unwrap();
            service.wait().unwrap();
            deeds.kills += 1;
            if cycle.is_multiple_of(SERVER_EVERY) {
                plane.kill(Part::ApiServer);
                plane.restart(Part::ApiServer).await;
                deeds.server_kills += 1;
            }
            let cut = self.generator.cut_fuses().await;
            let since = clock::now().as_millis();
            deeds.cuts.extend(cut.into_iter().map(|uid| Cut { uid, since }));
            service = spawn_with(self.site, 2);
            self.between(cycle).await;
        }
        (service, deeds)
    }

    /// What is waited for until the next cycle begins.
    async fn between(&self, cycle: u64) {
        let Plan { cycles, events, .. } = self.plan;
        // So that the last kill, too, finds changes under way.
        self.generator.caught_up(events / cycles / 2).await;
        if (cycle + 1).is_multiple_of(SERVER_EVERY) {
            // The server forgets what it told: else most of what was changed would lie within gaps.
            self.generator.idle().await;
            let last = account::final_versions(self.client).await;
            account::wait_until_all_arrived(self.site, &last);
        }
        let (received, duplicates) = {
            let taken = self.receiver.taken();
            (taken.receipts.len(), taken.duplicates())
        };
        let made = self.generator.made();
        eprintln!(
            "cycle {cycle} of {cycles}: {made} changes, {received} received, {duplicates} duplicates"
        );
    }
}
