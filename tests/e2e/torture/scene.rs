//! Execution of a run: the service is started, disturbed and killed according to the plan.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use klaxon_model::clock::{self, Stopwatch};
use kube::Client;

use super::generator::{Generator, Made};
use super::judge::belief;
use super::ledger::{Reader, shrink};
use super::plan::{Cycle, Plan, Servers, Variant};
use super::record::Record;
use super::setup::{Setup, VOID};
use super::{Cut, Deeds, upkeep};
use crate::observation::{self, Final};
use crate::plane::{Part, Plane};
use crate::receiver::Receiver;
use crate::storm::spawn_on;
use crate::support::live::Site;

const SERVERS: [Part; 2] = [Part::ApiServer, Part::SecondApiServer];
/// Number of workers of the service.
const WORKERS: u32 = 2;
/// Part of the line that a service logs when its journal is full, or a target's queue in it.
const FULL: &str = "intake waits until there is";
/// The smallest size limit of a journal: each target needs its part of the journal.
const SMALLEST: u64 = 2 << 20;
/// Changes that are added, up to `MORE_TIMES` times, until a journal is full.
const MORE: u64 = 150;
const MORE_TIMES: u32 = 40;
/// Time for the service to detect, with two lookups, that a kind is not served any more.
const UNSERVED: Duration = Duration::from_millis(2_500);
/// Time limit for pending verdicts of the policy to be released.
const PATIENCE: Duration = Duration::from_secs(60);

/// The service as a process, which does not outlive a failed test.
struct Service(Child);

impl Service {
    /// Kills the service. It ends by itself only if no API server is reachable at its start.
    fn kill(&mut self, log: &Path) {
        let ended = self.0.try_wait().unwrap();
        let could_not_sign_in = |status: ExitStatus| {
            let text = std::fs::read_to_string(log).unwrap();
            let last = text.lines().rev().find(|line| line.starts_with("error: "));
            status.code() == Some(2) && last == Some("error: there is no way into the cluster")
        };
        assert!(
            ended.is_none_or(could_not_sign_in),
            "the service ended by itself ({ended:?}); its log has the reason"
        );
        self.end();
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

/// All participants of a run, including the service.
pub(super) struct Scene<'a> {
    plan: Plan,
    client: &'a Client,
    site: &'a Site,
    setup: &'a Setup,
    receiver: &'a Receiver,
    reader: &'a Reader,
    generator: Generator,
    service: Service,
    variant: Variant,
    deeds: Deeds,
    made: Made,
    since: Stopwatch,
}

impl<'a> Scene<'a> {
    /// Starts the service, and waits until it follows the cluster.
    pub(super) fn start(
        plan: Plan,
        client: &'a Client,
        site: &'a Site,
        setup: &'a Setup,
        receiver: &'a Receiver,
        reader: &'a Reader,
        generator: Generator,
    ) -> Self {
        let variant = plan.variant(0);
        let service = Service(spawn_on(site.folder.path(), &setup.write(variant), WORKERS));
        site.wait_until_following(&["Pod", "Event", "Widget.example.test"]);
        let (deeds, made) = (Deeds::default(), Made::default());
        Self {
            plan,
            client,
            site,
            setup,
            receiver,
            reader,
            generator,
            service,
            variant,
            deeds,
            made,
            since: Stopwatch::start(),
        }
    }

    /// Lets the cluster change, kills the service in the middle of the changes, and starts it again.
    pub(super) async fn cycle(&mut self, cycle: &Cycle, plane: &mut Plane) {
        self.generator.allow(self.plan.share(cycle.number));
        if let Some(is_up) = cycle.guard {
            self.made.add(upkeep::set_guard(self.client, is_up).await);
        }
        if let Some(served) = cycle.serves_widgets {
            upkeep::serve_widgets(self.client, served).await;
            self.deeds.unserved += u64::from(!served);
            tokio::time::sleep(if served { Duration::ZERO } else { UNSERVED }).await;
        }
        if cycle.fills {
            self.fill().await;
        }
        self.run(cycle, plane).await;
        self.kill();
        self.down(cycle, plane).await;
        let variant = self.plan.variant(cycle.number);
        self.spawn(variant);
        if let Servers::OneDies(which) = cycle.servers {
            plane.restart(SERVERS[which]).await;
        }
        self.settle(cycle).await;
        self.tell(cycle);
    }

    /// Runs until the kill. The moment of the kill is under test, so nothing is awaited before it.
    async fn run(&mut self, cycle: &Cycle, plane: &mut Plane) {
        let half = cycle.runs / 2;
        tokio::time::sleep(half).await;
        match cycle.servers {
            Servers::OneDies(which) => {
                plane.kill(SERVERS[which]);
                self.deeds.servers_seen += 1;
            }
            Servers::BothDie => {
                SERVERS.into_iter().for_each(|server| plane.kill(server));
                plane.restart_all(&SERVERS).await;
                self.deeds.servers_seen += 2;
            }
            Servers::Stay | Servers::BothDieUnseen => {}
        }
        tokio::time::sleep(half).await;
    }

