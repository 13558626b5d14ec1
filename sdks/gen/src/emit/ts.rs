//! TypeScript: one module, written against `thornback` and `thornback/interface`.

use std::fmt::Write as _;

use crate::emit::{File, banner, quote};
use crate::model::{Actor, Function, Gives, Interface, Kind, Package, Param, Scalar, Type, TypeDef, TypeId};
use crate::names::{Scope, camel, pascal, snake};

/// Names that cannot be given to anything: keywords, and what the code around parameters uses.
const RESERVED: &[&str] = &[
    "actor",
    "arguments",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "client",
    "const",
    "constructor",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "handle",
    "if",
    "implementation",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "name",
    "new",
    "null",
    "options",
    "package",
    "private",
    "protected",
    "prototype",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "then",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// What the module imports, or JavaScript has.
const MODULE: &[&str] = &[
    "ActorClass",
    "ActorHandle",
    "ActorOptions",
    "Array",
    "AsyncIterable",
    "AsyncIterableIterator",
    "BigInt",
    "Boolean",
    "Client",
    "Date",
    "Error",
    "Function",
    "Iterable",
    "Map",
    "Number",
    "Object",
    "Promise",
    "Readonly",
    "Record",
    "Ref",
    "Set",
    "String",
    "Symbol",
    "Task",
    "TaskOptions",
    "Uint8Array",
    "_i",
];

pub(super) fn emit(package: &Package) -> File {
    let mut scope = Scope::without(&[RESERVED, MODULE].concat());
    let names = package.types.iter().map(|ty| scope.take(pascal(&ty.name))).collect();
    let codecs = package.types.iter().map(|ty| scope.take(format!("{}Codec", camel(&ty.name)))).collect();
    let interfaces: Vec<Named> =
        package.interfaces.iter().map(|interface| Named::of(interface, &mut scope)).collect();
    let mut ts = Ts { package, names, codecs, text: String::new() };
    ts.module(&interfaces);
    File { path: format!("{}.ts", snake(&package.name)), text: ts.text }
}

/// The names of an interface's parts in the module.
struct Named<'a> {
    interface: &'a Interface,
    /// Its client, who serves it, what makes that servable, and the list of what it serves.
    client: String,
    worker: String,
    serve: String,
    list: String,
    calls: Vec<Call<'a>>,
    actors: Vec<NamedActor<'a>>,
}

/// A function or method: its contract, and its property.
struct Call<'a> {
    function: &'a Function,
    contract: String,
    property: String,
}

struct NamedActor<'a> {
    actor: &'a Actor,
    contract: String,
    handle: String,
    class: String,
    worker: String,
    param: String,
    calls: Vec<Call<'a>>,
}

impl<'a> Named<'a> {
    fn of(interface: &'a Interface, scope: &mut Scope) -> Named<'a> {
        let client = scope.take(pascal(&interface.name));
        let mut params = Scope::without(RESERVED);
        Named {
            worker: scope.take(format!("{client}Worker")),
            serve: scope.take(format!("serve{client}")),
            list: scope.take(format!("{}Interface", camel(&interface.name))),
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
            class: scope.take(format!("{handle}Class")),
            worker: scope.take(format!("{handle}Worker")),
            param: params.take(camel(&actor.name)),
            calls: calls(&actor.methods, &camel(&actor.name), scope),
            actor,
            handle,
        }
    }
}

fn calls<'a>(functions: &'a [Function], prefix: &str, scope: &mut Scope) -> Vec<Call<'a>> {
    let mut properties = Scope::without(&["constructor", "handle", "then"]);
    let named = functions.iter().map(|function| Call {
        function,
        contract: scope.take(format!("{prefix}{}", pascal(&function.name))),
        property: properties.take(camel(&function.name)),
    });
    named.collect()
}

struct Ts<'a> {
    package: &'a Package,
    /// Of each type its name and its codec.
    names: Vec<String>,
    codecs: Vec<String>,
    text: String,
}

