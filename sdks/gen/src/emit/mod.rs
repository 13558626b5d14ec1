//! The emitters: one file to a language. Each walks the model in its order, so that one file always gives the same text.

mod go;
mod python;
mod rust;
mod ts;

use crate::Package;

/// A language that clients and workers are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// One module, for `thornback` of PyPI.
    Python,
    /// One package, for the module `thornback.dev/go`.
    Go,
    /// One module, for `thornback` of npm.
    Ts,
    /// One module, for the crate `thornback`.
    Rust,
}

impl Lang {
    /// All of them, by their names on the command line.
    pub const ALL: [(&'static str, Lang); 4] =
        [("python", Lang::Python), ("go", Lang::Go), ("ts", Lang::Ts), ("rust", Lang::Rust)];
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative to the directory of output, with `/` between its parts.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The clients and workers of a package.
#[must_use]
pub fn emit(lang: Lang, package: &Package) -> Vec<File> {
    match lang {
        Lang::Python => vec![python::emit(package)],
        Lang::Go => vec![go::emit(package)],
        Lang::Ts => vec![ts::emit(package)],
        Lang::Rust => vec![rust::emit(package)],
    }
}

/// A literal in Python, Go and TypeScript. Names and signatures have no characters that would need more.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The first lines of what is emitted, without marks of comments.
fn banner(package: &Package) -> String {
    format!(
        "Made by `thornback gen` from the package {}. Do not edit: change the interface and make it again.",
        package.id
    )
}
