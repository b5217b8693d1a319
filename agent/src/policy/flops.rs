//! Arithmetic of the networks, counted from their sizes.

use crate::{
    Policy,
    policy::layout::{Cell, Layout, Net},
};

/// Floating-point operations of a policy's matrix products on one sample; a multiply-add counts as two. Activations and losses
/// are not counted.
///
/// ```
/// use ppo_agent::{Policy, PolicyConfig, games::cartpole::CartPole};
///
/// let policy = Policy::for_env(&CartPole::new(1, 0), &PolicyConfig::default(), 7)?;
/// // Two networks, 4-64-64-2 and 4-64-64-1.
/// assert_eq!(policy.flops().forward, 2 * (2 * (4 * 64 + 64 * 64) + 64 * 2 + 64));
/// # Ok::<(), ppo_agent::AgentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flops {
    /// Outputs of all networks.
    pub forward: u64,
    /// Gradients with respect to all weights, and to all outputs of cells and hidden layers.
    pub backward: u64,
}

impl Policy {
    /// Returns the arithmetic of the networks on one sample.
    pub fn flops(&self) -> Flops {
        let Layout { trunk, actor, critic, .. } = &self.layout;
        let flows = trunk.cell.is_some() || !trunk.layers.is_empty();
        let nets = [(trunk, false), (actor, flows), (critic, flows)];
        let forward = nets.iter().map(|(net, _)| weights(net)).sum::<u64>();
        let by_outputs = nets.iter().map(|&(net, flows)| passing_weights(net, flows)).sum::<u64>();
        Flops { forward: 2 * forward, backward: 2 * (forward + by_outputs) }
    }
}

/// Returns the number of weights of a network: its multiply-adds per sample.
fn weights(net: &Net) -> u64 {
    let of_cell = net.cell.as_ref().map_or(0, |cell| rows(cell) * (cell.inputs + cell.units));
    (of_cell + net.layers.iter().map(|layer| layer.inputs * layer.outputs).sum::<usize>()) as u64
}

/// Returns the number of weights through which a gradient passes to an earlier step or layer.
fn passing_weights(net: &Net, gradient_flows: bool) -> u64 {
    let of_cell = net.cell.as_ref().map_or(0, |cell| rows(cell) * cell.units);
    let first = usize::from(!gradient_flows && net.cell.is_none());
    (of_cell + net.layers.iter().skip(first).map(|layer| layer.inputs * layer.outputs).sum::<usize>()) as u64
}

/// Returns the sums of gates per step.
fn rows(cell: &Cell) -> usize {
    cell.gates() * cell.units
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PolicyConfig, PolicyKind, Trunk, games::best_row};

    #[test]
    fn every_product_is_counted_once() {
        let inputs = best_row::spec().inputs() as u64;
        let flops = |kind, trunk| {
            let config =
                PolicyConfig { kind, trunk, recurrent_size: 10, net_arch: vec![20], ..PolicyConfig::default() };
            let Flops { forward, backward } = best_row::shaken_policy(&config).flops();
            (forward / 2, backward / 2)
        };
        let actions = best_row::spec().actions.len() as u64;
        let (mlp, heads) = (inputs * 20, 20 * (actions + 1));
        assert_eq!(flops(PolicyKind::Mlp, Trunk::Separate), (2 * mlp + heads, 2 * mlp + 2 * heads));
        assert_eq!(flops(PolicyKind::Mlp, Trunk::Shared), (mlp + heads, mlp + 2 * heads));
        let (cell, passing) = (40 * (inputs + 10), 40 * 10);
        let expected = (cell + 200 + heads, cell + 200 + heads + passing + 200 + heads);
        assert_eq!(flops(PolicyKind::Lstm, Trunk::Shared), expected);
        let gru = flops(PolicyKind::Gru, Trunk::Shared).0;
        assert_eq!(gru, 30 * (inputs + 10) + 200 + heads);
    }
}
