//! CPU backend: hand-written forward and backward passes in preallocated buffers, over SIMD kernels.
//!
//! Samples are split into blocks of a fixed size whose partial gradients are summed in order, so that results are
//! bit-identical for any number of threads. A block of a recurrent policy holds whole sequences, several side by side in a
//! tile.

mod block;
mod cell;
mod gates;
mod kernel;
mod memory;
mod net;
#[cfg(all(test, feature = "torch"))]
mod parity_tests;
mod tile;
mod vectors;

use rayon::prelude::*;

use self::{
    block::{Block, MinibatchContext, view},
    memory::Memory,
    net::{Net, Networks, TILE},
};
use crate::{
    AdamState, AgentError, Policy,
    backend::{
        adam::{clip_scale, norm},
        engine::{ActionSelection, Engine, Sizes},
    },
    policy::layout::Layout,
    ppo::{
        loss::{EpochStats, LossSums, UpdateSettings, advantage_moments},
        rollout::{Inputs, ObsView, Rollout},
    },
};

/// Fewest sequences side by side in a tile: a product of fewer rows leaves vector registers idle.
const MIN_TILE_SEQUENCES: usize = 4;
/// Smallest block of samples per thread, and most blocks of a minibatch.
const MIN_BLOCK_SAMPLES: usize = 256;
const MAX_BLOCKS: usize = 256;
/// Fewest lanes per thread when actions are chosen, and most threads that choose them.
const MIN_PART_LANES: usize = 32;
const MAX_PARTS: usize = 64;
/// Parameters per thread when the gradients of the blocks are summed.
const SUM_CHUNK: usize = 4096;

/// Networks, optimiser and workspaces on the CPU.
#[derive(Debug)]
pub(crate) struct Native {
    nets: Networks,
    inputs: Inputs,
    /// All networks' parameters, packed: trunk, actor, critic.
    params: Vec<f32>,
    transposed: [Vec<f32>; 3],
    adam: AdamState,
    memory: Memory,
    blocks: Vec<Block>,
    /// Samples per block; a function of minibatch size and sequence length alone.
    block: usize,
    /// Samples per tile.
    tile: usize,
    /// Samples of the minibatch, tile by tile.
    samples: Vec<u32>,
}

impl Native {
    /// Builds the engine of a policy.
    pub(crate) fn new(policy: &Policy, adam: &AdamState, inputs: Inputs, sizes: Sizes) -> Self {
        let Sizes { lanes, batch, sequence, .. } = sizes;
        let nets = Networks::new(&policy.layout, policy.config.activation);
        let parts = lanes.div_ceil(MIN_PART_LANES).min(MAX_PARTS);
        let side_by_side = (TILE / sequence).max(MIN_TILE_SEQUENCES).min((batch / sequence).max(1));
        let tile = if sequence == 1 { TILE } else { side_by_side * sequence };
        let block = batch.div_ceil(MAX_BLOCKS).max(MIN_BLOCK_SAMPLES);
        let block = if sequence == 1 { block } else { block.next_multiple_of(tile) };
        let adam = AdamState { m: nets.pack(&adam.m), v: nets.pack(&adam.v), step: adam.step };
        let workspace = Block::new(&nets, tile.max(TILE), nets.state());
        let mut native = Self {
            params: nets.pack(&policy.params),
            transposed: nets.all().map(Net::transposed_buffer),
            memory: Memory::new(sizes, nets.state(), side_by_side),
            blocks: vec![workspace; batch.div_ceil(block).max(parts)],
            block,
            tile,
            samples: Vec::with_capacity(batch),
            nets,
            inputs,
            adam,
        };
        native.transpose();
        native
    }

    /// Updates the transposed weights.
    fn transpose(&mut self) {
        let nets = self.nets.all().into_iter().zip(self.nets.gradient_flows());
        for (((net, gradient_flows), part), transposed) in
            nets.zip(self.nets.parts(&self.params)).zip(&mut self.transposed)
        {
            net.transpose(part, transposed, gradient_flows);
        }
    }

    /// Computes the mean gradient of one minibatch of sequences into the first block and returns the sums of its losses.
    fn minibatch(&mut self, rollout: &Rollout, sequences: &[u32], settings: &UpdateSettings) -> LossSums {
        self.memory.samples(sequences, &mut self.samples);
        let (batch, memory) = (self.samples.as_slice(), &self.memory);
        let advantage = advantage_moments(&rollout.advantage, batch, settings.normalize_advantage);
        let scale = 1.0 / batch.len() as f32;
        let context = MinibatchContext { rollout, memory, settings: &settings.loss, advantage, scale, rows: self.tile };
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
        let blocks = &mut blocks[..batch.len().div_ceil(self.block)];
        if let [block] = blocks {
            block.gradient(view, &context, batch, rayon::current_num_threads() > 1);
        } else {
            let parts = blocks.par_iter_mut().zip(batch.par_chunks(self.block));
            parts.for_each(|(block, batch)| block.gradient(view, &context, batch, false));
        }
        sum(blocks)
    }

