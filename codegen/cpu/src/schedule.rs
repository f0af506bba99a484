//! The order of instructions in long vector blocks.
//!
//! Cranelift's optimizer places an instruction where its value is first used, which computes one register of a group
//! from its load to its store before it starts on the next: one long chain, during which the processor waits. This pass
//! runs after the optimizer and orders each long block by the distance of instructions from its end, so that the chains of
//! a group advance side by side and share each constant that had to be reloaded, and nothing is computed before it is due.
//!
//! Memory keeps its order: loads stay between the stores and calls that surround them.

use cranelift_codegen::ir::{Block, Function, Inst, Opcode, ValueDef};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Blocks with fewer vector instructions than this are left as they are.
const LONG: usize = 40;

/// Orders the instructions of every long vector block.
pub(crate) fn interleave(function: &mut Function) {
    let blocks: Vec<Block> = function.layout.blocks().collect();
    for block in blocks {
        let insts: Vec<Inst> = function.layout.block_insts(block).collect();
        if insts.iter().filter(|inst| gives_vector(function, **inst)).count() < LONG {
            continue;
        }
        let order = Graph::of(function, &insts).order();
        insts.iter().for_each(|inst| function.layout.remove_inst(*inst));
        order.into_iter().for_each(|place| function.layout.append_inst(insts[place], block));
    }
}

fn gives_vector(function: &Function, inst: Inst) -> bool {
    let results = function.dfg.inst_results(inst);
    results.iter().any(|value| function.dfg.value_type(*value).is_vector())
}

/// What must come before what, by place in the block.
struct Graph {
    /// Instructions whose values are read.
    operands: Vec<Vec<usize>>,
    /// Instructions that come first for the order of memory.
    before: Vec<Vec<usize>>,
}

impl Graph {
    fn of(function: &Function, insts: &[Inst]) -> Graph {
        let places: HashMap<Inst, usize> =
            insts.iter().enumerate().map(|(place, inst)| (*inst, place)).collect();
        let place_of = |value| match function.dfg.value_def(value) {
            ValueDef::Result(inst, _) => places.get(&inst).copied(),
            _ => None,
        };
        let operands =
            insts.iter().map(|inst| function.dfg.inst_values(*inst).filter_map(place_of).collect()).collect();
        let (mut barrier, mut loads) = (None, Vec::new());
        let memory = |(place, inst): (usize, &Inst)| match kind(function.dfg.insts[*inst].opcode()) {
            Kind::Pure => Vec::new(),
            Kind::Load => {
                loads.push(place);
                barrier.into_iter().collect()
            }
            Kind::Barrier => barrier.replace(place).into_iter().chain(loads.drain(..)).collect(),
        };
        Graph { operands, before: insts.iter().enumerate().map(memory).collect() }
    }

    /// The places by the length of the longest path of values that leads from each to the end. What an instruction reads
    /// has a longer path, and what merely comes before it no shorter one and an earlier place.
    fn order(&self) -> Vec<usize> {
        let count = self.operands.len();
        let mut height = vec![0usize; count];
        for place in (0..count).rev() {
            let own = height[place];
            self.operands[place].iter().for_each(|operand| height[*operand] = height[*operand].max(own + 1));
            self.before[place].iter().for_each(|first| height[*first] = height[*first].max(own));
        }
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|place| (Reverse(height[*place]), *place));
        order
    }
}

/// How an instruction may move.
enum Kind {
    /// Anywhere between its operands and its users.
    Pure,
    /// Not across a barrier.
    Load,
    /// Not across loads and other barriers.
    Barrier,
}

fn kind(opcode: Opcode) -> Kind {
    let acts = opcode.can_store()
        || opcode.is_call()
        || opcode.is_branch()
        || opcode.is_terminator()
        || opcode.can_trap() && !opcode.can_load()
        || opcode.other_side_effects();
    match (acts, opcode.can_load()) {
        (true, _) => Kind::Barrier,
        (false, true) => Kind::Load,
        (false, false) => Kind::Pure,
    }
}
