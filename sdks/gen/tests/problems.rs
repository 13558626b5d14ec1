//! What is no interface is refused with the place and with what to do, and nothing that is read ends in a panic.

use proptest::prelude::*;
use thornback_gen::emit::emit;
use thornback_gen::{Lang, read};

fn problem(text: &str) -> String {
    read("a.wit", text).expect_err("it is refused").to_string()
}

/// Inside an interface.
fn inside(text: &str) -> String {
    problem(&format!("package a:b;\ninterface i {{\n{text}\n}}"))
}

#[test]
fn each_mistake_is_told_with_its_place() {
    for (text, place, words) in [
        ("", "a.wit:1:1:", "begins with its package"),
        ("interface i {}", "a.wit:1:1:", "begins with its package"),
        ("package a:b;", "a.wit:1:1:", "has no interface"),
        ("package a:b; interface i { f: func( }", "a.wit:1:37:", "expected a parameter or `)`"),
        ("package a:b;\n/* no end", "a.wit:2:1:", "has no end"),
        ("package a:b; interface i {} interface I {}", "a.wit:1:39:", "named `I` already"),
        ("package a:b; interface i {} world w { import i; }", "a.wit:1:39:", "has no imports"),
        ("package a:b; interface i {} world w { export j; }", "a.wit:1:46:", "no interface `j`"),
        ("package a:b; interface i {} package c:d;", "a.wit:1:29:", "a second package"),
        ("package a:b; interface bad-Name {}", "a.wit:1:24:", "is no name"),
        ("package a:b; interface i { f: func(é: u8); }", "a.wit:1:36:", "has no meaning"),
    ] {
        let said = problem(text);
        assert!(said.starts_with(place) && said.contains(words), "{text}: {said}");
    }
}

#[test]
fn what_has_no_counterpart_is_refused_with_what_to_do() {
    for (text, words) in [
        ("f: func() -> future<u8>;", "every call gives a ref"),
        ("f: func(x: stream<u8>);", "streams go from a call to its caller"),
        ("f: func() -> list<stream<u8>>;", "Take a list"),
        ("f: func() -> option<option<u8>>;", "Use a variant"),
        ("type t = option<u8>; f: func() -> option<t>;", "Use a variant"),
        ("resource r { constructor(); } f: func(x: borrow<r>);", "Take a string"),
        ("resource r { constructor(); } f: func() -> r;", "Take a string"),
        ("resource r;", "add `constructor();`"),
        ("resource r { constructor(); f: static func(); }", "make it a function of the interface"),
        ("f: func() -> map<string, u8>;", "list of tuples"),
        ("f: func() -> list<u8, 4>;", "fixed length"),
        ("f: func() -> u128;", "define it there, or `use` it"),
        ("record r { }", "at least a field"),
        ("record r { a: s } record s { b: list<r> }", "holds itself"),
        ("type t = t;", "holds itself"),
        ("enum e { a(u8) }", "only the cases of a `variant`"),
        ("f: func(a: u8, A: u8);", "named `A` already"),
        ("use other:pkg/types.{t};", "put the interface"),
        ("use nowhere.{t};", "no interface `nowhere`"),
        ("use i.{t};", "used from an interface that uses it from here"),
    ] {
        let said = inside(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn types_that_grow_without_end_are_refused_in_time() {
    let doubling = |line: fn(usize) -> String| (1..40).map(line).collect::<String>();
    let aliases = doubling(|i| format!("type t{i} = tuple<t{}, t{}>;", i - 1, i - 1));
    assert!(inside(&format!("type t0 = u8; {aliases}")).contains("parts"));
    let records = doubling(|i| format!("record r{i} {{ a: r{}, b: r{} }}", i - 1, i - 1));
    let said = inside(&format!("record r0 {{ a: u8 }} {records}"));
    assert!(said.contains("nested more than"), "{said}");
    let few: String = (1..25).map(|i| format!("record r{i} {{ a: r{}, b: r{} }}", i - 1, i - 1)).collect();
    let said = inside(&format!("record r0 {{ a: u8 }} {few} f: func(x: r24);"));
    assert!(said.contains("longer than 16384 bytes"), "{said}");
    let deep = format!("f: func(x: {}u8{});", "list<".repeat(5000), ">".repeat(5000));
    assert!(inside(&deep).contains("nested more than"));
}

/// Pieces of WIT, which in any order come near to an interface.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "package a:b;",
        "interface i {",
        "interface j {",
        "}",
        "{",
        "(",
        ")",
        "<",
        ">",
        ",",
        ";",
        ":",
        "->",
        "=",
        "@since(version = 1.0.0)",
        "record r { a: u8 }",
        "variant v { a(r), b }",
        "enum e { x, y }",
        "flags g { x, y }",
        "type t = list<r>;",
        "use i.{r};",
        "use j.{t as u};",
        "f: func(a: t, b: v) -> result<e, string>;",
        "resource c { constructor(n: u8); m: func() -> stream<t>; }",
        "world w { export i; }",
        "list",
        "option",
        "tuple<u8, r>",
        "result<_, e>",
        "stream<u8>",
        "future",
        "func",
        "%type",
        "a",
        "r",
        "t",
        "// note\n",
        "/// docs\n",
        "/* x */",
        "\"",
        "é",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_read_ends_in_a_panic(text in prop_oneof![pieces(), ".{0,200}"]) {
        if let Ok(package) = read("a.wit", &text) {
            for (_, lang) in Lang::ALL {
                prop_assert!(!emit(lang, &package).is_empty());
            }
        }
    }

    #[test]
    fn what_stands_inside_an_interface_neither(text in pieces()) {
        let text = format!("package a:b; interface i {{ record r {{ a: u8 }} {text} }}");
        if let Ok(package) = read("a.wit", &text) {
            for (_, lang) in Lang::ALL {
                prop_assert!(!emit(lang, &package).is_empty());
            }
        }
    }
}
