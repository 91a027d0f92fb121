//! A comparison on one cluster: the service, and exporters that list everything at each start. All are killed at
//! the same five moments.

use std::collections::HashSet;
use std::time::Duration;

use klaxon_model::clock;
use klaxon_model::clock::Stopwatch;
use serde_json::{Value, json};

use crate::objects::{EVENTS, event};
use crate::observation::{self, Comparison, insist};
use crate::plane::{Part, Plane};
use crate::receiver::{Receiver, Taken};
use crate::relister::Relister;
use crate::storm::spawn;
use crate::support::live::Site;
use crate::support::module;

const MADE: usize = 3_000;
const KILLS: u32 = 5;
/// Most concurrent deliveries of the service, which is the default.
const CONCURRENCY: usize = 16;
/// Time between two kills, and from a kill to the next start, which a node drain takes as well.
const UP: Duration = Duration::from_secs(4);
const DOWN: Duration = Duration::from_secs(7);
/// Maximum ages of the exporters: the default, and the value that users set after missing events.
const AGES: [(&str, Duration); 2] =
    [("relister-5s", Duration::from_secs(5)), ("relister-10m", Duration::from_secs(600))];

/// Makes Kubernetes Events at an even pace over all kills. Returns their uids.
async fn make_events(client: kube::Client) -> Vec<String> {
    let all = (UP + DOWN) * KILLS + UP;
    let since = Stopwatch::start();
    let mut uids = Vec::new();
    for number in 0..u32::try_from(MADE).unwrap() {
        let mut made = event(&format!("event-{number}"), 1);
        let now = clock::now().to_string();
        let seconds = now.split('.').next().unwrap().trim_end_matches('Z');
        made["firstTimestamp"] = json!(format!("{seconds}Z"));
        made["lastTimestamp"] = json!(format!("{seconds}Z"));
        let made = insist(&client, "POST", EVENTS, &made).await.unwrap();
        uids.push(made["metadata"]["uid"].as_str().unwrap().to_owned());
        let due = all / u32::try_from(MADE).unwrap() * number;
        tokio::time::sleep(due.saturating_sub(since.elapsed())).await;
    }
    uids
}

/// The results of one participant.
struct Row {
    name: &'static str,
    lost: usize,
    ids: usize,
    again: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_exporter_that_lists_at_each_start_loses_or_repeats_and_the_service_does_neither() {
    let plane = Plane::start(&[Part::Etcd, Part::ApiServer]).await;
    let client = plane.client().await;
    let receiver = Receiver::start(0, 0).await;
    let site = site(&plane, &receiver);
    let relisters = AGES.map(|(path, max_age)| Relister {
        client: client.clone(),
        port: receiver.port(),
        path,
        max_age,
    });
    let mut service = spawn(&site);
    let mut running = relisters.each_ref().map(Relister::start);
    site.wait_until_following(&["Event"]);
    let making = tokio::spawn(make_events(client.clone()));
    for _ in 0..KILLS {
        tokio::time::sleep(UP).await;
        service.kill().unwrap();
        service.wait().unwrap();
        running.iter().for_each(tokio::task::JoinHandle::abort);
        tokio::time::sleep(DOWN).await;
        service = spawn(&site);
        running = relisters.each_ref().map(Relister::start);
    }
    let made = making.await.unwrap();
    let last = observation::final_versions(&client).await;
    observation::wait_until_all_arrived(&site, &last);
    observation::wait_while_it_goes_on(&site, "every delivery", || {
        site.rows("SELECT count(*) FROM deliveries WHERE state = 'pending'") == ["0"]
    });
    // Waits for the list that the 10-minute relister sends at its last start, the longest of all.
    let count = || receiver.taken().counts.get("relister-10m").copied().unwrap_or(0);
    let mut before = 0;
    while before != count() {
        before = count();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    service.kill().unwrap();
    service.wait().unwrap();
    running.iter().for_each(tokio::task::JoinHandle::abort);

    let taken = receiver.taken();
    let rows = [of_ours(&taken, &made), of_theirs(&taken, &made, 0), of_theirs(&taken, &made, 1)];
    print(&rows);
    let [ours, short, long] = rows;
    assert_eq!((ours.lost, ours.ids), (0, MADE), "each once, by its id");
    // Deliveries that were under way at a kill, or answered and not yet recorded on disk, are sent again. At this
    // pace, of fifty a second and a commit in milliseconds, these are fewer than may be under way at once.
    let most = CONCURRENCY * usize::try_from(KILLS).unwrap();
    assert!(ours.again <= most, "{} came again, at most {most} were under way", ours.again);
    let is_ours = |id: &&String| taken.receipts[*id].path == "ours";
    let differing: Vec<&String> = taken.differing.iter().filter(is_ours).collect();
    assert!(differing.is_empty(), "the same id with another body: {differing:?}");
    assert!(short.lost > 0, "it should pass over what is older than it likes");
    assert!(long.again > 0, "it should send what it has sent before");
    let (sights, gaps) = (observation::sights(&site), observation::gaps(&site));
    Comparison { confirmed: &[], last: &last, sights: &sights, gaps: &gaps }.must_hold();
    assert_eq!(gaps, []);
}

fn site(plane: &Plane, receiver: &Receiver) -> Site {
    let kubeconfig = plane.kubeconfig().to_owned();
    let rule = json!({"name": "witness", "module": module("witness"), "targets": ["ours"]});
    let ours = json!({"webhook": {"url": receiver.url("ours"), "allow": ["loopback"]}});
    Site::new(|_| kubeconfig).rules(vec![rule]).targets(json!({ "ours": ours }))
}

fn of_ours(taken: &Taken, made: &[String]) -> Row {
    let uid = |body: &[u8]| {
        let sight: Value = serde_json::from_slice(body).unwrap();
        sight["uid"].as_str().unwrap().to_owned()
    };
    let ids = taken.at("ours");
    let known: HashSet<String> = ids.iter().map(|receipt| uid(&receipt.body)).collect();
    let lost = made.iter().filter(|uid| !known.contains(*uid)).count();
    let all = taken.counts.get("ours").copied().unwrap_or(0);
    Row { name: "klaxon", lost, ids: ids.len(), again: all - ids.len() }
}

fn of_theirs(taken: &Taken, made: &[String], which: usize) -> Row {
    let (name, _) = AGES[which];
    let ids = taken.at(name).len();
    let has = |uid: &&String| taken.receipts.contains_key(&format!("{name}/{uid}"));
    let lost = made.len() - made.iter().filter(has).count();
    let all = taken.counts.get(name).copied().unwrap_or(0);
    Row { name, lost, ids, again: all - ids }
}

fn print(rows: &[Row]) {
    println!("\n{MADE} Kubernetes Events over {KILLS} kills\n");
    println!("| | lost | distinct ids | sent again, with the same id |\n|---|---|---|---|");
    for Row { name, lost, ids, again } in rows {
        println!("| {name} | {lost} | {ids} | {again} |");
    }
}
