//! Tensor files in the safetensors format, with checks on reading.

use std::{collections::HashMap, path::Path};

use market_data::input_file;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use crate::AgentError;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, AgentError> {
    input_file::read(path).map_err(|source| AgentError::Io { action: "read", path: path.to_owned(), source })
}

/// Returns the SHA-256 of some bytes as lower-case hexadecimal.
pub(crate) fn sha256(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the numbers as little-endian bytes.
pub(crate) fn bytes(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Named tensor: name, shape and data.
pub(crate) type Named<'a> = (String, Vec<usize>, &'a [f32]);

/// Returns a safetensors file with these tensors and one entry of metadata.
pub(crate) fn to_safetensors(tensors: &[Named<'_>], metadata: (&str, String)) -> Result<Vec<u8>, String> {
    let data: Vec<Vec<u8>> = tensors.iter().map(|(.., data)| bytes(data)).collect();
    let views = tensors.iter().zip(&data).map(|((name, shape, _), data)| {
        let view =
            TensorView::new(Dtype::F32, shape.clone(), data).map_err(|error| format!("tensor {name}: {error}"))?;
        Ok((name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, String>>()?;
    let metadata = HashMap::from([(metadata.0.to_owned(), metadata.1)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| error.to_string())
}

/// Copies a tensor out of a file; fails unless it has this shape and is finite.
pub(crate) fn tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize], out: &mut [f32]) -> Result<(), String> {
    let view = file.tensor(name).map_err(|_| format!("tensor {name} is missing"))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!("tensor {name} is {:?} of {:?} instead of {shape:?} of F32", view.shape(), view.dtype()));
    }
    for (index, (slot, bytes)) in out.iter_mut().zip(view.data().as_chunks::<4>().0).enumerate() {
        *slot = f32::from_le_bytes(*bytes);
        if !slot.is_finite() {
            return Err(format!("tensor {name} holds {slot} at position {index}"));
        }
    }
    Ok(())
}

/// Returns the value of a metadata entry of a safetensors file.
pub(crate) fn metadata(bytes: &[u8], key: &str) -> Result<Option<String>, String> {
    Ok(all_metadata(bytes)?.remove(key))
}

/// Returns every metadata entry of a safetensors file.
pub(crate) fn all_metadata(bytes: &[u8]) -> Result<HashMap<String, String>, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    Ok(header.metadata().clone().unwrap_or_default())
}

/// Refuses networks of more parameters than a file can hold, before memory is taken for them.
pub(crate) fn check_holds(bytes: &[u8], parameters: usize) -> Result<(), String> {
    let size = bytes.len();
    if parameters.checked_mul(4).is_none_or(|needed| needed > size) {
        return Err(format!("its networks need {parameters} numbers, but the file has {size} bytes"));
    }
    Ok(())
}
