//! Round trips, and everything that can be wrong with a file. The kernel is one that doubles a vector; its machine
//! code is never called here.

use super::*;
use crate::call::RunError;
use crate::model::Model;
use crate::tensor::HostTensor;
use nnc_ir::graph::{Port, Size, Slot, SlotKind};
use nnc_ir::kernel::{Access, Buffer, BufferId, Expr, Kernel, Scalar, Statement};
use nnc_ir::plan::{EntryPlan, Guard, Place, PlaceClass, PlaceId, Plan, Step};
use nnc_ir::{DType, Dim, Symbol, Type};
use nnc_kernels::CpuLevel;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

/// `y[n] = x[n] * w`, for any `n` from 1 to 8.
fn plan() -> Plan {
    let n = Dim::symbol("n");
    let buffer = |name: &str, size: &Dim, access| Buffer {
        name: name.into(),
        dtype: DType::F32,
        size: size.clone(),
        access,
    };
    let load = |buffer, offset| Expr::Load(BufferId(buffer), offset);
    let value = Expr::Apply(Scalar::Mul, vec![load(0, Dim::symbol("i")), load(1, Dim::zero())]);
    let kernel = Kernel {
        name: "scale".into(),
        sizes: vec![Symbol::new("n")],
        buffers: vec![
            buffer("x", &n, Access::Read),
            buffer("w", &Dim::one(), Access::Read),
            buffer("y", &n, Access::Write),
        ],
        tiles: Vec::new(),
        grid: vec![(Symbol::new("i"), n.clone())],
        body: vec![Statement::Store { buffer: BufferId(2), offset: Dim::symbol("i"), value }],
        scalars: Vec::new(),
        cost: 1.0,
    };
    let place = |name: &str, shape: &[Dim], class| Place {
        name: name.into(),
        dtype: DType::F32,
        shape: shape.to_vec(),
        class,
    };
    let named = |name: &str, at| (Port::Named(name.into()), PlaceId(at));
    let entry = EntryPlan {
        name: "forward".into(),
        inputs: vec![named("x", 0), (Port::Slot(0), PlaceId(1))],
        outputs: vec![named("y", 2)],
        places: vec![
            place("x", std::slice::from_ref(&n), PlaceClass::Caller),
            place("w", &[], PlaceClass::Slot(0)),
            place("y", std::slice::from_ref(&n), PlaceClass::Scratch { first: 0, last: 0 }),
        ],
        steps: vec![Step::Launch { kernel: 0, bind: vec![PlaceId(0), PlaceId(1), PlaceId(2)] }],
        guards: vec![Guard { zero: n.modulo(&Dim::one()), message: "n is whole".into() }],
        notes: vec!["one kernel".into()],
    };
    let weight = Slot {
        path: "w".into(),
        kind: SlotKind::Weight,
        ty: Type::scalar(DType::F32),
        copies: Vec::new(),
        was: None,
    };
    Plan {
        sizes: vec![Size { symbol: Symbol::new("n"), min: 1, max: Some(8), multiple: 1 }],
        slots: vec![weight],
        entries: vec![entry],
        kernels: vec![kernel],
    }
}

fn code() -> Vec<(CpuLevel, Vec<Vec<u8>>)> {
    [CpuLevel::Scalar, CpuLevel::Avx2].map(|level| (level, vec![vec![0xc3]])).to_vec()
}

fn made(path: &Path, plan: &Plan) -> Result<(), crate::file::FileError> {
    let weights = [("w".to_string(), HostTensor::scalar(2.0f32))];
    let metadata = BTreeMap::from([("nnc.model".to_string(), "Scale".to_string())]);
    let contents = Contents {
        model: "Scale",
        plan,
        graph: "size n in 1..8 step 1\n",
        code: &code(),
        weights: &weights,
        metadata: &metadata,
    };
    write(path, &contents)
}

fn in_folder(test: impl FnOnce(PathBuf)) {
    test(tempfile::tempdir().unwrap().path().join("a.nnb"));
}

