//! The npz and npy readers.

use super::*;
use std::io::Write;
use zip::write::SimpleFileOptions;

/// An npy array.
pub fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), elements].concat()
}

pub fn npz(members: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn le<const N: usize>(values: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    values.into_iter().flatten().collect()
}

#[test]
fn stored_and_compressed_archives_are_read() {
    let x = npy("<f4", "(3, 2)", &le([1f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_le_bytes)));
    let y = npy(">i8", "(3,)", &le([10i64, -20, 30].map(i64::to_be_bytes)));
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        let folder = Folder::new();
        let file = folder.file("a.npz", npz(&[("x.npy", x.clone()), ("y.npy", y.clone())], method));
        let dataset = plain(&spec("npz", &file)).unwrap();
        assert_eq!(dataset.fields().iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(field(&*dataset, "x", &[2, 0]), [5.0, 6.0, 1.0, 2.0]);
        assert_eq!(batch(&*dataset, &[1]).get("y").unwrap().values::<i32>().unwrap(), [-20]);
        assert_eq!(dataset.split().held_out, Samples::Items(2..3));
    }
}

#[test]
fn one_field_can_come_from_an_array_or_an_archive() {
    let folder = Folder::new();
    let x = folder.file("x.npy", npy("|u1", "(2,)", &[5, 6]));
    let inside = npz(&[("other.npy", npy("|b1", "(2,)", &[0, 1]))], zip::CompressionMethod::Stored);
    let y = folder.file("y.npz", inside);
    let dataset = open(&DataSpec::new("npz", "none"), &given(&[("x", &x), ("y", &y)])).unwrap();
    assert_eq!(field(&*dataset, "x", &[0, 1]), [5.0, 6.0]);
    assert_eq!(field(&*dataset, "y", &[0, 1]), [0.0, 1.0]);
}

#[test]
fn a_given_field_replaces_the_one_of_the_source() {
    let folder = Folder::new();
    let source =
        folder.file("a.npz", npz(&[("x.npy", npy("|u1", "(1,)", &[1]))], zip::CompressionMethod::Stored));
    let x = folder.file("x.npy", npy("|u1", "(2,)", &[5, 6]));
    let dataset = open(&spec("npz", &source), &given(&[("x", &x)])).unwrap();
    assert_eq!(field(&*dataset, "x", &[0, 1]), [5.0, 6.0]);
}

#[test]
fn fields_are_selected_and_the_whole_can_be_served_as_one_sample() {
    let folder = Folder::new();
    let members = [("x.npy", npy("|u1", "(2,)", &[1, 2])), ("edge.npy", npy("|u1", "(3,)", &[1, 2, 3]))];
    let spec = spec("npz", &folder.file("a.npz", npz(&members, zip::CompressionMethod::Stored)));
    assert!(refused(plain(&spec)).contains("`whole: true`"));
    let one = plain(&spec.clone().with("fields", Value::List(vec![Value::Text("x".into())]))).unwrap();
    assert_eq!((one.fields().len(), one.len()), (1, 2));
    let whole = plain(&spec.with("whole", Value::Bool(true))).unwrap();
    let sample = batch(&*whole, &[0]);
    assert_eq!((whole.len(), sample.get("edge").unwrap().shape()), (1, &[3][..]));
    assert_eq!(whole.split().train, whole.split().held_out);
}

#[test]
fn damaged_arrays_are_refused_with_the_member_named() {
    let folder = Folder::new();
    let refusal = |array: Vec<u8>| {
        let file = folder.file("a.npz", npz(&[("x.npy", array)], zip::CompressionMethod::Deflated));
        refused(plain(&spec("npz", &file)))
    };
    let short = refusal(npy("<f4", "(3,)", &[0; 8]));
    assert!(short.contains("`x.npy`, byte") && short.contains("12 bytes were expected, 8 found"), "{short}");
    assert!(refusal(npy("<f4", "(1,)", &[0; 8])).contains("elements follow"));
    assert!(refusal(npy("<f4", "(99999999999,)", &[0; 8])).contains("cannot hold them"));
    assert!(refusal(npy("|O", "(1,)", &[0; 8])).contains("`|O` are no numbers"));
    assert!(refusal(b"hello, world".to_vec()).contains("starts with"));
}

#[test]
fn a_damaged_archive_is_refused() {
    let folder = Folder::new();
    let whole = npz(&[("x.npy", npy("|u1", "(9,)", &[7; 9]))], zip::CompressionMethod::Stored);
    let mut flipped = whole.clone();
    let at = whole.windows(9).position(|window| window == [7; 9]).unwrap();
    flipped[at] = 8;
    let message = refused(plain(&spec("npz", &folder.file("a.npz", flipped))));
    assert!(message.to_lowercase().contains("checksum"), "{message}");
    assert!(
        refused(plain(&spec("npz", &folder.file("b.npz", &whole[..whole.len() / 2]))))
            .contains("zip archive")
    );
}
