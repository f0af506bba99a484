//! Every statement and every leaf expression, against straightforward Rust, for odd lengths and partial grids.

mod harness;

use harness::*;
use nnc_cpu::{CODE_ALIGNMENT, compile, compile_all, tile_bytes};
use nnc_ir::kernel::{BufferId, Expr, Gemm, Kernel, Matrix, Scalar, Statement, Var};
use nnc_ir::ops::Fold;
use nnc_ir::{DType, Dim, Symbol};
use nnc_kernels::exec::CodePage;
use nnc_kernels::{AlignedBytes, CpuLevel, random};

const LENGTHS: [usize; 9] = [0, 1, 3, 4, 15, 16, 17, 63, 1000];

fn add(a: Expr, b: Expr) -> Expr {
    apply(Scalar::Add, &[a, b])
}

fn mul(a: Expr, b: Expr) -> Expr {
    apply(Scalar::Mul, &[a, b])
}

fn zeros(n: usize) -> AlignedBytes {
    AlignedBytes::zeroed(n * 4)
}

fn fold(var: u32, fold: Fold) -> Statement {
    Statement::Fold { var: Var(var), fold }
}

fn accumulate(var: u32, value: Expr) -> Statement {
    Statement::Accumulate { var: Var(var), value }
}

/// `y[r, i] = a[r, i] * b[i] + 1` over a grid of rows.
fn rows() -> Kernel {
    let at = || s("r") * s("n") + s("i");
    kernel(&["m", "n"])
        .buffer(DType::F32, s("m") * s("n"))
        .buffer(DType::F32, s("n"))
        .buffer(DType::F32, s("m") * s("n"))
        .over("r", s("m"))
        .body(vec![vector(
            "i",
            s("n"),
            vec![store(2, at(), add(mul(load(0, at()), load(1, s("i"))), f32c(1.0)))],
        )])
}

#[test]
fn every_element_of_every_length_is_written_once() {
    for n in LENGTHS {
        let (a, b) = (Noise(1).floats(3 * n), Noise(2).floats(n));
        let result = run(&rows(), &[3, n as i64], &[pack(&a), pack(&b), zeros(3 * n)], 3);
        let expected: Vec<f32> = (0..3 * n).map(|i| a[i] * b[i % n] + 1.0).collect();
        assert_eq!(unpack::<f32>(&result[2]), expected, "length {n}");
    }
}

#[test]
fn a_partial_range_touches_only_its_instances() {
    let (m, k, n) = (3i64, 4i64, 5i64);
    // One instance per (x, y, z): writes its own linear number plus one.
    let number = s("x") * c(20) + s("y") * s("n") + s("z") + c(1);
    let at = number.clone() - c(1);
    let kernel = kernel(&["n"])
        .buffer(DType::I32, c(60))
        .over("x", c(m))
        .over("y", c(k))
        .over("z", s("n"))
        .body(vec![store(0, at, Expr::Dim(number, DType::I32))]);
    for (start, end) in [(0, 60), (0, 0), (7, 8), (13, 41), (59, 60), (20, 20), (5, 4)] {
        for level in CpuLevel::available() {
            let mut buffers = [pack(&[0i32; 60])];
            run_range(&kernel, level, &[n], &mut buffers, start..end);
            let inside = |i: i64| start <= i && i < end;
            let expected: Vec<i32> = (0..60).map(|i| if inside(i) { i as i32 + 1 } else { 0 }).collect();
            assert_eq!(unpack::<i32>(&buffers[0]), expected, "{start}..{end}");
        }
    }
}

/// The fold of one row.
fn fold_kernel(kind: Fold, dtype: DType) -> Kernel {
    kernel(&["n"]).buffer(dtype, s("n")).buffer(dtype, c(1)).scalars(&[dtype]).body(vec![
        fold(0, kind),
        vector("i", s("n"), vec![accumulate(0, load(0, s("i")))]),
        store(1, c(0), var(0)),
    ])
}

