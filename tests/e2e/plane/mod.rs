//! A real control plane on loopback, without containers and without root.
//!
//! Its programs come from `cargo xtask e2e`. A plane writes into one temporary folder only. Drop stops the programs
//! and removes the folder. A test process that is itself killed leaves both behind, because nothing in safe Rust
//! ties a child's life to its parent's.

mod certificates;
mod commands;
mod etcd;
mod nodes;
mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use commands::{Site, health_of};
use process::Process;

/// Time limit until a program answers, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two polls of a condition.
const PAUSE: Duration = Duration::from_millis(50);
/// Attempts to start, because other programs may take a port between its choice and its use.
const ATTEMPTS: u32 = 3;

/// One program of the control plane, in the order in which they are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Etcd,
    ApiServer,
    /// Another API server on the same etcd.
    SecondApiServer,
    /// Deployments, jobs, service accounts, node life cycle.
    ControllerManager,
    Scheduler,
    /// Stands in for the kubelets of the nodes that [`Plane::nodes`] makes.
    Kwok,
}

/// Running programs; see the module.
pub(crate) struct Plane {
    /// Declared before the folder, so that the programs are stopped before it is removed.
    processes: BTreeMap<Part, Process>,
    site: Site,
    folder: TempDir,
}

impl Plane {
    /// Starts these parts, and waits until each of them is ready. All parts except etcd need the API server, which
    /// needs etcd.
    pub(crate) async fn start(parts: &[Part]) -> Plane {
        Plane::start_with(parts, &[]).await
    }

