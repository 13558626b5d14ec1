//! What the core orders, carried out. One match; nothing is decided here.

use std::sync::Arc;

use thornback_core::effect::{Credit, Message, Outcome, RunArg};
use thornback_core::input::{Input, Op, Printed, StoreError};
use thornback_core::{Effect, Location};
use thornback_session::SendError;
use thornback_types::{Code, Failure, SessionId};

use crate::convert;
use crate::node::{Node, OWN};
use crate::repeats::Repeated;
use crate::run::{Stopping, guard};

impl Node {
    pub(crate) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send { session: OWN, message } => self.tell_own(message),
            Effect::Send { session, message } => self.send(session, message),
            Effect::Refuse { session, failure } => self.refuse(session, *failure),
            Effect::Close { session, failure } => self.end_session(session, failure.map(|failure| *failure)),

            Effect::Pace { session, credit } => self.pace(session, credit),

            Effect::StartWorker { worker, pool } => self.processes.start(worker, &pool),
            Effect::StopWorker { worker, how } => self.processes.stop(worker, how),
            Effect::RetirePool { pool } => self.processes.retire(&pool),

            Effect::OpenArena { arena, size } => {
                if let Err(error) = self.arenas.open(arena, size) {
                    // Whoever is located there is told by the first operation that needs it.
                    tracing::error!(arena, %error, "cannot open an arena");
                }
            }
            Effect::CloseArena { arena } => {
                if let Some(closed) = self.arenas.close(arena) {
                    // Sessions may have it mapped for as long as they like; its pages are given back now.
                    let size = closed.size();
                    guard(&self.stop, async move {
                        if let Err(error) = punch(Ok(closed), 0, size).await {
                            tracing::warn!(arena, %error, "cannot give the pages of a closed arena back");
                        }
                    });
                }
                self.sessions.values_mut().for_each(|session| session.forget_arena(arena));
            }
            Effect::WriteArena { location, data } => {
                if let Err(error) = self.arenas.write(location, &data) {
                    // The object would have a hole. The one who writes it is the one whose operation is being taken.
                    let failure =
                        Failure::new(Code::OutOfMemory, format!("the object cannot be written: {error}"));
                    if let Some(session) = self.session_taken() {
                        self.end_session(session, Some(failure));
                    }
                }
            }
            Effect::PunchArena { location } => {
                self.in_background(location, move |arena| async move {
                    if let Err(error) = punch(arena, location.offset, location.size).await {
                        tracing::warn!(%error, "cannot give pages of an arena back");
                    }
                    Input::Punched { location }
                });
            }
            Effect::SendBytes { session, object, location } => match self.sessions.get_mut(&session) {
                Some(known) => {
                    known.send_bytes(object, location);
                    self.touch(session);
                }
                None => self.inputs.push_back(Input::BytesSent { session, object }),
            },

