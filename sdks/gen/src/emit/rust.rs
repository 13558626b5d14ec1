//! Rust: one module, with a module for each interface inside, written against `thornback::interface` and serde.

use std::fmt::Write as _;

use crate::emit::{File, banner};
use crate::model::{Actor, Function, Gives, Interface, Kind, Label, Package, Param, Scalar, Type, TypeId};
use crate::names::{Scope, pascal, shout, snake};

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Names of types that mean something already where ours stand.
const TYPES: &[&str] = &[
    "ActorHandle",
    "Arg",
    "Bytes",
    "Class",
    "Client",
    "Err",
    "Functions",
    "Future",
    "Ok",
    "Option",
    "Outcome",
    "Ref",
    "RefStream",
    "Result",
    "Self",
    "Served",
    "Some",
    "Stream",
    "String",
    "Task",
    "Vec",
    "Worker",
];

pub(super) fn emit(package: &Package) -> File {
    let mut scope = Scope::without(TYPES);
    let names = package.types.iter().map(|ty| scope.take(pascal(&ty.name))).collect();
    let mut rust = Rust { package, names, text: String::new() };
    rust.line(0, &format!("// {}", banner(package)));
    for id in 0..package.types.len() {
        rust.type_def(TypeId(id), &mut scope);
    }
    let mut modules = Scope::without(KEYWORDS);
    for interface in &package.interfaces {
        let name = modules.take(snake(&interface.name));
        rust.interface(interface, &name);
    }
    File { path: format!("{}.rs", Scope::without(KEYWORDS).take(snake(&package.name))), text: rust.text }
}

const DERIVES: &str = "#[derive(Debug, Clone, PartialEq, ::thornback::interface::serde::Serialize, ::thornback::interface::serde::Deserialize)]";
const SERDE: &str = "crate = \"::thornback::interface::serde\"";

struct Rust<'a> {
    package: &'a Package,
    names: Vec<String>,
    text: String,
}

