//! Networks of a policy, and the position of each tensor in the flat parameter vector.
//!
//! A matrix is `[outputs, inputs]`, row-major, as in PyTorch, so that files and backends agree without transposing.

use std::ops::Range;

use market_env::ObsSpec;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::{PolicyConfig, PolicyKind, Trunk};

/// Position of a linear layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// True if an activation function follows; false for the last layer of actor and critic.
    pub(crate) activated: bool,
    start: usize,
}

impl Linear {
    /// Returns the range of the weights `[outputs, inputs]`.
    pub(crate) fn weight(&self) -> Range<usize> {
        self.start..self.start + self.outputs * self.inputs
    }

    /// Returns the range of the biases `[outputs]`.
    pub(crate) fn bias(&self) -> Range<usize> {
        let start = self.weight().end;
        start..start + self.outputs
    }
}

/// Position of a recurrent cell, with the gates stacked over the rows of a weight as in PyTorch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) kind: PolicyKind,
    pub(crate) inputs: usize,
    pub(crate) units: usize,
    start: usize,
}

impl Cell {
    /// Returns the number of gates of a unit.
    pub(crate) fn gates(&self) -> usize {
        if self.kind == PolicyKind::Lstm { 4 } else { 3 }
    }

    fn name(&self) -> &'static str {
        if self.kind == PolicyKind::Lstm { "lstm" } else { "gru" }
    }

    /// Returns name, shape and range of each of its tensors, in order.
    pub(crate) fn tensors(&self) -> [(&'static str, Vec<usize>, Range<usize>); 4] {
        let rows = self.gates() * self.units;
        let mut end = self.start;
        let mut next = |name, shape: Vec<usize>| {
            let start = end;
            end += shape.iter().product::<usize>();
            (name, shape, start..end)
        };
        [
            next("weight_ih", vec![rows, self.inputs]),
            next("weight_hh", vec![rows, self.units]),
            next("bias_ih", vec![rows]),
            next("bias_hh", vec![rows]),
        ]
    }

    /// Returns the size of its state per lane: hidden state, and cell state of an LSTM.
    pub(crate) fn state(&self) -> usize {
        if self.kind == PolicyKind::Lstm { 2 * self.units } else { self.units }
    }

    fn end(&self) -> usize {
        self.tensors()[3].2.end
    }
}

/// Optional recurrent cell followed by linear layers; empty, it passes its input on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Net {
    pub(crate) name: &'static str,
    pub(crate) cell: Option<Cell>,
    pub(crate) layers: Vec<Linear>,
    /// Range of all its parameters.
    pub(crate) range: Range<usize>,
    /// Outputs per sample.
    pub(crate) outputs: usize,
}

impl Net {
    /// Lays out a network after the parameters that end at `start`; `head` adds an output layer without activation.
    fn new(name: &'static str, start: usize, inputs: usize, body: &Body<'_>, head: Option<usize>) -> Self {
        let (mut end, mut outputs) = (start, inputs);
        let cell = body.cell.map(|(kind, units)| {
            let cell = Cell { kind, inputs: outputs, units, start: end };
            (end, outputs) = (cell.end(), units);
            cell
        });
        let mut layers = Vec::with_capacity(body.hidden.len() + 1);
        let hidden = body.hidden.iter().map(|&units| (units, true));
        for (units, activated) in hidden.chain(head.map(|units| (units, false))) {
            let layer = Linear { inputs: outputs, outputs: units, activated, start: end };
            (end, outputs) = (layer.bias().end, units);
            layers.push(layer);
        }
        Self { name, cell, layers, range: start..end, outputs }
    }

