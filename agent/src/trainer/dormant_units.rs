//! Whether the hidden units of the networks do anything: dormant ones and the effective rank of each layer.

use pulp::Arch;

use crate::Activation;

/// Samples on which the units are watched.
pub(crate) const WATCHED: usize = 512;
/// Standard deviation below which a unit that saturates says nothing.
const STILL: f64 = 1e-3;
/// Mean output, as a share of the layer's mean, up to which a rectifier is dormant.
const QUIET: f64 = 0.025;

/// What the units of one hidden layer did on a batch of observations.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerActivity {
    /// Network and layer, such as `actor.0`, or `critic.lstm` for a cell.
    pub name: String,
    /// Units.
    pub units: usize,
    /// Share of dormant units. Of tanh units and cells: those whose standard deviation over the batch is below 0.001; of
    /// rectifiers: those whose mean output is at most 0.025 of the layer's mean (Sokar et al. 2023).
    pub dormant: f64,
    /// How many directions the layer uses: the participation ratio `(Σλ)² / Σλ²` of its covariance's eigenvalues, 1 to
    /// the number of units; 0 where nothing varies.
    pub effective_rank: f64,
}

impl LayerActivity {
    /// Measures a layer from its outputs `[B, units]`.
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
            let usual = size.iter().sum::<f64>() / units as f64;
            size.iter().filter(|&&size| size <= QUIET * usual).count()
        } else {
            let variance = |unit| centred.iter().skip(unit).step_by(units).map(|&x| f64::from(x).powi(2)).sum::<f64>();
            (0..units).filter(|&unit| variance(unit) / rows < STILL * STILL).count()
        };
        Self { name, units, dormant: dormant as f64 / units as f64, effective_rank: participation(&centred, units) }
    }
}

/// `(tr C)² / ‖C‖²` of the covariance `C` of centred rows `[B, units]`.
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

/// Whether a layer's units rectify; those of cells never do.
pub(crate) fn rectifies(activation: Activation, cell: bool) -> bool {
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
    fn a_saturated_tanh_and_a_silent_rectifier_are_dormant() {
        let saturated = layer(8, false, |row, unit| if unit < 2 { 1.0 - 1e-5 * wave(row, 1) } else { wave(row, unit) });
        assert_eq!(saturated.dormant, 0.25);
        let silent = layer(8, true, |row, unit| if unit < 6 { 0.0 } else { 1.0 + wave(row, unit) });
        assert_eq!(silent.dormant, 0.75);
        // A rectifier that is always on varies with nothing, but is not silent.
        assert_eq!(layer(8, true, |_, _| 1.0).dormant, 0.0);
        assert!(rectifies(Activation::Relu, false) && !rectifies(Activation::Relu, true));
    }
}
