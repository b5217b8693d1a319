//! The CPU backend: forward and backward passes in preallocated buffers.
//!
//! Samples are cut into chunks of a fixed size whose partial gradients are summed in order, so that the numbers are the
//! same bits for any number of threads.

use crate::{
    AdamState, AgentError, Policy,
    adam::{clip_scale, norm},
    backend::Engine,
    loss::{
        Decision, EpochStats, LossSettings, LossSums, UpdateSettings, advantage_moments, policy_terms, value_terms,
    },
    mlp::{Activations, Mlp},
    policy::Layout,
    rollout::{Inputs, ObsView, Rollout},
};
use rayon::prelude::*;

/// Most samples that one thread takes at a time.
const CHUNK: usize = 256;

/// Networks, optimiser and workspaces on the CPU.
#[derive(Debug)]
pub(crate) struct Native {
    layout: Layout,
    inputs: Inputs,
    params: Vec<f32>,
    adam: AdamState,
    chunks: Vec<Chunk>,
}

impl Native {
    /// Builds the engine; `batch` is the most samples it will see at once.
    pub(crate) fn new(policy: &Policy, adam: AdamState, inputs: Inputs, batch: usize) -> Self {
        let chunk = Chunk::new(&policy.layout, batch.min(CHUNK));
        let chunks = vec![chunk; batch.div_ceil(CHUNK)];
        Self { layout: policy.layout.clone(), inputs, params: policy.params.clone(), adam, chunks }
    }

    /// Leaves the mean gradient of one minibatch in the first chunk and returns the sums of its losses.
    pub(crate) fn gradient(&mut self, rollout: &Rollout, batch: &[u32], settings: &UpdateSettings) -> LossSums {
        let advantage = advantage_moments(&rollout.advantage, batch, settings.normalize_advantage);
        let task = Task {
            nets: Networks { layout: &self.layout, inputs: &self.inputs, params: &self.params },
            rollout,
            settings: &settings.loss,
            advantage,
            scale: 1.0 / batch.len() as f32,
        };
        let used = batch.len().div_ceil(CHUNK);
        let chunks = &mut self.chunks[..used];
        if used == 1 {
            chunks[0].gradient(&task, batch);
        } else {
            chunks.par_iter_mut().zip(batch.par_chunks(CHUNK)).for_each(|(chunk, batch)| chunk.gradient(&task, batch));
        }
        let (first, rest) = chunks.split_at_mut(1);
        for chunk in rest {
            first[0].gradient.iter_mut().zip(&chunk.gradient).for_each(|(sum, part)| *sum += part);
            first[0].sums.add(&chunk.sums);
        }
        first[0].sums
    }

    /// The gradient that [`Native::gradient`] left. `[P]`
    pub(crate) fn last_gradient(&self) -> &[f32] {
        &self.chunks[0].gradient
    }

    fn passes(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> EpochStats {
        let mut stats = EpochStats::default();
        for batch in order.chunks(settings.batch_size) {
            let sums = self.gradient(rollout, batch, settings);
            stats.add(&sums, batch.len(), &settings.loss);
            if settings.target_kl.is_some_and(|target| sums.kl / batch.len() as f64 > 1.5 * target) {
                stats.stopped = true;
                break;
            }
            let norm = norm(self.last_gradient());
            stats.grad_norm += norm;
            stats.steps += 1.0;
            if !(stats.loss.is_finite() && norm.is_finite()) {
                break;
            }
            let scale = clip_scale(norm, settings.max_grad_norm);
            self.adam.step(&mut self.params, &self.chunks[0].gradient, scale, settings.learning_rate);
        }
        stats
    }
}

impl Engine for Native {
    fn forward(&mut self, obs: ObsView<'_>, logits: &mut [f32], values: &mut [f32]) -> Result<(), AgentError> {
        let nets = Networks { layout: &self.layout, inputs: &self.inputs, params: &self.params };
        if values.len() <= CHUNK {
            self.chunks[0].forward(nets, obs, 0, logits, values);
        } else {
            let logits = logits.par_chunks_mut(CHUNK * nets.layout.actions);
            let parts = self.chunks.par_iter_mut().zip(logits).zip(values.par_chunks_mut(CHUNK));
            parts.enumerate().for_each(|(index, ((chunk, logits), values))| {
                chunk.forward(nets, obs, index * CHUNK, logits, values);
            });
        }
        Ok(())
    }

    fn load(&mut self, _rollout: &Rollout) -> Result<(), AgentError> {
        Ok(())
    }

    fn epoch(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Result<EpochStats, AgentError> {
        // A join from inside the pool costs far less than one that enters the pool from outside.
        Ok(if rayon::current_num_threads() > 1 {
            rayon::scope(|_| self.passes(rollout, order, settings))
        } else {
            self.passes(rollout, order, settings)
        })
    }

    fn export(&self, params: &mut [f32], adam: &mut AdamState) -> Result<(), AgentError> {
        params.copy_from_slice(&self.params);
        adam.clone_from(&self.adam);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("native code on the CPU, {} thread(s)", rayon::current_num_threads())
    }
}

/// The networks as every chunk reads them.
#[derive(Clone, Copy)]
struct Networks<'a> {
    layout: &'a Layout,
    inputs: &'a Inputs,
    params: &'a [f32],
}

/// What every chunk of a minibatch needs to know.
struct Task<'a> {
    nets: Networks<'a>,
    rollout: &'a Rollout,
    settings: &'a LossSettings,
    /// Mean of the minibatch's advantages and reciprocal of their deviation.
    advantage: (f32, f32),
    scale: f32,
}

