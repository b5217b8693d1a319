//! The CPU backend: hand-written forward and backward passes in preallocated buffers, over vector code of our own.
//!
//! Samples are cut into blocks of a fixed size whose partial gradients are summed in order, so that the numbers are the
//! same bits for any number of threads.

mod kernel;
mod net;

use rayon::prelude::*;

use self::{
    kernel::Rows,
    net::{Net, TILE, Workspace},
};
use crate::{
    Activation, AdamState, AgentError, Policy,
    adam::{clip_scale, norm},
    backend::{Choice, Engine},
    distribution::MaskedCategorical,
    layout::Layout,
    loss::{
        Decision, EpochStats, LossSettings, LossSums, UpdateSettings, advantage_moments, policy_terms, value_terms,
    },
    rollout::{Acted, Inputs, ObsView, Rollout},
};

/// Samples whose gradient one thread sums.
const BLOCK: usize = 256;
/// Fewest lanes for which it pays to wake another thread, and most threads that choose actions.
const PART: usize = 32;
const MOST_PARTS: usize = 64;
/// Parameters of which one thread sums the blocks' gradients.
const SLICE: usize = 4096;

/// Networks, optimiser and workspaces on the CPU.
#[derive(Debug)]
pub(crate) struct Native {
    nets: Networks,
    inputs: Inputs,
    /// All networks' parameters, packed: trunk, actor, critic.
    params: Vec<f32>,
    turned: [Vec<f32>; 3],
    adam: AdamState,
    blocks: Vec<Block>,
}

/// A shared trunk, perhaps empty, and the two networks behind it.
#[derive(Debug, Clone)]
struct Networks {
    trunk: Net,
    actor: Net,
    critic: Net,
    actions: usize,
}

impl Networks {
    fn new(layout: &Layout, activation: Activation) -> Self {
        let net = |net, inputs| Net::new(net, inputs, activation);
        let trunk = net(&layout.trunk, layout.inputs);
        let (actor, critic) = (net(&layout.actor, layout.trunk.outputs), net(&layout.critic, layout.trunk.outputs));
        Self { trunk, actor, critic, actions: layout.actions }
    }

    /// Cuts a packed vector into the three networks' parts.
    fn parts<'a>(&self, packed: &'a [f32]) -> [&'a [f32]; 3] {
        let (trunk, rest) = packed.split_at(self.trunk.len);
        let (actor, critic) = rest.split_at(self.actor.len);
        [trunk, actor, critic]
    }

    fn parts_mut<'a>(&self, packed: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let (trunk, rest) = packed.split_at_mut(self.trunk.len);
        let (actor, critic) = rest.split_at_mut(self.actor.len);
        [trunk, actor, critic]
    }

    fn all(&self) -> [&Net; 3] {
        [&self.trunk, &self.actor, &self.critic]
    }

    /// Whether the gradient by a network's input is wanted: that of actor and critic, when there is a trunk below.
    fn through(&self) -> [bool; 3] {
        [false, !self.trunk.is_empty(), !self.trunk.is_empty()]
    }

    fn len(&self) -> usize {
        self.all().map(|net| net.len).iter().sum()
    }

    fn pack(&self, flat: &[f32]) -> Vec<f32> {
        let mut packed = vec![0.0; self.len()];
        for (net, part) in self.all().into_iter().zip(self.parts_mut(&mut packed)) {
            net.pack(flat, part);
        }
        packed
    }

    fn unpack(&self, packed: &[f32], flat: &mut [f32]) {
        for (net, part) in self.all().into_iter().zip(self.parts(packed)) {
            net.unpack(part, flat);
        }
    }
}

impl Native {
    /// Builds the engine for a policy without memory, for this many lanes and samples of a minibatch.
    pub(crate) fn new(policy: &Policy, adam: &AdamState, inputs: Inputs, lanes: usize, batch: usize) -> Self {
        let nets = Networks::new(&policy.layout, policy.config.activation);
        let parts = lanes.div_ceil(PART).min(MOST_PARTS);
        let adam = AdamState { m: nets.pack(&adam.m), v: nets.pack(&adam.v), step: adam.step };
        let mut native = Self {
            params: nets.pack(&policy.params),
            turned: nets.all().map(Net::turned),
            blocks: vec![Block::new(&nets, policy.layout.inputs); batch.div_ceil(BLOCK).max(parts)],
            nets,
            inputs,
            adam,
        };
        native.turn();
        native
    }

