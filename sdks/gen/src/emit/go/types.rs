//! The types of an interface in Go, and the codecs that carry them over the wire.

use super::{Go, sentence};
use crate::emit::quote;
use crate::model::{Gives, Kind, Scalar, Type, TypeDef, TypeId};
use crate::names::{Scope, pascal};

impl Go<'_> {
    pub(super) fn ty(&self, ty: &Type) -> String {
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

    pub(super) fn side(&self, side: Option<&Type>) -> String {
        side.map_or("wit.Unit".to_owned(), |ty| self.ty(ty))
    }

    pub(super) fn codec(&self, ty: &Type) -> String {
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

    pub(super) fn gives(&self, gives: &Gives) -> (String, String) {
        match gives {
            Gives::Nothing => ("wit.Unit".to_owned(), "wit.Nothing".to_owned()),
            Gives::Value(ty) | Gives::Stream(ty) => (self.ty(ty), self.codec(ty)),
        }
    }

    pub(super) fn type_def(&mut self, id: TypeId) {
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

    pub(super) fn tuple(&mut self, arity: usize) {
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
}
