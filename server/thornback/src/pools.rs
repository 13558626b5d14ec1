//! The file of `--pools`: the pools that a node has from the start.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use thornback_node::{Function, PoolSpec};

use crate::Result;

/// One pool, in the words of the protocol's `DeclarePool`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    name: String,
    language: String,
    command: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    working_dir: String,
    #[serde(default)]
    template: bool,
    #[serde(default)]
    prestart: u32,
    #[serde(default)]
    functions: Vec<String>,
    /// WIT files, by their paths from where this file lies: what workers have to serve.
    #[serde(default)]
    interface: Vec<String>,
}

/// Reads the pools of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<PoolSpec>> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read the pools file {}: {error}", path.display()))?;
    let beside = path.parent().unwrap_or(Path::new(""));
    parse(&text, beside).map_err(|problem| format!("the pools file {}: {problem}", path.display()))
}

fn parse(text: &str, beside: &Path) -> Result<Vec<PoolSpec>> {
    let pools: Vec<Pool> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut names = std::collections::BTreeSet::new();
    for pool in &pools {
        if pool.name.is_empty() {
            return Err("a pool has no name".to_owned());
        }
        if pool.command.is_empty() {
            return Err(format!("pool {:?} has an empty command", pool.name));
        }
        if !names.insert(pool.name.as_str()) {
            return Err(format!("pool {:?} is there twice", pool.name));
        }
    }
    pools.into_iter().map(|pool| spec(pool, beside)).collect()
}

fn spec(pool: Pool, beside: &Path) -> Result<PoolSpec> {
    let mut interface = Vec::new();
    for file in &pool.interface {
        let package = crate::generate::read(&beside.join(file))?;
        interface.extend(package.interfaces.iter().flat_map(expected));
    }
    Ok(PoolSpec {
        name: pool.name,
        language: pool.language,
        command: pool.command,
        env: pool.env.into_iter().collect(),
        working_dir: pool.working_dir,
        template: pool.template,
        prestart: pool.prestart,
        default_for_session: false,
        functions: pool.functions,
        interface,
    })
}

/// What workers have to serve of an interface.
fn expected(interface: &thornback_gen::Interface) -> Vec<Function> {
    let function = |function: &thornback_gen::Function, actor| {
        let args = u32::try_from(function.params.len()).unwrap_or(u32::MAX);
        Function {
            name: function.served.clone(),
            min_args: args,
            max_args: Some(args),
            actor,
            signature: function.signature.clone(),
        }
    };
    let functions = interface.functions.iter().map(|known| function(known, false));
    functions.chain(interface.actors.iter().map(|actor| function(&actor.constructor, true))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_pools() {
        let pools = parse(
            r#"[{"name": "images", "language": "go", "command": ["./images"], "env": {"A": "b"}, "prestart": 2}]"#,
            Path::new(""),
        );
        let pools = pools.unwrap();
        assert_eq!(pools[0].name, "images");
        assert_eq!(pools[0].env, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(pools[0].prestart, 2);
    }

    #[test]
    fn mistakes_are_named() {
        for (wrong, word) in [
            ("{}", "sequence"),
            (r#"[{"name": "a", "language": "go", "command": []}]"#, "empty command"),
            (r#"[{"name": "a", "language": "go", "command": ["x"], "prestrat": 1}]"#, "prestrat"),
            (
                r#"[{"name": "a", "language": "go", "command": ["x"]}, {"name": "a", "language": "go", "command": ["x"]}]"#,
                "twice",
            ),
        ] {
            let problem = parse(wrong, Path::new("")).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn what_workers_have_to_serve_is_read_from_interfaces_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("till.wit"),
            "package a:b; interface till { sum: func(of: list<u8>) -> u64; }",
        )
        .unwrap();
        let pool = r#"[{"name": "a", "language": "go", "command": ["x"], "interface": ["till.wit"]}]"#;
        let pools = parse(pool, dir.path()).unwrap();
        assert_eq!(pools[0].interface[0].name, "till.sum");
        assert_eq!(pools[0].interface[0].signature, "func(of: list<u8>) -> u64");
        fs::write(dir.path().join("till.wit"), "package a:b; interface till { sum: func(of: lst) }").unwrap();
        let problem = parse(pool, dir.path()).unwrap_err();
        assert!(problem.contains("till.wit:1:"), "{problem}");
    }
}
