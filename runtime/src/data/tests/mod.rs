//! Readers through the one door they have: [`open`], on files written by the tests.

mod csv;
mod damage;
mod idx;
mod npz;
mod real;
mod tensors;
mod text;

use super::*;

/// A directory that lasts as long as its test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn spec(kind: &str, source: &Path) -> DataSpec {
    DataSpec::new(kind, source.to_str().unwrap())
}

fn plain(spec: &DataSpec) -> Result<Box<dyn Dataset>, DataError> {
    open(spec, &BTreeMap::new())
}

fn given(fields: &[(&str, &Path)]) -> BTreeMap<String, PathBuf> {
    fields.iter().map(|(name, path)| (name.to_string(), path.to_path_buf())).collect()
}

fn refused(result: Result<Box<dyn Dataset>, DataError>) -> String {
    match result {
        Ok(_) => panic!("the data were accepted"),
        Err(error) => error.to_string(),
    }
}

fn batch(dataset: &dyn Dataset, indices: &[u64]) -> BatchBuffers {
    let mut out = BatchBuffers::new(dataset.fields(), indices.len());
    dataset.batch(indices, &mut out).unwrap();
    out
}

fn field(dataset: &dyn Dataset, name: &str, indices: &[u64]) -> Vec<f64> {
    batch(dataset, indices).get(name).unwrap().to_f64()
}

#[test]
fn an_unknown_kind_names_the_nearest() {
    let message = refused(plain(&DataSpec::new("npy", "a")));
    assert_eq!(message, "there is no data reader `npy`; did you mean `npz`?");
}

#[test]
fn every_kind_refuses_an_unknown_option_and_a_missing_source() {
    for kind in &KINDS {
        let spec = DataSpec::new(kind.name, "no/such/place");
        assert!(refused(plain(&spec.clone().with("colour", Value::Int(1)))).contains("no option `colour`"));
        let missing = refused(plain(&spec));
        assert!(missing.starts_with("no/such/place: ") && missing.contains("=PATH"), "{missing}");
        assert_eq!(options(kind.name), Some(kind.options));
    }
}

#[test]
fn a_batch_beyond_the_data_is_an_error() {
    let folder = Folder::new();
    for spec in [
        spec("csv", &folder.file("a.csv", "x\n1\n2\n")),
        spec("text", &folder.file("a.txt", "abcdef"))
            .with("context", Value::Int(2))
            .with("held_out", Value::Int(0)),
    ] {
        let dataset = plain(&spec).unwrap();
        let mut out = BatchBuffers::new(dataset.fields(), 1);
        assert!(dataset.batch(&[dataset.len() - 1], &mut out).is_ok());
        assert_eq!(dataset.batch(&[dataset.len()], &mut out).unwrap_err().code, "data::range");
    }
}

#[test]
fn facts_survive_being_stored() {
    let scaling = Scaling { features: vec!["a".into()], mean: vec![0.1], deviation: vec![3.0] };
    let facts = Facts {
        vocabulary: Some(Vocabulary::Characters(vec!['\n', 'ß'])),
        scaling: Some(scaling),
        classes: Some(vec!["yes".into()]),
    };
    let text = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    let bytes = postcard::to_stdvec(&facts).unwrap();
    assert_eq!(postcard::from_bytes::<Facts>(&bytes).unwrap(), facts);
}
