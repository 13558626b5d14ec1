//! Processes that die in the middle of a case: which, when, and what their death may change. It kills only what a node of the run started.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use crate::case::{Case, Step};
use crate::chance::Chance;
use crate::node::Observer;
use crate::peer::patience;
use crate::proxy::Proxy;
use crate::spec::code_name;

/// Deaths in one case.
const DEATHS: usize = 2;
/// A death comes up to so many milliseconds behind the beginning of its step.
const DELAY_MS: usize = 6;
/// How often a task is retried if nothing is said; calls of actors are not.
const TASK_RETRIES: u64 = 3;

/// What a failure may be after a death, whatever a case expects. Its cause may be one of these as well.
const LOSSES: &[&str] = &[
    "WORKER_DIED",
    "ACTOR_DIED",
    "ACTOR_UNAVAILABLE",
    "ACTOR_NOT_FOUND",
    "OBJECT_LOST",
    "RECONSTRUCTION_FAILED",
];

/// The deaths of one case.
pub struct Mishaps {
    chance: Chance,
    /// Steps in front of which something dies.
    at: Vec<usize>,
    node: u32,
    /// Those that kill, and whom.
    killers: Vec<(JoinHandle<()>, Vec<u32>)>,
    /// What died so far, for people.
    pub log: Vec<String>,
}

/// Whether a death in the middle can change an answer of the case into another one that is right too: where an answer counts attempts or restarts, and where a name may come to stand for another actor.
pub fn leaves_answers_alone(case: &Case) -> bool {
    const TELLING: &[&str] = &["die_first", "fail_first", "\"die\"", "max_restarts", "get_if_exists"];
    case.instances().iter().flat_map(|instance| &instance.steps).all(|step| {
        let text = Json::Object(step.keys.clone()).to_string();
        !TELLING.iter().any(|word| text.contains(word))
    })
}

/// Whether a death explains this failure.
pub fn is_loss(failure: &Json) -> bool {
    let named = failure["code"].as_u64().is_some_and(|code| LOSSES.contains(&code_name(code).as_str()));
    named || failure["cause"].is_object() && is_loss(&failure["cause"])
}

impl Mishaps {
    pub fn new(mut chance: Chance, steps: usize, node: u32) -> Self {
        let at = (0..DEATHS).map(|_| chance.below(steps)).collect();
        Self { chance, at, node, killers: Vec::new(), log: Vec::new() }
    }

    /// Whether anything died.
    pub fn struck(&self) -> bool {
        !self.log.is_empty()
    }

