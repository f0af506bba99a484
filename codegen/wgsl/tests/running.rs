//! Kernels and plans run: statements, loops, branches, copies, slots, shared scratch, and errors as values.

mod support;

use nnc_ir::graph::{Port, Slot, SlotKind};
use nnc_ir::kernel::{Access, Compare, Scalar};
use nnc_ir::ops::Fold;
use nnc_ir::plan::{Guard, PlaceClass, PlaceId, Plan, Step};
use nnc_ir::{DType, Type, random};
use nnc_wgsl::{Device, DeviceError, HostBytes, Session, Sizes};
use support::samples::{self, apply, buffer, kernel, load, n, number, s, store, symbol};
use support::{TYPES, decode, device, encode, entry, launch, place, plan, run, sizes, tensor};

const CALLER: PlaceClass = PlaceClass::Caller;

fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (k, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance || a == b, "element {k} is {a}, expected {b}");
    }
}

#[test]
fn softmax() {
    let Some(device) = device() else { return };
    let x: Vec<f64> = (0..15).map(|k| f64::from(k * k % 7) - 2.0).collect();
    let expected: Vec<f64> = x
        .chunks(5)
        .flat_map(|row| {
            let sum: f64 = row.iter().map(|x| x.exp()).sum();
            row.iter().map(move |x| x.exp() / sum).collect::<Vec<_>>()
        })
        .collect();
    let (_, found) = run(device, &samples::softmax(), &[x], &sizes(&[("B", 3), ("T", 5)]));
    close(&found[0], &expected, 1e-6);
}

#[test]
fn guards_and_guarded_values() {
    let Some(device) = device() else { return };
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let (_, found) = run(device, &samples::windows(), &[x.to_vec()], &sizes(&[("N", 6)]));
    // Windows of four from two to the left; 0.5 x inside, -0.25 outside; ends are not written.
    close(&found[0], &[0.0, 2.75, 5.0, 7.0, 9.0, 0.0], 0.0);
}

#[test]
fn positions_that_are_data_are_clamped() {
    let Some(device) = device() else { return };
    let table = [10.0, 11.0, 12.0, 20.0, 21.0, 22.0];
    let inputs = [table.to_vec(), vec![1.0, -5.0, 99.0], vec![0.5; 9]];
    let (_, found) = run(device, &samples::gather(), &inputs, &sizes(&[("N", 3), ("R", 2)]));
    close(&found[0], &[20.5, 21.5, 22.5, 10.5, 11.5, 12.5, 20.5, 21.5, 22.5], 0.0);
}

#[test]
fn tiles_of_every_type() {
    let Some(mut device) = device() else { return };
    for dtype in TYPES {
        let x: Vec<f64> = (0..16)
            .map(|k| if dtype == DType::Bool { f64::from(k % 3 == 0) } else { f64::from(k) })
            .collect();
        let (back, found) =
            run(device, &samples::tiles(dtype), std::slice::from_ref(&x), &sizes(&[("G", 2)]));
        device = back;
        let expected: Vec<f64> = x.chunks(8).flat_map(|group| group.iter().rev().copied()).collect();
        close(&found[0], &expected, 0.0);
    }
}

#[test]
fn folds_of_every_type() {
    let Some(mut device) = device() else { return };
    for dtype in TYPES {
        let truth = [Fold::Or, Fold::And];
        let numbers = [Fold::Add, Fold::Mul, Fold::Max, Fold::Min];
        for fold in if dtype == DType::Bool { &truth[..] } else { &numbers[..] } {
            let x: Vec<f64> = (0..12)
                .map(|k| if dtype == DType::Bool { f64::from(k > 4) } else { f64::from(k % 5) })
                .collect();
            let kernel = samples::folds(dtype, *fold);
            let (back, found) = run(device, &kernel, std::slice::from_ref(&x), &sizes(&[("N", 4)]));
            device = back;
            let expected: Vec<f64> =
                x.chunks(3).map(|row| row.iter().fold(fold.identity(), |a, b| fold.apply(a, *b))).collect();
            close(&found[0], &expected, 0.0);
        }
    }
}