            Effect::Spill { object, location } => {
                let spill = self.spill.clone();
                self.in_background(location, move |arena| async move {
                    let result = match arena {
                        Ok(arena) => spill.spill(object, &arena, location.offset, location.size).await,
                        Err(error) => Err(error),
                    };
                    Input::Spilled { object, result: result.map_err(store_error) }
                });
            }
            Effect::Restore { object, location } => {
                let spill = self.spill.clone();
                self.in_background(location, move |arena| async move {
                    let result = match arena {
                        Ok(arena) => spill.restore(object, &arena, location.offset, location.size).await,
                        Err(error) => Err(error),
                    };
                    Input::Restored { object, result: result.map_err(store_error) }
                });
            }
            Effect::DeleteSpilled { object } => {
                let spill = self.spill.clone();
                guard(&self.stop, async move {
                    if let Err(error) = spill.delete(object).await {
                        tracing::warn!(%object, %error, "cannot delete a spilled object");
                    }
                });
            }
            Effect::Copy { object, from, .. } => {
                let result = Err(StoreError::Io("this node has no links to other nodes".to_owned()));
                self.inputs.push_back(Input::Copied { object, from, result });
            }
            Effect::GivenUp => {
                tracing::error!(
                    "the cluster has given this node up for dead and goes on without it; it ends"
                );
                let _ = self.stop.send(Stopping::Asked);
            }
            // A packet may be lost at any time, and without links every one is.
            Effect::Packet { to, .. } => tracing::debug!(%to, "a packet for a node that there is no link to"),
        }
    }

    fn pace(&mut self, id: SessionId, credit: Credit) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match credit {
            Credit::Given => session.conversation.hold_credit(false),
            Credit::Held => session.conversation.hold_credit(true),
            Credit::Spared => session.conversation.spare_credit(),
        }
        self.touch(id);
    }

    /// Tells a session something, and first what it must know to understand it.
    fn send(&mut self, id: SessionId, message: Message) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let announced = match &message {
            Message::Created { outcome: Ok(location), .. } => {
                session.announce(location.arena, self.arenas.size(location.arena), true)
            }
            Message::Located { location, .. } => {
                session.announce(location.arena, self.arenas.size(location.arena), false)
            }
            Message::Run(run) => run.args.iter().try_for_each(|arg| match arg {
                RunArg::Stored { location: Some(location), .. } => {
                    session.announce(location.arena, self.arenas.size(location.arena), false)
                }
                _ => Ok(()),
            }),
            _ => Ok(()),
        };
        if let Err(error) = announced {
            self.end_session(id, Some(error.failure()));
            return;
        }
        match message {
            Message::Log { source, lines } => self.tell_lines(id, source, &lines),
            Message::Run(run) => self.tell_run(id, run),
            message => match convert::send(&mut session.conversation, &message) {
                Some(sent) => self.told(id, sent),
                None => self.tell(id, convert::message(message)),
            },
        }
    }

    /// A run whose arguments, each small, are together too large for a frame fails as if its worker had said so.
    fn tell_run(&mut self, id: SessionId, run: thornback_core::effect::Run) {
        let (task, attempt) = (run.task, run.attempt);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let message = Message::Run(run);
        let sent = match convert::send(&mut session.conversation, &message) {
            Some(sent) => sent,
            None => session.conversation.send(convert::message(message)),
        };
        match sent {
            Err(error @ SendError::TooLarge { .. }) => {
                let failure = Failure::new(
                    Code::FrameTooLarge,
                    format!(
                        "the arguments do not fit a frame together: {error}; put them in the store and pass them by reference"
                    ),
                );
                let outcome = Err(Box::new(failure.of_task(task)));
                self.inputs.push_back(Input::Op {
                    session: id,
                    op: Op::Done { task, attempt, outcome, yielded: 0 },
                });
            }
            Err(error) if session.conversation.ended().is_none() => {
                self.end_session(id, Some(error.failure()));
            }
            Ok(()) | Err(_) => self.touch(id),
        }
    }

    /// Passes on the lines that are not repetitions of what the driver was shown.
    fn tell_lines(&mut self, id: SessionId, source: String, printed: &Arc<Printed>) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let shown =
            printed.lines.iter().filter(|line| session.repeats.shows(now, &source, printed.stderr, line));
        let lines: Vec<String> = shown.cloned().collect();
        if !lines.is_empty() {
            let lines = Printed { stderr: printed.stderr, lines, repeated: printed.repeated };
            self.tell(id, convert::message(Message::Log { source, lines: lines.into() }));
        }
    }

    pub(crate) fn tell_repeated(&mut self, id: SessionId, repeated: Repeated) {
        let lines = Printed { stderr: repeated.stderr, lines: vec![repeated.line], repeated: repeated.times };
        self.tell(id, convert::message(Message::Log { source: repeated.source, lines: lines.into() }));
    }

    /// What the core says to the node's own session.
    fn tell_own(&mut self, message: Message) {
        match message {
            Message::Reply { number, reply } => match self.requests.remove(&number) {
                Some(waiting) => waiting.answer(reply),
                None => {
                    if let thornback_core::effect::Reply::Failure(failure) = reply {
                        tracing::error!(%failure, "a pool of the node's configuration was refused");
                    }
                }
            },
            Message::Notice(failure) => tracing::warn!(%failure, "notice"),
            Message::Log { source, lines } => {
                for line in &lines.lines {
                    tracing::info!(source, "{line}");
                }
            }
            // It creates and watches nothing, so there is nothing else to be told.
            Message::Completion { outcome: Outcome::Failure(_), .. } | Message::Declare { .. } => {}
            other => tracing::debug!(?other, "the node's own session was told something"),
        }
    }

    /// Runs something that takes time, and comes back with its input.
    fn in_background<F, W>(&self, location: Location, work: F)
    where
        F: FnOnce(Result<thornback_store::Arena, thornback_store::Error>) -> W,
        W: Future<Output = Input> + 'static,
    {
        let work = work(self.arenas.get(location.arena).cloned());
        let node = self.myself.clone();
        guard(&self.stop, async move {
            let input = work.await;
            if let Some(node) = node.upgrade() {
                node.borrow_mut().input(input);
            }
        });
    }
}

/// Gives pages back to the system, on a thread that may wait: a gigabyte takes a tenth of a second.
async fn punch(
    arena: Result<thornback_store::Arena, thornback_store::Error>,
    offset: u64,
    size: u64,
) -> Result<(), thornback_store::Error> {
    let arena = arena?;
    tokio::task::spawn_blocking(move || arena.punch(offset, size))
        .await
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn store_error(error: thornback_store::Error) -> StoreError {
    use thornback_store::Error;
    let text = error.to_string();
    match error {
        Error::OutOfDisk { .. } => StoreError::OutOfDisk(text),
        Error::Corrupt { .. } | Error::NotSpilled(_) => StoreError::Damaged(text),
        _ => StoreError::Io(text),
    }
}