    /// Brings the turned weights up to date.
    fn turn(&mut self) {
        let nets = self.nets.all().into_iter().zip(self.nets.through());
        for (((net, through), part), turned) in nets.zip(self.nets.parts(&self.params)).zip(&mut self.turned) {
            net.turn(part, turned, through);
        }
    }

    /// Leaves the mean gradient of one minibatch in the first block and returns the sums of its losses.
    fn minibatch(&mut self, rollout: &Rollout, batch: &[u32], settings: &UpdateSettings) -> LossSums {
        let advantage = advantage_moments(&rollout.advantage, batch, settings.normalize_advantage);
        let scale = 1.0 / batch.len() as f32;
        let task = Task { rollout, settings: &settings.loss, advantage, scale };
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.turned, &mut self.blocks);
        let blocks = &mut blocks[..batch.len().div_ceil(BLOCK)];
        if let [block] = blocks {
            block.gradient(view, &task, batch, rayon::current_num_threads() > 1);
        } else {
            let parts = blocks.par_iter_mut().zip(batch.par_chunks(BLOCK));
            parts.for_each(|(block, batch)| block.gradient(view, &task, batch, false));
        }
        sum(blocks)
    }

    fn passes(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> EpochStats {
        let mut stats = EpochStats::default();
        for batch in order.chunks(settings.batch_size) {
            let sums = self.minibatch(rollout, batch, settings);
            stats.add(&sums, batch.len(), &settings.loss);
            if settings.target_kl.is_some_and(|target| sums.kl / batch.len() as f64 > 1.5 * target) {
                stats.stopped = true;
                break;
            }
            let gradient = &self.blocks[0].gradient;
            let norm = norm(gradient);
            stats.grad_norm += norm;
            stats.steps += 1.0;
            if !(stats.loss.is_finite() && norm.is_finite()) {
                break;
            }
            let scale = clip_scale(norm, settings.max_grad_norm);
            self.adam.step(&mut self.params, gradient, scale, settings.learning_rate);
            self.turn();
        }
        stats
    }
}

/// Adds the gradients and losses of all blocks to the first's, in their order.
fn sum(blocks: &mut [Block]) -> LossSums {
    let (first, rest) = blocks.split_at_mut(1);
    if !rest.is_empty() {
        let slices = first[0].gradient.par_chunks_mut(SLICE).enumerate();
        slices.for_each(|(index, total)| {
            for block in &*rest {
                total.iter_mut().zip(&block.gradient[index * SLICE..]).for_each(|(sum, part)| *sum += part);
            }
        });
    }
    rest.iter().for_each(|block| first[0].sums.add(&block.sums));
    first[0].sums
}

#[cfg(test)]
impl Native {
    /// The mean gradient of one minibatch and the sums of its losses. `[P]`
    pub(crate) fn gradient(
        &mut self,
        rollout: &Rollout,
        batch: &[u32],
        settings: &UpdateSettings,
    ) -> (Vec<f32>, LossSums) {
        let sums = self.minibatch(rollout, batch, settings);
        let mut gradient = vec![0.0; self.nets.critic.flat_end()];
        self.nets.unpack(&self.blocks[0].gradient, &mut gradient);
        (gradient, sums)
    }
}

impl Engine for Native {
    fn act(&mut self, rollout: &mut Rollout, time: usize, choice: Choice<'_>) -> Result<(), AgentError> {
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.turned, &mut self.blocks);
        let (obs, out) = rollout.decision(time);
        let part = part(out.value.len(), blocks);
        if part >= out.value.len() {
            blocks[0].act(view, obs, 0, choice, out);
        } else {
            let parts = blocks.par_iter_mut().zip(out.par_chunks(part)).enumerate();
            parts.for_each(|(index, (block, out))| block.act(view, obs, index * part, choice, out));
        }
        Ok(())
    }

    fn bootstrap(&mut self, rollout: &mut Rollout, time: usize) -> Result<(), AgentError> {
        let Rollout { lanes, last, last_value, .. } = rollout;
        self.values(last.at(0), &mut last_value[time * *lanes..(time + 1) * *lanes]);
        Ok(())
    }

    fn close(&mut self, rollout: &mut Rollout) -> Result<(), AgentError> {
        let samples = rollout.samples();
        let Rollout { steps, obs, value, .. } = rollout;
        self.values(obs.at(*steps), &mut value[samples..]);
        Ok(())
    }

    fn load(&mut self, _rollout: &Rollout) -> Result<(), AgentError> {
        Ok(())
    }

    fn epoch(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Result<EpochStats, AgentError> {
        Ok(self.passes(rollout, order, settings))
    }

    fn export(&self, params: &mut [f32], adam: &mut AdamState) -> Result<(), AgentError> {
        self.nets.unpack(&self.params, params);
        self.nets.unpack(&self.adam.m, &mut adam.m);
        self.nets.unpack(&self.adam.v, &mut adam.v);
        adam.step = self.adam.step;
        Ok(())
    }

    fn describe(&self) -> String {
        format!("native code on the CPU, {} thread(s)", rayon::current_num_threads())
    }
}

