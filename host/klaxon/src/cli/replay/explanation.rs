//! `klaxon replay --explain`.

use std::convert::Infallible;
use std::io::Write;

use super::{EngineArguments, Prepared, assemble, assemble_error, config};
use klaxon_core::pipeline::{Output, Pipeline};
use klaxon_harness::{
    ExplainedRule, Explainer, Outcomes, Replay, ReplayError, RuleUnderTest, Sandboxes, explain,
};
use klaxon_model::Origin;

/// The explanation of a replay, with what is collected for it.
pub(super) struct Explanation {
    origin: Origin,
    rules: Vec<ExplainedRule>,
    output: Output,
    /// The same rules without their policies. `None` if no rule has one.
    plain: Option<Pipeline>,
}

impl Explanation {
    pub(super) fn new(prepared: &mut Prepared, engine: &EngineArguments) -> Result<Self, String> {
        let sandboxes =
            Sandboxes::start(engine.cache.directory()).map_err(|error| error.to_string())?;
        let explained = |rule: &config::Rule| {
            let limits = rule.limits.clone();
            let manifest = RuleUnderTest::describe_within(&sandboxes, &rule.module, limits)
                .map_err(|error| error.to_string())?;
            let narrowing = rule.narrowing.clone();
            Ok(ExplainedRule { name: rule.name.as_str().into(), manifest, narrowing })
        };
        let rules = prepared.rules.iter().map(explained).collect::<Result<_, String>>()?;
        let mut plain = std::mem::take(&mut prepared.rules);
        let has_policy = plain.iter().any(|rule| !rule.policy.is_empty());
        plain.iter_mut().for_each(|rule| rule.policy = config::Policy::unlimited());
        let plain = has_policy.then(|| {
            let (targets, origin) = (prepared.targets.clone(), prepared.origin.clone());
            assemble(&plain, targets, origin, engine.options())
        });
        let plain = plain.transpose().map_err(|error| assemble_error(&error))?;
        Ok(Self { origin: prepared.origin.clone(), rules, output: Output::default(), plain })
    }

    /// Adds an output of the replay.
    pub(super) fn add(&mut self, output: Output) {
        self.output.append(output);
    }

    /// Explains the replay, which has ended.
    pub(super) fn write(
        self,
        replay: &Replay,
        out: &mut impl Write,
    ) -> Result<(), ReplayError<std::io::Error>> {
        let Self { origin, rules, output, plain } = self;
        let outcomes = match plain {
            None => Outcomes::new(&output, None),
            Some(mut pipeline) => {
                let mut all = Output::default();
                let ran = replay.run(&mut pipeline, |output| {
                    all.append(output);
                    Ok::<_, Infallible>(())
                });
                match ran {
                    Ok(_) => Outcomes::new(&all, Some(&output)),
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
