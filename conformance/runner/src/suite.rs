//! Which cases run with whom, and the threads that run them: one for each SDK's own node, one for what the runner plays to it, one for the server alone.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value as Json, json};

use crate::case::{Case, Instance, Kind};
use crate::chance::Chance;
use crate::engine::{Outcome, Stage};
use crate::mishap::Mishaps;
use crate::node::{self, Observer};
use crate::pattern::Names;
use crate::process::{Node, Testee};
use crate::profile::{Profile, Trouble};
use crate::proxy::Proxy;
use crate::schema::Side;

/// An SDK under test: its name and the command of its testee.
#[derive(Clone)]
pub struct Sdk {
    pub name: String,
    pub command: Vec<String>,
    /// What the testee's hello says: the language's name, and what it claims.
    pub language: String,
    pub features: Vec<String>,
}

/// What a run is asked to do.
pub struct Plan {
    pub cases: Vec<Case>,
    pub sdks: Vec<Sdk>,
    pub server: PathBuf,
    pub profile: Profile,
    /// Whether the cases of kind server run.
    pub judge_server: bool,
    /// Whether each SDK calls each, or only itself.
    pub pairs: bool,
    /// What links and deaths are drawn from.
    pub seed: u64,
}

/// One instance that ran, with one driver and one worker.
pub struct Finding {
    pub case: String,
    pub instance: String,
    pub carrier: String,
    /// `server` where the runner plays all parts but that.
    pub caller: String,
    pub callee: Option<String>,
    pub outcome: Outcome,
    /// Whether a death ended it before its last step.
    pub cut_short: bool,
    pub trace: Vec<String>,
}

impl Finding {
    /// `python` or `python->go`.
    pub fn who(&self) -> String {
        match &self.callee {
            Some(callee) => format!("{}->{callee}", self.caller),
            None => self.caller.clone(),
        }
    }
}

/// Lines of the workers' standard error that a failure is told with.
const SAID_MAX: usize = 60;

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// Asks every testee what it can do.
pub fn hello(name: &str, command: &[String]) -> Result<Sdk, String> {
    let testee = Testee::start(command).map_err(|error| format!("{name}: {error}"))?;
    Ok(Sdk {
        name: name.to_owned(),
        command: command.to_vec(),
        language: testee.language.clone(),
        features: testee.features.clone(),
    })
}

/// Runs everything. `tell` hears of each finding as it comes.
pub fn run(plan: &Plan, tell: &(dyn Fn(&Finding) + Sync)) -> Result<Vec<Finding>, String> {
    let findings = Mutex::new(Vec::new());
    let errors = Mutex::new(Vec::new());
    let report = |finding: Finding| {
        tell(&finding);
        findings.lock().expect("no holder panics").push(finding);
    };
    let attempt = |outcome: Result<(), String>| {
        if let Err(error) = outcome {
            errors.lock().expect("no holder panics").push(error);
        }
    };
    std::thread::scope(|scope| {
        for sdk in &plan.sdks {
            scope.spawn(|| attempt(with_server(plan, sdk, &report)));
            scope.spawn(|| attempt(as_server(plan, sdk, &report)));
        }
        if plan.judge_server {
            scope.spawn(|| attempt(server_alone(plan, &report)));
        }
    });
    if let Some(error) = errors.into_inner().expect("no holder panics").into_iter().next() {
        return Err(error);
    }
    let mut findings = findings.into_inner().expect("no holder panics");
    findings.sort_by(|a, b| {
        (&a.caller, &a.callee, &a.instance, &a.carrier).cmp(&(&b.caller, &b.callee, &b.instance, &b.carrier))
    });
    Ok(findings)
}

fn selected<'p>(plan: &'p Plan, kinds: &[Kind]) -> Vec<(&'p Case, Instance)> {
    let runs = |case: &&Case| kinds.contains(&case.kind) && plan.profile.has(case);
    plan.cases
        .iter()
        .filter(runs)
        .flat_map(|case| case.instances().into_iter().map(move |instance| (case, instance)))
        .collect()
}

fn names(folder: &Path) -> Result<Names, String> {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let folder = folder.join(serial.to_string());
    std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
    Ok(Names::new(folder, serial))
}

fn folder() -> Result<tempfile::TempDir, String> {
    // The server listens only where nobody else can enter.
    let owner_only = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new()
        .prefix("conformance-")
        .permissions(owner_only)
        .tempdir()
        .map_err(|error| error.to_string())
}

/// A node in a folder that only we can enter, with its socket at `node.sock`.
fn start_node(plan: &Plan, dir: &Path, pools: &Json) -> Result<Node, String> {
    let file = dir.join("pools.json");
    std::fs::write(&file, pools.to_string()).map_err(|error| error.to_string())?;
    let mut flags: Vec<String> = plan.profile.flags.iter().map(|flag| (*flag).to_owned()).collect();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    flags.extend(["--pools".to_owned(), text(file)]);
    flags.extend(["--spill-dir".to_owned(), text(spill(dir))]);
    Node::start(&plan.server, dir, &flags)
}

/// Where the node of a folder spills to.
fn spill(dir: &Path) -> PathBuf {
    dir.join("spill")
}

