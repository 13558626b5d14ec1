//! A deserializer around another that tells where a value does not fit, and takes numbers for floats only as the protocol has it.
//!
//! The way to what is wrong is noted while an error is on its way out: what fits costs next to nothing. Typed interfaces are read more strictly than
//! `serde` would: a record is a map, an enum a name, a variant a map of one entry, and binary is [`Bytes`](bytes::Bytes) and no list. It never decides
//! what becomes of an error.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// What is known of an error, and how strictly to read.
pub(super) struct Trail<'de> {
    typed: bool,
    /// Innermost first.
    steps: RefCell<Vec<Step<'de>>>,
    reason: RefCell<Option<String>>,
    /// The last key that was read.
    key: Cell<Step<'de>>,
}

#[derive(Clone, Copy)]
enum Step<'de> {
    Name(&'de str),
    Number(i128),
    Index(usize),
    /// A key that is neither text nor an integer.
    Unnamed,
}

impl<'de> Trail<'de> {
    /// `typed` is for values of an interface.
    pub(super) fn new(typed: bool) -> Trail<'de> {
        let (steps, reason) = (RefCell::default(), RefCell::default());
        Trail { typed, steps, reason, key: Cell::new(Step::Unnamed) }
    }

    /// A deserializer that leaves its trail here.
    pub(super) fn follow<D: Deserializer<'de>>(&self, from: D) -> Fit<'_, 'de, D> {
        Fit { from, trail: self, place: Place::Value }
    }

    /// The path to what is wrong, as `.options.sizes[0]`, and what is wrong there: what was found out here, or else `error`.
    pub(super) fn tell(self, error: &dyn fmt::Display) -> (String, String) {
        use fmt::Write as _;
        let mut path = String::new();
        for step in self.steps.into_inner().iter().rev() {
            // Writing to a string does not fail.
            let _ = match step {
                Step::Name(name) => write!(path, ".{name}"),
                Step::Number(number) => write!(path, "[{number}]"),
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Unnamed => write!(path, "[?]"),
            };
        }
        (path, self.reason.into_inner().unwrap_or_else(|| error.to_string()))
    }

    #[cold]
    fn step(&self, step: Step<'de>) {
        self.steps.borrow_mut().push(step);
    }

    /// Notes why, if that is not known yet.
    #[cold]
    fn misfit(&self, found: &dyn fmt::Display, wanted: &str) {
        self.reason.borrow_mut().get_or_insert_with(|| format!("{found} is not {wanted}"));
    }
}

/// Where a value stands, so far as it matters to how it is read.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Value,
    /// The key of a map, or the name of a case.
    Key,
}

/// What a type asks for.
#[derive(Clone, Copy, PartialEq)]
enum Want {
    /// Whatever there is.
    Any,
    /// By its name in Rust, and in an interface.
    Scalar(&'static str, &'static str),
    F32,
    F64,
    Text,
    Bytes,
    List,
    Tuple,
    Record(&'static str),
    Case(&'static str),
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Want::Any => f.write_str("what was expected"),
            Want::Scalar(rust, _) => f.write_str(rust),
            Want::F32 => f.write_str("an f32"),
            Want::F64 => f.write_str("an f64"),
            Want::Text => f.write_str("a string"),
            Want::Bytes => f.write_str("a list<u8>: binary"),
            Want::List => f.write_str("a list"),
            Want::Tuple => f.write_str("a tuple"),
            Want::Record(name) => write!(f, "a {name}: a map"),
            Want::Case(name) => write!(f, "a {name}"),
        }
    }
}

/// The deserializer.
pub(super) struct Fit<'t, 'de, D> {
    from: D,
    trail: &'t Trail<'de>,
    place: Place,
}

impl<'t, 'de, D: Deserializer<'de>> Fit<'t, 'de, D> {
    fn watch<V>(&self, visitor: V, want: Want) -> Watch<'t, 'de, V> {
        Watch { visitor, trail: self.trail, want, place: self.place }
    }

    fn any<V: Visitor<'de>>(self, visitor: V, want: Want) -> Result<V::Value, D::Error> {
        let watch = self.watch(visitor, want);
        self.from.deserialize_any(watch)
    }
}