/// Buffers for up to [`CHUNK`] samples.
#[derive(Debug, Clone)]
struct Chunk {
    input: Vec<f32>,
    actor: Workspace,
    critic: Workspace,
    gradient: Vec<f32>,
    sums: LossSums,
}

#[derive(Debug, Clone)]
struct Workspace {
    out: Activations,
    deltas: Activations,
}

impl Workspace {
    fn new(net: &Mlp, rows: usize) -> Self {
        Self { out: Activations::new(net, rows), deltas: Activations::new(net, rows) }
    }
}

impl Chunk {
    fn new(layout: &Layout, rows: usize) -> Self {
        Self {
            input: vec![0.0; rows * layout.inputs],
            actor: Workspace::new(&layout.actor, rows),
            critic: Workspace::new(&layout.critic, rows),
            gradient: vec![0.0; layout.len()],
            sums: LossSums::default(),
        }
    }

    /// Computes some observations' logits and values, beginning with sample `first` of `obs`.
    fn forward(&mut self, nets: Networks<'_>, obs: ObsView<'_>, first: usize, logits: &mut [f32], values: &mut [f32]) {
        let Networks { layout, inputs, params } = nets;
        let rows = values.len();
        for (index, input) in self.input.chunks_exact_mut(layout.inputs).take(rows).enumerate() {
            inputs.write(obs, first + index, input);
        }
        let (actor, critic) = params.split_at(layout.actor.len());
        layout.actor.forward(actor, &self.input, rows, &mut self.actor.out);
        layout.critic.forward(critic, &self.input, rows, &mut self.critic.out);
        logits.copy_from_slice(&self.actor.out.last()[..logits.len()]);
        values.copy_from_slice(&self.critic.out.last()[..rows]);
    }

    /// Computes losses and gradients of some samples; actor and critic run side by side when threads are free.
    fn gradient(&mut self, task: &Task<'_>, batch: &[u32]) {
        let (Networks { layout, inputs, params }, rollout) = (task.nets, task.rollout);
        let obs = rollout.obs.first(rollout.samples());
        for (&sample, input) in batch.iter().zip(self.input.chunks_exact_mut(layout.inputs)) {
            inputs.write(obs, sample as usize, input);
        }
        let (actor, critic) = params.split_at(layout.actor.len());
        let (by_actor, by_critic) = self.gradient.split_at_mut(layout.actor.len());
        let Self { input, actor: actor_work, critic: critic_work, .. } = self;
        let mut policy = || actor_gradient(task, actor, input, batch, actor_work, by_actor);
        let mut value = || critic_gradient(task, critic, input, batch, critic_work, by_critic);
        let (mut sums, value) =
            if rayon::current_num_threads() > 1 { rayon::join(policy, value) } else { (policy(), value()) };
        sums.value = value;
        self.sums = sums;
    }
}

fn actor_gradient(
    task: &Task<'_>,
    params: &[f32],
    input: &[f32],
    batch: &[u32],
    work: &mut Workspace,
    gradient: &mut [f32],
) -> LossSums {
    let (net, rollout, actions) = (&task.nets.layout.actor, task.rollout, task.nets.layout.actions);
    net.forward(params, input, batch.len(), &mut work.out);
    let (mean, inverse) = task.advantage;
    let obs = rollout.obs.first(rollout.samples());
    let rows = work.out.last().chunks_exact(actions).zip(work.deltas.last_mut().chunks_exact_mut(actions));
    let mut sums = LossSums::default();
    for (&sample, (logits, delta)) in batch.iter().zip(rows) {
        let sample = sample as usize;
        let decision = Decision {
            mask: obs.mask[sample],
            action: rollout.action[sample],
            log_prob: rollout.log_prob[sample],
            advantage: (rollout.advantage[sample] - mean) * inverse,
        };
        sums.add(&policy_terms(logits, decision, task.settings, task.scale, delta));
    }
    net.backward(params, input, batch.len(), &work.out, &mut work.deltas, gradient);
    sums
}

fn critic_gradient(
    task: &Task<'_>,
    params: &[f32],
    input: &[f32],
    batch: &[u32],
    work: &mut Workspace,
    gradient: &mut [f32],
) -> f64 {
    let (net, rollout) = (&task.nets.layout.critic, task.rollout);
    net.forward(params, input, batch.len(), &mut work.out);
    let mut sum = 0.0;
    for ((&sample, &value), delta) in batch.iter().zip(work.out.last()).zip(work.deltas.last_mut()) {
        let (old, target) = (rollout.value[sample as usize], rollout.target[sample as usize]);
        let (error, slope) = value_terms(value, old, target, task.settings, task.scale);
        sum += error;
        *delta = slope;
    }
    net.backward(params, input, batch.len(), &work.out, &mut work.deltas, gradient);
    sum
}
