//! One dense tensor, its elements in place: what a NumPy array of another language arrives as.

use std::fmt;

use bytemuck::Pod;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thornback_types::{Format, More, Value};

use super::ext::{Extension, deserialize_extension, serialize_extension};
use crate::{Error, Result};

/// A dense tensor: element type, shape, strides and the elements' bytes.
///
/// At the top level of an argument, a result or a `put` it travels without a copy, and one that is read from the object store lies
/// there: cloning it or taking a slice of it copies nothing, and its room is given back when the last clone goes.
///
/// ```
/// use thornback::Tensor;
///
/// let tensor = Tensor::from_vec(vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).expect("six elements");
/// assert_eq!((tensor.dtype(), tensor.shape(), tensor.strides()), ("<f4", &[2, 3][..], &[12, 4][..]));
/// assert_eq!(tensor.as_slice::<f32>().map(|elements| elements[4]), Some(5.0));
/// assert_eq!(tensor.as_slice::<f64>(), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    strides: Vec<i64>,
    data: Bytes,
}

/// An element type that Rust can read in place.
pub trait Element: Pod + Send + Sync + sealed::Sealed {
    /// NumPy's name for it on this machine (`"<f8"`).
    const DTYPE: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($element:ty: $little:literal $big:literal,)*) => {$(
        impl sealed::Sealed for $element {}
        impl Element for $element {
            const DTYPE: &'static str = if cfg!(target_endian = "little") { $little } else { $big };
        }
    )*};
}

elements! {
    f32: "<f4" ">f4", f64: "<f8" ">f8",
    i8: "|i1" "|i1", i16: "<i2" ">i2", i32: "<i4" ">i4", i64: "<i8" ">i8",
    u8: "|u1" "|u1", u16: "<u2" ">u2", u32: "<u4" ">u4", u64: "<u8" ">u8",
}

impl Tensor {
    /// A tensor in row-major order from the elements themselves, which are not copied.
    ///
    /// # Errors
    /// If the shape asks for another number of elements.
    pub fn from_vec<E: Element>(elements: Vec<E>, shape: &[u64]) -> Result<Tensor> {
        struct Owner<E>(Vec<E>);
        impl<E: Element> AsRef<[u8]> for Owner<E> {
            fn as_ref(&self) -> &[u8] {
                bytemuck::cast_slice(&self.0)
            }
        }

        Tensor::from_bytes(E::DTYPE, shape, Bytes::from_owner(Owner(elements)))
    }

    /// A tensor in row-major order from bytes; `dtype` is NumPy's name for the elements' type (`"<f8"`, `"|b1"`, `">c16"`).
    ///
    /// # Errors
    /// If the type's name has no size, or the shape asks for another number of bytes.
    pub fn from_bytes(dtype: &str, shape: &[u64], data: Bytes) -> Result<Tensor> {
        let width = element_bytes(dtype)?;
        let mut strides = vec![0; shape.len()];
        let mut step = width;
        for (stride, length) in strides.iter_mut().zip(shape).rev() {
            *stride =
                i64::try_from(step).map_err(|_| Error::invalid("the tensor is larger than memory can be"))?;
            step = step
                .checked_mul(*length)
                .ok_or_else(|| Error::invalid("the tensor is larger than memory can be"))?;
        }
        if step != data.len() as u64 {
            return Err(Error::invalid(format!(
                "a {dtype} tensor of shape {} takes {step} bytes; {} were given",
                Tuple(shape),
                data.len()
            )));
        }
        Ok(Tensor { dtype: dtype.into(), shape: shape.into(), strides, data })
    }

    /// NumPy's name for the elements' type.
    #[must_use]
    pub fn dtype(&self) -> &str {
        &self.dtype
    }

    /// The length of each dimension.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// How many bytes it is from one element to the next in each dimension.
    #[must_use]
    pub fn strides(&self) -> &[i64] {
        &self.strides
    }

