//! Random well-typed functions, loops and branches included, for property tests.

use super::{Numbers, branch, real, turns};
use nnc_ir::graph::Function;
use nnc_ir::kernel::Compare;
use nnc_ir::ops::{self, Contract, Fold, Op, Reduce, Rule, ScatterKind};
use nnc_ir::{Array, Builder, DType, Dim, Type, Value};

/// Grows functions from a seed.
pub struct Grower {
    pub numbers: Numbers,
    /// Only functions that differences can judge: no kinks, no jumps.
    pub smooth: bool,
    counters: usize,
}

/// Shapes of the parameters of every random function.
pub const INPUTS: [&[usize]; 4] = [&[2, 3], &[3, 2], &[3], &[]];

impl Grower {
    pub fn new(seed: u64, smooth: bool) -> Grower {
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
        numbers.word();
        Grower { numbers, smooth, counters: 0 }
    }

    /// Values for the parameters.
    pub fn inputs(&mut self) -> Vec<Array> {
        INPUTS.iter().map(|shape| self.numbers.array(shape)).collect()
    }

    /// A function of [`INPUTS`].
    pub fn function(&mut self) -> Function {
        let mut b = Builder::new();
        let params: Vec<Value> = INPUTS.iter().map(|shape| b.param(real(shape))).collect();
        let results = self.results(&mut b, &params);
        b.finish(results)
    }

    /// Random results of these values.
    pub fn results(&mut self, b: &mut Builder, params: &[Value]) -> Vec<Value> {
        let mut pool = params.to_vec();
        self.grow(b, &mut pool, 14, 2);
        (0..4).map(|_| self.late(&pool)).collect()
    }

    /// A scalar of all results.
    pub fn loss(&mut self, b: &mut Builder, params: &[Value]) -> Value {
        let mut sum = b.fill(0.0, real(&[]));
        for result in params.iter().copied().chain(self.results(b, params)).collect::<Vec<_>>() {
            let bounded = b.apply(ops::Tanh, &[result]);
            let part = super::total(b, bounded);
            sum = b.add(sum, part);
        }
        sum
    }

    fn grow(&mut self, b: &mut Builder, pool: &mut Vec<Value>, nodes: usize, depth: usize) {
        for _ in 0..nodes {
            let added = self.node(b, pool, depth);
            pool.extend(added);
        }
    }

    fn pick(&mut self, pool: &[Value]) -> Value {
        pool[self.numbers.below(pool.len())]
    }

    /// One of the later values.
    fn late(&mut self, pool: &[Value]) -> Value {
        let first = pool.len() / 2;
        pool[first + self.numbers.below(pool.len() - first)]
    }

    /// A value of this shape: an old one, or numbers.
    fn like(&mut self, b: &mut Builder, pool: &[Value], shape: &[Dim]) -> Value {
        let fit: Vec<Value> = pool.iter().copied().filter(|v| b.ty(*v).shape == shape).collect();
        if fit.is_empty() || self.numbers.below(5) == 0 {
            let value = [0.0, 1.0, -1.0, 2.0, 0.5, 0.3][self.numbers.below(6)];
            return b.fill(value, Type::new(DType::F64, shape.to_vec()));
        }
        self.pick(&fit)
    }

    fn node(&mut self, b: &mut Builder, pool: &[Value], depth: usize) -> Vec<Value> {
        match self.numbers.below(if depth > 0 { 20 } else { 14 }) {
            0..=2 => vec![self.unary(b, pool)],
            3..=5 => vec![self.binary(b, pool)],
            6..=9 => vec![self.moved(b, pool)],
            10 => vec![self.folded(b, pool)],
            11 => self.product(b, pool).into_iter().collect(),
            12 => vec![self.special(b, pool)],
            13 => vec![self.looked_up(b, pool)],
            14..=17 => self.repeat(b, pool, depth),
            _ => self.branch(b, pool, depth),
        }
    }

    fn unary(&mut self, b: &mut Builder, pool: &[Value]) -> Value {
        let x = self.pick(pool);
        let bounded = |b: &mut Builder| b.apply(ops::Tanh, &[x]);
        match self.numbers.below(if self.smooth { 6 } else { 8 }) {
            0 => b.neg(x),
            1 => bounded(b),
            2 => b.apply(ops::Sin, &[x]),
            3 => {
                let x = bounded(b);
                b.apply(ops::Exp, &[x])
            }
            4 => b.scale(x, [1.0, -1.0, 0.0, 0.25][self.numbers.below(4)]),
            5 => {
                let two = b.fill_like([2.0, 4.0, 3.0][self.numbers.below(3)], x);
                b.div(x, two)
            }
            6 => b.apply(ops::Abs, &[x]),
            _ => b.apply(ops::Floor, &[x]),
        }
    }

