//! Branches.

use super::*;

/// Runs its first body if the operand, a boolean scalar, holds, else its second. Both take nothing and hand back
/// values of the same types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct If;

impl Operation for If {
    const NAME: &'static str = "if";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [condition] = operands.exactly()?;
        shape::same(condition, &Type::scalar(DType::Bool))?;
        let [then, otherwise] = operands.blocks else { return Err(TypeError::new("has two bodies")) };
        if !then.params.is_empty() || !otherwise.params.is_empty() {
            return Err(TypeError::new("its bodies take no values"));
        }
        if then.results.len() != otherwise.results.len() {
            return Err(TypeError::new("its bodies hand back equally many values"));
        }
        let pairs = then.results.iter().zip(&otherwise.results);
        let types = |(a, b): (&Value, &Value)| {
            let (a, b) = (operands.function.ty(*a), operands.function.ty(*b));
            shape::same(a, b).map(|()| shape::dense(a))
        };
        pairs.map(types).collect()
    }

    fn evaluate(&self, _: &Evaluation) -> Result<Vec<Array>, String> {
        Err("a branch is evaluated with its bodies".into())
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
