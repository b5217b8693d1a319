//! Gates of recurrent cells: activations and their gradients, over one panel of [`LANES`] units and one step.
//!
//! The gates of a panel lie side by side, so that all gates of a unit stand in the same lane of neighbouring vectors. The
//! division, the slowest operation of a sigmoid or a hyperbolic tangent, is shared by several gates.

use pulp::{Arch, Simd, WithSimd};

use super::vectors::{LANES, load, store, tanh_fraction};

/// Columns of a panel of an LSTM: input, forget, candidate and output gates.
pub(super) const LSTM_PANEL: usize = 4 * LANES;
/// Columns of a panel of a GRU: reset, update and candidate gates.
pub(super) const GRU_PANEL: usize = 3 * LANES;

/// Rows `[b, width]` of all units, of which a panel uses the columns from `first` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    pub(super) width: usize,
    pub(super) first: usize,
}

impl Units {
    /// Returns the position of a column of the panel.
    #[inline(always)]
    fn at(self, lane: usize, column: usize) -> usize {
        lane * self.width + self.first + column
    }
}

/// Runs a pass over one panel and one step.
pub(super) fn run(pass: impl WithSimd<Output = ()>) {
    Arch::new().dispatch(pass);
}

/// Step of an LSTM.
///
/// # Source
/// Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, in the order of gates of `torch.nn.LSTM`.
pub(super) struct LstmForward<'a> {
    /// Sums of the gates, replaced by their activations. `[b, LSTM_PANEL]`
    pub(super) gates: &'a mut [f32],
    pub(super) units: Units,
    /// Cell state before the step. `[b, width]`, as all below
    pub(super) cell_before: &'a [f32],
    pub(super) cell: &'a mut [f32],
    /// Hyperbolic tangent of the cell state.
    pub(super) cell_tanh: &'a mut [f32],
    pub(super) hidden: &'a mut [f32],
}

impl WithSimd for LstmForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (lane, gates) in self.gates.chunks_exact_mut(LSTM_PANEL).enumerate() {
            for column in (0..LANES).step_by(S::F32_LANES) {
                let [i, f, g, o] = activations(simd, loads::<S, 4>(simd, gates, column));
                let unit = self.units.at(lane, column);
                let kept = simd.mul_f32s(f, load::<S>(self.cell_before, unit));
                let cell = simd.mul_add_f32s(i, g, kept);
                let (numerator, denominator) = tanh_fraction(simd, cell);
                let cell_tanh = simd.div_f32s(numerator, denominator);
                stores::<S, 4>(gates, column, [i, f, g, o]);
                store::<S>(self.cell, unit, cell);
                store::<S>(self.cell_tanh, unit, cell_tanh);
                store::<S>(self.hidden, unit, simd.mul_f32s(o, cell_tanh));
            }
        }
    }
}

/// Gradient of a step of an LSTM.
pub(super) struct LstmBackward<'a> {
    /// Activations, replaced by the gradient with respect to the sums of the gates. `[b, LSTM_PANEL]`
    pub(super) gates: &'a mut [f32],
    pub(super) units: Units,
    pub(super) cell_before: &'a [f32],
    pub(super) cell_tanh: &'a [f32],
    /// Gradient with respect to the hidden state by the layers above, and by the step after. `[b, width]`
    pub(super) above: &'a [f32],
    pub(super) later_hidden: &'a [f32],
    /// Gradient with respect to the cell state by the step after, replaced by that of this step.
    pub(super) later_cell: &'a mut [f32],
}

