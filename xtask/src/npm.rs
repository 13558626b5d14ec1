//! Tools of the TypeScript SDK and of what is written with it: what `npm ci` puts into `node_modules`, and the scripts of a `package.json`.

use std::fs;
use std::path::PathBuf;

use crate::repo::{Repo, Result};
use crate::run::Program;

/// The oldest Node.js that the SDK supports, as (major, minor).
const FLOOR: (u32, u32) = (20, 11);

/// What to tell someone who lacks it.
const MISSING: &str = "Node.js 20.11 or newer with npm is needed (https://nodejs.org, or Debian 13: apt-get install nodejs npm)";

/// Holds what was installed, once all of it was.
const STAMP: &str = "node_modules/installed.stamp";

/// A folder with its tools in place.
pub struct Npm {
    dir: PathBuf,
}

impl Npm {
    /// The SDK's own.
    pub fn ready(repo: &Repo) -> Result<Self> {
        Self::ready_in(repo, "sdks/ts")
    }

    /// A folder with a `package.json`. Installs exactly what `package-lock.json` names, if that is not what is there.
    pub fn ready_in(repo: &Repo, folder: &str) -> Result<Self> {
        let dir = repo.path(folder);
        let version = Program::new("node", &dir)
            .args(["--version"])
            .quiet()
            .ok()
            .filter(|version| at_least_floor(version))
            .ok_or(MISSING)?;
        let mut stamp = version;
        for file in ["package.json", "package-lock.json"] {
            let path = dir.join(file);
            stamp +=
                &fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        }
        let stamp_file = dir.join(STAMP);
        let npm = Self { dir };
        if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
            return Ok(npm);
        }
        // None of what is installed needs a script of its own to run.
        npm.program(&["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .quiet()
            .map_err(|e| format!("{e}\n{MISSING}"))?;
        fs::write(&stamp_file, stamp)
            .map_err(|e| format!("{} cannot be written: {e}", stamp_file.display()))?;
        Ok(npm)
    }

    /// A script of `package.json`.
    pub fn script(&self, name: &str) -> Program {
        self.program(&["run", "--silent", name])
    }

    fn program(&self, args: &[&str]) -> Program {
        Program::new("npm", &self.dir).args(args)
    }
}

fn at_least_floor(version: &str) -> bool {
    let mut numbers =
        version.trim().trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_compares_numbers_and_not_text() {
        assert!(at_least_floor("v20.11.0\n"));
        assert!(at_least_floor("v100.0.0"));
        assert!(!at_least_floor("v20.9.1"));
        assert!(!at_least_floor("v9.99.0"));
        assert!(!at_least_floor("node"));
    }
}