    fn binary(&mut self, b: &mut Builder, pool: &[Value]) -> Value {
        let x = self.pick(pool);
        let shape = b.ty(x).shape.clone();
        let y = self.like(b, pool, &shape);
        match self.numbers.below(if self.smooth { 4 } else { 6 }) {
            0 => b.add(x, y),
            1 => b.sub(x, y),
            2 | 3 => {
                let product = b.mul(x, y);
                b.apply(ops::Tanh, &[product])
            }
            4 => b.apply(ops::Maximum, &[x, y]),
            _ => {
                let less = b.apply(ops::Compare { kind: Compare::Less }, &[x, y]);
                b.apply(ops::Select, &[less, y, x])
            }
        }
    }

    fn moved(&mut self, b: &mut Builder, pool: &[Value]) -> Value {
        let x = self.pick(pool);
        let shape = b.ty(x).shape.clone();
        let rank = shape.len();
        match self.numbers.below(5) {
            0 if rank < 3 => {
                let place = self.numbers.below(rank + 1);
                let mut wide = shape;
                wide.insert(place, Dim::from(1 + self.numbers.below(3)));
                let axes = (0..=rank).filter(|axis| *axis != place).collect();
                b.broadcast(x, wide, axes)
            }
            1 if rank > 1 => {
                let first = self.numbers.below(rank);
                b.permute(x, (0..rank).map(|axis| (axis + first) % rank).collect())
            }
            2 if rank > 0 => {
                let flat = shape.iter().fold(Dim::one(), |size, n| &size * n);
                let new = [vec![flat.clone()], vec![Dim::one(), flat]];
                b.reshape(x, new[self.numbers.below(2)].clone())
            }
            3 if rank > 0 && shape.iter().all(|n| n.as_constant() > Some(1)) => {
                let starts = vec![Dim::from(self.numbers.below(2)); rank];
                let sizes = shape.iter().map(|n| n - &Dim::one()).collect();
                b.apply(ops::Slice { starts, sizes, steps: vec![1; rank] }, &[x])
            }
            4 if rank > 0 && shape.iter().all(|n| n.as_constant() < Some(8)) => {
                let mut low = vec![Dim::zero(); rank];
                low[self.numbers.below(rank)] = Dim::one();
                b.apply(ops::Pad { low: low.clone(), high: vec![Dim::zero(); rank], value: 0.0 }, &[x])
            }
            _ => b.apply(ops::Sin, &[x]),
        }
    }

    fn folded(&mut self, b: &mut Builder, pool: &[Value]) -> Value {
        let x = self.pick(pool);
        let keep = self.numbers.below(4);
        let axes = (0..b.ty(x).rank()).filter(|axis| *axis != keep).collect();
        let fold = if !self.smooth && self.numbers.below(2) == 0 { Fold::Max } else { Fold::Add };
        b.apply(Reduce { fold, axes }, &[x])
    }

    fn product(&mut self, b: &mut Builder, pool: &[Value]) -> Option<Value> {
        let matrices: Vec<Value> = pool.iter().copied().filter(|v| b.ty(*v).rank() == 2).collect();
        let (x, y) = (self.pick(&matrices), self.pick(&matrices));
        let fits = |b: &Builder, i: usize| b.ty(x).shape[1] == b.ty(y).shape[i];
        let rhs = match (fits(b, 0), fits(b, 1)) {
            (true, _) => vec![1, 2],
            (_, true) => vec![2, 1],
            _ => return None,
        };
        Some(b.apply(Contract { lhs: vec![0, 1], rhs, out: vec![0, 2] }, &[x, y]))
    }

    fn special(&mut self, b: &mut Builder, pool: &[Value]) -> Value {
        let x = self.pick(pool);
        match self.numbers.below(3) {
            0 if !self.smooth => b.apply(ops::Stop, &[x]),
            1 if !self.smooth => {
                let whole = b.cast(x, DType::I32);
                let whole = b.add(whole, whole);
                b.cast(whole, DType::F64)
            }
            _ => sine_by_rule(b, x),
        }
    }

