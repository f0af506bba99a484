//! The safetensors reader.

use super::*;
use crate::file::tensors::write_tensors;
use crate::tensor::HostTensor;

fn file(folder: &Folder, tensors: &[(&str, HostTensor)]) -> PathBuf {
    let path = folder.path().join("a.safetensors");
    write_tensors(&path, &BTreeMap::new(), tensors.iter().map(|(name, tensor)| (*name, tensor.into())))
        .unwrap();
    path
}

#[test]
fn tensors_are_fields_and_their_first_axis_counts_samples() {
    let folder = Folder::new();
    let x = HostTensor::from_values(vec![2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let y = HostTensor::from_values(vec![2], &[7i32, 8]).unwrap();
    let dataset = plain(&spec("safetensors", &file(&folder, &[("x", x), ("y", y)]))).unwrap();
    assert_eq!(field(&*dataset, "x", &[1, 0]), [3.0, 4.0, 1.0, 2.0]);
    assert_eq!(field(&*dataset, "y", &[1]), [8.0]);
}

#[test]
fn a_scalar_is_no_field_of_samples_but_part_of_a_whole() {
    let folder = Folder::new();
    let spec = spec("safetensors", &file(&folder, &[("s", HostTensor::scalar(2.5f32))]));
    assert!(refused(plain(&spec)).contains(": field `s` has no axes"));
    let whole = plain(&spec.with("whole", Value::Bool(true))).unwrap();
    assert_eq!(field(&*whole, "s", &[0]), [2.5]);
}

#[test]
fn a_wide_integer_that_does_not_fit_is_named() {
    let folder = Folder::new();
    let bytes = (1i64 << 40).to_le_bytes();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![1], &bytes).unwrap();
    let path = folder.file("a.safetensors", safetensors::serialize([("id", view)], None).unwrap());
    let message = refused(plain(&spec("safetensors", &path)));
    assert!(message.contains("a.safetensors, `id`: element 0 is 1099511627776"), "{message}");
}
