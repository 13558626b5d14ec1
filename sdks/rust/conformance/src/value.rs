//! A value of any kind, as a program that does not know its shape would hold it, and the suite's notation of it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value::BytesDeserializer};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use serde_json::{Value as Json, json};
use thornback::value::BigInteger;
use thornback::{ActorHandle, Bytes, Ref};

/// Bytes longer than this are told by their digest.
const DIGEST_ABOVE: usize = 1024;

#[derive(Clone)]
pub enum Any {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    List(Vec<Any>),
    Map(Vec<(Any, Any)>),
    Ref(Ref<Any>),
    Actor(ActorHandle),
    Uuid([u8; 16]),
    BigInteger(BigInteger),
    Timestamp(SystemTime),
    /// Stands for something that cannot be encoded.
    Unencodable,
}

/// What names in commands stand for, and where things that were found get theirs.
pub trait Names {
    fn object(&self, name: &str) -> Result<Ref<Any>, String>;
    fn actor(&self, name: &str) -> Result<ActorHandle, String>;
    fn found_object(&mut self, object: Ref<Any>) -> String;
    fn found_actor(&mut self, actor: ActorHandle) -> String;
}

impl Any {
    /// Reads the suite's notation.
    pub fn read(notation: &Json, names: &dyn Names) -> Result<Any, String> {
        let map = notation.as_object().filter(|map| map.len() == 1);
        let (kind, body) =
            map.and_then(|map| map.iter().next()).ok_or_else(|| format!("{notation} is no value"))?;
        let text = || body.as_str().ok_or_else(|| format!("{notation} is no value"));
        let items = || body.as_array().ok_or_else(|| format!("{notation} is no value"));
        Ok(match kind.as_str() {
            "nil" => Any::Nil,
            "bool" => Any::Bool(body.as_bool().ok_or("a bool is true or false")?),
            "int" => match text()?.parse() {
                Ok(number) => Any::Int(number),
                Err(_) => Any::Uint(text()?.parse().map_err(|error| format!("{notation}: {error}"))?),
            },
            "float" => Any::Float(f64::from_bits(
                u64::from_str_radix(text()?, 16).map_err(|error| error.to_string())?,
            )),
            "str" => Any::Text(text()?.to_owned()),
            "bytes" => Any::Bytes(hex(text()?)?.into()),
            "pattern" => {
                let number = |key: &str| body[key].as_u64().ok_or("a pattern has size and seed");
                Any::Bytes(pattern(number("size")?, number("seed")?).into())
            }
            "list" => {
                Any::List(items()?.iter().map(|item| Any::read(item, names)).collect::<Result<_, _>>()?)
            }
            "map" => {
                let entry = |entry: &Json| Ok((Any::read(&entry[0], names)?, Any::read(&entry[1], names)?));
                Any::Map(items()?.iter().map(entry).collect::<Result<_, String>>()?)
            }
            "ref" => Any::Ref(names.object(text()?)?),
            "actor" => Any::Actor(names.actor(text()?)?),
            "uuid" => {
                Any::Uuid(uuid::Uuid::parse_str(text()?).map_err(|error| error.to_string())?.into_bytes())
            }
            "bigint" => Any::BigInteger(big_integer(text()?)?),
            "timestamp" => Any::Timestamp(moment(body).ok_or_else(|| format!("{notation} is no time"))?),
            "unencodable" => Any::Unencodable,
            _ => return Err(format!("{kind} is no kind of value")),
        })
    }

    /// Writes the suite's notation.
    pub fn tell(self, names: &mut dyn Names) -> Json {
        match self {
            Any::Nil | Any::Unencodable => json!({"nil": null}),
            Any::Bool(b) => json!({"bool": b}),
            Any::Int(n) => json!({"int": n.to_string()}),
            Any::Uint(n) => json!({"int": n.to_string()}),
            Any::Float(f) => json!({"float": format!("{:016x}", f.to_bits())}),
            Any::Text(s) => json!({"str": s}),
            Any::Bytes(bytes) if bytes.len() > DIGEST_ABOVE => {
                json!({"digest": {"size": bytes.len(), "crc32": format!("{:08x}", crc32fast::hash(&bytes))}})
            }
            Any::Bytes(bytes) => {
                json!({"bytes": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()})
            }
            Any::List(items) => {
                json!({"list": items.into_iter().map(|item| item.tell(names)).collect::<Vec<_>>()})
            }
            Any::Map(entries) => {
                let entry = |(key, item): (Any, Any)| [key.tell(names), item.tell(names)];
                json!({"map": entries.into_iter().map(entry).collect::<Vec<_>>()})
            }
            Any::Ref(object) => json!({"ref": names.found_object(object)}),
            Any::Actor(actor) => json!({"actor": names.found_actor(actor)}),
            Any::Uuid(bytes) => json!({"uuid": uuid::Uuid::from_bytes(bytes).to_string()}),
            Any::BigInteger(number) => json!({"bigint": decimal(&number)}),
            Any::Timestamp(time) => {
                let since = match time.duration_since(UNIX_EPOCH) {
                    Ok(after) => after.as_nanos().cast_signed(),
                    Err(before) => -before.duration().as_nanos().cast_signed(),
                };
                json!({"timestamp": [since.div_euclid(1_000_000_000) as i64, since.rem_euclid(1_000_000_000) as i64]})
            }
        }
    }
}

