//! The file of `--ports-file`, by which a program learns where the node that it started listens.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use thornback_node::Listening;

/// The file, which goes when this value does.
#[derive(Debug)]
pub(crate) struct PortsFile {
    path: PathBuf,
}

impl PortsFile {
    /// Writes the file whole or not at all: beside its place first, then renamed.
    pub(crate) fn write(path: &Path, listening: &Listening) -> io::Result<Self> {
        let mut name =
            path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?.to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            writeln!(file, "{}", text(listening))?;
            fs::rename(&beside, path)
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn text(listening: &Listening) -> serde_json::Value {
    json!({
        "unix": listening.unix,
        "grpc": listening.grpc.map(|address| address.to_string()),
        "token_file": listening.token_file,
        "pid": std::process::id(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_there_while_the_node_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ports.json");
        let listening = Listening {
            unix: "/run/x/node.sock".into(),
            grpc: Some("127.0.0.1:5000".parse().unwrap()),
            token_file: "/run/x/token".into(),
        };
        let file = PortsFile::write(&path, &listening).unwrap();
        let read: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(read["unix"], "/run/x/node.sock");
        assert_eq!(read["grpc"], "127.0.0.1:5000");
        assert_eq!(read["pid"], std::process::id());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(file);
        assert!(!path.exists());
        assert!(PortsFile::write(&directory.path().join("none/ports.json"), &listening).is_err());
    }
}
