//! Releases: a deployment that is fully rolled out with a release that was not reported before.

use klaxon_sdk::prelude::*;
use klaxon_sdk::{Condition, Workload};
use serde::{Deserialize, Serialize};

use crate::app::{self, App, Texts};

/// The code of releases.
pub(crate) const RELEASED: Code =
    Code::new("released", "Released", Severity::Info, "A new release is fully rolled out");
/// The label that names a release.
pub(crate) const RELEASE_UUID: &str = "akkeris.io/release-uuid";
const STATE: &str = "releases";
/// Maximum number of remembered deployments of one app; those with the latest changes of release stay.
const MOST_DEPLOYMENTS: usize = 200;
/// Time for which a rollout that is complete is news.
const NEWS_FOR: Duration = Duration::hours(1);

/// Releases of one app so far.
#[derive(Default, Serialize, Deserialize)]
struct Releases {
    /// The release that was reported last.
    reported: Option<String>,
    /// The last release of each deployment, by its name, oldest change first.
    deployments: Vec<(String, String)>,
}

impl Releases {
    fn had(&self, deployment: &str) -> Option<&str> {
        let mut all = self.deployments.iter();
        all.find(|(name, _)| name == deployment).map(|(_, uuid)| uuid.as_str())
    }

    fn remember(&mut self, deployment: &str, uuid: &str) {
        self.deployments.retain(|(name, _)| name != deployment);
        self.deployments.push((deployment.to_owned(), uuid.to_owned()));
        let forgotten = self.deployments.len().saturating_sub(MOST_DEPLOYMENTS);
        self.deployments.drain(..forgotten);
    }

    /// Returns `true` if a release is new from a deployment that did not have it last. Until a release was
    /// reported, the releases that were learnt at the start count as reported.
    fn is_news(&self, deployment: &str, uuid: &str) -> bool {
        match &self.reported {
            Some(reported) => reported != uuid,
            None if self.had(deployment).is_some() => true,
            None => self.deployments.iter().all(|(_, learnt)| learnt != uuid),
        }
    }
}

/// Answers an event of a deployment. The partition is the app, so that several deployments of one release are
/// reported once.
pub(crate) fn evaluate(
    cx: &mut Cx,
    event: &Event,
    app: &App<'_>,
    workload: &Workload,
    out: &mut Outcome,
) -> Result<(), Error> {
    let Some(uuid) = app::label(event, RELEASE_UUID) else { return Ok(()) };
    let rollout = complete_rollout(event, workload);
    // At the start, the releases of all existing deployments are learnt, even if their rollout is not
    // complete.
    let is_learnt = event.change == Change::Snapshot;
    if rollout.is_none() && !is_learnt {
        return Ok(());
    }
    let deployment = event.object.name.as_str();
    let mut releases: Releases = cx.state().get_json(STATE)?.unwrap_or_default();
    if releases.had(deployment) == Some(uuid) {
        return Ok(());
    }
    let completed_at = rollout.and_then(|rollout| rollout.updated_at().or(rollout.changed_at()));
    let is_recent = completed_at.is_none_or(|at| event.time().since(at) <= NEWS_FOR);
    if !is_learnt && is_recent && releases.is_news(deployment, uuid) {
        let body = Released::new(event, app, workload, uuid);
        out.emit(Verdict::firing(RELEASED, app.key()).payload(&body)?);
        releases.reported = Some(uuid.to_owned());
    }
    releases.remember(deployment, uuid);
    cx.state().put_json(STATE, &releases)
}

/// Returns the condition Progressing of a rollout that is complete.
///
/// The status describes the spec only if the generations are equal: the first update of a new release still
/// has the complete status of the previous one.
fn complete_rollout<'a>(event: &Event, workload: &'a Workload) -> Option<&'a Condition> {
    workload.condition("Progressing").filter(|progressing| {
        progressing.status == ConditionStatus::IsTrue
            && progressing.reason() == "NewReplicaSetAvailable"
            && workload.observed_generation == event.object.generation
            && workload.available == workload.ready
            && workload.ready == workload.current
            && workload.current == workload.updated
    })
}

/// The body of a `released` webhook.
#[derive(Serialize)]
struct Released<'a> {
    app: Texts<'a>,
    space: Texts<'a>,
    dyno: Texts<'a>,
    release: Texts<'a>,
    key: String,
    action: &'static str,
    slug: Texts<'a>,
    released_at: Timestamp,
}

impl<'a> Released<'a> {
    fn new(event: &Event, app: &App<'a>, workload: &'a Workload, uuid: &'a str) -> Self {
        let [app_name, space] = app.names();
        let image = workload.images.first().map_or("", String::as_str);
        Self {
            app: app_name,
            space,
            dyno: app.labelled_type.map(|dyno_type| ("type", dyno_type)).into_iter().collect(),
            release: Texts::from([("id", uuid)]),
            key: app.key(),
            action: "released",
            slug: Texts::from([("image", image)]),
            released_at: event.time(),
        }
    }
}