/// Everything a reader can ask of a file.
#[derive(Debug, PartialEq)]
struct Everything {
    manifest: Manifest,
    plan: Plan,
    graph: String,
    kernels: Vec<String>,
    code: Vec<Vec<Vec<u8>>>,
    weight: HostTensor,
    metadata: BTreeMap<String, String>,
}

fn everything(path: &Path) -> Result<Everything, crate::file::FileError> {
    let artifact = Artifact::open(path)?;
    let plan = artifact.plan()?;
    let weights = artifact.weights()?;
    let weight = weights.get("w").and_then(|view| view.to_host());
    Ok(Everything {
        manifest: artifact.manifest().clone(),
        graph: artifact.graph()?,
        kernels: artifact.kernels(&plan)?,
        code: [CpuLevel::Scalar, CpuLevel::Avx2]
            .map(|level| artifact.code(&plan, level))
            .into_iter()
            .collect::<Result<_, _>>()?,
        weight: weight.ok_or_else(|| crate::file::FileError::in_file("none", path, "no weight"))?,
        metadata: weights.metadata().clone(),
        plan,
    })
}

/// The archive with some members replaced; `None` removes one.
fn rewritten(bytes: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut from = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut to = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..from.len() {
        let mut member = from.by_index(index).unwrap();
        let (name, mut content) = (member.name().to_string(), Vec::new());
        member.read_to_end(&mut content).unwrap();
        let Some(content) = change(&name, content) else { continue };
        let stored =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        to.start_file(&name, stored).unwrap();
        to.write_all(&content).unwrap();
    }
    to.finish().unwrap().into_inner()
}

/// The archive with one member replaced and its size and checksum put right, as somebody would who knows the format.
fn forged(bytes: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let member = Member {
        name: name.into(),
        bytes: content.len() as u64,
        crc32: format!("{:08x}", crc32fast::hash(content)),
    };
    rewritten(bytes, |own, old| {
        if own == "manifest.json" {
            let mut manifest: serde_json::Value = serde_json::from_slice(&old).unwrap();
            let members = manifest["members"].as_array_mut().unwrap();
            let place = members.iter().position(|m| m["name"] == name).unwrap();
            members[place] = serde_json::to_value(&member).unwrap();
            return Some(manifest.to_string().into_bytes());
        }
        Some(if own == name { content.to_vec() } else { old })
    })
}

/// The manifest changed as a text.
fn with_manifest(bytes: &[u8], change: impl Fn(String) -> String) -> Vec<u8> {
    rewritten(bytes, |name, old| {
        Some(if name == "manifest.json" { change(String::from_utf8(old).unwrap()).into_bytes() } else { old })
    })
}

fn refused(path: &Path, bytes: &[u8]) -> (&'static str, String) {
    std::fs::write(path, bytes).unwrap();
    let error = everything(path).unwrap_err();
    (error.code, error.to_string())
}

#[test]
fn what_is_written_is_read_and_equal_content_gives_equal_bytes() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let found = everything(&path).unwrap();
        assert_eq!(found.plan, plan());
        assert_eq!(found.kernels, [format!("{}\n", plan().kernels[0])]);
        assert_eq!(found.code, [[[0xc3]], [[0xc3]]]);
        assert_eq!(found.weight, HostTensor::scalar(2.0f32));
        assert_eq!(found.metadata["nnc.model"], "Scale");
        assert_eq!(found.manifest.model, "Scale");
        assert_eq!(found.manifest.interface.entry("forward").unwrap().inputs[0].to_string(), "f32[n]");
        let first = std::fs::read(&path).unwrap();
        made(&path, &plan()).unwrap();
        assert!(first == std::fs::read(&path).unwrap());
    });
}

#[test]
fn every_truncation_is_an_error() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in 0..whole.len() {
            let (code, message) = refused(&path, &whole[..len]);
            assert!(code.starts_with("artifact::"), "{len} bytes: {message}");
        }
    });
}