    /// The elements' bytes, in place.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Whether the elements lie in row-major order without gaps.
    #[must_use]
    pub fn is_contiguous(&self) -> bool {
        Tensor::from_bytes(&self.dtype, &self.shape, self.data.clone())
            .is_ok_and(|plain| plain.strides == self.strides)
    }

    /// The elements in place, if they are of this type and lie in row-major order.
    #[must_use]
    pub fn as_slice<E: Element>(&self) -> Option<&[E]> {
        if self.dtype == E::DTYPE && self.is_contiguous() {
            bytemuck::try_cast_slice(&self.data).ok()
        } else {
            None
        }
    }

    /// A copy of the elements, if they are of this type and lie in row-major order; unlike [`Tensor::as_slice`] it works for bytes that
    /// are not aligned, as those that came inside a frame may not be.
    #[must_use]
    pub fn to_vec<E: Element>(&self) -> Option<Vec<E>> {
        if self.dtype != E::DTYPE || !self.is_contiguous() {
            return None;
        }
        Some(self.data.chunks_exact(size_of::<E>()).map(bytemuck::pod_read_unaligned).collect())
    }

    fn schema(&self) -> String {
        format!("{};{};{}", self.dtype, Tuple(&self.shape), Tuple(&self.strides))
    }

    pub(super) fn into_value(self) -> Value {
        let schema = self.schema();
        Value::new(Format::Tensor, Bytes::new()).with_schema(schema).with_buffers(vec![self.data])
    }

    pub(super) fn from_value(mut value: Value) -> Result<Tensor> {
        let More { buffers, schema, .. } = value.take_more();
        let schema =
            str::from_utf8(&schema).map_err(|_| Error::invalid("the schema of a tensor is not text"))?;
        let data = buffers.into_iter().next().unwrap_or_default();
        Tensor::parse(schema, data).map_err(Error::invalid)
    }

    fn parse(schema: &str, data: Bytes) -> Result<Tensor, String> {
        let bad = || format!("{schema:?} is no schema of a tensor; it looks like \"<f8;(2, 3);(24, 8)\"");
        let mut parts = schema.split(';');
        let (Some(dtype), Some(shape), strides, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let shape = tuple(shape).ok_or_else(bad)?;
        let strides = strides.map(|strides| tuple(strides).ok_or_else(bad)).transpose()?;
        Tensor::checked(dtype.into(), shape, strides, data)
    }

    /// A tensor of a peer's: whoever indexes by its strides must stay inside its bytes.
    fn checked(
        dtype: String,
        shape: Vec<u64>,
        strides: Option<Vec<i64>>,
        data: Bytes,
    ) -> Result<Tensor, String> {
        let Some(strides) = strides else {
            return Tensor::from_bytes(&dtype, &shape, data).map_err(|error| error.message().to_string());
        };
        let width = element_bytes(&dtype).map_err(|error| error.message().to_string())?;
        if shape.len() != strides.len() {
            return Err(format!("a tensor has {} dimensions and {} strides", shape.len(), strides.len()));
        }
        let empty = shape.contains(&0);
        let mut end = i128::from(if empty { 0 } else { width });
        for (length, stride) in shape.iter().zip(&strides).filter(|_| !empty) {
            if *stride < 0 {
                return Err("a tensor has a negative stride; pass one whose elements lie in order".into());
            }
            // Neither factor has more than 64 bits, and a handful of such products cannot overflow; more dimensions are caught below.
            end = end.saturating_add(i128::from(length - 1) * i128::from(*stride));
        }
        if end > data.len() as i128 {
            return Err(format!(
                "a tensor of shape {} and strides {} reaches beyond its {} bytes",
                Tuple(&shape),
                Tuple(&strides),
                data.len()
            ));
        }
        Ok(Tensor { dtype, shape, strides, data })
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}, {} bytes)", self.schema(), self.data.len())
    }
}

