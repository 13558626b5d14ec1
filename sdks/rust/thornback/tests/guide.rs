//! Holds `docs/guides/getting-started-rust.md` to the example that it quotes, and the example to what the guide says that it prints.

use std::path::{Path, PathBuf};
use std::process::Command;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (None, Some((language, text))) => open = Some((language, text + line + "\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block is not closed");
    blocks
}

#[test]
fn every_block_is_part_of_the_example() {
    let example = read("sdks/rust/thornback/examples/getting_started.rs");
    let blocks = blocks(&read("docs/guides/getting-started-rust.md"));
    assert!(blocks.iter().all(|(language, _)| ["rust", "text", "sh"].contains(&language.as_str())));
    for (_, text) in blocks.iter().filter(|(language, _)| language == "rust") {
        assert!(example.contains(text), "the example has no such lines:\n{text}");
    }
}

#[test]
fn shell_lines_build_packages_that_exist() {
    let manifest = read("server/thornback/Cargo.toml");
    for (_, text) in blocks(&read("docs/guides/getting-started-rust.md")).iter().filter(|(l, _)| l == "sh") {
        let package =
            text.trim().strip_prefix("cargo build --release -p ").expect("nobody checks other lines");
        assert!(manifest.contains(&format!("name = \"{package}\"")), "{package}");
    }
}

#[test]
fn the_example_prints_what_the_guide_says() {
    let said: String = blocks(&read("docs/guides/getting-started-rust.md"))
        .into_iter()
        .filter(|(language, _)| language == "text")
        .map(|(_, text)| text)
        .collect();
    // Test binaries lie in `deps`, examples beside it, and the server one above.
    let deps = std::env::current_exe().expect("a test knows where it is");
    let built = deps.parent().and_then(Path::parent).expect("it lies two folders deep");
    let example = built.join("examples/getting_started");
    assert!(example.exists(), "build it first: cargo build -p thornback --examples");
    let mut command = Command::new(example);
    if std::env::var_os("THORNBACK_BINARY").is_none() {
        let server = built.join("thornback");
        assert!(server.exists(), "build it first: cargo build -p thornback-server");
        command.env("THORNBACK_BINARY", server);
    }
    let ran = command.output().expect("it was just seen to exist");
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{printed}{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(printed, said);
}