#[test]
fn float_folds_of_every_length() {
    for n in LENGTHS {
        let a: Vec<f32> = Noise(5).floats(n).iter().map(|x| 1.0 + x / 64.0).collect();
        for (kind, dtype) in [
            (Fold::Add, DType::F32),
            (Fold::Mul, DType::F32),
            (Fold::Max, DType::F32),
            (Fold::Min, DType::F32),
            (Fold::Add, DType::F64),
        ] {
            let wide: Vec<f64> = a.iter().map(|x| f64::from(*x)).collect();
            let buffers = match dtype {
                DType::F64 => [pack(&wide), pack(&[0.0f64])],
                _ => [pack(&a), zeros(1)],
            };
            let result = run(&fold_kernel(kind, dtype), &[n as i64], &buffers, 1);
            let found = match dtype {
                DType::F64 => unpack::<f64>(&result[1])[0],
                _ => f64::from(unpack::<f32>(&result[1])[0]),
            };
            let expected = wide.iter().fold(kind.identity(), |sum, x| kind.apply(sum, *x));
            let close = found == expected || (found - expected).abs() <= 1e-5 * expected.abs();
            assert!(close, "{kind:?} {dtype} of {n}: {found}, expected {expected}");
        }
    }
}

#[test]
fn one_nan_anywhere_makes_a_maximum_nan() {
    let n = 39;
    for place in 0..n {
        for kind in [Fold::Max, Fold::Min, Fold::Add] {
            let mut a = Noise(6).floats(n);
            a[place] = f32::NAN;
            let result = run(&fold_kernel(kind, DType::F32), &[n as i64], &[pack(&a), zeros(1)], 1);
            assert!(unpack::<f32>(&result[1])[0].is_nan(), "{kind:?}, NaN at {place}");
        }
    }
}

#[test]
fn integer_and_boolean_folds() {
    for n in LENGTHS {
        let a: Vec<i32> = (0..n as i32).map(|i| (i * 7919) % 101 - 50).collect();
        let expected = [
            (Fold::Add, a.iter().sum::<i32>()),
            (Fold::Max, a.iter().copied().max().unwrap_or(i32::MIN)),
            (Fold::Min, a.iter().copied().min().unwrap_or(i32::MAX)),
        ];
        for (kind, expected) in expected {
            let result = run(&fold_kernel(kind, DType::I32), &[n as i64], &[pack(&a), zeros(1)], 1);
            assert_eq!(unpack::<i32>(&result[1]), [expected], "{kind:?} of {n}");
        }
        for ones in [0, n.saturating_sub(1), n] {
            let a: Vec<u8> = (0..n).map(|i| u8::from(i < ones)).collect();
            let any = run(&fold_kernel(Fold::Or, DType::Bool), &[n as i64], &[pack(&a), pack(&[9u8])], 1);
            let all = run(&fold_kernel(Fold::And, DType::Bool), &[n as i64], &[pack(&a), pack(&[9u8])], 1);
            assert_eq!(unpack::<u8>(&any[1]), [u8::from(ones > 0)], "any of {ones} in {n}");
            assert_eq!(unpack::<u8>(&all[1]), [u8::from(ones == n)], "all of {ones} in {n}");
        }
    }
}

#[test]
fn the_order_of_a_fold_depends_on_its_length_alone() {
    let n = 1003;
    let a = Noise(7).floats(n);
    let kernel = fold_kernel(Fold::Add, DType::F32);
    let level = CpuLevel::detect();
    let mut results = Vec::new();
    for shift in [0, 1, 5] {
        // The same numbers at another alignment.
        let mut shifted = vec![0.0f32; shift];
        shifted.extend(&a);
        let moved = kernel.clone().body(vec![
            fold(0, Fold::Add),
            vector("i", s("n"), vec![accumulate(0, load(0, s("i") + c(shift as i64)))]),
            store(1, c(0), var(0)),
        ]);
        let mut buffers = [pack(&shifted), zeros(1)];
        run_range(&moved, level, &[n as i64], &mut buffers, 0..1);
        results.push(unpack::<u32>(&buffers[1])[0]);
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:x?}");
}

