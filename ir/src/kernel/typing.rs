//! Types of memory and expressions of a kernel.

use super::{Access, BufferId, Expr, Kernel};
use crate::{DType, Dim};

/// What is known of a buffer or tile.
#[derive(Clone, Copy, Debug)]
pub struct MemoryInfo<'a> {
    /// For people.
    pub name: &'a str,
    /// Element type.
    pub dtype: DType,
    /// Number of elements.
    pub size: &'a Dim,
    /// What the kernel does with it.
    pub access: Access,
    /// Scratch memory of one instance.
    pub is_tile: bool,
}

impl Kernel {
    /// The buffer or tile called `id`, if there is one.
    pub fn memory(&self, id: BufferId) -> Option<MemoryInfo<'_>> {
        let place = id.0 as usize;
        if let Some(buffer) = self.buffers.get(place) {
            let (name, access) = (buffer.name.as_str(), buffer.access);
            return Some(MemoryInfo {
                name,
                dtype: buffer.dtype,
                size: &buffer.size,
                access,
                is_tile: false,
            });
        }
        let tile = self.tiles.get(place - self.buffers.len())?;
        let access = Access::ReadWrite;
        Some(MemoryInfo { name: &tile.name, dtype: tile.dtype, size: &tile.size, access, is_tile: true })
    }

    /// The element type of an expression; `None` if it names what does not exist.
    pub fn dtype_of(&self, expr: &Expr) -> Option<DType> {
        match expr {
            Expr::Constant(_, dtype) | Expr::Operand(_, dtype) | Expr::Dim(_, dtype) => Some(*dtype),
            Expr::Var(var) => self.scalars.get(var.0 as usize).copied(),
            Expr::Load(buffer, _) => self.memory(*buffer).map(|memory| memory.dtype),
            Expr::Apply(scalar, operands) => Some(scalar.result(self.dtype_of(operands.last()?)?)),
            Expr::Guarded { value, .. } => self.dtype_of(value),
            Expr::Random { .. } => Some(DType::F32),
        }
    }
}
