//! A Kubernetes API server in memory, with faults on demand.
//!
//! Its behaviour was measured on a real API server: one revision over all kinds, windows of watches, bookmarks,
//! lists in pages, selectors, and streaming lists; plus the failures of real servers. The server speaks plain HTTP
//! on the loopback interface and runs in its own thread, so that neither a blocking test nor a test with paused
//! time stops it.

mod access;
mod answer;
mod asked;
mod events;
mod fault;
mod kinds;
mod lines;
mod object;
mod pages;
mod select;
mod server;
mod shared;
mod store;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use self::object::Shape;
use self::shared::{Call, Door, Shared};
use self::store::Store;

pub(crate) use self::asked::{Seen, Verb};
pub(crate) use self::fault::{Fault, Matching};
pub(crate) use self::kinds::Kind;
pub(crate) use self::store::Saved;

/// A running server. Clones refer to the same server, which stops with the last of them.
#[derive(Clone)]
pub(crate) struct FakeApi {
    running: Arc<Running>,
}

struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl FakeApi {
    /// Starts a server on a free port, with the built-in kinds, no objects, and revision 100.
    pub(crate) async fn start() -> Self {
        let listener = listen();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new(listener));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let serve = server::serve(shared.clone());
        let thread = std::thread::Builder::new().name("fake-api".to_owned());
        let thread = thread.spawn(move || runtime.block_on(serve)).unwrap();
        Self { running: Arc::new(Running { shared, address, thread: Some(thread) }) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Writes a kubeconfig with the token `test`.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        self.kubeconfig_of(folder, &json!({"token": "test"}))
    }

    /// Writes a kubeconfig with this user, such as `{"tokenFile": "..."}`.
    pub(crate) fn kubeconfig_of(&self, folder: &Path, user: &Value) -> PathBuf {
        let path = folder.join("kubeconfig");
        // JSON is YAML.
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url()}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "test"}}],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    fn shared(&self) -> &Shared {
        &self.running.shared
    }

    /// Changes the store, then wakes the watches.
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let result = change(&mut self.shared().store());
        self.shared().changed.send_replace(());
        result
    }

    /// Changes the store and ends all connections atomically for every watch.
    fn change_and_cut(&self, change: impl FnOnce(&mut Store)) {
        let mut store = self.shared().store();
        change(&mut store);
        self.shared().epoch.send_modify(|epoch| *epoch += 1);
        drop(store);
        self.shared().changed.send_replace(());
    }

    /// Creates or updates an object by kind, namespace and name, and fills in missing fields: uid, creation
    /// timestamp, namespace `default`. A changed uid implies a deletion first. Returns the revision.
    pub(crate) fn put(&self, object: Value) -> u64 {
        self.change(|store| store.put(object))
    }

    /// Deletes an object; panics if there is no such object. Returns the revision.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) -> u64 {
        self.change(|store| {
            let table = store.named(None, kind).table;
            let key = (namespace.to_owned(), name.to_owned());
            assert!(store.table(table).objects.contains_key(&key), "no {kind} {namespace}/{name}");
            store.write(table, key, None)
        })
    }

    /// Returns the current state of an object.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let store = self.shared().store();
        let found = store.named(None, kind);
        let key = (namespace.to_owned(), name.to_owned());
        let version = store.table(found.table).objects.get(&key)?;
        let text = Shape::new(&found.kind, "").object(&version.body, version.revision);
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Returns the uid and the revision of each existing object of a kind, by namespace and name.
    pub(crate) fn state(&self, kind: &str) -> BTreeMap<(String, String), (String, u64)> {
        let store = self.shared().store();
        let objects = store.table(store.named(None, kind).table).objects.values();
        objects.map(|found| (found.body.key(), (found.body.uid.clone(), found.revision))).collect()
    }

    /// Advances the revision, like writes of kinds that are not served here.
    pub(crate) fn bump(&self, by: u64) {
        self.change(|store| store.revision += by);
    }

    /// Starts to serve another kind.
    pub(crate) fn add_kind(&self, kind: Kind) {
        self.change(|store| store.add_kind(kind));
    }

    /// Removes a kind: deletes its objects and ends its watches; afterwards its paths are not found.
    pub(crate) fn remove_kind(&self, api_version: &str, kind: &str) {
        self.change(|store| store.remove_kind(api_version, kind));
    }

    /// Changes a definition: the watches of the kind end in an orderly way and cannot resume.
    pub(crate) fn change_kind(&self, api_version: &str, kind: &str) {
        self.change(|store| store.change_kind(api_version, kind));
    }

    /// Makes all earlier revisions too old for a watch, also for kinds without a cache. Open watches continue.
    pub(crate) fn compact(&self) {
        self.change(|store| store.forget(true));
    }

    /// Restarts the server process: all connections end without the end of their bodies, and earlier revisions are
    /// too old for watches of kinds with a cache.
    pub(crate) fn restart(&self) {
        self.change_and_cut(|store| store.forget(false));
    }

    /// Stops serving: all connections end as in a restart, and new ones are refused.
    pub(crate) fn down(&self) {
        self.shared().door.send_replace(Door::Shut);
        // A connection to a listener that the server's thread has not taken yet would be accepted and never
        // answered.
        drop(self.shared().take_listener());
        self.restart();
    }

    /// Serves again after `down`, on the same port.
    pub(crate) fn up(&self) {
        if *self.shared().door.borrow() == Door::Open {
            return;
        }
        // The server's thread may still have to drop the old listener.
        let bound = (0..1000).find_map(|_| {
            let bound = TcpListener::bind(self.running.address).ok();
            if bound.is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
            bound
        });
        let listener = bound.expect("the port is taken");
        listener.set_nonblocking(true).unwrap();
        *self.shared().listener.lock().unwrap() = Some(listener);
        self.shared().door.send_replace(Door::Open);
    }

    /// Returns a backup of the whole state.
    pub(crate) fn snapshot(&self) -> Saved {
        self.shared().store().save()
    }

    /// Restores a backup; all connections end as in a restart. Without `bump`, revisions go back without any sign
    /// of it. With `bump`, they continue that far above the backup's, and older ones are expired.
    pub(crate) fn restore(&self, saved: &Saved, bump: Option<u64>) {
        self.change_and_cut(|store| store.restore(saved, bump));
    }

    /// Sets when bookmarks are sent: the first after the start of a watch, and the interval of the others.
    pub(crate) fn bookmarks(&self, first: Duration, every: Duration) {
        let mut settings = self.shared().settings.lock().unwrap();
        settings.first_bookmark = first;
        settings.bookmark_every = every;
    }

    /// Sets the offset of the server's clock in seconds.
    pub(crate) fn clock_offset(&self, seconds: i64) {
        self.shared().store().clock_offset = seconds;
    }

    /// Delays the changes that watches of kinds with a cache show: for all watches, or for every other one, as with
    /// two servers behind one address.
    pub(crate) fn lag(&self, lag: Duration, every_other: bool) {
        let mut settings = self.shared().settings.lock().unwrap();
        settings.lag = lag;
        settings.lags_every_other = every_other;
        drop(settings);
        self.shared().changed.send_replace(());
    }

    /// Ends the watches of an API version, and does not serve the version for `requests` requests; its objects
    /// stay. This happens while another server behind the same address does not serve the version.
    pub(crate) fn hide(&self, api_version: &str, requests: usize) {
        self.shared().settings.lock().unwrap().hidden = Some((api_version.to_owned(), requests));
        self.change(|store| store.end_watches(api_version));
    }

    /// Serves the hidden API version again.
    pub(crate) fn show(&self) {
        self.shared().settings.lock().unwrap().hidden = None;
    }

    /// Sets whether `sendInitialEvents` is served (the default) or refused with 422.
    pub(crate) fn streaming_lists(&self, served: bool) {
        self.shared().settings.lock().unwrap().streaming_lists = served;
    }

    /// Injects a fault into the next requests that match, after the faults asked for before.
    pub(crate) fn fault(&self, fault: Fault, matching: Matching, times: usize) {
        self.shared().faults.lock().unwrap().add(fault, matching, times);
    }

    /// Returns the number of pending faults.
    pub(crate) fn faults_left(&self) -> usize {
        self.shared().faults.lock().unwrap().left()
    }

    /// Accepts only these bearer tokens from now on. By default, every token and no token at all are accepted.
    pub(crate) fn accept_tokens(&self, tokens: &[&str]) {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        self.shared().access().tokens = Some(tokens);
    }

    /// Revokes a permission. `*` stands for all; the namespace "" for requests over all namespaces. Open watches
    /// continue.
    pub(crate) fn deny(&self, verb: &str, resource: &str, namespace: &str) {
        let rule = (verb.to_owned(), resource.to_owned(), namespace.to_owned());
        self.shared().access().denied.push(rule);
    }

    /// Restores all permissions that were denied.
    pub(crate) fn allow_all(&self) {
        let mut access = self.shared().access();
        access.denied.clear();
    }

    /// Returns the requests so far, including those with faults.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared().seen.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.door.send_replace(Door::Stopped);
        if let Some(thread) = self.thread.take() {
            // A panic of the server was printed already; a second one here would hide the test's own.
            _ = thread.join();
        }
    }
}

/// Binds a port below the range that systems give to clients: while the server is down, a client that retries could
/// take such a port, or connect to itself. No port is given twice, because a stopped server needs its own port
/// again.
fn listen() -> TcpListener {
    let begin = std::process::id() as usize * 131;
    let mut ports = std::iter::repeat_with(|| begin + NEXT.fetch_add(1, Ordering::Relaxed));
    let bound = ports.by_ref().take(PORTS).find_map(|number| {
        let port = u16::try_from(15_000 + number % PORTS).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
    bound.expect("a free port")
}

static NEXT: AtomicUsize = AtomicUsize::new(0);
const PORTS: usize = 17_000;