impl Rust<'_> {
    fn type_def(&mut self, id: TypeId, scope: &mut Scope) {
        let package = self.package;
        let ty = &package.types[id.0];
        let name = self.names[id.0].clone();
        self.blank();
        match &ty.kind {
            Kind::Record(fields) => {
                self.docs(0, &ty.docs, &format!("The record `{}`.", ty.name));
                self.line(0, DERIVES);
                self.line(0, &format!("#[serde({SERDE}, deny_unknown_fields)]"));
                self.line(0, &format!("pub struct {name} {{"));
                let mut members = Scope::without(KEYWORDS);
                for field in fields {
                    let own = members.take(snake(&field.name));
                    self.docs(1, &field.docs, &format!("The field `{}`.", field.name));
                    if own != field.name {
                        self.line(1, &format!("#[serde(rename = {:?})]", field.name));
                    }
                    self.line(1, &format!("pub {own}: {},", self.ty(&field.ty, "")));
                }
                self.line(0, "}");
            }
            Kind::Variant(cases) => {
                // A case that holds nothing holds nil on the wire, where serde would write its name alone.
                let wire = scope.take(format!("{name}Wire"));
                let mut variants = Scope::without(&["Self"]);
                let own: Vec<String> = cases.iter().map(|case| variants.take(pascal(&case.name))).collect();
                self.docs(0, &ty.docs, &format!("The variant `{}`.", ty.name));
                self.line(0, DERIVES);
                self.line(0, &format!("#[serde({SERDE}, from = \"{wire}\", into = \"{wire}\")]"));
                self.line(0, &format!("pub enum {name} {{"));
                for (case, own) in cases.iter().zip(&own) {
                    self.docs(1, &case.docs, &format!("The case `{}`.", case.name));
                    match &case.ty {
                        Some(held) => self.line(1, &format!("{own}({}),", self.ty(held, ""))),
                        None => self.line(1, &format!("{own},")),
                    }
                }
                self.line(0, "}");
                self.blank();
                self.line(0, DERIVES);
                self.line(0, &format!("#[serde({SERDE}, rename = {name:?})]"));
                self.line(0, &format!("enum {wire} {{"));
                for (case, own) in cases.iter().zip(&own) {
                    self.line(1, &format!("#[serde(rename = {:?})]", case.name));
                    let held = case.ty.as_ref().map_or("()".to_owned(), |held| self.ty(held, ""));
                    self.line(1, &format!("{own}({held}),"));
                }
                self.line(0, "}");
                for (from, to, out) in [(&wire, &name, false), (&name, &wire, true)] {
                    self.blank();
                    self.line(0, &format!("impl From<{from}> for {to} {{"));
                    self.line(1, &format!("fn from(value: {from}) -> {to} {{"));
                    self.line(2, "match value {");
                    for (case, own) in cases.iter().zip(&own) {
                        let line = match (&case.ty, out) {
                            (Some(_), _) => format!("{from}::{own}(held) => {to}::{own}(held),"),
                            (None, false) => format!("{from}::{own}(()) => {to}::{own},"),
                            (None, true) => format!("{from}::{own} => {to}::{own}(()),"),
                        };
                        self.line(3, &line);
                    }
                    self.line(2, "}");
                    self.line(1, "}");
                    self.line(0, "}");
                }
            }
            Kind::Enum(labels) => {
                let mut variants = Scope::without(&["Self"]);
                self.docs(0, &ty.docs, &format!("The enum `{}`.", ty.name));
                self.line(0, &DERIVES.replace("PartialEq", "Copy, PartialEq, Eq"));
                self.line(0, &format!("#[serde({SERDE})]"));
                self.line(0, &format!("pub enum {name} {{"));
                for label in labels {
                    self.docs(1, &label.docs, &format!("The case `{}`.", label.name));
                    self.line(1, &format!("#[serde(rename = {:?})]", label.name));
                    self.line(1, &format!("{},", variants.take(pascal(&label.name))));
                }
                self.line(0, "}");
            }
            Kind::Flags(labels) => self.flags(&ty.name, &ty.docs, &name, labels),
        }
    }

    /// A bool for each flag; on the wire the names of those that are set.
    fn flags(&mut self, wit: &str, docs: &str, name: &str, labels: &[Label]) {
        let mut members = Scope::without(KEYWORDS);
        let own: Vec<String> = labels.iter().map(|label| members.take(snake(&label.name))).collect();
        self.docs(0, docs, &format!("The flags `{wit}`."));
        self.line(0, &DERIVES.replace("PartialEq", "Copy, Default, PartialEq, Eq"));
        self.line(0, &format!("#[serde({SERDE}, try_from = \"Vec<String>\", into = \"Vec<String>\")]"));
        self.line(0, "#[allow(clippy::struct_excessive_bools)]");
        self.line(0, &format!("pub struct {name} {{"));
        for (label, own) in labels.iter().zip(&own) {
            self.docs(1, &label.docs, &format!("The flag `{}`.", label.name));
            self.line(1, &format!("pub {own}: bool,"));
        }
        self.line(0, "}");
        self.blank();
        self.line(0, &format!("impl TryFrom<Vec<String>> for {name} {{"));
        self.line(1, "type Error = String;");
        self.blank();
        self.line(1, &format!("fn try_from(names: Vec<String>) -> Result<{name}, String> {{"));
        self.line(2, &format!("let mut flags = {name}::default();"));
        self.line(2, "for name in names {");
        self.line(3, "let flag = match name.as_str() {");
        for (label, own) in labels.iter().zip(&own) {
            self.line(4, &format!("{:?} => &mut flags.{own},", label.name));
        }
        self.line(4, &format!("_ => return Err(format!(\"{{name:?}} is no flag of {wit}\")),"));
        self.line(3, "};");
        self.line(3, "if std::mem::replace(flag, true) {");
        self.line(4, "return Err(format!(\"the flag {name:?} is there twice\"));");
        self.line(3, "}");
        self.line(2, "}");
        self.line(2, "Ok(flags)");
        self.line(1, "}");
        self.line(0, "}");
        self.blank();
        self.line(0, &format!("impl From<{name}> for Vec<String> {{"));
        self.line(1, &format!("fn from(flags: {name}) -> Vec<String> {{"));
        let pairs: Vec<String> =
            labels.iter().zip(&own).map(|(label, own)| format!("(flags.{own}, {:?})", label.name)).collect();
        self.line(2, &format!("let all = [{}];", pairs.join(", ")));
        self.line(2, "all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()).collect()");
        self.line(1, "}");
        self.line(0, "}");
    }

    /// A type; `from` is the way to those of the package.
    fn ty(&self, ty: &Type, from: &str) -> String {
        match ty {
            Type::Scalar(scalar) => match scalar {
                Scalar::Bool => "bool",
                Scalar::U8 => "u8",
                Scalar::U16 => "u16",
                Scalar::U32 => "u32",
                Scalar::U64 => "u64",
                Scalar::S8 => "i8",
                Scalar::S16 => "i16",
                Scalar::S32 => "i32",
                Scalar::S64 => "i64",
                Scalar::F32 => "f32",
                Scalar::F64 => "f64",
                Scalar::Char => "char",
                Scalar::String => "String",
            }
            .to_owned(),
            Type::Bytes => "::thornback::Bytes".to_owned(),
            Type::List(item) => format!("Vec<{}>", self.ty(item, from)),
            Type::Option(some) => format!("Option<{}>", self.ty(some, from)),
            Type::Result(ok, err) => {
                let side =
                    |side: &Option<Box<Type>>| side.as_ref().map_or("()".to_owned(), |ty| self.ty(ty, from));
                format!("::thornback::interface::Outcome<{}, {}>", side(ok), side(err))
            }
            Type::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.ty(part, from)).collect();
                format!("({},)", parts.join(", "))
            }
            Type::Named(id) => format!("{from}{}", self.names[id.0]),
        }
    }

    fn tuple(&self, params: &[Param]) -> String {
        let types: String =
            params.iter().map(|param| format!("{},", self.ty(&param.ty, "super::"))).collect();
        format!("({types})")
    }

    fn gives(&self, gives: &Gives) -> String {
        match gives {
            Gives::Nothing => "::thornback::Ref<()>".to_owned(),
            Gives::Value(ty) => format!("::thornback::Ref<{}>", self.ty(ty, "super::")),
            Gives::Stream(ty) => format!("::thornback::RefStream<{}>", self.ty(ty, "super::")),
        }
    }

    /// What a function of a worker returns.
    fn future(&self, gives: &Gives) -> String {
        match gives {
            Gives::Nothing => "impl Future<Output = ::thornback::Result<()>> + Send".to_owned(),
            Gives::Value(ty) => {
                format!("impl Future<Output = ::thornback::Result<{}>> + Send", self.ty(ty, "super::"))
            }
            Gives::Stream(ty) => {
                format!(
                    "impl ::thornback::Stream<Item = ::thornback::Result<{}>> + Send",
                    self.ty(ty, "super::")
                )
            }
        }
    }

    fn params(&self, params: &[Param]) -> Vec<(String, String)> {
        let mut scope = Scope::without(KEYWORDS);
        for own in ["client", "call", "sink", "cell", "actor"] {
            scope.take(own.to_owned());
        }
        params.iter().map(|param| (scope.take(snake(&param.name)), self.ty(&param.ty, "super::"))).collect()
    }

    // ------------------------------------------------------------------------------------------------------------------- interfaces

    fn interface(&mut self, interface: &Interface, name: &str) {
        self.blank();
        self.docs(0, &interface.docs, &format!("The interface `{}`.", interface.name));
        if *name == snake(&self.package.name) {
            self.line(0, "#[allow(clippy::module_inception)]");
        }
        self.line(0, &format!("pub mod {name} {{"));
        self.line(1, "/// What those who serve it have to serve, for `Pool::interface`.");
        self.line(1, "pub const INTERFACE: &[::thornback::interface::Served] = &[");
        let actors = interface.actors.iter().map(|actor| (&actor.constructor, true));
        for (function, actor) in interface.functions.iter().map(|function| (function, false)).chain(actors) {
            self.line(
                2,
                &format!(
                    "::thornback::interface::Served {{ name: {:?}, args: {}, actor: {actor}, signature: {:?} }},",
                    function.served,
                    function.params.len(),
                    function.signature
                ),
            );
        }
        self.line(1, "];");
        let mut statics = Scope::without(&["INTERFACE"]);
        let mut types = Scope::without(TYPES);
        for function in &interface.functions {
            self.blank();
            self.docs(1, &function.docs, &format!("Calls `{}`.", function.served));
            let (constant, tuple) = (statics.take(shout(&function.name)), self.tuple(&function.params));
            self.line(
                1,
                &format!(
                    "pub static {constant}: ::thornback::Task<{tuple}, {}> = ::thornback::Task::typed({:?}, {:?});",
                    self.gives(&function.gives),
                    function.served,
                    function.signature
                ),
            );
        }
        for actor in &interface.actors {
            let constant = statics.take(shout(&actor.name));
            self.actor(actor, &constant, &mut types);
        }
        if !interface.functions.is_empty() {
            self.functions(interface);
        }
        self.line(0, "}");
    }

    fn functions(&mut self, interface: &Interface) {
        let mut own = Scope::without(KEYWORDS);
        let names: Vec<String> =
            interface.functions.iter().map(|function| own.take(snake(&function.name))).collect();
        self.blank();
        self.line(1, &format!("/// What a type implements to serve `{}`.", interface.name));
        self.line(1, "pub trait Functions: 'static {");
        for (i, (function, name)) in interface.functions.iter().zip(&names).enumerate() {
            if i > 0 {
                self.blank();
            }
            self.docs(2, &function.docs, &format!("Serves `{}`.", function.served));
            let params: Vec<String> =
                self.params(&function.params).iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
            self.line(2, &format!("fn {name}({}) -> {};", params.join(", "), self.future(&function.gives)));
        }
        self.line(1, "}");
        self.blank();
        self.line(1, &format!("/// Has a worker serve `{}`.", interface.name));
        self.line(1, "pub fn serve<F: Functions>(worker: ::thornback::Worker) -> ::thornback::Worker {");
        self.line(2, "worker");
        for (function, name) in interface.functions.iter().zip(&names) {
            self.line(3, ".define(::thornback::interface::Definition {");
            self.line(4, &format!("name: {:?},", function.served));
            self.line(4, &format!("args: {},", function.params.len()));
            self.line(4, &format!("signature: {:?},", function.signature));
            self.line(4, &format!("run: |{}| Box::pin(async move {{", call_of(function)));
            if matches!(function.gives, Gives::Stream(_)) {
                self.line(5, "let sink = call.sink();");
            }
            let names = self.decode(5, function);
            self.run(5, function, &format!("F::{name}({names})"));
            self.line(4, "}),");
            self.line(3, "})");
        }
        self.line(1, "}");
    }

    /// Takes the arguments of a call; gives their names.
    fn decode(&mut self, indent: usize, function: &Function) -> String {
        let params = self.params(&function.params);
        // A path begins with the function's own name, as in every language.
        let called = function.served.rsplit('.').next().unwrap_or(&function.served);
        for ((name, ty), param) in params.iter().zip(&function.params) {
            self.line(
                indent,
                &format!("let {name} = call.typed_arg::<{ty}>({called:?}, {:?})?;", param.name),
            );
        }
        self.line(indent, "call.no_more_args()?;");
        params.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn run(&mut self, indent: usize, function: &Function, call: &str) {
        match function.gives {
            Gives::Stream(_) => {
                self.line(indent, &format!("::thornback::interface::drive({call}, sink).await"))
            }
            _ => self.line(indent, &format!("::thornback::interface::one({call}.await?)")),
        }
    }

    fn actor(&mut self, actor: &Actor, constant: &str, types: &mut Scope) {
        let handle = types.take(pascal(&actor.name));
        let served = types.take(format!("{handle}Actor"));
        let mut own = Scope::without(KEYWORDS);
        own.take("new".to_owned());
        let names: Vec<String> = actor.methods.iter().map(|method| own.take(snake(&method.name))).collect();
        self.blank();
        self.docs(1, &actor.docs, &format!("Makes actors `{}`.", actor.served));
        let tuple = self.tuple(&actor.constructor.params);
        self.line(
            1,
            &format!(
                "pub static {constant}: ::thornback::Class<{tuple}, {handle}> = ::thornback::Class::typed({:?}, {:?});",
                actor.served, actor.signature
            ),
        );
        self.blank();
        let about = match actor.docs.trim() {
            "" => format!("A handle of an actor `{}`.", actor.served),
            docs => docs.to_owned(),
        };
        self.docs(1, &format!("{about}\n\nCalls through one that was made of an actor of another class fail with `Code::InvalidArgument`."), "");
        self.line(1, "#[derive(Debug, Clone)]");
        self.line(1, &format!("pub struct {handle}(pub ::thornback::ActorHandle);"));
        self.blank();
        self.line(1, &format!("impl From<::thornback::ActorHandle> for {handle} {{"));
        self.line(2, &format!("fn from(handle: ::thornback::ActorHandle) -> {handle} {{"));
        self.line(3, &format!("{handle}(handle.of_class({:?}))", actor.served));
        self.line(2, "}");
        self.line(1, "}");
        if !actor.methods.is_empty() {
            self.blank();
            self.line(1, &format!("impl {handle} {{"));
        }
        for (i, (method, name)) in actor.methods.iter().zip(&names).enumerate() {
            if i > 0 {
                self.blank();
            }
            let params = self.params(&method.params);
            let declared: String =
                params.iter().map(|(name, ty)| format!(", {name}: impl ::thornback::Arg<{ty}>")).collect();
            let passed: String = params.iter().map(|(name, _)| format!(", {name}")).collect();
            let (tuple, gives) = (self.tuple(&method.params), self.gives(&method.gives));
            self.docs(2, &method.docs, &format!("Calls `{}`.", method.name));
            self.line(2, &format!("pub fn {name}(&self{declared}) -> {gives} {{"));
            self.line(3, &format!("static METHOD: ::thornback::Method<{tuple}, {gives}> = ::thornback::Method::typed({:?});", method.name));
            self.line(3, &format!("METHOD.call(&self.0{passed})"));
            self.line(2, "}");
        }
        if !actor.methods.is_empty() {
            self.line(1, "}");
        }
        self.blank();
        self.line(
            1,
            &format!(
                "/// What a type implements whose values are actors `{}`. Its methods run one at a time.",
                actor.served
            ),
        );
        self.line(1, &format!("pub trait {served}: Sized + Send + Sync + 'static {{"));
        self.docs(2, &actor.constructor.docs, "Makes one.");
        let params: Vec<String> =
            self.params(&actor.constructor.params).iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        self.line(
            2,
            &format!(
                "fn new({}) -> impl Future<Output = ::thornback::Result<Self>> + Send;",
                params.join(", ")
            ),
        );
        for (method, name) in actor.methods.iter().zip(&names) {
            self.blank();
            self.docs(2, &method.docs, &format!("Serves `{}`.", method.name));
            let params: String =
                self.params(&method.params).iter().map(|(name, ty)| format!(", {name}: {ty}")).collect();
            self.line(2, &format!("fn {name}(&mut self{params}) -> {};", self.future(&method.gives)));
        }
        self.line(1, "}");
        self.serve_actor(actor, &served, &names);
    }

    fn serve_actor(&mut self, actor: &Actor, served: &str, names: &[String]) {
        let keeper = format!("{served}Methods");
        self.blank();
        self.line(1, &format!("struct {keeper}<A>(std::marker::PhantomData<A>);"));
        self.blank();
        self.line(1, &format!("impl<A: {served}> {keeper}<A> {{"));
        self.line(2, "const METHODS: &'static [::thornback::interface::MethodDefinition] = &[");
        for (method, name) in actor.methods.iter().zip(names) {
            self.line(3, "::thornback::interface::MethodDefinition {");
            self.line(4, &format!("name: {:?},", method.name));
            self.line(4, &format!("args: {},", method.params.len()));
            self.line(4, &format!("run: |cell, {}| Box::pin(async move {{", call_of(method)));
            if matches!(method.gives, Gives::Stream(_)) {
                self.line(5, "let sink = call.sink();");
            }
            let names = self.decode(5, method);
            self.line(5, "let mut actor = ::thornback::interface::call_mut::<A>(cell).await?;");
            self.run(5, method, &format!("actor.{name}({names})"));
            self.line(4, "}),");
            self.line(3, "},");
        }
        self.line(2, "];");
        self.line(1, "}");
        self.blank();
        self.line(1, &format!("/// Has a worker serve `{}`.", actor.served));
        let serve = format!("serve_{}", snake(&actor.name));
        self.line(
            1,
            &format!("pub fn {serve}<A: {served}>(worker: ::thornback::Worker) -> ::thornback::Worker {{"),
        );
        self.line(2, "worker.define_actor(::thornback::interface::ClassDefinition {");
        self.line(3, &format!("name: {:?},", actor.served));
        self.line(3, &format!("args: {},", actor.constructor.params.len()));
        self.line(3, &format!("signature: {:?},", actor.signature));
        self.line(3, &format!("create: |{}| Box::pin(async move {{", call_of(&actor.constructor)));
        let names = self.decode(4, &actor.constructor);
        self.line(4, &format!("Ok(::thornback::interface::build(A::new({names}).await?))"));
        self.line(3, "}),");
        self.line(3, &format!("methods: {keeper}::<A>::METHODS,"));
        self.line(2, "})");
        self.line(1, "}");
    }

    // ------------------------------------------------------------------------------------------------------------------------- text

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.text, "{:width$}{text}", "", width = indent * 4);
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Documentation, or what can be said without any.
    fn docs(&mut self, indent: usize, docs: &str, otherwise: &str) {
        let docs = if docs.trim().is_empty() { otherwise } else { docs.trim() };
        for line in docs.lines() {
            self.line(indent, format!("/// {}", line.trim_end()).trim_end());
        }
    }
}

/// The parameter that holds a call: arguments are taken out of it.
fn call_of(function: &Function) -> &'static str {
    if function.params.is_empty() { "call" } else { "mut call" }
}
