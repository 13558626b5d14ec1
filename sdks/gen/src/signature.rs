//! The canonical text of what a function takes and gives: two stubs fit each other if and only if theirs are the same, byte by byte.
//!
//! Aliases and names of types are gone, since they are not on the wire; names of parameters, fields, cases and flags stay. The grammar is in
//! `protocol/spec/interface.md`.

use crate::model::{Function, Gives, Kind, Param, Type, TypeDef};

/// A longer one is refused (INTERFACE-004).
pub const SIGNATURE_BYTES_MAX: usize = 16 * 1024;

/// It would be longer than [`SIGNATURE_BYTES_MAX`].
#[derive(Debug)]
pub(crate) struct TooLong;

/// Of a function or method.
pub(crate) fn of_function(types: &[TypeDef], params: &[Param], gives: &Gives) -> Result<String, TooLong> {
    let mut writer = Writer { types, text: String::from("func") };
    writer.params(params)?;
    match gives {
        Gives::Nothing => {}
        Gives::Value(ty) => {
            writer.put(" -> ")?;
            writer.ty(ty)?;
        }
        Gives::Stream(ty) => {
            writer.put(" -> stream<")?;
            writer.ty(ty)?;
            writer.put(">")?;
        }
    }
    Ok(writer.text)
}

/// Of a class: its constructor, then its methods by name, in whatever order they were written.
pub(crate) fn of_actor(types: &[TypeDef], params: &[Param], methods: &[Function]) -> Result<String, TooLong> {
    let mut writer = Writer { types, text: String::from("resource{constructor") };
    writer.params(params)?;
    let mut methods: Vec<&Function> = methods.iter().collect();
    methods.sort_by(|a, b| a.name.cmp(&b.name));
    for method in methods {
        writer.put("; ")?;
        writer.put(&method.name)?;
        writer.put(": ")?;
        writer.put(&method.signature)?;
    }
    writer.put("}")?;
    Ok(writer.text)
}

struct Writer<'a> {
    types: &'a [TypeDef],
    text: String,
}

impl Writer<'_> {
    /// Every part goes through here, so a type that doubles with each name it uses ends soon.
    fn put(&mut self, text: &str) -> Result<(), TooLong> {
        if self.text.len() + text.len() > SIGNATURE_BYTES_MAX {
            return Err(TooLong);
        }
        self.text.push_str(text);
        Ok(())
    }

    fn params(&mut self, params: &[Param]) -> Result<(), TooLong> {
        self.put("(")?;
        self.list(params, |writer, param| {
            writer.put(&param.name)?;
            writer.put(": ")?;
            writer.ty(&param.ty)
        })?;
        self.put(")")
    }

    fn list<T>(
        &mut self,
        items: &[T],
        mut each: impl FnMut(&mut Self, &T) -> Result<(), TooLong>,
    ) -> Result<(), TooLong> {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.put(", ")?;
            }
            each(self, item)?;
        }
        Ok(())
    }

    fn ty(&mut self, ty: &Type) -> Result<(), TooLong> {
        match ty {
            Type::Scalar(scalar) => self.put(scalar.name()),
            Type::Bytes => self.put("list<u8>"),
            Type::List(item) => self.around("list<", item),
            Type::Option(some) => self.around("option<", some),
            Type::Result(None, None) => self.put("result"),
            Type::Result(Some(ok), None) => self.around("result<", ok),
            Type::Result(ok, Some(err)) => {
                self.put("result<")?;
                match ok {
                    Some(ok) => self.ty(ok)?,
                    None => self.put("_")?,
                }
                self.around(", ", err)
            }
            Type::Tuple(parts) => {
                self.put("tuple<")?;
                self.list(parts, Self::ty)?;
                self.put(">")
            }
            Type::Named(id) => self.named(&self.types[id.0].kind),
        }
    }

    fn around(&mut self, open: &str, ty: &Type) -> Result<(), TooLong> {
        self.put(open)?;
        self.ty(ty)?;
        self.put(">")
    }

    fn named(&mut self, kind: &Kind) -> Result<(), TooLong> {
        match kind {
            Kind::Record(fields) => {
                self.put("record{")?;
                self.list(fields, |writer, field| {
                    writer.put(&field.name)?;
                    writer.put(": ")?;
                    writer.ty(&field.ty)
                })?;
            }
            Kind::Variant(cases) => {
                self.put("variant{")?;
                self.list(cases, |writer, case| {
                    writer.put(&case.name)?;
                    let Some(ty) = &case.ty else { return Ok(()) };
                    writer.put("(")?;
                    writer.ty(ty)?;
                    writer.put(")")
                })?;
            }
            Kind::Enum(labels) => {
                self.put("enum{")?;
                self.list(labels, |writer, label| writer.put(&label.name))?;
            }
            Kind::Flags(labels) => {
                self.put("flags{")?;
                self.list(labels, |writer, label| writer.put(&label.name))?;
            }
        }
        self.put("}")
    }
}