#[test]
fn softmax_rows_keep_their_row_in_a_tile() {
    let at = || s("r") * s("n") + s("i");
    let minus_peak = apply(Scalar::Sub, &[load(0, at()), var(0)]);
    let kernel = kernel(&["m", "n"])
        .buffer(DType::F32, s("m") * s("n"))
        .buffer(DType::F32, s("m") * s("n"))
        .tile(DType::U8, c(3))
        .tile(DType::F32, s("n"))
        .over("r", s("m"))
        .scalars(&[DType::F32, DType::F32, DType::F32, DType::F32])
        .body(vec![
            fold(0, Fold::Max),
            vector("i", s("n"), vec![accumulate(0, load(0, at()))]),
            fold(1, Fold::Add),
            vector(
                "i",
                s("n"),
                vec![
                    Statement::Let(Var(2), apply(Scalar::Exp, &[minus_peak])),
                    store(3, s("i"), var(2)),
                    accumulate(1, var(2)),
                ],
            ),
            Statement::Let(Var(3), apply(Scalar::Div, &[f32c(1.0), var(1)])),
            vector("i", s("n"), vec![store(1, at(), mul(load(3, s("i")), var(3)))]),
        ]);
    assert_eq!(tile_bytes(&kernel, &[2, 20]), Some(64 + 128));
    assert_eq!(tile_bytes(&kernel, &[2, -1]), None);
    for n in LENGTHS {
        let a = Noise(8).floats(2 * n);
        let result = run(&kernel, &[2, n as i64], &[pack(&a), zeros(2 * n)], 2);
        let found = unpack::<f32>(&result[1]);
        for row in 0..2 {
            let row = row * n..(row + 1) * n;
            let sum: f64 = a[row.clone()].iter().map(|x| f64::from(*x).exp()).sum();
            for i in row {
                let expected = f64::from(a[i]).exp() / sum;
                assert!((f64::from(found[i]) - expected).abs() < 1e-6 * expected, "length {n}");
            }
        }
    }
}

#[test]
fn strides_other_than_one_are_gathered_and_scattered() {
    let (m, n) = (5usize, 37usize);
    for dtype in [DType::F32, DType::U8, DType::Bf16] {
        // A transposed copy: vector loop along the rows of the source, and along its columns.
        let copy = |inner: &str| {
            let value = load(0, s("i") * s("n") + s("j"));
            let (outer, extents) =
                if inner == "j" { ("i", [s("m"), s("n")]) } else { ("j", [s("n"), s("m")]) };
            let [first, second] = extents;
            kernel(&["m", "n"])
                .buffer(dtype, s("m") * s("n"))
                .buffer(dtype, s("m") * s("n"))
                .over(outer, first)
                .body(vec![vector(inner, second, vec![store(1, s("j") * s("m") + s("i"), value)])])
        };
        let size = m * n * dtype.size();
        let source: Vec<u8> = (0..size).map(|i| (i % 119) as u8).collect();
        let element = |bytes: &[u8], at: usize| bytes[at * dtype.size()..(at + 1) * dtype.size()].to_vec();
        for (inner, instances) in [("j", m), ("i", n)] {
            let buffers = [pack(&source), AlignedBytes::zeroed(size)];
            let result = run(&copy(inner), &[m as i64, n as i64], &buffers, instances as i64);
            for i in 0..m {
                for j in 0..n {
                    assert_eq!(
                        element(&result[1], j * m + i),
                        element(&source, i * n + j),
                        "{dtype} {i} {j}"
                    );
                }
            }
        }
    }
}

#[test]
fn indices_that_are_data_are_clamped() {
    let n = 21;
    let positions: Vec<i32> = (0..n as i32).map(|i| (i * 5) % 9 - 2).collect();
    let table = Noise(9).floats(5);
    let index = Statement::Index { symbol: Symbol::new("p"), value: load(0, s("i")), bound: c(5) };
    let body = || vec![index.clone(), store(2, s("i"), load(1, s("p")))];
    for looped in [vector("i", s("n"), body()), sequential("i", s("n"), body())] {
        let kernel = kernel(&["n"])
            .buffer(DType::I32, s("n"))
            .buffer(DType::F32, c(5))
            .buffer(DType::F32, s("n"))
            .body(vec![looped]);
        let result = run(&kernel, &[n], &[pack(&positions), pack(&table), zeros(n as usize)], 1);
        let expected: Vec<f32> = positions.iter().map(|p| table[(*p).clamp(0, 4) as usize]).collect();
        assert_eq!(unpack::<f32>(&result[2]), expected);
    }
}

