//! Activity of hidden units: dormant units and effective rank of each layer.

use pulp::Arch;

use crate::Activation;

/// Samples on which the activity is measured.
pub(crate) const PROBE_SAMPLES: usize = 512;
/// Standard deviation below which a saturating unit is dormant.
const MIN_UNIT_STD: f64 = 1e-3;
/// Mean output, as a share of the layer mean, below which a ReLU is dormant.
const DORMANT_SHARE: f64 = 0.025;

/// Activity of one hidden layer on a batch of observations.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerActivity {
    /// Network and layer, such as `actor.0`, or `critic.lstm` for a cell.
    pub name: String,
    /// Number of units.
    pub units: usize,
    /// Share of dormant units: tanh units and cells with a standard deviation over the batch below 0.001; ReLUs with a
    /// mean output of at most 0.025 of the layer mean (Sokar et al. 2023).
    pub dormant: f64,
    /// Effective rank: the participation ratio `(Σλ)² / Σλ²` of the eigenvalues of the covariance, 1 to the number of
    /// units; 0 for constant outputs.
    pub effective_rank: f64,
}

impl LayerActivity {
    /// Computes the activity of a layer from its outputs `[B, units]`.
    pub(crate) fn of(name: String, units: usize, rectifier: bool, outputs: &[f32]) -> Self {
        let rows = (outputs.len() / units).max(1) as f64;
        let moment = |of: fn(f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; units];
            for row in outputs.chunks_exact(units) {
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += of(f64::from(x)));
            }
            sums.iter().map(|sum| sum / rows).collect()
        };
        let mean = moment(|x| x);
        let centred: Vec<f32> = outputs
            .chunks_exact(units)
            .flat_map(|row| row.iter().zip(&mean).map(|(&x, mean)| (f64::from(x) - mean) as f32))
            .collect();
        let dormant = if rectifier {
            let size = moment(f64::abs);
            let layer_mean = size.iter().sum::<f64>() / units as f64;
            size.iter().filter(|&&size| size <= DORMANT_SHARE * layer_mean).count()
        } else {
            let variance = |unit| centred.iter().skip(unit).step_by(units).map(|&x| f64::from(x).powi(2)).sum::<f64>();
            (0..units).filter(|&unit| variance(unit) / rows < MIN_UNIT_STD * MIN_UNIT_STD).count()
        };
        Self { name, units, dormant: dormant as f64 / units as f64, effective_rank: participation(&centred, units) }
    }
}

/// Returns `(tr C)² / ‖C‖²` of the covariance `C` of centred rows `[B, units]`.
fn participation(centred: &[f32], units: usize) -> f64 {
    let mut products = vec![0.0f32; units * units];
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in centred.chunks_exact(units) {
                for (&x, products) in row.iter().zip(products.chunks_exact_mut(units)) {
                    products.iter_mut().zip(row).for_each(|(sum, &y)| *sum += x * y);
                }
            }
        },
    );
    let trace: f64 = products.iter().step_by(units + 1).map(|&x| f64::from(x)).sum();
    let squares: f64 = products.iter().map(|&x| f64::from(x).powi(2)).sum();
    if squares > 0.0 { trace * trace / squares } else { 0.0 }
}

/// Returns whether the units of a layer are ReLUs; those of cells never are.
pub(crate) fn is_rectifier(activation: Activation, cell: bool) -> bool {
    activation == Activation::Relu && !cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(units: usize, rectifier: bool, value: impl Fn(usize, usize) -> f32) -> LayerActivity {
        let outputs: Vec<f32> = (0..300)
            .flat_map(|row| (0..units).map(move |unit| (row, unit)))
            .map(|(row, unit)| value(row, unit))
            .collect();
        LayerActivity::of("actor.0".into(), units, rectifier, &outputs)
    }

    fn wave(row: usize, unit: usize) -> f32 {
        ((row * (unit + 1)) as f32 * std::f32::consts::TAU / 300.0).sin()
    }

    #[test]
    fn orthogonal_units_fill_the_rank_and_copies_do_not() {
        assert!((layer(8, false, wave).effective_rank - 8.0).abs() < 1e-3);
        assert!((layer(8, false, |row, unit| wave(row, unit / 4)).effective_rank - 2.0).abs() < 1e-3);
        assert_eq!(layer(8, false, |_, _| 0.5).effective_rank, 0.0);
    }

    #[test]
    fn a_saturated_tanh_and_a_dead_relu_are_dormant() {
        let saturated = layer(8, false, |row, unit| if unit < 2 { 1.0 - 1e-5 * wave(row, 1) } else { wave(row, unit) });
        assert_eq!(saturated.dormant, 0.25);
        let silent = layer(8, true, |row, unit| if unit < 6 { 0.0 } else { 1.0 + wave(row, unit) });
        assert_eq!(silent.dormant, 0.75);
        // A ReLU that is always on has no variance, but is not dormant.
        assert_eq!(layer(8, true, |_, _| 1.0).dormant, 0.0);
        assert!(is_rectifier(Activation::Relu, false) && !is_rectifier(Activation::Relu, true));
    }
}
