//! Work of one thread: tiles of samples forward through the networks to actions and values, and back to a gradient.

use super::{
    memory::{LaneStates, Memory},
    net::{Networks, TILE, Workspace},
    tile::Tile,
};
use crate::{
    backend::engine::ActionSelection,
    ppo::{
        distribution::MaskedCategorical,
        loss::{Decision, LossSettings, LossSums, policy_terms, value_terms},
        rollout::{ActOut, Inputs, ObsView, Rollout},
    },
};

/// Read-only inputs shared by all blocks.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    nets: &'a Networks,
    inputs: &'a Inputs,
    params: [&'a [f32]; 3],
    transposed: [&'a [f32]; 3],
}

/// Borrows the blocks mutably and everything they read immutably.
pub(super) fn view<'a>(
    nets: &'a Networks,
    inputs: &'a Inputs,
    params: &'a [f32],
    transposed: &'a [Vec<f32>; 3],
    blocks: &'a mut [Block],
) -> (View<'a>, &'a mut [Block]) {
    let transposed = transposed.each_ref().map(Vec::as_slice);
    (View { nets, inputs, params: nets.parts(params), transposed }, blocks)
}

/// Read-only inputs of one minibatch, shared by its blocks.
pub(super) struct MinibatchContext<'a> {
    pub(super) rollout: &'a Rollout,
    pub(super) memory: &'a Memory,
    pub(super) settings: &'a LossSettings,
    /// Mean of the minibatch's advantages and reciprocal of their standard deviation.
    pub(super) advantage: (f32, f32),
    pub(super) scale: f32,
    /// Rows of a tile.
    pub(super) rows: usize,
}

/// Buffers of one thread: a tile of samples on its way through the networks, and a gradient.
#[derive(Debug, Clone)]
pub(super) struct Block {
    tile: Tile,
    trunk: Workspace,
    actor: Workspace,
    critic: Workspace,
    /// Laid out like the packed parameters.
    pub(super) gradient: Vec<f32>,
    pub(super) sums: LossSums,
}

impl Block {
    /// Allocates tiles of up to `rows` rows, with recurrent states of `size` numbers.
    pub(super) fn new(nets: &Networks, rows: usize, size: usize) -> Self {
        Self {
            tile: Tile::new(rows, nets.trunk.inputs, size),
            trunk: nets.trunk.workspace(rows),
            actor: nets.actor.workspace(rows),
            critic: nets.critic.workspace(rows),
            gradient: vec![0.0; nets.len()],
            sums: LossSums::default(),
        }
    }

    /// Runs trunk and critic, and the actor if wanted, over the tile.
    fn forward(&mut self, view: View<'_>, with_actor: bool) {
        let (input, steps) = (self.tile.input(), self.tile.steps());
        view.nets.trunk.forward(view.params[0], input, steps, &mut self.trunk);
        let features = self.trunk.output(&view.nets.trunk, self.tile.rows(), input);
        if with_actor {
            view.nets.actor.forward(view.params[1], features, steps, &mut self.actor);
        }
        view.nets.critic.forward(view.params[2], features, steps, &mut self.critic);
    }