#[test]
fn rows_looked_up_outside_the_vector_loop() {
    let positions = [3u32, 0, 9, 1];
    let table: Vec<f32> = (0..5 * 19).map(|i| i as f32).collect();
    let kernel = kernel(&["n"])
        .buffer(DType::U32, c(4))
        .buffer(DType::F32, c(5) * s("n"))
        .buffer(DType::F32, c(4) * s("n"))
        .over("r", c(4))
        .body(vec![
            Statement::Index { symbol: Symbol::new("p"), value: load(0, s("r")), bound: c(5) },
            vector("i", s("n"), vec![store(2, s("r") * s("n") + s("i"), load(1, s("p") * s("n") + s("i")))]),
        ]);
    let result = run(&kernel, &[19], &[pack(&positions), pack(&table), zeros(76)], 4);
    let rows = [3, 0, 4, 1];
    let expected: Vec<f32> = (0..76).map(|i| (rows[i / 19] * 19 + i % 19) as f32).collect();
    assert_eq!(unpack::<f32>(&result[2]), expected);
}

/// `y[i] = x[at(i)]` where `0 <= at(i) < m`, else `-7`.
fn guarded_read(at: Dim) -> Kernel {
    let value = Expr::Guarded {
        guards: vec![(at.clone(), s("m"))],
        value: Box::new(add(load(0, at), f32c(0.5))),
        otherwise: -7.0,
    };
    kernel(&["n", "m"]).buffer(DType::F32, s("m")).buffer(DType::F32, s("n")).body(vec![vector(
        "i",
        s("n"),
        vec![store(1, s("i"), value)],
    )])
}

#[test]
fn guards_decide_each_element() {
    type At = fn(i64) -> i64;
    let cases: [(Dim, At); 6] = [
        (s("i") - c(5), |i| i - 5),
        (s("i") + c(3), |i| i + 3),
        (c(30) - s("i"), |i| 30 - i),
        (c(2) * s("i") - c(9), |i| 2 * i - 9),
        ((s("i") - c(4)).floor_div(&c(3)), |i| (i - 4).div_euclid(3)),
        ((c(5) * s("i")).modulo(&c(7)) - c(2), |i| (5 * i).rem_euclid(7) - 2),
    ];
    for (dim, at) in cases {
        for (n, m) in [(0, 4), (40, 0), (17, 17), (100, 37), (100, 3), (64, 64), (37, 100)] {
            let x = Noise(11).floats(m);
            let result = run(&guarded_read(dim.clone()), &[n as i64, m as i64], &[pack(&x), zeros(n)], 1);
            let expected: Vec<f32> = (0..n as i64)
                .map(|i| if (0..m as i64).contains(&at(i)) { x[at(i) as usize] + 0.5 } else { -7.0 })
                .collect();
            assert_eq!(unpack::<f32>(&result[1]), expected, "at {dim}, n {n}, m {m}");
        }
    }
}

#[test]
fn a_guarded_block_folds_only_where_it_holds() {
    // The causal sum: y[r] = sum of x[i] for i <= r, and a second fold over all.
    let guard = Statement::Guard {
        dim: s("r") - s("i"),
        bound: s("n"),
        body: vec![accumulate(0, load(0, s("i"))), store(2, s("r") * s("n") + s("i"), load(0, s("i")))],
    };
    let kernel = kernel(&["n"])
        .buffer(DType::F32, s("n"))
        .buffer(DType::F32, s("n"))
        .buffer(DType::F32, s("n") * s("n"))
        .over("r", s("n"))
        .scalars(&[DType::F32])
        .body(vec![fold(0, Fold::Add), vector("i", s("n"), vec![guard]), store(1, s("r"), var(0))]);
    let n = 53;
    let x: Vec<f32> = (0..n).map(|i| (i % 11) as f32 - 3.0).collect();
    let result = run(&kernel, &[n as i64], &[pack(&x), zeros(n), zeros(n * n)], n as i64);
    let sums: Vec<f32> = (0..n).map(|r| x[..=r].iter().sum()).collect();
    assert_eq!(unpack::<f32>(&result[1]), sums);
    let lower: Vec<f32> = (0..n * n).map(|at| if at % n <= at / n { x[at % n] } else { 0.0 }).collect();
    assert_eq!(unpack::<f32>(&result[2]), lower);
}

