//! Scalar expressions as text, with their types. Guarded values become statements before the line that uses them.

use super::{Binding, Dialect, Printer, variable};
use crate::kernel::{Expr, Scalar};
use crate::{DType, Dim};

/// Whether a function of values of a narrow type can leave that type.
fn widens(function: Scalar, to: DType) -> bool {
    use Scalar::*;
    let whole = matches!(function, Add | Sub | Mul | Not | Neg | Shl | Pow | Cast(_));
    match to {
        DType::U8 => whole,
        DType::Bf16 | DType::F16 => {
            !matches!(function, Neg | Abs | Sign | Min | Max | Floor | Round | Select | Bitcast(_))
        }
        _ => false,
    }
}

impl<D: Dialect> Printer<'_, D> {
    /// The text and the type of an expression.
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<(String, DType), String> {
        match expr {
            Expr::Constant(value, dtype) => Ok((self.dialect.constant(*value, *dtype)?, *dtype)),
            Expr::Var(var) => Ok((variable(*var), self.scalar(*var)?)),
            Expr::Operand(place, _) => Err(format!("still names operand {place} instead of a buffer")),
            Expr::Load(buffer, offset) => {
                let offset = self.dim(offset)?;
                let memory = self.memory(*buffer)?;
                Ok((self.dialect.load(memory, &offset), memory.dtype))
            }
            Expr::Dim(dim, dtype) => {
                let number = self.dialect.number(&self.dim(dim)?, *dtype)?;
                Ok((self.narrowed(*dtype, number), *dtype))
            }
            Expr::Apply(function, operands) => self.application(*function, operands),
            Expr::Guarded { guards, value, otherwise } => self.guarded(guards, value, *otherwise),
            Expr::Random { seed, step, index, salt } => self.random(seed, step, index, salt),
        }
    }

    fn application(&mut self, function: Scalar, operands: &[Expr]) -> Result<(String, DType), String> {
        if operands.len() != function.arity() {
            return Err(format!("gives {} operands to {function:?}", operands.len()));
        }
        let (mut texts, mut types) = (Vec::new(), Vec::new());
        for operand in operands {
            let (text, dtype) = self.expr(operand)?;
            texts.push(text);
            types.push(dtype);
        }
        let values = if function == Scalar::Select { &types[1..] } else { &types[..] };
        if values.iter().any(|dtype| *dtype != values[0]) {
            return Err(format!("gives operands of types {types:?} to {function:?}"));
        }
        let result = function.result(values[0]);
        Ok((self.typed(function, values[0], result, &texts)?, result))
    }

    /// `function` with its result rounded to `result`.
    pub(super) fn typed(
        &self,
        function: Scalar,
        dtype: DType,
        result: DType,
        operands: &[String],
    ) -> Result<String, String> {
        let text = self.dialect.apply(function, dtype, operands)?;
        let rounds = widens(function, result) && function != Scalar::Cast(dtype);
        Ok(if rounds { self.dialect.narrow(result, &text) } else { text })
    }

    fn narrowed(&self, dtype: DType, value: String) -> String {
        match dtype {
            DType::Bf16 | DType::F16 | DType::U8 => self.dialect.narrow(dtype, &value),
            _ => value,
        }
    }

    /// A variable that holds `otherwise` unless all guards hold.
    fn guarded(
        &mut self,
        guards: &[(Dim, Dim)],
        value: &Expr,
        otherwise: f64,
    ) -> Result<(String, DType), String> {
        if guards.is_empty() {
            return self.expr(value);
        }
        let conditions: Vec<String> =
            guards.iter().map(|(dim, bound)| self.within(dim, bound)).collect::<Result<_, _>>()?;
        let name = self.temporary();
        // The value's type is known only once it is printed, and its own statements belong inside the branch.
        let outer = std::mem::take(&mut self.text);
        self.depth += 1;
        let printed = self.expr(value);
        self.depth -= 1;
        let inner = std::mem::replace(&mut self.text, outer);
        let (value, dtype) = printed?;
        let otherwise = self.dialect.constant(otherwise, dtype)?;
        self.declare(Binding::Variable(dtype), &name, &otherwise);
        self.block(&format!("if ({})", conditions.join(" && ")), |p| {
            p.text.push_str(&inner);
            p.line(&format!("{name} = {value};"));
            Ok(())
        })?;
        Ok((name, dtype))
    }

    fn random(
        &mut self,
        seed: &Expr,
        step: &Expr,
        index: &Dim,
        salt: &Dim,
    ) -> Result<(String, DType), String> {
        let ((seed, seed_type), (step, step_type)) = (self.expr(seed)?, self.expr(step)?);
        self.same(DType::U32, seed_type, || "the seed".to_string())?;
        self.same(DType::U32, step_type, || "the step".to_string())?;
        let (index, salt) = (self.dim(index)?, self.dim(salt)?);
        Ok((self.dialect.uniform(&seed, &step, &index, &salt), DType::F32))
    }
}