#[test]
fn index_arithmetic_rounds_down() {
    let Some(device) = device() else { return };
    let (_, found) = run(device, &samples::indices(), &[], &sizes(&[("M", 3), ("N", 20)]));
    for (row, dim) in samples::index_expressions().iter().enumerate() {
        for i in 0..20 {
            let expected = samples::index_value(dim, i);
            assert_eq!(found[0][row * 20 + i as usize], expected, "{dim} at i = {i}");
        }
    }
}

#[test]
fn random_numbers_are_those_of_the_reference() {
    let Some(device) = device() else { return };
    let inputs = [vec![0x13198a2eu32.into()], vec![4294967295.0]];
    let (_, found) = run(device, &samples::random(), &inputs, &sizes(&[("N", 50)]));
    let one = |k: u32| random::uniform([0x13198a2e, u32::MAX], [k / 3, k % 3 + 7]);
    close(&found[0], &(0..150).map(one).collect::<Vec<_>>(), 0.0);
}

#[test]
fn constants_keep_their_bits() {
    let Some(device) = device() else { return };
    let (_, found) = run(device, &samples::constants(), &[], &sizes(&[]));
    let expected = [0.0, -0.0, 1.5, -3e-20, 1e30, f64::INFINITY, f64::NEG_INFINITY];
    close(&found[0][..7], &expected.map(|x| f64::from(x as f32)), 0.0);
    assert!(found[0][1].is_sign_negative() && found[0][7].is_nan());
}

#[test]
fn grids_beyond_one_dimension_are_folded() {
    let Some(device) = device() else { return };
    // More than 65,535 workgroups of 64.
    let size = 65_535 * 64 + 77;
    let value = nnc_ir::kernel::Expr::Dim(s("i"), DType::I32);
    let buffers = vec![buffer("y", DType::I32, s("N"), Access::Write)];
    let mut made = kernel("count", buffers, vec![(symbol("i"), s("N"))], vec![store(0, s("i"), value)]);
    made.sizes = vec![symbol("N")];
    let (_, found) = run(device, &made, &[], &sizes(&[("N", size)]));
    assert!(found[0].iter().enumerate().all(|(k, x)| *x == k as f64));
}

/// Adds the counter of a loop, forwards and backwards, through a copy.
fn counting(reverse: bool) -> Plan {
    let scratch = PlaceClass::Scratch { first: 0, last: 2 };
    let places = vec![
        place("x", DType::F32, s("N"), CALLER),
        place("sum", DType::F32, s("N"), scratch),
        place("y", DType::F32, s("N"), CALLER),
    ];
    let halve = {
        let value = apply(Scalar::Mul, [load(0, s("i")), number(0.5)]);
        let buffers = vec![buffer("x", DType::F32, s("N"), Access::ReadWrite)];
        let mut made = kernel("halve", buffers, vec![(symbol("i"), s("N"))], vec![store(0, s("i"), value)]);
        made.sizes = vec![symbol("N")];
        made
    };
    let body = vec![launch(0, &[1]), launch(1, &[1])];
    let steps = vec![
        Step::Copy { from: PlaceId(0), to: PlaceId(1) },
        Step::Loop { counter: symbol("turn"), count: n(4), reverse, body },
        Step::Copy { from: PlaceId(1), to: PlaceId(2) },
    ];
    plan(vec![samples::add_counter(), halve], entry(places, &[0], &[2], steps))
}

#[test]
fn loops_count_up_and_down() {
    let Some(device) = device() else { return };
    let mut device = Some(device);
    for reverse in [false, true] {
        let mut session = Session::new(device.take().unwrap(), &counting(reverse));
        let input = tensor(DType::F32, &[8.0, 0.0]);
        let found = session.call("main", &[("x", input)], &sizes(&[("N", 2)])).unwrap();
        let mut expected = [8.0, 0.0];
        for turn in 0..4 {
            let counter = f64::from(if reverse { 3 - turn } else { turn });
            expected = expected.map(|x| (x + counter) * 0.5);
        }
        assert_eq!(found[0].0, "y");
        close(&decode(DType::F32, &found[0].1.bytes), &expected, 0.0);
        device = Some(session.into_device());
    }
}