    /// Performs the part of a cycle in which the service is down.
    async fn down(&mut self, cycle: &Cycle, plane: &mut Plane) {
        if cycle.servers == Servers::BothDieUnseen {
            SERVERS.into_iter().for_each(|server| plane.kill(server));
            plane.restart_all(&SERVERS).await;
            self.deeds.servers_unseen += 2;
        }
        if cycle.compacts {
            self.made.add(upkeep::brief_events(self.client, cycle.number).await);
            plane.compact().await;
            self.deeds.compactions += 1;
        }
        let cut = self.generator.cut_fuses().await;
        let since = clock::now().as_millis();
        self.deeds.cuts.extend(cut.into_iter().map(|uid| Cut { uid, since }));
    }

    fn kill(&mut self) {
        self.service.kill(&log_path(self.site));
        self.deeds.kills += 1;
        self.reader.read();
    }

    fn spawn(&mut self, variant: Variant) {
        self.deeds.reconfigured += u64::from(variant != self.variant);
        self.variant = variant;
        let config = self.setup.write(variant);
        self.service = Service(spawn_on(self.site.folder.path(), &config, WORKERS));
    }

    /// Waits until the next cycle may begin.
    async fn settle(&self, cycle: &Cycle) {
        // Leaves changes under way for the last kill too.
        self.generator.caught_up(self.plan.events / self.plan.cycles / 2).await;
        if self.plan.settles_before(cycle.number + 1) {
            // The servers lose their watch caches: otherwise most changes would lie within gaps.
            self.arrive().await;
        }
    }

    /// Waits until the service knows all changes.
    async fn arrive(&self) {
        self.generator.idle().await;
        let last = observation::final_versions(self.client).await;
        observation::wait_until_all_arrived(self.site, &last);
    }

    /// Fills the journal while the receiver refuses everything, kills the service while intake waits, and restarts
    /// it with twice the size limit, because rules' state and their backlogs need space too. The limit is the size
    /// of the journal without its free pages.
    async fn fill(&mut self) {
        self.generator.idle().await;
        self.kill();
        self.receiver.shut(true);
        let from = clock::now().as_millis();
        let size = shrink(&self.site.folder.path().join("journal/klaxon.db"));
        let size = size.max(SMALLEST);
        let small = Variant { max_size: Some(size), ..self.variant };
        let log = std::fs::metadata(log_path(self.site)).unwrap().len();
        self.spawn(small);
        let mut is_full = false;
        for _ in 0..MORE_TIMES {
            self.generator.allow(MORE);
            tokio::time::sleep(Duration::from_millis(300)).await;
            is_full = log_from(self.site, log).contains(FULL);
            if is_full {
                break;
            }
        }
        assert!(is_full, "the journal never had no room");
        self.kill();
        self.receiver.shut(false);
        self.spawn(Variant { max_size: Some(2 * size), ..small });
        self.arrive().await;
        self.kill();
        self.deeds.full.push((from, clock::now().as_millis()));
        self.spawn(Variant { max_size: None, ..small });
    }

    fn tell(&self, cycle: &Cycle) {
        let (received, duplicates) = {
            let taken = self.receiver.taken();
            (taken.receipts.len(), taken.duplicates())
        };
        let (number, cycles, made) = (cycle.number, self.plan.cycles, self.generator.made());
        let seconds = self.since.elapsed().as_secs();
        eprintln!(
            "cycle {number} of {cycles}, {seconds} s: {made} changes, {received} received, \
             {duplicates} duplicates"
        );
    }

    /// Waits until all timers and deliveries are done, and kills the service for the last time.
    pub(super) async fn end(mut self) -> (Deeds, Made) {
        self.made.add(self.generator.end().await);
        let mut last = observation::final_versions(self.client).await;
        last.extend(observation::finals_of(self.client, "Widget", upkeep::ALL_WIDGETS).await);
        observation::wait_until_all_arrived(self.site, &last);
        observation::wait_while_it_goes_on(self.site, "every timer and every delivery", || {
            let left = format!(
                "SELECT (SELECT count(*) FROM timers) + (SELECT count(*) FROM deliveries \
                 WHERE state = 'pending' AND target <> '{VOID}')"
            );
            self.site.rows(&left) == ["0"]
        });
        wait_for_policy(self.receiver, &last).await;
        self.service.kill(&log_path(self.site));
        let log = log_from(self.site, 0);
        let panics = log.lines().filter(|line| line.contains("panicked at"));
        self.deeds.panics = panics.map(str::to_owned).collect();
        (self.deeds, self.made)
    }
}

fn log_path(site: &Site) -> PathBuf {
    site.folder.path().join("klaxon.log")
}

/// Returns the service's log from an offset.
fn log_from(site: &Site, place: u64) -> String {
    let mut file = std::fs::File::open(log_path(site)).unwrap();
    file.seek(SeekFrom::Start(place)).unwrap();
    let mut log = Vec::new();
    file.read_to_end(&mut log).unwrap();
    String::from_utf8_lossy(&log).into_owned()
}

/// Waits for the last verdicts of the policy: the last digest comes when its period ends, and inhibited firings
/// come after it. The judge reports those that never come.
async fn wait_for_policy(receiver: &Receiver, last: &HashMap<String, Final>) {
    let since = Stopwatch::start();
    let is_settled = || {
        let taken = receiver.taken();
        let record = Record::of(&taken);
        belief::faults(&record, last).is_empty() && super::judge::policy::sums(&record).is_empty()
    };
    while !is_settled() && since.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
