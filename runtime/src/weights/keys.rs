//! Slots as files hold them: one tensor per copy, under the copy's logical key. So people can read a file, and a
//! stack may become deeper or shallower without a conversion.

use crate::call::RunError;
use crate::checkpoint::TensorView;
use crate::file::error::suggestion;
use crate::tensor::HostTensor;
use nnc_ir::graph::{Port, Slot, SlotKind};
use std::collections::{BTreeMap, BTreeSet};

/// What a file lacks, has too much, or has in another shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `weights::missing`, `weights::shape` or `weights::extra`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What would work.
    pub help: Option<String>,
}

/// Tensors of a file by key.
pub type Tensors<'t> = BTreeMap<&'t str, TensorView<'t>>;

/// The slots that running a trained model needs: all weights, and the states that entries other than training read.
pub fn needed<'p>(
    slots: &[Slot],
    entries: impl IntoIterator<Item = (&'p str, Vec<&'p Port>)>,
) -> BTreeSet<usize> {
    let runs = |name: &str| ["forward", "session", "evaluate"].iter().any(|run| name.starts_with(run));
    let read = entries.into_iter().filter(|(name, _)| runs(name)).flat_map(|(_, ports)| ports);
    let read = read.filter_map(|port| if let Port::Slot(slot) = port { Some(*slot) } else { None });
    let weights = (0..slots.len()).filter(|slot| slots[*slot].kind == SlotKind::Weight);
    read.filter(|slot| slots[*slot].kind == SlotKind::State).chain(weights).collect()
}

/// The key of every copy of a slot.
pub fn keys(slot: &Slot) -> Vec<String> {
    copies(slot).iter().map(|index| slot.key(index)).collect()
}

/// Refuses a file that lacks something needed, or has it in another shape.
pub fn demand(slots: &[Slot], needed: &BTreeSet<usize>, file: &Tensors) -> Result<(), RunError> {
    let mut findings = compare(slots, needed, file);
    findings.retain(|finding| finding.code != "weights::extra");
    let Some(first) = findings.first() else { return Ok(()) };
    let more = match findings.len() {
        1 => String::new(),
        n => format!(", and {} more", n - 1),
    };
    let help = match (&first.help, first.code) {
        (Some(help), _) => help.clone(),
        (None, "weights::shape") => "build with the settings of the run: `--param name=value`".into(),
        (None, _) => "are these the weights of this model, with the same `--param` settings?".into(),
    };
    Err(RunError::new(first.code, format!("{}{more}", first.message)).help(help))
}

/// Compares the tensors of a file with the slots that are needed.
pub fn compare(slots: &[Slot], needed: &BTreeSet<usize>, file: &Tensors) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for (place, slot) in slots.iter().enumerate() {
        for index in copies(slot) {
            match find(slot, &index, file) {
                Some((key, tensor)) => {
                    used.insert(key);
                    findings.extend(shape_finding(slot, key, tensor));
                }
                None if needed.contains(&place) => findings.push(missing(slot, &index)),
                None => {}
            }
        }
    }
    let spare: Vec<&str> = file.keys().copied().filter(|key| !used.contains(key)).collect();
    for finding in findings.iter_mut().filter(|finding| finding.code == "weights::missing") {
        let key = finding.message.split('`').nth(1).unwrap_or_default().to_string();
        if !spare.is_empty() && spare.len() <= 12 || nearest_to(&key, &spare).is_some() {
            finding.help = Some(suggestion(&key, spare.iter().copied()));
        }
    }
    findings.extend(spare.into_iter().map(|key| Finding {
        code: "weights::extra",
        message: format!("the file has `{key}`, the model has no such weight"),
        help: None,
    }));
    findings
}

fn nearest_to(key: &str, spare: &[&str]) -> Option<String> {
    Some(suggestion(key, spare.iter().copied())).filter(|text| text.starts_with("did you mean"))
}

fn missing(slot: &Slot, index: &[usize]) -> Finding {
    let message = format!("the file has no `{}`", slot.key(index));
    Finding { code: "weights::missing", message, help: None }
}

fn shape_finding(slot: &Slot, key: &str, tensor: &TensorView) -> Option<Finding> {
    let (own, kind) = (shape(slot), slot.ty.dtype);
    let converts = tensor.dtype().is_some_and(|found| found == kind || (found.is_float() && kind.is_float()));
    if converts && own.iter().eq(tensor.shape.iter()) {
        return None;
    }
    let found = tensor.dtype().map_or("another type".to_string(), |dtype| dtype.to_string());
    let message = format!("`{key}` is {found}{:?} in the file, {kind}{own:?} in the model", tensor.shape);
    Some(Finding { code: "weights::shape", message, help: None })
}

/// The tensor of a copy: under its key, or under the one it had in older files.
fn find<'f, 't>(
    slot: &Slot,
    index: &[usize],
    file: &'f Tensors<'t>,
) -> Option<(&'t str, &'f TensorView<'t>)> {
    let entry = |key: &str| file.get_key_value(key).map(|(key, view)| (*key, view));
    entry(&slot.key(index)).or_else(|| slot.old_key(index).and_then(|key| entry(&key)))
}

