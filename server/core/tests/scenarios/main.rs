//! Behaviours of the core as text: commands, and below each what the core wanted done.
//!
//! Every file under `testdata/` is one scenario, told to a node of its own. A block is one or more commands, a line of dashes, and the effects that
//! the commands produced (`ok` for none), as in the data-driven tests of `etcd-io/raft`:
//!
//! ```text
//! submit d1 t1 f args=o1
//! ----
//! w1 <- run t1#1 f "salt"
//! ```
//!
//! `UPDATE_SCENARIOS=1 cargo test -p thornback-core --test scenarios` rewrites the answers; the diff is the review. What commands there are is in
//! `command.rs`, how effects are written in `show.rs`. After each command the core's invariants are checked.

mod command;
mod names;
mod show;
mod words;
mod world;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use world::World;

#[test]
fn tasks() {
    play_folder("task");
}

#[test]
fn actors() {
    play_folder("actor");
}

#[test]
fn objects() {
    play_folder("object");
}

#[test]
fn workers() {
    play_folder("worker");
}

#[test]
fn placement() {
    play_folder("placement");
}

#[test]
fn sessions() {
    play_folder("session");
}

/// Plays every scenario of a folder and tells of all that differ at once.
fn play_folder(folder: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&root)
        .expect("testdata is part of the crate")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no scenarios in {}", root.display());
    let update = std::env::var_os("UPDATE_SCENARIOS").is_some();
    let mut wrong = String::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (played, broken) = play(&text, &path);
        let name = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
        for line in broken {
            let _ = writeln!(wrong, "{name}: an invariant is broken: {line}");
        }
        if played == text {
            continue;
        }
        if update {
            std::fs::write(&path, played).unwrap();
        } else {
            let _ = writeln!(wrong, "{name}:\n{}", difference(&text, &played));
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}\nIf the new answers are right: UPDATE_SCENARIOS=1 cargo test -p thornback-core --test scenarios"
    );
}

/// The scenario with the answers that the core gives now, and the invariants that did not hold.
fn play(text: &str, path: &Path) -> (String, Vec<String>) {
    let mut world = World::new();
    let (mut out, mut broken) = (String::new(), Vec::new());
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "----" {
            // The old answer, up to the end of the block.
            while lines.next_if(|(_, line)| !line.is_empty()).is_some() {}
            let answer = world.take_answer();
            out.push_str(if answer.is_empty() { "ok\n" } else { &answer });
            continue;
        }
        if let Err(error) = command::run(&mut world, line) {
            panic!("{}:{}: {error}\n    {line}", path.display(), at + 1);
        }
        broken.extend(world.check().into_iter().map(|wrong| format!("line {}: {wrong}", at + 1)));
    }
    assert!(world.take_answer().is_empty(), "{}: the last block has no line of dashes", path.display());
    (out, broken)
}

/// The first lines that differ, with what stands before them.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same_before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let same_after = old[same_before..]
        .iter()
        .rev()
        .zip(new[same_before..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let mut out = String::new();
    for line in &old[same_before.saturating_sub(4)..same_before] {
        let _ = writeln!(out, "      {line}");
    }
    for line in &old[same_before..old.len() - same_after] {
        let _ = writeln!(out, "    - {line}");
    }
    for line in &new[same_before..new.len() - same_after] {
        let _ = writeln!(out, "    + {line}");
    }
    out
}