    /// A step begins: what is to die dies, at once or in a moment. Without a proxy the driver's connection stays.
    pub fn before(
        &mut self,
        step: usize,
        driver: Option<&Proxy>,
        observer: &mut Observer,
    ) -> Result<(), String> {
        for _ in 0..self.at.iter().filter(|at| **at == step).count() {
            if let Some(proxy) = driver.filter(|_| self.chance.one_in(4)) {
                proxy.cut();
                self.log.push(format!("in front of step {step} the driver's connection was cut"));
                continue;
            }
            // One that never began would only show how a server waits longer and longer before it starts the next.
            let workers = workers(&observer.status()?, |state| state != "starting");
            let Some(worker) = workers.get(self.chance.below(workers.len())).copied() else { continue };
            // Only what the node started: one of the workers may be gone, and its number somebody else's.
            let below = descendants(self.node);
            let template = parent(worker).filter(|pid| below.contains(pid) && self.chance.one_in(4));
            if !below.contains(&worker) {
                continue;
            }
            let victim = template.unwrap_or(worker);
            let late = self.chance.below(DELAY_MS) as u64;
            let what = if template.is_some() { "template" } else { "worker" };
            self.log.push(format!("{late} ms into step {step} the {what} {victim} was killed"));
            let mut dead = descendants(victim);
            dead.push(victim);
            let killer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(late));
                if let Some(pid) = i32::try_from(victim).ok().and_then(Pid::from_raw) {
                    // It may have ended meanwhile.
                    let _ = kill_process(pid, Signal::KILL);
                }
            });
            self.killers.push((killer, dead));
        }
        Ok(())
    }

    /// Waits until all are dead that were to die, and the server knows it.
    pub fn bury(&mut self, observer: &mut Observer) -> Result<(), String> {
        let mut dead = Vec::new();
        for (killer, pids) in self.killers.drain(..) {
            killer.join().map_err(|_| "the thread that kills failed")?;
            dead.extend(pids);
        }
        let until = Instant::now() + patience();
        while let Some(pid) = workers(&observer.status()?, |_| true).iter().find(|pid| dead.contains(pid)) {
            if Instant::now() > until {
                return Err(format!("the worker {pid} was killed, and the server does not notice"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

/// The process ids of a server's workers in some states.
fn workers(status: &Json, of: impl Fn(&str) -> bool) -> Vec<u32> {
    let list = status["worker_list"].as_array().into_iter().flatten();
    let mut pids: Vec<u32> = list
        .filter(|worker| worker["state"].as_str().is_some_and(&of))
        .filter_map(|worker| {
            let pid = &worker["pid"];
            pid.as_str().and_then(|pid| pid.parse().ok()).or(pid.as_u64().and_then(|pid| pid.try_into().ok()))
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// State and parent of a process.
fn about(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; behind it come the state and the parent.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn parent(pid: u32) -> Option<u32> {
    about(pid).map(|(_, parent)| parent)
}

/// The processes below one, in order of their numbers.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some((state, parent)) = about(pid)
            && state != 'Z'
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(&below);
        open.extend(below);
    }
    found.sort_unstable();
    found
}

/// How often each line may be in each file, at most: once for every attempt of the calls that write it. Files that are written with text which only a run knows are left out.
pub fn budgets(steps: &[Step]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut budgets: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for step in steps {
        let marks =
            ["function", "method"].iter().any(|key| step.keys.get(*key).is_some_and(|name| name == "mark"));
        let args = step.keys.get("args").and_then(Json::as_array).filter(|_| marks);
        let Some([file, text]) = args.map(Vec::as_slice) else { continue };
        let Some(file) = file["file"].as_str() else { continue };
        let Some(text) = text.as_str() else {
            unknown.push(file.to_owned());
            continue;
        };
        let asked = step.keys.get("options").and_then(|options| options["max_retries"].as_u64());
        let usual = if step.verb == "call" { TASK_RETRIES } else { 0 };
        *budgets.entry(file.to_owned()).or_default().entry(text.to_owned()).or_default() +=
            1 + asked.unwrap_or(usual);
    }
    budgets.retain(|file, _| !unknown.contains(file));
    budgets
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_loss_is_known_by_its_code_or_that_of_a_cause() {
        let code = |name: &str| crate::spec::CODE_NUMBERS[name];
        assert!(is_loss(&json!({"code": code("WORKER_DIED")})));
        assert!(is_loss(&json!({"code": code("TASK_FAILED"), "cause": {"code": code("ACTOR_DIED")}})));
        assert!(!is_loss(&json!({"code": code("TASK_FAILED"), "cause": {"code": code("CANCELLED")}})));
        assert!(!is_loss(&json!({"code": code("GET_TIMEOUT"), "cause": null})));
    }

    fn steps(text: &str) -> Vec<Step> {
        let file = format!(
            "about: x\nkind: sdk\ncases:\n  - name: a\n    about: y\n    spec: [TASK-010]\n    steps:\n{text}      - get: {{ref: r, gives: 1}}\n"
        );
        crate::case::parse("task", &file).expect("it is good")[0].instances().remove(0).steps
    }

    #[test]
    fn a_line_may_come_once_for_every_attempt_of_its_calls() {
        let found = budgets(&steps(
            "      - call: {function: mark, args: [{file: m}, x], as: r}\n      - invoke: {actor: c, method: mark, args: [{file: m}, x], as: r}\n      \
             - call: {function: mark, args: [{file: m}, y], options: {max_retries: 0}, as: r}\n      - call: {function: mark, args: [{file: n}, {ref: r}], as: r}\n      \
             - call: {function: mark, args: [{file: n}, z], as: r}\n",
        ));
        let lines = BTreeMap::from([("x".to_owned(), 5), ("y".to_owned(), 1)]);
        assert_eq!(found, BTreeMap::from([("m".to_owned(), lines)]));
    }

    #[test]
    fn cases_that_count_attempts_are_known() {
        let told = |step: &str| {
            let file = format!(
                "about: x\nkind: sdk\ncases:\n  - name: a\n    about: y\n    spec: [TASK-010]\n    steps:\n      - {step}\n      - get: {{ref: r, gives: 1}}\n"
            );
            leaves_answers_alone(&crate::case::parse("task", &file).expect("it is good")[0])
        };
        assert!(told("call: {function: echo, args: [1], as: r}"));
        assert!(!told("call: {function: die_first, args: [{file: t}, 1], as: r}"));
        assert!(!told("invoke: {actor: c, method: die, as: r}"));
        assert!(!told("create: {class: Counter, options: {max_restarts: 1}, as: r}"));
    }

    #[test]
    fn only_what_a_process_started_is_below_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep is there");
        assert!(descendants(std::process::id()).contains(&child.id()));
        assert!(!descendants(child.id()).contains(&std::process::id()));
        assert_eq!(parent(child.id()), Some(std::process::id()));
        let _ = child.kill();
        let _ = child.wait();
    }

    #[test]
    fn workers_are_told_apart_by_their_state() {
        let status = json!({"worker_list": [{"pid": "9", "state": "idle"}, {"pid": 7, "state": "starting"}, {"pid": "8", "state": "actor"}]});
        assert_eq!(workers(&status, |state| state != "starting"), [8, 9]);
        assert_eq!(workers(&status, |_| true), [7, 8, 9]);
    }
}
