//! A Kubernetes API server in memory, with faults on demand.
//!
//! It does what a real one was measured to do: one revision over all kinds, windows of watches,
//! bookmarks, lists in pages, selectors, and streaming lists; plus what goes wrong with real ones.
//! It speaks plain HTTP on the loopback interface and runs in a thread of its own, so that a test
//! that blocks does not stop it, nor does a test with paused time.

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

/// A running server. Clones mean the same one; it stops with the last of them.
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

    /// Changes the store, then timers the watches.
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let result = change(&mut self.shared().store());
        self.shared().timer.send_replace(());
        result
    }

    /// Changes the store and ends all connections, as one step for every watch.
    fn change_and_cut(&self, change: impl FnOnce(&mut Store)) {
        let mut store = self.shared().store();
        change(&mut store);
        self.shared().epoch.send_modify(|epoch| *epoch += 1);
        drop(store);
        self.shared().timer.send_replace(());
    }

    /// Creates or updates by kind, namespace and name, and fills in what is missing: uid, time of
    /// creation, namespace `default`. Another uid than before is a deletion first. The revision.
    pub(crate) fn put(&self, object: Value) -> u64 {
        self.change(|store| store.put(object))
    }

    /// Deletes; panics where there is no such object. The revision.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) -> u64 {
        self.change(|store| {
            let table = store.named(None, kind).table;
            let key = (namespace.to_owned(), name.to_owned());
            assert!(store.table(table).objects.contains_key(&key), "no {kind} {namespace}/{name}");
            store.write(table, key, None)
        })
    }

    /// An object as it is now.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let store = self.shared().store();
        let found = store.named(None, kind);
        let key = (namespace.to_owned(), name.to_owned());
        let version = store.table(found.table).objects.get(&key)?;
        let text = Shape::new(&found.kind, "").object(&version.body, version.revision);
        Some(serde_json::from_str(&text).unwrap())
    }

    /// What exists of a kind: by namespace and name, the uid and the revision.
    pub(crate) fn state(&self, kind: &str) -> BTreeMap<(String, String), (String, u64)> {
        let store = self.shared().store();
        let objects = store.table(store.named(None, kind).table).objects.values();
        objects.map(|found| (found.body.key(), (found.body.uid.clone(), found.revision))).collect()
    }

    /// Writes of kinds that are not served here.
    pub(crate) fn bump(&self, by: u64) {
        self.change(|store| store.revision += by);
    }

    /// Serves another kind.
    pub(crate) fn add_kind(&self, kind: Kind) {
        self.change(|store| store.add_kind(kind));
    }

    /// Removes a kind: its objects are deleted, its watches end, then its paths are not found.
    pub(crate) fn remove_kind(&self, api_version: &str, kind: &str) {
        self.change(|store| store.remove_kind(api_version, kind));
    }

    /// A changed definition: the watches of the kind end in order, and do not resume.
    pub(crate) fn change_kind(&self, api_version: &str, kind: &str) {
        self.change(|store| store.change_kind(api_version, kind));
    }

    /// Makes all revisions before now too old for a watch, of kinds without a cache too. Open
    /// watches go on.
    pub(crate) fn compact(&self) {
        self.change(|store| store.forget(true));
    }

    /// A new process: all connections end without an end of their bodies, and revisions before now
    /// are too old for watches of kinds with a cache.
    pub(crate) fn restart(&self) {
        self.change_and_cut(|store| store.forget(false));
    }

    /// Goes away: all connections end as in a restart, and new ones are refused.
    pub(crate) fn down(&self) {
        self.shared().door.send_replace(Door::Shut);
        // One that the server's thread has not taken yet would accept and never answer.
        drop(self.shared().take_listener());
        self.restart();
    }

    /// Comes back after `down`, on the same port.
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

    /// A backup of the whole state.
    pub(crate) fn snapshot(&self) -> Saved {
        self.shared().store().save()
    }

    /// Restores a backup; all connections end as in a restart. Without `bump`, revisions go back
    /// and nothing says so; with it they go on so many above the backup's, and the rest is too old.
    pub(crate) fn restore(&self, saved: &Saved, bump: Option<u64>) {
        self.change_and_cut(|store| store.restore(saved, bump));
    }

    /// When bookmarks come: the first after the start of a watch, and the others.
    pub(crate) fn bookmarks(&self, first: Duration, every: Duration) {
        let mut settings = self.shared().settings.lock().unwrap();
        settings.first_bookmark = first;
        settings.bookmark_every = every;
    }

    /// From now on the server's clock is off by so many seconds.
    pub(crate) fn clock_offset(&self, seconds: i64) {
        self.shared().store().clock_offset = seconds;
    }

    /// From now on watches of kinds with a cache show changes so much later, all of them or every other
    /// one, as with two servers behind one address.
    pub(crate) fn lag(&self, lag: Duration, every_other: bool) {
        let mut settings = self.shared().settings.lock().unwrap();
        settings.lag = lag;
        settings.lags_every_other = every_other;
        drop(settings);
        self.shared().timer.send_replace(());
    }

    /// Ends the watches of an API version, and does not know it for so many requests; its objects stay.
    /// So it is while another server behind the address does not serve it.
    pub(crate) fn hide(&self, api_version: &str, requests: usize) {
        self.shared().settings.lock().unwrap().hidden = Some((api_version.to_owned(), requests));
        self.change(|store| store.end_watches(api_version));
    }

    /// Serves it again.
    pub(crate) fn show(&self) {
        self.shared().settings.lock().unwrap().hidden = None;
    }

    /// Whether `sendInitialEvents` is served (it is) or refused with 422.
    pub(crate) fn streaming_lists(&self, served: bool) {
        self.shared().settings.lock().unwrap().streaming_lists = served;
    }

    /// Asks for a fault of the next requests that match, after those asked for before.
    pub(crate) fn fault(&self, fault: Fault, matching: Matching, times: usize) {
        self.shared().faults.lock().unwrap().add(fault, matching, times);
    }

    /// How many faults are still to come.
    pub(crate) fn faults_left(&self) -> usize {
        self.shared().faults.lock().unwrap().left()
    }

    /// From now on, only these bearer tokens are known. (At first: every one, and none.)
    pub(crate) fn accept_tokens(&self, tokens: &[&str]) {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        self.shared().access().tokens = Some(tokens);
    }

    /// Takes a right away. `*` stands for all; the namespace "" for requests over all namespaces.
    /// Open watches go on.
    pub(crate) fn deny(&self, verb: &str, resource: &str, namespace: &str) {
        let rule = (verb.to_owned(), resource.to_owned(), namespace.to_owned());
        self.shared().access().denied.push(rule);
    }

    /// Gives back all that was denied.
    pub(crate) fn allow_all(&self) {
        let mut access = self.shared().access();
        access.denied.clear();
    }

    /// The requests so far, those with faults too.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared().seen.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.door.send_replace(Door::Stopped);
        if let Some(thread) = self.thread.take() {
            // A panic of the server was printed; a second one here would hide the test's own.
            _ = thread.join();
        }
    }
}

/// A port below those that systems give to clients: while the server is away, a client that tries
/// again and again could take one of those, or connect to itself. No port is given twice, for a server
/// that is away wants its own back.
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
