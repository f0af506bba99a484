//! The text of kernels. Printing, parsing and printing again gives the same text.

use super::{
    Access, Buffer, BufferId, Compare, Expr, Gemm, Kernel, LoopKind, Matrix, Scalar, Statement, Tile, Var,
};
use crate::text::lexer::quote;
use crate::text::{Field, ParseError, Reader};
use crate::{DType, Dim, Symbol};
use std::fmt;

impl Access {
    const ALL: [Access; 3] = [Access::Read, Access::Write, Access::ReadWrite];

    /// Its name in the kernel text.
    pub fn name(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::ReadWrite => "update",
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Printer { out: String::new(), margin: 0 };
        out.kernel(self);
        f.write_str(&out.out)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&expr(self))
    }
}

struct Printer {
    out: String,
    margin: usize,
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn field(value: &impl Field) -> String {
    let mut out = String::new();
    value.write(&mut out);
    out
}

impl Printer {
    fn line(&mut self, text: &str) {
        self.out += &"  ".repeat(self.margin);
        self.out += text;
        self.out += "\n";
    }

    fn kernel(&mut self, kernel: &Kernel) {
        let sizes = list(&kernel.sizes, |size| size.to_string());
        let grid = list(&kernel.grid, |(counter, extent)| format!("{counter}: {extent}"));
        let scalars = list(&kernel.scalars, |dtype| dtype.to_string());
        self.line(&format!("kernel {} sizes({sizes}) grid({grid}) {{", quote(&kernel.name)));
        self.margin += 1;
        self.line(&format!("cost {}", field(&kernel.cost)));
        self.line(&format!("scalars({scalars})"));
        for (place, buffer) in kernel.buffers.iter().enumerate() {
            let Buffer { name, dtype, size, access } = buffer;
            self.line(&format!("b{place} = buffer {} {dtype}[{size}] {}", quote(name), access.name()));
        }
        for (place, Tile { name, dtype, size }) in kernel.tiles.iter().enumerate() {
            let place = place + kernel.buffers.len();
            self.line(&format!("b{place} = tile {} {dtype}[{size}]", quote(name)));
        }
        kernel.body.iter().for_each(|statement| self.statement(statement));
        self.margin -= 1;
        self.line("}");
    }

    fn block(&mut self, head: &str, body: &[Statement]) {
        self.line(&format!("{head} {{"));
        self.margin += 1;
        body.iter().for_each(|statement| self.statement(statement));
        self.margin -= 1;
        self.line("}");
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::For { counter, extent, kind, body } => {
                let kind = if *kind == LoopKind::Vector { " vector" } else { "" };
                self.block(&format!("for {counter}: {extent}{kind}"), body);
            }
            Statement::Let(var, value) => self.line(&format!("let v{} = {value}", var.0)),
            Statement::Fold { var, fold } => self.line(&format!("fold v{} = {}", var.0, fold.name())),
            Statement::Accumulate { var, value } => self.line(&format!("accumulate v{} = {value}", var.0)),
            Statement::Index { symbol, value, bound } => {
                self.line(&format!("index {symbol}: {bound} = {value}"));
            }
            Statement::Store { buffer, offset, value } => {
                self.line(&format!("store b{}[{offset}] = {value}", buffer.0));
            }
            Statement::Guard { dim, bound, body } => self.block(&format!("guard {dim}: {bound}"), body),
            Statement::Map { scalar, buffer, offset, len } => {
                self.line(&format!("map {} b{}[{offset}; {len}]", head(*scalar), buffer.0));
            }
            Statement::Gemm(product) => self.line(&gemm(product)),
        }
    }
}

fn gemm(gemm: &Gemm) -> String {
    let Gemm { m, n, k, c, a, b, accumulate } = gemm;
    let verb = if *accumulate { "add" } else { "set" };
    format!("gemm {verb}({m}, {n}, {k}) {} = {} * {}", matrix(c), matrix(a), matrix(b))
}

fn matrix(matrix: &Matrix) -> String {
    let Matrix { buffer, offset, row, column } = matrix;
    format!("b{}[{offset}; {row}, {column}]", buffer.0)
}

fn guards(guards: &[(Dim, Dim)]) -> String {
    list(guards, |(dim, bound)| format!("{dim}: {bound}"))
}

fn expr(value: &Expr) -> String {
    match value {
        Expr::Constant(value, dtype) => format!("constant({}, {dtype})", field(value)),
        Expr::Var(var) => format!("v{}", var.0),
        Expr::Operand(place, dtype) => format!("operand({place}, {dtype})"),
        Expr::Load(buffer, offset) => format!("b{}[{offset}]", buffer.0),
        Expr::Dim(dim, dtype) => format!("dim({dim}, {dtype})"),
        Expr::Apply(scalar, operands) => format!("{}({})", head(*scalar), list(operands, expr)),
        Expr::Guarded { guards: conditions, value, otherwise } => {
            format!("guarded({}; {}; {})", guards(conditions), expr(value), field(otherwise))
        }
        Expr::Random { seed, step, index, salt } => {
            format!("random({}, {}, {index}, {salt})", expr(seed), expr(step))
        }
    }
}