impl WithSimd for LstmBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let one = simd.splat_f32s(1.0);
        for (lane, gates) in self.gates.chunks_exact_mut(LSTM_PANEL).enumerate() {
            for column in (0..LANES).step_by(S::F32_LANES) {
                let [i, f, g, o] = loads::<S, 4>(simd, gates, column);
                let unit = self.units.at(lane, column);
                let cell_tanh = load::<S>(self.cell_tanh, unit);
                let hidden = simd.add_f32s(load::<S>(self.above, unit), load::<S>(self.later_hidden, unit));
                let slope = simd.sub_f32s(one, simd.mul_f32s(cell_tanh, cell_tanh));
                let later = load::<S>(self.later_cell, unit);
                let cell = simd.mul_add_f32s(simd.mul_f32s(hidden, o), slope, later);
                let by_forget = simd.mul_f32s(cell, load::<S>(self.cell_before, unit));
                let gradient = [
                    simd.mul_f32s(simd.mul_f32s(cell, g), sigmoid_slope(simd, i)),
                    simd.mul_f32s(by_forget, sigmoid_slope(simd, f)),
                    simd.mul_f32s(simd.mul_f32s(cell, i), simd.sub_f32s(one, simd.mul_f32s(g, g))),
                    simd.mul_f32s(simd.mul_f32s(hidden, cell_tanh), sigmoid_slope(simd, o)),
                ];
                stores::<S, 4>(gates, column, gradient);
                store::<S>(self.later_cell, unit, simd.mul_f32s(cell, f));
            }
        }
    }
}

/// Step of a GRU.
///
/// # Source
/// Cho et al. 2014 in the form of `torch.nn.GRU`, whose reset gate acts after the matrix product.
pub(super) struct GruForward<'a> {
    /// Sums of the gates over the inputs, replaced by the activations. `[b, GRU_PANEL]`
    pub(super) gates: &'a mut [f32],
    /// Sums of the gates over the hidden state. `[b, GRU_PANEL]`
    pub(super) recurrent: &'a [f32],
    pub(super) units: Units,
    /// Hidden state before the step. `[b, width]`, as below
    pub(super) hidden_before: &'a [f32],
    pub(super) hidden: &'a mut [f32],
}

impl WithSimd for GruForward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.gates.chunks_exact_mut(GRU_PANEL).zip(self.recurrent.chunks_exact(GRU_PANEL));
        for (lane, (gates, recurrent)) in rows.enumerate() {
            for column in (0..LANES).step_by(S::F32_LANES) {
                let [reset, update, candidate] = loads::<S, 3>(simd, gates, column);
                let [by_reset, by_update, by_candidate] = loads::<S, 3>(simd, recurrent, column);
                let sums = [simd.add_f32s(reset, by_reset), simd.add_f32s(update, by_update)];
                let [reset, update] = sigmoids(simd, sums);
                let (numerator, denominator) = tanh_fraction(simd, simd.mul_add_f32s(reset, by_candidate, candidate));
                let candidate = simd.div_f32s(numerator, denominator);
                let unit = self.units.at(lane, column);
                let change = simd.sub_f32s(load::<S>(self.hidden_before, unit), candidate);
                stores::<S, 3>(gates, column, [reset, update, candidate]);
                store::<S>(self.hidden, unit, simd.mul_add_f32s(update, change, candidate));
            }
        }
    }
}

/// Gradient of a step of a GRU.
pub(super) struct GruBackward<'a> {
    /// Activations, replaced by the gradient with respect to the sums over the inputs. `[b, GRU_PANEL]`
    pub(super) gates: &'a mut [f32],
    /// Sums over the hidden state, replaced by their gradient. `[b, GRU_PANEL]`
    pub(super) recurrent: &'a mut [f32],
    pub(super) units: Units,
    pub(super) hidden_before: &'a [f32],
    /// Gradient with respect to the hidden state by the layers above. `[b, width]`
    pub(super) above: &'a [f32],
    /// The same by the step after, replaced by the part of this step that passes the gates by.
    pub(super) later_hidden: &'a mut [f32],
}

