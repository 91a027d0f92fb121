//! A torture test: the service is killed repeatedly at random moments while a cluster changes, API servers die,
//! receivers misbehave and the configuration changes; then every promise is judged. `cargo xtask torture` sets the
//! number of kills.

mod generator;
mod judge;
mod judge_tests;
mod ledger;
mod namespaces;
mod plan;
mod record;
mod scene;
mod setup;
mod upkeep;

use std::env;

use klaxon_model::clock::Stopwatch;

use crate::balancer::Balancer;
use crate::observation;
use crate::plane::{Part, Plane};
use crate::receiver::Receiver;
use crate::support::live::Site;
use generator::Generator;
use judge::Evidence;
use ledger::Reader;
use plan::Plan;
use record::Record;
use scene::Scene;
use setup::{RETAIN, Setup};

/// Deliveries in a thousand that fail at the receivers.
const TROUBLES: u32 = 15;
const PARTS: [Part; 3] = [Part::Etcd, Part::ApiServer, Part::SecondApiServer];

/// A pod that was deleted while the service was down, and the moment after which its fuse must not burn down.
struct Cut {
    uid: String,
    since: i64,
}

/// The disturbances of a run.
#[derive(Default)]
struct Deeds {
    kills: u64,
    /// API servers that were killed while the service was down, and while it ran.
    servers_unseen: u64,
    servers_seen: u64,
    compactions: u64,
    /// Number of times that the kind of the widgets stopped being served.
    unserved: u64,
    /// Number of starts with a changed configuration.
    reconfigured: u64,
    cuts: Vec<Cut>,
    /// Periods in which the journal was full, so that rows may have been removed early.
    full: Vec<(i64, i64)>,
    /// Log lines that a healthy service never writes.
    panics: Vec<String>,
    seconds: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_random_moments_the_service_keeps_its_promises() {
    let plan = Plan::of_environment();
    eprintln!("torture: {} cycles, {} changes, seed {}", plan.cycles, plan.events, plan.seed);
    let since = Stopwatch::start();
    let mut plane = Plane::start_with(&PARTS, &["--event-ttl=6h"]).await;
    let balancer = Balancer::start(&plane.apiserver_ports()).await;
    let client = plane.client_at(&balancer.url()).await;
    let kubeconfig = plane.kubeconfig_at(&balancer.url());
    let receiver = Receiver::start(plan.seed, TROUBLES).await;
    let mut site = Site::new(|_| kubeconfig.clone());
    // The journal and the log of a failed run are not removed.
    site.folder.disable_cleanup(true);
    eprintln!("torture: a run that fails leaves {}", site.folder.path().display());
    generator::first_pods(&client).await;
    upkeep::first_guard(&client).await;
    upkeep::first_widget(&client).await;

    let setup = Setup::new(site.folder.path(), kubeconfig, &receiver);
    let reader = Reader::start(site.folder.path().join("journal/klaxon.db"), RETAIN);
    let generator = Generator::start(&client, plan.seed);
    let mut scene = Scene::start(plan, &client, &site, &setup, &receiver, &reader, generator);
    upkeep::more_widgets(&client).await;
    for number in 1..=plan.cycles {
        scene.cycle(&plan.cycle(number), &mut plane).await;
    }
    let (mut deeds, made) = scene.end().await;
    let mut last = observation::final_versions(&client).await;
    last.extend(observation::finals_of(&client, "Widget", upkeep::ALL_WIDGETS).await);
    deeds.seconds = since.elapsed().as_secs();
    let ledger = reader.finish();
    let taken = receiver.taken();
    let record = Record::of(&taken);
    let evidence =
        Evidence { plan, deeds: &deeds, made: &made, last: &last, taken: &taken, record, ledger };
    judge::judge(&evidence).print();
    site.folder.disable_cleanup(env::var_os("KLAXON_TORTURE_KEEP").is_some());
}
