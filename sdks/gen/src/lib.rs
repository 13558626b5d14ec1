//! Typed interfaces: a WIT file becomes a small model ([`Package`]), canonical signatures (`signature`) and, by an emitter for each language
//! ([`emit`]), clients and workers.
//!
//! This crate reads and writes text. It opens no file or socket, knows no message of the protocol, and links no SDK: what it emits is written against the
//! public interface of one. What it accepts, and what each type is on the wire, is settled by `protocol/spec/interface.md`.
//!
//! ```
//! let package = thornback_gen::read("shop.wit", "package demo:shop; interface till { sum: func(prices: list<u32>) -> u64; }")?;
//! let till = &package.interfaces[0];
//! assert_eq!(till.functions[0].served, "till.sum");
//! assert_eq!(till.functions[0].signature, "func(prices: list<u32>) -> u64");
//! let files = thornback_gen::emit::emit(thornback_gen::Lang::Python, &package);
//! assert_eq!(files[0].path, "shop.py");
//! # Ok::<(), thornback_gen::Problem>(())
//! ```

mod ast;
pub mod emit;
mod lexer;
mod model;
mod names;
mod parser;
mod problem;
mod resolve;
mod signature;

pub use emit::{File, Lang};
pub use model::{
    Actor, Case, Field, Function, Gives, Interface, Kind, Label, Package, Param, Scalar, Type, TypeDef,
    TypeId,
};
pub use problem::Problem;
pub use signature::SIGNATURE_BYTES_MAX;

/// Reads a WIT file. `path` is for messages only.
///
/// # Errors
/// If it is not WIT, or has something that tasks and actors have no counterpart for. The problem says where and what to do.
pub fn read(path: &str, text: &str) -> Result<Package, Problem> {
    resolve::check_length(path, text)?;
    let file = parser::parse(path, text)?;
    resolve::resolve(path, text, file)
}