fn missing(needs: &[String], sdk: &Sdk) -> Option<String> {
    needs.iter().find(|need| !sdk.features.contains(need)).cloned()
}

/// The SDK as a driver against a real server, with workers of every SDK.
fn with_server(plan: &Plan, sdk: &Sdk, report: &dyn Fn(Finding)) -> Result<(), String> {
    let instances = selected(plan, &[Kind::Sdk]);
    if instances.is_empty() {
        return Ok(());
    }
    let folder = folder()?;
    let socket = folder.path().join("node.sock");
    let lossy = plan.profile.trouble == Trouble::Link;
    let driver_proxy = Proxy::start(folder.path().join("driver.sock"), &socket, "driver", lossy)?;
    let mut worker_proxies = BTreeMap::new();
    let said = |callee: &Sdk| folder.path().join(format!("{}.stderr", callee.name));
    let mut pools = Vec::new();
    let crosses = plan.pairs && instances.iter().any(|(case, _)| case.pairs);
    for callee in plan.sdks.iter().filter(|callee| crosses || callee.name == sdk.name) {
        let path = folder.path().join(format!("{}.sock", callee.name));
        let proxy = Proxy::start(path, &socket, "worker", lossy)?;
        pools.push(node::pool(
            &pool(callee),
            &callee.name,
            &callee.command,
            &format!("unix:{}", proxy.path.display()),
            &said(callee),
        )?);
        worker_proxies.insert(callee.name.clone(), proxy);
    }
    let node = start_node(plan, folder.path(), &json!(pools))?;
    let mut observer = Observer::connect(&node.unix)?;
    let mut testees: BTreeMap<&str, BTreeMap<String, Testee>> = BTreeMap::new();
    for (case, instance) in &instances {
        let carriers: Vec<&str> = if case.carriers.is_empty() {
            vec!["unix"]
        } else {
            case.carriers.iter().map(String::as_str).collect()
        };
        for callee in plan.sdks.iter().filter(|callee| plan.pairs && case.pairs || callee.name == sdk.name) {
            for &carrier in &carriers {
                let worker_proxy = &worker_proxies[&callee.name];
                let mut finding = Finding {
                    case: case.name.clone(),
                    instance: instance.name.clone(),
                    carrier: carrier.to_owned(),
                    caller: sdk.name.clone(),
                    callee: Some(callee.name.clone()),
                    outcome: Outcome::Passed,
                    cut_short: false,
                    trace: Vec::new(),
                };
                let grpc = (carrier == "grpc")
                    .then(|| "grpc".to_owned())
                    .filter(|feature| !sdk.features.contains(feature));
                if let Some(feature) =
                    missing(&case.needs, sdk).or(missing(&case.worker_needs, callee)).or(grpc)
                {
                    finding.outcome = Outcome::Unsupported(feature);
                    report(finding);
                    continue;
                }
                let said_before = said_length(&said(callee));
                let who = finding.who();
                let chance = |what| Chance::new(plan.seed, &[what, &instance.name, &who, carrier]);
                driver_proxy.begin(chance("driver"));
                worker_proxy.begin(chance("worker"));
                let own = testees.entry(carrier).or_default();
                let mut stage = Stage::new(names(folder.path())?, own, &sdk.command);
                stage.open = if carrier == "grpc" {
                    json!({"address": node.grpc, "token_file": node.token_file})
                } else {
                    json!({"address": format!("unix:{}", driver_proxy.path.display())})
                };
                let third = third(plan, sdk, callee, &case.worker_needs).filter(|_| crosses).unwrap_or(sdk);
                for (part, it) in [("caller", sdk), ("callee", callee), ("third", third)] {
                    stage.names.bound.insert(format!("{part}_language"), json!(it.language));
                }
                stage.callee = pool(callee);
                stage.caller = pool(sdk);
                stage.third = pool(third);
                stage.observer = Some(&mut observer);
                stage.driver_proxy = Some(&driver_proxy);
                stage.server = Some(node.unix.clone());
                stage.spill = spill(folder.path());
                if plan.profile.trouble == Trouble::Kill {
                    stage.mishaps = Some(Mishaps::new(chance("deaths"), instance.steps.len(), node.pid()));
                }
                finding.outcome = stage.run(&instance.steps);
                if let (Err(reason), Outcome::Passed) = (stage.bury(), &finding.outcome) {
                    finding.outcome = Outcome::Failed(reason);
                }
                finding.cut_short = stage.cut_short;
                finding.trace = stage.trace();
                drop(stage);
                tidy(own, &instance.steps, &finding);
                let breaches = [("driver", &driver_proxy), ("worker", worker_proxy)].into_iter().flat_map(
                    |(role, proxy)| {
                        proxy.take_breaches().into_iter().map(move |(side, breach)| match side {
                            Side::Client => format!("the {role} broke the protocol: {breach}"),
                            Side::Server => {
                                format!("the server broke the protocol towards the {role}: {breach}")
                            }
                        })
                    },
                );
                let breaches: Vec<String> = breaches.collect();
                if let (Outcome::Passed, Some(breach)) = (&finding.outcome, breaches.first()) {
                    finding.outcome = Outcome::Failed(breach.clone());
                }
                if matches!(finding.outcome, Outcome::Failed(_)) {
                    finding.trace.extend(said_since(&said(callee), said_before));
                    finding.trace.extend(driver_proxy.trace());
                    finding.trace.extend(worker_proxy.trace());
                    finding.trace.extend(node.said().lines().map(|line| format!("server: {line}")));
                } else {
                    finding.trace.clear();
                }
                report(finding);
            }
        }
    }
    Ok(())
}

