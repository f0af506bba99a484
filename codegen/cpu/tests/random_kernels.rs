//! Random small kernels, compared with the reference interpreter. Inputs are quarters of small integers and the
//! functions keep such numbers exact in f32, so results must be equal, not close.

mod harness;

use harness::*;
use nnc_cpu::compile;
use nnc_ir::kernel::{Compare, Expr, Kernel, Scalar, Statement, Var, interpret};
use nnc_ir::ops::Fold;
use nnc_ir::{DType, Dim, Symbol};
use nnc_kernels::exec::CodePage;
use nnc_kernels::{AlignedBytes, CpuLevel};
use std::collections::BTreeMap;

/// Buffers of every kernel: two f32 inputs, indices, truth values, then two f32 results; then a tile.
const X: u32 = 0;
const Y: u32 = 1;
const INDEX: u32 = 2;
const TRUTH: u32 = 3;
const OUT: u32 = 4;
const SUMS: u32 = 5;
const TILE: u32 = 6;

struct Maker {
    noise: Noise,
    scalars: Vec<DType>,
    /// Scalars that may be read, by type.
    known: Vec<(Var, DType)>,
    /// Positions that lie in 0..m*n where they are used.
    positions: Vec<Dim>,
}

impl Maker {
    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.noise.below(choices.len() as u64) as usize].clone()
    }

    fn position(&mut self) -> Dim {
        let positions = self.positions.clone();
        self.pick(&positions)
    }

    fn scalar(&mut self, dtype: DType) -> Var {
        self.scalars.push(dtype);
        Var(self.scalars.len() as u32 - 1)
    }

    /// An f32 expression.
    fn number(&mut self, depth: u32) -> Expr {
        if depth == 0 {
            return self.leaf();
        }
        let next = depth - 1;
        match self.noise.below(10) {
            0 => self.leaf(),
            1 | 2 => {
                let function =
                    self.pick(&[Scalar::Neg, Scalar::Abs, Scalar::Floor, Scalar::Round, Scalar::Sign]);
                apply(function, &[self.number(next)])
            }
            3 => apply(Scalar::Select, &[self.truth(next), self.number(next), self.number(next)]),
            4 => apply(Scalar::Cast(DType::F32), &[self.integer(next)]),
            5 => {
                let guards = (0..1 + self.noise.below(2)).map(|_| self.guard()).collect();
                Expr::Guarded { guards, value: Box::new(self.number(next)), otherwise: 0.25 }
            }
            _ => {
                let function = self.pick(&[Scalar::Add, Scalar::Sub, Scalar::Min, Scalar::Max, Scalar::Add]);
                apply(function, &[self.number(next), self.number(next)])
            }
        }
    }

    fn leaf(&mut self) -> Expr {
        let known: Vec<Var> =
            self.known.iter().filter(|(_, dtype)| *dtype == DType::F32).map(|(v, _)| *v).collect();
        match self.noise.below(8) {
            0 => f32c(self.noise.below(17) as f64 / 4.0 - 2.0),
            1 => Expr::Dim(self.position(), DType::F32),
            2 | 3 if !known.is_empty() => Expr::Var(self.pick(&known)),
            4 => apply(Scalar::Mul, &[load(X, self.position()), load(Y, self.position())]),
            _ => {
                let buffer = self.pick(&[X, Y]);
                load(buffer, self.position())
            }
        }
    }

    fn integer(&mut self, depth: u32) -> Expr {
        if depth == 0 {
            return match self.noise.below(3) {
                0 => Expr::Dim(self.position(), DType::I32),
                1 => Expr::Constant(self.noise.below(9) as f64 - 4.0, DType::I32),
                _ => load(INDEX, self.position()),
            };
        }
        let function = self.pick(&[
            Scalar::Add,
            Scalar::Sub,
            Scalar::Mul,
            Scalar::Div,
            Scalar::Rem,
            Scalar::Max,
            Scalar::And,
        ]);
        apply(function, &[self.integer(depth - 1), self.integer(0)])
    }

    fn truth(&mut self, depth: u32) -> Expr {
        match self.noise.below(4) {
            0 => load(TRUTH, self.position()),
            1 if depth > 0 => {
                let function = self.pick(&[Scalar::And, Scalar::Or, Scalar::Xor]);
                apply(function, &[self.truth(depth - 1), self.truth(depth - 1)])
            }
            2 => {
                let compare = self.pick(&Compare::ALL);
                apply(Scalar::Compare(compare), &[self.integer(0), self.integer(0)])
            }
            _ => {
                let compare = self.pick(&Compare::ALL);
                apply(Scalar::Compare(compare), &[self.number(depth / 2), self.number(0)])
            }
        }
    }

    /// A condition on a position, or on the row alone.
    fn guard(&mut self) -> (Dim, Dim) {
        let shift = c(self.noise.below(9) as i64 - 4);
        let position = self.position();
        let bound = self.pick(&[s("n"), s("m") * s("n"), c(7), s("n") - c(3)]);
        (self.pick(&[&position + &shift, s("r") + shift.clone(), shift - position]), bound)
    }

    /// Statements of a loop over `i`, which stores to the row and adds to the folds.
    fn loop_body(&mut self, folds: &[(Var, DType)]) -> Vec<Statement> {
        let at = s("r") * s("n") + s("i");
        let outer = (self.known.clone(), self.positions.clone());
        let elsewhere = (c(5) * s("i") + s("r")).modulo(&(s("m") * s("n")));
        let halves = (s("r") * s("n") + s("i")).floor_div(&c(2));
        let backwards = s("r") * s("n") + s("n") - c(1) - s("i");
        self.positions.extend([
            at.clone(),
            at.clone(),
            s("i"),
            s("i") * s("m") + s("r"),
            elsewhere,
            halves,
            backwards,
        ]);
        let mut body = Vec::new();
        if self.noise.below(3) == 0 {
            let value = load(INDEX, self.position());
            let symbol = Symbol::new("p");
            body.push(Statement::Index { symbol: symbol.clone(), value, bound: s("m") * s("n") });
            self.positions.push(Dim::from(&symbol));
        }
        for _ in 0..self.noise.below(3) {
            let (value, var) = (self.number(2), self.scalar(DType::F32));
            body.push(Statement::Let(var, value));
            self.known.push((var, DType::F32));
        }
        for (var, dtype) in folds {
            let value = match dtype {
                DType::Bool => self.truth(1),
                DType::I32 => self.integer(1),
                _ => self.number(2),
            };
            let step = Statement::Accumulate { var: *var, value };
            body.push(if self.noise.below(3) == 0 { self.guarded(step) } else { step });
        }
        let value = self.number(3);
        let target = self.pick(&[OUT, OUT, TILE]);
        let place = if target == TILE { s("i") } else { at };
        let step = store(target, place, value);
        body.push(if self.noise.below(4) == 0 { self.guarded(step) } else { step });
        (self.known, self.positions) = outer;
        body
    }

    fn guarded(&mut self, step: Statement) -> Statement {
        let (dim, bound) = self.guard();
        Statement::Guard { dim, bound, body: vec![step] }
    }

    fn kernel(&mut self) -> Kernel {
        let mut body = vec![vector("i", s("n"), vec![store(TILE, s("i"), f32c(0.5))])];
        for place in 0..2 {
            let choices = [
                (Fold::Add, DType::F32),
                (Fold::Max, DType::F32),
                (Fold::Min, DType::F32),
                (Fold::Add, DType::I32),
                (Fold::Max, DType::I32),
                (Fold::Or, DType::Bool),
                (Fold::And, DType::Bool),
            ];
            let mut folds = Vec::new();
            for _ in 0..self.noise.below(3) {
                let (fold, dtype) = self.pick(&choices);
                let var = self.scalar(dtype);
                body.push(Statement::Fold { var, fold });
                folds.push((var, dtype));
            }
            let inner = self.loop_body(&folds);
            let make = if self.noise.below(4) == 0 { sequential } else { vector };
            body.push(make("i", s("n"), inner));
            let total = folds.iter().fold(f32c(0.0), |sum, (var, dtype)| {
                let value = Expr::Var(*var);
                let value =
                    if *dtype == DType::F32 { value } else { apply(Scalar::Cast(DType::F32), &[value]) };
                // An empty maximum is infinite, and infinities of both signs have no sum.
                let value = apply(Scalar::Max, &[apply(Scalar::Min, &[value, f32c(1024.0)]), f32c(-1024.0)]);
                apply(Scalar::Add, &[sum, value])
            });
            body.push(store(SUMS, c(2) * s("r") + c(place), total));
        }
        body.push(vector(
            "i",
            s("n"),
            vec![
                Statement::Let(self.scalar(DType::F32), load(TILE, s("i"))),
                store(OUT, s("r") * s("n") + s("i"), self.tile_sum()),
            ],
        ));
        let all = || s("m") * s("n");
        let kernel = kernel(&["m", "n"])
            .buffer(DType::F32, all())
            .buffer(DType::F32, all())
            .buffer(DType::I32, all())
            .buffer(DType::Bool, all())
            .buffer(DType::F32, all())
            .buffer(DType::F32, c(2) * s("m"))
            .tile(DType::F32, s("n"))
            .over("r", s("m"));
        kernel.scalars(&self.scalars).body(body)
    }

    /// The stored element of the row plus that of the tile.
    fn tile_sum(&self) -> Expr {
        let last = Var(self.scalars.len() as u32 - 1);
        apply(Scalar::Add, &[load(OUT, s("r") * s("n") + s("i")), Expr::Var(last)])
    }
}