/// Sizes of one copy.
fn shape(slot: &Slot) -> Vec<usize> {
    let own = slot.ty.shape.iter().skip(slot.copies.len());
    own.map(|dim| dim.as_constant().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)).collect()
}

/// The index of every copy, in row-major order.
fn copies(slot: &Slot) -> Vec<Vec<usize>> {
    let counts = slot.ty.shape.iter().take(slot.copies.len());
    let counts = counts.map(|dim| dim.as_constant().and_then(|n| usize::try_from(n).ok()).unwrap_or(0));
    counts.fold(vec![Vec::new()], |indices, count| {
        let extended = |index: &Vec<usize>| {
            let index = index.clone();
            (0..count).map(move |number| [index.as_slice(), &[number]].concat())
        };
        indices.iter().flat_map(extended).collect()
    })
}

/// A slot's memory as one tensor per copy.
pub fn split(slot: &Slot, bytes: &[u8]) -> Result<Vec<(String, HostTensor)>, RunError> {
    let (copies, shape) = (copies(slot), shape(slot));
    let size = bytes.len().checked_div(copies.len()).unwrap_or(0);
    let tensor = |(place, index): (usize, Vec<usize>)| {
        let part = bytes.get(place * size..(place + 1) * size).unwrap_or_default();
        let tensor = HostTensor::from_bytes(slot.ty.dtype, shape.clone(), part);
        let tensor = tensor
            .ok_or_else(|| RunError::new("weights::read", format!("`{}` has no fixed size", slot.path)))?;
        Ok((slot.key(&index), tensor))
    };
    copies.into_iter().enumerate().map(tensor).collect()
}

/// A slot's memory from the tensors of its copies; nothing where the file has none. [`compare`] found nothing wrong.
pub fn join(slot: &Slot, file: &Tensors) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for index in copies(slot) {
        let (_, tensor) = find(slot, &index, file)?;
        match tensor.dtype()? {
            same if same == slot.ty.dtype => bytes.extend_from_slice(tensor.bytes),
            _ => {
                let numbers = tensor.to_host()?.to_f64();
                let converted = HostTensor::from_f64(slot.ty.dtype, tensor.shape.to_vec(), &numbers)?;
                bytes.extend_from_slice(converted.bytes());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nnc_ir::{DType, Dim, Type};

    fn slot(path: &str, shape: &[i64], copies: &[usize]) -> Slot {
        let shape = shape.iter().map(|n| Dim::constant(*n)).collect();
        let ty = Type::new(DType::F32, shape);
        Slot { path: path.into(), kind: SlotKind::Weight, ty, copies: copies.to_vec(), was: None }
    }

    #[test]
    fn copies_have_keys_of_their_own_and_come_back() {
        let slot = slot("enc.layer.w", &[2, 3, 2], &[1, 2]);
        let bytes: Vec<u8> = (0..12).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let parts = split(&slot, &bytes).unwrap();
        let keys: Vec<&str> = parts.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys[..4],
            ["enc.layer[0].w[0]", "enc.layer[0].w[1]", "enc.layer[0].w[2]", "enc.layer[1].w[0]"]
        );
        assert_eq!(parts[4].1.to_f64(), [8.0, 9.0]);
        let file: Tensors = parts.iter().map(|(key, tensor)| (key.as_str(), tensor.into())).collect();
        assert_eq!(join(&slot, &file).unwrap(), bytes);
    }

    #[test]
    fn an_older_name_is_found() {
        let slot = Slot { was: Some("layer.kernel".into()), ..slot("layer.w", &[2, 1], &[0]) };
        let (a, b) =
            (HostTensor::from_values(vec![1], &[1.0f32]), HostTensor::from_values(vec![1], &[2.0f64]));
        let (a, b) = (a.unwrap(), b.unwrap());
        let file: Tensors = [("layer[0].kernel", (&a).into()), ("layer[1].w", (&b).into())].into();
        assert_eq!(join(&slot, &file).unwrap(), [1.0f32, 2.0].map(f32::to_le_bytes).concat());
        assert_eq!(compare(&[slot], &BTreeSet::from([0]), &file), []);
    }

    #[test]
    fn what_differs_is_told_with_the_nearest_name() {
        let slots = [slot("up.w", &[2], &[]), slot("down.w", &[3], &[])];
        let (a, b) = (HostTensor::zeros(DType::F32, vec![2]), HostTensor::zeros(DType::F32, vec![4]));
        let file: Tensors = [("up.v", (&a).into()), ("down.w", (&b).into())].into();
        let found = compare(&slots, &BTreeSet::from([0, 1]), &file);
        let told: Vec<(&str, Option<&str>)> = found.iter().map(|f| (f.code, f.help.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("weights::missing", Some("did you mean `up.v`?")),
                ("weights::shape", None),
                ("weights::extra", None)
            ]
        );
    }
}
