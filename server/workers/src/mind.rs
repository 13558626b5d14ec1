//! Minding one process from its start to its end, and the task of one launch.

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use thornback_types::WorkerId;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::event::{Event, ExitStatus, Source};
use crate::output::Outputs;
use crate::process::Process;
use crate::sys;
use crate::workers::Shared;

/// How long a template may take to tell how its child ended, once the child is gone.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// What is wanted of a process. It only ever goes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Intent {
    /// Be there.
    Run,
    /// SIGTERM, and SIGKILL after the grace.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl Intent {
    pub(crate) fn raise(self, wanted: &watch::Sender<Intent>) {
        wanted.send_if_modified(|now| {
            let raised = self > *now;
            *now = self.max(*now);
            raised
        });
    }
}

/// A process that was started, with our ends of its pipes.
#[derive(Debug)]
pub(crate) struct Born {
    pub(crate) pid: u32,
    /// None if it was gone before it could be held.
    pub(crate) process: Option<Process>,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// For the child of a template: tells how it ended; closed once the template is gone.
    pub(crate) death: Option<oneshot::Receiver<ExitStatus>>,
}

/// The life of one launch.
pub(crate) async fn live(
    shared: Arc<Shared>,
    launch: WorkerId,
    birth: oneshot::Receiver<Result<Born, String>>,
    mut intent: watch::Receiver<Intent>,
) {
    let born = tokio::select! {
        biased;
        // Whoever would have started it sees that nobody waits any more, and ends what it has started after all.
        _ = intent.wait_for(|&wanted| wanted > Intent::Run) => Err("it was ended before it had started".to_owned()),
        born = birth => born.unwrap_or_else(|_| Err("what was to start it is gone".to_owned())),
    };
    let event = match born {
        Ok(born) => born.live(&shared, launch, intent).await,
        Err(reason) => Event::StartFailed { launch, reason },
    };
    shared.forget_launch(launch);
    // An error means that nobody listens any more.
    let _ = shared.events.send(event).await;
}

impl Born {
    /// From `Started`, which it passes on, to `StartFailed` or `Exited`, which it returns.
    async fn live(self, shared: &Shared, launch: WorkerId, intent: watch::Receiver<Intent>) -> Event {
        let Born { pid, process, stdout, stderr, mut death } = self;
        let failed = |e| Event::StartFailed { launch, reason: format!("its process cannot be watched: {e}") };

        let started = Event::Started { launch, pid };
        let mut outputs = match Outputs::new(Source::Worker(launch), stdout, stderr, Some(started)) {
            Ok(outputs) => outputs,
            Err(e) => return failed(e),
        };
        let mut status = None;
        if let Some(process) = process {
            let mut process = match sys::watch(process) {
                Ok(process) => process,
                Err(e) => return failed(e),
            };
            {
                let mut minding =
                    pin!(mind(&process, &mut outputs, intent, &shared.events, shared.options.grace));
                tokio::select! {
                    biased;
                    () = &mut minding => {}
                    told = told(&mut death) => {
                        if told.is_none() {
                            process.get_ref().signal(Signal::KILL);
                        }
                        status = told;
                        death = None;
                        minding.await;
                    }
                }
            }
            status = process.get_mut().reap().or(status);
        }
        // From here on nothing is left to signal, and whoever waits for the end of all need not wait for the reader of events.
        shared.forget_launch(launch);

        // Without a template, or after its end, there is nobody left to tell.
        if status.is_none() && death.is_some() {
            status = timeout(STATUS_WAIT, told(&mut death)).await.ok().flatten();
        }
        let last_words = outputs.finish(&shared.events).await;
        Event::Exited { launch, pid, status: status.unwrap_or(ExitStatus::Unknown), last_words }
    }
}

/// What the template tells of its child's end, or `None` once the template is gone. Never ends for a process that has no template.
async fn told(death: &mut Option<oneshot::Receiver<ExitStatus>>) -> Option<ExitStatus> {
    match death {
        Some(death) => death.await.ok(),
        None => std::future::pending().await,
    }
}

/// Passes on what a process prints and signals it as wanted, until it is gone.
pub(crate) async fn mind(
    process: &AsyncFd<Process>,
    outputs: &mut Outputs,
    mut intent: watch::Receiver<Intent>,
    events: &mpsc::Sender<Event>,
    grace: Duration,
) {
    let mut obeyed = Intent::Run;
    let mut kill_at: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            _ = process.readable() => return,
            wanted = wanted_beyond(&mut intent, obeyed) => {
                obeyed = wanted;
                if wanted == Intent::Terminate {
                    process.get_ref().signal(Signal::TERM);
                    kill_at = Some(Instant::now() + grace);
                } else {
                    process.get_ref().signal(Signal::KILL);
                    kill_at = None;
                }
            }
            () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                process.get_ref().signal(Signal::KILL);
                kill_at = None;
            }
            () = outputs.step(events) => {}
        }
    }
}

/// Waits until more is wanted than what was `obeyed`. Once nobody is left to want anything, the process is to end.
async fn wanted_beyond(intent: &mut watch::Receiver<Intent>, obeyed: Intent) -> Intent {
    if obeyed == Intent::Kill {
        return std::future::pending().await;
    }
    intent.wait_for(|&wanted| wanted > obeyed).await.map_or(Intent::Kill, |wanted| *wanted)
}
