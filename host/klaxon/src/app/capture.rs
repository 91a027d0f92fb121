//! Recording of a cluster: the events of its watches, as streams, one file for each watch.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::tasks::Tasks;
use super::{RunError, Stop, cluster};
use klaxon_config as config;
use klaxon_core::route::Need;
use klaxon_kubernetes::{
    Cluster, ITEMS, Item, Question, Resume, Timing, WatchMessage, WatchPlan, find, plan, start,
};
use klaxon_model::ListStart;
use klaxon_recording::{self as recording, Record};

/// The settings of a recording.
pub struct Capture {
    /// The cluster.
    pub settings: config::Kubernetes,
    /// Names of resources such as `pods` or `deployments.apps`.
    pub resources: Vec<String>,
    /// Watches that rules need, in addition to `resources`.
    pub needs: Vec<Need>,
    /// The duration of the recording. `None` records until it is stopped.
    pub lasts: Option<Duration>,
}

/// Receives the paths of the streams before anything is recorded. An error ends the recording.
pub type Accept<'a> = dyn FnMut(&[PathBuf]) -> Result<(), String> + 'a;

/// A file that a watch wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The file.
    pub path: PathBuf,
    /// Its lines.
    pub lines: u64,
}

impl Capture {
    /// Records into a folder until its time is over or it is stopped.
    ///
    /// # Errors
    /// Returns an error if the cluster cannot be reached, a resource is not served, the streams are not accepted, or a
    /// file cannot be written.
    pub fn run(
        self,
        folder: &Path,
        accept: &mut Accept<'_>,
        stop: &Stop,
    ) -> Result<Vec<Captured>, RunError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| RunError::System(error.to_string()))?;
        let outcome = runtime.block_on(self.record(folder, accept, stop));
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }

    async fn record(
        self,
        folder: &Path,
        accept: &mut Accept<'_>,
        stop: &Stop,
    ) -> Result<Vec<Captured>, RunError> {
        let signals = stop.on_signals("shutting down: the events so far are the recording", None);
        let _signals = signals.map_err(|error| RunError::System(error.to_string()))?;
        let permissions = cluster::needed_permissions(&self.needs, &self.settings);
        let signed = Arc::new(cluster::signed_in(&self.settings, &permissions).await?);
        let mut needs = self.needs;
        for name in &self.resources {
            let need = find(&signed.client, name).await.map_err(RunError::System)?;
            if !needs.iter().any(|one| one.kind == need.kind && one.group() == need.group()) {
                needs.push(need);
            }
        }
        let timing = Timing::default();
        let renew = cluster::renewal(&signed);
        let cluster = Arc::new(Cluster::new(signed.client.clone(), renew, timing, &self.settings));
        let mut tasks = Tasks::default();
        let (sender, mut items) = mpsc::channel(ITEMS);
        let plans = plan(&needs, &self.settings);
        let files = plans.iter().map(|plan| Recording::create(folder, plan));
        let mut files = files.collect::<Result<Vec<_>, _>>()?;
        let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        accept(&paths).map_err(RunError::NotAccepted)?;
        for (place, plan) in plans.into_iter().enumerate() {
            let first = Resume::List(ListStart::First);
            let name = format!("watch {}", plan.name);
            let (_, task) = start(cluster.clone(), plan, place, sender.clone(), first);
            tasks.spawn(&name, task);
        }
        drop(sender);
        let over = async {
            match self.lasts {
                Some(lasts) => tokio::time::sleep(lasts).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                item = items.recv() => match item {
                    Some(item) => {
                        if let Some(file) = files.get_mut(item.watch) {
                            file.take(item)?;
                        }
                    }
                    None => break,
                },
                ended = tasks.ended() => return Err(RunError::System(ended)),
                () = &mut over => break,
                () = stop.requested() => break,
            }
        }
        files.into_iter().map(Recording::finish).collect()
    }
}

/// A file that is being written.
struct Recording {
    path: PathBuf,
    file: BufWriter<File>,
    lines: u64,
}

impl Recording {
    fn create(folder: &Path, plan: &WatchPlan) -> Result<Self, RunError> {
        let name = plan.name.to_lowercase().replace(" in ", "@");
        let path = folder.join(format!("{name}.jsonl"));
        let file = File::create(&path)
            .map_err(|error| RunError::System(format!("{}: {error}", path.display())))?;
        Ok(Self { path, file: BufWriter::new(file), lines: 0 })
    }

    fn take(&mut self, item: Item) -> Result<(), RunError> {
        match item.message {
            WatchMessage::Event { event, .. } => {
                let at = item.at.as_millis();
                let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
                self.write(&Record { at, line: 0, event })
            }
            WatchMessage::BackfillListed(_) => Ok(()),
            // A recording knows no earlier objects, so a list of any revision epoch is accepted.
            WatchMessage::Question(Question::IsSameEpoch { reply, .. }) => {
                reply.send(Ok(false)).unwrap_or_default();
                Ok(())
            }
            WatchMessage::Question(Question::IsAnyKnown { reply }) => {
                reply.send(false).unwrap_or_default();
                Ok(())
            }
            WatchMessage::Question(Question::Undeleted { reply }) => {
                reply.send(None).unwrap_or_default();
                Ok(())
            }
        }
    }

    fn write(&mut self, record: &Record) -> Result<(), RunError> {
        let line = recording::line(record)
            .map_err(|error| RunError::System(format!("{}: {error}", self.path.display())))?;
        let Some(line) = line else { return Ok(()) };
        self.lines += 1;
        writeln!(self.file, "{line}")
            .map_err(|error| RunError::System(format!("{}: {error}", self.path.display())))
    }

    fn finish(mut self) -> Result<Captured, RunError> {
        self.file
            .flush()
            .map_err(|error| RunError::System(format!("{}: {error}", self.path.display())))?;
        Ok(Captured { path: self.path, lines: self.lines })
    }
}
