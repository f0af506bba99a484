//! The lowered form of every operation, made into a kernel, passes the kernel verifier and computes the same as the
//! reference evaluation.

use crate::programs::{all_examples, close, constant_shape, function};
use nnc_ir::kernel::{
    Access, Buffer, BufferId, Expr, Kernel, LoopKind, Scalar, Statement, Var, interpret, verify,
};
use nnc_ir::ops::{Example, Fold, Lowered, Op, Wanted};
use nnc_ir::{DType, Dim, Ranges, Symbol, Type};
use std::collections::{BTreeMap, BTreeSet};

/// The row-major place of `at`.
fn linear(at: &[Dim], ty: &Type) -> Dim {
    at.iter().zip(&ty.shape).fold(Dim::zero(), |place, (i, n)| &(&place * n) + i)
}

fn load(place: usize, at: &[Dim], ty: &Type) -> Expr {
    Expr::Load(BufferId(place as u32), linear(at, ty))
}

/// A kernel with one instance per result element.
struct Sketch {
    operands: Vec<Type>,
    result: Type,
    at: Vec<Dim>,
    grid: Vec<(Symbol, Dim)>,
}

impl Sketch {
    fn new(example: &Example) -> Sketch {
        let function = function(example);
        let result = function.ty(function.body.results[0]).clone();
        let counters = |(axis, size): (usize, &Dim)| (Symbol::new(&format!("i{axis}")), size.clone());
        let grid: Vec<(Symbol, Dim)> = result.shape.iter().enumerate().map(counters).collect();
        let at = grid.iter().map(|(counter, _)| Dim::from(counter)).collect();
        Sketch { operands: example.operands.iter().map(|(ty, _)| ty.clone()).collect(), result, at, grid }
    }

    fn lowered(&self, op: &Op) -> Lowered {
        let mut ranges = Ranges::new();
        self.grid.iter().for_each(|(counter, extent)| ranges.counter(counter, extent));
        let results = [self.result.clone()];
        op.lower(&Wanted { operands: &self.operands, results: &results, at: &self.at, ranges: &ranges })
    }

    fn store(&self, value: Expr) -> Statement {
        let buffer = BufferId(self.operands.len() as u32);
        Statement::Store { buffer, offset: linear(&self.at, &self.result), value }
    }

    fn body(&self, lowered: Lowered) -> Option<Vec<Statement>> {
        match lowered {
            Lowered::Map(scalar) => Some(vec![self.store(self.map(scalar))]),
            Lowered::View { index, guards, otherwise } => {
                let value = Box::new(load(0, &index, &self.operands[0]));
                Some(vec![self.store(Expr::Guarded { guards, value, otherwise })])
            }
            Lowered::Source(expr) => Some(vec![self.store(self.source(expr))]),
            Lowered::Reduce(fold, axes) => Some(self.reduce(fold, &axes)),
            Lowered::Gather { axis, batch } => Some(self.gather(axis, batch)),
            _ => None,
        }
    }

    fn map(&self, scalar: Scalar) -> Expr {
        let operands = self.operands.iter().enumerate().map(|(place, ty)| load(place, &self.at, ty));
        Expr::Apply(scalar, operands.collect())
    }

    fn source(&self, expr: Expr) -> Expr {
        let scalar = |operand: Expr| match operand {
            Expr::Operand(place, _) => load(place, &[], &self.operands[place]),
            other => other,
        };
        match expr {
            Expr::Random { seed, step, index, salt } => {
                Expr::Random { seed: Box::new(scalar(*seed)), step: Box::new(scalar(*step)), index, salt }
            }
            other => other,
        }
    }

    fn reduce(&self, fold: Fold, axes: &[usize]) -> Vec<Statement> {
        let ty = &self.operands[0];
        let mut kept = self.at.iter();
        let folded = |axis: usize| Symbol::new(&format!("r{axis}"));
        let index: Vec<Dim> = (0..ty.rank())
            .map(|axis| {
                if axes.contains(&axis) {
                    Dim::from(&folded(axis))
                } else {
                    kept.next().expect("kept").clone()
                }
            })
            .collect();
        let mut inner = Statement::Accumulate { var: Var(0), value: load(0, &index, ty) };
        for axis in axes.iter().rev() {
            let (counter, extent, kind) = (folded(*axis), ty.shape[*axis].clone(), LoopKind::Sequential);
            inner = Statement::For { counter, extent, kind, body: vec![inner] };
        }
        vec![Statement::Fold { var: Var(0), fold }, inner, self.store(Expr::Var(Var(0)))]
    }

    fn gather(&self, axis: usize, batch: usize) -> Vec<Statement> {
        let (table, positions) = (&self.operands[0], &self.operands[1]);
        let wide = positions.rank() - batch;
        let place = [&self.at[..batch], &self.at[axis..axis + wide]].concat();
        let symbol = Symbol::new("p");
        let index = [&self.at[..axis], &[Dim::from(&symbol)], &self.at[axis + wide..]].concat();
        let (value, bound) = (load(1, &place, positions), table.shape[axis].clone());
        vec![Statement::Index { symbol, value, bound }, self.store(load(0, &index, table))]
    }

    fn kernel(&self, body: Vec<Statement>) -> Kernel {
        let buffer =
            |ty: &Type, access| Buffer { name: "x".into(), dtype: ty.dtype, size: ty.size(), access };
        let reads = self.operands.iter().map(|ty| buffer(ty, Access::Read));
        Kernel {
            name: "sketch".into(),
            sizes: Vec::new(),
            buffers: reads.chain([buffer(&self.result, Access::Write)]).collect(),
            tiles: Vec::new(),
            grid: self.grid.clone(),
            body,
            scalars: vec![self.result.dtype],
            cost: 1.0,
        }
    }
}

#[test]
fn lowered_operations_compute_the_same() {
    let mut kinds = BTreeSet::new();
    for (label, example) in all_examples() {
        let sketch = Sketch::new(&example);
        let lowered = sketch.lowered(&example.op);
        let Some(body) = sketch.body(lowered) else { continue };
        let kernel = sketch.kernel(body);
        let report = verify(&kernel, &Ranges::new());
        assert_eq!(report.map(|report| report.unproved), Ok(Vec::new()), "{label}\n{kernel}");
        let size = constant_shape(&sketch.result).iter().product();
        let mut buffers: Vec<Vec<f64>> = example.operands.iter().map(|(_, data)| data.clone()).collect();
        buffers.push(vec![f64::NAN; size]);
        interpret(&kernel, &BTreeMap::new(), &mut buffers).unwrap_or_else(|error| panic!("{label}: {error}"));
        let found = buffers.last().expect("a result");
        assert!(close(found, &example.results[0], 1e-6), "{label}: {found:?}\n{kernel}");
        kinds.insert(example.op.name());
    }
    assert!(kinds.len() >= 45, "{kinds:?}");
}

#[test]
fn element_types_of_lowered_maps_are_those_of_the_shape_rule() {
    let mut maps = 0;
    for (label, example) in all_examples() {
        let sketch = Sketch::new(&example);
        if let Lowered::Map(scalar) = sketch.lowered(&example.op) {
            let operand = sketch.operands.last().map_or(DType::F64, |ty| ty.dtype);
            assert_eq!(scalar.result(operand), sketch.result.dtype, "{label}");
            assert!(scalar.accepts(operand), "{label}");
            maps += 1;
        }
    }
    assert!(maps > 40);
}
