//! The caller's side in Go: what each function was made for, and how it is called.

use super::{Call, Go, Named, NamedActor, RESERVED};
use crate::emit::quote;
use crate::model::{Actor, Gives, Param};
use crate::names::{Scope, camel};

impl Go<'_> {
    pub(super) fn contracts(&mut self, named: &Named) {
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

    pub(super) fn contract(&mut self, call: &Call, served: &str, signature: &str) {
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

    pub(super) fn takes(&mut self, params: &[Param]) {
        for param in params {
            let codec = self.codec(&param.ty);
            self.line(1, &format!("wit.Takes({}, {codec}),", quote(&param.name)));
        }
    }

    // ---------------------------------------------------------------------------------------------------------------------- clients

    pub(super) fn client(&mut self, named: &Named) {
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
    pub(super) fn call(&mut self, receiver: &str, call: &Call, served: &str, task: &str) {
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
    pub(super) fn params(&self, params: &[Param]) -> (Vec<String>, Vec<String>) {
        let mut scope = Scope::without(RESERVED);
        let names: Vec<String> = params.iter().map(|param| scope.take(camel(&param.name))).collect();
        (
            params.iter().zip(&names).map(|(param, name)| format!("{name} {}", self.ty(&param.ty))).collect(),
            names,
        )
    }

    pub(super) fn args(&self, params: &[Param]) -> (Vec<String>, Vec<String>) {
        let (_, names) = self.params(params);
        let declared = params
            .iter()
            .zip(&names)
            .map(|(param, name)| format!("{name} wit.Arg[{}]", self.ty(&param.ty)))
            .collect();
        (declared, names.iter().map(|name| format!("{name}.Arg()")).collect())
    }

    pub(super) fn actor(&mut self, named: &NamedActor) {
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
}
