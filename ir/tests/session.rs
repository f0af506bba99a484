//! What a call costs the host does not grow with the launches and loop turns of its plan: running steps allocates nothing.

use nnc_ir::graph::{Port, Slot, SlotKind};
use nnc_ir::kernel::{Access, Buffer, BufferId, Expr, Kernel, Statement};
use nnc_ir::plan::{EntryPlan, Place, PlaceClass, PlaceId, Plan, Step};
use nnc_ir::session::{Buffers, Device, Session, Sizes};
use nnc_ir::{DType, Dim, Symbol, Type};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every request is passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A device whose kernels add the turn of the loop to their one element.
#[derive(Default)]
struct Host {
    launches: usize,
}

impl Device for Host {
    type Buffer = RefCell<Vec<u8>>;
    type Program = ();
    type Error = Infallible;

    fn stride(&self, dtype: DType) -> Result<usize, Infallible> {
        Ok(dtype.size())
    }

    fn allocate(&mut self, bytes: usize) -> Result<Self::Buffer, Infallible> {
        Ok(RefCell::new(vec![0; bytes]))
    }

    fn prepare(&mut self, _: &Kernel, _: &[usize]) -> Result<(), Infallible> {
        Ok(())
    }

    fn write(&mut self, buffer: &Self::Buffer, _: DType, elements: &[u8]) -> Result<(), Infallible> {
        buffer.borrow_mut()[..elements.len()].copy_from_slice(elements);
        Ok(())
    }

    fn read(&mut self, wanted: &[(&Self::Buffer, DType, usize)]) -> Result<Vec<Vec<u8>>, Infallible> {
        let one = |(buffer, dtype, count): &(&Self::Buffer, DType, usize)| {
            buffer.borrow()[..count * dtype.size()].to_vec()
        };
        Ok(wanted.iter().map(one).collect())
    }

    fn copy(&mut self, _: &Self::Buffer, _: &Self::Buffer, _: usize) -> Result<(), Infallible> {
        Ok(())
    }

    fn launch(
        &mut self,
        (): &(),
        buffers: Buffers<'_, Self::Buffer>,
        sizes: &[i64],
        instances: i64,
    ) -> Result<(), Infallible> {
        assert_eq!(instances, 1);
        for buffer in buffers.iter() {
            let mut bytes = buffer.borrow_mut();
            let old = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            bytes[..4].copy_from_slice(&(old + sizes[0] as i32).to_le_bytes());
        }
        self.launches += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// `launches` launches in each of `turns` turns of a loop.
fn plan(launches: usize, turns: i64) -> Plan {
    let turn = Symbol::new("turn");
    let element = Buffer { name: "x".into(), dtype: DType::I32, size: Dim::one(), access: Access::ReadWrite };
    let value = Expr::Dim(Dim::from(&turn), DType::I32);
    let kernel = Kernel {
        name: "count".into(),
        sizes: vec![turn.clone()],
        buffers: vec![element],
        tiles: Vec::new(),
        grid: Vec::new(),
        body: vec![Statement::Store { buffer: BufferId(0), offset: Dim::zero(), value }],
        scalars: Vec::new(),
        cost: 1.0,
    };
    let body = vec![Step::Launch { kernel: 0, bind: vec![PlaceId(0)] }; launches];
    let steps = vec![Step::Loop { counter: turn, count: Dim::constant(turns), reverse: true, body }];
    let place = Place { name: "x".into(), dtype: DType::I32, shape: Vec::new(), class: PlaceClass::Slot(0) };
    let entry = EntryPlan {
        name: "run".into(),
        inputs: vec![(Port::Slot(0), PlaceId(0))],
        outputs: vec![(Port::Slot(0), PlaceId(0))],
        places: vec![place],
        steps,
        guards: Vec::new(),
        notes: Vec::new(),
    };
    let slot = Slot {
        path: "x".into(),
        kind: SlotKind::State,
        ty: Type::scalar(DType::I32),
        copies: Vec::new(),
        was: None,
    };
    Plan { sizes: Vec::new(), slots: vec![slot], entries: vec![entry], kernels: vec![kernel] }
}

/// Allocations of a warm call, and what the slot holds after it.
fn warm_call(launches: usize, turns: i64) -> (usize, i32) {
    let mut session = Session::new(Host::default(), &plan(launches, turns));
    session.call("run", &[], &Sizes::new()).expect("the plan is sound");
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    session.call("run", &[], &Sizes::new()).expect("the plan is sound");
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(session.device().launches, 2 * launches * turns as usize);
    let bytes = session.get_slot(0).expect("the slot is there");
    (allocations, i32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

#[test]
fn running_steps_allocates_nothing() {
    let (few, counted) = warm_call(1, 2);
    assert_eq!(counted, 2, "two calls of turns 1 and 0");
    let (many, counted) = warm_call(30, 50);
    assert_eq!(counted, 2 * 30 * (49 * 50 / 2));
    assert_eq!(few, many);
}
