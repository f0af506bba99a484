//! The idx reader.

use super::*;
use nnc_ir::DType;
use std::io::Write;

/// An idx file of bytes.
pub fn idx(sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let sizes_bytes = sizes.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, 8, sizes.len() as u8].into_iter().chain(sizes_bytes).chain(elements.iter().copied()).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_directory_with_both_parts_holds_out_the_test_part() {
    let folder = Folder::new();
    folder.file("train-images-idx3-ubyte", idx(&[3, 1, 2], &[0, 255, 1, 1, 2, 2]));
    folder.file("train-labels-idx1-ubyte.gz", gzip(&idx(&[3], &[7, 8, 9])));
    folder.file("t10k-images-idx3-ubyte.gz", gzip(&idx(&[1, 1, 2], &[51, 102])));
    folder.file("t10k-labels-idx1-ubyte", idx(&[1], &[4]));
    folder.file("README", "not data");
    let dataset = plain(&spec("idx", folder.path())).unwrap();
    assert_eq!(
        dataset.fields(),
        [Field::new("image", DType::F32, vec![1, 2]), Field::new("label", DType::I32, vec![])]
    );
    assert_eq!(dataset.split().held_out, Samples::Items(3..4));
    let both = batch(&*dataset, &[3, 0]);
    assert_eq!(both.get("image").unwrap().values::<f32>().unwrap(), [0.2, 0.4, 0.0, 1.0]);
    assert_eq!(both.get("label").unwrap().values::<i32>().unwrap(), [4, 7]);
}

#[test]
fn a_plain_file_is_preferred_to_its_compressed_copy() {
    let folder = Folder::new();
    folder.file("label.idx", idx(&[2], &[1, 2]));
    folder.file("label.idx.gz", gzip(&idx(&[2], &[3, 4])));
    let dataset = plain(&spec("idx", folder.path())).unwrap();
    assert_eq!(field(&*dataset, "label", &[0, 1]), [1.0, 2.0]);
}

#[test]
fn fields_given_by_path_need_no_source() {
    let folder = Folder::new();
    let image = folder.file("a", idx(&[2, 1], &[255, 0]));
    let label = folder.file("b", gzip(&idx(&[2], &[1, 2])));
    let dataset =
        open(&DataSpec::new("idx", "digits"), &given(&[("image", &image), ("label", &label)])).unwrap();
    assert_eq!(field(&*dataset, "image", &[0, 1]), [1.0, 0.0]);
    assert_eq!(field(&*dataset, "label", &[1]), [2.0]);
}

#[test]
fn all_element_types_are_read_as_big_endian() {
    let folder = Folder::new();
    for (code, element, expected) in [
        (0x09, vec![0xff], -1.0),
        (0x0b, (-2i16).to_be_bytes().to_vec(), -2.0),
        (0x0c, 70000i32.to_be_bytes().to_vec(), 70000.0),
        (0x0d, 1.5f32.to_be_bytes().to_vec(), 1.5),
        (0x0e, (-2.5f64).to_be_bytes().to_vec(), -2.5),
    ] {
        let file = folder.file("x.idx", [&[0, 0, code, 1, 0, 0, 0, 1][..], &element].concat());
        let dataset =
            open(&DataSpec::new("idx", "none").with("held_out", Value::Int(0)), &given(&[("x", &file)]))
                .unwrap();
        assert_eq!(field(&*dataset, "x", &[0]), [expected]);
    }
}

#[test]
fn fields_with_different_numbers_of_samples_are_an_error() {
    let folder = Folder::new();
    folder.file("image.idx", idx(&[3, 1], &[1, 2, 3]));
    folder.file("label.idx", idx(&[2], &[1, 2]));
    let message = refused(plain(&spec("idx", folder.path())));
    assert!(message.contains(": field `image` has 3 samples and `label` has 2"), "{message}");
}

fn message_of(content: &[u8]) -> String {
    let folder = Folder::new();
    let file = folder.file("x.idx", content);
    let message = refused(open(&DataSpec::new("idx", "none"), &given(&[("x", &file)])));
    let name = file.display().to_string();
    message.strip_prefix(&name).expect("the message begins with the file").to_string()
}

#[test]
fn damaged_files_are_refused_at_the_byte() {
    let whole = idx(&[2, 2], &[1, 2, 3, 4]);
    let short = message_of(&whole[..14]);
    assert!(short.starts_with(", byte 14: sizes [2, 2] need 4 bytes of elements, 2 found"), "{short}");
    let long = message_of(&[&whole[..], &[5]].concat());
    assert!(long.starts_with(", byte 16: sizes [2, 2] need 4 bytes of elements, 5 found"), "{long}");
    let header = message_of(&whole[..7]);
    assert!(header.starts_with(", byte 7: the file ends here; 8 bytes were expected, 3 found"), "{header}");
    let huge = message_of(&idx(&[u32::MAX, u32::MAX], &[1]));
    assert!(
        huge.contains("need 18446744065119617025 bytes") || huge.contains("are not those of samples"),
        "{huge}"
    );
}

#[test]
fn damaged_compressed_files_are_refused_before_and_after_inflating() {
    let whole = gzip(&idx(&[40], &[7; 40]));
    let torn = message_of(&whole[..whole.len() - 9]);
    assert!(torn.contains("damaged") || torn.contains("ends here"), "{torn}");
    let bomb = message_of(&gzip(&idx(&[u32::MAX], &[1])));
    assert!(bomb.contains("announces 4294967295 bytes"), "{bomb}");
    let long = message_of(&gzip(&idx(&[2], &[1, 2, 3])));
    assert!(long.starts_with(", byte 10: elements follow after the 2 bytes"), "{long}");
    let mut wrong_sum = whole.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    assert!(message_of(&wrong_sum).contains("damaged"));
}

#[test]
fn two_files_for_one_field_are_refused_by_name() {
    let folder = Folder::new();
    folder.file("a-images-idx3-ubyte", idx(&[1, 1], &[1]));
    folder.file("b-images-idx3-ubyte", idx(&[1, 1], &[1]));
    let message = refused(plain(&spec("idx", folder.path())));
    assert!(message.contains("could be `image`") && message.contains("image=PATH"), "{message}");
}

#[test]
fn a_file_or_an_empty_directory_is_no_source() {
    let folder = Folder::new();
    assert!(refused(plain(&spec("idx", folder.path()))).contains("no idx files are here"));
    let file = folder.file("x.idx", idx(&[1], &[1]));
    assert!(refused(plain(&spec("idx", &file))).contains("takes a directory"));
}
