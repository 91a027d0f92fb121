//! Whether a saved version still belongs to the cluster's history.
//!
//! After etcd is restored from a snapshot versions are given a second time: a watch from the old one
//! is answered without an error, and leaves out all that happened up to it. So before a watch goes on
//! after an interruption, the versions of all that exists are compared with what is known.

use tokio::sync::oneshot;

use super::api::ApiError;
use super::watch::{Stop, Watch};
use super::{Closed, Question, Served, WatchMessage};

impl Watch {
    /// Returns why the version belongs to another history, if it does; and else the version at which
    /// the watch has caught up, if there is anything to catch up with.
    pub(super) async fn verify(
        &self,
        served: &Served,
        cursor: &str,
    ) -> Result<Result<Option<u64>, String>, Stop> {
        let (listed, version) = self.versions(served).await.map_err(not_expired)?;
        let (Ok(cursor), Ok(newest)) = (cursor.parse::<u64>(), version.parse::<u64>()) else {
            // Versions that are no numbers cannot be compared (and no API server makes such).
            return Ok(Ok(None));
        };
        if newest < cursor {
            return Ok(Err(format!(
                "the cluster is at version {newest}, and was at {cursor} before: another history (etcd restored)"
            )));
        }
        let changed = listed.iter().filter_map(|(_, version)| version.parse::<u64>().ok()).max();
        let (reply, answer) = oneshot::channel();
        let question = Question::IsSameEpoch { cursor, listed, reply };
        self.send(WatchMessage::Question(question)).await?;
        match answer.await.map_err(|_| Closed)? {
            Err(why) => Ok(Err(format!("{why}: another history (etcd restored)"))),
            // What was not listed is told to be gone by the time of the list.
            Ok(true) => Ok(Ok(Some(newest))),
            // Without bookmarks only the changes themselves tell.
            Ok(false) => Ok(Ok(changed.filter(|changed| *changed > cursor))),
        }
    }

    /// The watch has come past the list that was compared: what that did not have must have been
    /// deleted by now.
    pub(super) async fn caught_up(&self) -> Result<(), Stop> {
        let (reply, answer) = oneshot::channel();
        self.send(WatchMessage::Question(Question::Undeleted { reply })).await?;
        match answer.await.map_err(|_| Closed)? {
            Some(uid) => Err(Stop::OtherHistory(format!(
                "object {uid} is gone and was never deleted: another history (etcd restored)"
            ))),
            None => Ok(()),
        }
    }
}

/// A page of the comparison that is too old says nothing about the watch's own version: it is made
/// again.
fn not_expired(stop: Stop) -> Stop {
    match stop {
        Stop::ApiError(ApiError::Expired(why)) => Stop::ApiError(ApiError::Broken(why)),
        stop => stop,
    }
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::ApiError(error)
    }
}

impl From<Closed> for Stop {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}
