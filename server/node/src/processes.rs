//! The core's workers and pools as processes and templates: which command, with which surroundings. When to start and end one is the core's.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use thornback_core::effect::{Pool, Stop};
use thornback_core::input::{ExitStatus, Input, Printed};
use thornback_types::WorkerId;
use thornback_workers::{Event, Source, Stream, TemplateId, WorkerCommand, Workers};

use crate::config::Listening;

/// All worker processes of the node.
#[derive(Debug)]
pub(crate) struct Processes {
    workers: Rc<Workers>,
    /// How a worker finds its node.
    address: String,
    token_file: String,
    /// The template that forks for a pool, by the pool's number.
    templates: HashMap<u32, TemplateId>,
    next_template: TemplateId,
    /// Process numbers of those that run, for readings of their memory.
    pids: HashMap<WorkerId, u32>,
}

impl Processes {
    pub(crate) fn new(workers: Workers, listening: &Listening) -> Self {
        Self {
            workers: Rc::new(workers),
            address: format!("unix:{}", listening.unix.display()),
            token_file: listening.token_file.display().to_string(),
            templates: HashMap::new(),
            next_template: 1,
            pids: HashMap::new(),
        }
    }

    pub(crate) fn start(&mut self, worker: WorkerId, pool: &Pool) {
        if !pool.spec.template {
            self.workers.spawn(worker, self.command(pool));
            return;
        }
        let template = match self.templates.get(&pool.number) {
            Some(template) => *template,
            None => {
                let template = self.next_template;
                self.next_template += 1;
                self.workers.start_template(template, self.command(pool));
                self.templates.insert(pool.number, template);
                template
            }
        };
        self.workers.fork(template, worker);
    }

    pub(crate) fn stop(&self, worker: WorkerId, how: Stop) {
        match how {
            Stop::Gently => self.workers.terminate(worker),
            Stop::Now => self.workers.kill(worker),
        }
    }

    pub(crate) fn retire(&mut self, pool: &Pool) {
        if let Some(template) = self.templates.remove(&pool.number) {
            self.workers.end_template(template);
        }
    }

    /// What an event means to the core, if anything.
    pub(crate) fn input(&mut self, event: Event) -> Option<Input> {
        match event {
            Event::Started { launch, pid } => {
                self.pids.insert(launch, pid);
                Some(Input::WorkerStarted { worker: launch, pid })
            }
            Event::StartFailed { launch, reason } => {
                Some(Input::WorkerStartFailed { worker: launch, reason })
            }
            Event::Exited { launch, pid, status, last_words } => {
                self.pids.remove(&launch);
                tracing::debug!(worker = launch.0, pid, %status, last_words, "a worker has ended");
                let status = match status {
                    thornback_workers::ExitStatus::Code(code) => ExitStatus::Code(code),
                    thornback_workers::ExitStatus::Signal(signal) => ExitStatus::Signal(signal),
                    thornback_workers::ExitStatus::Unknown => ExitStatus::Unknown,
                };
                Some(Input::WorkerExited { worker: launch, status, last_words })
            }
            Event::Lines { source: Source::Worker(worker), stream, lines } => {
                let printed = Printed { stderr: stream == Stream::Stderr, lines, repeated: 0 };
                Some(Input::WorkerPrinted { worker, lines: printed.into() })
            }
            Event::Lines { source: Source::Template(template), lines, .. } => {
                for line in lines {
                    tracing::info!(template, "{line}");
                }
                None
            }
            Event::TemplateReady { template, pid } => {
                tracing::debug!(template, pid, "a template is ready");
                None
            }
            Event::TemplateDied { template, reason } => {
                // One that was retired is not in the table, and its end is no news.
                if self.templates.values().any(|known| *known == template) {
                    tracing::warn!(
                        template,
                        reason,
                        "a template has died; the next worker of its pool starts another"
                    );
                    self.templates.retain(|_, known| *known != template);
                }
                None
            }
        }
    }

    /// The memory that each worker has in use, in bytes. One that ended meanwhile is left out.
    pub(crate) fn rss(&self) -> Vec<(WorkerId, u64)> {
        let mut all: Vec<_> = self.pids.iter().map(|(worker, pid)| (*worker, *pid)).collect();
        all.sort_unstable();
        all.into_iter()
            .filter_map(|(worker, pid)| Some((worker, thornback_workers::memory::rss(pid)?)))
            .collect()
    }

    /// The memory of one process, in bytes; 0 if it is gone.
    pub(crate) fn rss_of(pid: u32) -> u64 {
        thornback_workers::memory::rss(pid).unwrap_or(0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// The processes themselves, to end them all.
    pub(crate) fn workers(&self) -> Rc<Workers> {
        Rc::clone(&self.workers)
    }

    fn command(&self, pool: &Pool) -> WorkerCommand {
        let spec = &pool.spec;
        let (program, args) = spec
            .command
            .split_first()
            .map_or((String::new(), Vec::new()), |(program, args)| (program.clone(), args.to_vec()));
        let ours = [
            ("THORNBACK_ADDRESS", self.address.clone()),
            ("THORNBACK_TOKEN_FILE", self.token_file.clone()),
            ("THORNBACK_POOL", spec.name.clone()),
        ];
        // Ours come last: a pool's own setting does not lead its workers to another node.
        let env =
            spec.env.iter().cloned().chain(ours.map(|(name, value)| (name.to_owned(), value))).collect();
        let working_dir = (!spec.working_dir.is_empty()).then(|| PathBuf::from(&spec.working_dir));
        WorkerCommand { program, args, env, working_dir }
    }
}
