//! The class `Policy`: a trained policy that decides on observations, and leaves as safetensors or ONNX.

use std::path::PathBuf;

use market_env::ActionMask;
use numpy::{PyArray1, PyArray2, PyArrayMethods as _, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use ppo_agent::{Decisions, ModelFile, Policy, write_atomically};
use pyo3::{prelude::*, types::PyDict};
use serde_json::Value;

use crate::{error, settings::object};

/// A trained policy.
///
/// Observations are those of `BatchEnv(normalize=False)`: the normaliser is part of the policy. Letters in shapes: N
/// observations, I columns, K actions. A single observation [I] with its mask [K] is taken as N = 1.
#[pyclass(name = "Policy", module = "zerodte", frozen)]
#[derive(Debug)]
pub(crate) struct PyPolicy {
    pub(crate) policy: Policy,
    pub(crate) meta: Value,
}

#[pymethods]
impl PyPolicy {
    /// Reads a model, named with or without `.safetensors`; its sidecar `.json` lies beside it.
    ///
    /// Raises
    /// ------
    /// OSError
    ///     The file cannot be read.
    /// ValueError
    ///     The model is damaged or edited.
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        let ModelFile { policy, meta } = ModelFile::load(&model_path(path)).map_err(error::agent)?;
        Ok(Self { policy, meta })
    }

    /// Writes the model, as the program does: `path` with `.safetensors`, and its sidecar `.json` beside it.
    ///
    /// Raises
    /// ------
    /// OSError
    ///     A file cannot be written; files of these names stay intact then.
    fn save(&self, path: PathBuf) -> PyResult<()> {
        let model = ModelFile { policy: self.policy.clone(), meta: self.meta.clone() };
        model.save(&model_path(path)).map_err(error::agent)
    }

    /// Returns the actions, int64 [N]: the most probable legal ones, or drawn from the probabilities.
    ///
    /// Parameters
    /// ----------
    /// observations : float32 array [N, I] or [I]
    /// masks : bool array [N, K] or [K]
    ///     Legal actions; without them an account would place orders that do not exist.
    /// deterministic : bool
    /// uniforms : float64 array [N], optional
    ///     Numbers in [0, 1) that draw the actions; required with `deterministic=False`.
    ///
    /// Raises
    /// ------
    /// ValueError
    ///     Another shape, a mask without a legal action, a value that is not finite; the message names row and column.
    #[pyo3(signature = (observations, masks, *, deterministic=true, uniforms=None))]
    fn act<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArrayDyn<'_, f32>,
        masks: PyReadonlyArrayDyn<'_, bool>,
        deterministic: bool,
        uniforms: Option<Vec<f64>>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        if deterministic == uniforms.is_some() {
            return Err(error::value("act: uniforms draw the actions of deterministic=False, and of nothing else"));
        }
        let decisions = self.decide(py, &observations, Some(&masks), uniforms.as_deref())?;
        Ok(PyArray1::from_vec(py, decisions.action.into_iter().map(i64::from).collect()))
    }

    /// Returns the probability of each action, float32 [N, K]; 0 for illegal ones. Arguments as for `act`.
    fn probabilities<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArrayDyn<'_, f32>,
        masks: PyReadonlyArrayDyn<'_, bool>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let decisions = self.decide(py, &observations, Some(&masks), None)?;
        let kinds = self.policy.spec().actions.len();
        let flat: Vec<f32> = decisions.prob.iter().flat_map(|prob| &prob[..kinds]).copied().collect();
        PyArray1::from_vec(py, flat).reshape([decisions.prob.len(), kinds])
    }

    /// Returns the critic's estimates of the discounted reward until the end of the session, float32 [N].
    fn values<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArrayDyn<'_, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        Ok(PyArray1::from_vec(py, self.decide(py, &observations, None, None)?.value))
    }

    /// Writes the policy as an ONNX model of opset 17: inputs `obs` (float32 [N, I]) and `mask` (bool [N, K]), outputs `action`
    /// (int64 [N]),
    /// `probabilities` (float32 [N, K]) and `value` (float32 [N]). Normaliser and mask are inside; the metadata hold the columns.
    ///
    /// Raises
    /// ------
    /// OSError
    ///     The file cannot be written.
    /// ValueError
    ///     The policy is recurrent.
    fn to_onnx(&self, path: PathBuf) -> PyResult<()> {
        write_atomically(&path, &self.policy.to_onnx().map_err(error::agent)?).map_err(error::agent)
    }

    /// The layout of observations and actions: `features`, `frames`, `account`, `actions`.
    #[getter]
    fn spec<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, self.policy.spec())
    }

    /// The configuration of the networks.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, self.policy.config())
    }

    /// The record of the training: configuration, dates, steps, stamp of the data.
    #[getter]
    fn meta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        object(py, &self.meta)
    }

    /// Mean and scale of the features, float32 [F] each; an input is `clip((feature - mean) / scale, -10, 10)`.
    #[getter]
    fn normalizer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (moments, of) = (PyDict::new(py), self.policy.normalizer());
        moments.set_item("mean", PyArray1::from_slice(py, &of.mean))?;
        moments.set_item("scale", PyArray1::from_slice(py, &of.scale))?;
        Ok(moments)
    }

    fn __repr__(&self) -> String {
        let (spec, config) = (self.policy.spec(), self.policy.config());
        format!(
            "Policy({} columns, {:?} {:?}, {} actions)",
            spec.inputs(),
            config.kind,
            config.net_arch,
            spec.actions.len()
        )
    }
}

impl PyPolicy {
    fn decide(
        &self,
        py: Python<'_>,
        observations: &PyReadonlyArrayDyn<'_, f32>,
        masks: Option<&PyReadonlyArrayDyn<'_, bool>>,
        uniforms: Option<&[f64]>,
    ) -> PyResult<Decisions> {
        let (inputs, kinds) = (self.policy.spec().inputs(), self.policy.spec().actions.len());
        let rows = rows_of("observations", observations.shape(), inputs)?;
        let masks = match masks {
            Some(masks) if rows_of("masks", masks.shape(), kinds)? == rows => {
                let flat: Vec<bool> = masks.as_array().iter().copied().collect();
                flat.chunks_exact(kinds).map(mask_of).collect()
            }
            Some(_) => return Err(error::value(format!("masks: {rows} observations need as many rows"))),
            None => vec![ActionMask(((1_u16 << kinds) - 1) as u8); rows],
        };
        let observations: Vec<f32> = observations.as_array().iter().copied().collect();
        py.detach(|| self.policy.decide(&observations, &masks, uniforms)).map_err(error::agent)
    }
}

/// Returns the number of rows of an array [rows, columns] or [columns].
fn rows_of(name: &str, shape: &[usize], columns: usize) -> PyResult<usize> {
    match *shape {
        [width] if width == columns => Ok(1),
        [rows, width] if width == columns => Ok(rows),
        _ => Err(error::value(format!("{name}: the shape is {shape:?}, but must be [N, {columns}]"))),
    }
}

fn mask_of(legal: &[bool]) -> ActionMask {
    ActionMask((0..).zip(legal).map(|(action, &legal)| u8::from(legal) << action).sum())
}

/// Returns the path of the tensor file of a model, which may be named without its extension.
pub(crate) fn model_path(path: PathBuf) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return path;
    }
    let mut name = path.into_os_string();
    name.push(".safetensors");
    name.into()
}