#[test]
fn no_flipped_bit_changes_what_is_read() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let sound = everything(&path).unwrap();
        let mut found = 0;
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << (byte % 8);
            std::fs::write(&path, &damaged).unwrap();
            match everything(&path) {
                // Dates and the like may change without harm.
                Ok(read) => assert!(read == sound, "byte {byte}"),
                Err(_) => found += 1,
            }
        }
        assert!(found > whole.len() / 2, "{found} of {} damages are found", whole.len());
    });
}

#[test]
fn foreign_files_say_what_they_are_not() {
    in_folder(|path| {
        assert_eq!(refused(&path, b"").0, "artifact::foreign");
        assert_eq!(refused(&path, b"model Gpt() {}").0, "artifact::foreign");
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        let other = zip.finish().unwrap().into_inner();
        let (code, message) = refused(&path, &other);
        assert!(code == "artifact::foreign" && message.contains("no `manifest.json`"), "{message}");
    });
}

#[test]
fn other_versions_are_refused_by_name() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let version = |text: &str| {
            with_manifest(&whole, |old| {
                let stated = format!("\"schema\": {SCHEMA}");
                assert!(old.contains(&stated));
                // A later version may say anything else; it is still refused for its version.
                old.replace(&stated, text).replace("\"entries\"", "\"other\"")
            })
        };
        let (code, message) = refused(&path, &version("\"schema\": 1000"));
        assert!(code == "artifact::version" && message.contains("in format 1000"), "{message}");
        assert!(message.contains(env!("CARGO_PKG_VERSION")), "{message}");
        assert_eq!(refused(&path, &version("\"schema\": 0")).0, "artifact::version");
        assert_eq!(refused(&path, &version("\"schema\": \"x\"")).0, "artifact::foreign");
        assert_eq!(refused(&path, &with_manifest(&whole, |_| "{".into())).0, "artifact::foreign");
        let latin =
            rewritten(&whole, |name, old| Some(if name == "manifest.json" { vec![0xff, 0xfe] } else { old }));
        assert!(refused(&path, &latin).1.contains("utf-8"));
    });
}

#[test]
fn members_must_be_those_of_the_manifest() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let without = |gone: &'static str| rewritten(&whole, move |name, old| (name != gone).then_some(old));
        for gone in
            ["plan", "graph.nnir", "weights.safetensors", "kernels/0000-scale.txt", "code/avx2/0000-scale"]
        {
            let (code, message) = refused(&path, &without(gone));
            assert!(code == "artifact::damaged" && message.contains(gone), "{message}");
        }
        let changed = |name: &'static str, content: &'static [u8]| {
            rewritten(&whole, move |own, old| Some(if own == name { content.to_vec() } else { old }))
        };
        assert!(
            refused(&path, &changed("graph.nnir", b""))
                .1
                .contains("the manifest says 22 bytes, the archive 0")
        );
        let (code, message) = refused(&path, &changed("graph.nnir", b"size n in 1..9 step 1\n"));
        assert!(code == "artifact::damaged" && message.contains("checksum"), "{message}");
        assert_eq!(refused(&path, &forged(&whole, "graph.nnir", &[0xff; 3])).0, "artifact::foreign");
        assert_eq!(refused(&path, &forged(&whole, "code/scalar/0000-scale", &[])).0, "artifact::damaged");
        assert_eq!(refused(&path, &forged(&whole, "weights.safetensors", b"short")).0, "file::truncated");
        let listed =
            with_manifest(&whole, |old| old.replace("\"name\": \"graph.nnir\"", "\"name\": \"graph.txt\""));
        assert!(refused(&path, &listed).1.contains("lacks `graph.txt`"));
    });
}

