//! Kernels that between them have every statement, expression and element type: what every printer must print.

#![allow(dead_code, reason = "each test that includes it uses a part")]

use nnc_ir::kernel::{
    Access, Buffer, BufferId, Compare, Expr, Kernel, LoopKind, Scalar, Statement, Tile, Var,
};
use nnc_ir::ops::Fold;
use nnc_ir::{DType, Dim, Symbol};

pub fn s(name: &str) -> Dim {
    Dim::symbol(name)
}

pub fn n(value: i64) -> Dim {
    Dim::constant(value)
}

pub fn symbol(name: &str) -> Symbol {
    Symbol::new(name)
}

pub fn load(buffer: u32, offset: Dim) -> Expr {
    Expr::Load(BufferId(buffer), offset)
}

pub fn apply(function: Scalar, operands: impl Into<Vec<Expr>>) -> Expr {
    Expr::Apply(function, operands.into())
}

pub fn number(value: f64) -> Expr {
    Expr::Constant(value, DType::F32)
}

pub fn var(var: u32) -> Expr {
    Expr::Var(Var(var))
}

pub fn store(buffer: u32, offset: Dim, value: Expr) -> Statement {
    Statement::Store { buffer: BufferId(buffer), offset, value }
}

pub fn each(counter: &str, extent: Dim, kind: LoopKind, body: impl Into<Vec<Statement>>) -> Statement {
    Statement::For { counter: symbol(counter), extent, kind, body: body.into() }
}

pub fn buffer(name: &str, dtype: DType, size: Dim, access: Access) -> Buffer {
    Buffer { name: name.to_string(), dtype, size, access }
}

/// A kernel without scalars, tiles and sizes.
pub fn kernel(name: &str, buffers: Vec<Buffer>, grid: Vec<(Symbol, Dim)>, body: Vec<Statement>) -> Kernel {
    let (name, sizes, tiles, scalars) = (name.to_string(), Vec::new(), Vec::new(), Vec::new());
    Kernel { name, sizes, buffers, tiles, grid, body, scalars, cost: 1.0 }
}

/// `function` of `N` elements of each operand, element by element.
pub fn map(function: Scalar, operands: &[DType]) -> Kernel {
    let dtype = operands[operands.len() - 1];
    let mut buffers: Vec<Buffer> =
        operands.iter().map(|dtype| buffer("operand", *dtype, s("N"), Access::Read)).collect();
    buffers.push(buffer("result", function.result(dtype), s("N"), Access::Write));
    let loads: Vec<Expr> = (0..operands.len()).map(|place| load(place as u32, s("i"))).collect();
    let body = vec![store(operands.len() as u32, s("i"), apply(function, loads))];
    let mut made = kernel(function.name(), buffers, vec![(symbol("i"), s("N"))], body);
    made.sizes = vec![symbol("N")];
    made
}

/// Every function with operand types it has a meaning for.
pub fn functions(types: &[DType]) -> Vec<(Scalar, Vec<DType>)> {
    let mut all = Vec::new();
    for dtype in types {
        let plain = Scalar::PLAIN.into_iter().filter(|function| has_meaning(*function, *dtype));
        let compares = Compare::ALL.into_iter().map(Scalar::Compare);
        let casts = types.iter().map(|to| Scalar::Cast(*to));
        for function in plain.chain(compares).chain(casts) {
            all.push((function, vec![*dtype; function.arity()]));
        }
        all.push((Scalar::Select, vec![DType::Bool, *dtype, *dtype]));
        for to in types.iter().filter(|to| dtype.size() >= 4 && to.size() == dtype.size()) {
            all.push((Scalar::Bitcast(*to), vec![*dtype]));
        }
    }
    all
}

fn has_meaning(function: Scalar, dtype: DType) -> bool {
    use Scalar::*;
    match function {
        Add | Sub | Mul | Div | Rem | Abs | Neg => dtype != DType::Bool,
        Min | Max => true,
        Sign => dtype.is_float() || dtype == DType::I32,
        And | Or | Xor | Not => dtype.is_int() || dtype == DType::Bool,
        Shl | Shr | Popcount => dtype.is_int(),
        _ => dtype.is_float(),
    }
}