    /// Returns name and units of its cell and hidden layers, in order, and whether it is the cell.
    fn hidden(&self) -> Vec<(String, usize, bool)> {
        let cell = self.cell.iter().map(|cell| (format!("{}.{}", self.name, cell.name()), cell.units, true));
        let layers = self.layers.iter().enumerate().filter(|(_, layer)| layer.activated);
        cell.chain(layers.map(|(index, layer)| (format!("{}.{index}", self.name), layer.outputs, false))).collect()
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>, Range<usize>)> {
        let of_cell = self.cell.iter().flat_map(|cell| {
            let parts = cell.tensors().into_iter();
            parts.map(move |(part, shape, range)| (format!("{}.{}.{part}", self.name, cell.name()), shape, range))
        });
        let of_layers = self.layers.iter().enumerate().flat_map(|(index, layer)| {
            let weight = (format!("{}.{index}.weight", self.name), vec![layer.outputs, layer.inputs], layer.weight());
            [weight, (format!("{}.{index}.bias", self.name), vec![layer.outputs], layer.bias())]
        });
        of_cell.chain(of_layers).collect()
    }

    /// Initialises its parameters: orthogonal weights with gain 1 in a cell, √2 in hidden layers and `head_gain` in the
    /// head; biases zero.
    fn init(&self, head_gain: f64, rng: &mut ChaCha8Rng, params: &mut [f32]) {
        params[self.range.clone()].fill(0.0);
        for (_, shape, range) in self.cell.iter().flat_map(Cell::tensors).filter(|(_, shape, _)| shape.len() == 2) {
            orthogonal(shape[0], shape[1], 1.0, rng, &mut params[range]);
        }
        for layer in &self.layers {
            let gain = if layer.activated { std::f64::consts::SQRT_2 } else { head_gain };
            orthogonal(layer.outputs, layer.inputs, gain, rng, &mut params[layer.weight()]);
        }
    }
}

/// Layers before the head.
struct Body<'a> {
    cell: Option<(PolicyKind, usize)>,
    hidden: &'a [usize],
}

/// Networks of a policy: shared trunk (empty unless configured), actor and critic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) inputs: usize,
    pub(crate) actions: usize,
    pub(crate) trunk: Net,
    pub(crate) actor: Net,
    pub(crate) critic: Net,
}

impl Layout {
    pub(crate) fn new(spec: &ObsSpec, config: &PolicyConfig) -> Self {
        let (inputs, actions) = (spec.inputs(), spec.actions.len());
        let cell = (config.kind != PolicyKind::Mlp).then_some((config.kind, config.recurrent_size));
        let body = Body { cell, hidden: &config.net_arch };
        let empty = Body { cell: None, hidden: &[] };
        let (shared, own) = match config.trunk {
            Trunk::Shared => (&body, &empty),
            Trunk::Separate => (&empty, &body),
        };
        let trunk = Net::new("trunk", 0, inputs, shared, None);
        let actor = Net::new("actor", trunk.range.end, trunk.outputs, own, Some(actions));
        let critic = Net::new("critic", actor.range.end, trunk.outputs, own, Some(1));
        Self { inputs, actions, trunk, actor, critic }
    }

    pub(crate) fn nets(&self) -> [&Net; 3] {
        [&self.trunk, &self.actor, &self.critic]
    }

    /// Returns the number of parameters `P`.
    pub(crate) fn len(&self) -> usize {
        self.critic.range.end
    }

    /// Returns the size of the recurrent state per lane, over all cells in order.
    pub(crate) fn state(&self) -> usize {
        self.nets().iter().filter_map(|net| net.cell.as_ref()).map(Cell::state).sum()
    }

    /// Returns name, shape and range of every tensor, in order.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>, Range<usize>)> {
        self.nets().into_iter().flat_map(Net::tensors).collect()
    }

    /// Returns name and units of every hidden layer, in order, and whether it is a cell.
    pub(crate) fn hidden(&self) -> Vec<(String, usize, bool)> {
        self.nets().into_iter().flat_map(Net::hidden).collect()
    }

    /// Initialises all parameters; the small policy head makes the initial policy nearly uniform.
    pub(crate) fn init(&self, rng: &mut ChaCha8Rng, params: &mut [f32]) {
        for (net, head_gain) in [(&self.trunk, 1.0), (&self.actor, 0.01), (&self.critic, 1.0)] {
            net.init(head_gain, rng, params);
        }
    }

    /// Returns the tensor name and the value of the first non-finite parameter.
    pub(crate) fn non_finite(&self, params: &[f32]) -> Option<(String, f32)> {
        let index = params.iter().position(|x| !x.is_finite())?;
        let name = self.tensors().into_iter().find(|(_, _, range)| range.contains(&index))?.0;
        Some((name, params[index]))
    }
}