#[test]
fn a_plan_that_fits_nothing_is_refused() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let with_plan = |change: &dyn Fn(&mut Plan)| {
            let mut plan = plan();
            change(&mut plan);
            forged(&whole, "plan", &postcard::to_stdvec(&plan).unwrap())
        };
        let told = |change: &dyn Fn(&mut Plan), expected: &str| {
            let (code, message) = refused(&path, &with_plan(change));
            assert!(code == "artifact::plan" && message.contains(expected), "{message}");
        };
        fn bind(plan: &mut Plan) -> &mut Vec<PlaceId> {
            let Step::Launch { bind, .. } = &mut plan.entries[0].steps[0] else { panic!("it launches") };
            bind
        }
        told(&|plan| bind(plan)[0] = PlaceId(9), "there is no place 9");
        told(&|plan| bind(plan).truncate(2), "given 2 buffers of 3");
        told(&|plan| bind(plan)[0] = PlaceId(1), "needs f32[n] as `x`, `w` is f32[1]");
        told(&|plan| plan.entries[0].steps[0] = Step::Launch { kernel: 7, bind: Vec::new() }, "no kernel 7");
        told(&|plan| plan.slots.clear(), "slot 0, which does not exist");
        told(&|plan| plan.sizes.clear(), "`n` in `n` has no value");
        told(&|plan| plan.sizes[0].multiple = 0, "size `n` has no value");
        told(&|plan| plan.entries[0].inputs[1].0 = Port::Slot(3), "does not lie in its own memory");
        told(
            &|plan| plan.entries[0].places[2].class = PlaceClass::Scratch { first: 0, last: 5 },
            "lives from step 0 to 5",
        );
        told(&|plan| plan.entries.push(plan.entries[0].clone()), "two entries are called `forward`");
        told(&|plan| plan.entries[0].name = "other".into(), "not the one that the manifest describes");
        for bytes in [&b""[..], &[0xff; 40], &[0, 0, 0, 0, 0]] {
            assert_eq!(refused(&path, &forged(&whole, "plan", bytes)).0, "artifact::plan");
        }
    });
}

#[test]
fn damaged_plans_with_right_checksums_neither_panic_nor_eat_memory() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let bytes = postcard::to_stdvec(&plan()).unwrap();
        for byte in 0..bytes.len() {
            for value in [bytes[byte] ^ 1, 0xff, 0x80] {
                let mut damaged = bytes.clone();
                damaged[byte] = value;
                std::fs::write(&path, forged(&whole, "plan", &damaged)).unwrap();
                let _ = everything(&path);
            }
        }
    });
}

#[test]
fn what_a_reader_would_refuse_is_not_written() {
    in_folder(|path| {
        let mut wrong = plan();
        wrong.entries[0].steps.push(Step::Copy { from: PlaceId(0), to: PlaceId(1) });
        assert_eq!(made(&path, &wrong).unwrap_err().code, "artifact::plan");
        let mut more = plan();
        more.slots.push(Slot { path: "v".into(), ..more.slots[0].clone() });
        assert!(made(&path, &more).unwrap_err().message.contains("`v` has no value"));
        assert!(!path.exists());
    });
}

#[test]
fn an_artifact_for_other_machines_is_told_before_its_code_is_touched() {
    in_folder(|path| {
        made(&path, &plan()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let arch = format!("\"arch\": \"{}\"", std::env::consts::ARCH);
        std::fs::write(&path, with_manifest(&whole, |old| old.replace(&arch, "\"arch\": \"pdp11\"")))
            .unwrap();
        let error: RunError = Model::open(&path).err().expect("there is no pdp11 here");
        assert_eq!(error.code, "artifact::target");
        assert!(error.message.contains("pdp11") && error.help.unwrap().contains("--no-native"));
    });
}

/// The wire format of plans has no names: a change of the types would silently give old files another meaning.
/// If this fails, plans changed: put the new checksum here, and raise [`SCHEMA`] unless it grew since the last release.
#[test]
fn the_encoding_of_plans_is_that_of_the_schema() {
    let bytes = postcard::to_stdvec(&plan()).unwrap();
    assert_eq!((SCHEMA, format!("{:08x}", crc32fast::hash(&bytes))), (1, "a3bfa3d4".to_string()));
}
