//! A WIT file as it was written: names not looked up yet, everything with its position.

/// A name and where it stands, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) at: usize,
}

#[derive(Debug)]
pub(crate) struct File {
    /// Without version.
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) worlds: Vec<World>,
}

#[derive(Debug)]
pub(crate) struct World {
    /// Interfaces of this file that it exports.
    pub(crate) exports: Vec<Name>,
}

#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) name: Name,
    pub(crate) docs: String,
    pub(crate) uses: Vec<Use>,
    pub(crate) types: Vec<TypeDef>,
    pub(crate) functions: Vec<Function>,
    pub(crate) resources: Vec<Resource>,
}

/// `use from.{name as as_}`.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) from: Name,
    pub(crate) name: Name,
    pub(crate) as_: Name,
}

#[derive(Debug)]
pub(crate) struct TypeDef {
    pub(crate) name: Name,
    pub(crate) docs: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Record(Vec<Member>),
    Variant(Vec<Member>),
    Enum(Vec<Member>),
    Flags(Vec<Member>),
    Alias(Type),
}

/// A field, case or label.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: Name,
    pub(crate) docs: String,
    pub(crate) ty: Option<Type>,
}

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: Name,
    pub(crate) docs: String,
    pub(crate) params: Vec<(Name, Type)>,
    pub(crate) gives: Option<Type>,
}

#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) name: Name,
    pub(crate) docs: String,
    pub(crate) constructor: Option<Function>,
    pub(crate) methods: Vec<Function>,
}

/// A type: its name, what stands between its angle brackets, and where. `_` in a result is an absent argument.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: Name,
    /// `%list` is a name and never the keyword.
    pub(crate) escaped: bool,
    pub(crate) args: Vec<Type>,
}