impl Native {
    /// Writes the values of some observations.
    fn values(&mut self, obs: ObsView<'_>, values: &mut [f32]) {
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.turned, &mut self.blocks);
        let part = part(values.len(), blocks);
        if part >= values.len() {
            blocks[0].values(view, obs, 0, values);
        } else {
            let parts = blocks.par_iter_mut().zip(values.par_chunks_mut(part)).enumerate();
            parts.for_each(|(index, (block, values))| block.values(view, obs, index * part, values));
        }
    }
}

/// Lanes that one block takes; how they are cut changes no bit.
fn part(lanes: usize, blocks: &[Block]) -> usize {
    lanes.div_ceil(blocks.len()).max(PART)
}

/// What every block reads.
#[derive(Clone, Copy)]
struct View<'a> {
    nets: &'a Networks,
    inputs: &'a Inputs,
    params: [&'a [f32]; 3],
    turned: [&'a [f32]; 3],
}

/// Borrows the blocks beside all that they read.
fn view<'a>(
    nets: &'a Networks,
    inputs: &'a Inputs,
    params: &'a [f32],
    turned: &'a [Vec<f32>; 3],
    blocks: &'a mut [Block],
) -> (View<'a>, &'a mut [Block]) {
    let turned = turned.each_ref().map(Vec::as_slice);
    (View { nets, inputs, params: nets.parts(params), turned }, blocks)
}

/// What every block of a minibatch needs to know.
struct Task<'a> {
    rollout: &'a Rollout,
    settings: &'a LossSettings,
    /// Mean of the minibatch's advantages and reciprocal of their deviation.
    advantage: (f32, f32),
    scale: f32,
}

/// Buffers of one thread at a time: a tile of samples on its way through the networks, and a gradient.
#[derive(Debug, Clone)]
struct Block {
    input: Vec<f32>,
    trunk: Workspace,
    actor: Workspace,
    critic: Workspace,
    /// Packed like the parameters.
    gradient: Vec<f32>,
    sums: LossSums,
}

impl Block {
    fn new(nets: &Networks, inputs: usize) -> Self {
        Self {
            input: vec![0.0; TILE * inputs],
            trunk: nets.trunk.workspace(),
            actor: nets.actor.workspace(),
            critic: nets.critic.workspace(),
            gradient: vec![0.0; nets.len()],
            sums: LossSums::default(),
        }
    }

    /// Writes the policy inputs of some samples and runs the trunk over them.
    fn read(&mut self, view: View<'_>, obs: ObsView<'_>, samples: impl ExactSizeIterator<Item = usize>) {
        let width = view.nets.trunk.inputs;
        let rows = samples.len();
        for (sample, input) in samples.zip(self.input.chunks_exact_mut(width)) {
            view.inputs.write(obs, sample, input);
        }
        let input = Rows { data: &self.input[..rows * width], stride: width, columns: width };
        view.nets.trunk.forward(view.params[0], input, &mut self.trunk);
    }

    /// Chooses actions for some lanes, beginning with `first`.
    fn act(&mut self, view: View<'_>, obs: ObsView<'_>, first: usize, choice: Choice<'_>, out: Acted<'_>) {
        let (actions, width) = (view.nets.actions, view.nets.actor.width());
        for (index, Acted { action, log_prob, value }) in out.chunks(TILE).enumerate() {
            let (first, rows) = (first + index * TILE, action.len());
            self.read(view, obs, first..first + rows);
            let features = features(view.nets, &self.input, &self.trunk, rows);
            view.nets.actor.forward(view.params[1], features, &mut self.actor);
            view.nets.critic.forward(view.params[2], features, &mut self.critic);
            column(&self.critic, view.nets.critic.width(), value);
            let logits = self.actor.output().chunks_exact(width);
            for (row, (logits, (action, log_prob))) in logits.zip(action.iter_mut().zip(log_prob)).enumerate() {
                let distribution = MaskedCategorical::new(&logits[..actions], obs.mask[first + row]);
                *action = choice.of(&distribution, first + row);
                *log_prob = distribution.log_prob(*action);
            }
        }
    }