    fn passes(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> EpochStats {
        let mut stats = EpochStats::default();
        for sequences in order.chunks(settings.batch_size / self.memory.length()) {
            let sums = self.minibatch(rollout, sequences, settings);
            let samples = self.samples.len();
            stats.add(&sums, samples, &settings.loss);
            if settings.target_kl.is_some_and(|target| sums.kl / samples as f64 > 1.5 * target) {
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

/// Adds the gradients and losses of all blocks, in order, to the first block.
fn sum(blocks: &mut [Block]) -> LossSums {
    let (first, rest) = blocks.split_at_mut(1);
    if !rest.is_empty() {
        let slices = first[0].gradient.par_chunks_mut(SUM_CHUNK).enumerate();
        slices.for_each(|(index, total)| {
            for block in &*rest {
                total.iter_mut().zip(&block.gradient[index * SUM_CHUNK..]).for_each(|(sum, part)| *sum += part);
            }
        });
    }
    rest.iter().for_each(|block| first[0].sums.add(&block.sums));
    first[0].sums
}

impl Engine for Native {
    fn act(&mut self, rollout: &mut Rollout, time: usize, selection: ActionSelection<'_>) -> Result<(), AgentError> {
        self.memory.begin_step(rollout, time);
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
        let (obs, out) = rollout.decision(time);
        let (part, states) = (lanes_per_block(out.value.len(), blocks), self.memory.all());
        if part >= out.value.len() {
            blocks[0].act(view, (obs, 0), selection, (out, states));
        } else {
            let lanes = out.par_chunks(part).zip(states.chunks(part, self.nets.state()));
            let parts = blocks.par_iter_mut().zip(lanes).enumerate();
            parts.for_each(|(index, (block, lanes))| block.act(view, (obs, index * part), selection, lanes));
        }
        Ok(())
    }

    fn bootstrap(&mut self, rollout: &mut Rollout, time: usize) -> Result<(), AgentError> {
        let Rollout { lanes, last, last_value, .. } = rollout;
        self.values(last.at(0), None, &mut last_value[time * *lanes..(time + 1) * *lanes]);
        Ok(())
    }

    fn finish_rollout(&mut self, rollout: &mut Rollout) -> Result<(), AgentError> {
        let samples = rollout.samples();
        let Rollout { steps, obs, value, start, .. } = rollout;
        self.values(obs.at(*steps), Some(&start[samples..]), &mut value[samples..]);
        Ok(())
    }

    fn load(&mut self, _rollout: &Rollout) -> Result<(), AgentError> {
        Ok(())
    }

    fn epoch(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Result<EpochStats, AgentError> {
        Ok(self.passes(rollout, order, settings))
    }

    fn activations(&mut self, rollout: &Rollout, picks: &[u32]) -> Result<Vec<Vec<f32>>, AgentError> {
        self.memory.samples(picks, &mut self.samples);
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
        Ok(blocks[0].hidden(view, (rollout, &self.memory), (self.samples.as_slice(), self.tile)))
    }

    fn non_finite_gradient(&self, layout: &Layout) -> Option<String> {
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

    #[cfg(test)]
    fn gradient(&mut self, rollout: &Rollout, order: &[u32], settings: &UpdateSettings) -> Vec<f32> {
        let _ = self.minibatch(rollout, order, settings);
        let mut gradient = vec![0.0; self.nets.critic.flat_end()];
        self.nets.unpack(&self.blocks[0].gradient, &mut gradient);
        gradient
    }

    fn memory(&self, out: &mut [f32]) -> Result<(), AgentError> {
        out.copy_from_slice(self.memory.now());
        Ok(())
    }

    fn set_memory(&mut self, memory: &[f32]) -> Result<(), AgentError> {
        self.memory.set(memory);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("native backend on the CPU, {} thread(s)", rayon::current_num_threads())
    }
}

impl Native {
    /// Writes the values of observations; `start` marks the lanes whose state is reset before them.
    fn values(&mut self, obs: ObsView<'_>, start: Option<&[bool]>, values: &mut [f32]) {
        self.memory.reset_at(start);
        let (view, blocks) = view(&self.nets, &self.inputs, &self.params, &self.transposed, &mut self.blocks);
        let (part, states) = (lanes_per_block(values.len(), blocks), self.memory.all());
        if part >= values.len() {
            blocks[0].values(view, (obs, 0), (values, states));
        } else {
            let lanes = values.par_chunks_mut(part).zip(states.chunks(part, self.nets.state()));
            let parts = blocks.par_iter_mut().zip(lanes).enumerate();
            parts.for_each(|(index, (block, lanes))| block.values(view, (obs, index * part), lanes));
        }
    }
}

/// Returns the number of lanes per block; the split does not change any bit.
fn lanes_per_block(lanes: usize, blocks: &[Block]) -> usize {
    lanes.div_ceil(blocks.len()).max(MIN_PART_LANES)
}
