//! Which crate may depend on which: the map of `docs/ARCHITECTURE.md`, held against `cargo metadata`.
//!
//! Arrows point only downward. A crate that the table does not know is a complaint too: whoever adds one says here what
//! it may touch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Complaint;
use crate::repo::{Repo, Result};
use crate::run::Program;

/// What one crate may depend on.
struct Row {
    name: &'static str,
    /// Crates of this workspace that it may name.
    ours: &'static [&'static str],
    /// Crates from outside.
    theirs: Theirs,
}

enum Theirs {
    /// These, and nothing that they or our own crates bring along but what is named too.
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
    // Text in, text out: what it writes is written against SDKs, and links none.
    Row { name: "thornback-gen", ours: &[], theirs: Only(&[]) },
    // Judgement comes from the schemas alone: none of the code that is judged takes part.
    Row { name: "thornback-conformance", ours: &[], theirs: Never(&["tokio", "tonic"]) },
    Row { name: "thornback-testee", ours: &["thornback"], theirs: Never(&[]) },
    // A program that a user could have written.
    Row { name: "polyglot", ours: &["thornback"], theirs: Never(&[]) },
    // The commands link nothing of ours, so that they can report on all of it.
    Row { name: "xtask", ours: &[], theirs: Never(IO) },
    Row { name: "xtask-codegen", ours: &[], theirs: Never(&["tokio"]) },
];

const PROTOCOL: &[&str] = &["thornback-types", "thornback-wire"];
const CLIENT: &[&str] = &["thornback-macros", "thornback-session", "thornback-types", "thornback-wire"];
const SERVER: &[&str] = &[
    "thornback-core",
    "thornback-gen",
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
    let mut graph = Graph::read(&super::metadata(repo)?);
    for row in TABLE.iter().filter(|row| graph.members.contains(row.name)) {
        graph.reach.insert(row.name.to_owned(), reach(repo, row.name)?);
    }
    Ok(judge(&graph, TABLE))
}

/// Packages by name.
#[derive(Default)]
struct Graph {
    members: BTreeSet<String>,
    /// What each member itself names, outside of its tests.
    direct: BTreeMap<String, BTreeSet<String>>,
    /// Everything that is built for a member alone.
    reach: BTreeMap<String, BTreeSet<String>>,
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
        let members: BTreeSet<String> = array(&metadata["workspace_members"]).iter().map(name_of).collect();
        let mut direct = BTreeMap::new();
        for node in array(&metadata["resolve"]["nodes"]) {
            let named = array(&node["deps"])
                .iter()
                // `null` is a normal dependency, "build" a build script's, "dev" a test's.
                .filter(|dep| {
                    array(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].as_str() != Some("dev"))
                })
                .map(|dep| name_of(&dep["pkg"]));
            direct.insert(name_of(&node["id"]), named.collect());
        }
        direct.retain(|name, _| members.contains(name));
        Self { members, direct, reach: BTreeMap::new() }
    }
}

/// Asked of `cargo tree`, which takes a package alone. In `cargo metadata` each dependency has the features that anyone
/// in the workspace turns on, and so seems to bring along what it does not.
fn reach(repo: &Repo, package: &str) -> Result<BTreeSet<String>> {
    let tree = Program::cargo(repo.root())
        .args([
            "tree",
            "--locked",
            "--quiet",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(["--all-features", "--package", package])
        .capture()?;
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != package).map(str::to_owned).collect())
}

fn judge(graph: &Graph, table: &[Row]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let nothing = BTreeSet::new();
    for member in &graph.members {
        let Some(row) = table.iter().find(|row| row.name == member) else {
            complaints.push(Complaint::new(
                member,
                "no row in xtask/src/house/crates.rs says what it may depend on",
            ));
            continue;
        };
        let (ours, theirs): (Vec<&String>, Vec<&String>) =
            graph.direct.get(member).unwrap_or(&nothing).iter().partition(|dep| graph.members.contains(*dep));
        for dep in ours.into_iter().filter(|dep| !row.ours.contains(&dep.as_str())) {
            complaints.push(Complaint::new(member, format!("may not depend on {dep}")));
        }
        let reach =
            graph.reach.get(member).unwrap_or(&nothing).iter().filter(|dep| !graph.members.contains(*dep));
        let wrong: Vec<&String> = match row.theirs {
            Only(allowed) => reach.filter(|dep| !allowed.contains(&dep.as_str())).collect(),
            Never(banned) => reach.filter(|dep| banned.contains(&dep.as_str())).collect(),
            NotDirectly(banned) => theirs.into_iter().filter(|dep| banned.contains(&dep.as_str())).collect(),
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

    type Edges<'a> = &'a [(&'a str, &'a [&'a str])];

    fn graph(direct: Edges<'_>, reach: Edges<'_>) -> Graph {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let map = |edges: Edges<'_>| edges.iter().map(|(from, to)| ((*from).to_owned(), set(to))).collect();
        Graph {
            members: direct.iter().map(|(name, _)| (*name).to_owned()).collect(),
            direct: map(direct),
            reach: map(reach),
        }
    }

    fn said(graph: &Graph) -> Vec<String> {
        judge(graph, TABLE).into_iter().map(|Complaint(text)| text).collect()
    }

    #[test]
    fn a_core_with_a_clock_is_refused_however_far_down_it_is() {
        let broken = graph(&[("thornback-core", &["bytes"])], &[("thornback-core", &["bytes", "tokio"])]);
        assert_eq!(said(&broken), ["thornback-core: may not reach tokio"]);
    }

    #[test]
    fn an_sdk_that_links_the_server_is_refused() {
        let broken = graph(&[("thornback", &["thornback-node"]), ("thornback-node", &[])], &[]);
        assert_eq!(said(&broken), ["thornback: may not depend on thornback-node"]);
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        assert_eq!(said(&graph(&[("thornback-extra", &[])], &[])).len(), 1);
    }

    #[test]
    fn what_another_crate_brings_along_is_no_fault_where_only_naming_it_is_banned() {
        let fine = graph(
            &[("thornback-wire", &["prost"]), ("thornback-session", &["thornback-wire"])],
            &[("thornback-session", &["thornback-wire", "prost", "tonic"])],
        );
        assert!(said(&fine).is_empty());
        let broken = graph(&[("thornback-session", &["tonic"])], &[]);
        assert_eq!(said(&broken), ["thornback-session: may not reach tonic"]);
    }
}
