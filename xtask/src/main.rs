//! All commands of the repository: `cargo xtask <command>`.

fn main() {}
