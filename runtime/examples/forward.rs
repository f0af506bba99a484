//! Loads an artifact and runs its forward entry on zeros, with no compiler in the program:
//! `cargo run -p nnc-runtime --example forward -- model.nnb B=3 T=16`.

use nnc_runtime::artifact::TensorFacts;
use nnc_runtime::{DType, HostTensor, Model};
use std::collections::HashMap;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: forward MODEL.nnb [SIZE=NUMBER ..]")?;
    let mut sizes = HashMap::new();
    for argument in arguments {
        let (name, number) = argument.split_once('=').ok_or("a size is NAME=NUMBER")?;
        sizes.insert(name.to_string(), number.parse::<usize>()?);
    }
    let mut model = Model::open(path)?;
    let entry = model.interface().entry("forward").ok_or("the artifact has no entry `forward`")?.clone();
    let inputs = entry.inputs.iter().map(|input| Ok((input.name.as_str(), zeros(input, &sizes)?)));
    let inputs: Vec<(&str, HostTensor)> = inputs.collect::<Result<_, String>>()?;
    let given: Vec<(&str, &HostTensor)> = inputs.iter().map(|(name, tensor)| (*name, tensor)).collect();
    for (name, output) in model.run("forward", &given)? {
        println!("{name}: {}{:?}", output.dtype(), output.shape());
    }
    Ok(())
}

/// A tensor of the type that an input states.
fn zeros(input: &TensorFacts, sizes: &HashMap<String, usize>) -> Result<HostTensor, String> {
    let size = |text: &String| match (text.parse(), sizes.get(text)) {
        (Ok(number), _) => Ok(number),
        (_, Some(number)) => Ok(*number),
        _ => Err(format!("input `{}` is {input}: give {text}=NUMBER", input.name)),
    };
    let shape = input.shape.iter().map(size).collect::<Result<Vec<usize>, String>>()?;
    let dtype = [DType::F32, DType::I32, DType::U32].into_iter().find(|dtype| dtype.name() == input.dtype);
    Ok(HostTensor::zeros(dtype.ok_or("inputs of this type are not made here")?, shape))
}
