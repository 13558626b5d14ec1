//! What to run, and what of the node's environment it gets to see.

use std::ffi::OsString;
use std::path::PathBuf;

/// A program with its surroundings. Standard input is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerCommand {
    /// A path, or a name that is looked up in the `PATH` that the worker gets.
    pub program: String,
    /// Its arguments, without the program's own name.
    pub args: Vec<String>,
    /// Variables on top of the [`Environment`], which they override. The node's own variables for the worker (THORNBACK_ADDRESS,
    /// THORNBACK_POOL, THORNBACK_TOKEN_FILE) belong here; THORNBACK_LAUNCH and THORNBACK_CONTROL_FD are added where they apply.
    pub env: Vec<(String, String)>,
    /// Where it starts; the node's own working directory if `None`.
    pub working_dir: Option<PathBuf>,
}

/// What workers inherit from the node's own environment. A variable whose name begins with `THORNBACK_` is never inherited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Environment {
    /// What a program needs to run at home: paths, language, time zone, devices. No credentials.
    #[default]
    Minimal,
    /// Everything, for a node that its own driver started (`thornback dev`), where people expect to see their variables.
    Inherited,
}

/// Inherited under [`Environment::Minimal`], besides everything that begins with one of `MINIMAL_PREFIXES`.
const MINIMAL: &[&str] = &[
    "CONDA_PREFIX",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NODE_PATH",
    "PATH",
    "RUST_BACKTRACE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
];

// Locale, interpreter, thread counts and accelerators: settings of libraries, none of which takes a secret.
const MINIMAL_PREFIXES: &[&str] =
    &["LC_", "PYTHON", "OMP_", "MKL_", "OPENBLAS_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_"];

impl Environment {
    /// The variables of this process that workers get.
    pub(crate) fn inherited(self) -> impl Iterator<Item = (OsString, OsString)> {
        std::env::vars_os().filter(move |(name, _)| self.passes(&name.to_string_lossy()))
    }

    fn passes(self, name: &str) -> bool {
        if name.starts_with("THORNBACK_") {
            return false;
        }
        match self {
            Environment::Inherited => true,
            Environment::Minimal => {
                MINIMAL.contains(&name) || MINIMAL_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_our_own_variables_stay_with_the_node() {
        for name in ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "HTTPS_PROXY", "DATABASE_URL"]
        {
            assert!(!Environment::Minimal.passes(name), "{name}");
            assert!(Environment::Inherited.passes(name), "{name}");
        }
        for name in ["THORNBACK_LAUNCH", "THORNBACK_TOKEN_FILE"] {
            assert!(!Environment::Minimal.passes(name), "{name}");
            assert!(!Environment::Inherited.passes(name), "{name}");
        }
        for name in ["PATH", "HOME", "LC_ALL", "PYTHONPATH", "CUDA_VISIBLE_DEVICES"] {
            assert!(Environment::Minimal.passes(name), "{name}");
        }
    }
}