/// Inside another value: an extension, which is MessagePack of the schema and the elements. They are copied.
impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let payload = rmp_serde::to_vec(&(&self.dtype, &self.shape, &self.strides, &self.data))
            .map_err(serde::ser::Error::custom)?;
        serialize_extension(serializer, Extension::Tensor, &payload)
    }
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tensor, D::Error> {
        deserialize_extension(deserializer, Extension::Tensor, |payload| {
            // A position among the value's buffers may stand in place of the elements, but only in a private format of the writer's.
            type Parts = (String, Vec<u64>, Option<Vec<i64>>, Bytes);
            let (dtype, shape, strides, data): Parts = rmp_serde::from_slice(payload)
                .map_err(|error| format!("a tensor that cannot be read: {error}"))?;
            Tensor::checked(dtype, shape, strides, data)
        })
    }
}

fn element_bytes(dtype: &str) -> Result<u64> {
    let digits = dtype.trim_start_matches(|c: char| !c.is_ascii_digit());
    match digits.parse() {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(Error::invalid(format!(
            "{dtype:?} is no element type of known size; NumPy's names such as \"<f8\" are meant"
        ))),
    }
}

/// As Python prints a tuple.
struct Tuple<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Tuple<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [one] => write!(f, "({one},)"),
            many => {
                f.write_str("(")?;
                for (i, item) in many.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
        }
    }
}

fn tuple<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?.trim();
    let inner = inner.strip_suffix(',').unwrap_or(inner);
    if inner.is_empty() {
        Some(Vec::new())
    } else {
        inner.split(',').map(|part| part.trim().parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, encode};
    use super::*;

    #[test]
    fn a_tensor_travels_in_place() {
        let tensor = Tensor::from_vec(vec![1i64, -2, 3], &[3]).expect("fits");
        let value = encode(&tensor).expect("encodes").value;
        assert_eq!((value.format, value.schema()), (Format::Tensor, &b"<i8;(3,);(8,)"[..]));
        assert_eq!(value.buffers()[0].as_ptr(), tensor.data().as_ptr());
        let back: Tensor = decode(value).expect("decodes");
        assert_eq!(back.as_slice::<i64>(), Some(&[1, -2, 3][..]));
        assert_eq!(back.to_vec::<i64>(), Some(vec![1, -2, 3]));
    }

    #[test]
    fn a_tensor_inside_a_value_comes_back() {
        let pair = ("name".to_string(), Tensor::from_vec(vec![0.5f32], &[]).expect("a scalar"));
        assert_eq!(decode::<(String, Tensor)>(encode(&pair).expect("encodes").value).expect("decodes"), pair);
    }

    #[test]
    fn strides_cannot_reach_beyond_the_bytes() {
        let of = |schema: &'static str, bytes: usize| {
            let value = Value::new(Format::Tensor, Bytes::new())
                .with_schema(schema)
                .with_buffers(vec![vec![0; bytes].into()]);
            decode::<Tensor>(value)
        };
        assert!(of("<f8;(2, 3);(24, 8)", 48).is_ok());
        assert!(
            of("<f8;(3, 2);(8, 24)", 48)
                .is_ok_and(|tensor| !tensor.is_contiguous() && tensor.as_slice::<f64>().is_none())
        );
        assert!(of("<f8;(0, 3);(24, 8)", 0).is_ok());
        assert!(of("<f8;(2, 3)", 48).is_ok_and(|tensor| tensor.is_contiguous()));
        for bad in [
            "<f8;(2, 3);(32, 8)",
            "<f8;(2,);(-8,)",
            "<f8;2",
            "<f8",
            "f;(2,);(8,)",
            "<f8;(18446744073709551615,);(9223372036854775807,)",
            "<f8;(a,);(8,)",
            "",
        ] {
            assert!(of(bad, 48).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_shape_must_fit_its_elements() {
        assert!(Tensor::from_vec(vec![1u8, 2], &[3]).is_err());
        assert!(Tensor::from_vec(vec![1u8, 2], &[u64::MAX, u64::MAX]).is_err());
    }
}
