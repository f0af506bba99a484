//! Real data, where the environment variable `NNC_DATA` names a directory that has them.

use super::*;
use std::sync::Arc;

/// A file of the data directory; without one the test says that it is skipped.
fn data(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("NNC_DATA").map(|folder| PathBuf::from(folder).join(name));
    let found = path.filter(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: NNC_DATA names no directory with {name}");
    }
    found
}

#[test]
fn handwritten_digits_are_read() {
    let images = data("mnist-t10k-images-idx3-ubyte.gz");
    let labels = data("mnist-t10k-labels-idx1-ubyte.gz");
    let Some((images, labels)) = images.zip(labels) else { return };
    let spec = DataSpec::new("idx", "digits").with("held_out", Value::Int(2000));
    let dataset: Arc<dyn Dataset> =
        open(&spec, &given(&[("image", &images), ("label", &labels)])).unwrap().into();
    assert_eq!((dataset.len(), dataset.fields()[0].sample_shape.as_slice()), (10_000, &[28, 28][..]));
    assert_eq!(field(&*dataset, "label", &[0, 1, 2]), [7.0, 2.0, 1.0]);
    let mean = field(&*dataset, "image", &(0..10_000).collect::<Vec<_>>()).iter().sum::<f64>() / 7_840_000.0;
    assert!((mean - 0.1325).abs() < 1e-3, "the known mean of the test images, not {mean}");
    let mut counts = [0; 10];
    let mut pass = Loader::pass(dataset.clone(), Samples::Items(0..10_000), 64);
    while let Some(batch) = pass.next_batch().unwrap() {
        let labels = batch.get("label").unwrap().values::<i32>().unwrap();
        labels.iter().for_each(|label| counts[*label as usize] += 1);
    }
    assert_eq!(counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], "published class sizes");
    assert_eq!(dataset.split().held_out, Samples::Items(8000..10_000));
}

#[test]
fn shakespeare_has_65_characters() {
    let Some(path) = data("tinyshakespeare.txt") else { return };
    let dataset = plain(&spec("text", &path).with("batch", Value::Int(12))).unwrap();
    let vocabulary = dataset.facts().vocabulary.unwrap();
    assert_eq!((vocabulary.size(), dataset.len()), (Ok(65), 1_115_394 - 64));
    assert_eq!(dataset.split().train.positions(), 1_003_854 - 64);
    let tokens: Vec<u32> = field(&*dataset, "token", &[0]).iter().map(|token| *token as u32).collect();
    assert!(vocabulary.decode(&tokens).unwrap().starts_with("First Citizen:\nBefore we proceed"));
}

#[test]
fn graphs_are_served_whole() {
    let Some(path) = data("cora.safetensors") else { return };
    let dataset = plain(&spec("safetensors", &path).with("whole", Value::Bool(true))).unwrap();
    let graph = batch(&*dataset, &[0]);
    assert_eq!(graph.get("edges").unwrap().shape(), [5278, 2]);
    assert_eq!(graph.get("labels").unwrap().shape(), [2708]);
}
