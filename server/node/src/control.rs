//! Control requests: those that only look are answered here, the others by the core.

use bytes::Bytes;
use thornback_core::effect::Reply;
use thornback_core::node::status::Item;
use thornback_core::{Input, Listing, Op};
use thornback_transport::grpc;
use thornback_types::{Code, Failure, SessionId};
use thornback_wire::{Message, v1};

use crate::convert::{self, Asked};
use crate::node::{Node, OWN};
use crate::processes::Processes;
use crate::run::Stopping;

/// Rows of one list.
const ROWS_MAX: u32 = 10_000;

impl Node {
    /// Answers a request of a session that the core need not see.
    pub(crate) fn answer(&mut self, session: SessionId, asked: Asked) {
        if let Some(reply) = self.look_up(asked) {
            self.tell(session, v1::server_op::Op::Reply(Box::new(reply)));
        }
    }

    /// Takes a request that came without a session.
    pub(crate) fn control(&mut self, control: grpc::Control) {
        let asked = match v1::Request::decode(control.request) {
            Ok(request) => {
                let number = request.number;
                convert::request(request).map_err(|failure| (number, failure))
            }
            Err(error) => {
                let failure =
                    Failure::new(Code::MalformedFrame, format!("the request cannot be decoded: {error}"));
                Err((0, Box::new(failure)))
            }
        };
        let reply = match asked {
            Ok(Asked::Core(Op::Request { number, request })) => {
                // The core's reply carries a number of ours, since those of different clients may be equal.
                let own = self.next_request;
                self.next_request += 1;
                self.requests.insert(own, Waiting { to: control.reply, number });
                self.input(Input::Op { session: OWN, op: Op::Request { number: own, request } });
                return;
            }
            Ok(asked) => self.look_up(asked),
            Err((number, failure)) => Some(convert::reply(number, Reply::Failure(failure))),
        };
        if let Some(reply) = reply {
            // A client that went away meanwhile needs no answer.
            let _ = control.reply.send(convert::encode(&reply));
        }
    }

    fn look_up(&mut self, asked: Asked) -> Option<v1::Reply> {
        use v1::reply::Reply as Wire;
        let (number, reply) = match asked {
            Asked::Core(_) => return None,
            Asked::Status { number } => (number, Wire::Status(Box::new(self.status()))),
            Asked::List { number, kind, limit } => match self.list(&kind, limit) {
                Ok(list) => (number, Wire::State(list)),
                Err(failure) => return Some(convert::reply(number, Reply::Failure(failure))),
            },
            Asked::Stop { number, force } => {
                tracing::info!(force, "asked to stop");
                let _ = self.stop.send(Stopping::Asked);
                if force {
                    let _ = self.stop.send(Stopping::Asked);
                }
                (number, Wire::Done(v1::Empty {}))
            }
        };
        Some(v1::Reply { number, reply: Some(reply) })
    }

    fn status(&self) -> v1::Status {
        let status = self.core.status();
        let count = |n: usize| n as u64;
        let worker = |worker: &thornback_core::node::status::WorkerStatus| v1::WorkerInfo {
            pid: worker.pid.into(),
            pool: worker.pool.clone(),
            state: worker.state.to_owned(),
            rss_bytes: Processes::rss_of(worker.pid),
        };
        v1::Status {
            server_version: self.version.to_owned(),
            node: Bytes::copy_from_slice(self.id.as_bytes()),
            uptime_ms: u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX),
            total: Some((&status.total).into()),
            available: Some((&status.available).into()),
            store_used_bytes: status.store_used_bytes,
            store_capacity_bytes: status.store_capacity_bytes,
            spilled_bytes: status.spilled_bytes,
            // Less the node's own.
            sessions: count(self.sessions.len()),
            workers: count(status.workers.len()),
            tasks_queued: count(status.tasks_queued),
            tasks_running: count(status.tasks_running),
            tasks_finished: status.tasks_finished,
            actors: count(status.actors),
            objects: count(status.objects),
            nodes: count(status.nodes),
            worker_list: status.workers.iter().map(worker).collect(),
        }
    }

    fn list(&self, kind: &str, limit: u32) -> Result<v1::StateList, Box<Failure>> {
        let listing = match kind {
            "tasks" => Listing::Tasks,
            "actors" => Listing::Actors,
            "objects" => Listing::Objects,
            "pools" => Listing::Pools,
            "sessions" => Listing::Sessions,
            "workers" => return Ok(self.list_workers(limit)),
            other => {
                let known = "tasks, actors, objects, workers, pools, sessions";
                return Err(Box::new(Failure::new(
                    Code::InvalidArgument,
                    format!("no list of {other:?}; there are {known}"),
                )));
            }
        };
        let limit = limit.clamp(1, ROWS_MAX) as usize;
        // One more than asked for tells whether there are more; and the node's own session is not shown.
        let mut items = self.core.list(listing, limit + 2);
        if listing == Listing::Sessions {
            items.retain(|item| item.id != OWN.0.to_string());
        }
        let truncated = items.len() > limit;
        items.truncate(limit);
        Ok(v1::StateList { items: items.into_iter().map(as_json).collect(), truncated })
    }

    fn list_workers(&self, limit: u32) -> v1::StateList {
        let limit = limit.clamp(1, ROWS_MAX) as usize;
        let workers = self.core.status().workers;
        let item = |worker: &thornback_core::node::status::WorkerStatus| {
            serde_json::json!({
                "id": worker.worker,
                "pid": worker.pid,
                "pool": worker.pool,
                "state": worker.state,
                "rss_bytes": Processes::rss_of(worker.pid),
            })
            .to_string()
        };
        v1::StateList {
            items: workers.iter().take(limit).map(item).collect(),
            truncated: workers.len() > limit,
        }
    }
}

/// A JSON object with the fields in the order in which they are best read.
fn as_json(item: Item) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let fields = item.fields.iter().map(|(name, value)| format!(",{}:{}", quoted(name), quoted(value)));
    format!("{{\"id\":{}{}}}", quoted(&item.id), fields.collect::<String>())
}

/// A client that waits for the core's reply.
#[derive(Debug)]
pub(crate) struct Waiting {
    to: tokio::sync::oneshot::Sender<Bytes>,
    number: u64,
}

impl Waiting {
    pub(crate) fn answer(self, reply: Reply) {
        // A client that went away meanwhile needs no answer.
        let _ = self.to.send(convert::encode(&convert::reply(self.number, reply)));
    }
}