impl WithSimd for GruBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let one = simd.splat_f32s(1.0);
        let rows = self.gates.chunks_exact_mut(GRU_PANEL).zip(self.recurrent.chunks_exact_mut(GRU_PANEL));
        for (lane, (gates, recurrent)) in rows.enumerate() {
            for column in (0..LANES).step_by(S::F32_LANES) {
                let [reset, update, candidate] = loads::<S, 3>(simd, gates, column);
                let [_, _, by_candidate] = loads::<S, 3>(simd, recurrent, column);
                let unit = self.units.at(lane, column);
                let hidden = simd.add_f32s(load::<S>(self.above, unit), load::<S>(self.later_hidden, unit));
                let change = simd.sub_f32s(load::<S>(self.hidden_before, unit), candidate);
                let slope = simd.sub_f32s(one, simd.mul_f32s(candidate, candidate));
                let of_candidate = simd.mul_f32s(simd.mul_f32s(hidden, simd.sub_f32s(one, update)), slope);
                let of_update = simd.mul_f32s(simd.mul_f32s(hidden, change), sigmoid_slope(simd, update));
                let of_reset = simd.mul_f32s(simd.mul_f32s(of_candidate, by_candidate), sigmoid_slope(simd, reset));
                stores::<S, 3>(gates, column, [of_reset, of_update, of_candidate]);
                stores::<S, 3>(recurrent, column, [of_reset, of_update, simd.mul_f32s(of_candidate, reset)]);
                store::<S>(self.later_hidden, unit, simd.mul_f32s(hidden, update));
            }
        }
    }
}

/// Returns one vector of each of `V` gates of a row, without a closure: those that return vectors are not compiled for
/// the vector unit.
#[inline(always)]
fn loads<S: Simd, const V: usize>(simd: S, row: &[f32], column: usize) -> [S::f32s; V] {
    let mut vectors = [simd.splat_f32s(0.0); V];
    for (gate, vector) in vectors.iter_mut().enumerate() {
        *vector = load::<S>(row, gate * LANES + column);
    }
    vectors
}

#[inline(always)]
fn stores<S: Simd, const V: usize>(row: &mut [f32], column: usize, vectors: [S::f32s; V]) {
    for (gate, vector) in vectors.into_iter().enumerate() {
        store::<S>(row, gate * LANES + column, vector);
    }
}

/// Returns the derivative of the sigmoid at its output `y`.
#[inline(always)]
fn sigmoid_slope<S: Simd>(simd: S, y: S::f32s) -> S::f32s {
    simd.mul_f32s(y, simd.sub_f32s(simd.splat_f32s(1.0), y))
}

/// Returns the sigmoids of the first, second and fourth number and the hyperbolic tangent of the third, with one division.
#[inline(always)]
fn activations<S: Simd>(simd: S, [i, f, g, o]: [S::f32s; 4]) -> [S::f32s; 4] {
    let half = simd.splat_f32s(0.5);
    let ((i, below_i), (f, below_f)) =
        (tanh_fraction(simd, simd.mul_f32s(i, half)), tanh_fraction(simd, simd.mul_f32s(f, half)));
    let ((g, below_g), (o, below_o)) = (tanh_fraction(simd, g), tanh_fraction(simd, simd.mul_f32s(o, half)));
    // Products of denominators lie between 5e-10 and 9: nothing overflows.
    let (first, second) = (simd.mul_f32s(below_i, below_f), simd.mul_f32s(below_g, below_o));
    let inverse = simd.div_f32s(simd.splat_f32s(1.0), simd.mul_f32s(first, second));
    let (over_first, over_second) = (simd.mul_f32s(inverse, second), simd.mul_f32s(inverse, first));
    let (i, f) =
        (simd.mul_f32s(i, simd.mul_f32s(below_f, over_first)), simd.mul_f32s(f, simd.mul_f32s(below_i, over_first)));
    let (g, o) =
        (simd.mul_f32s(g, simd.mul_f32s(below_o, over_second)), simd.mul_f32s(o, simd.mul_f32s(below_g, over_second)));
    [simd.mul_add_f32s(i, half, half), simd.mul_add_f32s(f, half, half), g, simd.mul_add_f32s(o, half, half)]
}

