//! Functions with a gradient of their own.

use super::*;

/// Runs its first body on the operands. The second body is its gradient: it takes the operands, the results, and a
/// cotangent for each result, and hands back a cotangent for each float operand, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule;

/// Refuses lists of types that differ.
fn agree(what: &str, wanted: &[&Type], found: &[Value], function: &Function) -> Result<(), TypeError> {
    if wanted.len() != found.len() {
        let (wanted, found) = (wanted.len(), found.len());
        return Err(TypeError::new(format!("{what}: {wanted} values are needed, there are {found}")));
    }
    wanted.iter().zip(found).try_for_each(|(wanted, found)| shape::same(wanted, function.ty(*found)))
}

impl Operation for Rule {
    const NAME: &'static str = "rule";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [forward, backward] = operands.blocks else { return Err(TypeError::new("has two bodies")) };
        let function = operands.function;
        let arguments: Vec<&Type> = operands.types.iter().collect();
        agree("the forward body's parameters", &arguments, &forward.params, function)?;
        let results: Vec<&Type> = forward.results.iter().map(|result| function.ty(*result)).collect();
        let saved = [&arguments[..], &results, &results].concat();
        agree("the backward body's parameters", &saved, &backward.params, function)?;
        let floats: Vec<&Type> = arguments.into_iter().filter(|ty| ty.dtype.is_float()).collect();
        agree("the backward body's results", &floats, &backward.results, function)?;
        Ok(results.into_iter().map(shape::dense).collect())
    }

    fn evaluate(&self, _: &Evaluation) -> Result<Vec<Array>, String> {
        Err("a rule is evaluated with its body".into())
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