#[test]
fn guards_that_do_not_change_in_the_loop() {
    let body = |value: Expr| vec![vector("i", s("n"), vec![store(1, s("r") * s("n") + s("i"), value)])];
    let value = Expr::Guarded {
        guards: vec![(s("r") - c(1), c(2)), (s("r"), s("n"))],
        value: Box::new(load(0, (s("r") - c(1)) * s("n") + s("i"))),
        otherwise: 2.0,
    };
    let kernel = kernel(&["n"])
        .buffer(DType::F32, c(2) * s("n"))
        .buffer(DType::F32, c(4) * s("n"))
        .over("r", c(4))
        .body(body(value));
    let n = 18usize;
    let x = Noise(12).floats(2 * n);
    let result = run(&kernel, &[n as i64], &[pack(&x), zeros(4 * n)], 4);
    let mut expected = vec![2.0; n];
    expected.extend(&x);
    expected.extend(vec![2.0; n]);
    assert_eq!(unpack::<f32>(&result[1]), expected);
}

#[test]
fn positions_as_numbers() {
    let dim = c(3) * s("i") + s("base");
    let nonlinear = (s("i") * s("i")).floor_div(&c(3));
    for (dim, at) in [
        (dim, (|i| 3 * i + 16_777_217) as fn(i64) -> i64),
        (nonlinear, |i| i * i / 3),
        (s("base"), |_| 16_777_217),
    ] {
        let n = 35;
        let kernel = kernel(&["n", "base"])
            .buffer(DType::I32, s("n"))
            .buffer(DType::F32, s("n"))
            .buffer(DType::U8, s("n"))
            .body(vec![vector(
                "i",
                s("n"),
                vec![
                    store(0, s("i"), Expr::Dim(dim.clone(), DType::I32)),
                    store(1, s("i"), Expr::Dim(dim.clone(), DType::F32)),
                    store(2, s("i"), Expr::Dim(dim.clone(), DType::U8)),
                ],
            )]);
        let buffers = [zeros(n), zeros(n), AlignedBytes::zeroed(n)];
        let result = run(&kernel, &[n as i64, 16_777_217], &buffers, 1);
        let expected: Vec<i64> = (0..n as i64).map(at).collect();
        assert_eq!(unpack::<i32>(&result[0]), expected.iter().map(|x| *x as i32).collect::<Vec<_>>());
        assert_eq!(unpack::<f32>(&result[1]), expected.iter().map(|x| *x as f32).collect::<Vec<_>>());
        assert_eq!(unpack::<u8>(&result[2]), expected.iter().map(|x| *x as u8).collect::<Vec<_>>());
    }
}

#[test]
fn floors_and_remainders_of_run_time_sizes_round_down() {
    let p = s("i") - c(20);
    let (quotient, rest) = (p.floor_div(&s("q")), p.modulo(&s("q")));
    let low = p.minimum(&s("q"));
    let high = p.maximum(&s("q"));
    let dims =
        [quotient, rest, low, high, p.floor_div(&c(7)), p.modulo(&c(7)), p.floor_div(&c(8)), p.modulo(&c(8))];
    let stores = dims
        .iter()
        .enumerate()
        .map(|(place, dim)| store(0, c(8) * s("i") + c(place as i64), Expr::Dim(dim.clone(), DType::I32)))
        .collect();
    let kernel =
        kernel(&["n", "q"]).buffer(DType::I32, c(8) * s("n")).body(vec![sequential("i", s("n"), stores)]);
    let n = 45;
    for q in [1i64, 3, 8, 1000] {
        let result = run(&kernel, &[n as i64, q], &[zeros(8 * n)], 1);
        let expected: Vec<i32> = (0..n as i64)
            .map(|i| i - 20)
            .flat_map(|p| {
                let fixed = [p.div_euclid(7), p.rem_euclid(7), p.div_euclid(8), p.rem_euclid(8)];
                [p.div_euclid(q), p.rem_euclid(q), p.min(q), p.max(q)].into_iter().chain(fixed)
            })
            .map(|x| x as i32)
            .collect();
        assert_eq!(unpack::<i32>(&result[0]), expected, "q = {q}");
    }
}

