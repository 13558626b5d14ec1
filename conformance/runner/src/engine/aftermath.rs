//! What is judged of a case after a death in its middle: nothing hangs, and no call ran more often than it may.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::{Outcome, Stage, Stop};
use crate::case::Step;
use crate::mishap::{budgets, is_loss};
use crate::peer::patience;
use crate::process::Answer;

/// How long a file is waited for before the question is asked whether it can still come.
pub const DOUBT_MS: u128 = 200;

impl Stage<'_> {
    /// Whether something died in this case.
    pub(super) fn struck(&self) -> bool {
        self.mishaps.as_ref().is_some_and(super::Mishaps::struck)
    }

    /// What was found is no fault if a death explains it.
    pub(super) fn unless_struck(&self, reason: String) -> Stop {
        if self.struck() { Stop::Lost(reason) } else { Stop::Failed(reason) }
    }

    /// A case that a death cut short: what holds others up is let go, and then all must end that the case would have waited for.
    pub(super) fn aftermath(&mut self, done: &[Step], rest: &[Step]) -> Result<(), String> {
        let known = names(done);
        for step in rest {
            let about = |key: &str| {
                step.keys.get(key).and_then(Json::as_str).is_some_and(|name| known.contains(name))
            };
            let lets_go = match step.verb {
                "touch" => true,
                "cancel" => about("ref"),
                "kill" => about("actor"),
                _ => false,
            };
            if lets_go && let Err(Stop::Failed(reason)) = self.step(step) {
                return Err(format!("after a death, {}: {reason}", step.verb));
            }
        }
        for (_, (name, id, step)) in std::mem::take(&mut self.later) {
            self.answer(&name, id).map_err(|reason| format!("after a death, {}: {reason}", step.verb))?;
        }
        for (driver, refs) in awaited(done, rest) {
            let limit = u64::try_from(patience().as_millis()).unwrap_or(u64::MAX);
            let command = json!({"refs": refs, "count": refs.len(), "timeout_ms": limit});
            let id = self.driver(&driver)?.send("wait", command)?;
            match self.answer(&driver, id)? {
                Answer::Result(result) if result["pending"] == json!([]) => {}
                Answer::Result(result) => {
                    return Err(format!("after a death these never end: {}", result["pending"]));
                }
                Answer::Failure(failure) => {
                    return Err(format!("after a death, wait: {}", super::tell(&failure)));
                }
                Answer::Unsupported(_) => {}
            }
        }
        Ok(())
    }

    /// Whether one of the things that the case waits for is lost already, or all are over: then nobody is left to make a file.
    pub(super) fn has_lost(&mut self, done: &[Step], rest: &[Step]) -> Result<bool, String> {
        if !self.struck() || !self.later.is_empty() {
            return Ok(false);
        }
        let awaited = awaited(done, rest);
        let mut over = !awaited.is_empty();
        for (driver, refs) in awaited {
            let command = json!({"refs": refs, "count": refs.len(), "timeout_ms": 1});
            let id = self.driver(&driver)?.send("wait", command)?;
            let Answer::Result(result) = self.answer(&driver, id)? else { continue };
            over &= result["pending"] == json!([]);
            for name in result["ready"].as_array().into_iter().flatten() {
                let id = self.driver(&driver)?.send("get", json!({"refs": [name], "timeout_ms": 1}))?;
                if let Answer::Failure(failure) = self.answer(&driver, id)?
                    && is_loss(&failure)
                {
                    return Ok(true);
                }
            }
        }
        Ok(over)
    }

    /// That nothing ran more often than its retries allow.
    pub(super) fn within_budget(&self, steps: &[Step]) -> Outcome {
        if self.struck() {
            for (file, budget) in budgets(steps) {
                let found = self.lines(&file);
                for (text, most) in budget {
                    let count = found.iter().filter(|line| **line == text).count() as u64;
                    if count > most {
                        return Outcome::Failed(format!(
                            "{text} is {count} times in {file}, and its calls have {most} attempts"
                        ));
                    }
                }
            }
        }
        Outcome::Passed
    }
}

/// What the steps gave names to.
fn names(steps: &[Step]) -> BTreeSet<String> {
    let given = steps.iter().filter_map(|step| step.keys.get("as"));
    let flat = given.flat_map(|name| name.as_array().cloned().unwrap_or_else(|| vec![name.clone()]));
    flat.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Refs that are there, by driver, and that the case as a whole waits for without a limit of its own.
fn awaited(done: &[Step], rest: &[Step]) -> BTreeMap<String, BTreeSet<String>> {
    let mut awaited: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if done.iter().any(|step| ["open", "close", "end_driver"].contains(&step.verb)) {
        return awaited;
    }
    let driver = |step: &Step| step.keys.get("driver").and_then(Json::as_str).unwrap_or("main").to_owned();
    let calls = |step: &&Step| {
        ["call", "invoke"].contains(&step.verb)
            && step.keys.get("options").is_none_or(|options| options["returns"] != "stream")
    };
    for step in
        done.iter().chain(rest).filter(|step| step.verb == "get" && !step.keys.contains_key("timeout_ms"))
    {
        let refs = step.keys.get("refs").and_then(Json::as_array).cloned().unwrap_or_default();
        let wanted = refs.iter().chain(step.keys.get("ref")).filter_map(Json::as_str);
        let of_driver: Vec<Step> =
            done.iter().filter(calls).filter(|made| driver(made) == driver(step)).cloned().collect();
        let there = names(&of_driver);
        awaited
            .entry(driver(step))
            .or_default()
            .extend(wanted.filter(|name| there.contains(*name)).map(str::to_owned));
    }
    let dropped = done
        .iter()
        .filter_map(|step| step.keys.get("names"))
        .flat_map(|names| names.as_array().cloned().unwrap_or_default());
    for name in dropped {
        awaited.values_mut().for_each(|refs| {
            refs.remove(name.as_str().unwrap_or_default());
        });
    }
    awaited.retain(|_, refs| !refs.is_empty());
    awaited
}