/// A row softmax of `[B, T]`: sequential and vector loops, two folds, scalars, sizes.
pub fn softmax() -> Kernel {
    let at = || s("b") * s("T") + s("t");
    let shifted = || apply(Scalar::Exp, [apply(Scalar::Sub, [load(0, at()), var(0)])]);
    let body = vec![
        Statement::Fold { var: Var(0), fold: Fold::Max },
        each("t", s("T"), LoopKind::Vector, [Statement::Accumulate { var: Var(0), value: load(0, at()) }]),
        Statement::Fold { var: Var(1), fold: Fold::Add },
        each("t", s("T"), LoopKind::Sequential, [Statement::Accumulate { var: Var(1), value: shifted() }]),
        Statement::Let(Var(2), apply(Scalar::Div, [number(1.0), var(1)])),
        each("t", s("T"), LoopKind::Vector, [store(1, at(), apply(Scalar::Mul, [shifted(), var(2)]))]),
    ];
    let size = || s("B") * s("T");
    let buffers =
        vec![buffer("x", DType::F32, size(), Access::Read), buffer("y", DType::F32, size(), Access::Write)];
    let mut made = kernel("softmax", buffers, vec![(symbol("b"), s("B"))], body);
    made.sizes = vec![symbol("B"), symbol("T")];
    made.scalars = vec![DType::F32; 3];
    made
}

/// A sum over a window that reaches over both ends: guarded values in a fold, guards in both orders.
pub fn windows() -> Kernel {
    let at = || s("i") + s("k") - n(2);
    let value = Expr::Guarded {
        guards: vec![(at(), s("N"))],
        value: Box::new(Expr::Guarded {
            guards: vec![(s("k"), n(4)), (s("N") - at() - n(1), s("N"))],
            value: Box::new(apply(Scalar::Mul, [load(0, at()), number(0.5)])),
            otherwise: f64::NEG_INFINITY,
        }),
        otherwise: -0.25,
    };
    let body = vec![
        Statement::Fold { var: Var(0), fold: Fold::Add },
        each("k", n(4), LoopKind::Sequential, [Statement::Accumulate { var: Var(0), value }]),
        Statement::Guard { dim: s("i") - n(1), bound: s("N") - n(2), body: vec![store(1, s("i"), var(0))] },
    ];
    let buffers =
        vec![buffer("x", DType::F32, s("N"), Access::Read), buffer("y", DType::F32, s("N"), Access::Write)];
    let mut made = kernel("windows", buffers, vec![(symbol("i"), s("N"))], body);
    made.sizes = vec![symbol("N")];
    made.scalars = vec![DType::F32];
    made
}

/// Rows of a table looked up by data, accumulated in place into the result.
pub fn gather() -> Kernel {
    let body = vec![
        Statement::Index { symbol: symbol("row"), value: load(1, s("i")), bound: s("R") },
        each(
            "c",
            n(3),
            LoopKind::Vector,
            [store(
                2,
                s("i") * n(3) + s("c"),
                apply(Scalar::Add, [load(2, s("i") * n(3) + s("c")), load(0, s("row") * n(3) + s("c"))]),
            )],
        ),
    ];
    let buffers = vec![
        buffer("table", DType::F32, s("R") * n(3), Access::Read),
        buffer("positions", DType::I32, s("N"), Access::Read),
        buffer("sum", DType::F32, s("N") * n(3), Access::ReadWrite),
    ];
    let mut made = kernel("gather", buffers, vec![(symbol("i"), s("N"))], body);
    made.sizes = vec![symbol("N"), symbol("R")];
    made
}

/// Reverses groups of 8 through a tile of each element type.
pub fn tiles(dtype: DType) -> Kernel {
    let body = vec![
        each("k", n(8), LoopKind::Sequential, [store(2, s("k"), load(0, s("g") * n(8) + s("k")))]),
        each("k", n(8), LoopKind::Vector, [store(1, s("g") * n(8) + s("k"), load(2, n(7) - s("k")))]),
    ];
    let size = || s("G") * n(8);
    let buffers = vec![buffer("x", dtype, size(), Access::Read), buffer("y", dtype, size(), Access::Write)];
    let mut made = kernel("tiles", buffers, vec![(symbol("g"), s("G"))], body);
    made.tiles = vec![Tile { name: "group".to_string(), dtype, size: n(8) }];
    made.sizes = vec![symbol("G")];
    made
}

