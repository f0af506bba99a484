//! The end of gradients.

use super::*;

/// The operand itself; no gradient passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop;

impl Operation for Stop {
    const NAME: &'static str = "stop";

    fn infer(&self, operands: Operands) -> Result<Vec<Type>, TypeError> {
        let [x] = operands.exactly()?;
        Ok(vec![x.clone()])
    }

    fn evaluate(&self, e: &Evaluation) -> Result<Vec<Array>, String> {
        Ok(e.operands.to_vec())
    }

    fn gradient(&self, node: &mut Applied) -> Gradient {
        Gradient::none(node.operands.len())
    }

    fn lower(&self, wanted: &Wanted) -> Lowered {
        Lowered::View { index: wanted.at.to_vec(), guards: Vec::new(), otherwise: 0.0 }
    }

    fn examples() -> Vec<Example> {
        vec![Example::new(Stop, &[(&[2], &[1.0, 2.0])], &[&[1.0, 2.0]])]
    }
}
