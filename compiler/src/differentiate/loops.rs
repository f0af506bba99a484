//! Gradients of loops: a loop in the opposite direction.
//!
//! It carries the cotangents of what the forward loop carries, and of captured values the sums so far; cotangents of
//! stacked results come in as slices, cotangents of stacked operands go out stacked. Its body names values of the
//! forward body; each of them is sliced again, saved by the forward loop, or replayed, as `saving` decides.

use super::reverse::Reverse;
use super::saving::{Body, Crossing, Saving};
use crate::passes::copy::Copier;
use crate::passes::dead_code::{filter, prune};
use nnc_ir::graph::{Block, Node, Value};
use nnc_ir::ops::{Loop, Op};
use std::collections::HashMap;

/// Which values of a forward loop have cotangents.
struct Roles {
    /// Carried values, by place.
    carried: Vec<usize>,
    /// Captured values.
    captured: Vec<Value>,
    /// Stacked operands, by place among all operands.
    sliced: Vec<usize>,
    /// Stacked results, by place among all results.
    collected: Vec<usize>,
}

/// A loop under construction: what it carries, slices and hands back.
#[derive(Default)]
struct Parts {
    params: Vec<Value>,
    operands: Vec<Value>,
}

impl Parts {
    fn add(&mut self, param: Value, operand: Value) {
        self.params.push(param);
        self.operands.push(operand);
    }
}

