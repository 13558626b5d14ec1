//! Case files: read, checked, and multiplied by their parameters. Nothing here runs a case.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use serde_saphyr::Spanned;

use crate::profile::Trouble;
use crate::verbs;

/// Who plays what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A driver testee and a worker testee, through a real server.
    Sdk,
    /// The runner is client and worker, the server is real.
    Server,
    /// The runner is the server of a driver testee.
    Driver,
    /// The runner is the server of a worker testee.
    Worker,
}

/// Each kind.
pub const KINDS: [Kind; 4] = [Kind::Sdk, Kind::Server, Kind::Driver, Kind::Worker];

impl Kind {
    /// As in a case file.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

const CONTRACT: &str = include_str!("../../docs/testee.md");

/// What a testee may claim: the first column of the table in the contract.
pub static FEATURES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let section = CONTRACT.split("\n## Features\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let rows =
        section.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    rows.flat_map(|cell| cell.split(['`', ' ']).filter(|word| !word.is_empty())).collect()
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    kind: Kind,
    cases: Vec<Spanned<Template>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    name: String,
    about: String,
    spec: Vec<String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    worker_needs: Vec<String>,
    #[serde(default)]
    carrier: Vec<String>,
    #[serde(default = "yes")]
    pairs: bool,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    params: Vec<BTreeMap<String, Json>>,
    steps: Vec<Spanned<Map<String, Json>>>,
}

fn yes() -> bool {
    true
}

/// One case as it is written: a template, with a name such as `task/echo`.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub about: String,
    pub kind: Kind,
    pub spec: Vec<String>,
    /// Features that the driver, or the only testee, must claim.
    pub needs: Vec<String>,
    /// Features that the worker must claim.
    pub worker_needs: Vec<String>,
    /// Carriers on which it runs; the Unix socket if none is named.
    pub carriers: Vec<String>,
    /// Whether it runs for each pair of SDKs, or only for each with itself.
    pub pairs: bool,
    /// Set-ups that it runs under; all if none is named.
    pub profiles: Vec<String>,
    params: Vec<BTreeMap<String, Json>>,
    steps: Vec<Step>,
}

/// One step: a verb and what goes with it.
#[derive(Clone, Debug)]
pub struct Step {
    pub line: u64,
    pub verb: &'static str,
    pub keys: Map<String, Json>,
}

/// A template with its parameters filled in.
pub struct Instance {
    pub name: String,
    pub steps: Vec<Step>,
}

impl Case {
    /// One for each set of parameters.
    pub fn instances(&self) -> Vec<Instance> {
        if self.params.is_empty() {
            return vec![Instance { name: self.name.clone(), steps: self.steps.clone() }];
        }
        let instance = |(index, params): (usize, &BTreeMap<String, Json>)| {
            let label =
                params.get("label").and_then(Json::as_str).map_or_else(|| index.to_string(), str::to_owned);
            let fill = |step: &Step| Step { keys: fill_map(&step.keys, params), ..step.clone() };
            Instance { name: format!("{}[{label}]", self.name), steps: self.steps.iter().map(fill).collect() }
        };
        self.params.iter().enumerate().map(instance).collect()
    }
}

fn fill_map(map: &Map<String, Json>, params: &BTreeMap<String, Json>) -> Map<String, Json> {
    map.iter().map(|(key, value)| (key.clone(), fill(value, params))).collect()
}

/// `${x}` alone is replaced by the parameter; inside longer text, by its text.
fn fill(value: &Json, params: &BTreeMap<String, Json>) -> Json {
    match value {
        Json::String(text) if text.contains("${") => {
            for (name, param) in params {
                if *text == format!("${{{name}}}") {
                    return param.clone();
                }
            }
            let mut text = text.clone();
            for (name, param) in params {
                let plain = param.as_str().map_or_else(|| param.to_string(), str::to_owned);
                text = text.replace(&format!("${{{name}}}"), &plain);
            }
            Json::String(text)
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| fill(item, params)).collect()),
        Json::Object(map) => Json::Object(fill_map(map, params)),
        other => other.clone(),
    }
}

/// YAML as of 1.2: `n` is a letter and no boolean.
pub fn yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
}

