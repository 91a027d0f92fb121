//! A NATS server of its own for each test, on loopback.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The environment variable with the folder of the control plane's programs.
const PROGRAMS: &str = "KLAXON_CONTROL_PLANE";

/// A server that can be killed, and started again on the same port with its stored data.
pub(crate) struct Server {
    folder: TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Server {
    /// Configures a server without starting it. JetStream writes each message to disk before it acknowledges the
    /// message.
    pub(crate) fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // If another program takes the port in between, the test fails visibly.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {:?}, sync_interval: always }}\n{more}\n",
            folder.path().join("store")
        );
        fs::write(folder.path().join("nats.conf"), config).unwrap();
        Self { folder, port, child: None }
    }

    pub(crate) async fn started(more: &str) -> Self {
        let mut server = Self::new(more);
        server.start().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the path of a file in the server's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn start(&mut self) {
        let programs = std::env::var_os(PROGRAMS).unwrap_or_else(|| {
            panic!("{PROGRAMS} does not say where nats-server is; hint: cargo xtask e2e")
        });
        let log = fs::File::create(self.file("log")).unwrap();
        let child = Command::new(PathBuf::from(programs).join("nats-server"))
            .arg("-c")
            .arg(self.file("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        for _ in 0..500 {
            let log = fs::read_to_string(self.file("log")).unwrap_or_default();
            let is_up = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            if log.contains("Server is ready") && is_up {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{}", fs::read_to_string(self.file("log")).unwrap_or_default());
    }

    /// Kills the server without a warning, like `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal, for example to pause or resume the server.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Connects to JetStream for the test's own queries.
    pub(crate) async fn jetstream(
        &self,
        options: async_nats::ConnectOptions,
    ) -> jetstream::Context {
        jetstream::new(options.connect(self.url()).await.unwrap())
    }

    /// Makes a stream of all subjects below `klaxon`.
    pub(crate) async fn stream(&self, more: stream::Config) -> jetstream::Context {
        let context = self.jetstream(async_nats::ConnectOptions::new()).await;
        let subjects = vec!["klaxon.>".to_owned()];
        let config = stream::Config { name: "klaxon".to_owned(), subjects, ..more };
        context.create_stream(config).await.unwrap();
        context
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the number of messages in the stream.
pub(crate) async fn stored(context: &jetstream::Context) -> u64 {
    context.get_stream("klaxon").await.unwrap().cached_info().state.messages
}