    /// Starts these parts with more flags for the API server, such as `--event-ttl=30s`.
    pub(crate) async fn start_with(parts: &[Part], apiserver_flags: &[&str]) -> Plane {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let mut plane = Plane::prepare(parts, apiserver_flags);
            match plane.start_all().await {
                Ok(()) => return plane,
                Err(NotReady { port_taken: true, report }) => last = report,
                Err(NotReady { report, .. }) => panic!("{report}"),
            }
        }
        panic!("{last}");
    }

    /// Prepares everything without running a program.
    fn prepare(parts: &[Part], apiserver_flags: &[&str]) -> Plane {
        let folder = tempfile::Builder::new().prefix("klaxon-plane-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        let site = Site::new(folder.path());
        certificates::write(folder.path(), &site.apiserver_url());
        let mut processes = BTreeMap::new();
        for part in parts {
            let command = match part {
                Part::Etcd => site.etcd(),
                Part::ApiServer | Part::SecondApiServer => {
                    let mut command = site.apiserver(*part);
                    if !parts.contains(&Part::ControllerManager) {
                        // Without the controller manager, the service accounts that pods need are missing.
                        command.arg("--disable-admission-plugins=ServiceAccount");
                    }
                    command.args(apiserver_flags);
                    command
                }
                Part::ControllerManager => site.controller_manager(),
                Part::Scheduler => site.scheduler(),
                Part::Kwok => site.kwok(),
            };
            let log = folder.path().join(format!("{part:?}.log"));
            processes.insert(*part, Process::new(command, log));
        }
        Plane { processes, site, folder }
    }

    async fn start_all(&mut self) -> Result<(), NotReady> {
        let parts: Vec<Part> = self.processes.keys().copied().collect();
        let (first, rest) =
            parts.split_at(parts.partition_point(|part| *part <= Part::SecondApiServer));
        for part in first {
            self.process(*part).spawn();
            self.ready(*part).await?;
        }
        for part in rest {
            self.process(*part).spawn();
        }
        for part in rest {
            self.ready(*part).await?;
        }
        self.first_objects().await;
        Ok(())
    }

    /// Waits for the first objects. A ready plane is not yet usable: the namespace `default` comes a moment later,
    /// and its service account, which pods need, a moment after that.
    async fn first_objects(&self) {
        let path = if self.processes.contains_key(&Part::ControllerManager) {
            "/api/v1/namespaces/default/serviceaccounts/default"
        } else if self.processes.contains_key(&Part::ApiServer) {
            "/api/v1/namespaces/default"
        } else {
            return;
        };
        let client = self.client().await;
        let looks = async {
            while !answers(&client, path).await {
                sleep(PAUSE).await;
            }
        };
        let made = timeout(PATIENCE, looks).await;
        assert!(made.is_ok(), "{path} was not made in {PATIENCE:?}");
    }

    /// Waits until a started part answers, or returns the cause of the failure.
    async fn ready(&mut self, part: Part) -> Result<(), NotReady> {
        let (url, path) = health_of(&self.site, part);
        let client = self.client_at(&url).await;
        let process = self.process(part);
        let looks = async {
            loop {
                let answers = answers(&client, path).await;
                // Checked after the answer, which may come from another program on a port that was taken.
                let ended = process.ended();
                if answers || ended.is_some() {
                    return ended;
                }
                sleep(PAUSE).await;
            }
        };
        let what = match timeout(PATIENCE, looks).await {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => format!("ended early ({status})"),
            Err(_) => format!("was not ready in {PATIENCE:?}"),
        };
        let log = process.log_tail();
        let report = format!("{part:?} {what}; the end of its log:\n{log}");
        Err(NotReady { port_taken: log.contains("address already in use"), report })
    }

    fn process(&mut self, part: Part) -> &mut Process {
        let process = self.processes.get_mut(&part);
        process.unwrap_or_else(|| panic!("{part:?} is not a part of this plane; hint: start it"))
    }

    /// Returns the administrator's kubeconfig, with a client certificate.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.site.kubeconfig
    }

    /// Returns the kubeconfig of a user who has no permissions until some are bound, with a token:
    /// `klaxon-watcher`, `klaxon-nsonly` or `klaxon-nobody`.
    pub(crate) fn kubeconfig_of(&self, user: &str) -> PathBuf {
        assert!(certificates::USERS.contains(&user), "no user {user}: {:?}", certificates::USERS);
        certificates::kubeconfig_path(self.folder.path(), user)
    }

    /// Writes a kubeconfig of the administrator for another address of the API server.
    pub(crate) fn kubeconfig_at(&self, url: &str) -> PathBuf {
        let written = std::fs::read_to_string(self.kubeconfig()).expect("our kubeconfig");
        let path = self.folder.path().join("admin-elsewhere.kubeconfig");
        let written = written.replace(&self.site.apiserver_url(), url);
        std::fs::write(&path, written).expect("a temporary file can be written");
        path
    }

    /// Returns the ports of both API servers.
    pub(crate) fn apiserver_ports(&self) -> [u16; 2] {
        self.site.apiserver_ports()
    }

    /// Returns a client of the administrator.
    pub(crate) async fn client(&self) -> Client {
        self.client_at(&self.site.apiserver_url()).await
    }

    /// Returns a client of the administrator at another address of the API server. All parts accept or ignore the
    /// certificate.
    pub(crate) async fn client_at(&self, url: &str) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).expect("our kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.expect("our kubeconfig is complete");
        config.cluster_url = url.parse().expect("an address");
        Client::try_from(config).expect("our certificates can be read")
    }

    /// Sends SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&mut self, part: Part) {
        self.process(part).kill();
    }

    /// Sends SIGTERM, and SIGKILL if the process still runs after 20 seconds; returns when it is gone. Under an API
    /// server, etcd takes several seconds.
    pub(crate) fn terminate(&mut self, part: Part) {
        self.process(part).terminate();
    }

    /// Starts a part with the same command line, killing it first if it still runs, and waits until it is ready.
    /// KWOK manages its nodes again up to 15 seconds later, when the leases of its former run have expired.
    pub(crate) async fn restart(&mut self, part: Part) {
        self.restart_all(&[part]).await;
    }

    /// Starts some parts at once, and waits until all of them are ready.
    pub(crate) async fn restart_all(&mut self, parts: &[Part]) {
        for part in parts {
            self.respawn(*part);
        }
        for part in parts {
            self.ready_again(*part).await;
        }
    }

    fn respawn(&mut self, part: Part) {
        let process = self.process(part);
        process.kill();
        process.spawn();
    }

    /// Waits until a part that was spawned again is ready.
    async fn ready_again(&mut self, part: Part) {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.ready(part).await {
                Ok(()) => return,
                // The part keeps its port, because others know it; the program that has taken the port may release
                // it.
                Err(NotReady { port_taken: true, report }) => last = report,
                Err(NotReady { report, .. }) => panic!("{report}"),
            }
            sleep(Duration::from_secs(1)).await;
            self.respawn(part);
        }
        panic!("{last}");
    }
}

/// A part that does not answer.
struct NotReady {
    /// `true` if another attempt may help.
    port_taken: bool,
    report: String,
}

/// Returns `true` if a path is answered with success, and soon.
async fn answers(client: &Client, path: &str) -> bool {
    let request = http::Request::get(path).body(Vec::new()).expect("a path");
    let answer = timeout(Duration::from_secs(2), client.request_text(request)).await;
    matches!(answer, Ok(Ok(_)))
}
