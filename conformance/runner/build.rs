//! Puts the schemas of the protocol and the cases into the program, so that it is one file that needs nothing beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;

fn main() {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let protocol = here.join("../../protocol");
    schemas(&protocol.join("proto"), &out);
    cases(&here.join("../cases"), &out);
    println!("cargo::rerun-if-changed={}", protocol.join("errors/codes.yaml").display());
    spec(&protocol.join("spec"), &out);
}

fn schemas(folder: &Path, out: &Path) {
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = listed(&folder.join("thornback/v1"), "proto");
    let set = protox::compile(files, [folder]).expect("the schemas compile");
    fs::write(out.join("schemas.bin"), set.encode_to_vec()).expect("the build folder can be written");
}

fn cases(folder: &Path, out: &Path) {
    println!("cargo::rerun-if-changed={}", folder.display());
    embed("CASES", "The files of conformance/cases: path and text.", folder, "yaml", &out.join("cases.rs"));
}

fn spec(folder: &Path, out: &Path) {
    println!("cargo::rerun-if-changed={}", folder.display());
    embed("SPEC", "The pages of protocol/spec: path and text.", folder, "md", &out.join("spec.rs"));
}

fn embed(name: &str, about: &str, folder: &Path, extension: &str, out: &Path) {
    let mut text = format!("/// {about}\npub const {name}: &[(&str, &str)] = &[\n");
    for file in listed(folder, extension) {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).expect("names are text");
        writeln!(text, "    ({stem:?}, include_str!({:?})),", file.display().to_string())
            .expect("a string takes it");
    }
    text.push_str("];\n");
    fs::write(out, text).expect("the build folder can be written");
}

fn listed(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
