//! Go: one package, written against `thornback.dev/go` and its package `wit`, in the form that `gofmt` leaves as it is.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::emit::File;
use crate::model::{Actor, Function, Gives, Interface, Kind, Package, Param, Scalar, Type, TypeDef, TypeId};
use crate::names::{Scope, pascal};

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

/// `max-width` as `maxWidth`.
fn camel(name: &str) -> String {
    let (first, rest) = name.split_once('-').unwrap_or((name, ""));
    format!("{}{}", first.to_ascii_lowercase(), pascal(rest))
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

    // ------------------------------------------------------------------------------------------------------------------------ types

    fn ty(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => match scalar {
                Scalar::Bool => "bool",
                Scalar::U8 => "uint8",
                Scalar::U16 => "uint16",
                Scalar::U32 => "uint32",
                Scalar::U64 => "uint64",
                Scalar::S8 => "int8",
                Scalar::S16 => "int16",
                Scalar::S32 => "int32",
                Scalar::S64 => "int64",
                Scalar::F32 => "float32",
                Scalar::F64 => "float64",
                Scalar::Char => "rune",
                Scalar::String => "string",
            }
            .to_owned(),
            Type::Bytes => "[]byte".to_owned(),
            Type::List(item) => format!("[]{}", self.ty(item)),
            Type::Option(some) => format!("*{}", self.ty(some)),
            Type::Result(ok, err) => {
                format!("wit.Result[{}, {}]", self.side(ok.as_deref()), self.side(err.as_deref()))
            }
            Type::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.ty(part)).collect();
                format!("Tuple{}[{}]", parts.len(), parts.join(", "))
            }
            Type::Named(id) => self.names[id.0].clone(),
        }
    }

    fn side(&self, side: Option<&Type>) -> String {
        side.map_or("wit.Unit".to_owned(), |ty| self.ty(ty))
    }

    fn codec(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => format!("wit.{}", pascal(scalar.name())),
            Type::Bytes => "wit.Bytes".to_owned(),
            Type::List(item) => format!("wit.List({})", self.codec(item)),
            Type::Option(some) => format!("wit.Option({})", self.codec(some)),
            Type::Result(ok, err) => {
                let side = |side: &Option<Box<Type>>| {
                    side.as_ref().map_or("wit.Nothing".to_owned(), |ty| self.codec(ty))
                };
                format!("wit.ResultOf({}, {})", side(ok), side(err))
            }
            Type::Tuple(parts) => {
                let codecs: Vec<String> = parts.iter().map(|part| self.codec(part)).collect();
                format!("tuple{}({})", parts.len(), codecs.join(", "))
            }
            Type::Named(id) => self.codecs[id.0].clone(),
        }
    }

    fn gives(&self, gives: &Gives) -> (String, String) {
        match gives {
            Gives::Nothing => ("wit.Unit".to_owned(), "wit.Nothing".to_owned()),
            Gives::Value(ty) | Gives::Stream(ty) => (self.ty(ty), self.codec(ty)),
        }
    }

    fn type_def(&mut self, id: TypeId) {
        let package = self.package;
        let TypeDef { name: wit, docs, kind } = &package.types[id.0];
        let (name, codec) = (self.names[id.0].clone(), self.codecs[id.0].clone());
        let cases = self.cases[id.0].clone();
        self.line(0, "");
        match kind {
            Kind::Record(fields) => {
                self.docs(0, &format!("{name} is the record {wit}."), docs);
                self.line(0, &format!("type {name} struct {{"));
                let mut scope = Scope::default();
                let named: Vec<String> = fields.iter().map(|field| scope.take(pascal(&field.name))).collect();
                let lines: Vec<[String; 3]> = fields
                    .iter()
                    .zip(&named)
                    .map(|(field, at)| [sentence(&field.docs), at.clone(), self.ty(&field.ty)])
                    .collect();
                self.aligned(&lines);
                self.line(0, "}");
                self.line(0, "");
                self.line(0, &format!("var {codec} = wit.Record({},", quote(wit)));
                for (field, at) in fields.iter().zip(&named) {
                    let (ty, inner) = (self.ty(&field.ty), self.codec(&field.ty));
                    self.line(
                        1,
                        &format!(
                            "wit.Field({}, {inner}, func(v *{name}) *{ty} {{ return &v.{at} }}),",
                            quote(&field.name)
                        ),
                    );
                }
                self.line(0, ")");
            }
            Kind::Variant(list) => {
                self.docs(0, &format!("{name} is the variant {wit}: one of {}.", cases.join(", ")), docs);
                self.line(0, &format!("type {name} interface{{ is{name}() }}"));
                for (case, at) in list.iter().zip(&cases) {
                    self.line(0, "");
                    self.docs(0, &format!("{at} is the case {} of {name}.", case.name), &case.docs);
                    match &case.ty {
                        Some(ty) => {
                            let ty = self.ty(ty);
                            self.line(0, &format!("type {at} struct{{ Value {ty} }}"));
                        }
                        None => self.line(0, &format!("type {at} struct{{}}")),
                    }
                    self.line(0, "");
                    self.line(0, &format!("func ({at}) is{name}() {{}}"));
                }
                self.line(0, "");
                self.line(0, &format!("var {codec} = wit.Variant({},", quote(wit)));
                for (case, at) in list.iter().zip(&cases) {
                    let key = quote(&case.name);
                    let text = match &case.ty {
                        Some(ty) => {
                            let (ty, inner) = (self.ty(ty), self.codec(ty));
                            format!(
                                "wit.Case[{name}]({key}, {inner}, func(c *{at}) *{ty} {{ return &c.Value }}),"
                            )
                        }
                        None => format!("wit.Bare[{name}]({key}, {at}{{}}),"),
                    };
                    self.line(1, &text);
                }
                self.line(0, ")");
            }
            Kind::Enum(labels) => {
                self.docs(0, &format!("{name} is the enum {wit}."), docs);
                self.line(0, &format!("type {name} string"));
                self.line(0, "");
                self.line(0, &format!("// All there is of {name}."));
                self.line(0, "const (");
                let lines: Vec<[String; 3]> = labels
                    .iter()
                    .zip(&cases)
                    .map(|(label, at)| {
                        [sentence(&label.docs), at.clone(), format!("{name} = {}", quote(&label.name))]
                    })
                    .collect();
                self.aligned(&lines);
                self.line(0, ")");
                self.line(0, "");
                self.line(0, &format!("var {codec} = wit.Enum({}, {})", quote(wit), cases.join(", ")));
            }
            Kind::Flags(labels) => {
                self.docs(0, &format!("{name} is the flags {wit}."), docs);
                self.line(0, &format!("type {name} struct {{"));
                let mut scope = Scope::default();
                let named: Vec<String> = labels.iter().map(|label| scope.take(pascal(&label.name))).collect();
                let lines: Vec<[String; 3]> = labels
                    .iter()
                    .zip(&named)
                    .map(|(label, at)| [sentence(&label.docs), at.clone(), "bool".to_owned()])
                    .collect();
                self.aligned(&lines);
                self.line(0, "}");
                self.line(0, "");
                self.line(0, &format!("var {codec} = wit.Flags({},", quote(wit)));
                for (label, at) in labels.iter().zip(&named) {
                    self.line(
                        1,
                        &format!(
                            "wit.Field({}, wit.Bool, func(v *{name}) *bool {{ return &v.{at} }}),",
                            quote(&label.name)
                        ),
                    );
                }
                self.line(0, ")");
            }
        }
    }

    fn tuple(&mut self, arity: usize) {
        let params: Vec<String> = (0..arity).map(|i| format!("T{i}")).collect();
        let (list, of) = (params.join(", "), format!("Tuple{arity}[{}]", params.join(", ")));
        let codecs: Vec<String> = (0..arity).map(|i| format!("c{i} wit.Codec[T{i}]")).collect();
        self.line(0, "");
        self.line(0, &format!("// Tuple{arity} is a tuple of {arity}."));
        self.line(0, &format!("type Tuple{arity}[{list} any] struct {{"));
        let lines: Vec<[String; 3]> =
            (0..arity).map(|i| [String::new(), format!("F{i}"), format!("T{i}")]).collect();
        self.aligned(&lines);
        self.line(0, "}");
        self.line(0, "");
        self.line(0, &format!("func tuple{arity}[{list} any]({}) wit.Codec[{of}] {{", codecs.join(", ")));
        self.line(1, "return wit.Tuple(");
        for i in 0..arity {
            self.line(2, &format!("wit.Field(\"{i}\", c{i}, func(t *{of}) *T{i} {{ return &t.F{i} }}),"));
        }
        self.line(1, ")");
        self.line(0, "}");
    }

    // -------------------------------------------------------------------------------------------------------------------- contracts

    fn contracts(&mut self, named: &Named) {
        for call in &named.calls {
            self.contract(call, &call.function.served, &call.function.signature);
        }
        for actor in &named.actors {
            let Actor { name, served, constructor, signature, .. } = actor.actor;
            self.line(0, "");
            self.line(0, &format!("var {} = wit.Class({}, {},", actor.contract, quote(served), quote(name)));
            self.line(1, &format!("{},", quote(signature)));
            self.takes(&constructor.params);
            self.line(0, ")");
            for call in &actor.calls {
                self.contract(call, &call.function.name, "");
            }
        }
        let all = named
            .calls
            .iter()
            .map(|call| call.contract.as_str())
            .chain(named.actors.iter().map(|actor| actor.contract.as_str()));
        let all: Vec<&str> = all.collect();
        self.line(0, "");
        self.line(
            0,
            &format!(
                "// {} is what workers serve that serve {}, for Pool.Interface.",
                named.list, named.interface.name
            ),
        );
        self.line(0, &format!("var {} = []*thornback.Contract{{{}}}", named.list, all.join(", ")));
    }

    fn contract(&mut self, call: &Call, served: &str, signature: &str) {
        let (_, codec) = self.gives(&call.function.gives);
        self.line(0, "");
        self.line(
            0,
            &format!("var {} = wit.Call({}, {},", call.contract, quote(served), quote(&call.function.name)),
        );
        self.line(1, &format!("{},", quote(signature)));
        self.line(1, &format!("{codec},"));
        self.takes(&call.function.params);
        self.line(0, ")");
    }

    fn takes(&mut self, params: &[Param]) {
        for param in params {
            let codec = self.codec(&param.ty);
            self.line(1, &format!("wit.Takes({}, {codec}),", quote(&param.name)));
        }
    }

    // ---------------------------------------------------------------------------------------------------------------------- clients

    fn client(&mut self, named: &Named) {
        let Named { interface, client, new, .. } = named;
        if named.calls.is_empty() {
            return;
        }
        self.line(0, "");
        let about = format!(
            "{client} calls the functions of {}, whoever serves them. It may be used from several goroutines.",
            interface.name
        );
        self.docs(0, &about, &interface.docs);
        self.line(0, &format!("type {client} struct {{"));
        let lines: Vec<[String; 3]> = named
            .calls
            .iter()
            .map(|call| {
                [
                    String::new(),
                    call.field.clone(),
                    format!("*thornback.Task[{}]", self.gives(&call.function.gives).0),
                ]
            })
            .collect();
        self.aligned(&lines);
        self.line(0, "}");
        self.line(0, "");
        self.line(0, &format!("// {new} makes one. The options are those of every call."));
        self.line(
            0,
            &format!(
                "func {new}(client *thornback.Client, options ...thornback.Option) (*{client}, error) {{"
            ),
        );
        self.line(1, &format!("c := &{client}{{}}"));
        self.line(1, "var err error");
        for call in &named.calls {
            let (ty, _) = self.gives(&call.function.gives);
            let make = format!("thornback.NewContractTask[{ty}](client, {}, options...)", call.contract);
            self.line(1, &format!("if c.{}, err = {make}; err != nil {{", call.field));
            self.line(2, "return nil, err");
            self.line(1, "}");
        }
        self.line(1, "return c, nil");
        self.line(0, "}");
        for call in &named.calls {
            let streams = matches!(call.function.gives, Gives::Stream(_));
            let task = format!("c.{}.{}", call.field, if streams { "Stream" } else { "Submit" });
            self.call(client, call, &call.function.served, &task);
        }
    }

    /// The methods that call a function: with values, and with refs among them.
    fn call(&mut self, receiver: &str, call: &Call, served: &str, task: &str) {
        let (ty, _) = self.gives(&call.function.gives);
        let gives = match call.function.gives {
            Gives::Stream(_) => format!("*thornback.Stream[{ty}]"),
            _ => format!("thornback.Ref[{ty}]"),
        };
        let (params, names) = self.params(&call.function.params);
        let about = match call.function.gives {
            Gives::Stream(_) => format!("{} calls {served}; items come as they are made.", call.method),
            _ => format!("{} calls {served} and gives a ref of the result at once.", call.method),
        };
        let declared: Vec<String> = ["ctx context.Context".to_owned()].into_iter().chain(params).collect();
        let passed: Vec<String> = ["ctx".to_owned()].into_iter().chain(names.clone()).collect();
        self.line(0, "");
        self.docs(0, &about, &call.function.docs);
        self.line(
            0,
            &format!("func (c *{receiver}) {}({}) ({gives}, error) {{", call.method, declared.join(", ")),
        );
        self.line(1, &format!("return {task}({})", passed.join(", ")));
        self.line(0, "}");
        if names.is_empty() {
            return;
        }
        let (params, names) = self.args(&call.function.params);
        let declared: Vec<String> = ["ctx context.Context".to_owned()].into_iter().chain(params).collect();
        let passed: Vec<String> = ["ctx".to_owned()].into_iter().chain(names).collect();
        self.line(0, "");
        self.line(0, &format!("// {} is {} with arguments that may be refs.", call.args, call.method));
        self.line(
            0,
            &format!("func (c *{receiver}) {}({}) ({gives}, error) {{", call.args, declared.join(", ")),
        );
        self.line(1, &format!("return {task}({})", passed.join(", ")));
        self.line(0, "}");
    }

    /// Parameters as they are declared, and as they are passed on.
    fn params(&self, params: &[Param]) -> (Vec<String>, Vec<String>) {
        let mut scope = Scope::without(RESERVED);
        let names: Vec<String> = params.iter().map(|param| scope.take(camel(&param.name))).collect();
        (
            params.iter().zip(&names).map(|(param, name)| format!("{name} {}", self.ty(&param.ty))).collect(),
            names,
        )
    }

    fn args(&self, params: &[Param]) -> (Vec<String>, Vec<String>) {
        let (_, names) = self.params(params);
        let declared = params
            .iter()
            .zip(&names)
            .map(|(param, name)| format!("{name} wit.Arg[{}]", self.ty(&param.ty)))
            .collect();
        (declared, names.iter().map(|name| format!("{name}.Arg()")).collect())
    }

    fn actor(&mut self, named: &NamedActor) {
        let NamedActor { actor, contract, handle, of, class, new, .. } = named;
        let served = &actor.served;
        self.line(0, "");
        self.line(
            0,
            &format!(
                "// {class} makes actors of the class {served}. It may be used from several goroutines."
            ),
        );
        self.line(0, &format!("type {class} struct{{ class *thornback.Class }}"));
        self.line(0, "");
        self.line(0, &format!("// {new} makes one. The options are those of every actor."));
        self.line(
            0,
            &format!(
                "func {new}(client *thornback.Client, options ...thornback.Option) (*{class}, error) {{"
            ),
        );
        self.line(1, &format!("class, err := thornback.NewContractClass(client, {contract}, options...)"));
        self.line(1, "if err != nil {");
        self.line(2, "return nil, err");
        self.line(1, "}");
        self.line(1, &format!("return &{class}{{class}}, nil"));
        self.line(0, "}");
        let (values, names) = self.params(&actor.constructor.params);
        let (args, arg_names) = self.args(&actor.constructor.params);
        let with_refs = (!names.is_empty()).then_some((
            "CreateArgs",
            "is Create with arguments that may be refs.",
            args,
            arg_names,
        ));
        for (method, about, params, names) in
            [("Create", "makes an actor; calls may follow at once.", values, names)]
                .into_iter()
                .chain(with_refs)
        {
            let declared: Vec<String> =
                ["ctx context.Context".to_owned()].into_iter().chain(params).collect();
            let passed: Vec<String> = ["ctx".to_owned()].into_iter().chain(names).collect();
            self.line(0, "");
            self.line(0, &format!("// {method} {about}"));
            self.line(
                0,
                &format!("func (c *{class}) {method}({}) (*{handle}, error) {{", declared.join(", ")),
            );
            self.line(1, &format!("actor, err := c.class.Create({})", passed.join(", ")));
            self.line(1, "if err != nil {");
            self.line(2, "return nil, err");
            self.line(1, "}");
            self.line(1, &format!("return {of}(actor)"));
            self.line(0, "}");
        }
        self.line(0, "");
        self.docs(0, &format!("{handle} is a handle of an actor of the class {served}. It may be used from several goroutines."), &actor.docs);
        self.line(0, &format!("type {handle} struct {{"));
        let fields = named.calls.iter().map(|call| {
            [
                String::new(),
                call.field.clone(),
                format!("*thornback.Method[{}]", self.gives(&call.function.gives).0),
            ]
        });
        let lines: Vec<[String; 3]> = [[String::new(), "actor".to_owned(), "*thornback.Actor".to_owned()]]
            .into_iter()
            .chain(fields)
            .collect();
        self.aligned(&lines);
        self.line(0, "}");
        self.line(0, "");
        self.line(0, &format!("// {of} makes one of an untyped handle. The error has CodeInvalidArgument for an actor of another class."));
        self.line(0, &format!("func {of}(actor *thornback.Actor) (*{handle}, error) {{"));
        self.line(1, &format!("if err := {contract}.CheckActor(actor); err != nil {{"));
        self.line(2, "return nil, err");
        self.line(1, "}");
        self.line(1, &format!("c := &{handle}{{actor: actor}}"));
        if !named.calls.is_empty() {
            self.line(1, "var err error");
        }
        for call in &named.calls {
            let (ty, _) = self.gives(&call.function.gives);
            let make = format!("thornback.NewContractMethod[{ty}](actor, {})", call.contract);
            self.line(1, &format!("if c.{}, err = {make}; err != nil {{", call.field));
            self.line(2, "return nil, err");
            self.line(1, "}");
        }
        self.line(1, "return c, nil");
        self.line(0, "}");
        self.line(0, "");
        self.line(0, "// Actor is the untyped handle, to pass on, kill or close.");
        self.line(0, &format!("func (c *{handle}) Actor() *thornback.Actor {{ return c.actor }}"));
        for call in &named.calls {
            let streams = matches!(call.function.gives, Gives::Stream(_));
            let task = format!("c.{}.{}", call.field, if streams { "Stream" } else { "Call" });
            self.call(handle, call, &call.function.name, &task);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------------- workers

    fn worker(&mut self, named: &Named) {
        let Named { interface, worker, serve, .. } = named;
        for actor in &named.actors {
            let about = format!("{} is what actors of the class {} do.", actor.worker, actor.actor.served);
            self.worker_interface(&actor.worker, &about, &actor.calls);
        }
        if !named.calls.is_empty() {
            let about = format!("{worker} is what serves {}.", interface.name);
            self.worker_interface(worker, &about, &named.calls);
        }
        let mut params = vec!["w *thornback.Worker".to_owned()];
        if !named.calls.is_empty() {
            params.push(format!("implementation {worker}"));
        }
        for actor in &named.actors {
            let (takes, _) = self.params(&actor.actor.constructor.params);
            let takes: Vec<String> = ["ctx context.Context".to_owned()].into_iter().chain(takes).collect();
            params.push(format!("{} func({}) ({}, error)", actor.param, takes.join(", "), actor.worker));
        }
        self.line(0, "");
        self.line(
            0,
            &format!("// {serve} registers what serves {}; Worker.Serve then serves it.", interface.name),
        );
        self.line(0, &format!("func {serve}({}) {{", params.join(", ")));
        for call in &named.calls {
            self.line(1, &format!("w.RegisterContract({}, implementation.{})", call.contract, call.method));
        }
        for actor in &named.actors {
            self.line(1, &format!("w.RegisterContractActor({}, {},", actor.contract, actor.param));
            for call in &actor.calls {
                self.line(
                    2,
                    &format!(
                        "thornback.ContractMethod{{Contract: {}, Fn: {}.{}}},",
                        call.contract, actor.worker, call.method
                    ),
                );
            }
            self.line(1, ")");
        }
        self.line(0, "}");
    }

    fn worker_interface(&mut self, name: &str, about: &str, calls: &[Call]) {
        self.line(0, "");
        self.docs(0, about, "");
        if calls.is_empty() {
            return self.line(0, &format!("type {name} interface{{}}"));
        }
        self.line(0, &format!("type {name} interface {{"));
        for call in calls {
            self.comment(1, &call.function.docs);
            let (params, _) = self.params(&call.function.params);
            let declared: Vec<String> =
                ["ctx context.Context".to_owned()].into_iter().chain(params).collect();
            let gives = match &call.function.gives {
                Gives::Nothing => "error".to_owned(),
                Gives::Value(ty) => format!("({}, error)", self.ty(ty)),
                Gives::Stream(ty) => format!("iter.Seq2[{}, error]", self.ty(ty)),
            };
            self.line(1, &format!("{}({}) {gives}", call.method, declared.join(", ")));
        }
        self.line(0, "}");
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

/// A literal. Names and signatures have no characters that would need more.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