/// Negates until the sum is below a bound: a branch inside a loop.
fn branching() -> Plan {
    let is_large = {
        let value = apply(Scalar::Compare(Compare::Greater), [load(0, n(0)), number(10.0)]);
        let buffers = vec![
            buffer("x", DType::F32, n(1), Access::Read),
            buffer("large", DType::Bool, n(1), Access::Write),
        ];
        kernel("is_large", buffers, Vec::new(), vec![store(1, n(0), value)])
    };
    let scaled = |name: &str, factor: f64| {
        let value = apply(Scalar::Mul, [load(0, n(0)), number(factor)]);
        let buffers = vec![buffer("x", DType::F32, n(1), Access::ReadWrite)];
        kernel(name, buffers, Vec::new(), vec![store(0, n(0), value)])
    };
    let places = vec![
        place("x", DType::F32, n(1), CALLER),
        place("large", DType::Bool, n(1), PlaceClass::Scratch { first: 0, last: 0 }),
    ];
    let branch =
        Step::If { condition: PlaceId(1), then: vec![launch(1, &[0])], otherwise: vec![launch(2, &[0])] };
    let body = vec![launch(0, &[0, 1]), branch];
    let steps = vec![Step::Loop { counter: symbol("turn"), count: s("turns"), reverse: false, body }];
    plan(vec![is_large, scaled("shrink", 0.25), scaled("grow", 3.0)], entry(places, &[0], &[0], steps))
}

#[test]
fn branches_follow_the_device() {
    let Some(device) = device() else { return };
    let mut session = Session::new(device, &branching());
    let found = session.call("main", &[("x", tensor(DType::F32, &[2.0]))], &sizes(&[("turns", 5)])).unwrap();
    // 2, 6, 18, 4.5, 13.5, 3.375
    close(&decode(DType::F32, &found[0].1.bytes), &[3.375], 0.0);
}

/// `weight += x`, with the weight in a slot.
fn slotted(kind: SlotKind, size: nnc_ir::Dim) -> Plan {
    let add = {
        let value = apply(Scalar::Add, [load(0, s("i")), load(1, s("i"))]);
        let buffers = vec![
            buffer("w", DType::Bf16, size.clone(), Access::ReadWrite),
            buffer("x", DType::Bf16, size.clone(), Access::Read),
        ];
        let mut made =
            kernel("add", buffers, vec![(symbol("i"), size.clone())], vec![store(0, s("i"), value)]);
        made.sizes = vec![symbol("N")];
        made
    };
    let places = vec![
        place("w", DType::Bf16, size.clone(), PlaceClass::Slot(0)),
        place("x", DType::Bf16, size.clone(), CALLER),
    ];
    let mut made = plan(vec![add], entry(places, &[1], &[], vec![launch(0, &[0, 1])]));
    made.entries[0].outputs = vec![(Port::Slot(0), PlaceId(0))];
    let ty = Type::new(DType::Bf16, vec![size]);
    made.slots = vec![Slot { path: "layer.w".to_string(), kind, ty, copies: Vec::new(), was: None }];
    made
}

#[test]
fn slots_stay_on_the_device() {
    let Some(device) = device() else { return };
    let mut session = Session::new(device, &slotted(SlotKind::Weight, n(3)));
    let at = sizes(&[("N", 3)]);
    assert_eq!(session.get_slot(0).unwrap(), vec![0; 6]);
    session.set_slot(0, &encode(DType::Bf16, &[1.0, 2.0, 3.0])).unwrap();
    for _ in 0..3 {
        session.call("main", &[("x", tensor(DType::Bf16, &[0.5, -1.0, 256.0]))], &at).unwrap();
    }
    // 256 + 3 rounds to 260 in bf16, then 516, then 772.
    let found = decode(DType::Bf16, &session.get_slot(0).unwrap());
    close(&found, &[2.5, -1.0, 772.0], 0.0);
    let error = session.set_slot(0, &[0; 4]).unwrap_err();
    assert_eq!(error.to_string(), "slot `layer.w` has 6 bytes, but receives 4");
}

#[test]
fn caches_start_anew_and_weights_refuse_other_sizes() {
    let Some(mut device) = device() else { return };
    for (kind, refused) in [(SlotKind::Cache, false), (SlotKind::Weight, true)] {
        let mut session = Session::new(device, &slotted(kind, s("N")));
        let mut call = |values: &[f64]| {
            let at = sizes(&[("N", values.len() as i64)]);
            session.call("main", &[("x", tensor(DType::Bf16, values))], &at).map(|_| ())
        };
        call(&[1.0, 2.0]).unwrap();
        let second = call(&[5.0, 6.0, 7.0]);
        match refused {
            true => assert_eq!(
                second.unwrap_err().to_string(),
                "slot `layer.w` holds 2 elements, but these sizes ask for 3"
            ),
            false => close(&decode(DType::Bf16, &session.get_slot(0).unwrap()), &[5.0, 6.0, 7.0], 0.0),
        }
        device = session.into_device();
    }
}

