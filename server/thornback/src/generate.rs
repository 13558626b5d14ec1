//! `thornback gen`: reads an interface, writes files. What is in them is the business of `thornback-gen`.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::flags::Gen;

/// Reads a WIT file. Problems say where and what to do.
pub(crate) fn read(path: &Path) -> Result<thornback_gen::Package> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read the interface {}: {error}", path.display()))?;
    thornback_gen::read(&path.display().to_string(), &text).map_err(|problem| problem.to_string())
}

pub(crate) fn run(flags: &Gen) -> Result {
    let package = read(&flags.file)?;
    let files = thornback_gen::emit::emit(flags.lang, &package);
    let Some(out) = &flags.out else {
        for file in &files {
            print!("{}", file.text);
        }
        return Ok(());
    };
    let mut states = Vec::new();
    for file in &files {
        let path = out.join(&file.path);
        let same = fs::read_to_string(&path).is_ok_and(|found| found == file.text);
        let state = match (same, flags.check) {
            (true, _) => "unchanged",
            (false, true) => "stale",
            (false, false) => {
                write(&path, &file.text)
                    .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
                "written"
            }
        };
        states.push((path, state));
    }
    if flags.json {
        let files: Vec<_> = states
            .iter()
            .map(|(path, state)| serde_json::json!({"path": path.display().to_string(), "state": state}))
            .collect();
        println!("{}", serde_json::json!({ "files": files }));
    } else {
        for (path, state) in &states {
            println!("{state} {}", path.display());
        }
    }
    match states.iter().find(|(_, state)| *state == "stale") {
        Some((path, _)) => Err(format!(
            "{} is not what {} gives: run the same command without --check",
            path.display(),
            flags.file.display()
        )),
        None => Ok(()),
    }
}

/// A file appears whole or not at all, so that nobody imports half of one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    fs::write(&part, text)?;
    fs::rename(&part, path)
}