    /// Computes the values of some observations, beginning with `first`.
    fn values(&mut self, view: View<'_>, obs: ObsView<'_>, first: usize, values: &mut [f32]) {
        for (index, values) in values.chunks_mut(TILE).enumerate() {
            let first = first + index * TILE;
            self.read(view, obs, first..first + values.len());
            let features = features(view.nets, &self.input, &self.trunk, values.len());
            view.nets.critic.forward(view.params[2], features, &mut self.critic);
            column(&self.critic, view.nets.critic.width(), values);
        }
    }

    /// Computes losses and gradients of some samples; actor and critic run side by side if `split`.
    fn gradient(&mut self, view: View<'_>, task: &Task<'_>, batch: &[u32], split: bool) {
        self.gradient.fill(0.0);
        self.sums = LossSums::default();
        let through = view.nets.through();
        let obs = task.rollout.obs.first(task.rollout.samples());
        for batch in batch.chunks(TILE) {
            self.read(view, obs, batch.iter().map(|&sample| sample as usize));
            let Self { input, trunk, actor, critic, gradient, sums } = self;
            let features = features(view.nets, input, trunk, batch.len());
            let [by_trunk, by_actor, by_critic] = view.nets.parts_mut(gradient);
            let mut policy = || {
                view.nets.actor.forward(view.params[1], features, actor);
                let sums = policy_losses(view.nets, task, batch, actor);
                view.nets.actor.backward(view.turned[1], features, actor, by_actor, through[1]);
                sums
            };
            let mut value = || {
                view.nets.critic.forward(view.params[2], features, critic);
                let sum = value_losses(view.nets, task, batch, critic);
                view.nets.critic.backward(view.turned[2], features, critic, by_critic, through[2]);
                sum
            };
            let (policy, value) = if split { rayon::join(policy, value) } else { (policy(), value()) };
            sums.add(&LossSums { value, ..policy });
            if through[1] {
                let width = view.nets.trunk.inputs;
                let input = Rows { data: &input[..batch.len() * width], stride: width, columns: width };
                view.nets.trunk.collect([actor, critic], batch.len(), trunk);
                view.nets.trunk.backward(view.turned[0], input, trunk, by_trunk, through[0]);
            }
        }
    }
}

/// What actor and critic read: the trunk's output, or the input itself where there is no trunk.
fn features<'a>(nets: &Networks, input: &'a [f32], trunk: &'a Workspace, rows: usize) -> Rows<'a> {
    let stride = nets.trunk.width();
    let data = if nets.trunk.is_empty() { input } else { trunk.output() };
    Rows { data: &data[..rows * stride], stride, columns: nets.actor.inputs }
}

/// Copies the first column of a network's output.
fn column(work: &Workspace, width: usize, out: &mut [f32]) {
    out.iter_mut().zip(work.output().chunks_exact(width)).for_each(|(value, row)| *value = row[0]);
}

/// Writes the gradients of the policy's losses by the logits and returns the sums of the losses.
fn policy_losses(nets: &Networks, task: &Task<'_>, batch: &[u32], work: &mut Workspace) -> LossSums {
    let (rollout, width, (mean, inverse)) = (task.rollout, nets.actor.width(), task.advantage);
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
        sums.add(&policy_terms(logits, decision, task.settings, task.scale, delta));
    }
    sums
}

/// Writes the gradients of the value loss by the values and returns the sum of squared errors.
fn value_losses(nets: &Networks, task: &Task<'_>, batch: &[u32], work: &mut Workspace) -> f64 {
    let (rollout, width) = (task.rollout, nets.critic.width());
    let (values, deltas) = work.output_and_delta();
    let rows = values.chunks_exact(width).zip(deltas.chunks_exact_mut(width));
    let mut sum = 0.0;
    for (&sample, (value, delta)) in batch.iter().zip(rows) {
        let (old, target) = (rollout.value[sample as usize], rollout.target[sample as usize]);
        let (error, slope) = value_terms(value[0], old, target, task.settings, task.scale);
        sum += error;
        delta[0] = slope;
    }
    sum
}
