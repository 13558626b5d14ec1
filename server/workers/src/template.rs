//! The task of one template: a process that has loaded what workers need, and forks them on request.
//!
//! A template is trusted to run code, not to tell the truth: what it says of processes is checked against the kernel, what it does not
//! say in time is taken for a failure, and its own end is seen by a descriptor of its process, for its children may keep its end of the
//! control socket open.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use thornback_types::WorkerId;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::control::{ForkLine, Inbox, Told};
use crate::event::{Event, ExitStatus, Source};
use crate::mind::{Born, Intent, mind};
use crate::output::Outputs;
use crate::process::{NotAdopted, Process};
use crate::spawner::set_oom_score_adj;
use crate::sys;
use crate::workers::{Shared, TemplateId};

/// Forks asked for and not answered yet; more wait here, where they cost no descriptors.
const FORKS_IN_FLIGHT: usize = 16;
/// How long a template may live on after it closed its control socket.
const END_WAIT: Duration = Duration::from_secs(2);

/// A launch that waits for a fork.
#[derive(Debug)]
pub(crate) struct ForkRequest {
    pub(crate) launch: WorkerId,
    pub(crate) reply: oneshot::Sender<Result<Born, String>>,
}

/// The life of one template.
pub(crate) async fn live(
    shared: Arc<Shared>,
    template: TemplateId,
    control: io::Result<StdUnixStream>,
    spawned: oneshot::Receiver<Result<Born, String>>,
    intent: watch::Sender<Intent>,
    mut wanted: watch::Receiver<Intent>,
    mut forks: mpsc::UnboundedReceiver<ForkRequest>,
) {
    let started = tokio::select! {
        biased;
        _ = wanted.wait_for(|&wanted| wanted > Intent::Run) => Err("it was ended before it had started".to_owned()),
        started = start(template, control, spawned) => started,
    };
    let ended = match started {
        Ok(started) => started.talk(&shared, template, intent, wanted, &mut forks).await,
        Err(reason) => Ended { reason, outputs: None, unanswered: Vec::new() },
    };
    // Nothing is left to signal, and whoever waits for the end of all need not wait for the reader of events. From here on nobody can ask
    // for a fork any more, and after that those who have are answered.
    shared.forget_template(template);
    forks.close();
    let Ended { mut reason, outputs, mut unanswered } = ended;
    while let Some(request) = forks.recv().await {
        unanswered.push(request.reply);
    }
    for reply in unanswered {
        let _ = reply.send(Err(format!("the template of its pool is gone: {reason}")));
    }
    if let Some(outputs) = outputs {
        let last_words = outputs.finish(&shared.events).await;
        if !last_words.is_empty() {
            reason = format!("{reason}; it last wrote to stderr:\n{last_words}");
        }
    }
    let _ = shared.events.send(Event::TemplateDied { template, reason }).await;
}

struct Started {
    process: AsyncFd<Process>,
    outputs: Outputs,
    control: UnixStream,
}

struct Ended {
    reason: String,
    outputs: Option<Outputs>,
    unanswered: Vec<oneshot::Sender<Result<Born, String>>>,
}

async fn start(
    template: TemplateId,
    control: io::Result<StdUnixStream>,
    spawned: oneshot::Receiver<Result<Born, String>>,
) -> Result<Started, String> {
    let failed = |e: io::Error| format!("its process cannot be talked to: {e}");
    let control = control.map_err(failed)?;
    let born = spawned.await.unwrap_or_else(|_| Err("the node is shutting down".to_owned()))?;
    let Born { process: Some(process), stdout, stderr, .. } = born else {
        return Err("it ended as it was started".to_owned());
    };
    control.set_nonblocking(true).map_err(failed)?;
    Ok(Started {
        control: UnixStream::from_std(control).map_err(failed)?,
        outputs: Outputs::new(Source::Template(template), stdout, stderr, None).map_err(failed)?,
        process: sys::watch(process).map_err(failed)?,
    })
}

