//! Runs the examples and compares what they print with what they say; holds the README to its example.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Those that are run elsewhere: by the test of the guide, and by the bench.
const ELSEWHERE: [&str; 2] = ["getting_started", "bench_tasks"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What an example says that it prints: the block of text in the comment that it opens with.
fn said(source: &str) -> String {
    let lines = source.lines().skip_while(|line| *line != "//! ```text").skip(1);
    lines
        .take_while(|line| *line != "//! ```")
        .map(|line| line.strip_prefix("//! ").expect("a line of the comment").to_owned() + "\n")
        .collect()
}

/// Where this test lies: examples are in the folder above, the server two above.
fn built() -> PathBuf {
    let deps = std::env::current_exe().expect("a test knows where it is");
    deps.parent().and_then(Path::parent).expect("it lies two folders deep").to_path_buf()
}

fn prints_what_it_says(name: &str) {
    let said = said(&read(&format!("examples/{name}.rs")));
    assert!(!said.is_empty(), "examples/{name}.rs does not say what it prints");
    let example = built().join("examples").join(name);
    assert!(example.exists(), "build it first: cargo build -p thornback --examples");
    let mut command = Command::new(example);
    if std::env::var_os("THORNBACK_BINARY").is_none() {
        let server = built().join("thornback");
        assert!(server.exists(), "build it first: cargo build -p thornback-server");
        command.env("THORNBACK_BINARY", server);
    }
    let ran = command.output().expect("it was just seen to exist");
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{printed}{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(printed, said);
}

macro_rules! examples {
    ($($name:ident)*) => {
        const RUN_HERE: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            prints_what_it_says(stringify!($name));
        })*
    };
}

examples!(actors objects readme streams tasks);

#[test]
fn every_example_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let there: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("there are examples")
        .map(|entry| entry.expect("is readable").path())
        .map(|path| path.file_stem().expect("has a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, RUN_HERE.iter().chain(&ELSEWHERE).map(ToString::to_string).collect());
}

#[test]
fn the_readme_is_its_example() {
    let (readme, example) = (read("README.md"), read("examples/readme.rs"));
    let block = |language: &str| {
        let begin = format!("```{language}\n");
        let mut parts = readme.split(&begin).skip(1);
        let block = parts.next().and_then(|rest| rest.split("```\n").next()).expect("has such a block");
        assert!(parts.next().is_none(), "one block of {language}");
        block.to_owned()
    };
    let (_, program) = example.split_once("\n\n").expect("a comment, then the program");
    assert_eq!(block("rust"), program);
    assert_eq!(block("text"), said(&example));
}