#[test]
fn random_numbers_are_those_of_the_host_generator() {
    let u32c = |value: f64| Expr::Constant(value, DType::U32);
    let random = Expr::Random {
        seed: Box::new(load(0, c(0))),
        step: Box::new(u32c(5.0)),
        index: s("i") + s("start"),
        salt: c(3),
    };
    let kernel = kernel(&["n", "start"])
        .buffer(DType::U32, c(1))
        .buffer(DType::F32, s("n"))
        .body(vec![vector("i", s("n"), vec![store(1, s("i"), random)])]);
    let (n, start) = (1001, u32::MAX - 100);
    let buffers = [pack(&[0xdead_beefu32]), zeros(n)];
    let result = run(&kernel, &[n as i64, i64::from(start)], &buffers, 1);
    let expected: Vec<f32> = (0..n as u32)
        .map(|i| random::threefry2x32([0xdead_beef, 5], [start.wrapping_add(i), 3]))
        .map(|words| random::uniform_f32(words[0]))
        .collect();
    assert_eq!(unpack::<f32>(&result[1]), expected);
}

#[test]
fn a_recurrence_runs_in_order() {
    // x[i + 1] = x[i] * 0.5 + 1, in place.
    let next = add(mul(load(0, s("i")), f32c(0.5)), f32c(1.0));
    let kernel = kernel(&["n"]).buffer(DType::F32, s("n") + c(1)).body(vec![sequential(
        "i",
        s("n"),
        vec![store(0, s("i") + c(1), next)],
    )]);
    let mut x = vec![0.0f32; 41];
    let result = run(&kernel, &[40], &[pack(&x)], 1);
    for i in 0..40 {
        x[i + 1] = x[i] * 0.5 + 1.0;
    }
    assert_eq!(unpack::<f32>(&result[0]), x);
}

#[test]
fn a_fold_read_in_its_own_loop_gives_running_values() {
    let body = vec![accumulate(0, load(0, s("i"))), store(1, s("i"), var(0))];
    let kernel = kernel(&["n"])
        .buffer(DType::F32, s("n"))
        .buffer(DType::F32, s("n"))
        .scalars(&[DType::F32])
        .body(vec![fold(0, Fold::Add), vector("i", s("n"), body)]);
    let x: Vec<f32> = (0..33).map(|i| (i % 5) as f32).collect();
    let result = run(&kernel, &[33], &[pack(&x), zeros(33)], 1);
    let expected: Vec<f32> = (0..33).map(|i| x[..=i].iter().sum()).collect();
    assert_eq!(unpack::<f32>(&result[1]), expected);
}

fn product(dtype: DType, accumulate: bool) -> Kernel {
    let matrix = |buffer: u32, row: Dim, column: Dim| Matrix {
        buffer: BufferId(buffer),
        offset: s("g") * c(12),
        row,
        column,
    };
    let gemm = Gemm {
        m: c(3),
        n: c(4),
        k: c(2),
        c: matrix(2, s("four"), c(1)),
        a: matrix(0, c(1), c(3)),
        b: matrix(1, s("four"), c(1)),
        accumulate,
    };
    let mut k = kernel(&["four"]).over("g", c(2));
    for _ in 0..3 {
        k = k.buffer(dtype, c(24));
    }
    k.body(vec![Statement::Gemm(Box::new(gemm))])
}