impl Started {
    /// Talks with the template until it is gone.
    async fn talk(
        self,
        shared: &Arc<Shared>,
        template: TemplateId,
        intent: watch::Sender<Intent>,
        mut wanted: watch::Receiver<Intent>,
        forks: &mut mpsc::UnboundedReceiver<ForkRequest>,
    ) -> Ended {
        let Started { mut process, mut outputs, control } = self;
        let mut talk = Talk::new(shared, template, process.get_ref().pid(), control);
        // What it prints is passed on by a task of its own, so that a reader of events that is behind does not hold up forks.
        let mut minding = tokio::spawn({
            let (shared, wanted) = (Arc::clone(shared), wanted.clone());
            async move {
                mind(&process, &mut outputs, wanted, &shared.events, shared.options.grace).await;
                (process.get_mut().reap(), outputs)
            }
        });

        let mut fault = None;
        let minded = loop {
            talk.begin_fork();
            let (deadline, untold_ready) = (talk.deadline(), talk.untold_ready);
            let step = tokio::select! {
                biased;
                minded = &mut minding => break minded,
                _ = wanted.wait_for(|&wanted| wanted > Intent::Run), if talk.control.is_some() => {
                    // The end of its socket tells it to end, for one that does not heed the signal.
                    talk.control = None;
                    Ok(())
                }
                permit = shared.events.reserve(), if untold_ready => {
                    talk.untold_ready = false;
                    if let Ok(permit) = permit {
                        permit.send(Event::TemplateReady { template, pid: talk.pid });
                    }
                    Ok(())
                }
                step = talk.exchange() => step,
                Some(request) = forks.recv() => {
                    talk.waiting.push_back(request);
                    Ok(())
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Err(talk.late()),
            };
            if let Err(problem) = step {
                warn!(template, pid = talk.pid, "giving a template up: it {problem}");
                fault.get_or_insert(problem);
                Intent::Kill.raise(&intent);
                talk.control = None;
            }
        };
        // What it said last may tell how children ended.
        while talk.control.is_some() && talk.hear().is_ok_and(|heard| heard) {}

        let asked_to_end = *wanted.borrow() > Intent::Run;
        let (status, outputs) = minded.map_or((None, None), |(status, outputs)| (status, Some(outputs)));
        let ready = if talk.ready { "" } else { " before it was ready" };
        let reason = match (fault, status) {
            (Some(problem), _) => format!("it was ended because it {problem}"),
            (None, _) if asked_to_end => "it was ended on request".to_owned(),
            (None, status) => format!("it {}{ready}", status.unwrap_or(ExitStatus::Unknown)),
        };
        // Dropping the rest of `talk` tells the launches of its children that it is gone.
        let unanswered = talk.unanswered();
        Ended { reason, outputs, unanswered }
    }
}

/// The conversation with one template.
struct Talk<'a> {
    shared: &'a Shared,
    template: TemplateId,
    pid: u32,
    // None once it is closed by either side.
    control: Option<UnixStream>,
    inbox: Inbox,
    ready: bool,
    untold_ready: bool,
    // When the template has to be ready, or gone.
    due: Option<Instant>,
    waiting: VecDeque<ForkRequest>,
    sending: Option<ForkLine>,
    // In the order in which they were asked.
    asked: VecDeque<Asked>,
    children: HashMap<WorkerId, oneshot::Sender<ExitStatus>>,
}

struct Asked {
    request: ForkRequest,
    stdout: OwnedFd,
    stderr: OwnedFd,
    due: Instant,
}

