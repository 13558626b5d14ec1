//! The file of `--pools`: the pools that a node has from the start.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use thornback_node::PoolSpec;

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
}

/// Reads the pools of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<PoolSpec>> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read the pools file {}: {error}", path.display()))?;
    parse(&text).map_err(|problem| format!("the pools file {}: {problem}", path.display()))
}

fn parse(text: &str) -> Result<Vec<PoolSpec>> {
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
    Ok(pools.into_iter().map(spec).collect())
}

fn spec(pool: Pool) -> PoolSpec {
    PoolSpec {
        name: pool.name,
        language: pool.language,
        command: pool.command,
        env: pool.env.into_iter().collect(),
        working_dir: pool.working_dir,
        template: pool.template,
        prestart: pool.prestart,
        default_for_session: false,
        functions: pool.functions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_pools() {
        let pools = parse(
            r#"[{"name": "images", "language": "go", "command": ["./images"], "env": {"A": "b"}, "prestart": 2}]"#,
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
            let problem = parse(wrong).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