/// Reads one file. The error names file, line and reason.
pub fn parse(noun: &str, text: &str) -> Result<Vec<Case>, String> {
    let file: File = yaml(text).map_err(|error| format!("{noun}.yaml: {error}"))?;
    if file.about.is_empty() {
        return Err(format!("{noun}.yaml: `about` is empty"));
    }
    let mut cases: Vec<Case> = Vec::new();
    for template in file.cases {
        let line = template.referenced.line();
        let at = |reason: String| format!("{noun}.yaml:{line}: {reason}");
        let template = template.value;
        let name = format!("{noun}/{}", template.name);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if template.name.is_empty() || !template.name.chars().all(plain) {
            return Err(at(format!("`{}` is no name: small letters, digits and -", template.name)));
        }
        if cases.iter().any(|case| case.name == name) {
            return Err(at(format!("there is a case `{name}` already")));
        }
        if template.spec.is_empty() {
            return Err(at(format!("`{name}` names no id of the specification")));
        }
        for id in &template.spec {
            if !crate::spec::is_known(id) {
                return Err(at(format!("`{name}` cites {id}, which no page of the specification defines")));
            }
        }
        for carrier in &template.carrier {
            if !["unix", "grpc"].contains(&carrier.as_str()) {
                return Err(at(format!("`{carrier}` is no carrier: unix or grpc")));
            }
        }
        for profile in &template.profiles {
            if crate::profile::find(profile).is_none_or(|known| known.trouble != Trouble::None) {
                return Err(at(format!("`{profile}` is no set-up of the suite")));
            }
        }
        for feature in template.needs.iter().chain(&template.worker_needs) {
            if !FEATURES.contains(&feature.as_str()) {
                return Err(at(format!("`{feature}` is no feature: there are {}", FEATURES.join(", "))));
            }
        }
        let mut steps = Vec::new();
        for step in template.steps {
            let line = step.referenced.line();
            steps.push(
                verbs::check(file.kind, line, step.value)
                    .map_err(|reason| format!("{noun}.yaml:{line}: {reason}"))?,
            );
        }
        if !steps.iter().any(verbs::judges) {
            return Err(at(format!(
                "`{name}` expects nothing: no step of it can fail for what a testee did"
            )));
        }
        let unused = |param: &&String| {
            *param != "label"
                && !steps
                    .iter()
                    .any(|s| Json::Object(s.keys.clone()).to_string().contains(&format!("${{{param}}}")))
        };
        if let Some(param) = template.params.iter().flat_map(BTreeMap::keys).find(unused) {
            return Err(at(format!("no step uses the parameter `{param}`")));
        }
        // What is put in for a parameter may hold no other.
        let given: Vec<&String> = template.params.first().into_iter().flat_map(BTreeMap::keys).collect();
        for step in &steps {
            let text = Json::Object(step.keys.clone()).to_string();
            for name in text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
            {
                if !given.iter().any(|param| *param == name) {
                    return Err(at(format!(
                        "line {} wants a parameter ${{{name}}}, and there is none",
                        step.line
                    )));
                }
            }
        }
        if template.params.iter().any(|params| {
            params
                .keys()
                .filter(|key| *key != "label")
                .ne(given.iter().copied().filter(|key| *key != "label"))
        }) {
            return Err(at(format!("the sets of parameters of `{name}` do not have the same names")));
        }
        cases.push(Case {
            name,
            about: template.about,
            kind: file.kind,
            spec: template.spec,
            needs: template.needs,
            worker_needs: template.worker_needs,
            carriers: template.carrier,
            pairs: template.pairs,
            profiles: template.profiles,
            params: template.params,
            steps,
        });
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "about: x\nkind: sdk\ncases:\n  - name: one\n    about: y\n    spec: [TASK-010]\n    params:\n      - {n: 1}\n      - {n: 2, label: two}\n    steps:\n      - call: {function: echo, args: ['${n}'], as: a}\n      - get: {ref: a, gives: '${n}'}\n";

    #[test]
    fn a_template_becomes_one_instance_for_each_set_of_parameters() {
        let cases = parse("task", GOOD).expect("it is good");
        let names: Vec<String> = cases[0].instances().into_iter().map(|instance| instance.name).collect();
        assert_eq!(names, ["task/one[0]", "task/one[two]"]);
        assert_eq!(cases[0].instances()[1].steps[1].keys["gives"], Json::from(2));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_line() {
        for (from, to, line, reason) in [
            ("steps:", "stops:", "", "stops"),
            ("kind: sdk", "kind: sdl", "", "sdl"),
            ("TASK-010", "TASK-1O", "task.yaml:4", "TASK-1O"),
            ("- call:", "- cull:", "task.yaml:11", "cull"),
            ("function: echo", "functoin: echo", "task.yaml:11", "functoin"),
            ("      - get: {ref: a, gives: '${n}'}\n", "", "task.yaml:4", "expects nothing"),
            ("ref: a, gives", "gives", "task.yaml:12", "ref"),
            ("- {n: 1}", "- {m: 1}", "task.yaml:4", "`m`"),
            ("about: x", "about: [x", "", "line 1"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let error = parse("task", &text).expect_err(to);
            assert!(error.contains(line) && error.contains(reason), "{to}: {error}");
        }
    }
}
