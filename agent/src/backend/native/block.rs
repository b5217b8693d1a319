//! Work of one thread: tiles of samples forward through the networks to actions and values, and back to a gradient.

use super::{
    kernel::Rows,
    net::{Networks, TILE, Workspace},
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
    pub(super) settings: &'a LossSettings,
    /// Mean of the minibatch's advantages and reciprocal of their standard deviation.
    pub(super) advantage: (f32, f32),
    pub(super) scale: f32,
}

/// Buffers of one thread: a tile of samples on its way through the networks, and a gradient.
#[derive(Debug, Clone)]
pub(super) struct Block {
    input: Vec<f32>,
    trunk: Workspace,
    actor: Workspace,
    critic: Workspace,
    /// Laid out like the packed parameters.
    pub(super) gradient: Vec<f32>,
    pub(super) sums: LossSums,
}

impl Block {
    pub(super) fn new(nets: &Networks, inputs: usize) -> Self {
        Self {
            input: vec![0.0; TILE * inputs],
            trunk: nets.trunk.workspace(),
            actor: nets.actor.workspace(),
            critic: nets.critic.workspace(),
            gradient: vec![0.0; nets.len()],
            sums: LossSums::default(),
        }
    }

    /// Writes the policy inputs of a tile and runs the trunk over them.
    fn forward_trunk(&mut self, view: View<'_>, obs: ObsView<'_>, samples: impl ExactSizeIterator<Item = usize>) {
        let width = view.nets.trunk.inputs;
        let rows = samples.len();
        for (sample, input) in samples.zip(self.input.chunks_exact_mut(width)) {
            view.inputs.write(obs, sample, input);
        }
        let input = Rows { data: &self.input[..rows * width], stride: width, columns: width };
        view.nets.trunk.forward(view.params[0], input, &mut self.trunk);
    }

    /// Chooses actions for the lanes from `first` on.
    pub(super) fn act(
        &mut self,
        view: View<'_>,
        obs: ObsView<'_>,
        first: usize,
        selection: ActionSelection<'_>,
        out: ActOut<'_>,
    ) {
        let (actions, width) = (view.nets.actions, view.nets.actor.width());
        for (index, ActOut { action, prob, log_prob, value }) in out.chunks(TILE).enumerate() {
            let (first, rows) = (first + index * TILE, action.len());
            self.forward_trunk(view, obs, first..first + rows);
            let features = features(view.nets, &self.input, &self.trunk, rows);
            view.nets.actor.forward(view.params[1], features, &mut self.actor);
            view.nets.critic.forward(view.params[2], features, &mut self.critic);
            copy_first_column(&self.critic, view.nets.critic.width(), value);
            let logits = self.actor.output().chunks_exact(width);
            let chosen = action.iter_mut().zip(prob).zip(log_prob);
            for (row, (logits, ((action, prob), log_prob))) in logits.zip(chosen).enumerate() {
                let distribution = MaskedCategorical::new(&logits[..actions], obs.mask[first + row]);
                *action = selection.select(&distribution, first + row);
                *prob = *distribution.prob();
                *log_prob = distribution.log_prob(*action);
            }
        }
    }

    /// Computes the values of the observations from `first` on.
    pub(super) fn values(&mut self, view: View<'_>, obs: ObsView<'_>, first: usize, values: &mut [f32]) {
        for (index, values) in values.chunks_mut(TILE).enumerate() {
            let first = first + index * TILE;
            self.forward_trunk(view, obs, first..first + values.len());
            let features = features(view.nets, &self.input, &self.trunk, values.len());
            view.nets.critic.forward(view.params[2], features, &mut self.critic);
            copy_first_column(&self.critic, view.nets.critic.width(), values);
        }
    }

    /// Returns the outputs of every hidden layer on the picked samples: trunk, actor, critic.
    pub(super) fn hidden(&mut self, view: View<'_>, obs: ObsView<'_>, picks: &[u32]) -> Vec<Vec<f32>> {
        let nets = view.nets.all();
        let mut outputs: Vec<Vec<f32>> = nets.iter().flat_map(|net| (0..net.hidden()).map(|_| Vec::new())).collect();
        for picks in picks.chunks(TILE) {
            self.forward_trunk(view, obs, picks.iter().map(|&sample| sample as usize));
            let features = features(view.nets, &self.input, &self.trunk, picks.len());
            view.nets.actor.forward(view.params[1], features, &mut self.actor);
            view.nets.critic.forward(view.params[2], features, &mut self.critic);
            let mut rest = outputs.as_mut_slice();
            for (net, work) in nets.iter().zip([&self.trunk, &self.actor, &self.critic]) {
                let (own, later) = rest.split_at_mut(net.hidden());
                work.copy_hidden(net, picks.len(), own);
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
        let obs = context.rollout.obs.first(context.rollout.samples());
        for batch in batch.chunks(TILE) {
            self.forward_trunk(view, obs, batch.iter().map(|&sample| sample as usize));
            let Self { input, trunk, actor, critic, gradient, sums } = self;
            let features = features(view.nets, input, trunk, batch.len());
            let [by_trunk, by_actor, by_critic] = view.nets.parts_mut(gradient);
            let mut policy = || {
                view.nets.actor.forward(view.params[1], features, actor);
                let sums = policy_losses(view.nets, context, batch, actor);
                view.nets.actor.backward(view.transposed[1], features, actor, by_actor, gradient_flows[1]);
                sums
            };
            let mut value = || {
                view.nets.critic.forward(view.params[2], features, critic);
                let sum = value_losses(view.nets, context, batch, critic);
                view.nets.critic.backward(view.transposed[2], features, critic, by_critic, gradient_flows[2]);
                sum
            };
            let (policy, value) = if split { rayon::join(policy, value) } else { (policy(), value()) };
            sums.add(&LossSums { value, ..policy });
            if gradient_flows[1] {
                let width = view.nets.trunk.inputs;
                let input = Rows { data: &input[..batch.len() * width], stride: width, columns: width };
                view.nets.trunk.sum_input_deltas([actor, critic], batch.len(), trunk);
                view.nets.trunk.backward(view.transposed[0], input, trunk, by_trunk, gradient_flows[0]);
            }
        }
    }
}

/// Returns the input of actor and critic: the output of the trunk, or the observation where there is no trunk.
fn features<'a>(nets: &Networks, input: &'a [f32], trunk: &'a Workspace, rows: usize) -> Rows<'a> {
    let stride = nets.trunk.width();
    let data = if nets.trunk.is_empty() { input } else { trunk.output() };
    Rows { data: &data[..rows * stride], stride, columns: nets.actor.inputs }
}

/// Copies the first column of a network's output.
fn copy_first_column(work: &Workspace, width: usize, out: &mut [f32]) {
    out.iter_mut().zip(work.output().chunks_exact(width)).for_each(|(value, row)| *value = row[0]);
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
