//! Index arithmetic that the normal form of dims does not do by itself.

use nnc_ir::{Atom, Dim, Ranges};
use std::sync::Arc;

/// `simplify`, and then `floor(p / q) * q + p mod q = p` wherever it occurs, also scaled.
pub(super) fn tidy(dim: &Dim, ranges: &Ranges) -> Dim {
    if dim.terms().all(|(monomial, _)| monomial.iter().all(|atom| matches!(atom, Atom::Symbol(_)))) {
        return dim.clone();
    }
    let mut dim = dim.simplify(ranges);
    while let Some(better) = recombine(&dim) {
        dim = better;
    }
    dim
}

fn recombine(dim: &Dim) -> Option<Dim> {
    let count = dim.terms().count();
    for (monomial, coefficient) in dim.terms() {
        for (place, atom) in monomial.iter().enumerate() {
            let Atom::Mod(p, q) = atom else { continue };
            let mut cofactor = monomial.clone();
            cofactor.remove(place);
            let cofactor = Dim::term(&cofactor, coefficient);
            let floor = Dim::term(&vec![Atom::Floor(Arc::clone(p), Arc::clone(q))], 1);
            let whole = &(&cofactor * q) * &floor;
            let rest = &(dim - &whole) - &Dim::term(monomial, coefficient);
            if rest.terms().count() + 1 + whole.terms().count() == count {
                return Some(&rest + &(&cofactor * p));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_and_its_rest_are_the_whole() {
        let (x, t, n) = (Dim::symbol("x"), Dim::symbol("T"), Dim::symbol("N"));
        let (b, r) = (x.floor_div(&t), x.modulo(&t));
        let offset = &(&(&(&b * &t) + &r) * &n) + &Dim::symbol("j");
        assert_eq!(tidy(&offset, &Ranges::new()), &(&x * &n) + &Dim::symbol("j"));
        let other = &(&b * &n) + &r;
        assert_eq!(tidy(&other, &Ranges::new()), other);
    }
}