/// Uniform numbers for every element and salt.
pub fn random() -> Kernel {
    let scalar = |place| Box::new(load(place, n(0)));
    let value = Expr::Random { seed: scalar(0), step: scalar(1), index: s("i"), salt: s("j") + n(7) };
    let buffers = vec![
        buffer("seed", DType::U32, n(1), Access::Read),
        buffer("step", DType::U32, n(1), Access::Read),
        buffer("y", DType::F32, s("N") * n(3), Access::Write),
    ];
    let grid = vec![(symbol("i"), s("N")), (symbol("j"), n(3))];
    let mut made = kernel("random", buffers, grid, vec![store(2, s("i") * n(3) + s("j"), value)]);
    made.sizes = vec![symbol("N")];
    made
}

/// The index expressions of [`indices`].
pub fn index_expressions() -> Vec<Dim> {
    let p = || s("i") * n(5) - s("N") * n(2) - n(3);
    vec![
        p(),
        p().floor_div(&n(7)),
        p().modulo(&n(7)),
        p().floor_div(&(s("M") + n(1))),
        p().modulo(&(s("M") + n(1))),
        p().maximum(&(s("M") * s("M"))),
        p().minimum(&s("M")).floor_div(&n(2)),
        s("i").floor_div(&n(3)) * s("M") * n(-1) + s("i").modulo(&n(3)) - n(9),
        n(0),
        n(-12),
    ]
}

/// The value of one of [`index_expressions`] where `M` is 3 and `N` is 20.
pub fn index_value(dim: &Dim, i: i64) -> f64 {
    let value = |name: &Symbol| match &*name.0 {
        "M" => Some(3),
        "N" => Some(20),
        _ => Some(i),
    };
    dim.evaluate(&value).expect("all symbols have values") as f64
}

/// One row of numbers for each of [`index_expressions`].
pub fn indices() -> Kernel {
    let rows = index_expressions();
    let row = |(place, dim): (usize, &Dim)| {
        store(0, s("N") * n(place as i64) + s("i"), Expr::Dim(dim.clone(), DType::I32))
    };
    let buffers = vec![buffer("y", DType::I32, s("N") * n(rows.len() as i64), Access::Write)];
    let body = rows.iter().enumerate().map(row).collect();
    let mut made = kernel("indices", buffers, vec![(symbol("i"), s("N"))], body);
    made.sizes = vec![symbol("M"), symbol("N")];
    made
}

/// Every fold of each row of three.
pub fn folds(dtype: DType, fold: Fold) -> Kernel {
    let at = s("i") * n(3) + s("k");
    let body = vec![
        Statement::Fold { var: Var(0), fold },
        each("k", n(3), LoopKind::Vector, [Statement::Accumulate { var: Var(0), value: load(0, at) }]),
        store(1, s("i"), var(0)),
    ];
    let buffers =
        vec![buffer("x", dtype, s("N") * n(3), Access::Read), buffer("y", dtype, s("N"), Access::Write)];
    let mut made = kernel(fold.name(), buffers, vec![(symbol("i"), s("N"))], body);
    made.sizes = vec![symbol("N")];
    made.scalars = vec![dtype];
    made
}

/// A grid without counters that writes every kind of constant.
pub fn constants() -> Kernel {
    let values = [0.0, -0.0, 1.5, -3e-20, 1e30, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let body = values.iter().enumerate().map(|(k, value)| store(0, n(k as i64), number(*value))).collect();
    kernel("constants", vec![buffer("y", DType::F32, n(8), Access::Write)], Vec::new(), body)
}

/// `counter` of an enclosing loop, added to every element in place.
pub fn add_counter() -> Kernel {
    let value = apply(Scalar::Add, [load(0, s("i")), Expr::Dim(s("turn"), DType::F32)]);
    let buffers = vec![buffer("x", DType::F32, s("N"), Access::ReadWrite)];
    let mut made = kernel("add_counter", buffers, vec![(symbol("i"), s("N"))], vec![store(0, s("i"), value)]);
    made.sizes = vec![symbol("N"), symbol("turn")];
    made
}

/// All kernels, for the types a target has.
pub fn all(types: &[DType]) -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> =
        functions(types).iter().map(|(function, operands)| map(*function, operands)).collect();
    kernels.extend([softmax(), windows(), gather(), random(), indices(), constants(), add_counter()]);
    kernels.extend(types.iter().map(|dtype| tiles(*dtype)));
    for dtype in types {
        let truth = [Fold::Or, Fold::And];
        let numbers = [Fold::Add, Fold::Mul, Fold::Max, Fold::Min];
        let folds = if *dtype == DType::Bool { &truth[..] } else { &numbers[..] };
        kernels.extend(folds.iter().map(|fold| self::folds(*dtype, *fold)));
    }
    kernels
}