macro_rules! scalars {
    ($($method:ident $rust:literal $wit:literal)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.any(visitor, Want::Scalar($rust, $wit))
        }
    )*};
}

macro_rules! wanting {
    ($($method:ident $want:expr;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.any(visitor, $want)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Fit<'_, 'de, D> {
    type Error = D::Error;

    scalars! {
        deserialize_bool "a bool" "a bool"
        deserialize_u8 "a u8" "a u8"
        deserialize_u16 "a u16" "a u16"
        deserialize_u32 "a u32" "a u32"
        deserialize_u64 "a u64" "a u64"
        deserialize_i8 "an i8" "an s8"
        deserialize_i16 "an i16" "an s16"
        deserialize_i32 "an i32" "an s32"
        deserialize_i64 "an i64" "an s64"
        deserialize_char "a char" "a char"
        deserialize_unit "nothing: nil" "nothing: nil"
    }

    wanting! {
        deserialize_any Want::Any;
        deserialize_f32 Want::F32;
        deserialize_f64 Want::F64;
        deserialize_str Want::Text;
        deserialize_string Want::Text;
        deserialize_bytes Want::Bytes;
        deserialize_byte_buf Want::Bytes;
        deserialize_map Want::Any;
        deserialize_identifier Want::Any;
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.from.deserialize_i128(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.from.deserialize_u128(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let watch = self.watch(visitor, Want::Any);
        self.from.deserialize_option(watch)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.from.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        // An extension's parts are no places that a user knows.
        if name == rmp_serde::MSGPACK_EXT_STRUCT_NAME {
            return self.from.deserialize_newtype_struct(name, visitor);
        }
        let watch = Newtype(self.watch(visitor, Want::Any));
        self.from.deserialize_newtype_struct(name, watch)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.trail.typed {
            return self.any(visitor, Want::List);
        }
        let watch = self.watch(visitor, Want::List);
        self.from.deserialize_seq(watch)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        if self.trail.typed {
            return self.any(visitor, Want::Tuple);
        }
        let watch = self.watch(visitor, Want::Tuple);
        self.from.deserialize_tuple(len, watch)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let watch = self.watch(visitor, Want::Tuple);
        self.from.deserialize_tuple_struct(name, len, watch)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if self.trail.typed {
            return self.any(visitor, Want::Record(name));
        }
        let watch = self.watch(visitor, Want::Record(name));
        self.from.deserialize_struct(name, fields, watch)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        if self.trail.typed {
            return self.any(visitor, Want::Case(name));
        }
        let watch = self.watch(visitor, Want::Case(name));
        self.from.deserialize_enum(name, variants, watch)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.from.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.from.is_human_readable()
    }
}

/// A visitor that looks at what comes before another does.
struct Watch<'t, 'de, V> {
    visitor: V,
    trail: &'t Trail<'de>,
    want: Want,
    place: Place,
}

impl<'t, 'de, V: Visitor<'de>> Watch<'t, 'de, V> {
    fn refused<E: de::Error>(&self, found: &dyn fmt::Display) -> E {
        refused(self.trail, self.want, found)
    }

    fn integer<E: de::Error>(
        self,
        number: i128,
        visit: impl FnOnce(V) -> Result<V::Value, E>,
    ) -> Result<V::Value, E> {
        let exact = match self.want {
            // Further than an i128 goes no float that an integer of 64 bits becomes.
            Want::F64 => number as f64 as i128 == number,
            Want::F32 => number as f32 as i128 == number,
            _ => true,
        };
        // `serde` takes a number for the name at that place.
        if !exact || self.trail.typed && self.place == Place::Key && self.want == Want::Any {
            return Err(self.refused(&number));
        }
        if self.place == Place::Key {
            self.trail.key.set(Step::Number(number));
        }
        self.pass(&number, visit)
    }

    fn pass<E: de::Error>(
        self,
        found: &dyn fmt::Display,
        visit: impl FnOnce(V) -> Result<V::Value, E>,
    ) -> Result<V::Value, E> {
        let Watch { visitor, trail, want, .. } = self;
        visit(visitor).inspect_err(|_| note(trail, want, found))
    }

    fn text<E: de::Error>(
        self,
        text: &str,
        visit: impl FnOnce(V) -> Result<V::Value, E>,
    ) -> Result<V::Value, E> {
        if self.trail.typed && self.want == Want::Bytes {
            return Err(self.refused(&Shown(text)));
        }
        self.pass(&Shown(text), visit)
    }

    fn bytes<E: de::Error>(self, visit: impl FnOnce(V) -> Result<V::Value, E>) -> Result<V::Value, E> {
        if self.trail.typed && self.want != Want::Bytes {
            return Err(self.refused(&"binary"));
        }
        self.pass(&"binary", visit)
    }
}

fn refused<E: de::Error>(trail: &Trail<'_>, want: Want, found: &dyn fmt::Display) -> E {
    note(trail, want, found);
    E::custom(format_args!("{found} is not {want}"))
}

/// Where the type asked for something in particular, it is said what that is; elsewhere `serde` knows better.
fn note(trail: &Trail<'_>, want: Want, found: &dyn fmt::Display) {
    match want {
        Want::Any => {}
        Want::Case(_) | Want::Bytes if !trail.typed => {}
        Want::Scalar(_, wit) if trail.typed => trail.misfit(found, wit),
        want => trail.misfit(found, &want.to_string()),
    }
}

/// Text as an error shows it.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((at, _)) => write!(f, "{:?}…", &self.0[..at]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

macro_rules! integers {
    ($($method:ident $type:ty;)*) => {$(
        #[inline]
        fn $method<E: de::Error>(self, number: $type) -> Result<V::Value, E> {
            self.integer(i128::from(number), |visitor| visitor.$method(number))
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    integers! {
        visit_u8 u8;
        visit_u16 u16;
        visit_u32 u32;
        visit_u64 u64;
        visit_i8 i8;
        visit_i16 i16;
        visit_i32 i32;
        visit_i64 i64;
    }

    fn visit_bool<E: de::Error>(self, found: bool) -> Result<V::Value, E> {
        self.pass(&found, |visitor| visitor.visit_bool(found))
    }

    fn visit_f32<E: de::Error>(self, found: f32) -> Result<V::Value, E> {
        self.pass(&found, |visitor| visitor.visit_f32(found))
    }

    fn visit_f64<E: de::Error>(self, found: f64) -> Result<V::Value, E> {
        if self.want == Want::F32 && found.is_finite() && (found as f32).is_infinite() {
            return Err(self.refused(&format_args!("{found:e}")));
        }
        self.pass(&found, |visitor| visitor.visit_f64(found))
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.pass(&"nil", Visitor::visit_unit)
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.pass(&"nil", Visitor::visit_none)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<V::Value, E> {
        if self.place == Place::Key {
            self.trail.key.set(Step::Name(text));
        }
        match self.want {
            Want::Case(_) if self.trail.typed => self.visitor.visit_enum(BorrowedStrDeserializer::new(text)),
            _ => self.text(text, |visitor| visitor.visit_borrowed_str(text)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<V::Value, E> {
        match self.want {
            Want::Case(_) if self.trail.typed => self.visitor.visit_enum(StrDeserializer::new(text)),
            _ => self.text(text, |visitor| visitor.visit_str(text)),
        }
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<V::Value, E> {
        self.bytes(|visitor| visitor.visit_borrowed_bytes(bytes))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<V::Value, E> {
        self.bytes(|visitor| visitor.visit_bytes(bytes))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        let Watch { visitor, trail, place, .. } = self;
        visitor.visit_some(Fit { from, trail, place })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        // Only an extension comes unasked.
        let Watch { visitor, trail, want, .. } = self;
        visitor.visit_newtype_struct(from).inspect_err(|_| note(trail, want, &"an extension type"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<V::Value, A::Error> {
        let Watch { visitor, trail, want, .. } = self;
        match want {
            Want::Record(_) | Want::Case(_) | Want::Bytes if trail.typed => {
                Err(refused(trail, want, &"an array"))
            }
            Want::Any | Want::List | Want::Tuple | Want::Record(_) | Want::Case(_) | Want::Bytes => {
                visitor.visit_seq(Items { from, trail, next: 0 })
            }
            _ => visitor.visit_seq(from).inspect_err(|_| note(trail, want, &"an array")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<V::Value, A::Error> {
        let Watch { visitor, trail, want, .. } = self;
        match want {
            Want::Case(_) if trail.typed => match from.size_hint() {
                Some(1) => visitor.visit_enum(Case { from: Entry(from), trail, name: Step::Unnamed }),
                _ => Err(refused(trail, want, &"a map of more or fewer entries than one")),
            },
            Want::Any | Want::Record(_) | Want::Case(_) => {
                visitor.visit_map(Entries { from, trail, key: Step::Unnamed })
            }
            _ => visitor.visit_map(from).inspect_err(|_| note(trail, want, &"a map")),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, from: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Case { from, trail: self.trail, name: Step::Unnamed })
    }
}

/// The same for a newtype struct that was asked for: what is inside stands where it stands.
struct Newtype<'t, 'de, V>(Watch<'t, 'de, V>);

impl<'de, V: Visitor<'de>> Visitor<'de> for Newtype<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        let Watch { visitor, trail, place, .. } = self.0;
        visitor.visit_newtype_struct(Fit { from, trail, place })
    }
}

/// A part of a value, on its way to its own type.
struct Part<'t, 'de, S> {
    seed: S,
    trail: &'t Trail<'de>,
    place: Place,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Part<'_, 'de, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Fit { from, trail: self.trail, place: self.place })
    }
}

struct Items<'t, 'de, A> {
    from: A,
    trail: &'t Trail<'de>,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let index = self.next;
        self.next += 1;
        let trail = self.trail;
        self.from
            .next_element_seed(Part { seed, trail, place: Place::Value })
            .inspect_err(|_| trail.step(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        self.from.size_hint()
    }
}

struct Entries<'t, 'de, A> {
    from: A,
    trail: &'t Trail<'de>,
    key: Step<'de>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let trail = self.trail;
        trail.key.set(Step::Unnamed);
        let key = self.from.next_key_seed(Part { seed, trail, place: Place::Key })?;
        self.key = trail.key.get();
        Ok(key)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let (trail, key) = (self.trail, self.key);
        self.from.next_value_seed(Part { seed, trail, place: Place::Value }).inspect_err(|_| trail.step(key))
    }

    fn size_hint(&self) -> Option<usize> {
        self.from.size_hint()
    }
}

/// The only entry of a map as a case and what it holds. One that holds nothing holds nil; the cases of an enum, which hold not even that, are text.
struct Entry<A>(A);

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Entry<A> {
    type Error = A::Error;
    type Variant = Entry<A>;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Entry<A>), A::Error> {
        match self.0.next_key_seed(seed)? {
            Some(case) => Ok((case, self)),
            None => Err(de::Error::custom("an empty map has no case")),
        }
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Entry<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        Err(de::Error::custom("a map is not an enum: the name of a case"))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, A::Error> {
        Err(de::Error::custom("no case of an interface is a tuple"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, A::Error> {
        Err(de::Error::custom("no case of an interface has fields"))
    }
}

struct Case<'t, 'de, A> {
    from: A,
    trail: &'t Trail<'de>,
    name: Step<'de>,
}

impl<'t, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Case<'t, 'de, A> {
    type Error = A::Error;
    type Variant = Case<'t, 'de, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let trail = self.trail;
        trail.key.set(Step::Unnamed);
        let (case, from) = self.from.variant_seed(Part { seed, trail, place: Place::Key })?;
        Ok((case, Case { from, trail, name: trail.key.get() }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Case<'_, 'de, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.from.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let Case { from, trail, name } = self;
        from.newtype_variant_seed(Part { seed, trail, place: Place::Value }).inspect_err(|_| trail.step(name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let Case { from, trail, name } = self;
        let watch = Watch { visitor, trail, want: Want::Tuple, place: Place::Value };
        from.tuple_variant(len, watch).inspect_err(|_| trail.step(name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let Case { from, trail, name } = self;
        let watch = Watch { visitor, trail, want: Want::Any, place: Place::Value };
        from.struct_variant(fields, watch).inspect_err(|_| trail.step(name))
    }
}

#[cfg(test)]
mod tests;
