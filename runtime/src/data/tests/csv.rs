//! The csv reader.

use super::*;
use nnc_ir::DType;

const TABLE: &str = "\u{feff}size, age ,price\n1,10,100\n2,20,200\n3,30,300\n6,20,400\n";

fn table(options: &[(&str, Value)]) -> Result<Box<dyn Dataset>, DataError> {
    table_of(TABLE, options, &Facts::default())
}

fn table_of(text: &str, options: &[(&str, Value)], facts: &Facts) -> Result<Box<dyn Dataset>, DataError> {
    let folder = Folder::new();
    let mut spec = spec("csv", &folder.file("a.csv", text));
    for (name, value) in options {
        spec = spec.with(name, value.clone());
    }
    open_like(&spec, &BTreeMap::new(), facts)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn every_column_is_a_field_without_a_target() {
    let dataset = table(&[]).unwrap();
    let names: Vec<&str> = dataset.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["size", "age", "price"]);
    assert_eq!(field(&*dataset, "age", &[2, 0]), [30.0, 10.0]);
}

#[test]
fn a_target_leaves_the_other_columns_as_features() {
    let dataset = table(&[("target", text("age"))]).unwrap();
    assert_eq!(
        dataset.fields(),
        [Field::new("features", DType::F32, vec![2]), Field::new("target", DType::F32, vec![])]
    );
    assert_eq!(field(&*dataset, "features", &[1]), [2.0, 200.0]);
    assert_eq!(field(&*dataset, "target", &[1]), [20.0]);
    let columns = ("columns", Value::List(vec![text("price")]));
    assert_eq!(field(&*table(&[("target", text("age")), columns]).unwrap(), "features", &[1]), [200.0]);
}

#[test]
fn features_are_standardised_over_the_training_part_and_the_scaling_is_kept() {
    let options =
        [("target", text("price")), ("standardize", Value::Bool(true)), ("held_out", Value::Int(1))];
    let dataset = table(&options).unwrap();
    let scaling = dataset.facts().scaling.unwrap();
    assert_eq!((scaling.features.len(), scaling.mean.as_slice()), (2, &[2.0, 20.0][..]));
    let unit = (1.5f64).sqrt() as f32 as f64;
    assert_eq!(field(&*dataset, "features", &[0]), [-unit, -unit]);
    let facts = Facts { scaling: Some(scaling), ..Facts::default() };
    let later = table_of("size,age,price\n3,30,1\n9,9,9\n", &options, &facts).unwrap();
    assert_eq!(field(&*later, "features", &[0]), [unit, unit]);
    assert_eq!(later.facts().scaling, facts.scaling);
    let other = refused(table_of("size,year,price\n3,30,1\n9,9,9\n", &options, &facts));
    assert!(other.contains("was trained on features"), "{other}");
}

#[test]
fn a_constant_feature_becomes_zero() {
    let dataset = table_of("a\n5\n5\n5\n", &[("standardize", Value::Bool(true))], &Facts::default()).unwrap();
    assert_eq!(field(&*dataset, "a", &[0, 1]), [0.0, 0.0]);
}

#[test]
fn classes_are_numbered_and_remembered() {
    let options = [("target", text("kind")), ("classes", Value::Bool(true))];
    let dataset = table_of("x,kind\n1,oak\n2,elm\n3,oak\n", &options, &Facts::default()).unwrap();
    assert_eq!(batch(&*dataset, &[0, 1, 2]).get("target").unwrap().values::<i32>().unwrap(), [1, 0, 1]);
    let facts = dataset.facts();
    assert_eq!(facts.classes.as_deref(), Some(&["elm".to_string(), "oak".to_string()][..]));
    let later = table_of("x,kind\n1,oak\n2,oak\n", &options, &facts).unwrap();
    assert_eq!(field(&*later, "target", &[0]), [1.0]);
    let unknown = refused(table_of("x,kind\n1,oak\n2,fir\n", &options, &facts));
    assert!(unknown.contains("line 3, column 2: `fir` is none of the 2 classes"), "{unknown}");
    let numbers = table_of("x,kind\n1,10\n2,9\n3,10\n", &options, &Facts::default()).unwrap();
    assert_eq!(field(&*numbers, "target", &[0, 1]), [1.0, 0.0]);
}

#[test]
fn errors_name_line_and_column() {
    let refusal = |text| refused(table_of(text, &[], &Facts::default()));
    assert!(refusal("a,b\n1,2\n3,x\n").contains("a.csv, line 3, column 2: `x` is not a finite number"));
    assert!(refusal("a,b\n1,\n3,4\n").contains("line 2, column 2: a number is missing"));
    assert!(refusal("a,b\n1,nan\n").contains("line 2, column 2: `nan` is not a finite number"));
    assert!(refusal("a,b\n1,2\n3\n").contains("line 3, column 2: this line has 1 cells, those before 2"));
    assert!(refusal("a,b\n").contains("of 0 samples"));
    assert!(refusal("").contains("no fields"));
    let target = refused(table(&[("target", text("prize"))]));
    assert!(target.contains("no column is called `prize`; did you mean `price`?"), "{target}");
}

#[test]
fn other_delimiters_and_tables_without_header_are_read() {
    let options = [("delimiter", text(";")), ("header", Value::Bool(false))];
    let dataset = table_of("1;2\n3;4\n", &options, &Facts::default()).unwrap();
    assert_eq!(field(&*dataset, "c1", &[0, 1]), [2.0, 4.0]);
    assert!(refused(table(&[("delimiter", text("ab"))])).contains("one ASCII character"));
}

#[test]
fn a_given_column_is_found_by_name() {
    let folder = Folder::new();
    let file = folder.file("a.csv", TABLE);
    let dataset = open(&DataSpec::new("csv", "none"), &given(&[("age", &file)])).unwrap();
    assert_eq!(field(&*dataset, "age", &[1]), [20.0]);
}
