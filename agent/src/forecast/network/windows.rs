//! Windows of frames, gathered from the normalised tape on the device.

use tch::{Device, Kind, TchError, Tensor};

use crate::forecast::Samples;

/// Normalised tape on the device.
#[derive(Debug)]
pub(crate) struct Tape {
    /// `[T, F]`
    rows: Tensor,
    /// Offsets of the frames of a window, counted back from its newest. `[k]`
    back: Tensor,
}

/// Ends of the windows of samples, with their realised targets.
#[derive(Debug)]
pub(crate) struct Windows {
    row: Tensor,
    first_row: Tensor,
    /// `[N, M]`
    actual: Tensor,
}

impl Tape {
    pub(crate) fn new(tape: &[f32], features: usize, frames: usize, device: Device) -> Result<Self, TchError> {
        let rows = Tensor::f_from_slice(tape)?.f_view([-1, features as i64])?.f_to(device)?;
        let back = Tensor::f_arange_start_step(frames as i64 - 1, -1, -1, (Kind::Int64, device))?;
        Ok(Self { rows, back })
    }

    pub(crate) fn device(&self) -> Device {
        self.rows.device()
    }

    /// Returns the inputs per window: `k · F`.
    pub(crate) fn inputs(&self) -> i64 {
        self.back.size()[0] * self.rows.size()[1]
    }

    /// Returns the frames of samples, oldest first; before the first row of a window that row is repeated. `[B, k, F]`
    pub(crate) fn frames(&self, windows: &Windows, picks: &Tensor) -> Result<Tensor, TchError> {
        let newest = windows.row.f_index_select(0, picks)?.f_unsqueeze(1)?;
        let oldest = windows.first_row.f_index_select(0, picks)?.f_unsqueeze(1)?;
        let rows = newest.f_sub(&self.back)?.f_maximum(&oldest)?;
        let size = rows.size();
        self.rows.f_index_select(0, &rows.f_flatten(0, 1)?)?.f_view([size[0], size[1], -1])
    }
}

impl Windows {
    pub(crate) fn new(samples: &Samples, device: Device) -> Result<Self, TchError> {
        let numbers = |rows: &[u32]| {
            let rows: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
            Tensor::f_from_slice(&rows)?.f_to(device)
        };
        let targets = samples.actual.len().checked_div(samples.len()).unwrap_or(0) as i64;
        Ok(Self {
            row: numbers(&samples.row)?,
            first_row: numbers(&samples.first_row)?,
            actual: Tensor::f_from_slice(&samples.actual)?.f_view([samples.len() as i64, targets])?.f_to(device)?,
        })
    }

    /// Returns the realised targets of samples. `[B, M]`
    pub(crate) fn actual(&self, picks: &Tensor) -> Result<Tensor, TchError> {
        self.actual.f_index_select(0, picks)
    }

    pub(crate) fn len(&self) -> usize {
        self.row.size()[0] as usize
    }

    /// Returns all sample numbers in order, in chunks of [`CHUNK`].
    pub(crate) fn chunks(&self) -> Result<Vec<Tensor>, TchError> {
        Tensor::f_arange(self.len() as i64, (Kind::Int64, self.row.device()))?.f_split(CHUNK, 0)
    }
}

/// Samples per forward pass outside training: enough to amortise a kernel launch, few enough for any memory.
const CHUNK: i64 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_never_contains_a_row_before_its_first() {
        let tape = Tape::new(&[0.0, 10.0, 20.0, 30.0, 40.0], 1, 3, Device::Cpu).unwrap();
        let samples = Samples { row: vec![4, 3, 2], first_row: vec![0, 2, 2], actual: vec![0.0; 3], block: vec![0; 3] };
        let windows = Windows::new(&samples, Device::Cpu).unwrap();
        let frames = tape.frames(&windows, &Tensor::from_slice(&[0i64, 1, 2])).unwrap();
        assert_eq!(frames.size(), [3, 3, 1]);
        let frames = Vec::<f32>::try_from(frames.flatten(0, -1)).unwrap();
        assert_eq!(frames, [20.0, 30.0, 40.0, 20.0, 20.0, 30.0, 20.0, 20.0, 20.0]);
    }
}
