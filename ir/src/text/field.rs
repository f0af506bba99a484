//! How the attributes of operations are written, read, and searched for sizes.

use super::lexer::quote;
use super::{ParseError, Reader, dims};
use crate::kernel::Compare;
use crate::ops::{Fold, ScatterKind};
use crate::{DType, Dim, Pattern, Symbol, Type};

/// What an attribute of an operation can do.
pub trait Field: Sized {
    /// Appends its text.
    fn write(&self, out: &mut String);

    /// Reads it back.
    fn read(reader: &mut Reader) -> Result<Self, ParseError>;

    /// Calls `visit` on the sizes in it.
    fn visit_dims(&self, _visit: &mut dyn FnMut(&Dim)) {}

    /// Replaces the sizes in it.
    fn map_dims(&mut self, _map: &dyn Fn(&Dim) -> Dim) {}
}

impl Field for Dim {
    fn write(&self, out: &mut String) {
        *out += &self.to_string();
    }

    fn read(reader: &mut Reader) -> Result<Dim, ParseError> {
        dims::read(reader)
    }

    fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        visit(self);
    }

    fn map_dims(&mut self, map: &dyn Fn(&Dim) -> Dim) {
        *self = map(self);
    }
}

impl Field for Symbol {
    fn write(&self, out: &mut String) {
        *out += &self.0;
    }

    fn read(reader: &mut Reader) -> Result<Symbol, ParseError> {
        Ok(Symbol::new(&reader.word()?))
    }
}

impl Field for bool {
    fn write(&self, out: &mut String) {
        *out += if *self { "true" } else { "false" };
    }

    fn read(reader: &mut Reader) -> Result<bool, ParseError> {
        let yes = reader.accept_word("true");
        if yes || reader.accept_word("false") {
            Ok(yes)
        } else {
            Err(reader.error("expected `true` or `false`"))
        }
    }
}

impl Field for f64 {
    fn write(&self, out: &mut String) {
        *out += &format!("{self:?}");
    }

    fn read(reader: &mut Reader) -> Result<f64, ParseError> {
        let sign = if reader.accept("-") { -1.0 } else { 1.0 };
        if reader.accept_word("inf") {
            return Ok(sign * f64::INFINITY);
        }
        if reader.accept_word("NaN") {
            return Ok(f64::NAN);
        }
        Ok(sign * reader.number::<f64>()?)
    }
}

impl Field for i64 {
    fn write(&self, out: &mut String) {
        *out += &self.to_string();
    }

    fn read(reader: &mut Reader) -> Result<i64, ParseError> {
        let sign = if reader.accept("-") { -1 } else { 1 };
        Ok(sign * reader.number::<i64>()?)
    }
}

macro_rules! naturals {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn write(&self, out: &mut String) {
                *out += &self.to_string();
            }

            fn read(reader: &mut Reader) -> Result<$number, ParseError> {
                reader.number()
            }
        }
    )*};
}
naturals!(usize, u32, u8);

impl Field for Option<usize> {
    fn write(&self, out: &mut String) {
        match self {
            Some(number) => number.write(out),
            None => *out += "none",
        }
    }

    fn read(reader: &mut Reader) -> Result<Option<usize>, ParseError> {
        if reader.accept_word("none") { Ok(None) } else { reader.number().map(Some) }
    }
}

impl<T: Field> Field for Vec<T> {
    fn write(&self, out: &mut String) {
        *out += "[";
        for (place, item) in self.iter().enumerate() {
            *out += if place > 0 { ", " } else { "" };
            item.write(out);
        }
        *out += "]";
    }

    fn read(reader: &mut Reader) -> Result<Vec<T>, ParseError> {
        reader.list("[", "]", T::read)
    }

    fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        self.iter().for_each(|item| item.visit_dims(visit));
    }

    fn map_dims(&mut self, map: &dyn Fn(&Dim) -> Dim) {
        self.iter_mut().for_each(|item| item.map_dims(map));
    }
}

/// One of a few words.
fn choice<T: Copy>(reader: &mut Reader, all: &[T], name: fn(T) -> &'static str) -> Result<T, ParseError> {
    let found = all.iter().find(|item| reader.accept_word(name(**item)));
    let names = || all.iter().map(|item| name(*item)).collect::<Vec<_>>().join(", ");
    found.copied().ok_or_else(|| reader.error(format!("expected one of {}", names())))
}

impl Field for DType {
    fn write(&self, out: &mut String) {
        *out += self.name();
    }

    fn read(reader: &mut Reader) -> Result<DType, ParseError> {
        choice(reader, &DType::ALL, DType::name)
    }
}

impl Field for Fold {
    fn write(&self, out: &mut String) {
        *out += self.name();
    }

    fn read(reader: &mut Reader) -> Result<Fold, ParseError> {
        choice(reader, &[Fold::Add, Fold::Mul, Fold::Max, Fold::Min, Fold::Or, Fold::And], Fold::name)
    }
}

impl Field for ScatterKind {
    fn write(&self, out: &mut String) {
        *out += self.name();
    }

    fn read(reader: &mut Reader) -> Result<ScatterKind, ParseError> {
        choice(reader, &[ScatterKind::Add, ScatterKind::Set], ScatterKind::name)
    }
}

impl Field for Compare {
    fn write(&self, out: &mut String) {
        *out += &quote(self.symbol());
    }

    fn read(reader: &mut Reader) -> Result<Compare, ParseError> {
        let text = reader.text()?;
        let found = Compare::ALL.into_iter().find(|kind| kind.symbol() == text);
        found.ok_or_else(|| reader.error(format!("`{text}` is no comparison")))
    }
}

impl Field for Type {
    fn write(&self, out: &mut String) {
        *out += &self.to_string();
    }

    fn read(reader: &mut Reader) -> Result<Type, ParseError> {
        let dtype = DType::read(reader)?;
        let shape = Vec::read(reader)?;
        let pattern = if reader.accept("@") { pattern(reader)? } else { Pattern::Dense };
        Ok(Type { dtype, shape, pattern })
    }

    fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        self.shape.visit_dims(visit);
    }

    fn map_dims(&mut self, map: &dyn Fn(&Dim) -> Dim) {
        self.shape.map_dims(map);
    }
}

fn pattern(reader: &mut Reader) -> Result<Pattern, ParseError> {
    if reader.accept_word("any") {
        return Ok(Pattern::Any);
    }
    let kind = reader.word()?;
    reader.expect("(")?;
    let pattern = match kind.as_str() {
        "nm" => {
            let n = reader.number()?;
            reader.expect(":")?;
            let m = reader.number()?;
            reader.expect(",")?;
            Pattern::NofM { n, m, axis: reader.number()? }
        }
        "block" => {
            let rows = reader.number()?;
            reader.expect(",")?;
            Pattern::Block { rows, columns: reader.number()? }
        }
        "slices" => Pattern::Slices { axis: reader.number()? },
        _ => return Err(reader.error(format!("`{kind}` is no pattern"))),
    };
    reader.expect(")")?;
    Ok(pattern)
}
