//! The model: what an interface says, with names resolved and aliases gone. What emitters walk.

/// A WIT file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name without namespace and version, as `shop` of `demo:shop@1.0.0`. Emitted modules have it.
    pub name: String,
    /// The whole name, as it was written.
    pub id: String,
    /// In the order of the file.
    pub interfaces: Vec<Interface>,
    /// All named types, each after those that it refers to.
    pub types: Vec<TypeDef>,
}

/// An interface: functions and actors that one kind of worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// In WIT's words, kebab-case.
    pub name: String,
    /// Its documentation, without marks of comments; empty for none.
    pub docs: String,
    /// In the order of the file.
    pub functions: Vec<Function>,
    /// Its resources.
    pub actors: Vec<Actor>,
}

/// A function, a constructor or a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// In WIT's words. Empty for a constructor.
    pub name: String,
    /// The name under which it is served and called; of a method its own.
    pub served: String,
    /// See [`Interface::docs`].
    pub docs: String,
    /// In order; all of them are given, by position.
    pub params: Vec<Param>,
    /// What a call gives.
    pub gives: Gives,
    /// The canonical text. Of a constructor that of the whole class.
    pub signature: String,
}

/// A resource: a class of actors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// In WIT's words.
    pub name: String,
    /// The name under which it is served and created.
    pub served: String,
    /// See [`Interface::docs`].
    pub docs: String,
    /// What makes one.
    pub constructor: Function,
    /// In the order of the file.
    pub methods: Vec<Function>,
    /// The canonical text, with its constructor and methods.
    pub signature: String,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// In WIT's words.
    pub name: String,
    /// What it takes.
    pub ty: Type,
}

/// What a call gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gives {
    /// One object, which is nil.
    Nothing,
    /// One object.
    Value(Type),
    /// A stream of objects.
    Stream(Type),
}

/// A named type's position in [`Package::types`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub usize);

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// One that has no parts.
    Scalar(Scalar),
    /// `list<u8>`.
    Bytes,
    /// A list of anything else.
    List(Box<Type>),
    /// The value or nil. Never an option itself.
    Option(Box<Type>),
    /// What each side holds, if anything.
    Result(Option<Box<Type>>, Option<Box<Type>>),
    /// At least one.
    Tuple(Vec<Type>),
    /// A type that has a name of its own.
    Named(TypeId),
}

/// A type without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "WIT's own names")]
pub enum Scalar {
    Bool,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F32,
    F64,
    Char,
    String,
}

impl Scalar {
    /// All of them.
    pub const ALL: [Scalar; 13] = [
        Scalar::Bool,
        Scalar::U8,
        Scalar::U16,
        Scalar::U32,
        Scalar::U64,
        Scalar::S8,
        Scalar::S16,
        Scalar::S32,
        Scalar::S64,
        Scalar::F32,
        Scalar::F64,
        Scalar::Char,
        Scalar::String,
    ];

    /// WIT's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scalar::Bool => "bool",
            Scalar::U8 => "u8",
            Scalar::U16 => "u16",
            Scalar::U32 => "u32",
            Scalar::U64 => "u64",
            Scalar::S8 => "s8",
            Scalar::S16 => "s16",
            Scalar::S32 => "s32",
            Scalar::S64 => "s64",
            Scalar::F32 => "f32",
            Scalar::F64 => "f64",
            Scalar::Char => "char",
            Scalar::String => "string",
        }
    }
}

/// A type with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeDef {
    /// In WIT's words; unique in the package: where two interfaces have one of a name, that of the interface stands before it.
    pub name: String,
    /// See [`Interface::docs`].
    pub docs: String,
    /// What it is.
    pub kind: Kind,
}

/// What a named type is. None is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A map by name.
    Record(Vec<Field>),
    /// One of several, each of which may hold a value.
    Variant(Vec<Case>),
    /// One of several.
    Enum(Vec<Label>),
    /// Any of several.
    Flags(Vec<Label>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// In WIT's words: the key on the wire.
    pub name: String,
    /// See [`Interface::docs`].
    pub docs: String,
    /// What it holds.
    pub ty: Type,
}

/// A case of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// In WIT's words: the key on the wire.
    pub name: String,
    /// See [`Interface::docs`].
    pub docs: String,
    /// What it holds, if anything.
    pub ty: Option<Type>,
}

/// A name of an enum, or of flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// In WIT's words: the text on the wire.
    pub name: String,
    /// See [`Interface::docs`].
    pub docs: String,
}
