//! Checks that a saved version still belongs to the cluster's revision epoch.
//!
//! After etcd is restored from a snapshot, versions are assigned a second time: a watch that resumes at an old
//! version gets no error, and misses all changes up to that version. Therefore the versions of all existing objects
//! are compared with the known ones before a watch resumes after an interruption.

use tokio::sync::oneshot;

use super::api::ApiError;
use super::watch::{Stop, Watch};
use super::{Closed, Question, Served, WatchMessage};

impl Watch {
    /// Returns the reason for which the version belongs to another revision epoch, if it does. Otherwise returns the
    /// version at which the watch has caught up. `None` if there is nothing to catch up with.
    pub(super) async fn verify(
        &self,
        served: &Served,
        cursor: &str,
    ) -> Result<Result<Option<u64>, String>, Stop> {
        let (listed, version) = self.versions(served).await.map_err(not_expired)?;
        let (Ok(cursor), Ok(newest)) = (cursor.parse::<u64>(), version.parse::<u64>()) else {
            // Versions that are not numbers cannot be compared (no API server assigns such versions).
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
            // The watch must report the unlisted objects as deleted by the list's version.
            Ok(true) => Ok(Ok(Some(newest))),
            // Without bookmarks only the changes themselves show that the watch has passed them.
            Ok(false) => Ok(Ok(changed.filter(|changed| *changed > cursor))),
        }
    }

    /// Checks, after the watch has passed the compared list, that every known object missing from the list was
    /// deleted.
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

/// Converts an expired page of the comparison to an error that repeats it: the page says nothing about the watch's
/// own version.
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
