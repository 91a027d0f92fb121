//! Releases: a deployment that is fully rolled out with a release that was not reported before.

use klaxon_sdk::prelude::*;
use klaxon_sdk::{Workload, rfc3339};
use serde::{Deserialize, Serialize};

use crate::app::{self, App, Named};

/// The label that names a release.
pub(crate) const RELEASE_UUID: &str = "akkeris.io/release-uuid";
const STATE: &str = "releases";
/// Maximum number of remembered deployments of one app; those with the latest changes of release stay.
const MOST_DEPLOYMENTS: usize = 200;
const NEWS_FOR_MS: i64 = 3_600_000;

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
) -> Result<(), String> {
    let Some(uuid) = app::label(event, RELEASE_UUID) else {
        return Ok(());
    };
    let rolled_out = rolled_out(event, workload);
    // At the start, the releases of all existing deployments are learnt, even if their rollout is not
    // complete.
    let is_learnt = event.change == Change::Snapshot;
    if rolled_out.is_none() && !is_learnt {
        return Ok(());
    }
    let deployment = event.object.name.as_str();
    let mut releases: Releases = cx.state().get_json(STATE)?.unwrap_or_default();
    if releases.had(deployment) == Some(uuid) {
        return Ok(());
    }
    let is_recent =
        rolled_out.flatten().is_none_or(|at| event.time.saturating_sub(at) <= NEWS_FOR_MS);
    if !is_learnt && is_recent && releases.is_news(deployment, uuid) {
        let body = payload(event, app, workload, uuid);
        out.emit(Verdict::firing("released", app.key()).payload(&body)?);
        releases.reported = Some(uuid.to_owned());
    }
    releases.remember(deployment, uuid);
    cx.state().put_json(STATE, &releases)
}

/// Returns the time at which the rollout was complete, as far as the condition contains it; `None` if it is
/// not complete.
///
/// The status describes the spec only if the generations are equal: the first update of a new release still
/// has the complete status of the previous one.
fn rolled_out(event: &Event, workload: &Workload) -> Option<Option<i64>> {
    let progressing = workload.condition("Progressing")?;
    let complete = progressing.status == ConditionStatus::IsTrue
        && progressing.reason() == "NewReplicaSetAvailable"
        && workload.observed_generation == event.object.generation
        && workload.available == workload.ready
        && workload.ready == workload.current
        && workload.current == workload.updated;
    complete.then_some(progressing.updated_at.or(progressing.changed_at))
}

#[derive(Serialize)]
struct Released<'a> {
    app: Named<'a>,
    space: Named<'a>,
    dyno: DynoType<'a>,
    release: Release<'a>,
    key: String,
    action: &'static str,
    slug: Slug<'a>,
    released_at: String,
}

#[derive(Serialize)]
struct Slug<'a> {
    image: &'a str,
}

#[derive(Serialize)]
struct DynoType<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
}

#[derive(Serialize)]
struct Release<'a> {
    id: &'a str,
}

fn payload<'a>(
    event: &Event,
    app: &App<'a>,
    workload: &'a Workload,
    uuid: &'a str,
) -> Released<'a> {
    Released {
        app: Named { name: app.name },
        space: Named { name: app.space },
        dyno: DynoType { r#type: app.labelled_type },
        release: Release { id: uuid },
        key: app.key(),
        action: "released",
        slug: Slug { image: workload.images.first().map_or("", String::as_str) },
        released_at: rfc3339(event.time),
    }
}