/// How much the workers of an SDK have said on standard error.
fn said_length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |about| about.len())
}

/// What they said since it was so much; the last of it, if it was a lot.
fn said_since(file: &Path, before: u64) -> Vec<String> {
    let text = std::fs::read(file).unwrap_or_default();
    let new = text.get(usize::try_from(before).unwrap_or(usize::MAX)..).unwrap_or_default();
    let lines: Vec<String> =
        String::from_utf8_lossy(new).lines().map(|line| format!("worker stderr: {line}")).collect();
    lines[lines.len().saturating_sub(SAID_MAX)..].to_vec()
}

/// Leaves the testees of a case as the next one wants them.
fn tidy(testees: &mut BTreeMap<String, Testee>, steps: &[crate::case::Step], finding: &Finding) {
    let marked = steps.iter().any(|step| ["open", "close", "cut_driver"].contains(&step.verb));
    if marked || finding.cut_short || !matches!(finding.outcome, Outcome::Passed) {
        // Whatever they are in the middle of ends with them.
        for testee in testees.values_mut() {
            testee.broken = true;
        }
        testees.clear();
        return;
    }
    testees.retain(|_, testee| testee.send("reset", json!({})).and_then(|id| testee.answer(id)).is_ok());
}

/// The SDK behind the callee that is neither it nor the caller, and has what the case needs: over all pairs, each comes third after each.
fn third<'p>(plan: &'p Plan, caller: &Sdk, callee: &Sdk, needs: &[String]) -> Option<&'p Sdk> {
    let at = plan.sdks.iter().position(|sdk| sdk.name == callee.name)?;
    let (before, behind) = plan.sdks.split_at(at);
    behind
        .iter()
        .chain(before)
        .find(|sdk| sdk.name != caller.name && sdk.name != callee.name && missing(needs, sdk).is_none())
}

fn pool(sdk: &Sdk) -> String {
    format!("conformance-{}", sdk.name)
}

/// The runner as the server of the SDK's driver and of its worker.
fn as_server(plan: &Plan, sdk: &Sdk, report: &dyn Fn(Finding)) -> Result<(), String> {
    let folder = folder()?;
    for (case, instance) in selected(plan, &[Kind::Driver, Kind::Worker]) {
        let mut finding = alone(case, &instance, &sdk.name);
        if let Some(feature) = missing(&case.needs, sdk) {
            finding.outcome = Outcome::Unsupported(feature);
            report(finding);
            continue;
        }
        let names = names(folder.path())?;
        let path = names.folder.join("node.sock");
        let listener =
            UnixListener::bind(&path).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        // Each case has processes of its own: what a misbehaving server leaves in them must not reach the next.
        let mut testees = BTreeMap::new();
        let mut stage = Stage::new(names, &mut testees, &sdk.command);
        stage.listener = Some(listener.map_err(|error| error.to_string())?);
        stage.address = format!("unix:{}", path.display());
        stage.open = json!({"address": stage.address});
        finding.outcome = stage.run(&instance.steps);
        if matches!(finding.outcome, Outcome::Failed(_)) {
            finding.trace = stage.trace();
        }
        drop(stage);
        for testee in testees.values_mut() {
            testee.broken = true;
        }
        report(finding);
    }
    Ok(())
}

/// The runner as client and worker of a real server.
fn server_alone(plan: &Plan, report: &dyn Fn(Finding)) -> Result<(), String> {
    let instances = selected(plan, &[Kind::Server]);
    if instances.is_empty() {
        return Ok(());
    }
    let folder = folder()?;
    let node = start_node(plan, folder.path(), &json!([]))?;
    for (case, instance) in &instances {
        let mut finding = alone(case, instance, "server");
        let mut testees = BTreeMap::new();
        let mut stage = Stage::new(names(folder.path())?, &mut testees, &[]);
        stage.server = Some(node.unix.clone());
        stage.spill = spill(folder.path());
        finding.outcome = stage.run(&instance.steps);
        if matches!(finding.outcome, Outcome::Failed(_)) {
            finding.trace = stage.trace();
            finding.trace.extend(node.said().lines().map(|line| format!("server: {line}")));
        }
        drop(stage);
        report(finding);
    }
    Ok(())
}

fn alone(case: &Case, instance: &Instance, who: &str) -> Finding {
    Finding {
        case: case.name.clone(),
        instance: instance.name.clone(),
        carrier: "unix".to_owned(),
        caller: who.to_owned(),
        callee: None,
        outcome: Outcome::Passed,
        cut_short: false,
        trace: Vec::new(),
    }
}