#[test]
fn products_call_the_host() {
    for accumulate in [false, true] {
        let number = |i: usize| (i % 7) as f32 - 2.0;
        let (a, b): (Vec<f32>, Vec<f32>) = (0..24).map(|i| (number(i), number(i * 3))).unzip();
        let buffers = [pack(&a), pack(&b), pack(&[10.0f32; 24])];
        let result = run(&product(DType::F32, accumulate), &[4], &buffers, 2);
        let expected: Vec<f32> = (0..24)
            .map(|at| {
                let (g, i, j) = (at / 12 * 12, at % 12 / 4, at % 4);
                let sum: f32 = (0..2).map(|k| a[g + i + 3 * k] * b[g + 4 * k + j]).sum();
                sum + if accumulate { 10.0 } else { 0.0 }
            })
            .collect();
        assert_eq!(unpack::<f32>(&result[2]), expected, "accumulate: {accumulate}");
    }
    let wide = [pack(&[1.0f64; 24]), pack(&[2.0f64; 24]), pack(&[0.0f64; 24])];
    assert_eq!(unpack::<f64>(&run(&product(DType::F64, false), &[4], &wide, 2)[2]), [4.0; 24]);
}

#[test]
fn what_is_not_supported_is_an_error() {
    let message = |kernel: &Kernel| compile(kernel, CpuLevel::Scalar).unwrap_err().to_string();
    let bf16 = message(&product(DType::Bf16, false));
    assert!(bf16.contains("bf16") && bf16.contains("kernel `test`"), "{bf16}");
    let one = |statement: Statement| kernel(&[]).buffer(DType::F32, c(1)).body(vec![statement]);
    assert!(message(&one(store(0, s("q"), f32c(1.0)))).contains("`q` is not bound"));
    assert!(message(&one(store(7, c(0), f32c(1.0)))).contains("no buffer 7"));
    assert!(message(&one(store(0, c(0), var(3)))).contains("scalar 3 is not bound"));
    let mixed = add(f32c(1.0), Expr::Constant(1.0, DType::I32));
    assert!(message(&one(store(0, c(0), mixed))).contains("f32 and i32"));
    let integer = Expr::Constant(1.0, DType::I32);
    assert!(message(&one(store(0, c(0), integer))).contains("store of i32 into a buffer of f32"));
    assert!(message(&one(accumulate(0, f32c(1.0)))).contains("fold 0 is not declared"));
    assert!(message(&one(store(0, c(0), Expr::Operand(2, DType::F32)))).contains("operand 2"));
}

#[test]
fn code_runs_from_any_aligned_address() {
    let kernel = rows();
    let (a, b) = (Noise(1).floats(100), Noise(2).floats(50));
    let buffers = [pack(&a), pack(&b), zeros(100)];
    let expected = run(&kernel, &[2, 50], &buffers, 2);
    let code = compile(&kernel, CpuLevel::detect()).unwrap().code;
    for offset in [CODE_ALIGNMENT, 3 * CODE_ALIGNMENT, 4096 + CODE_ALIGNMENT] {
        let mut moved = vec![0xcc; offset];
        moved.extend(&code);
        let page = CodePage::new(&moved).unwrap();
        let mut copy = buffers.to_vec();
        run_page(&page, offset, &kernel, &[2, 50], &mut copy, 0..2);
        assert_eq!(copy[2][..], expected[2][..], "at offset {offset}");
    }
}

#[test]
fn compiling_is_deterministic_and_keeps_the_order() {
    let kernels: Vec<Kernel> = (0..9)
        .map(|i| Kernel {
            name: format!("k{i}"),
            ..fold_kernel(if i % 2 == 0 { Fold::Add } else { Fold::Max }, DType::F32)
        })
        .collect();
    let one = compile_all(&kernels, CpuLevel::Avx2, 1).unwrap();
    let two = compile_all(&kernels, CpuLevel::Avx2, 2).unwrap();
    assert_eq!(one, two);
    assert!(one.iter().enumerate().all(|(i, compiled)| compiled.name == format!("k{i}")));
    assert_eq!(compile_all(&[], CpuLevel::Scalar, 2), Ok(vec![]));
}
