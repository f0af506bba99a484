//! Threefry-2x32-20 (Salmon et al., 2011) on I32 or I32X4 registers: bit for bit the numbers of `nnc_kernels::random`.

use crate::emitter::{Emitter, Number};
use crate::error::Emit;
use crate::expressions::Pattern;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use nnc_ir::kernel::Expr;
use nnc_ir::{DType, Dim};

const ROTATIONS: [[i64; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
const PARITY: u32 = 0x1bd1_1bda;

impl Emitter<'_, '_> {
    /// A uniform number in [0, 1).
    pub fn random(&mut self, seed: &Expr, step: &Expr, index: &Dim, salt: &Dim) -> Emit<Number> {
        let key = [self.word(seed)?, self.word(step)?];
        let counter = [self.dim_number_u32(index)?, self.dim_number_u32(salt)?];
        let words = key.iter().chain(&counter);
        if words.clone().all(Number::is_one) {
            let [k0, k1, c0, c1] = [&key[0], &key[1], &counter[0], &counter[1]].map(|n| n.values()[0]);
            return Ok(Number::one(DType::F32, self.uniform([k0, k1], [c0, c1])));
        }
        let width = self.width();
        let registers: Vec<Vec<Value>> = words.map(|word| self.widen(word, width)).collect();
        let values = (0..width)
            .map(|place| {
                let [k0, k1, c0, c1] = [0, 1, 2, 3].map(|word: usize| registers[word][place]);
                self.uniform([k0, k1], [c0, c1])
            })
            .collect();
        Ok(Number::many(DType::F32, values))
    }

    fn word(&mut self, expr: &Expr) -> Emit<Number> {
        let number = self.expr(expr)?;
        match number.dtype {
            DType::U32 | DType::I32 => Ok(number),
            other => Err(format!("a random key word is u32, not {other}")),
        }
    }

    fn dim_number_u32(&mut self, dim: &Dim) -> Emit<Number> {
        match (self.pattern(dim), self.group.clone()) {
            (Pattern::Linear(slope), Some(group)) => {
                Ok(Number::many(DType::U32, self.counting(dim, &slope, &group)?))
            }
            _ => self.expr(&Expr::Dim(dim.clone(), DType::U32)),
        }
    }

    /// The upper 24 bits of the first word, scaled by 2^-24.
    fn uniform(&mut self, key: [Value; 2], counter: [Value; 2]) -> Value {
        let bits = self.threefry(key, counter);
        let upper = self.shift_right(bits, 8);
        let ty = Self::float_like(self.type_of(upper));
        let float = self.b.ins().fcvt_from_sint(ty, upper);
        let scale = self.float(ty, 1.0 / (1 << 24) as f32);
        self.b.ins().fmul(float, scale)
    }

    /// The first word of a draw.
    fn threefry(&mut self, key: [Value; 2], counter: [Value; 2]) -> Value {
        let ty = self.type_of(key[0]);
        let parity = self.int(ty, PARITY as i32);
        let both = self.b.ins().bxor(key[0], key[1]);
        let schedule = [key[0], key[1], self.b.ins().bxor(both, parity)];
        let mut x = self.b.ins().iadd(counter[0], schedule[0]);
        let mut y = self.b.ins().iadd(counter[1], schedule[1]);
        for group in 0..5usize {
            for count in ROTATIONS[group % 2] {
                x = self.b.ins().iadd(x, y);
                let turned = self.rotate(y, count);
                y = self.b.ins().bxor(turned, x);
            }
            x = self.b.ins().iadd(x, schedule[(group + 1) % 3]);
            y = self.b.ins().iadd(y, schedule[(group + 2) % 3]);
            let round = self.int(ty, group as i32 + 1);
            y = self.b.ins().iadd(y, round);
        }
        x
    }

    fn rotate(&mut self, value: Value, count: i64) -> Value {
        if self.type_of(value) == types::I32 {
            let count = self.b.ins().iconst(types::I32, count);
            return self.b.ins().rotl(value, count);
        }
        let (up, down) = (self.shift_left(value, count), self.shift_right(value, 32 - count));
        self.b.ins().bor(up, down)
    }
}
