//! The working tree: where it is and which files it holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every command returns: nothing, or one message for the person at the terminal.
pub type Result<T = ()> = std::result::Result<T, String>;

/// The root of the working tree.
pub struct Repo {
    root: PathBuf,
}

impl Repo {
    /// Finds the tree above the current directory; else the one that this program was built from.
    pub fn find() -> Result<Self> {
        let here =
            std::env::current_dir().map_err(|e| format!("the current directory cannot be read: {e}"))?;
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
        [here.as_path(), built_from]
            .into_iter()
            .flat_map(Path::ancestors)
            .find(|dir| dir.join("xtask/Cargo.toml").is_file() && dir.join("protocol").is_dir())
            .map(|dir| Self { root: dir.to_path_buf() })
            .ok_or_else(|| "this is not a Thornback working tree; run it from inside one".to_owned())
    }

    /// The root itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the tree.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Where build products go: `CARGO_TARGET_DIR`, or `target/`.
    pub fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => self.root.join(dir),
            None => self.root.join("target"),
        }
    }

    /// The text of a file, with its name in the error.
    pub fn read(&self, relative: impl AsRef<Path>) -> Result<String> {
        let relative = relative.as_ref();
        fs::read_to_string(self.path(relative))
            .map_err(|e| format!("{} cannot be read: {e}", relative.display()))
    }

    /// Every file of the tree that is, or would be, under version control, relative to the root and sorted.
    ///
    /// Files that are not yet added count too, so that a rule is broken before the commit and not after it.
    /// A tree without git (an unpacked archive) is walked.
    pub fn files(&self) -> Result<Vec<String>> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output();
        let mut files: Vec<String> = match listed {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
                .split('\0')
                .filter(|name| !name.is_empty() && self.path(name).is_file())
                .map(str::to_owned)
                .collect(),
            _ => {
                let mut found = Vec::new();
                walk(&self.root, Path::new(""), &mut found)?;
                found
            }
        };
        files.sort_unstable();
        files.dedup();
        Ok(files)
    }
}

/// Folders that hold products, never sources.
const PRODUCTS: &[&str] = &[".git", "target", "node_modules", "__pycache__", ".venv", "shared"];

fn walk(root: &Path, relative: &Path, found: &mut Vec<String>) -> Result {
    let dir = root.join(relative);
    let entries = fs::read_dir(&dir).map_err(|e| format!("{} cannot be listed: {e}", dir.display()))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = relative.join(&name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !PRODUCTS.iter().any(|product| name == *product) => {
                walk(root, &path, found)?;
            }
            Ok(kind) if kind.is_file() => found.push(path.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    Ok(())
}
