//! Reference implementation of networks and loss in double precision, one sample at a time, for tests.

use crate::{
    Activation, Policy, PolicyKind,
    policy::layout::{Cell, Net},
    ppo::{
        distribution::MAX_ACTIONS,
        loss::UpdateSettings,
        rollout::{Inputs, Rollout},
    },
};

/// Policy with parameters in double precision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Textbook<'a> {
    pub(crate) policy: &'a Policy,
    /// `[P]`
    pub(crate) params: &'a [f64],
}

/// Outputs of the networks for one sample.
#[derive(Debug, Clone)]
pub(crate) struct NetOutput {
    pub(crate) sample: usize,
    pub(crate) logits: Vec<f64>,
    pub(crate) value: f64,
}

impl Textbook<'_> {
    /// Computes the outputs for one input and advances the recurrent state `[S]`.
    pub(crate) fn forward(self, sample: usize, input: &[f32], memory: &mut [f64]) -> NetOutput {
        let input: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
        let [trunk, actor, critic] = self.policy.layout.nets();
        let (mut owned, mut memory) = (Vec::new(), memory);
        for net in [trunk, actor, critic] {
            let own = net.cell.as_ref().map_or(0, Cell::state);
            let (own, rest) = std::mem::take(&mut memory).split_at_mut(own);
            owned.push(own);
            memory = rest;
        }
        let features = self.network(trunk, input, owned[0]);
        let logits = self.network(actor, features.clone(), owned[1]);
        NetOutput { sample, logits, value: self.network(critic, features, owned[2])[0] }
    }

    fn network(self, net: &Net, input: Vec<f64>, memory: &mut [f64]) -> Vec<f64> {
        let input = match &net.cell {
            Some(cell) => self.cell(cell, &input, memory),
            None => input,
        };
        net.layers.iter().fold(input, |x, layer| {
            let sums = self.products(layer.weight(), layer.bias(), &x);
            let activation = |sum: f64| match (layer.activated, self.policy.config.activation) {
                (true, Activation::Tanh) => sum.tanh(),
                (true, Activation::Relu) => sum.max(0.0),
                (false, _) => sum,
            };
            sums.into_iter().map(activation).collect()
        })
    }

    /// Computes one step of a recurrent cell.
    ///
    /// # Source
    /// Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014 in the form of
    /// `torch.nn.GRU`, whose reset gate acts after the matrix product.
    fn cell(self, cell: &Cell, input: &[f64], memory: &mut [f64]) -> Vec<f64> {
        let [w_ih, w_hh, b_ih, b_hh] = cell.tensors().map(|(.., range)| range);
        let (hidden, cell_state) = memory.split_at_mut(cell.units);
        let (by_input, by_hidden) = (self.products(w_ih, b_ih, input), self.products(w_hh, b_hh, hidden));
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let gate = |number: usize, unit: usize| {
            let index = number * cell.units + unit;
            (by_input[index], by_hidden[index])
        };
        let sum = |number, unit| gate(number, unit).0 + gate(number, unit).1;
        for unit in 0..cell.units {
            hidden[unit] = if cell.kind == PolicyKind::Lstm {
                let (input_gate, forget_gate) = (sigmoid(sum(0, unit)), sigmoid(sum(1, unit)));
                cell_state[unit] = forget_gate * cell_state[unit] + input_gate * sum(2, unit).tanh();
                sigmoid(sum(3, unit)) * cell_state[unit].tanh()
            } else {
                let (reset, update) = (sigmoid(sum(0, unit)), sigmoid(sum(1, unit)));
                let (from_input, from_hidden) = gate(2, unit);
                (1.0 - update) * (from_input + reset * from_hidden).tanh() + update * hidden[unit]
            };
        }
        hidden.to_vec()
    }

    fn products(self, weight: std::ops::Range<usize>, bias: std::ops::Range<usize>, x: &[f64]) -> Vec<f64> {
        let rows = self.params[weight].chunks(x.len()).zip(&self.params[bias]);
        rows.map(|(row, bias)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias).collect()
    }

    /// Computes the outputs for the steps `first..last` of one lane and advances its recurrent state `[S]`.
    pub(crate) fn sequence(
        self,
        rollout: &Rollout,
        inputs: &Inputs,
        (lane, first, last): (usize, usize, usize),
        memory: &mut [f64],
    ) -> Vec<NetOutput> {
        let mut input = vec![0.0; self.policy.layout.inputs];
        let steps = (first..last).map(|time| {
            if rollout.starts(time)[lane] {
                memory.fill(0.0);
            }
            inputs.write(rollout.obs.at(time), lane, &mut input);
            self.forward(time * rollout.lanes + lane, &input, memory)
        });
        steps.collect()
    }
}

/// Returns the log-probabilities of the legal actions, minus infinity for the others.
pub(crate) fn log_probs(logits: &[f64], legal: impl Fn(u8) -> bool) -> [f64; MAX_ACTIONS] {
    let mut out = [f64::NEG_INFINITY; MAX_ACTIONS];
    let chosen = || (0u8..).zip(logits).filter(|&(action, _)| legal(action));
    let total = chosen().map(|(_, logit)| logit.exp()).sum::<f64>().ln();
    chosen().for_each(|(action, logit)| out[usize::from(action)] = logit - total);
    out
}

/// Returns the loss of a minibatch, written as in the paper.
pub(crate) fn loss(outputs: &[NetOutput], rollout: &Rollout, settings: &UpdateSettings) -> f64 {
    let count = outputs.len() as f64;
    let advantages: Vec<f64> = outputs.iter().map(|o| f64::from(rollout.advantage[o.sample])).collect();
    let mean = advantages.iter().sum::<f64>() / count;
    let deviation = (advantages.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
    let obs = rollout.obs.first(rollout.samples());
    let mut total = 0.0;
    for (NetOutput { sample, logits, value }, advantage) in outputs.iter().zip(advantages) {
        let advantage = (advantage - mean) / (deviation + 1e-8);
        let log_probs = log_probs(logits, |action| obs.mask[*sample].allows(action));
        let legal = || log_probs.iter().filter(|log_prob| log_prob.is_finite());
        let entropy = -legal().map(|log_prob| log_prob.exp() * log_prob).sum::<f64>();
        let ratio = (log_probs[usize::from(rollout.action[*sample])] - f64::from(rollout.log_prob[*sample])).exp();
        let clip = f64::from(settings.loss.clip_range);
        let surrogate = (ratio * advantage).min(ratio.clamp(1.0 - clip, 1.0 + clip) * advantage);
        let old = f64::from(rollout.value[*sample]);
        let clip = settings.loss.clip_range_vf.map_or(f64::INFINITY, f64::from);
        let error = old + (value - old).clamp(-clip, clip) - f64::from(rollout.target[*sample]);
        let (ent_coef, vf_coef) = (f64::from(settings.loss.ent_coef), f64::from(settings.loss.vf_coef));
        total += -surrogate - ent_coef * entropy + vf_coef * error * error;
    }
    total / count
}

/// Returns the gradient of a function by central differences.
pub(crate) fn slopes(params: &[f64], function: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut shifted = params.to_vec();
    let slope = |index: usize| {
        let mut at = |by: f64| {
            shifted[index] = params[index] + by;
            let value = function(&shifted);
            shifted[index] = params[index];
            value
        };
        (at(1e-6) - at(-1e-6)) / 2e-6
    };
    (0..params.len()).map(slope).collect()
}
