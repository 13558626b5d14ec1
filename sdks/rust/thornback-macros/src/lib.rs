//! The attribute macros of the `thornback` crate, which re-exports them. Use them from there.