#[test]
fn one_place_may_be_bound_twice() {
    let Some(device) = device() else { return };
    let add = samples::map(Scalar::Add, &[DType::F32, DType::F32]);
    let places = vec![place("x", DType::F32, s("N"), CALLER)];
    let made = plan(vec![add], entry(places, &[0], &[0], vec![launch(0, &[0, 0, 0])]));
    let mut session = Session::new(device, &made);
    let found = session.call("main", &[("x", tensor(DType::F32, &[1.0, 2.0]))], &sizes(&[("N", 2)])).unwrap();
    close(&decode(DType::F32, &found[0].1.bytes), &[2.0, 4.0], 0.0);
}

#[test]
fn empty_tensors_are_no_work() {
    let Some(device) = device() else { return };
    let (_, found) = run(device, &samples::softmax(), &[Vec::new()], &sizes(&[("B", 0), ("T", 5)]));
    assert!(found[0].is_empty());
}

#[test]
fn long_loops_are_submitted_in_parts() {
    let Some(device) = device() else { return };
    let places = vec![place("x", DType::F32, s("N"), CALLER)];
    let body = vec![launch(0, &[0])];
    let steps = vec![Step::Loop { counter: symbol("turn"), count: n(3000), reverse: false, body }];
    let made = plan(vec![samples::add_counter()], entry(places, &[0], &[0], steps));
    let mut session = Session::new(device, &made);
    let found = session.call("main", &[("x", tensor(DType::F32, &[1.0]))], &sizes(&[("N", 1)])).unwrap();
    close(&decode(DType::F32, &found[0].1.bytes), &[4_498_501.0], 0.0);
}

#[test]
fn wrong_calls_are_refused_in_the_callers_words() {
    let Some(device) = device() else { return };
    let mut made = counting(false);
    made.entries[0].guards.push(Guard { zero: s("N").modulo(&n(2)), message: "N is even".to_string() });
    let mut session = Session::new(device, &made);
    let x = |values: &[f64]| tensor(DType::F32, values);
    let two = sizes(&[("N", 2)]);
    let mut refusal = |entry: &str, inputs: &[(&str, HostBytes)], sizes: &Sizes| {
        session.call(entry, inputs, sizes).unwrap_err().to_string()
    };
    assert_eq!(refusal("other", &[], &two), "there is no entry `other`");
    assert_eq!(refusal("main", &[], &two), "input `x` is missing");
    assert_eq!(refusal("main", &[("x", x(&[1.0; 3]))], &two), "input `x` is f32[2], but receives f32[3]");
    assert_eq!(
        refusal("main", &[("x", tensor(DType::I32, &[1.0; 2]))], &two),
        "input `x` is f32[2], but receives i32[2]"
    );
    assert_eq!(refusal("main", &[("x", x(&[1.0; 2])), ("z", x(&[]))], &two), "there is no input `z`");
    assert_eq!(refusal("main", &[("x", x(&[1.0]))], &sizes(&[("N", 1)])), "N is even");
    let nothing = refusal("main", &[("x", x(&[1.0; 2]))], &sizes(&[]));
    assert_eq!(nothing, "`mod(N, 2)` cannot be computed from the sizes given");
}

#[test]
fn what_the_device_cannot_hold_is_refused() {
    use nnc_ir::session::Device as _;
    let Some(mut device) = device() else { return };
    assert!(matches!(device.allocate(usize::MAX / 2), Err(DeviceError::TooLarge { .. })));
    assert_eq!(device.stride(DType::F64), Err(DeviceError::NoF64));
    // The device still works.
    let (_, found) =
        run(device, &samples::map(Scalar::Neg, &[DType::F32]), &[vec![1.0]], &sizes(&[("N", 1)]));
    close(&found[0], &[-1.0], 0.0);
}

#[test]
fn a_device_says_what_it_is() {
    let Some(device) = device() else { return };
    assert!(!device.name().is_empty());
    assert!(device.options().max_storage_buffers >= 8);
    let _: fn(&Device) -> bool = Device::is_software;
}