/// The bytes of `{"pattern":{"size":…,"seed":…}}`.
pub fn pattern(size: u64, seed: u64) -> Vec<u8> {
    (0..size).map(|i| ((31 * i + seed) % 251) as u8).collect()
}

/// Seconds since 1970, which may be negative, and nanoseconds after them.
fn moment(parts: &Json) -> Option<SystemTime> {
    let seconds = parts[0].as_i64()?;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    start?.checked_add(Duration::from_nanos(parts[1].as_u64()?))
}

fn big_integer(text: &str) -> Result<BigInteger, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let mut magnitude = Vec::new();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10).ok_or_else(|| format!("{text} is no integer"))?;
        for byte in magnitude.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            magnitude.insert(0, carry as u8);
        }
    }
    Ok(BigInteger::new(digits.len() < text.len(), &magnitude))
}

fn decimal(number: &BigInteger) -> String {
    let mut magnitude = number.magnitude().to_vec();
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0;
        for byte in &mut magnitude {
            let all = rest * 256 + u32::from(*byte);
            *byte = (all / 10) as u8;
            rest = all % 10;
        }
        digits.push(char::from_digit(rest, 10).unwrap_or('?'));
    }
    let sign = number.is_negative().then_some('-');
    sign.into_iter().chain(digits.into_iter().rev()).collect()
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let byte = |i: usize| text.get(i..i + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(|i| byte(i).ok_or_else(|| format!("{text} is not hexadecimal"))).collect()
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Any::Nil => serializer.serialize_unit(),
            Any::Bool(b) => serializer.serialize_bool(*b),
            Any::Int(n) => serializer.serialize_i64(*n),
            Any::Uint(n) => serializer.serialize_u64(*n),
            Any::Float(f) => serializer.serialize_f64(*f),
            Any::Text(s) => serializer.serialize_str(s),
            Any::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Any::List(items) => items.serialize(serializer),
            Any::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, item) in entries {
                    map.serialize_entry(key, item)?;
                }
                map.end()
            }
            Any::Ref(object) => object.serialize(serializer),
            Any::Actor(actor) => actor.serialize(serializer),
            Any::Uuid(bytes) => thornback::value::uuid::serialize(bytes, serializer),
            Any::BigInteger(number) => number.serialize(serializer),
            Any::Timestamp(time) => thornback::value::timestamp::serialize(time, serializer),
            Any::Unencodable => Err(serde::ser::Error::custom("this value cannot be encoded")),
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Any, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Any, E> {
                Ok(Any::Nil)
            }
            fn visit_bool<E>(self, b: bool) -> Result<Any, E> {
                Ok(Any::Bool(b))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Any, E> {
                Ok(Any::Int(n))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Any, E> {
                Ok(Any::Uint(n))
            }
            fn visit_f64<E>(self, f: f64) -> Result<Any, E> {
                Ok(Any::Float(f))
            }
            fn visit_str<E>(self, s: &str) -> Result<Any, E> {
                Ok(Any::Text(s.to_owned()))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Any, E> {
                Ok(Any::Bytes(Bytes::copy_from_slice(bytes)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Any::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Any::Map(entries))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Any, D::Error> {
                let (kind, payload) = deserializer.deserialize_tuple(2, ExtensionParts)?;
                let error = |error: serde::de::value::Error| serde::de::Error::custom(error);
                let replay = || Replay { kind, payload: &payload };
                match kind {
                    -1 => {
                        thornback::value::timestamp::deserialize(replay()).map(Any::Timestamp).map_err(error)
                    }
                    1 => Ref::deserialize(replay()).map(Any::Ref).map_err(error),
                    2 => ActorHandle::deserialize(replay()).map(Any::Actor).map_err(error),
                    5 => thornback::value::uuid::deserialize(replay()).map(Any::Uuid).map_err(error),
                    6 => BigInteger::deserialize(replay()).map(Any::BigInteger).map_err(error),
                    _ => Err(serde::de::Error::custom(format_args!("an extension of type {kind}"))),
                }
            }
        }
        deserializer.deserialize_any(Look)
    }
}

/// Takes an extension apart without knowing its type beforehand.
struct ExtensionParts;

impl<'de> Visitor<'de> for ExtensionParts {
    type Value = (i8, Vec<u8>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type and the bytes of an extension")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(i8, Vec<u8>), A::Error> {
        let missing = || serde::de::Error::custom("an extension without its bytes");
        let kind = seq.next_element()?.ok_or_else(missing)?;
        let payload: Bytes = seq.next_element()?.ok_or_else(missing)?;
        Ok((kind, payload.into()))
    }
}

/// Gives an extension that was taken apart to the type that it is of.
struct Replay<'a> {
    kind: i8,
    payload: &'a [u8],
}

impl<'de> Deserializer<'de> for Replay<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Self::Error> {
        struct Parts<'a>(Option<i8>, Option<&'a [u8]>);
        impl<'de> SeqAccess<'de> for Parts<'_> {
            type Error = serde::de::value::Error;

            fn next_element_seed<T: serde::de::DeserializeSeed<'de>>(
                &mut self,
                seed: T,
            ) -> Result<Option<T::Value>, Self::Error> {
                if let Some(kind) = self.0.take() {
                    return seed.deserialize(serde::de::value::I8Deserializer::new(kind)).map(Some);
                }
                self.1.take().map(|payload| seed.deserialize(BytesDeserializer::new(payload))).transpose()
            }
        }
        visitor.visit_seq(Parts(Some(self.kind), Some(self.payload)))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple_struct
        map struct enum identifier ignored_any
    }
}