    fn looked_up(&mut self, b: &mut Builder, pool: &[Value]) -> Value {
        let x = self.pick(pool);
        if b.ty(x).shape.first().is_none_or(Dim::is_zero) {
            return b.apply(ops::Cos, &[x]);
        }
        let count = 1 + self.numbers.below(3);
        let values = (0..count).map(|_| self.numbers.below(3) as f64).collect();
        let ty = Type::new(DType::I32, vec![Dim::from(count)]);
        let positions = b.apply(ops::Table { values, ty }, &[]);
        let rows = b.apply(ops::Gather { axis: 0, batch: 0 }, &[x, positions]);
        if self.numbers.below(2) == 0 {
            return rows;
        }
        let base = b.fill_like(0.0, x);
        let scatter = ops::Scatter { axis: 0, batch: 0, kind: ScatterKind::Add };
        let scattered = b.apply(scatter, &[base, positions, rows]);
        b.add(x, scattered)
    }

    fn repeat(&mut self, b: &mut Builder, pool: &[Value], depth: usize) -> Vec<Value> {
        self.counters += 1;
        let (counter, count) = (format!("i{}", self.counters), self.numbers.below(4));
        let carried: Vec<Value> = (0..self.numbers.below(3)).map(|_| self.pick(pool)).collect();
        let mut sliced = Vec::new();
        for _ in 0..self.numbers.below(3) {
            let x = self.pick(pool);
            let shape = [&[Dim::from(count)], &b.ty(x).shape[..]].concat();
            let axes = (1..shape.len()).collect();
            sliced.push(b.broadcast(x, shape, axes));
        }
        let reverse = self.numbers.below(2) == 0;
        let place = (counter.as_str(), count);
        turns(b, place, reverse, &carried, &sliced, |b, given| {
            let turn = b.dim(Dim::symbol(place.0), DType::F64);
            let mut inner = [pool, given, &[turn]].concat();
            let nodes = 1 + self.numbers.below(6);
            self.grow(b, &mut inner, nodes, depth - 1);
            let mut results: Vec<Value> = Vec::new();
            for value in &carried {
                let shape = b.ty(*value).shape.clone();
                let fresh: Vec<Value> = inner[pool.len()..].to_vec();
                results.push(self.like(b, &fresh, &shape));
            }
            results.extend((0..self.numbers.below(3)).map(|_| self.late(&inner)));
            if results.is_empty() {
                results.push(self.late(&inner));
            }
            results
        })
    }

    fn branch(&mut self, b: &mut Builder, pool: &[Value], depth: usize) -> Vec<Value> {
        let size = b.dim(Dim::from(self.numbers.below(2)), DType::I32);
        let one = b.fill(1.0, Type::scalar(DType::I32));
        let condition = b.apply(ops::Compare { kind: Compare::Equal }, &[size, one]);
        let like = self.pick(pool);
        let shape = b.ty(like).shape.clone();
        let sides = [self.numbers.word(), self.numbers.word()];
        let side = |b: &mut Builder, seed: u64| {
            let mut grower = Grower::new(seed, self.smooth);
            grower.counters = self.counters;
            let mut inner = pool.to_vec();
            grower.grow(b, &mut inner, 4, depth - 1);
            let fresh = inner[pool.len()..].to_vec();
            vec![grower.like(b, &fresh, &shape)]
        };
        let results = branch(b, condition, |b| side(b, sides[0]), |b| side(b, sides[1]));
        self.counters += 20;
        results
    }
}

/// A sine whose gradient is written down.
fn sine_by_rule(b: &mut Builder, x: Value) -> Value {
    let ty = Type::new(DType::F64, b.ty(x).shape.clone());
    b.open();
    let param = b.param(ty.clone());
    let sine = b.apply(ops::Sin, &[param]);
    let forward = b.close(vec![sine]);
    b.open();
    let given: Vec<Value> = (0..3).map(|_| b.param(ty.clone())).collect();
    let slope = b.apply(ops::Cos, &[given[0]]);
    let slope = b.mul(slope, given[2]);
    let backward = b.close(vec![slope]);
    b.try_apply_blocks(Op::from(Rule), &[x], vec![forward, backward]).expect("the rule is well typed")[0]
}