fn head(scalar: Scalar) -> String {
    match scalar {
        Scalar::Compare(kind) => format!("compare{{{}}}", field(&kind)),
        Scalar::Cast(dtype) | Scalar::Bitcast(dtype) => format!("{}{{{dtype}}}", scalar.name()),
        _ => scalar.name().to_string(),
    }
}

/// Reads a kernel. The result is well formed, not necessarily sound: [`super::verify()`] judges that.
pub fn parse(text: &str) -> Result<Kernel, ParseError> {
    let mut reader = Reader::new(text)?;
    let kernel = read_kernel(&mut reader)?;
    if reader.is_done() { Ok(kernel) } else { Err(reader.error("expected the end")) }
}

fn counted(reader: &mut Reader) -> Result<(Symbol, Dim), ParseError> {
    let symbol = Symbol::read(reader)?;
    reader.expect(":")?;
    Ok((symbol, Dim::read(reader)?))
}

fn read_kernel(reader: &mut Reader) -> Result<Kernel, ParseError> {
    reader.expect_word("kernel")?;
    let name = reader.text()?;
    reader.expect_word("sizes")?;
    let sizes = reader.list("(", ")", Symbol::read)?;
    reader.expect_word("grid")?;
    let grid = reader.list("(", ")", counted)?;
    reader.expect("{")?;
    reader.expect_word("cost")?;
    let cost = f64::read(reader)?;
    reader.expect_word("scalars")?;
    let scalars = reader.list("(", ")", DType::read)?;
    let (buffers, tiles) = read_memory(reader)?;
    let body = read_body(reader)?;
    Ok(Kernel { name, sizes, buffers, tiles, grid, body, scalars, cost })
}

fn read_memory(reader: &mut Reader) -> Result<(Vec<Buffer>, Vec<Tile>), ParseError> {
    let (mut buffers, mut tiles) = (Vec::new(), Vec::new());
    while reader.sees_numbered("b") {
        let place = reader.numbered("b")? as usize;
        if place != buffers.len() + tiles.len() {
            return Err(reader.error("memory is numbered in order"));
        }
        reader.expect("=")?;
        let is_tile = reader.accept_word("tile");
        if !is_tile {
            reader.expect_word("buffer")?;
        }
        let (name, dtype) = (reader.text()?, DType::read(reader)?);
        reader.expect("[")?;
        let size = Dim::read(reader)?;
        reader.expect("]")?;
        if is_tile {
            tiles.push(Tile { name, dtype, size });
        } else if tiles.is_empty() {
            let access = Access::ALL.into_iter().find(|access| reader.accept_word(access.name()));
            let access = access.ok_or_else(|| reader.error("expected `read`, `write` or `update`"))?;
            buffers.push(Buffer { name, dtype, size, access });
        } else {
            return Err(reader.error("buffers come before tiles"));
        }
    }
    Ok((buffers, tiles))
}

/// Statements up to `}`.
fn read_body(reader: &mut Reader) -> Result<Vec<Statement>, ParseError> {
    reader.nested(|reader| {
        let mut body = Vec::new();
        while !reader.accept("}") {
            body.push(read_statement(reader)?);
        }
        Ok(body)
    })
}

fn read_statement(reader: &mut Reader) -> Result<Statement, ParseError> {
    match reader.word()?.as_str() {
        "for" => {
            let (counter, extent) = counted(reader)?;
            let kind = if reader.accept_word("vector") { LoopKind::Vector } else { LoopKind::Sequential };
            reader.expect("{")?;
            Ok(Statement::For { counter, extent, kind, body: read_body(reader)? })
        }
        "let" => Ok(Statement::Let(read_var(reader)?, read_value(reader)?)),
        "fold" => {
            let var = read_var(reader)?;
            reader.expect("=")?;
            Ok(Statement::Fold { var, fold: Field::read(reader)? })
        }
        "accumulate" => Ok(Statement::Accumulate { var: read_var(reader)?, value: read_value(reader)? }),
        "index" => {
            let (symbol, bound) = counted(reader)?;
            Ok(Statement::Index { symbol, bound, value: read_value(reader)? })
        }
        "store" => {
            let buffer = BufferId(reader.numbered("b")?);
            reader.expect("[")?;
            let offset = Dim::read(reader)?;
            reader.expect("]")?;
            Ok(Statement::Store { buffer, offset, value: read_value(reader)? })
        }
        "guard" => {
            let (dim, bound) = read_guard(reader)?;
            reader.expect("{")?;
            Ok(Statement::Guard { dim, bound, body: read_body(reader)? })
        }
        "map" => {
            let name = reader.word()?;
            let scalar = read_scalar(&name, reader)?;
            let buffer = BufferId(reader.numbered("b")?);
            reader.expect("[")?;
            let offset = Dim::read(reader)?;
            reader.expect(";")?;
            let len = Dim::read(reader)?;
            reader.expect("]")?;
            Ok(Statement::Map { scalar, buffer, offset, len })
        }
        "gemm" => read_gemm(reader),
        word => Err(reader.error_before(format!("`{word}` is no statement"))),
    }
}

