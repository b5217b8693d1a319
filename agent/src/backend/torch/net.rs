//! Networks as tensors: every layer is a view of the flat parameter vector, so that one optimiser step updates all of
//! them.

use tch::{Kind, TchError, Tensor};

use super::recurrent::{Cell, RecurrentState};
use crate::{
    Activation, Policy, Precision,
    policy::layout::{self, Layout},
};

/// Linear layer; weights and biases are leaves of the autograd graph.
#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
    activated: bool,
}

/// Optional recurrent cell followed by linear layers.
#[derive(Debug)]
struct Net {
    cell: Option<Cell>,
    layers: Vec<Linear>,
}

/// Shared trunk (may be empty), actor and critic.
#[derive(Debug)]
pub(super) struct Nets {
    trunk: Net,
    actor: Net,
    critic: Net,
    activation: Activation,
    /// Precision of the matrix products in linear layers; recurrent cells stay in single precision.
    kind: Kind,
}

impl Nets {
    /// Builds the networks as views of the flat parameters. `[P]`
    pub(super) fn new(params: &Tensor, policy: &Policy) -> Result<Self, TchError> {
        let Layout { trunk, actor, critic, .. } = &policy.layout;
        let mut parts = 0;
        let mut net = |net| Net::new(params, net, &mut parts);
        Ok(Self {
            trunk: net(trunk)?,
            actor: net(actor)?,
            critic: net(critic)?,
            activation: policy.config.activation,
            kind: match policy.config.precision {
                Precision::F32 => Kind::Float,
                Precision::Bf16 => Kind::BFloat16,
            },
        })
    }

    /// Returns logits `[B, K]` and values `[B]` for inputs `[B, W · F + A]`; cells start from `past` and advance it.
    pub(super) fn forward(&self, input: &Tensor, past: &mut RecurrentState) -> Result<(Tensor, Tensor), TchError> {
        let features = self.run(&self.trunk, input, past)?;
        Ok((self.run(&self.actor, &features, past)?, self.run(&self.critic, &features, past)?.f_squeeze_dim(1)?))
    }

    /// Returns the logits alone. `[B, K]`
    pub(super) fn logits(&self, input: &Tensor, past: &mut RecurrentState) -> Result<Tensor, TchError> {
        let features = self.run(&self.trunk, input, past)?;
        self.run(&self.actor, &features, past)
    }

    /// Returns the values alone. `[B]`
    pub(super) fn values(&self, input: &Tensor, past: &mut RecurrentState) -> Result<Tensor, TchError> {
        let features = self.run(&self.trunk, input, past)?;
        self.run(&self.critic, &features, past)?.f_squeeze_dim(1)
    }

    /// Returns the outputs of all cells and activated layers: trunk, actor, critic. `[B, units]` each
    pub(super) fn hidden(&self, input: &Tensor, past: &mut RecurrentState) -> Result<Vec<Tensor>, TchError> {
        let mut outputs = Vec::new();
        let features =
            self.run_watched(&self.trunk, input, past, &mut |output| outputs.push(output.shallow_clone()))?;
        for net in [&self.actor, &self.critic] {
            let _ = self.run_watched(net, &features, past, &mut |output| outputs.push(output.shallow_clone()))?;
        }
        outputs.iter().map(|output| output.f_to_kind(Kind::Float)).collect()
    }

    fn run(&self, net: &Net, input: &Tensor, past: &mut RecurrentState) -> Result<Tensor, TchError> {
        self.run_watched(net, input, past, &mut |_| ())
    }

    /// Runs a network and passes the outputs of its cell and its hidden layers to `watch`.
    fn run_watched(
        &self,
        net: &Net,
        input: &Tensor,
        past: &mut RecurrentState,
        watch: &mut dyn FnMut(&Tensor),
    ) -> Result<Tensor, TchError> {
        let cell_output = net.cell.as_ref().map(|cell| cell.unroll(input, past)).transpose()?;
        cell_output.iter().for_each(&mut *watch);
        let mut x = cast(cell_output.as_ref().unwrap_or(input), self.kind)?;
        for layer in &net.layers {
            x = x.f_linear(&cast(&layer.weight, self.kind)?, Some(&cast(&layer.bias, self.kind)?))?;
            x = match (layer.activated, self.activation) {
                (true, Activation::Tanh) => x.f_tanh()?,
                (true, Activation::Relu) => x.f_relu()?,
                (false, _) => x,
            };
            if layer.activated {
                watch(&x);
            }
        }
        if self.kind == Kind::Float { Ok(x) } else { x.f_to_kind(Kind::Float) }
    }

    /// Returns the gradient of a loss with respect to all parameters. `[P]`
    pub(super) fn gradient(&self, loss: &Tensor) -> Result<Tensor, TchError> {
        let leaves: Vec<&Tensor> = [&self.trunk, &self.actor, &self.critic].into_iter().flat_map(Net::leaves).collect();
        let parts = Tensor::f_run_backward(&[loss], &leaves, false, false)?;
        let flat = parts.iter().map(|part| part.f_flatten(0, -1)).collect::<Result<Vec<_>, _>>()?;
        Tensor::f_cat(&flat, 0)
    }
}

/// Casts a tensor; a comparison here is cheaper than a no-op cast in libtorch.
fn cast(tensor: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    if kind == Kind::Float { Ok(tensor.shallow_clone()) } else { tensor.f_to_kind(kind) }
}

impl Net {
    /// `parts` counts the state tensors of the networks before this one.
    fn new(params: &Tensor, net: &layout::Net, parts: &mut usize) -> Result<Self, TchError> {
        let leaf = |range: std::ops::Range<usize>, shape: &[usize]| {
            let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            let view = params.f_narrow(0, range.start as i64, range.len() as i64)?.f_view(shape.as_slice())?;
            view.f_detach()?.f_set_requires_grad(true)
        };
        let cell = match &net.cell {
            Some(cell) => {
                let [w_ih, w_hh, b_ih, b_hh] = cell.tensors().map(|(_, shape, range)| leaf(range, &shape));
                Some(Cell::new(cell.kind, [w_ih?, w_hh?, b_ih?, b_hh?], parts))
            }
            None => None,
        };
        let linear = |layer: &layout::Linear| {
            let weight = leaf(layer.weight(), &[layer.outputs, layer.inputs])?;
            Ok(Linear { weight, bias: leaf(layer.bias(), &[layer.outputs])?, activated: layer.activated })
        };
        Ok(Self { cell, layers: net.layers.iter().map(linear).collect::<Result<_, TchError>>()? })
    }

    /// Returns its tensors in the order of the flat vector.
    fn leaves(&self) -> impl Iterator<Item = &Tensor> {
        let of_cell = self.cell.iter().flat_map(Cell::tensors);
        of_cell.chain(self.layers.iter().flat_map(|layer| [&layer.weight, &layer.bias]))
    }
}
