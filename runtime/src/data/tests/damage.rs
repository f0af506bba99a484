//! Damaged and foreign files: whatever the bytes, a reader answers or refuses, and what it accepts can be read.

use super::idx::{gzip, idx};
use super::npz::{npy, npz};
use super::*;
use crate::file::tensors::write_tensors;
use crate::tensor::HostTensor;
use proptest::prelude::*;
use std::sync::LazyLock;

/// A sound file of each format, with the kind that reads it and the name it needs.
static SOUND: LazyLock<Vec<(&str, &str, Vec<u8>)>> = LazyLock::new(|| {
    let array = || npy("<i8", "(4, 2)", &[3, 0, 0, 0, 0, 0, 0, 0].repeat(8));
    let folder = Folder::new();
    let path = folder.path().join("x.safetensors");
    let tensor = HostTensor::from_values(vec![4, 2], &[1.0f64; 8]).unwrap();
    write_tensors(&path, &BTreeMap::new(), [("x", (&tensor).into())]).unwrap();
    vec![
        ("idx", "x.idx", idx(&[4, 2], &[1, 2, 3, 4, 5, 6, 7, 8])),
        ("idx", "x.idx.gz", gzip(&idx(&[4, 2], &[1, 2, 3, 4, 5, 6, 7, 8]))),
        ("npz", "x.npy", array()),
        ("npz", "x.npz", npz(&[("x.npy", array())], zip::CompressionMethod::Stored)),
        ("npz", "x.npz", npz(&[("x.npy", array())], zip::CompressionMethod::Deflated)),
        ("csv", "x.csv", b"x\n1\n\"2\"\n3e1\n-4\n".to_vec()),
        ("safetensors", "x.safetensors", std::fs::read(path).unwrap()),
    ]
});

/// Opens the bytes as field `x` and, where that works, reads every sample. Tells whether it was accepted.
fn read_all(kind: &str, name: &str, bytes: &[u8]) -> bool {
    let folder = Folder::new();
    let path = folder.file(name, bytes);
    let Ok(dataset) = open(&DataSpec::new(kind, "none"), &given(&[("x", &path)])) else { return false };
    let all: Vec<u64> = (0..dataset.len().min(1000)).collect();
    batch(&*dataset, &all);
    true
}

#[test]
fn every_truncation_of_every_binary_format_is_refused() {
    for (kind, name, bytes) in SOUND.iter().filter(|(kind, ..)| *kind != "csv") {
        assert!(read_all(kind, name, bytes), "the sound {name} is read");
        let accepted: Vec<usize> =
            (0..bytes.len()).filter(|len| read_all(kind, name, &bytes[..*len])).collect();
        assert!(accepted.is_empty(), "{name} of {} bytes is accepted at {accepted:?}", bytes.len());
    }
}

#[test]
fn no_flipped_byte_makes_a_reader_panic() {
    for (kind, name, bytes) in SOUND.iter() {
        for (byte, mask) in (0..bytes.len()).flat_map(|byte| [(byte, 0xff), (byte, 1), (byte, 0x80)]) {
            let mut damaged = bytes.clone();
            damaged[byte] ^= mask;
            read_all(kind, name, &damaged);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        keep in 0usize..40,
    ) {
        for (kind, name, sound) in SOUND.iter() {
            read_all(kind, name, &bytes);
            // A sound beginning leads deeper into the reader.
            let begun = [&sound[..keep.min(sound.len())], &bytes[..]].concat();
            read_all(kind, name, &begun);
        }
    }

    #[test]
    fn no_text_makes_the_text_and_csv_readers_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "[-0-9a-c,;\"\n\r.éx ]{0,120}",
        context in 1i64..20,
        held_out in 0.0f64..1.0,
    ) {
        let folder = Folder::new();
        for content in [&bytes[..], text.as_bytes()] {
            let path = folder.file("a", content);
            let text = spec("text", &path).with("context", Value::Int(context));
            for spec in [text.clone(), text.with("tokens", Value::Text("bytes".into())), spec("csv", &path)] {
                let Ok(dataset) = plain(&spec.with("held_out", Value::Real(held_out))) else { continue };
                batch(&*dataset, &(0..dataset.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn no_header_makes_the_npy_reader_panic(header in "\\{('(descr|shape|fortran_order)': ?('[<>|]?[a-z][0-9]'|\\(([0-9]{1,20},? ?){0,4}\\)|False|é),? ?){0,4}\\}?") {
        let len = (header.len() as u16).to_le_bytes();
        let bytes = [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &[0; 16]].concat();
        read_all("npz", "x.npy", &bytes);
    }
}
