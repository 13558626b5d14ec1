# Generated from protocol/ by `cargo xtask gen`. Do not edit.
"""Code generated from the schemas of the protocol."""
