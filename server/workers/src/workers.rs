//! The handle: what may be asked for, and who is alive.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thornback_types::WorkerId;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::warn;

use crate::command::{Environment, WorkerCommand};
use crate::event::Event;
use crate::mind::{self, Born, Intent};
use crate::spawner::{Job, Spawner};
use crate::template::{self, ForkRequest};

/// The number of a template, chosen by the caller and not used twice.
pub type TemplateId = u32;

/// How long after its SIGKILL a process may still be there before `shutdown` gives up on it.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Settings of [`Workers`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What workers inherit from this process's environment. Default: [`Environment::Minimal`].
    pub environment: Environment,
    /// Between SIGTERM and SIGKILL. Default: 5 s.
    pub grace: Duration,
    /// How long a template may take to become ready. Default: 120 s (importing large libraries takes its time).
    pub ready_timeout: Duration,
    /// How long a ready template may take to answer a fork. Default: 30 s.
    pub fork_timeout: Duration,
    /// Events that may wait to be read before those who print are slowed down. Default: 1024.
    pub event_queue: usize,
    /// How gladly the kernel ends a worker when memory runs out, 0 to 1000. Default: 1000, before anything else.
    pub worker_oom_score_adj: i32,
    /// The same for a template, whose end is that of all its workers. Default: 900.
    pub template_oom_score_adj: i32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            environment: Environment::default(),
            grace: Duration::from_secs(5),
            ready_timeout: Duration::from_secs(120),
            fork_timeout: Duration::from_secs(30),
            event_queue: 1024,
            worker_oom_score_adj: 1000,
            template_oom_score_adj: 900,
        }
    }
}

/// All worker processes of a node. Dropping it ends them, at once and without waiting; [`Workers::shutdown`] does so gently.
///
/// Every call but `shutdown` returns at once and needs no answer: what comes of it is an [`Event`].
#[derive(Debug)]
pub struct Workers {
    spawner: Spawner,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
}

/// What the tasks of processes know of the whole.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) events: mpsc::Sender<Event>,
    living: Mutex<Living>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Living {
    launches: HashMap<WorkerId, watch::Sender<Intent>>,
    templates: HashMap<TemplateId, Template>,
    closing: bool,
}

#[derive(Debug)]
struct Template {
    intent: watch::Sender<Intent>,
    forks: mpsc::UnboundedSender<ForkRequest>,
}

impl Workers {
    /// Starts without any worker. To be called within a tokio runtime (of any kind) whose IO and time drivers are on; all processes are
    /// minded by tasks of it. Fails if the system gives no thread.
    pub fn start(options: Options) -> io::Result<(Workers, mpsc::Receiver<Event>)> {
        let (events, receiver) = mpsc::channel(options.event_queue.max(1));
        let spawner = Spawner::start(options.environment)?;
        let shared = Arc::new(Shared { options, events, living: Mutex::default(), changed: Notify::new() });
        Ok((Workers { spawner, shared, runtime: tokio::runtime::Handle::current() }, receiver))
    }

    /// Starts a worker of a pool without template. It gets THORNBACK_LAUNCH. Answered by `Started` or `StartFailed`.
    ///
    /// `launch` is never used twice, nor 0, which stands for a worker that nobody launched.
    pub fn spawn(&self, launch: WorkerId, command: WorkerCommand) {
        let Some(birth) = self.begin(launch) else { return };
        self.spawner.spawn(Job {
            command,
            env: vec![("THORNBACK_LAUNCH", launch.0.to_string())],
            control: None,
            oom_score_adj: self.shared.options.worker_oom_score_adj,
            reply: birth,
        });
    }

    /// Starts a template process. Answered by `TemplateReady` or `TemplateDied`; forks may be asked for at once.
    pub fn start_template(&self, template: TemplateId, command: WorkerCommand) {
        let (forks, fork_requests) = mpsc::unbounded_channel();
        let (intent, wanted) = watch::channel(Intent::Run);
        {
            let mut living = self.shared.living();
            if living.templates.contains_key(&template) {
                warn!(template, "a template with this number is there already");
                return;
            }
            if living.closing {
                Intent::Kill.raise(&intent);
            }
            living.templates.insert(template, Template { intent: intent.clone(), forks });
        }
        let (reply, spawned) = oneshot::channel();
        let control = UnixStream::pair().map(|(ours, theirs)| {
            self.spawner.spawn(Job {
                command,
                env: Vec::new(),
                control: Some(theirs.into()),
                oom_score_adj: self.shared.options.template_oom_score_adj,
                reply,
            });
            ours
        });
        let task = template::live(
            Arc::clone(&self.shared),
            template,
            control,
            spawned,
            intent,
            wanted,
            fork_requests,
        );
        self.runtime.spawn(task);
    }

