//! Python: one module, written against `thornback.interface`, in the form that `ruff format` leaves as it is.

use std::fmt::Write as _;

use crate::emit::{File, banner, quote};
use crate::model::{Actor, Function, Gives, Interface, Kind, Package, Param, Scalar, Type, TypeDef, TypeId};
use crate::names::{Scope, pascal, shout, snake};

/// Longest line, as in Thornback's own Python.
const LINE: usize = 140;

/// Names that cannot be given to anything: keywords, and what annotations beside them mean something by.
const RESERVED: &[&str] = &[
    "and", "as", "assert", "async", "await", "bool", "break", "bytes", "class", "continue", "def", "del",
    "elif", "else", "enum", "except", "false", "finally", "float", "for", "from", "global", "if", "import",
    "in", "int", "is", "lambda", "list", "none", "nonlocal", "not", "object", "or", "pass", "property",
    "raise", "return", "self", "str", "true", "try", "tuple", "type", "while", "with", "yield",
];

/// What the module imports, or Python has.
const MODULE: &[&str] = &[
    "Any",
    "AsyncIterable",
    "Awaitable",
    "Callable",
    "ClassVar",
    "False",
    "Final",
    "Iterable",
    "None",
    "ObjectRef",
    "ObjectRefGenerator",
    "Protocol",
    "True",
    "TypeAlias",
];

pub(super) fn emit(package: &Package) -> File {
    let mut python = Python { package, names: Vec::new(), cases: Vec::new(), text: String::new() };
    let mut scope = Scope::without(MODULE);
    python.names = package.types.iter().map(|ty| scope.take(pascal(&ty.name))).collect();
    python.cases = package
        .types
        .iter()
        .zip(&python.names)
        .map(|(ty, name)| match &ty.kind {
            Kind::Variant(cases) => {
                cases.iter().map(|case| scope.take(format!("{name}{}", pascal(&case.name)))).collect()
            }
            _ => Vec::new(),
        })
        .collect();
    let interfaces: Vec<Named> =
        package.interfaces.iter().map(|interface| Named::of(interface, &mut scope)).collect();
    python.module(&interfaces);
    File { path: format!("{}.py", module_name(package)), text: python.text }
}

fn module_name(package: &Package) -> String {
    Scope::without(RESERVED).take(snake(&package.name))
}

/// The names of an interface's parts in the module.
struct Named<'a> {
    interface: &'a Interface,
    /// The class that has its stubs, and the protocol of who serves them.
    name: String,
    worker: String,
    serve: String,
    /// Each function's stub and attribute.
    functions: Vec<(&'a Function, String, String)>,
    actors: Vec<NamedActor<'a>>,
}

struct NamedActor<'a> {
    actor: &'a Actor,
    /// The handle, the class's stub, its attribute, the protocol of who serves it, and the parameter that gives that.
    handle: String,
    stub: String,
    attribute: String,
    worker: String,
    param: String,
    methods: Vec<(&'a Function, String, String)>,
}

impl<'a> Named<'a> {
    fn of(interface: &'a Interface, scope: &mut Scope) -> Named<'a> {
        let name = scope.take(pascal(&interface.name));
        let worker = scope.take(format!("{name}Worker"));
        let serve = scope.take(format!("serve_{}", snake(&interface.name)));
        let mut attributes = Scope::without(RESERVED);
        let functions = interface
            .functions
            .iter()
            .map(|function| {
                let stub = scope.take(format!("_{name}{}", pascal(&function.name)));
                (function, stub, attributes.take(snake(&function.name)))
            })
            .collect();
        let mut params = Scope::without(RESERVED);
        params.take("implementation".to_owned());
        let actors = interface
            .actors
            .iter()
            .map(|actor| {
                let handle = scope.take(pascal(&actor.name));
                let mut methods = Scope::without(RESERVED);
                let methods = actor
                    .methods
                    .iter()
                    .map(|method| {
                        let stub = scope.take(format!("_{handle}{}", pascal(&method.name)));
                        (method, stub, methods.take(snake(&method.name)))
                    })
                    .collect();
                NamedActor {
                    actor,
                    stub: scope.take(format!("_{handle}Class")),
                    attribute: attributes.take(pascal(&actor.name)),
                    worker: scope.take(format!("{handle}Worker")),
                    param: params.take(snake(&actor.name)),
                    methods,
                    handle,
                }
            })
            .collect();
        Named { interface, name, worker, serve, functions, actors }
    }
}

struct Python<'a> {
    package: &'a Package,
    /// Of each type, its class.
    names: Vec<String>,
    /// Of each variant, the classes of its cases.
    cases: Vec<Vec<String>>,
    text: String,
}

