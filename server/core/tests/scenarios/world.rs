//! A core, its clock, and what a scenario has to remember.

use std::collections::BTreeMap;
use std::time::Duration;

use thornback_core::effect::Message;
use thornback_core::{Config, Core, Effect, Input, Op};
use thornback_types::{Id, NodeId, Resources, SessionId, TaskId, Time, WorkerId};

use crate::names::Names;
use crate::show;

pub struct World {
    pub core: Core,
    pub names: Names,
    pub now: Time,
    /// The pool that each worker was started for.
    pub pools: BTreeMap<WorkerId, String>,
    /// The attempt of each task that a worker was sent last.
    pub attempts: BTreeMap<TaskId, u32>,
    /// Numbers of the declarations that sessions made, by name.
    pub declarations: BTreeMap<(SessionId, String), u32>,
    /// What the core declared to workers.
    pub declared: BTreeMap<(SessionId, u32), String>,
    pub requests: u64,
    answer: String,
    fresh: bool,
}

pub const ME: NodeId = NodeId(Id([0xaa; 16]));

impl World {
    pub fn new() -> World {
        let mut world = World {
            core: Core::new(Config::new(ME, Resources::new())),
            names: Names::default(),
            now: Time::ZERO,
            pools: BTreeMap::new(),
            attempts: BTreeMap::new(),
            declarations: BTreeMap::new(),
            declared: BTreeMap::new(),
            requests: 0,
            answer: String::new(),
            fresh: true,
        };
        world.set_config(&Config::new(ME, Resources::cpus(2)));
        world
    }

    /// Starts the node anew, so it has to be the first command.
    pub fn set_config(&mut self, config: &Config) {
        assert!(self.fresh, "node must come first");
        self.core = Core::new(config.clone());
    }

    pub fn op(&mut self, session: &str, op: Op) {
        let session = self.names.session(session);
        self.input(Input::Op { session, op });
    }

    pub fn input(&mut self, input: Input) {
        self.fresh = false;
        let mut effects = Vec::new();
        self.core.handle(self.now, input, &mut effects);
        for effect in effects {
            self.remember(&effect);
            let line = show::effect(self, &effect);
            self.say(&line);
        }
    }

    /// Lets time pass, with the core called whenever it wants to be.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = until;
        self.input(Input::Tick);
    }

    /// Adds a line to the answer.
    pub fn say(&mut self, line: &str) {
        self.answer.push_str(self.names.in_text(line).trim_end());
        self.answer.push('\n');
    }

    pub fn take_answer(&mut self) -> String {
        std::mem::take(&mut self.answer)
    }

    pub fn check(&self) -> Vec<String> {
        self.core.check_invariants().iter().map(|wrong| self.names.in_text(wrong)).collect()
    }

    fn remember(&mut self, effect: &Effect) {
        match effect {
            Effect::StartWorker { worker, pool } => {
                self.pools.insert(*worker, pool.spec.name.clone());
            }
            Effect::Send { message: Message::Run(run), .. } => {
                self.attempts.insert(run.task, run.attempt);
            }
            Effect::Send { session, message: Message::Declare { number, declaration } } => {
                self.declared.insert((*session, *number), declaration.name.clone());
            }
            _ => {}
        }
    }
}
