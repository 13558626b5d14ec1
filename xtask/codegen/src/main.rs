//! Generates the checked-in code from the schemas under `protocol/`. Run it through `cargo xtask gen`.

fn main() {}
