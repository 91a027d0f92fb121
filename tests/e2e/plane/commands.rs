//! The command lines of the parts, and the ports they listen on.

use std::env;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Part;
use super::certificates::kubeconfig_path;

/// Annotation of the nodes that KWOK manages.
pub(super) const FAKE_NODE: (&str, &str) = ("kwok.x-k8s.io/node", "fake");
/// The behaviour of KWOK's nodes and pods.
const STAGES: &str = include_str!("../../control-plane/kwok.yaml");
/// The environment variable with the folder of the programs.
const PROGRAMS: &str = "KLAXON_CONTROL_PLANE";
/// The environment variable that disables the fsyncs of etcd, for slow disks; any value counts.
const NO_FSYNC: &str = "KLAXON_ETCD_NO_FSYNC";
/// Range below the ports that Linux and macOS give to clients: while a part is down, one of the many clients that
/// try to reach it must not get its port as their own.
const PORTS: std::ops::Range<u16> = 15000..32000;

/// The programs, files and ports of a plane.
pub(super) struct Site {
    bin: PathBuf,
    folder: PathBuf,
    /// The administrator's kubeconfig.
    pub(super) kubeconfig: PathBuf,
    etcd: u16,
    etcd_peers: u16,
    apiserver: u16,
    second_apiserver: u16,
    controller_manager: u16,
    scheduler: u16,
    kwok: u16,
}

impl Site {
    /// Chooses ports that are free now.
    pub(super) fn new(folder: &Path) -> Site {
        let bin = env::var_os(PROGRAMS).unwrap_or_else(|| {
            panic!("{PROGRAMS} does not say where the control plane is; hint: cargo xtask e2e")
        });
        fs::write(folder.join("kwok.yaml"), STAGES).expect("a temporary file can be written");
        let ports = free_ports();
        let [etcd, etcd_peers, apiserver, second_apiserver, controller_manager, scheduler, kwok] =
            ports;
        let kubeconfig = kubeconfig_path(folder, "admin");
        let (bin, folder) = (bin.into(), folder.to_owned());
        Site {
            bin,
            folder,
            kubeconfig,
            etcd,
            etcd_peers,
            apiserver,
            second_apiserver,
            controller_manager,
            scheduler,
            kwok,
        }
    }