impl Python<'_> {
    fn module(&mut self, interfaces: &[Named]) {
        let docs: Vec<&str> =
            self.package.interfaces.iter().map(|interface| interface.docs.as_str()).collect();
        let mut about = format!("The package {}, typed.\n\n{}", self.package.id, banner(self.package));
        if let [docs] = &docs[..]
            && !docs.is_empty()
        {
            about = format!("{docs}\n\n{}", banner(self.package));
        }
        self.docs(0, &about);
        let ruff = self.text.len();
        self.blank(1);
        self.line(0, "from __future__ import annotations");
        self.blank(1);
        let body_start = self.text.len();
        for id in 0..self.package.types.len() {
            self.type_def(TypeId(id));
        }
        for named in interfaces {
            self.interface(named);
        }
        let body = self.text.split_off(body_start);
        self.imports(&body);
        self.text.push_str(&body);
        if self.text.lines().any(|line| line.chars().count() > LINE) {
            self.text.insert_str(ruff, "# ruff: noqa: E501\n");
        }
    }

    /// Imports what the module uses and nothing else, in the order that linters want.
    fn imports(&mut self, body: &str) {
        let uses =
            |word: &str| body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
        let pick = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().copied().filter(|name| uses(name)).collect()
        };
        if uses("enum") {
            self.line(0, "import enum");
        }
        let abc = pick(&["AsyncIterable", "Awaitable", "Callable", "Iterable"]);
        if !abc.is_empty() {
            self.line(0, &format!("from collections.abc import {}", abc.join(", ")));
        }
        if uses("dataclass") {
            self.line(0, "from dataclasses import dataclass");
        }
        let typing = pick(&["ClassVar", "Final", "Protocol", "TypeAlias"]);
        if !typing.is_empty() {
            self.line(0, &format!("from typing import {}", typing.join(", ")));
        }
        self.blank(1);
        let refs = pick(&["ActorHandle", "ObjectRef", "ObjectRefGenerator"]);
        if !refs.is_empty() {
            self.line(0, &format!("from thornback import {}", refs.join(", ")));
        }
        self.line(0, "from thornback import interface as _i");
    }

    // ------------------------------------------------------------------------------------------------------------------------- types

    fn type_def(&mut self, id: TypeId) {
        let package = self.package;
        let ty = &package.types[id.0];
        let name = self.names[id.0].clone();
        let codec = match &ty.kind {
            Kind::Record(fields) => {
                let mut scope = Scope::without(RESERVED);
                let mut members = Vec::new();
                self.class(&name, "", &ty.docs, "@dataclass(frozen=True, slots=True, kw_only=True)");
                for (i, field) in fields.iter().enumerate() {
                    let own = scope.take(snake(&field.name));
                    let default = if matches!(field.ty, Type::Option(_)) { " = None" } else { "" };
                    if i > 0 || !ty.docs.is_empty() {
                        self.blank_if(i == 0 || !field.docs.is_empty() || !fields[i - 1].docs.is_empty());
                    }
                    self.line(1, &format!("{own}: {}{default}", self.annotation(&field.ty)));
                    self.docs(1, &field.docs);
                    members.push(format!(
                        "({}, {}, {})",
                        quote(&field.name),
                        quote(&own),
                        self.codec(&field.ty)
                    ));
                }
                let mut args = vec![name.clone()];
                args.extend(members);
                ("_i.record", args)
            }
            Kind::Variant(cases) => {
                let mut args = vec![quote(&ty.name)];
                for (case, class) in cases.iter().zip(self.cases[id.0].clone()) {
                    self.class(&class, "", &case.docs, "@dataclass(frozen=True, slots=True)");
                    match &case.ty {
                        Some(held) => {
                            self.blank_if(!case.docs.is_empty());
                            self.line(1, &format!("value: {}", self.annotation(held)));
                            args.push(format!("({}, {class}, {})", quote(&case.name), self.codec(held)));
                        }
                        None => {
                            if case.docs.is_empty() {
                                self.line(1, "pass");
                            }
                            args.push(format!("({}, {class}, None)", quote(&case.name)));
                        }
                    }
                }
                self.blank(2);
                self.line(0, &format!("{name}: TypeAlias = {}", self.cases[id.0].join(" | ")));
                self.docs(0, &ty.docs);
                ("_i.variant", args)
            }
            Kind::Enum(labels) => {
                self.class(&name, "enum.Enum", &ty.docs, "");
                self.labels(ty, labels, |_, label| quote(label));
                ("_i.enumeration", vec![name.clone()])
            }
            Kind::Flags(labels) => {
                self.class(&name, "enum.Flag", &ty.docs, "");
                self.labels(ty, labels, |i, _| format!("1 << {i}"));
                let names = labels.iter().map(|label| quote(&label.name));
                ("_i.flags", std::iter::once(name.clone()).chain(names).collect())
            }
        };
        if matches!(ty.kind, Kind::Variant(_)) {
            self.blank_if(!ty.docs.is_empty());
        } else {
            self.blank(2);
        }
        let (function, args) = codec;
        self.call(0, &format!("{}: Final[_i.Codec[{name}]] = {function}", self.constant(id)), &args, "");
    }

    fn labels(&mut self, ty: &TypeDef, labels: &[crate::Label], value: impl Fn(usize, &str) -> String) {
        // `mro` and the like are lower case; members are not.
        let mut scope = Scope::default();
        for (i, label) in labels.iter().enumerate() {
            self.blank_if(i == 0 && !ty.docs.is_empty());
            let text = format!("{} = {}", scope.take(shout(&label.name)), value(i, &label.name));
            self.line(1, &text);
            self.docs(1, &label.docs);
        }
    }

    /// The name of the codec of a named type.
    fn constant(&self, id: TypeId) -> String {
        format!("_{}", shout(&self.package.types[id.0].name))
    }

    fn annotation(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(Scalar::Bool) => "bool".to_owned(),
            Type::Scalar(Scalar::F32 | Scalar::F64) => "float".to_owned(),
            Type::Scalar(Scalar::Char | Scalar::String) => "str".to_owned(),
            Type::Scalar(_) => "int".to_owned(),
            Type::Bytes => "bytes".to_owned(),
            Type::List(item) => format!("list[{}]", self.annotation(item)),
            Type::Option(some) => format!("{} | None", self.annotation(some)),
            Type::Result(ok, err) => {
                let side = |side: &Option<Box<Type>>| {
                    side.as_ref().map_or("None".to_owned(), |ty| self.annotation(ty))
                };
                format!("_i.Ok[{}] | _i.Err[{}]", side(ok), side(err))
            }
            Type::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.annotation(part)).collect();
                format!("tuple[{}]", parts.join(", "))
            }
            Type::Named(id) => self.names[id.0].clone(),
        }
    }

    fn codec(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => format!("_i.{}", scalar.name().to_ascii_uppercase()),
            Type::Bytes => "_i.BYTES".to_owned(),
            Type::List(item) => format!("_i.list_of({})", self.codec(item)),
            Type::Option(some) => format!("_i.option({})", self.codec(some)),
            Type::Result(ok, err) => {
                let side =
                    |side: &Option<Box<Type>>| side.as_ref().map_or("None".to_owned(), |ty| self.codec(ty));
                format!("_i.result({}, {})", side(ok), side(err))
            }
            Type::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.codec(part)).collect();
                format!("_i.tuple_of({})", parts.join(", "))
            }
            Type::Named(id) => self.constant(*id),
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------ stubs

    fn interface(&mut self, named: &Named) {
        for (function, stub, _) in &named.functions {
            self.function(function, stub);
        }
        for actor in &named.actors {
            self.actor(actor);
        }
        let docs = match named.interface.docs.as_str() {
            "" => format!("Calls what the interface `{}` says.", named.interface.name),
            docs => docs.to_owned(),
        };
        self.class(&named.name, "", &docs, "");
        self.blank(1);
        let functions = named.functions.iter().map(|(_, stub, attribute)| (stub, attribute));
        let actors = named.actors.iter().map(|actor| (&actor.stub, &actor.attribute));
        let mut all = Vec::new();
        for (stub, attribute) in functions.chain(actors) {
            self.line(1, &format!("{attribute}: Final = {stub}()"));
            all.push(attribute.clone());
        }
        let comma = if all.len() == 1 { "," } else { "" };
        let one = format!("__thornback__: Final = ({}{comma})", all.join(", "));
        if 4 + one.len() <= LINE {
            self.line(1, &one);
        } else {
            self.call(1, "__thornback__: Final = ", &all, "");
        }
        for actor in &named.actors {
            self.actor_worker(actor);
        }
        self.worker(named);
    }

    fn function(&mut self, function: &Function, stub: &str) {
        let item = self.item(&function.gives);
        self.class(stub, &format!("_i.Function[{item}]"), &function.docs, "");
        self.blank_if(!function.docs.is_empty());
        self.line(1, &format!("_served: ClassVar = {}", quote(&function.served)));
        self.constants(function, &function.name);
        self.caller("remote", function);
    }

    /// What a stub says to the module that it is written against.
    fn constants(&mut self, function: &Function, name: &str) {
        self.line(1, &format!("_name: ClassVar = {}", quote(name)));
        if !function.served.is_empty() && !function.signature.is_empty() {
            self.line(1, &format!("_signature: ClassVar = {}", quote(&function.signature)));
        }
        let params: Vec<String> = function
            .params
            .iter()
            .map(|param| format!("({}, {})", quote(&param.name), self.codec(&param.ty)))
            .collect();
        let comma = if params.len() == 1 { "," } else { "" };
        let one = format!("_params: ClassVar = ({}{comma})", params.join(", "));
        if 4 + one.len() <= LINE {
            self.line(1, &one);
        } else {
            self.call(1, "_params: ClassVar = ", &params, "");
        }
        let (gives, streams) = match &function.gives {
            Gives::Nothing => ("_i.NOTHING".to_owned(), false),
            Gives::Value(ty) => (self.codec(ty), false),
            Gives::Stream(ty) => (self.codec(ty), true),
        };
        self.line(1, &format!("_gives: ClassVar = {gives}"));
        if streams {
            self.line(1, "_streams: ClassVar = True");
        }
    }

    fn caller(&mut self, name: &str, function: &Function) {
        let item = self.item(&function.gives);
        let (gives, how) = match function.gives {
            Gives::Stream(_) => (format!("ObjectRefGenerator[{item}]"), "_stream"),
            _ => (format!("ObjectRef[{item}]"), "_call"),
        };
        let (declared, passed) = self.params(&function.params, true);
        self.blank(1);
        self.call(1, &format!("def {name}"), &declared, &format!(" -> {gives}:"));
        let about = match function.gives {
            Gives::Stream(_) => "Calls it; items come as they are made.",
            _ => "Calls it and gives a ref of the result at once.",
        };
        self.docs(2, about);
        self.call(2, &format!("return self.{how}"), &passed, "");
    }

    fn actor(&mut self, named: &NamedActor) {
        let actor = named.actor;
        for (method, stub, _) in &named.methods {
            let item = self.item(&method.gives);
            self.class(stub, &format!("_i.Method[{item}]"), &method.docs, "");
            self.blank_if(!method.docs.is_empty());
            let untyped = Function { signature: String::new(), ..(*method).clone() };
            self.constants(&untyped, &method.name);
            self.caller("remote", method);
        }
        let docs = match actor.docs.as_str() {
            "" => format!("A handle of an actor `{}`.", actor.served),
            docs => docs.to_owned(),
        };
        self.class(&named.handle, "_i.Actor", &docs, "");
        self.blank(1);
        self.line(1, "__slots__ = ()");
        for (method, stub, attribute) in &named.methods {
            self.blank(1);
            self.line(1, "@property");
            self.line(1, &format!("def {attribute}(self) -> {stub}:"));
            self.docs(2, &method.docs);
            self.line(2, &format!("return {stub}(self)"));
        }
        let handle = &named.handle;
        self.class(&named.stub, &format!("_i.Class[{handle}]"), &actor.docs, "");
        self.blank_if(!actor.docs.is_empty());
        let made = &actor.constructor;
        self.line(1, &format!("_served: ClassVar = {}", quote(&actor.served)));
        self.line(1, &format!("_name: ClassVar = {}", quote(&actor.name)));
        self.line(1, &format!("_signature: ClassVar = {}", quote(&actor.signature)));
        let params: Vec<String> = made
            .params
            .iter()
            .map(|param| format!("({}, {})", quote(&param.name), self.codec(&param.ty)))
            .collect();
        let comma = if params.len() == 1 { "," } else { "" };
        self.line(1, &format!("_params: ClassVar = ({}{comma})", params.join(", ")));
        self.line(1, &format!("_handle: ClassVar = {handle}"));
        let (declared, passed) = self.params(&made.params, true);
        self.blank(1);
        self.call(1, "def remote", &declared, &format!(" -> {handle}:"));
        self.docs(2, "Makes an actor and gives its handle at once; calls may follow.");
        self.line(2, &format!("actor: {handle} = self._create({})", passed.join(", ")));
        self.line(2, "return actor");
        self.blank(1);
        self.line(1, &format!("def find(self, name: str, namespace: str | None = None) -> {handle}:"));
        self.docs(2, "A handle of a named actor. Raises `thornback.ActorNotFoundError`; `TypeError` if it is of another class.");
        self.line(2, &format!("actor: {handle} = self._find(name, namespace)"));
        self.line(2, "return actor");
        self.blank(1);
        self.line(1, &format!("def of(self, handle: ActorHandle) -> {handle}:"));
        self.docs(2, "The typed handle of an actor that came as an untyped one. Raises `TypeError` if it is of another class.");
        self.line(2, &format!("actor: {handle} = self._of(handle)"));
        self.line(2, "return actor");
    }

    // ---------------------------------------------------------------------------------------------------------------------- workers

    fn actor_worker(&mut self, named: &NamedActor) {
        let docs = format!(
            "What a class has whose instances are actors `{}`. Its methods may be coroutines, all or some.",
            named.actor.served
        );
        self.class(&named.worker, "Protocol", &docs, "");
        if named.methods.is_empty() {
            return;
        }
        for (method, _, attribute) in &named.methods {
            let gives = self.worker_gives(&method.gives, true);
            self.blank(1);
            self.method(method, attribute, &gives);
        }
    }

    fn worker(&mut self, named: &Named) {
        let serve = &named.serve;
        if !named.functions.is_empty() {
            let docs = format!(
                "What serves `{}`: a module or an object with these functions.",
                named.interface.name
            );
            self.class(&named.worker, "Protocol", &docs, "");
            for (function, _, attribute) in &named.functions {
                let gives = self.worker_gives(&function.gives, false);
                self.blank(1);
                self.method(function, attribute, &gives);
            }
        }
        let mut params = Vec::new();
        if !named.functions.is_empty() {
            params.push(format!("implementation: {}", named.worker));
        }
        if !named.actors.is_empty() {
            params.push("*".to_owned());
        }
        for actor in &named.actors {
            let takes: Vec<String> =
                actor.actor.constructor.params.iter().map(|param| self.annotation(&param.ty)).collect();
            params.push(format!("{}: Callable[[{}], {}]", actor.param, takes.join(", "), actor.worker));
        }
        self.blank(2);
        self.call(0, &format!("def {serve}"), &params, " -> None:");
        self.docs(
            1,
            "Registers what serves the interface; `thornback.worker.serve()` then serves it.\n\nRaises `TypeError` that says everything that is missing or does not fit.",
        );
        if !named.functions.is_empty() {
            let functions: Vec<String> = named
                .functions
                .iter()
                .map(|(_, _, attribute)| format!("({}.{attribute}, {})", named.name, quote(attribute)))
                .collect();
            self.served("_i.serve", "implementation", &functions);
        }
        for actor in &named.actors {
            let methods: Vec<String> = actor
                .methods
                .iter()
                .map(|(_, stub, attribute)| format!("({stub}, {})", quote(attribute)))
                .collect();
            self.served(
                "_i.serve_class",
                &format!("{}.{}, {}", named.name, actor.attribute, actor.param),
                &methods,
            );
        }
    }

    /// A call whose last argument is a list.
    fn served(&mut self, function: &str, first: &str, items: &[String]) {
        let one = format!("{function}({first}, [{}])", items.join(", "));
        if 4 + one.len() <= LINE {
            return self.line(1, &one);
        }
        self.line(1, &format!("{function}("));
        for part in first.split(", ") {
            self.line(2, &format!("{part},"));
        }
        self.line(2, "[");
        for item in items {
            self.line(3, &format!("{item},"));
        }
        self.line(2, "],");
        self.line(1, ")");
    }

    fn method(&mut self, function: &Function, name: &str, gives: &str) {
        let (declared, _) = self.params(&function.params, false);
        if function.docs.is_empty() {
            self.call(1, &format!("def {name}"), &declared, &format!(" -> {gives}: ..."));
        } else {
            self.call(1, &format!("def {name}"), &declared, &format!(" -> {gives}:"));
            self.docs(2, &function.docs);
            self.line(2, "...");
        }
    }

    fn worker_gives(&self, gives: &Gives, of_actor: bool) -> String {
        match (gives, of_actor) {
            (Gives::Stream(ty), false) => format!("Iterable[{}]", self.annotation(ty)),
            (Gives::Stream(ty), true) => {
                let item = self.annotation(ty);
                format!("Iterable[{item}] | AsyncIterable[{item}]")
            }
            (_, false) => self.item(gives),
            (_, true) => {
                let item = self.item(gives);
                match item.strip_suffix("None") {
                    Some(some) => format!("{some}Awaitable[{item}] | None"),
                    None => format!("{item} | Awaitable[{item}]"),
                }
            }
        }
    }

    fn item(&self, gives: &Gives) -> String {
        match gives {
            Gives::Nothing => "None".to_owned(),
            Gives::Value(ty) | Gives::Stream(ty) => self.annotation(ty),
        }
    }

    /// Parameters of a method as they are declared, and as they are passed on.
    fn params(&self, params: &[Param], refs: bool) -> (Vec<String>, Vec<String>) {
        let mut scope = Scope::without(RESERVED);
        let mut declared = vec!["self".to_owned()];
        let mut passed = Vec::new();
        for param in params {
            let name = scope.take(snake(&param.name));
            let ty = self.annotation(&param.ty);
            declared.push(match ty.strip_suffix(" | None") {
                _ if !refs => format!("{name}: {ty}"),
                // Linters want it at the end.
                Some(some) => format!("{name}: {some} | ObjectRef[{ty}] | None"),
                None => format!("{name}: {ty} | ObjectRef[{ty}]"),
            });
            passed.push(name);
        }
        (declared, passed)
    }

    // ------------------------------------------------------------------------------------------------------------------------- text

    fn class(&mut self, name: &str, bases: &str, docs: &str, decorator: &str) {
        self.blank(2);
        if !decorator.is_empty() {
            self.line(0, decorator);
        }
        let bases = if bases.is_empty() { String::new() } else { format!("({bases})") };
        self.line(0, &format!("class {name}{bases}:"));
        self.docs(1, docs);
    }

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.text, "{:width$}{text}", "", width = indent * 4);
    }

    fn blank(&mut self, count: usize) {
        self.text.push_str(&"\n".repeat(count));
    }

    fn blank_if(&mut self, wanted: bool) {
        self.blank(usize::from(wanted));
    }

    /// `head(a, b)tail`, in one line if it fits, else with a line for each argument.
    fn call(&mut self, indent: usize, head: &str, args: &[String], tail: &str) {
        let one = format!("{head}({}){tail}", args.join(", "));
        if indent * 4 + one.chars().count() <= LINE || args.is_empty() {
            return self.line(indent, &one);
        }
        self.line(indent, &format!("{head}("));
        for arg in args {
            let comma = if arg == "*" && args.last() == Some(arg) { "" } else { "," };
            self.line(indent + 1, &format!("{arg}{comma}"));
        }
        self.line(indent, &format!("){tail}"));
    }

    /// A docstring; nothing for none.
    fn docs(&mut self, indent: usize, docs: &str) {
        let docs = docs.trim();
        if docs.is_empty() {
            return;
        }
        let docs = docs.replace('\\', "\\\\").replace("\"\"\"", "\\\"\\\"\\\"");
        let docs = match docs.strip_suffix('"') {
            Some(start) => format!("{start}\\\""),
            None => docs,
        };
        let mut lines = docs.lines().map(str::trim_end);
        let first = lines.next().unwrap_or_default();
        let rest: Vec<&str> = lines.collect();
        if rest.is_empty() {
            return self.line(indent, &format!("\"\"\"{first}\"\"\""));
        }
        self.line(indent, &format!("\"\"\"{first}"));
        for line in rest {
            if line.is_empty() {
                self.blank(1);
            } else {
                self.line(indent, line);
            }
        }
        self.line(indent, "\"\"\"");
    }
}
