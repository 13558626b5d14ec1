//! Where generated files go: into the tree, or beside it for comparison.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// Collects generated files. Nothing is half done: a folder is only tidied once everything for it was made.
pub(crate) struct Output {
    root: PathBuf,
    check: bool,
    stale: Vec<String>,
}

impl Output {
    /// For the tree at `root`; with `check` it only compares.
    pub(crate) fn new(root: &Path, check: bool) -> Self {
        Self { root: root.to_path_buf(), check, stale: Vec::new() }
    }

    /// One generated file. It is left alone if it is the same already, so that nothing is built again in vain.
    pub(crate) fn file(&mut self, relative: &str, contents: &[u8]) -> Result {
        let path = self.root.join(relative);
        let found = fs::read(&path).ok();
        if found.as_deref() == Some(contents) {
            return Ok(());
        }
        if self.check {
            self.stale.push(match found {
                Some(found) => format!("{relative} ({})", first_difference(&found, contents)),
                None => format!("{relative} (missing)"),
            });
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| format!("{} cannot be made: {e}", folder.display()))?;
        }
        fs::write(&path, contents).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        println!("wrote {relative}");
        Ok(())
    }

    /// Notes a file as stale without knowing what it should hold.
    pub(crate) fn stale(&mut self, relative: &str, why: &str) {
        self.stale.push(format!("{relative} ({why})"));
    }

    /// Ends with an error if a comparison failed.
    pub(crate) fn finish(self) -> Result {
        if self.stale.is_empty() {
            return Ok(());
        }
        Err(format!(
            "generated code does not match the schemas; run `cargo xtask gen` and commit the result:\n  {}",
            self.stale.join("\n  ")
        ))
    }
}

fn first_difference(found: &[u8], wanted: &[u8]) -> String {
    let found = String::from_utf8_lossy(found);
    let wanted = String::from_utf8_lossy(wanted);
    let pairs = found.lines().zip(wanted.lines()).enumerate();
    for (index, (found, wanted)) in pairs {
        if found != wanted {
            return format!("line {}: has {found:?}, wants {wanted:?}", index + 1);
        }
    }
    format!("has {} lines, wants {}", found.lines().count(), wanted.lines().count())
}