impl Reverse<'_> {
    /// Adds the cotangents of a loop's operands and captures. The loop may gain results.
    pub(super) fn repeat(&mut self, node: &mut Node) {
        let Op::Loop(op) = node.op.clone() else { return };
        let mut roles = self.roles(node, &op);
        let outer = std::mem::take(&mut self.sums);
        let (mut carried, mut sliced) = (Parts::default(), Parts::default());
        self.b.open();
        self.seed(node, &roles, &outer, &mut carried, &mut sliced);
        self.walk(&mut node.blocks[0].nodes);
        self.forget_idle(node, &mut roles, &mut carried);
        let mut backward = self.close(node, &roles);
        self.sums = outer;
        self.b.span = node.span;
        self.connect(node, &op, &mut backward, &mut sliced);
        for (place, operand) in carried.operands.iter_mut().enumerate() {
            let like = carried.params[place];
            *operand = if *operand == like { self.b.fill_like(0.0, like) } else { *operand };
        }
        backward.params = [&carried.params[..], &sliced.params].concat();
        let gradient =
            Loop { reverse: !op.reverse, carried: carried.params.len(), sliced: sliced.params.len(), ..op };
        let operands = [carried.operands, sliced.operands].concat();
        let cotangents = self.b.try_apply_blocks(gradient.into(), &operands, vec![backward]);
        self.hand_out(node, &roles, cotangents.expect("cotangents have the types of their values"));
    }

    fn roles(&self, node: &Node, op: &Loop) -> Roles {
        let body = &node.blocks[0];
        let carries = |place: &usize| self.lives(node.results[*place]) || self.lives(body.params[*place]);
        let collects = |place: &usize| self.cotangent(node.results[*place]).is_some();
        Roles {
            carried: (0..op.carried).filter(carries).collect(),
            captured: body.captures().into_iter().filter(|value| self.lives(*value)).collect(),
            sliced: (op.carried..node.operands.len())
                .filter(|place| self.lives(body.params[*place]))
                .collect(),
            collected: (op.carried..node.results.len()).filter(collects).collect(),
        }
    }

    /// A value like `like`; as its own operand it stands for zeros.
    fn param(&mut self, like: Value) -> Value {
        let ty = nnc_ir::Type::new(self.b.ty(like).dtype, self.b.ty(like).shape.clone());
        self.b.function.fresh(ty)
    }

    /// Cotangents on entry of the backward body.
    fn seed(
        &mut self,
        node: &Node,
        roles: &Roles,
        outer: &HashMap<Value, Value>,
        carried: &mut Parts,
        sliced: &mut Parts,
    ) {
        let body = &node.blocks[0];
        for value in &roles.captured {
            let sum = self.param(*value);
            self.sums.insert(*value, sum);
            carried.add(sum, outer.get(value).copied().unwrap_or(sum));
        }
        for place in &roles.carried {
            let param = self.param(body.results[*place]);
            carried.add(param, outer.get(&node.results[*place]).copied().unwrap_or(param));
            self.live.insert(body.results[*place]);
            self.accumulate(body.results[*place], param);
        }
        for place in &roles.collected {
            let param = self.param(body.results[*place]);
            sliced.add(param, outer[&node.results[*place]]);
            self.accumulate(body.results[*place], param);
        }
    }

    /// Drops captured values and slices that nothing was added to.
    fn forget_idle(&self, node: &Node, roles: &mut Roles, carried: &mut Parts) {
        let idle = |value: &Value, param: &Value| self.cotangent(*value) == Some(*param);
        let mut keep: Vec<bool> =
            roles.captured.iter().zip(&carried.params).map(|(value, param)| !idle(value, param)).collect();
        filter(&mut roles.captured, &keep);
        keep.resize(carried.params.len(), true);
        filter(&mut carried.params, &keep);
        filter(&mut carried.operands, &keep);
        roles.sliced.retain(|place| self.cotangent(node.blocks[0].params[*place]).is_some());
    }

    /// Ends the backward body: it hands back what it carries, then the cotangents of slices.
    fn close(&mut self, node: &Node, roles: &Roles) -> Block {
        let body = &node.blocks[0];
        let captured = roles.captured.iter().copied();
        let places = roles.carried.iter().chain(&roles.sliced);
        let values: Vec<Value> = captured.chain(places.map(|place| body.params[*place])).collect();
        let results = values.into_iter().map(|value| self.cotangent_or_zero(value)).collect();
        let mut block = self.b.close(results);
        prune(&mut block.nodes, &block.results);
        block
    }

    /// Gets the values of the forward body to the backward body.
    fn connect(&mut self, node: &mut Node, op: &Loop, backward: &mut Block, sliced: &mut Parts) {
        let saving = Saving::of(self.recompute, self.blocks.contains(&op.counter));
        let body = &node.blocks[0];
        let (given, free) = body.params.split_at(op.carried);
        let (function, nodes) = (&self.b.function, &body.nodes[..]);
        let region = Body { function, nodes, given, free, counter: Some(&op.counter) };
        let crossing = region.crossing(&backward.captures(), saving);
        let mut copier = Copier::new();
        for value in &crossing.free {
            let place = body.params.iter().position(|param| param == value).expect("a slice is a parameter");
            let param = copier.define(&mut self.b.function, *value);
            sliced.add(param, node.operands[place]);
        }
        let replayed: Vec<Node> = crossing.replayed.iter().map(|place| body.nodes[*place].clone()).collect();
        self.save(node, op, &crossing, &mut copier, sliced);
        let mut replayed = copier.nodes(&mut self.b.function, &replayed);
        backward.replace_uses(&|value| copier.value(value));
        replayed.append(&mut backward.nodes);
        prune(&mut replayed, &backward.results);
        backward.nodes = replayed;
    }

    /// Makes the forward loop hand over what is saved, and drops what its body computes for nobody.
    fn save(
        &mut self,
        node: &mut Node,
        op: &Loop,
        crossing: &Crossing,
        copier: &mut Copier,
        sliced: &mut Parts,
    ) {
        for value in &crossing.saved {
            let results = &node.blocks[0].results;
            let known = (op.carried..results.len()).find(|place| results[*place] == *value);
            let stacked = match known {
                Some(place) => node.results[place],
                None => self.collect(node, op, *value),
            };
            let param = copier.define(&mut self.b.function, *value);
            sliced.add(param, stacked);
        }
        let body = &mut node.blocks[0];
        prune(&mut body.nodes, &body.results);
    }

    fn collect(&mut self, node: &mut Node, op: &Loop, value: Value) -> Value {
        let ty = self.b.ty(value);
        let ty = ty.with_shape([std::slice::from_ref(&op.count), &ty.shape[..]].concat());
        let stacked = self.b.function.fresh(ty);
        node.blocks[0].results.push(value);
        node.results.push(stacked);
        stacked
    }

    /// Cotangents of the forward loop's operands and captures, from the results of the backward loop.
    fn hand_out(&mut self, node: &Node, roles: &Roles, cotangents: Vec<Value>) {
        let mut cotangents = cotangents.into_iter();
        // The sums began with what was there, so they take its place.
        roles.captured.iter().zip(cotangents.by_ref()).for_each(|(value, sum)| {
            self.sums.insert(*value, sum);
        });
        for (place, cotangent) in roles.carried.iter().chain(&roles.sliced).zip(cotangents) {
            self.accumulate(node.operands[*place], cotangent);
        }
    }
}