fn read_var(reader: &mut Reader) -> Result<Var, ParseError> {
    Ok(Var(reader.numbered("v")?))
}

fn read_value(reader: &mut Reader) -> Result<Expr, ParseError> {
    reader.expect("=")?;
    read_expr(reader)
}

fn read_guard(reader: &mut Reader) -> Result<(Dim, Dim), ParseError> {
    let dim = Dim::read(reader)?;
    reader.expect(":")?;
    Ok((dim, Dim::read(reader)?))
}

fn read_gemm(reader: &mut Reader) -> Result<Statement, ParseError> {
    let accumulate = reader.accept_word("add");
    if !accumulate {
        reader.expect_word("set")?;
    }
    let sizes = reader.list("(", ")", Dim::read)?;
    let Ok([m, n, k]) = <[Dim; 3]>::try_from(sizes) else { return Err(reader.error("expected three sizes")) };
    let c = read_matrix(reader)?;
    reader.expect("=")?;
    let a = read_matrix(reader)?;
    reader.expect("*")?;
    let b = read_matrix(reader)?;
    Ok(Statement::Gemm(Box::new(Gemm { m, n, k, c, a, b, accumulate })))
}

fn read_matrix(reader: &mut Reader) -> Result<Matrix, ParseError> {
    let buffer = BufferId(reader.numbered("b")?);
    reader.expect("[")?;
    let offset = Dim::read(reader)?;
    reader.expect(";")?;
    let row = Dim::read(reader)?;
    reader.expect(",")?;
    let column = Dim::read(reader)?;
    reader.expect("]")?;
    Ok(Matrix { buffer, offset, row, column })
}

fn read_expr(reader: &mut Reader) -> Result<Expr, ParseError> {
    reader.nested(|reader| {
        if reader.sees_numbered("v") {
            return Ok(Expr::Var(read_var(reader)?));
        }
        if reader.sees_numbered("b") {
            let buffer = BufferId(reader.numbered("b")?);
            reader.expect("[")?;
            let offset = Dim::read(reader)?;
            reader.expect("]")?;
            return Ok(Expr::Load(buffer, offset));
        }
        let name = reader.word()?;
        read_call(&name, reader)
    })
}

fn read_call(name: &str, reader: &mut Reader) -> Result<Expr, ParseError> {
    let typed = matches!(name, "constant" | "operand" | "dim");
    if !typed && name != "guarded" && name != "random" {
        let scalar = read_scalar(name, reader)?;
        return Ok(Expr::Apply(scalar, reader.list("(", ")", read_expr)?));
    }
    reader.expect("(")?;
    let result = match name {
        "constant" => Expr::Constant(f64::read(reader)?, read_dtype(reader)?),
        "operand" => Expr::Operand(reader.number()?, read_dtype(reader)?),
        "dim" => Expr::Dim(Dim::read(reader)?, read_dtype(reader)?),
        "guarded" => return read_guarded(reader),
        _ => return read_random(reader),
    };
    reader.expect(")")?;
    Ok(result)
}

fn read_dtype(reader: &mut Reader) -> Result<DType, ParseError> {
    reader.expect(",")?;
    DType::read(reader)
}

/// After `guarded(`.
fn read_guarded(reader: &mut Reader) -> Result<Expr, ParseError> {
    let mut guards = Vec::new();
    while !reader.accept(";") {
        if !guards.is_empty() {
            reader.expect(",")?;
        }
        guards.push(read_guard(reader)?);
    }
    let value = Box::new(read_expr(reader)?);
    reader.expect(";")?;
    let otherwise = f64::read(reader)?;
    reader.expect(")")?;
    Ok(Expr::Guarded { guards, value, otherwise })
}

/// After `random(`.
fn read_random(reader: &mut Reader) -> Result<Expr, ParseError> {
    let seed = Box::new(read_expr(reader)?);
    reader.expect(",")?;
    let step = Box::new(read_expr(reader)?);
    reader.expect(",")?;
    let index = Dim::read(reader)?;
    reader.expect(",")?;
    let salt = Dim::read(reader)?;
    reader.expect(")")?;
    Ok(Expr::Random { seed, step, index, salt })
}

fn read_scalar(name: &str, reader: &mut Reader) -> Result<Scalar, ParseError> {
    if let Some(plain) = Scalar::PLAIN.into_iter().find(|scalar| scalar.name() == name) {
        return Ok(plain);
    }
    if name == Scalar::Select.name() {
        return Ok(Scalar::Select);
    }
    reader.expect("{")?;
    let scalar = match name {
        "compare" => Scalar::Compare(Compare::read(reader)?),
        "cast" => Scalar::Cast(DType::read(reader)?),
        "bitcast" => Scalar::Bitcast(DType::read(reader)?),
        _ => return Err(reader.error(format!("`{name}` is no scalar function"))),
    };
    reader.expect("}")?;
    Ok(scalar)
}