/// Fills a matrix with orthonormal rows (or columns, if there are more rows than columns) times the gain.
///
/// Gram-Schmidt on Gaussian vectors, twice for precision.
///
/// # Source
/// Saxe, McClelland & Ganguli 2014, as in `torch.nn.init.orthogonal_`.
fn orthogonal(rows: usize, columns: usize, gain: f64, rng: &mut ChaCha8Rng, weight: &mut [f32]) {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector: Vec<f64> = (0..length).map(|_| StandardNormal.sample(rng)).collect();
        for _ in 0..2 {
            for other in &basis {
                let overlap: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(other).for_each(|(a, b)| *a -= overlap * b);
            }
        }
        let norm = vector.iter().map(|a| a * a).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|a| *a /= norm);
        basis.push(vector);
    }
    for (index, value) in weight.iter_mut().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let entry = if rows <= columns { basis[row][column] } else { basis[column][row] };
        *value = (gain * entry) as f32;
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::games::best_row;

    #[test]
    fn rows_or_columns_are_orthonormal_times_the_gain() {
        for (inputs, outputs) in [(40, 64), (64, 64), (64, 6), (64, 1)] {
            let mut weight = vec![1.0; inputs * outputs];
            orthogonal(outputs, inputs, 0.5, &mut ChaCha8Rng::seed_from_u64(3), &mut weight);
            let entry = |row: usize, column: usize| f64::from(weight[row * inputs + column]);
            let (count, length) = (outputs.min(inputs), outputs.max(inputs));
            let at = |vector, index| if outputs <= inputs { entry(vector, index) } else { entry(index, vector) };
            for (i, j) in (0..count).flat_map(|i| (0..count).map(move |j| (i, j))) {
                let product: f64 = (0..length).map(|index| at(i, index) * at(j, index)).sum();
                let expected = if i == j { 0.25 } else { 0.0 };
                assert!((product - expected).abs() < 1e-6, "{inputs}x{outputs} [{i},{j}] = {product}");
            }
        }
    }

    #[test]
    fn tensors_cover_the_flat_vector_in_order() {
        for kind in [PolicyKind::Mlp, PolicyKind::Lstm, PolicyKind::Gru] {
            for trunk in [Trunk::Separate, Trunk::Shared] {
                let config = PolicyConfig { kind, trunk, recurrent_size: 5, ..PolicyConfig::default() };
                let layout = Layout::new(&best_row::spec(), &config);
                let mut end = 0;
                for (name, shape, range) in layout.tensors() {
                    assert_eq!((range.start, range.len()), (end, shape.iter().product()), "{name}");
                    end = range.end;
                }
                assert_eq!(end, layout.len());
            }
        }
    }

    #[test]
    fn names_have_network_layer_and_part() {
        let names = |config: PolicyConfig| -> Vec<String> {
            Layout::new(&best_row::spec(), &config).tensors().into_iter().map(|(name, ..)| name).collect()
        };
        let separate = names(PolicyConfig::default());
        assert_eq!(separate[..3], ["actor.0.weight", "actor.0.bias", "actor.1.weight"]);
        assert_eq!((separate.len(), separate[11].as_str()), (12, "critic.2.bias"));
        let shared = names(PolicyConfig { kind: PolicyKind::Gru, trunk: Trunk::Shared, ..PolicyConfig::default() });
        assert_eq!(shared[..2], ["trunk.gru.weight_ih", "trunk.gru.weight_hh"]);
        assert_eq!(shared[8..], ["actor.0.weight", "actor.0.bias", "critic.0.weight", "critic.0.bias"]);
    }

    #[test]
    fn a_non_finite_parameter_is_named() {
        let layout = Layout::new(&best_row::spec(), &PolicyConfig::default());
        let mut params = vec![0.0; layout.len()];
        assert_eq!(layout.non_finite(&params), None);
        params[layout.tensors()[9].2.start] = f32::NAN;
        assert_eq!(layout.non_finite(&params).unwrap().0, "critic.1.bias");
    }
}
