//! What people and tools are shown.

#![expect(missing_docs, reason = "a field or variant has a comment where its name does not say it all")]

use thornback_types::Resources;

use crate::actor::Called;
use crate::node::Node;
use crate::node::worker::WorkerState;
use crate::task::{Kind, RunState, Task, TaskState};

/// Numbers of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    pub total: Resources,
    pub available: Resources,
    pub store_used_bytes: u64,
    pub store_capacity_bytes: u64,
    pub spilled_bytes: u64,
    pub sessions: usize,
    pub workers: Vec<WorkerStatus>,
    pub tasks_queued: usize,
    pub tasks_running: usize,
    pub tasks_finished: u64,
    pub actors: usize,
    pub objects: usize,
    pub nodes: usize,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    pub worker: u64,
    pub pid: u32,
    pub pool: String,
    /// "starting", "idle", "busy", "actor".
    pub state: &'static str,
}

/// A kind of thing that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    Tasks,
    Actors,
    Objects,
    Pools,
    Sessions,
}

/// One thing in a list: its id, and particulars by name in the order in which they are best read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    pub fields: Vec<(&'static str, String)>,
}

impl Node {
    pub(crate) fn status(&self, nodes: usize) -> Status {
        let running = self.runs.sum(|run| u64::from(run.state == RunState::Sent)) as usize;
        // The record of an actor's creation lives as long as the actor; its run is what waits.
        let is_creation = |kind: Kind| matches!(kind, Kind::Create(_));
        let waiting = self.tasks.sum(|task| u64::from(!task.is_finished() && !is_creation(task.spec.kind)))
            + self.runs.sum(|run| u64::from(is_creation(run.spec.kind)));
        Status {
            total: self.config.resources.clone(),
            available: self.available.clone(),
            store_used_bytes: self.store.used(),
            store_capacity_bytes: self.config.store_bytes,
            spilled_bytes: self.store.spilled_bytes,
            sessions: self.sessions.len(),
            workers: self.workers.iter().map(|(id, worker)| self.worker_status(id.0, worker)).collect(),
            tasks_queued: (waiting as usize).saturating_sub(running),
            tasks_running: running,
            tasks_finished: self.tasks_finished,
            actors: self.hosted.len(),
            objects: self.objects.len(),
            nodes,
        }
    }

    fn worker_status(&self, id: u64, worker: &crate::node::worker::Worker) -> WorkerStatus {
        WorkerStatus {
            worker: id,
            pid: worker.pid,
            pool: self
                .pools
                .by_number
                .get(&worker.pool)
                .map(|p| p.pool.spec.name.clone())
                .unwrap_or_default(),
            state: match worker.state {
                WorkerState::Starting => "starting",
                WorkerState::Idle { .. } => "idle",
                WorkerState::Leased { .. } => "busy",
                WorkerState::Actor(_) => "actor",
            },
        }
    }

    pub(crate) fn list(&self, kind: Listing, limit: usize) -> Vec<Item> {
        match kind {
            Listing::Tasks => self.list_tasks(limit),
            Listing::Actors => {
                let item = |(id, hosted): (&thornback_types::ActorId, &crate::actor::Hosted)| Item {
                    id: id.to_string(),
                    fields: vec![
                        ("class", hosted.spec.creation.declaration.name.clone()),
                        ("name", hosted.spec.options.name.clone()),
                        ("namespace", hosted.spec.namespace.clone()),
                        ("state", state_of(hosted).into()),
                        ("restarts", hosted.life.saturating_sub(1).to_string()),
                        ("queued", hosted.mailbox.len().to_string()),
                    ],
                };
                self.hosted.iter().take(limit).map(item).collect()
            }
            Listing::Objects => self.list_objects(limit),
            Listing::Pools => {
                let item = |p: &crate::node::pool::PoolState| Item {
                    id: p.pool.number.to_string(),
                    fields: vec![
                        ("name", p.pool.spec.name.clone()),
                        ("language", p.pool.spec.language.clone()),
                        ("job", p.job.map(|j| j.to_string()).unwrap_or_default()),
                        ("functions", p.functions.keys().cloned().collect::<Vec<_>>().join(" ")),
                    ],
                };
                self.pools.by_number.values().take(limit).map(item).collect()
            }
            Listing::Sessions => {
                let item = |(id, s): (&thornback_types::SessionId, &crate::node::session::Session)| Item {
                    id: id.0.to_string(),
                    fields: vec![
                        ("role", if s.worker.is_some() { "worker" } else { "driver" }.into()),
                        ("job", s.job.to_string()),
                        ("objects", s.held.len().to_string()),
                        ("pins", s.pins.len().to_string()),
                    ],
                };
                self.sessions.iter().take(limit).map(item).collect()
            }
        }
    }