impl Ts<'_> {
    fn module(&mut self, interfaces: &[Named]) {
        self.line(0, &format!("// {}", banner(self.package)));
        self.line(0, "");
        let imports = self.text.len();
        for id in 0..self.package.types.len() {
            self.type_def(TypeId(id));
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
        let uses =
            |word: &str| body.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
        let all = ["ActorClass", "ActorHandle", "ActorOptions", "Client", "Ref", "Task", "TaskOptions"];
        let used: Vec<&str> = all.into_iter().filter(|name| uses(name)).collect();
        if !used.is_empty() {
            self.line(0, &format!("import type {{ {} }} from \"thornback\";", used.join(", ")));
        }
        self.line(0, "import * as _i from \"thornback/interface\";");
        self.text.push_str(&body);
    }

    // ------------------------------------------------------------------------------------------------------------------------ types

    fn ty(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => match scalar {
                Scalar::Bool => "boolean",
                Scalar::U64 | Scalar::S64 => "bigint",
                Scalar::Char | Scalar::String => "string",
                _ => "number",
            }
            .to_owned(),
            Type::Bytes => "Uint8Array".to_owned(),
            Type::List(item) => match &**item {
                Type::Option(_) => format!("readonly ({})[]", self.ty(item)),
                Type::List(_) | Type::Tuple(_) => format!("readonly ({})[]", self.ty(item)),
                _ => format!("readonly {}[]", self.ty(item)),
            },
            Type::Option(some) => format!("{} | null", self.ty(some)),
            Type::Result(ok, err) => {
                let side =
                    |side: &Option<Box<Type>>| side.as_ref().map_or("null".to_owned(), |ty| self.ty(ty));
                format!("_i.Result<{}, {}>", side(ok), side(err))
            }
            Type::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.ty(part)).collect();
                format!("readonly [{}]", parts.join(", "))
            }
            Type::Named(id) => self.names[id.0].clone(),
        }
    }

    fn codec(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => format!("_i.{}", scalar.name()),
            Type::Bytes => "_i.bytes".to_owned(),
            Type::List(item) => format!("_i.list({})", self.codec(item)),
            Type::Option(some) => format!("_i.option({})", self.codec(some)),
            Type::Result(ok, err) => {
                let side = |side: &Option<Box<Type>>| {
                    side.as_ref().map_or("_i.nothing".to_owned(), |ty| self.codec(ty))
                };
                format!("_i.result({}, {})", side(ok), side(err))
            }
            Type::Tuple(parts) => {
                let codecs: Vec<String> = parts.iter().map(|part| self.codec(part)).collect();
                format!("_i.tuple({})", codecs.join(", "))
            }
            Type::Named(id) => self.codecs[id.0].clone(),
        }
    }

    fn type_def(&mut self, id: TypeId) {
        let package = self.package;
        let TypeDef { name: wit, docs, kind } = &package.types[id.0];
        let (name, codec) = (self.names[id.0].clone(), self.codecs[id.0].clone());
        self.line(0, "");
        self.docs(0, docs);
        match kind {
            Kind::Record(fields) => {
                let mut scope = Scope::without(&["__proto__"]);
                let properties: Vec<String> =
                    fields.iter().map(|field| scope.take(camel(&field.name))).collect();
                self.line(0, &format!("export interface {name} {{"));
                for (field, property) in fields.iter().zip(&properties) {
                    self.docs(1, &field.docs);
                    let ty = self.ty(&field.ty);
                    self.line(1, &format!("readonly {property}: {ty};"));
                }
                self.line(0, "}");
                self.line(0, "");
                self.line(0, &format!("const {codec} = _i.record<{name}>("));
                self.line(1, &format!("{},", quote(wit)));
                for (field, property) in fields.iter().zip(&properties) {
                    let inner = self.codec(&field.ty);
                    self.line(1, &format!("[{}, {}, {inner}],", quote(&field.name), quote(property)));
                }
                self.line(0, ");");
            }
            Kind::Variant(cases) => {
                self.line(0, &format!("export type {name} ="));
                for (i, case) in cases.iter().enumerate() {
                    self.docs(1, &case.docs);
                    let end = if i + 1 == cases.len() { ";" } else { "" };
                    let kind = quote(&case.name);
                    let text = match &case.ty {
                        Some(ty) => {
                            format!("| {{ readonly kind: {kind}; readonly value: {} }}{end}", self.ty(ty))
                        }
                        None => format!("| {{ readonly kind: {kind} }}{end}"),
                    };
                    self.line(1, &text);
                }
                self.line(0, "");
                self.line(0, &format!("const {codec} = _i.variant<{name}>({}, {{", quote(wit)));
                for case in cases {
                    let inner = case.ty.as_ref().map_or("null".to_owned(), |ty| self.codec(ty));
                    self.line(1, &format!("{}: {inner},", quote(&case.name)));
                }
                self.line(0, "});");
            }
            Kind::Enum(labels) => {
                let texts: Vec<String> = labels.iter().map(|label| quote(&label.name)).collect();
                self.line(0, &format!("export type {name} = {};", texts.join(" | ")));
                self.line(0, "");
                self.line(
                    0,
                    &format!("const {codec} = _i.enumeration<{name}>({}, {});", quote(wit), texts.join(", ")),
                );
            }
            Kind::Flags(labels) => {
                let mut scope = Scope::without(&["__proto__"]);
                let properties: Vec<String> =
                    labels.iter().map(|label| scope.take(camel(&label.name))).collect();
                self.line(0, &format!("export interface {name} {{"));
                for (label, property) in labels.iter().zip(&properties) {
                    self.docs(1, &label.docs);
                    self.line(1, &format!("readonly {property}: boolean;"));
                }
                self.line(0, "}");
                self.line(0, "");
                self.line(0, &format!("const {codec} = _i.flags<{name}>("));
                self.line(1, &format!("{},", quote(wit)));
                for (label, property) in labels.iter().zip(&properties) {
                    self.line(1, &format!("[{}, {}],", quote(&label.name), quote(property)));
                }
                self.line(0, ");");
            }
        }
    }

    // -------------------------------------------------------------------------------------------------------------------- contracts

    fn contracts(&mut self, named: &Named) {
        for call in &named.calls {
            let Function { served, signature, name, params, gives, .. } = call.function;
            self.contract(&call.contract, [served, name, signature], params, gives, false);
        }
        for actor in &named.actors {
            let Actor { name, served, constructor, signature, .. } = actor.actor;
            self.contract(
                &actor.contract,
                [served, name, signature],
                &constructor.params,
                &Gives::Nothing,
                true,
            );
            for call in &actor.calls {
                let Function { name, params, gives, .. } = call.function;
                self.contract(&call.contract, [name, name, ""], params, gives, false);
            }
        }
        let all = named.calls.iter().map(|call| call.contract.as_str());
        let all: Vec<&str> = all.chain(named.actors.iter().map(|actor| actor.contract.as_str())).collect();
        self.line(0, "");
        self.docs(
            0,
            &format!("What workers serve that serve `{}`, for `Pool.interface`.", named.interface.name),
        );
        self.line(0, &format!("export const {}: readonly _i.Contract[] = [{}];", named.list, all.join(", ")));
    }

    fn contract(
        &mut self,
        contract: &str,
        [name, label, signature]: [&str; 3],
        params: &[Param],
        gives: &Gives,
        actor: bool,
    ) {
        let params: Vec<String> = params
            .iter()
            .map(|param| format!("[{}, {}]", quote(&param.name), self.codec(&param.ty)))
            .collect();
        let result = match gives {
            Gives::Nothing => "_i.nothing".to_owned(),
            Gives::Value(ty) | Gives::Stream(ty) => self.codec(ty),
        };
        let stream = matches!(gives, Gives::Stream(_));
        self.line(0, "");
        self.line(0, &format!("const {contract}: _i.Contract = {{"));
        self.line(1, &format!("name: {},", quote(name)));
        self.line(1, &format!("label: {},", quote(label)));
        self.line(1, &format!("signature: {},", quote(signature)));
        self.line(1, &format!("actor: {actor},"));
        self.line(1, &format!("params: [{}],", params.join(", ")));
        self.line(1, &format!("result: {result},"));
        self.line(1, &format!("stream: {stream},"));
        self.line(0, "};");
    }

    // ---------------------------------------------------------------------------------------------------------------------- clients

    /// The type of a function as it is called from elsewhere.
    fn task(&self, function: &Function) -> String {
        let gives = match &function.gives {
            Gives::Nothing => "null".to_owned(),
            Gives::Value(ty) => self.ty(ty),
            Gives::Stream(ty) => format!("AsyncIterableIterator<{}>", self.ty(ty)),
        };
        format!("Task<({}) => {gives}>", self.params(&function.params).join(", "))
    }

    fn params(&self, params: &[Param]) -> Vec<String> {
        let mut scope = Scope::without(RESERVED);
        params
            .iter()
            .map(|param| format!("{}: {}", scope.take(camel(&param.name)), self.ty(&param.ty)))
            .collect()
    }

    fn client(&mut self, named: &Named) {
        if named.calls.is_empty() {
            return;
        }
        self.line(0, "");
        self.docs(
            0,
            &about(
                &named.interface.docs,
                &format!("The functions of `{}`, whoever serves them.", named.interface.name),
            ),
        );
        self.line(0, &format!("export class {} {{", named.client));
        for call in &named.calls {
            self.docs(1, &call.function.docs);
            let task = self.task(call.function);
            self.line(1, &format!("readonly {}: {task};", call.property));
        }
        self.line(0, "");
        self.docs(1, "The options are those of every call.");
        self.line(1, "constructor(client: Client, options: TaskOptions = {}) {");
        for call in &named.calls {
            self.line(
                2,
                &format!("this.{} = _i.contractTask(client, {}, options);", call.property, call.contract),
            );
        }
        self.line(1, "}");
        self.line(0, "}");
    }

    fn actor(&mut self, named: &NamedActor) {
        let NamedActor { actor, contract, handle, class, calls, .. } = named;
        self.line(0, "");
        self.docs(0, &about(&actor.docs, &format!("A handle of an actor of the class `{}`.", actor.served)));
        self.line(0, &format!("export class {handle} {{"));
        self.docs(1, "The untyped handle, to pass on, kill or dispose of.");
        self.line(1, "readonly handle: ActorHandle<object>;");
        for call in calls {
            self.docs(1, &call.function.docs);
            let task = self.task(call.function);
            self.line(1, &format!("readonly {}: {task};", call.property));
        }
        self.line(0, "");
        self.docs(1, "Throws `InvalidArgumentError` for an actor of another class.");
        self.line(1, "constructor(handle: ActorHandle<object>) {");
        self.line(2, &format!("_i.checkActor(handle, {contract});"));
        self.line(2, "this.handle = handle;");
        for call in calls {
            self.line(2, &format!("this.{} = _i.contractMethod(handle, {});", call.property, call.contract));
        }
        self.line(1, "}");
        self.line(0, "}");
        let params = self.params(&actor.constructor.params);
        let names: Vec<&str> =
            params.iter().filter_map(|param| param.split_once(':').map(|(name, _)| name)).collect();
        let refs: Vec<String> = params
            .iter()
            .filter_map(|param| param.split_once(": "))
            .map(|(name, ty)| format!("{name}: {ty} | Ref<{ty}>"))
            .collect();
        let all = |first: &str, rest: &[&str]| [&[first][..], rest].concat().join(", ");
        let refs_text: Vec<&str> = refs.iter().map(String::as_str).collect();
        self.line(0, "");
        self.docs(0, &format!("Makes actors of the class `{}`.", actor.served));
        self.line(0, &format!("export class {class} {{"));
        self.line(1, &format!("readonly #class: ActorClass<object, [{}]>;", params.join(", ")));
        self.line(0, "");
        self.docs(1, "The options are those of every actor.");
        self.line(1, "constructor(client: Client, options: ActorOptions = {}) {");
        self.line(2, &format!("this.#class = _i.contractClass(client, {contract}, options);"));
        self.line(1, "}");
        self.line(0, "");
        self.docs(1, "Makes an actor; calls may follow at once.");
        self.line(1, &format!("create({}): {handle} {{", refs.join(", ")));
        self.line(2, &format!("return new {handle}(this.#class.create({}));", names.join(", ")));
        self.line(1, "}");
        self.line(0, "");
        self.docs(1, "Makes an actor that others can find by a name.");
        self.line(
            1,
            &format!("async createNamed({}): Promise<{handle}> {{", all("name: string", &refs_text)),
        );
        self.line(
            2,
            &format!("return new {handle}(await this.#class.createNamed({}));", all("name", &names)),
        );
        self.line(1, "}");
        self.line(0, "}");
    }

    // ---------------------------------------------------------------------------------------------------------------------- workers

    fn worker(&mut self, named: &Named) {
        let Named { interface, worker, serve, .. } = named;
        for actor in &named.actors {
            self.worker_interface(
                &actor.worker,
                &format!("What actors of the class `{}` do.", actor.actor.served),
                &actor.calls,
            );
        }
        if !named.calls.is_empty() {
            self.worker_interface(worker, &format!("What serves `{}`.", interface.name), &named.calls);
        }
        let mut params = Vec::new();
        let mut parts = Vec::new();
        let list = |calls: &[Call]| {
            let all: Vec<String> =
                calls.iter().map(|call| format!("[{}, {}]", call.contract, quote(&call.property))).collect();
            all.join(", ")
        };
        if !named.calls.is_empty() {
            params.push(format!("implementation: {worker}"));
            parts.push(format!("_i.implement(implementation, [{}])", list(&named.calls)));
        }
        for actor in &named.actors {
            let takes = self.params(&actor.actor.constructor.params).join(", ");
            params.push(format!("{}: new ({takes}) => {}", actor.param, actor.worker));
            parts.push(format!(
                "_i.implementClass({}, {}, [{}])",
                actor.contract,
                actor.param,
                list(&actor.calls)
            ));
        }
        self.line(0, "");
        self.docs(0, "For a worker's module to export, or for `serve`. Throws `InvalidArgumentError` that says everything that is missing.");
        self.line(0, &format!("export function {serve}({}): _i.Implementation {{", params.join(", ")));
        match &parts[..] {
            [] => self.line(1, "return _i.implement({}, []);"),
            [first] => self.line(1, &format!("return {first};")),
            [first, rest @ ..] => {
                self.line(1, &format!("return {first}"));
                for (i, part) in rest.iter().enumerate() {
                    let end = if i + 1 == rest.len() { ";" } else { "" };
                    self.line(2, &format!(".and({part}){end}"));
                }
            }
        }
        self.line(0, "}");
    }

    fn worker_interface(&mut self, name: &str, about: &str, calls: &[Call]) {
        self.line(0, "");
        self.docs(0, about);
        if calls.is_empty() {
            return self.line(0, &format!("export type {name} = object;"));
        }
        self.line(0, &format!("export interface {name} {{"));
        for call in calls {
            self.docs(1, &call.function.docs);
            let params = self.params(&call.function.params).join(", ");
            let gives = match &call.function.gives {
                Gives::Nothing => "_i.Awaitable<void>".to_owned(),
                Gives::Value(ty) => format!("_i.Awaitable<{}>", self.ty(ty)),
                Gives::Stream(ty) => {
                    let item = self.ty(ty);
                    format!("Iterable<{item}> | AsyncIterable<{item}>")
                }
            };
            self.line(1, &format!("{}({params}): {gives};", call.property));
        }
        self.line(0, "}");
    }

    // ------------------------------------------------------------------------------------------------------------------------- text

    fn line(&mut self, indent: usize, text: &str) {
        if text.is_empty() {
            return self.text.push('\n');
        }
        let _ = writeln!(self.text, "{:width$}{text}", "", width = indent * 2);
    }

    /// A comment of a declaration; nothing for none.
    fn docs(&mut self, indent: usize, docs: &str) {
        let docs = docs.trim().replace("*/", "*\\/");
        let lines: Vec<&str> = docs.lines().map(str::trim_end).collect();
        match &lines[..] {
            [] => {}
            [line] => self.line(indent, &format!("/** {line} */")),
            lines => {
                self.line(indent, "/**");
                for line in lines {
                    self.line(
                        indent,
                        if line.is_empty() { " *".to_owned() } else { format!(" * {line}") }.as_str(),
                    );
                }
                self.line(indent, " */");
            }
        }
    }
}

/// What the interface says of it, or what it is.
fn about(docs: &str, otherwise: &str) -> String {
    if docs.trim().is_empty() { otherwise.to_owned() } else { docs.to_owned() }
}