impl<'a> Talk<'a> {
    fn new(shared: &'a Shared, template: TemplateId, pid: u32, control: UnixStream) -> Talk<'a> {
        Talk {
            shared,
            template,
            pid,
            control: Some(control),
            inbox: Inbox::default(),
            ready: false,
            untold_ready: false,
            due: Some(Instant::now() + shared.options.ready_timeout),
            waiting: VecDeque::new(),
            sending: None,
            asked: VecDeque::new(),
            children: HashMap::new(),
        }
    }

    /// Takes the next of those that wait, if it may be asked for by now.
    fn begin_fork(&mut self) {
        while self.ready
            && self.control.is_some()
            && self.sending.is_none()
            && self.asked.len() < FORKS_IN_FLIGHT
        {
            let Some(request) = self.waiting.pop_front() else { return };
            if request.reply.is_closed() {
                continue;
            }
            match io::pipe().and_then(|stdout| Ok((stdout, io::pipe()?))) {
                Ok(((stdout, stdout_end), (stderr, stderr_end))) => {
                    self.sending = Some(ForkLine::new(request.launch, stdout_end.into(), stderr_end.into()));
                    let due = Instant::now() + self.shared.options.fork_timeout;
                    self.asked.push_back(Asked {
                        request,
                        stdout: stdout.into(),
                        stderr: stderr.into(),
                        due,
                    });
                }
                Err(e) => {
                    let _ = request.reply.send(Err(format!("no pipes can be had for its output: {e}")));
                }
            }
        }
    }

    /// Hears and says what can be. Can be dropped at any point; never ends once the socket is closed.
    async fn exchange(&mut self) -> Result<(), String> {
        let Some(control) = &self.control else {
            return std::future::pending().await;
        };
        let interest =
            if self.sending.is_some() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let ready = control.ready(interest).await.map_err(|e| format!("cannot be heard: {e}"))?;
        if ready.is_readable() {
            self.hear()?;
        }
        if ready.is_writable() {
            self.say()?;
        }
        Ok(())
    }

    /// Reads once. False if there was nothing to read.
    fn hear(&mut self) -> Result<bool, String> {
        let Some(control) = &self.control else { return Ok(false) };
        match self.inbox.read(control) {
            Ok(Some(lines)) => {
                let heard = !lines.is_empty();
                lines.iter().try_for_each(|line| self.hear_line(line))?;
                Ok(heard)
            }
            Ok(None) => self.closed(),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => self.closed(),
            Err(e) => Err(format!("cannot be heard: {e}")),
        }
    }

    /// The template is most likely gone, of which its process tells more than the socket.
    fn closed(&mut self) -> Result<bool, String> {
        self.control = None;
        self.due = Some(Instant::now() + END_WAIT);
        Ok(false)
    }

    fn say(&mut self) -> Result<(), String> {
        let (Some(control), Some(line)) = (&self.control, &mut self.sending) else { return Ok(()) };
        match line.send(control) {
            Ok(true) => self.sending = None,
            Ok(false) => {}
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                // Its process tells more of its end.
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    self.closed()?;
                }
                _ => return Err(format!("cannot be told to fork: {e}")),
            },
        }
        Ok(())
    }

    fn hear_line(&mut self, line: &[u8]) -> Result<(), String> {
        match Told::parse(line) {
            Ok(Told::Ready) => {
                self.untold_ready |= !self.ready;
                self.ready = true;
                self.due = None;
            }
            Ok(Told::Forked { launch, pid }) => self.forked(launch, pid),
            Ok(Told::Exited { launch, status }) => {
                if let Some(death) = self.children.remove(&launch) {
                    let _ = death.send(status);
                } else if let Some(asked) = self.take_asked(launch) {
                    let _ = asked.request.reply.send(Err(
                        "its template could not fork it: most likely the system has no room for \
                         another process; check memory, and the limits on processes (ulimit -u, pids.max)"
                            .to_owned(),
                    ));
                }
            }
            Ok(Told::Unknown) => {
                debug!(template = self.template, "a template said something of a later version");
            }
            Err(problem) => {
                let start = String::from_utf8_lossy(&line[..line.len().min(100)]);
                return Err(format!("wrote {start:?} to its control socket, which is no message: {problem}"));
            }
        }
        Ok(())
    }

    fn forked(&mut self, launch: WorkerId, pid: u32) {
        let adopted = Process::of_template(pid, self.pid);
        let Some(asked) = self.take_asked(launch) else {
            warn!(
                template = self.template,
                launch = launch.0,
                pid,
                "a template forked what nobody asked for; ending it"
            );
            // If it is a child of the template, which alone counts as adopted, dropping it kills it.
            return;
        };
        let process = match adopted {
            Ok(process) => {
                set_oom_score_adj(pid, self.shared.options.worker_oom_score_adj);
                Some(process)
            }
            // It may well be over already; how it ended is told next.
            Err(NotAdopted::Gone) => None,
            Err(NotAdopted::Stranger) => {
                let _ = asked.request.reply.send(Err(format!(
                    "its template says that it forked process {pid}, which is not a child of the template"
                )));
                return;
            }
            Err(NotAdopted::Failed(e)) => {
                let _ = asked.request.reply.send(Err(format!("its process {pid} cannot be watched: {e}")));
                return;
            }
        };
        // Those whose launch is over, without the template ever having told how they ended, are not kept for ever.
        self.children.retain(|_, death| !death.is_closed());
        let (death, told) = oneshot::channel();
        self.children.insert(launch, death);
        let Asked { request, stdout, stderr, .. } = asked;
        // If nobody wants it any more, dropping it kills it.
        let _ = request.reply.send(Ok(Born { pid, process, stdout, stderr, death: Some(told) }));
    }

    fn take_asked(&mut self, launch: WorkerId) -> Option<Asked> {
        let at = self.asked.iter().position(|asked| asked.request.launch == launch)?;
        self.asked.remove(at)
    }

    /// When something is to have happened.
    fn deadline(&self) -> Option<Instant> {
        let oldest = self.asked.front().map(|asked| asked.due);
        self.due.or(oldest.filter(|_| self.control.is_some()))
    }

    /// What has not happened by the deadline.
    fn late(&mut self) -> String {
        self.due = None;
        if self.control.is_none() {
            return "closed its control socket and did not end".to_owned();
        }
        if !self.ready {
            let limit = self.shared.options.ready_timeout.as_secs();
            return format!("was not ready after {limit} s");
        }
        let limit = self.shared.options.fork_timeout.as_secs();
        format!("did not answer a fork for {limit} s")
    }

    /// Those who still wait for a fork, once the template is gone.
    fn unanswered(self) -> Vec<oneshot::Sender<Result<Born, String>>> {
        let asked = self.asked.into_iter().map(|asked| asked.request);
        asked.chain(self.waiting).map(|request| request.reply).collect()
    }
}