    fn list_tasks(&self, limit: usize) -> Vec<Item> {
        // Its creation is kept as long as an actor lives, to make it again.
        let was_made = |task: &Task| match task.spec.kind {
            Kind::Create(actor) => self.called.get(&actor).is_some_and(Called::was_made),
            _ => false,
        };
        let mut ids = self.tasks.sorted_keys(|_, task| !task.is_finished() && !was_made(task));
        ids.truncate(limit);
        let item = |id: &thornback_types::TaskId| {
            let task = self.tasks.get(id)?;
            let run = self.runs.get(id);
            let state = match (task.state, run.map(|run| run.state)) {
                (_, Some(RunState::Sent)) => "running",
                (_, Some(RunState::Staging { .. })) => "fetching arguments",
                (TaskState::Waiting, _) => "waiting for arguments",
                (TaskState::Remote(_), _) => "at another node",
                _ => "queued",
            };
            Some(Item {
                id: id.to_string(),
                fields: vec![
                    ("name", task.spec.declaration.name.clone()),
                    ("state", state.into()),
                    ("attempt", task.attempt.to_string()),
                    ("demand", task.spec.declaration.resources.to_string()),
                ],
            })
        };
        ids.iter().filter_map(item).collect()
    }

    fn list_objects(&self, limit: usize) -> Vec<Item> {
        let mut ids = self.objects.sorted_keys(|_, _| true);
        ids.truncate(limit);
        let item = |id: &thornback_types::ObjectId| {
            let object = self.objects.get(id)?;
            Some(Item {
                id: id.to_string(),
                fields: vec![
                    ("state", object.describe().into()),
                    ("bytes", object.bytes().to_string()),
                    ("counts", object.count.to_string()),
                    ("pins", object.pins.to_string()),
                ],
            })
        };
        ids.iter().filter_map(item).collect()
    }

    /// Things that can never be, in words.
    pub(crate) fn check_invariants(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut all = self.available.clone();
        for worker in self.workers.values().filter(|w| w.bundle.is_none()) {
            all.add(&worker.held);
            if let Some(lent) = &worker.lent {
                all.take_down_to_zero(lent);
            }
        }
        for bundle in self.bundles.values() {
            all.add(&bundle.total);
        }
        if all != self.config.resources {
            wrong.push(format!("resources do not add up: {all} of {}", self.config.resources));
        }
        for (id, class) in &self.classes {
            if class.queue.is_empty() == self.waiting.contains(id) {
                wrong.push(format!(
                    "class {id:?} has {} queued and is {}listed",
                    class.queue.len(),
                    if class.queue.is_empty() { "" } else { "not " }
                ));
            }
            for task in &class.queue {
                if self.runs.get(task).is_none_or(|run| run.state != RunState::Queued) {
                    wrong.push(format!("{task} is in a queue and not queued"));
                }
            }
        }
        for (id, worker) in &self.workers {
            for task in &worker.running {
                if self.runs.get(task).is_none_or(|run| run.worker != Some(*id)) {
                    wrong.push(format!("{task} is said to run on worker {} and does not", id.0));
                }
            }
        }
        wrong.extend(self.check_paces());
        wrong.extend(self.store.check());
        wrong.extend(self.check_objects());
        wrong.extend(self.check_rights());
        wrong
    }
}

/// In the words of the registry, as far as this node knows. A worker is the actor's once it has created it.
fn state_of(hosted: &crate::actor::Hosted) -> &'static str {
    match hosted.worker {
        Some(_) => "alive",
        None if hosted.life <= 1 => "pending",
        None => "restarting",
    }
}
