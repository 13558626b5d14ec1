//! Go: one package, written against `thornback.dev/go` and its package `wit`, in the form that `gofmt` leaves as it is.

mod client;
mod types;
mod worker;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::emit::File;
use crate::model::{Actor, Function, Gives, Interface, Kind, Package, Type, TypeId};
use crate::names::{Scope, camel, pascal};

/// Names that parameters cannot have: Go's own, those of imports, and what the functions around them use.
const RESERVED: &[&str] = &[
    "any",
    "append",
    "bool",
    "break",
    "byte",
    "c",
    "cap",
    "case",
    "chan",
    "clear",
    "client",
    "close",
    "complex",
    "const",
    "context",
    "continue",
    "copy",
    "ctx",
    "default",
    "defer",
    "delete",
    "else",
    "err",
    "error",
    "fallthrough",
    "false",
    "float32",
    "float64",
    "for",
    "func",
    "go",
    "goto",
    "if",
    "imag",
    "import",
    "int",
    "interface",
    "iota",
    "iter",
    "len",
    "make",
    "map",
    "max",
    "min",
    "new",
    "nil",
    "options",
    "package",
    "panic",
    "print",
    "println",
    "range",
    "real",
    "recover",
    "return",
    "rune",
    "select",
    "string",
    "struct",
    "switch",
    "thornback",
    "true",
    "type",
    "uint",
    "var",
    "wit",
];

pub(super) fn emit(package: &Package) -> File {
    let mut go = Go {
        package,
        names: Vec::new(),
        codecs: Vec::new(),
        cases: Vec::new(),
        arities: BTreeSet::new(),
        text: String::new(),
    };
    let mut scope = Scope::without(RESERVED);
    for arity in arities(package) {
        scope.take(format!("Tuple{arity}"));
        scope.take(format!("tuple{arity}"));
        go.arities.insert(arity);
    }
    for ty in &package.types {
        let name = scope.take(pascal(&ty.name));
        go.codecs.push(scope.take(format!("{}Codec", camel(&ty.name))));
        go.cases.push(match &ty.kind {
            Kind::Variant(cases) => {
                cases.iter().map(|case| scope.take(format!("{name}{}", pascal(&case.name)))).collect()
            }
            Kind::Enum(labels) => {
                labels.iter().map(|label| scope.take(format!("{name}{}", pascal(&label.name)))).collect()
            }
            _ => Vec::new(),
        });
        go.names.push(name);
    }
    let interfaces: Vec<Named> =
        package.interfaces.iter().map(|interface| Named::of(interface, &mut scope)).collect();
    go.file(&interfaces);
    let name = package_name(package);
    File { path: format!("{name}/{name}.go"), text: go.text }
}

fn package_name(package: &Package) -> String {
    Scope::without(RESERVED).take(package.name.to_ascii_lowercase().replace('-', ""))
}

/// How long the tuples are that the package has.
fn arities(package: &Package) -> BTreeSet<usize> {
    fn look(ty: &Type, found: &mut BTreeSet<usize>) {
        match ty {
            Type::Scalar(_) | Type::Bytes | Type::Named(_) => {}
            Type::List(inner) | Type::Option(inner) => look(inner, found),
            Type::Result(ok, err) => ok.iter().chain(err).for_each(|inner| look(inner, found)),
            Type::Tuple(parts) => {
                found.insert(parts.len());
                parts.iter().for_each(|inner| look(inner, found));
            }
        }
    }
    let mut found = BTreeSet::new();
    for ty in &package.types {
        match &ty.kind {
            Kind::Record(fields) => fields.iter().for_each(|field| look(&field.ty, &mut found)),
            Kind::Variant(cases) => {
                cases.iter().filter_map(|case| case.ty.as_ref()).for_each(|ty| look(ty, &mut found))
            }
            Kind::Enum(_) | Kind::Flags(_) => {}
        }
    }
    for interface in &package.interfaces {
        let actors =
            interface.actors.iter().flat_map(|actor| actor.methods.iter().chain([&actor.constructor]));
        for function in interface.functions.iter().chain(actors) {
            function.params.iter().for_each(|param| look(&param.ty, &mut found));
            if let Gives::Value(ty) | Gives::Stream(ty) = &function.gives {
                look(ty, &mut found);
            }
        }
    }
    found
}

/// The names of an interface's parts in the package.
struct Named<'a> {
    interface: &'a Interface,
    /// Its client, what makes one, who serves it, what registers that, and the list of what it serves.
    client: String,
    new: String,
    worker: String,
    serve: String,
    list: String,
    calls: Vec<Call<'a>>,
    actors: Vec<NamedActor<'a>>,
}

/// A function or method.
struct Call<'a> {
    function: &'a Function,
    /// The variable that says what it is, the method that calls it with values, the one that takes refs too, and the field that holds the task.
    contract: String,
    method: String,
    args: String,
    field: String,
}

struct NamedActor<'a> {
    actor: &'a Actor,
    contract: String,
    /// The handle, what makes one of an untyped one, the class, what makes that, who serves it, and the parameter that makes those.
    handle: String,
    of: String,
    class: String,
    new: String,
    worker: String,
    param: String,
    calls: Vec<Call<'a>>,
}

