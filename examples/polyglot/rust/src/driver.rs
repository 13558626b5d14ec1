//! The pipeline from Rust. No value comes here but the page at the end.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thornback::{Client, Ref, Task};

use crate::terms::{self, Page, Scores};

/// What no stage in Rust looks into.
#[derive(Serialize, Deserialize)]
struct Clusters {}

static TOKENISE: Task<(String,), Ref<Page>> = Task::named("text.tokenise");
static CLUSTER: Task<(Scores,), Ref<Clusters>> = Task::named("documents.cluster");
static RENDER: Task<(Scores, Clusters), Ref<String>> = Task::named("report.render");

/// Runs the pipeline on the node that THORNBACK_ADDRESS names.
pub async fn run(arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (directory, out) = parse(arguments);
    let client = Client::from_env().await?;
    let files = text_files(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let counted: Vec<_> =
        files.into_iter().map(|file| terms::count::submit(&client, TOKENISE.submit(&client, file))).collect();
    let documents = counted.len();
    let scores = terms::score::submit(&client, counted);
    let clusters = CLUSTER.submit(&client, &scores);
    let page = RENDER.submit(&client, &scores, &clusters).await?;
    std::fs::write(&out, page).map_err(|error| format!("{}: {error}", out.display()))?;
    println!("{documents} documents from Rust: {}", out.display());
    Ok(())
}

/// Every text below a directory, in the order of their names; workers need not have the same working directory.
fn text_files(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut left = vec![directory.canonicalize()?];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "md" || suffix == "txt") {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> (PathBuf, PathBuf) {
    let (mut directory, mut out) = (PathBuf::from("docs"), PathBuf::from("polyglot.html"));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--out" => out = arguments.next().unwrap_or_default().into(),
            _ => directory = argument.into(),
        }
    }
    (directory, out)
}