/// Returns the sigmoids of two numbers, with one division.
#[inline(always)]
fn sigmoids<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 2] {
    let half = simd.splat_f32s(0.5);
    let ((a, below_a), (b, below_b)) =
        (tanh_fraction(simd, simd.mul_f32s(a, half)), tanh_fraction(simd, simd.mul_f32s(b, half)));
    let inverse = simd.div_f32s(simd.splat_f32s(1.0), simd.mul_f32s(below_a, below_b));
    let (a, b) = (simd.mul_f32s(a, simd.mul_f32s(below_b, inverse)), simd.mul_f32s(b, simd.mul_f32s(below_a, inverse)));
    [simd.mul_add_f32s(a, half, half), simd.mul_add_f32s(b, half, half)]
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    const ROWS: usize = 3;
    const UNITS: Units = Units { width: 2 * LANES, first: LANES };

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|index| ((index + seed) * 37 % 101) as f32 * 0.06 - 3.0).collect()
    }

    #[test]
    fn activations_are_close_to_libm_everywhere() {
        let mut worst = 0.0f64;
        for step in -40_000..=40_000 {
            let x = step as f32 * 1e-3;
            // The other gates lie anywhere: small, large, of either sign.
            let others = [x, -0.3 * x, 0.01 * x + 2.0, 7.0 - x];
            let ours = activations(Scalar, others);
            let sigmoid = |x: f32| 1.0 / (1.0 + (-f64::from(x)).exp());
            let [i, f, g, o] = others;
            let expected = [sigmoid(i), sigmoid(f), f64::from(g).tanh(), sigmoid(o)];
            let pair = sigmoids(Scalar, [i, o]);
            let all = ours.into_iter().zip(expected).chain(pair.into_iter().zip([expected[0], expected[3]]));
            worst = all.map(|(ours, expected)| (f64::from(ours) - expected).abs()).fold(worst, f64::max);
        }
        assert!(worst < 7e-7, "{worst}");
    }

    /// Gates of a panel, and rows `[b, width]` of states and gradients.
    type States = (Vec<f32>, [Vec<f32>; 5]);

    fn states() -> States {
        let rows = |seed| numbers(ROWS * UNITS.width, seed);
        (numbers(ROWS * LSTM_PANEL, 1), [rows(2), rows(3), rows(4), rows(5), rows(6)])
    }

    fn lstm(scalar: bool) -> States {
        let (mut gates, [a, b, mut c, mut d, mut e]) = states();
        let (units, before) = (UNITS, a.as_slice());
        let pass = LstmForward {
            gates: &mut gates,
            units,
            cell_before: before,
            cell: &mut c,
            cell_tanh: &mut d,
            hidden: &mut e,
        };
        if scalar {
            pass.with_simd(Scalar)
        } else {
            run(pass)
        };
        let (above, later_hidden) = (b.as_slice(), e.as_slice());
        let pass = LstmBackward {
            gates: &mut gates,
            units,
            cell_before: before,
            cell_tanh: &d,
            above,
            later_hidden,
            later_cell: &mut c,
        };
        if scalar {
            pass.with_simd(Scalar)
        } else {
            run(pass)
        };
        (gates, [a, b, c, d, e])
    }

    fn gru(scalar: bool) -> States {
        let (gates, [a, b, c, mut d, mut e]) = states();
        let mut recurrent = gates[..ROWS * GRU_PANEL].to_vec();
        let mut gates = gates[ROWS * LANES..].to_vec();
        let units = UNITS;
        let pass = GruForward { gates: &mut gates, recurrent: &recurrent, units, hidden_before: &a, hidden: &mut d };
        if scalar {
            pass.with_simd(Scalar)
        } else {
            run(pass)
        };
        let pass = GruBackward {
            gates: &mut gates,
            recurrent: &mut recurrent,
            units,
            hidden_before: &a,
            above: &b,
            later_hidden: &mut e,
        };
        if scalar {
            pass.with_simd(Scalar)
        } else {
            run(pass)
        };
        ([gates, recurrent].concat(), [a, b, c, d, e])
    }

    #[test]
    fn vector_width_changes_no_bit() {
        assert_eq!(lstm(true), lstm(false));
        assert_eq!(gru(true), gru(false));
        assert_ne!(lstm(true), states());
    }

    #[test]
    fn a_panel_leaves_the_other_units_alone() {
        for (_, rows) in [lstm(false), gru(false)] {
            for (rows, before) in rows.iter().zip(states().1) {
                let others = |rows: &[f32]| -> Vec<f32> {
                    rows.chunks(UNITS.width).flat_map(|row| row[..UNITS.first].to_vec()).collect()
                };
                assert_eq!(others(rows), others(&before));
            }
        }
    }
}
