//! `klaxon replay --explain`.

use std::convert::Infallible;
use std::io::Write;

use super::{EngineArguments, Prepared, assemble, config};
use klaxon_core::pipeline::{Output, Pipeline};
use klaxon_harness::{Decisions, ExplainedRule, Explainer, Outcomes, Replay, ReplayError, explain};
use klaxon_model::Origin;

/// The explanation of a replay, with what is collected for it.
pub(super) struct Explanation {
    origin: Origin,
    rules: Vec<ExplainedRule>,
    collected: Collected,
}

/// The results of the replay that the explanation needs.
enum Collected {
    /// No rule has a policy: the outcomes are those of the replay.
    Outcomes(Outcomes),
    /// The decisions of the policies in the replay. A second replay of the same rules without their policies follows.
    Decisions(Decisions, Box<Pipeline>),
}

impl Explanation {
    pub(super) fn new(prepared: &mut Prepared, engine: &EngineArguments) -> Result<Self, String> {
        let narrowed = prepared.pipeline.rules().zip(&prepared.rules);
        let rules = narrowed.map(|(info, rule)| ExplainedRule {
            info: info.clone(),
            narrowing: rule.narrowing.clone(),
        });
        let rules = rules.collect();
        let mut plain = std::mem::take(&mut prepared.rules);
        let has_policy = plain.iter().any(|rule| !rule.policy.is_empty());
        plain.iter_mut().for_each(|rule| rule.policy = config::Policy::unlimited());
        let plain = has_policy.then(|| {
            let (targets, origin) = (prepared.targets.clone(), prepared.origin.clone());
            assemble(&plain, targets, origin, engine.options())
        });
        let plain = plain.transpose().map_err(|error| error.to_string())?;
        let collected = match plain {
            None => Collected::Outcomes(Outcomes::new(None)),
            Some(pipeline) => Collected::Decisions(Decisions::default(), Box::new(pipeline)),
        };
        Ok(Self { origin: prepared.origin.clone(), rules, collected })
    }

    /// Adds an output of the replay.
    pub(super) fn add(&mut self, output: &Output) {
        match &mut self.collected {
            Collected::Outcomes(outcomes) => outcomes.add(output),
            Collected::Decisions(decisions, _) => decisions.add(output),
        }
    }

    /// Explains the replay, which has ended.
    pub(super) fn write(
        self,
        replay: &Replay,
        out: &mut impl Write,
    ) -> Result<(), ReplayError<std::io::Error>> {
        let Self { origin, rules, collected } = self;
        let outcomes = match collected {
            Collected::Outcomes(outcomes) => outcomes,
            Collected::Decisions(decisions, mut pipeline) => {
                let mut outcomes = Outcomes::new(Some(decisions));
                let ran = replay.run(&mut pipeline, |output| {
                    outcomes.add(&output);
                    Ok::<_, Infallible>(())
                });
                match ran {
                    Ok(_) => outcomes,
                    Err(ReplayError::Stream(error)) => return Err(error.into()),
                    Err(ReplayError::Sink(never)) => match never {},
                }
            }
        };
        // The interests were accepted when the rules were loaded.
        let explainer = Explainer::new(origin, rules, outcomes);
        let mut explainer =
            explainer.map_err(|error| ReplayError::Sink(std::io::Error::other(error)))?;
        explain(&replay.streams, &mut explainer, |text| out.write_all(text.as_bytes()))
    }
}
