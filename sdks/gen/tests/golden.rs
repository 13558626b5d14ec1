//! What is emitted is what lies in `tests/golden`, byte by byte. `THORNBACK_BLESS=1` writes it anew.

use std::fs;
use std::path::Path;

use thornback_gen::emit::emit;
use thornback_gen::{Lang, Package, read};

fn package(name: &str) -> Package {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wit").join(name);
    let text = fs::read_to_string(&path).expect("the interface is there");
    read(name, &text).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Where the golden files of a language are: in the SDK itself where its compiler, linters and tests look only there.
fn home(language: &str) -> String {
    match language {
        "go" => "../go/internal/golden".to_owned(),
        "ts" => "../ts/test/golden".to_owned(),
        _ => format!("tests/golden/{language}"),
    }
}

#[test]
fn each_language_is_emitted_as_before() {
    let bless = std::env::var_os("THORNBACK_BLESS").is_some();
    let mut stale = Vec::new();
    for (language, lang) in Lang::ALL {
        for wit in ["images.wit", "everything.wit"] {
            for file in emit(lang, &package(wit)) {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(home(language)).join(&file.path);
                if bless {
                    fs::create_dir_all(path.parent().expect("a file in a directory")).expect("can be made");
                    fs::write(&path, &file.text).expect("can be written");
                } else if fs::read_to_string(&path).unwrap_or_default() != file.text {
                    stale.push(path.display().to_string());
                }
            }
        }
    }
    assert!(
        stale.is_empty(),
        "not as before, or missing: {}; THORNBACK_BLESS=1 writes them",
        stale.join(", ")
    );
}

#[test]
fn signatures_are_canonical() {
    let everything = package("everything.wit");
    let echo = &everything.interfaces[1];
    let find = |name: &str| {
        let function = echo.functions.iter().find(|function| function.name == name).expect("it is there");
        (function.served.as_str(), function.signature.as_str())
    };
    assert_eq!(find("numbers"), ("echo.numbers", "func(values: list<u16>) -> u64"));
    assert_eq!(find("nothing"), ("echo.nothing", "func()"));
    assert_eq!(find("divide"), ("echo.divide", "func(a: s32, b: s32) -> result<s32, string>"));
    assert_eq!(find("count-down"), ("echo.count-down", "func(from: u32) -> stream<u32>"));
    assert_eq!(
        everything.interfaces[0].functions[0].signature,
        "func(shape: variant{empty, circle(f64), polygon(list<record{x: f64, y: f64}>)}) -> f64"
    );
    assert_eq!(
        echo.actors[0].signature,
        "resource{constructor(start: s64); add: func(n: s64) -> s64; history-of: func() -> list<s64>; reset: func(); \
         steps: func(by: u8) -> stream<s64>}"
    );
}

#[test]
fn names_of_types_and_the_order_of_methods_do_not_matter_to_a_signature() {
    let signature = |text: &str| {
        let package = read("a.wit", text).unwrap_or_else(|problem| panic!("{problem}"));
        let interface = &package.interfaces[0];
        let actors = interface.actors.iter().map(|actor| actor.signature.clone());
        interface
            .functions
            .iter()
            .map(|function| function.signature.clone())
            .chain(actors)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        signature(
            "package a:b; interface i { record p { x: u8 } f: func(p: list<p>); resource r { constructor(); a: func(); b: func(); } }"
        ),
        signature(
            "package c:d; interface j { record q { x: u8 } type qs = list<q>; f: func(p: qs); resource s { b: func(); a: func(); constructor(); } }"
        ),
    );
    assert_ne!(
        signature("package a:b; interface i { f: func(width: u32, height: u32); }"),
        signature("package a:b; interface i { f: func(height: u32, width: u32); }"),
    );
}