impl<'a> Named<'a> {
    fn of(interface: &'a Interface, scope: &mut Scope) -> Named<'a> {
        let client = scope.take(pascal(&interface.name));
        let mut params = Scope::without(RESERVED);
        params.take("implementation".to_owned());
        Named {
            new: scope.take(format!("New{client}")),
            worker: scope.take(format!("{client}Worker")),
            serve: scope.take(format!("Serve{client}")),
            list: scope.take(format!("{client}Interface")),
            calls: calls(&interface.functions, &camel(&interface.name), scope),
            actors: interface.actors.iter().map(|actor| NamedActor::of(actor, scope, &mut params)).collect(),
            interface,
            client,
        }
    }
}

impl<'a> NamedActor<'a> {
    fn of(actor: &'a Actor, scope: &mut Scope, params: &mut Scope) -> NamedActor<'a> {
        let handle = scope.take(pascal(&actor.name));
        NamedActor {
            contract: scope.take(format!("{}Contract", camel(&actor.name))),
            of: scope.take(format!("{handle}Of")),
            class: scope.take(format!("{handle}Class")),
            new: scope.take(format!("New{handle}Class")),
            worker: scope.take(format!("{handle}Worker")),
            param: params.take(format!("new{}", pascal(&actor.name))),
            calls: calls(&actor.methods, &camel(&actor.name), scope),
            actor,
            handle,
        }
    }
}

fn calls<'a>(functions: &'a [Function], prefix: &str, scope: &mut Scope) -> Vec<Call<'a>> {
    let mut methods = Scope::without(&["Actor", "Create", "CreateArgs"]);
    let mut fields = Scope::without(RESERVED);
    fields.take("actor".to_owned());
    let names: Vec<String> = functions.iter().map(|function| methods.take(pascal(&function.name))).collect();
    let named = functions.iter().zip(names).map(|(function, method)| Call {
        function,
        contract: scope.take(format!("{prefix}{}", pascal(&function.name))),
        args: methods.take(format!("{method}Args")),
        field: fields.take(camel(&function.name)),
        method,
    });
    named.collect()
}

struct Go<'a> {
    package: &'a Package,
    /// Of each type its name, its codec, and the names of its cases.
    names: Vec<String>,
    codecs: Vec<String>,
    cases: Vec<Vec<String>>,
    arities: BTreeSet<usize>,
    text: String,
}

impl Go<'_> {
    fn file(&mut self, interfaces: &[Named]) {
        self.line(
            0,
            &format!(
                "// Code generated by `thornback gen` from the package {}. DO NOT EDIT.",
                self.package.id
            ),
        );
        self.line(0, "");
        let name = package_name(self.package);
        let about: Vec<&str> =
            self.package.interfaces.iter().map(|interface| interface.docs.as_str()).collect();
        let about = if let [docs] = &about[..] { *docs } else { "" };
        self.docs(0, &format!("Package {name} is the interface {}, typed.", self.package.id), about);
        self.line(0, &format!("package {name}"));
        self.line(0, "");
        let imports = self.text.len();
        for id in 0..self.package.types.len() {
            self.type_def(TypeId(id));
        }
        for arity in self.arities.clone() {
            self.tuple(arity);
        }
        for named in interfaces {
            self.contracts(named);
            self.client(named);
            for actor in &named.actors {
                self.actor(actor);
            }
            self.worker(named);
        }
        let body = self.text.split_off(imports);
        self.line(0, "import (");
        for (import, used) in [("context", "context."), ("iter", "iter.")] {
            if body.contains(used) {
                self.line(1, &format!("\"{import}\""));
            }
        }
        self.line(0, "");
        self.line(1, "thornback \"thornback.dev/go\"");
        self.line(1, "\"thornback.dev/go/wit\"");
        self.line(0, ")");
        self.text.push_str(&body);
    }

    // ------------------------------------------------------------------------------------------------------------------------- text

    fn line(&mut self, indent: usize, text: &str) {
        if text.is_empty() {
            return self.text.push('\n');
        }
        let _ = writeln!(self.text, "{}{text}", "\t".repeat(indent));
    }

    /// A comment of a declaration: what it is, then what the interface says of it.
    fn docs(&mut self, indent: usize, about: &str, docs: &str) {
        self.line(indent, &format!("// {about}"));
        if !docs.trim().is_empty() {
            self.line(indent, "//");
            self.comment(indent, docs);
        }
    }

    /// The lines of a comment; nothing for none.
    fn comment(&mut self, indent: usize, docs: &str) {
        for line in docs.trim().lines() {
            let line = line.trim_end();
            self.line(indent, &if line.is_empty() { "//".to_owned() } else { format!("// {line}") });
        }
    }

    /// Lines of a comment, a name and what follows it, which `gofmt` puts under each other until the next comment.
    fn aligned(&mut self, lines: &[[String; 3]]) {
        let mut at = 0;
        while at < lines.len() {
            let run = 1 + lines[at + 1..].iter().take_while(|[docs, ..]| docs.is_empty()).count();
            let run = &lines[at..at + run];
            let width = run.iter().map(|[_, name, _]| name.chars().count()).max().unwrap_or_default();
            self.comment(1, &run[0][0]);
            for [_, name, rest] in run {
                self.line(1, &format!("{name:width$} {rest}"));
            }
            at += run.len();
        }
    }
}

fn sentence(docs: &str) -> String {
    docs.trim().to_owned()
}
