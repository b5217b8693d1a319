//! File formats of the trainer: models, checkpoints, and the tensor file below both.

pub(crate) mod atomic_file;
pub(crate) mod checkpoint;
pub(crate) mod model_file;
pub(crate) mod onnx;
pub mod protobuf;
pub(crate) mod sidecar;
pub(crate) mod tensor_file;
