//! Decoding with a bound on nesting. Plans hold trees; a damaged file must not be able to exhaust the stack with one.
//! The format itself cannot say how deep a value is before it is read, so every level is counted on the way down.

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use std::fmt;

/// Levels of structs, lists, choices and texts inside each other. The plans of deep networks need about a fifth.
const DEEPEST: u32 = 512;
/// Room for that many levels, in any build.
const STACK: usize = 64 << 20;

/// Reads a value that is all of `bytes`.
pub(super) fn decode<T: for<'de> Deserialize<'de> + Send>(bytes: &[u8]) -> Result<T, String> {
    let work = || {
        let mut postcard = postcard::Deserializer::from_bytes(bytes);
        let value = T::deserialize(Nested { inner: &mut postcard, left: DEEPEST });
        let value = value.map_err(|error| format!("cannot be decoded: {error}"))?;
        match postcard.finalize() {
            Ok([]) => Ok(value),
            Ok(rest) => Err(format!("ends {} bytes before its member does", rest.len())),
            Err(error) => Err(format!("cannot be decoded: {error}")),
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread =
            thread.map_err(|error| format!("cannot be decoded: no thread can be started: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("cannot be decoded".into()))
    })
}

/// A part of a decoder that may go `left` levels deeper.
struct Nested<I> {
    inner: I,
    left: u32,
}

impl<I> Nested<I> {
    fn around<J>(&self, inner: J) -> Nested<J> {
        Nested { inner, left: self.left }
    }

    fn deeper<J, E: Error>(&self, inner: J) -> Result<Nested<J>, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom("the values are nested too deep"))?;
        Ok(Nested { inner, left })
    }
}

macro_rules! decoders {
    ($($method:ident($($name:ident: $ty:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $ty,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.deeper(visitor)?;
            self.inner.$method($($name,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Nested<D> {
    type Error = D::Error;

    decoders! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! values {
    ($($method:ident: $ty:ty;)*) => {
        $(fn $method<E: Error>(self, value: $ty) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Nested<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.inner.expecting(f)
    }

    values! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: String;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: Vec<u8>;
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, decoder: D) -> Result<V::Value, D::Error> {
        let decoder = self.around(decoder);
        self.inner.visit_some(decoder)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, decoder: D) -> Result<V::Value, D::Error> {
        let decoder = self.around(decoder);
        self.inner.visit_newtype_struct(decoder)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        let items = self.around(items);
        self.inner.visit_seq(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        let items = self.around(items);
        self.inner.visit_map(items)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, choice: A) -> Result<V::Value, A::Error> {
        let choice = self.around(choice);
        self.inner.visit_enum(choice)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nested<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<S::Value, D::Error> {
        let decoder = self.around(decoder);
        self.inner.deserialize(decoder)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Nested<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let seed = self.around(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Nested<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let seed = self.around(seed);
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Nested<A> {
    type Error = A::Error;
    type Variant = Nested<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (seed, left) = (self.around(seed), self.left);
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((value, Nested { inner, left }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Nested<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.deeper(visitor)?;
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.deeper(visitor)?;
        self.inner.struct_variant(fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnc_ir::kernel::{Expr, Scalar};
    use nnc_ir::{DType, Dim};

    fn chain(length: usize) -> Expr {
        let start = Expr::Guarded {
            guards: vec![(Dim::symbol("i"), Dim::constant(7))],
            value: Box::new(Expr::Constant(-1.5, DType::F32)),
            otherwise: 0.25,
        };
        (0..length).fold(start, |value, _| Expr::Apply(Scalar::Neg, vec![value]))
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let value = chain(40);
        let bytes = postcard::to_stdvec(&value).unwrap();
        assert_eq!(decode::<Expr>(&bytes).unwrap(), value);
        assert!(decode::<Expr>(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode::<Expr>(&[&bytes[..], &[0]].concat()).unwrap_err().starts_with("ends 1 bytes"));
    }

    #[test]
    fn endless_nesting_is_an_error_not_the_end_of_the_stack() {
        let one = postcard::to_stdvec(&chain(1)).unwrap();
        let none = postcard::to_stdvec(&chain(0)).unwrap();
        let bytes = one[..one.len() - none.len()].repeat(1_000_000);
        assert!(decode::<Expr>(&bytes).unwrap_err().starts_with("cannot be decoded"));
    }
}