    /// Chooses actions for the lanes from `first` on, and advances their states.
    pub(super) fn act(
        &mut self,
        view: View<'_>,
        (obs, first): (ObsView<'_>, usize),
        selection: ActionSelection<'_>,
        (out, states): (ActOut<'_>, LaneStates<'_>),
    ) {
        let (actions, size) = (view.nets.actions, view.nets.state());
        let states = states.chunks(TILE, size);
        for ((index, out), LaneStates { state, start }) in out.chunks(TILE).enumerate().zip(states) {
            let (first, ActOut { action, prob, log_prob, value }) = (first + index * TILE, out);
            self.tile.load_step(view.inputs, obs, first, (&*state, start));
            self.forward(view, true);
            for (net, work) in view.nets.all().into_iter().zip([&self.trunk, &self.actor, &self.critic]) {
                work.copy_state(net, size, state);
            }
            copy_first_column(&self.critic, view.nets.critic.width(), value);
            let logits = self.actor.logits().chunks_exact(view.nets.actor.width());
            let chosen = action.iter_mut().zip(prob).zip(log_prob);
            for (row, (logits, ((action, prob), log_prob))) in logits.zip(chosen).enumerate() {
                let distribution = MaskedCategorical::new(&logits[..actions], obs.mask[first + row]);
                *action = selection.select(&distribution, first + row);
                *prob = *distribution.prob();
                *log_prob = distribution.log_prob(*action);
            }
        }
    }

    /// Computes the values of the observations of the lanes from `first` on; their states stay.
    pub(super) fn values(
        &mut self,
        view: View<'_>,
        (obs, first): (ObsView<'_>, usize),
        (values, states): (&mut [f32], LaneStates<'_>),
    ) {
        let states = states.chunks(TILE, view.nets.state());
        for ((index, values), LaneStates { state, start }) in values.chunks_mut(TILE).enumerate().zip(states) {
            self.tile.load_step(view.inputs, obs, first + index * TILE, (&*state, start));
            self.forward(view, false);
            copy_first_column(&self.critic, view.nets.critic.width(), values);
        }
    }

    /// Returns the outputs of every hidden layer on samples of the rollout: trunk, actor, critic.
    pub(super) fn hidden(
        &mut self,
        view: View<'_>,
        (rollout, memory): (&Rollout, &Memory),
        (samples, rows): (&[u32], usize),
    ) -> Vec<Vec<f32>> {
        let nets = view.nets.all();
        let mut outputs: Vec<Vec<f32>> = nets.iter().flat_map(|net| (0..net.hidden()).map(|_| Vec::new())).collect();
        for samples in samples.chunks(rows) {
            self.tile.load(view.inputs, rollout, memory, samples);
            self.forward(view, true);
            let mut rest = outputs.as_mut_slice();
            for (net, work) in nets.iter().zip([&self.trunk, &self.actor, &self.critic]) {
                let (own, later) = rest.split_at_mut(net.hidden());
                work.copy_hidden(net, samples.len(), own);
                rest = later;
            }
        }
        outputs
    }

    /// Computes losses and gradients of a batch; actor and critic run in parallel if `split`.
    pub(super) fn gradient(&mut self, view: View<'_>, context: &MinibatchContext<'_>, batch: &[u32], split: bool) {
        self.gradient.fill(0.0);
        self.sums = LossSums::default();
        let gradient_flows = view.nets.gradient_flows();
        for batch in batch.chunks(context.rows) {
            let Self { tile, trunk, actor, critic, gradient, sums } = self;
            tile.load(view.inputs, context.rollout, context.memory, batch);
            let (input, steps) = (tile.input(), tile.steps());
            view.nets.trunk.forward(view.params[0], input, steps, trunk);
            let features = trunk.output(&view.nets.trunk, batch.len(), input);
            let [by_trunk, by_actor, by_critic] = view.nets.parts_mut(gradient);
            let mut policy = || {
                view.nets.actor.forward(view.params[1], features, steps, actor);
                let sums = policy_losses(view.nets, context, batch, actor);
                view.nets.actor.backward(view.transposed[1], (features, steps), actor, by_actor, gradient_flows[1]);
                sums
            };
            let mut value = || {
                view.nets.critic.forward(view.params[2], features, steps, critic);
                let sum = value_losses(view.nets, context, batch, critic);
                view.nets.critic.backward(view.transposed[2], (features, steps), critic, by_critic, gradient_flows[2]);
                sum
            };
            let (policy, value) = if split { rayon::join(policy, value) } else { (policy(), value()) };
            sums.add(&LossSums { value, ..policy });
            if gradient_flows[1] {
                view.nets.trunk.sum_input_deltas([actor, critic], batch.len(), trunk);
                view.nets.trunk.backward(view.transposed[0], (input, steps), trunk, by_trunk, gradient_flows[0]);
            }
        }
    }
}

/// Copies the first column of a network's output.
fn copy_first_column(work: &Workspace, width: usize, out: &mut [f32]) {
    out.iter_mut().zip(work.logits().chunks_exact(width)).for_each(|(value, row)| *value = row[0]);
}

/// Writes the gradients of the policy loss with respect to the logits and returns the sums of the losses.
fn policy_losses(nets: &Networks, context: &MinibatchContext<'_>, batch: &[u32], work: &mut Workspace) -> LossSums {
    let (rollout, width, (mean, inverse)) = (context.rollout, nets.actor.width(), context.advantage);
    let obs = rollout.obs.first(rollout.samples());
    let (logits, deltas) = work.output_and_delta();
    let mut sums = LossSums::default();
    let rows = logits.chunks_exact(width).zip(deltas.chunks_exact_mut(width));
    for (&sample, (logits, delta)) in batch.iter().zip(rows) {
        let sample = sample as usize;
        let decision = Decision {
            mask: obs.mask[sample],
            action: rollout.action[sample],
            log_prob: rollout.log_prob[sample],
            advantage: (rollout.advantage[sample] - mean) * inverse,
        };
        let (logits, delta) = (&logits[..nets.actions], &mut delta[..nets.actions]);
        sums.add(&policy_terms(logits, decision, context.settings, context.scale, delta));
    }
    sums
}

/// Writes the gradients of the value loss with respect to the values and returns the sum of squared errors.
fn value_losses(nets: &Networks, context: &MinibatchContext<'_>, batch: &[u32], work: &mut Workspace) -> f64 {
    let (rollout, width) = (context.rollout, nets.critic.width());
    let (values, deltas) = work.output_and_delta();
    let rows = values.chunks_exact(width).zip(deltas.chunks_exact_mut(width));
    let mut sum = 0.0;
    for (&sample, (value, delta)) in batch.iter().zip(rows) {
        let (old, target) = (rollout.value[sample as usize], rollout.target[sample as usize]);
        let (error, slope) = value_terms(value[0], old, target, context.settings, context.scale);
        sum += error;
        delta[0] = slope;
    }
    sum
}
