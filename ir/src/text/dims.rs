//! Integer polynomials as text: sums of products, as [`Dim`] displays them.

use super::{ParseError, Reader};
use crate::Dim;

/// Numbers beyond this are refused, so that arithmetic stays far from overflow.
const LARGEST: i64 = 1 << 53;

/// How many terms a polynomial may have.
const TERMS: usize = 4096;

/// Reads a text that is one polynomial and nothing else.
pub fn parse_dim(text: &str) -> Result<Dim, ParseError> {
    let mut reader = Reader::new(text)?;
    let dim = read(&mut reader)?;
    if reader.is_done() { Ok(dim) } else { Err(reader.error("expected the end of the size")) }
}

/// `[-] term (+ term | - term)*`
pub(crate) fn read(reader: &mut Reader) -> Result<Dim, ParseError> {
    reader.nested(|reader| {
        let mut sum = Dim::zero();
        let mut negative = reader.accept("-");
        for _ in 0..TERMS {
            let term = product(reader)?;
            sum = if negative { &sum - &term } else { &sum + &term };
            negative = reader.sees("-");
            if !reader.accept("+") && !reader.accept("-") {
                return if sum.is_poisoned() { Err(reader.error("the size overflows")) } else { Ok(sum) };
            }
        }
        Err(reader.error("the size has too many terms"))
    })
}

/// `[number *] atom (* atom)*`, or a number
fn product(reader: &mut Reader) -> Result<Dim, ParseError> {
    let mut product = factor(reader)?;
    for _ in 0..32 {
        if !reader.accept("*") {
            return Ok(product);
        }
        product = &product * &factor(reader)?;
    }
    Err(reader.error("the product has too many factors"))
}

fn factor(reader: &mut Reader) -> Result<Dim, ParseError> {
    if reader.sees_number() {
        let number: i64 = reader.number()?;
        return if number > LARGEST {
            Err(reader.error("the number is too large"))
        } else {
            Ok(Dim::constant(number))
        };
    }
    let name = reader.word()?;
    let make: fn(&Dim, &Dim) -> Dim = match name.as_str() {
        "floor" => Dim::floor_div,
        "mod" => Dim::modulo,
        "max" => Dim::maximum,
        "min" => Dim::minimum,
        _ => return Ok(Dim::symbol(&name)),
    };
    if !reader.accept("(") {
        return Ok(Dim::symbol(&name));
    }
    let p = read(reader)?;
    reader.expect(",")?;
    let q = read(reader)?;
    reader.expect(")")?;
    if matches!(name.as_str(), "floor" | "mod") && q.as_constant().is_some_and(|q| q < 1) {
        return Err(reader.error("a divisor must be positive"));
    }
    Ok(make(&p, &q))
}
