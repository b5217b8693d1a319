//! The CPU backend: hand-written forward and backward passes in preallocated buffers, over vector code of our own.
//!
//! Samples are cut into blocks of a fixed size whose partial gradients are summed in order, so that the numbers are the
//! same bits for any number of threads.

mod block;
mod kernel;
mod net;

use rayon::prelude::*;

use self::{
    block::{Block, Task, view},
    net::{Net, Networks},
};
use crate::{
    AdamState, AgentError, Policy,
    backend::{
        adam::{clip_scale, norm},
        engine::{Choice, Engine},
    },
    policy::layout::Layout,
    ppo::{
        loss::{EpochStats, LossSums, UpdateSettings, advantage_moments},
        rollout::{Inputs, ObsView, Rollout},
    },
};

/// Fewest samples whose gradient one thread sums, and most parts that a minibatch is cut into.
const BLOCK: usize = 256;
const MOST_BLOCKS: usize = 256;
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
    transposed: [Vec<f32>; 3],
    adam: AdamState,
    blocks: Vec<Block>,
    /// Samples of a block; they depend on the size of minibatches alone.
    block: usize,
}

impl Native {
    /// Builds the engine for a policy without memory, for this many lanes and samples of a minibatch.
    pub(crate) fn new(policy: &Policy, adam: &AdamState, inputs: Inputs, lanes: usize, batch: usize) -> Self {
        let nets = Networks::new(&policy.layout, policy.config.activation);
        let parts = lanes.div_ceil(PART).min(MOST_PARTS);
        let block = batch.div_ceil(MOST_BLOCKS).max(BLOCK);
        let adam = AdamState { m: nets.pack(&adam.m), v: nets.pack(&adam.v), step: adam.step };
        let mut native = Self {
            params: nets.pack(&policy.params),
            transposed: nets.all().map(Net::transposed),
            blocks: vec![Block::new(&nets, policy.layout.inputs); batch.div_ceil(block).max(parts)],
            block,
            nets,
            inputs,
            adam,
        };
        native.transpose();
        native
    }

    /// Brings the turned weights up to date.
    fn transpose(&mut self) {
        let nets = self.nets.all().into_iter().zip(self.nets.gradient_flows());
        for (((net, gradient_flows), part), transposed) in
            nets.zip(self.nets.parts(&self.params)).zip(&mut self.transposed)
        {
            net.transpose(part, transposed, gradient_flows);
        }
    }

    /// Leaves the mean gradient of one minibatch in the first block and returns the sums of its losses.
    fn minibatch(&mut self, rollout: &Rollout, batch: &[u32], settings: &UpdateSettings) -> LossSums {
        let advantage = advantage_moments(&rollout.advantage, batch, settings.normalize_advantage);
        let scale = 1.0 / batch.len() as f32;
        let task = Task { rollout, settings: &settings.loss, advantage, scale };
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
        let blocks = &mut blocks[..batch.len().div_ceil(self.block)];
        if let [block] = blocks {
            block.gradient(view, &task, batch, rayon::current_num_threads() > 1);
        } else {
            let parts = blocks.par_iter_mut().zip(batch.par_chunks(self.block));
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
            let rates = (settings.learning_rate, settings.weight_decay);
            self.adam.step(&mut self.params, gradient, scale, rates);
            self.transpose();
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
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
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

    fn activations(&mut self, rollout: &Rollout, picks: &[u32]) -> Result<Vec<Vec<f32>>, AgentError> {
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
        Ok(blocks[0].hidden(view, rollout.obs.first(rollout.samples()), picks))
    }

    fn broken_gradient(&self, layout: &Layout) -> Option<String> {
        let mut gradient = vec![0.0; layout.len()];
        self.nets.unpack(&self.blocks[0].gradient, &mut gradient);
        layout.non_finite(&gradient).map(|(tensor, _)| tensor)
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
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
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
