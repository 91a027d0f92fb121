//! Supervised tasks that run as long as the service: the end or panic of any is reported.

use std::collections::HashMap;

use tokio::task::{Id, JoinSet};

/// Tasks by name. Dropping them aborts the tasks.
#[derive(Default)]
pub(super) struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, String>,
}

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name.to_owned());
    }

    /// Waits until a task has ended, and returns a message with its name and outcome. Pending forever without tasks.
    pub(super) async fn ended(&mut self) -> String {
        let Some(ended) = self.set.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, how) = match ended {
            Ok((id, ())) => (id, "ended before its time".to_owned()),
            Err(error) => (error.id(), format!("failed: {error}")),
        };
        let name = self.names.remove(&id).unwrap_or_default();
        format!("{name} {how}")
    }
}

#[cfg(test)]
mod tests {
    use super::Tasks;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("watch Pod", std::future::pending());
        tasks.spawn("watch Event", async { panic!("out of its mind") });
        let ended = tasks.ended().await;
        assert!(ended.starts_with("watch Event failed:"), "{ended}");
        assert!(ended.contains("out of its mind"), "{ended}");
        tasks.spawn("the Lease", async {});
        assert_eq!(tasks.ended().await, "the Lease ended before its time");
    }
}