    /// Has a template fork a worker, once it is ready. Answered by `Started` or `StartFailed`.
    pub fn fork(&self, template: TemplateId, launch: WorkerId) {
        let Some(birth) = self.begin(launch) else { return };
        let request = ForkRequest { launch, reply: birth };
        let refused = match self.shared.living().templates.get(&template) {
            Some(template) => template.forks.send(request).err().map(|unsent| unsent.0),
            None => Some(request),
        };
        if let Some(request) = refused {
            let _ = request.reply.send(Err("the template of its pool is gone".to_owned()));
        }
    }

    /// Ends a worker with SIGTERM, and with SIGKILL after the grace. Answered by `Exited`, or `StartFailed` if it had not started; a
    /// launch that is over is no error.
    pub fn terminate(&self, launch: WorkerId) {
        self.raise(launch, Intent::Terminate);
    }

    /// Ends a worker with SIGKILL. Answered like [`Workers::terminate`].
    pub fn kill(&self, launch: WorkerId) {
        self.raise(launch, Intent::Kill);
    }

    /// Ends a template, and with it all workers that it forked: it sees the end of its control socket and SIGTERM, and after the grace
    /// SIGKILL. Answered by `TemplateDied`. End its workers first where they deserve a gentle end.
    pub fn end_template(&self, template: TemplateId) {
        if let Some(template) = self.shared.living().templates.get(&template) {
            Intent::Terminate.raise(&template.intent);
        }
    }

    /// Ends everything: workers gently, then templates; waits until all are gone, and starts nothing more. Takes at most two graces and a
    /// few seconds, and not much at all if workers heed SIGTERM. Events need not be read meanwhile.
    ///
    /// Returns how many processes are still there; there is none unless the kernel cannot end one (it hangs in a device's driver, say).
    pub async fn shutdown(&self) -> usize {
        let limit = self.shared.options.grace + LAST_WAIT;
        {
            let mut living = self.shared.living();
            living.closing = true;
            living.launches.values().for_each(|intent| Intent::Terminate.raise(intent));
        }
        let _ = timeout(limit, self.shared.until(|living| living.launches.is_empty())).await;

        self.shared
            .living()
            .templates
            .values()
            .for_each(|template| Intent::Terminate.raise(&template.intent));
        let all_gone = |living: &Living| living.launches.is_empty() && living.templates.is_empty();
        let _ = timeout(limit, self.shared.until(all_gone)).await;

        let living = self.shared.living();
        living.launches.len() + living.templates.len()
    }

    /// Registers a launch and starts its task, which waits for what is sent to the returned end.
    fn begin(&self, launch: WorkerId) -> Option<oneshot::Sender<Result<Born, String>>> {
        let (birth, born) = oneshot::channel();
        let (intent, wanted) = watch::channel(Intent::Run);
        {
            let mut living = self.shared.living();
            if living.launches.contains_key(&launch) {
                warn!(launch = launch.0, "a launch with this number is there already");
                return None;
            }
            if living.closing {
                Intent::Kill.raise(&intent);
            }
            living.launches.insert(launch, intent);
        }
        self.runtime.spawn(mind::live(Arc::clone(&self.shared), launch, born, wanted));
        Some(birth)
    }

    fn raise(&self, launch: WorkerId, wanted: Intent) {
        if let Some(intent) = self.shared.living().launches.get(&launch) {
            wanted.raise(intent);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let living = self.shared.living();
        living.launches.values().for_each(|intent| Intent::Kill.raise(intent));
        living.templates.values().for_each(|template| Intent::Kill.raise(&template.intent));
    }
}

impl Shared {
    pub(crate) fn forget_launch(&self, launch: WorkerId) {
        self.living().launches.remove(&launch);
        self.changed.notify_waiters();
    }

    pub(crate) fn forget_template(&self, template: TemplateId) {
        self.living().templates.remove(&template);
        self.changed.notify_waiters();
    }

    async fn until(&self, done: impl Fn(&Living) -> bool) {
        loop {
            // Taken before the look, so that no change falls between the two.
            let changed = self.changed.notified();
            if done(&self.living()) {
                return;
            }
            changed.await;
        }
    }

    fn living(&self) -> MutexGuard<'_, Living> {
        // Nothing panics while it is held half-changed.
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
