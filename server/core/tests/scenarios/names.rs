//! Names of a scenario for the ids of the protocol, and back.
//!
//! `t1`, `a1` and `g1` name a task, an actor and a placement group (and, as objects, a stream's and an actor's handle); `t1.0` is output or item 0 of
//! `t1`; `g1.ready` the object that tells of the group; a name that begins with `o` is an object that was put.

use std::collections::BTreeMap;

use thornback_types::{ActorId, Id, ObjectId, PlacementGroupId, SessionId, TaskId};

/// Ids are given in the order in which names are first used, so that what the core does in the order of ids reads in the order of the scenario.
#[derive(Debug, Default)]
pub struct Names {
    ids: BTreeMap<String, u32>,
    by_counter: Vec<String>,
    sessions: Vec<String>,
}

const SALT: [u8; 8] = *b"scenario";
const OWN: &str = "node";

impl Names {
    fn id(&mut self, name: &str, index: u32) -> Id {
        let next = self.by_counter.len() as u32;
        let counter = *self.ids.entry(name.to_owned()).or_insert(next);
        if counter == next {
            self.by_counter.push(name.to_owned());
        }
        Id::new(SALT, counter, index)
    }

    pub fn task(&mut self, name: &str) -> TaskId {
        TaskId(self.id(name, 0))
    }

    pub fn actor(&mut self, name: &str) -> ActorId {
        ActorId(self.id(name, 0))
    }

    pub fn group(&mut self, name: &str) -> PlacementGroupId {
        PlacementGroupId(self.id(name, 0))
    }

    pub fn object(&mut self, name: &str) -> ObjectId {
        let index = |suffix: &str| match suffix {
            "ready" => 1,
            number => number.parse::<u32>().map_or(u32::MAX, |n| n + 1),
        };
        match name.split_once('.') {
            Some((name, suffix)) => ObjectId(self.id(name, index(suffix))),
            None => ObjectId(self.id(name, u32::from(name.starts_with('o')))),
        }
    }

    /// `node` is the node's own.
    pub fn session(&mut self, name: &str) -> SessionId {
        if name == OWN {
            return SessionId::OWN;
        }
        let at = self.sessions.iter().position(|known| known == name).unwrap_or_else(|| {
            self.sessions.push(name.to_owned());
            self.sessions.len() - 1
        });
        SessionId(at as u64 + 1)
    }

    pub fn session_name(&self, session: SessionId) -> &str {
        if session == SessionId::OWN {
            return OWN;
        }
        let at = (session.0 as usize).wrapping_sub(1);
        self.sessions.get(at).map_or("a session that nobody opened", String::as_str)
    }

    pub fn of(&self, id: Id) -> String {
        let [.., a, b, c, d, _, _, _, _] = id.0;
        let name = self
            .by_counter
            .get(u32::from_be_bytes([a, b, c, d]) as usize)
            .filter(|_| id.0.starts_with(&SALT));
        match (name, id.index()) {
            (None, _) => id.to_string(),
            (Some(name), 1) if name.starts_with('o') => name.clone(),
            (Some(name), 1) if name.starts_with('g') => format!("{name}.ready"),
            (Some(name), 0) => name.clone(),
            (Some(name), index) => format!("{name}.{}", index - 1),
        }
    }

    /// Puts names in place of the ids in a text that was made for people.
    pub fn in_text(&self, text: &str) -> String {
        let is_id =
            |at: usize| text.get(at..at + 32).filter(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
        let mut out = String::new();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            match is_id(at).and_then(hex) {
                Some(id) => {
                    out.push_str(&self.of(id));
                    at += 32;
                }
                None => {
                    out.push(c);
                    at += c.len_utf8();
                }
            }
        }
        out
    }
}

fn hex(digits: &str) -> Option<Id> {
    u128::from_str_radix(digits, 16).ok().map(|number| Id(number.to_be_bytes()))
}
