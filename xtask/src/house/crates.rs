//! Which crate may depend on which: the map of `docs/ARCHITECTURE.md`, held against `cargo metadata`.
//!
//! Arrows point only downward. A crate that the table does not know is a complaint too: whoever adds one says here what
//! it may touch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Complaint;
use crate::repo::{Repo, Result};

/// What one crate may depend on.
struct Row {
    name: &'static str,
    /// Crates of this workspace that it may name.
    ours: &'static [&'static str],
    /// Crates from outside.
    theirs: Theirs,
}

enum Theirs {
    /// These, and nothing that they bring along but what is named too.
    Only(&'static [&'static str]),
    /// Anything, unless one of these is reached from it, however far down.
    Never(&'static [&'static str]),
    /// Anything, unless one of these is named by the crate itself. What a library brings along is its own affair.
    NotDirectly(&'static [&'static str]),
}

use Theirs::{Never, NotDirectly, Only};

/// The crates that open sockets, files or processes, or keep a clock.
const IO: &[&str] = &["hyper", "mio", "object_store", "quinn", "rustix", "socket2", "tokio", "tonic"];

const TABLE: &[Row] = &[
    // The protocol imports nothing from outside itself.
    Row { name: "thornback-types", ours: &[], theirs: Only(&["bytes"]) },
    // Its generated gRPC services, a feature of it, name tonic; who turns that on brings the sockets.
    Row {
        name: "thornback-wire",
        ours: &["thornback-types"],
        theirs: NotDirectly(&["hyper", "mio", "rustix", "tokio"]),
    },
    Row { name: "thornback-session", ours: &["thornback-types", "thornback-wire"], theirs: NotDirectly(IO) },
    // The core decides; the crates of one kind of IO each know neither it nor each other.
    Row { name: "thornback-core", ours: &["thornback-types"], theirs: Only(&["bytes"]) },
    Row { name: "thornback-store", ours: PROTOCOL, theirs: NotDirectly(&["tonic", "quinn"]) },
    Row { name: "thornback-transport", ours: PROTOCOL, theirs: NotDirectly(&["object_store"]) },
    Row {
        name: "thornback-workers",
        ours: PROTOCOL,
        theirs: NotDirectly(&["tonic", "quinn", "object_store"]),
    },
    Row { name: "thornback-journal", ours: PROTOCOL, theirs: NotDirectly(&["tonic", "quinn"]) },
    Row { name: "thornback-node", ours: SERVER, theirs: Never(&[]) },
    Row { name: "thornback-sim", ours: &["thornback-core", "thornback-types"], theirs: Never(IO) },
    Row { name: "thornback-server", ours: SERVER, theirs: Never(&[]) },
    // A program that dials the node as any worker does.
    Row { name: "thornback-wasm", ours: CLIENT, theirs: Never(&[]) },
    Row { name: "thornback", ours: CLIENT, theirs: Never(&[]) },
    Row {
        name: "thornback-macros",
        ours: &[],
        theirs: Only(&["proc-macro2", "quote", "syn", "unicode-ident"]),
    },
    // Judgement comes over the wire types only.
    Row { name: "thornback-conformance", ours: PROTOCOL, theirs: Never(&[]) },
    // The commands link nothing of ours, so that they can report on all of it.
    Row { name: "xtask", ours: &[], theirs: Never(IO) },
    Row { name: "xtask-codegen", ours: &[], theirs: Never(&["tokio"]) },
];

const PROTOCOL: &[&str] = &["thornback-types", "thornback-wire"];
const CLIENT: &[&str] = &["thornback-macros", "thornback-session", "thornback-types", "thornback-wire"];
const SERVER: &[&str] = &[
    "thornback-core",
    "thornback-journal",
    "thornback-node",
    "thornback-session",
    "thornback-store",
    "thornback-transport",
    "thornback-types",
    "thornback-wire",
    "thornback-workers",
];

pub fn check(repo: &Repo) -> Result<Vec<Complaint>> {
    let graph = Graph::read(&super::metadata(repo)?);
    Ok(judge(&graph, TABLE))
}