    pub(super) fn apiserver_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.apiserver)
    }

    pub(super) fn apiserver_ports(&self) -> [u16; 2] {
        [self.apiserver, self.second_apiserver]
    }

    fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd)
    }

    pub(super) fn etcd_data(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    /// Returns a command that runs in the plane's folder, with none of the caller's environment.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(&self.folder).env_clear().env("HOME", &self.folder);
        command
    }

    pub(super) fn etcd(&self) -> Command {
        let client = self.etcd_url();
        let mut command = self.program("etcd");
        self.etcd_member(&mut command);
        command
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{}", self.etcd_peers))
            .arg("--log-level=warn");
        if env::var_os(NO_FSYNC).is_some() {
            command.arg("--unsafe-no-fsync");
        }
        command
    }

    /// Adds the flags on which a restored data folder must agree with the server.
    fn etcd_member(&self, command: &mut Command) {
        let peer = format!("http://127.0.0.1:{}", self.etcd_peers);
        command
            .args(["--name=plane", "--data-dir=etcd"])
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=plane={peer}"));
    }

    pub(super) fn etcdctl(&self) -> Command {
        let mut command = self.program("etcdctl");
        command.arg("--endpoints").arg(self.etcd_url());
        command
    }

    pub(super) fn etcd_restore(&self, snapshot: &Path, bump: Option<u64>) -> Command {
        let mut command = self.program("etcdutl");
        command.args(["snapshot", "restore"]).arg(snapshot);
        self.etcd_member(&mut command);
        if let Some(bump) = bump {
            command.arg(format!("--bump-revision={bump}")).arg("--mark-compacted");
        }
        command
    }

    /// Returns the command of either API server.
    pub(super) fn apiserver(&self, part: Part) -> Command {
        let port = match part {
            Part::SecondApiServer => self.second_apiserver,
            _ => self.apiserver,
        };
        let mut command = self.program("kube-apiserver");
        command
            .arg(format!("--etcd-servers={}", self.etcd_url()))
            .arg(format!("--secure-port={port}"))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            // Otherwise the API server rejects endpoints on loopback.
            .arg("--endpoint-reconciler-type=none")
            .args(["--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"])
            .args(["--tls-cert-file=server.crt", "--tls-private-key-file=server.key"])
            .args(["--client-ca-file=ca.crt", "--token-auth-file=tokens.csv"])
            .arg("--authorization-mode=Node,RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg("--service-account-key-file=service-account.pub")
            .arg("--service-account-signing-key-file=service-account.key")
            .arg("--requestheader-client-ca-file=ca.crt")
            .arg("--requestheader-allowed-names=front-proxy")
            .arg("--requestheader-username-headers=X-Remote-User")
            .arg("--requestheader-group-headers=X-Remote-Group")
            .arg("--requestheader-extra-headers-prefix=X-Remote-Extra-")
            .args(["--proxy-client-cert-file=front-proxy.crt"])
            .args(["--proxy-client-key-file=front-proxy.key", "--profiling=false"])
            // Otherwise a stop waits for open watches, which Klaxon always has.
            .arg("--shutdown-watch-termination-grace-period=3s")
            .arg("--shutdown-delay-duration=0s");
        command
    }

    pub(super) fn controller_manager(&self) -> Command {
        let mut command = self.program("kube-controller-manager");
        self.beside_apiserver(&mut command, "controller-manager", self.controller_manager);
        command
            .args(["--use-service-account-credentials=true", "--allocate-node-cidrs=false"])
            .arg("--service-account-private-key-file=service-account.key")
            .args(["--root-ca-file=ca.crt", "--cluster-signing-cert-file=ca.crt"])
            .arg("--cluster-signing-key-file=ca.key")
            // At the start, each controller requests a service account, which takes seconds at 20 requests a
            // second.
            .args(["--kube-api-qps=200", "--kube-api-burst=400"])
            // Instead of 50 seconds, so that a test sees a lost node in time.
            .arg("--node-monitor-grace-period=20s");
        command
    }

    pub(super) fn scheduler(&self) -> Command {
        let mut command = self.program("kube-scheduler");
        self.beside_apiserver(&mut command, "scheduler", self.scheduler);
        command
    }

    /// Adds the flags that controller manager and scheduler share.
    fn beside_apiserver(&self, command: &mut Command, user: &str, port: u16) {
        let kubeconfig = kubeconfig_path(&self.folder, user);
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{flag}={}", kubeconfig.display()));
        }
        command
            .arg(format!("--secure-port={port}"))
            .args(["--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"])
            .args(["--tls-cert-file=server.crt", "--tls-private-key-file=server.key"]);
    }

    pub(super) fn kwok(&self) -> Command {
        let (annotation, value) = FAKE_NODE;
        let mut command = self.program("kwok");
        command
            .arg(format!("--kubeconfig={}", self.kubeconfig.display()))
            .arg(format!("--manage-nodes-with-annotation-selector={annotation}={value}"))
            .arg(format!("--server-address=127.0.0.1:{}", self.kwok))
            .args(["--node-ip=10.10.0.1", "--cidr=10.244.0.0/16"])
            .args(["--node-lease-duration-seconds=15", "--config=kwok.yaml"]);
        command
    }
}

/// Returns the health endpoint of a part. The last three parts answer with a certificate of the same authority, or
/// without any.
pub(super) fn health_of(site: &Site, part: Part) -> (String, &'static str) {
    match part {
        Part::Etcd => (site.etcd_url(), "/health"),
        Part::ApiServer => (site.apiserver_url(), "/readyz"),
        Part::SecondApiServer => {
            (format!("https://127.0.0.1:{}", site.second_apiserver), "/readyz")
        }
        Part::ControllerManager => {
            (format!("https://127.0.0.1:{}", site.controller_manager), "/healthz")
        }
        Part::Scheduler => (format!("https://127.0.0.1:{}", site.scheduler), "/healthz"),
        Part::Kwok => (format!("http://127.0.0.1:{}", site.kwok), "/healthz"),
    }
}

/// Returns different ports that were free when checked. The first candidate differs each time, so that concurrent
/// planes seldom collide.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let count = u64::from(PORTS.end - PORTS.start);
    let offset = (RandomState::new().hash_one(std::process::id()) % count) as u16;
    let candidates = (PORTS.start + offset..PORTS.end).chain(PORTS.start..PORTS.start + offset);
    let open = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port);
    let mut free = candidates.filter_map(open);
    std::array::from_fn(|_| free.next().expect("a free port"))
}
