//! Sidecars: the JSON file beside a tensor file that says what its tensors mean. Each of the two holds a hash of the other, so
//! that an edited or exchanged one is refused.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use market_data::input_file;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tensor_file;
use crate::AgentError;

/// Key of the sidecar with the hash of the tensor file; the hash in the tensor file leaves it out.
const WEIGHTS: &str = "weights_sha256";

/// Settings of a run that name places and threads. They mean nothing for the policy, so that the same training gives the same
/// file in every folder; the hash leaves them out.
const PLACES: [&str; 4] = ["model_name", "out_dir", "data_dir", "num_threads"];

/// Text under the format mark in the metadata of a tensor file. Files of earlier versions hold the stamp alone.
#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    /// Stamp of the data.
    data: String,
    /// Hash of the meaning of the sidecar ([`meaning_sha256`]).
    sidecar_sha256: String,
}

/// Returns the path of the sidecar of a tensor file.
pub(crate) fn path_of(tensors: &Path) -> PathBuf {
    tensors.with_extension("json")
}

/// Returns the text for the metadata of a tensor file whose sidecar has this content.
pub(crate) fn seal(stamp: &str, sidecar: &impl Serialize) -> Result<String, String> {
    // Through the text: numbers of single precision have other digits there.
    let text = serde_json::to_string(sidecar).map_err(|error| error.to_string())?;
    let value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let seal = Seal { data: stamp.to_owned(), sidecar_sha256: meaning_sha256(&value) };
    serde_json::to_string(&seal).map_err(|error| error.to_string())
}

/// Reads the sidecar at a path.
pub(crate) fn read(path: &Path) -> Result<Value, String> {
    let text = input_file::read_text(path).map_err(|error| format!("its sidecar {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("its sidecar {}: {error}", path.display()))
}

/// Checks that tensors and sidecar belong together; a file of an earlier version has no seal, and only its tensors are checked.
pub(crate) fn check(tensors: &[u8], format: &str, sidecar: &Value) -> Result<(), String> {
    let Some(mark) = tensor_file::metadata(tensors, format)? else {
        return Err(format!("it is a safetensors file, but not marked `{format}`"));
    };
    if sidecar[WEIGHTS].as_str() != Some(&tensor_file::sha256(&[tensors])) {
        return Err("its sidecar belongs to other weights; copy the two files together".into());
    }
    let seal: Option<Seal> = serde_json::from_str(&mark).ok();
    if seal.is_some_and(|seal| seal.sidecar_sha256 != meaning_sha256(sidecar)) {
        return Err("its sidecar was edited: it is not the one that was written with the weights; restore the \
                    original, or train again"
            .into());
    }
    Ok(())
}

/// Returns whether a model file holds the hash of its sidecar. Models of earlier versions do not: an edited sidecar passes there.
///
/// # Errors
/// [`AgentError::Io`] when the file cannot be read; [`AgentError::Model`] when it is no tensor file.
pub fn is_sealed(path: &Path) -> Result<bool, AgentError> {
    let bytes = tensor_file::read(path)?;
    let marks = tensor_file::all_metadata(&bytes);
    let marks = marks.map_err(|reason| AgentError::Model { path: path.to_owned(), reason })?;
    Ok(marks.values().any(|mark| serde_json::from_str::<Seal>(mark).is_ok()))
}

/// Returns a hash of what a sidecar says, without the hash of the tensor file and without [`PLACES`]: neither the order of keys nor
/// blanks count.
fn meaning_sha256(sidecar: &Value) -> String {
    let mut sidecar = sidecar.clone();
    if let Some(entries) = sidecar.as_object_mut() {
        entries.remove(WEIGHTS);
    }
    if let Some(run) = sidecar.pointer_mut("/meta/config/run").and_then(Value::as_object_mut) {
        PLACES.iter().for_each(|place| drop(run.remove(*place)));
    }
    content_sha256(&sidecar)
}

/// Returns a hash of what a JSON value says: neither the order of keys nor blanks nor the spelling of numbers count.
pub fn content_sha256(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    tensor_file::sha256(&[text.as_bytes()])
}

fn write_object<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut String) {
    out.push('{');
    for (key, value) in entries.collect::<BTreeMap<_, _>>() {
        write_canonical(&Value::from(key.as_str()), out);
        out.push(':');
        write_canonical(value, out);
        out.push(',');
    }
    out.push('}');
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(entries) => write_object(entries.iter(), out),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        // 25000 and 25000.0 are one number to most programs that write JSON.
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(real) if real.fract() == 0.0 && real.abs() < 9e15 => out.push_str(&(real as i64).to_string()),
            _ => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_and_threads_are_no_meaning() {
        let of = |out_dir: &str, seed: u64| {
            let run = json!({ "out_dir": out_dir, "model_name": out_dir, "num_threads": seed, "seed": seed });
            meaning_sha256(&json!({ "weights_sha256": out_dir, "meta": { "config": { "run": run } } }))
        };
        assert_eq!(of("a", 1), of("b", 1));
        assert_ne!(of("a", 1), of("a", 2));
    }

    #[test]
    fn a_hash_is_that_of_the_meaning() {
        let first: Value = serde_json::from_str(r#"{"a":1.0,"b":{"c":[0.1,true,null],"d":"x"}}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{ "b": { "d": "x", "c": [0.10, true, null] }, "a": 1 }"#).unwrap();
        assert_eq!(content_sha256(&first), content_sha256(&same));
        for other in [json!({"a": 2, "b": first["b"]}), json!({"a": 1, "b": {"c": [0.1, null, true], "d": "x"}})] {
            assert_ne!(content_sha256(&first), content_sha256(&other));
        }
        assert_ne!(content_sha256(&json!(["1"])), content_sha256(&json!([1])));
        assert_ne!(content_sha256(&json!(["a", "b"])), content_sha256(&json!(["a,b"])));
    }
}