/// Packages by name, with the names that each depends on outside of its tests.
#[derive(Default)]
struct Graph {
    members: BTreeSet<String>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Two versions of one package are taken as one: for these rules the name is what counts.
    fn read(metadata: &Value) -> Self {
        let mut names = BTreeMap::new();
        for package in array(&metadata["packages"]) {
            names.insert(text(&package["id"]), text(&package["name"]));
        }
        let name_of =
            |id: &Value| names.get(text(id)).map_or_else(|| text(id).to_owned(), |name| (*name).to_owned());
        let mut graph = Self {
            members: array(&metadata["workspace_members"]).iter().map(name_of).collect(),
            ..Self::default()
        };
        for node in array(&metadata["resolve"]["nodes"]) {
            let edges = graph.edges.entry(name_of(&node["id"])).or_default();
            for dep in array(&node["deps"]) {
                // `null` is a normal dependency, "build" a build script's, "dev" a test's.
                if array(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].as_str() != Some("dev")) {
                    edges.insert(name_of(&dep["pkg"]));
                }
            }
        }
        graph
    }

    fn direct<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.edges.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Everything from outside that `name` reaches without passing through another crate of ours.
    fn reach<'a>(&'a self, name: &str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<&str> = self.direct(name).collect();
        while let Some(next) = pending.pop() {
            if !self.members.contains(next) && seen.insert(next) {
                pending.extend(self.direct(next));
            }
        }
        seen
    }
}

fn judge(graph: &Graph, table: &[Row]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for member in &graph.members {
        let Some(row) = table.iter().find(|row| row.name == member) else {
            complaints.push(Complaint::new(
                member,
                "no row in xtask/src/house/crates.rs says what it may depend on",
            ));
            continue;
        };
        for dep in graph.direct(member).filter(|dep| graph.members.contains(*dep)) {
            if !row.ours.contains(&dep) {
                complaints.push(Complaint::new(member, format!("may not depend on {dep}")));
            }
        }
        let reach = graph.reach(member);
        let wrong: Vec<&str> = match row.theirs {
            Only(allowed) => reach.into_iter().filter(|dep| !allowed.contains(dep)).collect(),
            Never(banned) => reach.into_iter().filter(|dep| banned.contains(dep)).collect(),
            NotDirectly(banned) => graph.direct(member).filter(|dep| banned.contains(dep)).collect(),
        };
        for dep in wrong {
            complaints.push(Complaint::new(member, format!("may not reach {dep}")));
        }
    }
    complaints
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(members: &[&str], edges: &[(&str, &[&str])]) -> Graph {
        Graph {
            members: members.iter().map(|&m| m.to_owned()).collect(),
            edges: edges
                .iter()
                .map(|(from, to)| ((*from).to_owned(), to.iter().map(|&t| t.to_owned()).collect()))
                .collect(),
        }
    }

    fn said(graph: &Graph) -> Vec<String> {
        judge(graph, TABLE).into_iter().map(|Complaint(text)| text).collect()
    }

    #[test]
    fn a_core_with_a_clock_is_refused_however_far_down_it_is() {
        let broken = graph(
            &["thornback-core"],
            &[("thornback-core", &["bytes"]), ("bytes", &["helper"]), ("helper", &["tokio"])],
        );
        let said = said(&broken);
        assert!(said.contains(&"thornback-core: may not reach tokio".to_owned()), "{said:?}");
    }

    #[test]
    fn an_sdk_that_links_the_server_is_refused() {
        let broken = graph(
            &["thornback", "thornback-node"],
            &[("thornback", &["thornback-node"]), ("thornback-node", &[])],
        );
        assert_eq!(said(&broken), ["thornback: may not depend on thornback-node"]);
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        assert_eq!(said(&graph(&["thornback-extra"], &[])).len(), 1);
    }

    #[test]
    fn what_a_crate_of_ours_brings_along_is_judged_there_and_not_here() {
        let fine = graph(
            &["thornback-wire", "thornback-session"],
            &[("thornback-session", &["thornback-wire"]), ("thornback-wire", &["prost"]), ("prost", &[])],
        );
        assert!(said(&fine).is_empty());
    }
}