fn inputs(noise: &mut Noise, m: usize, n: usize) -> Vec<Vec<f64>> {
    let quarters = |noise: &mut Noise| (0..m * n).map(|_| noise.below(33) as f64 / 4.0 - 4.0).collect();
    let (x, y) = (quarters(noise), quarters(noise));
    let index = (0..m * n).map(|_| noise.below(40) as f64 - 5.0).collect();
    let truth = (0..m * n).map(|_| noise.below(2) as f64).collect();
    vec![x, y, index, truth, vec![0.0; m * n], vec![0.0; 2 * m]]
}

fn packed(kernel: &Kernel, values: &[Vec<f64>]) -> Vec<AlignedBytes> {
    let pairs = kernel.buffers.iter().zip(values);
    pairs
        .map(|(buffer, values)| match buffer.dtype {
            DType::I32 => pack(&values.iter().map(|x| *x as i32).collect::<Vec<_>>()),
            DType::Bool => pack(&values.iter().map(|x| *x as u8).collect::<Vec<_>>()),
            _ => pack(&values.iter().map(|x| *x as f32).collect::<Vec<_>>()),
        })
        .collect()
}

#[test]
fn random_kernels_agree_with_the_interpreter() {
    let mut nonzero = 0;
    for seed in 0..200 {
        let mut maker =
            Maker { noise: Noise(seed), scalars: vec![], known: vec![], positions: vec![s("r"), c(0)] };
        let kernel = maker.kernel();
        let code: Vec<(CpuLevel, CodePage)> = CpuLevel::available()
            .map(|level| (level, CodePage::new(&compile(&kernel, level).unwrap().code).unwrap()))
            .collect();
        for (m, n) in [(1, 1), (2, 3), (3, 16), (2, 37), (4, 70)] {
            let values = inputs(&mut maker.noise, m, n);
            let mut expected = values.clone();
            let sizes = BTreeMap::from([(Symbol::new("m"), m as i64), (Symbol::new("n"), n as i64)]);
            interpret(&kernel, &sizes, &mut expected).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            for (level, page) in &code {
                let mut buffers = packed(&kernel, &values);
                run_page(page, 0, &kernel, &[m as i64, n as i64], &mut buffers, 0..m as i64);
                for buffer in [OUT, SUMS] {
                    let found = unpack::<f32>(&buffers[buffer as usize]);
                    let expected = &expected[buffer as usize];
                    nonzero += found.iter().filter(|x| **x != 0.0).count();
                    let differs = (0..found.len()).find(|i| f64::from(found[*i]) != expected[*i]);
                    assert!(
                        differs.is_none(),
                        "seed {seed}, {m} by {n}, {}, buffer {buffer} at {differs:?}: {:?}, expected {:?}\n{kernel:#?}",
                        level.name(),
                        differs.map(|i| found[i]),
                        differs.map(|i| expected[i]),
                    );
                }
            }
        }
    }
    assert!(nonzero > 50_000, "only {nonzero} results differ from zero");
}
