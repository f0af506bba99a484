//! Loops.

use super::*;

/// Runs its body `count` times with the symbol `counter` bound to 0, 1, ... (downwards if `reverse`).
///
/// Operands are `carried` initial values, then `sliced` stacked values whose first axis is `count`. The body's
/// parameters are the carried values and the slices at `counter`; its results are the new carried values, then values
/// to collect. The results are the final carried values and the collected ones, stacked along a new first axis.
/// Everything else of the enclosing function may be used inside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// In scope of the body's sizes and indices.
    pub counter: Symbol,
    /// Number of turns.
    pub count: Dim,
    /// From the last turn to the first.
    pub reverse: bool,
    /// How many operands are carried from turn to turn.
    pub carried: usize,
    /// How many operands are cut along their first axis.
    pub sliced: usize,
}

impl Loop {
    /// The type of a slice, or why the operand cannot be cut.
    fn slice(&self, stacked: &Type) -> Result<Type, TypeError> {
        match stacked.shape.split_first() {
            Some((first, rest)) if *first == self.count => Ok(stacked.with_shape(rest.to_vec())),
            _ => Err(TypeError::new(format!("cannot cut {stacked} into {} slices", self.count))),
        }
    }

    fn check_params(
        &self,
        operands: &[Type],
        params: &[Value],
        function: &Function,
    ) -> Result<(), TypeError> {
        if params.len() != operands.len() {
            let (found, wanted) = (params.len(), operands.len());
            return Err(TypeError::new(format!("its body takes {found} values, the loop gives {wanted}")));
        }
        for (place, (operand, param)) in operands.iter().zip(params).enumerate() {
            let given = if place < self.carried { operand.clone() } else { self.slice(operand)? };
            shape::same(&given, function.ty(*param))?;
        }
        Ok(())
    }
}

impl Operation for Loop {
    const NAME: &'static str = "loop";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [body] = operands.blocks else { return Err(TypeError::new("has one body")) };
        if Some(operands.types.len()) != self.carried.checked_add(self.sliced) {
            return Err(TypeError::new("has an operand per carried and per sliced value"));
        }
        self.check_params(operands.types, &body.params, operands.function)?;
        if body.results.len() < self.carried {
            return Err(TypeError::new("its body hands back every carried value"));
        }
        let mut results = Vec::new();
        for (place, result) in body.results.iter().enumerate() {
            let ty = operands.function.ty(*result);
            if place < self.carried {
                shape::same(&operands.types[place], ty)?;
                results.push(shape::dense(ty));
                continue;
            }
            if ty.shape.iter().any(|size| size.mentions(&self.counter)) {
                return Err(TypeError::new(format!("cannot stack {ty}: its size changes from turn to turn")));
            }
            results.push(ty.with_shape([std::slice::from_ref(&self.count), &ty.shape[..]].concat()));
        }
        Ok(results)
    }

    fn evaluate(&self, _: &Evaluation) -> Result<Vec<Array>, String> {
        Err("a loop is evaluated with its body".into())
    }

    fn gradient(&self, _: &mut Applied) -> Gradient {
        Gradient::Structural
    }

    fn lower(&self, _: &Wanted) -> Lowered {
        Lowered::Structure
    }

    fn examples() -> Vec<Example> {
        Vec::new()
    }
}
