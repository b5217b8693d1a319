//! Parity of the native cells with PyTorch and sb3-contrib, on the arrays of `tests/reference/recurrent.py`.

use market_env::{ActionMask, ObsSpec};

use super::{
    cell::{Cell, Steps},
    kernel::Rows,
    net::Networks,
};
use crate::{
    Normalizer, Policy, PolicyConfig, PolicyKind, Trunk,
    parity_tests::{Section, assert_close},
    policy::layout::Layout,
    ppo::distribution::MaskedCategorical,
};

const STEPS: usize = 12;
const SEQUENCES: usize = 5;
const INPUTS: usize = 7;
const UNITS: usize = 6;
const ACTIONS: usize = 4;

fn spec() -> ObsSpec {
    let names = |count: usize| (0..count).map(|index| index.to_string()).collect();
    ObsSpec { features: vec![], frames: 1, account: names(INPUTS), actions: names(ACTIONS) }
}

fn rows(data: &[f32]) -> Rows<'_> {
    Rows { data, stride: INPUTS, columns: INPUTS }
}

/// Returns the states `[S, parts · H]` from arrays `[parts, S, H]`.
fn states(parts: &[f32]) -> Vec<f32> {
    let parts: Vec<&[f32]> = parts.chunks(SEQUENCES * UNITS).collect();
    let of = |sequence: usize| parts.iter().flat_map(move |part| &part[sequence * UNITS..(sequence + 1) * UNITS]);
    (0..SEQUENCES).flat_map(|sequence| of(sequence).copied()).collect()
}

fn starts(section: &Section) -> Vec<bool> {
    section.floats("starts").iter().map(|&start| start != 0.0).collect()
}

/// Returns rows without padding.
fn unpadded(data: &[f32], width: usize, columns: usize) -> Vec<f32> {
    data.chunks(width).flat_map(|row| &row[..columns]).copied().collect()
}

/// Returns rows of one cell with padding.
fn padded_rows(data: &[f32], width: usize) -> Vec<f32> {
    let mut rows = vec![0.0; data.len() / UNITS * width];
    rows.chunks_mut(width).zip(data.chunks(UNITS)).for_each(|(row, data)| row[..UNITS].copy_from_slice(data));
    rows
}

#[test]
fn cells_match_pytorch() {
    for (name, kind) in [("lstm", PolicyKind::Lstm), ("gru", PolicyKind::Gru)] {
        let (section, net_arch) = (Section::new(name), Vec::new());
        let trunk = Trunk::Shared;
        let config = PolicyConfig { kind, trunk, recurrent_size: UNITS, net_arch, ..PolicyConfig::default() };
        let layout = Layout::new(&spec(), &config);
        let cell = Cell::new(layout.trunk.cell.as_ref().unwrap(), 0);
        let flat = section.floats("params");
        let (mut packed, mut transposed) = (vec![0.0; cell.len()], vec![0.0; cell.transposed_len()]);
        cell.positions(|ours, theirs| packed[ours] = flat[theirs]);
        cell.transpose(&packed, &mut transposed);
        let (x, start, initial) = (section.floats("x"), starts(&section), states(&section.floats("initial")));
        let size = initial.len() / SEQUENCES;
        let steps = Steps { lanes: SEQUENCES, start: &start, state: &initial, size };
        let (mut work, width) = (cell.work(STEPS * SEQUENCES), cell.width());
        cell.forward(&packed, rows(&x), steps, &mut work);
        let output = unpadded(work.output(&cell, STEPS * SEQUENCES).data, width, UNITS);
        assert_close(&format!("{name} outputs"), &output, &section.floats("output"), 1e-6);

        // The loss weighs outputs and final states; the final hidden state is the last output.
        let by_final = section.floats("by_final");
        let (by_hidden, by_cell) = by_final.split_at(SEQUENCES * UNITS);
        let mut above = padded_rows(&section.floats("by_output"), width);
        let last = (STEPS - 1) * SEQUENCES * width;
        above[last..].iter_mut().zip(padded_rows(by_hidden, width)).for_each(|(sum, by)| *sum += by);
        let by_cell = padded_rows(by_cell, width);
        work.later_cell[..by_cell.len()].copy_from_slice(&by_cell);
        let mut gradient = vec![0.0; cell.len()];
        cell.backward(&transposed, (rows(&x), steps), &mut work, &above, &mut gradient);
        let mut ours = vec![0.0; flat.len()];
        cell.positions(|packed, flat| ours[flat] = gradient[packed]);
        assert_close(&format!("{name} gradient"), &ours, &section.floats("gradient"), 5e-6);
    }
}

#[test]
fn recurrent_policy_matches_sb3_contrib() {
    let section = Section::new("recurrent");
    let (kind, recurrent_size) = (PolicyKind::Lstm, UNITS);
    let config = PolicyConfig { kind, net_arch: vec![5], recurrent_size, ..PolicyConfig::default() };
    let policy = Policy::new(&spec(), &config, Normalizer::identity(0), 1).unwrap();
    let nets = Networks::new(&policy.layout, config.activation);
    let packed = nets.pack(&section.floats("params"));
    let [_, actor_params, critic_params] = nets.parts(&packed);
    let (obs, start, rows_) = (section.floats("obs"), starts(&section), STEPS * SEQUENCES);
    let [actor_state, critic_state] = ["actor_state", "critic_state"].map(|name| states(&section.floats(name)));
    let state: Vec<f32> = actor_state.chunks(2 * UNITS).zip(critic_state.chunks(2 * UNITS)).fold(
        Vec::new(),
        |mut all, (actor, critic)| {
            all.extend(actor.iter().chain(critic));
            all
        },
    );
    let steps = Steps { lanes: SEQUENCES, start: &start, state: &state, size: nets.state() };
    let (mut actor, mut critic) = (nets.actor.workspace(rows_), nets.critic.workspace(rows_));
    nets.actor.forward(actor_params, rows(&obs), steps, &mut actor);
    nets.critic.forward(critic_params, rows(&obs), steps, &mut critic);

    let [by_log_prob, by_value, by_entropy] =
        ["by_log_prob", "by_value", "by_entropy"].map(|name| section.floats(name));
    let (mut log_prob, mut entropy) = (Vec::new(), Vec::new());
    let (logits, deltas) = actor.output_and_delta();
    let rows_of_actor = logits.chunks(nets.actor.width()).zip(deltas.chunks_mut(nets.actor.width()));
    for (row, (logits, delta)) in rows_of_actor.enumerate() {
        let distribution = MaskedCategorical::new(&logits[..ACTIONS], ActionMask(15));
        let chosen = section.bytes("action")[row];
        log_prob.push(distribution.log_prob(chosen));
        entropy.push(distribution.entropy());
        for (action, delta) in (0..ACTIONS as u8).zip(delta) {
            let prob = distribution.prob()[usize::from(action)];
            let one = if action == chosen { 1.0 } else { 0.0 };
            let by_entropy = -by_entropy[row] * prob * (distribution.log_prob(action) + distribution.entropy());
            *delta = by_log_prob[row] * (one - prob) + by_entropy;
        }
    }
    let (values, deltas) = critic.output_and_delta();
    let value = unpadded(values, nets.critic.width(), 1);
    deltas.chunks_mut(nets.critic.width()).zip(&by_value).for_each(|(delta, &by)| delta[0] = by);
    assert_close("log_prob", &log_prob, &section.floats("log_prob"), 1e-6);
    assert_close("value", &value, &section.floats("value"), 1e-6);
    assert_close("entropy", &entropy, &section.floats("entropy"), 1e-6);

    let mut gradient = vec![0.0; nets.len()];
    let [_, by_actor, by_critic] = nets.parts_mut(&mut gradient);
    let parts = [(&nets.actor, actor_params, by_actor, actor), (&nets.critic, critic_params, by_critic, critic)];
    for (net, params, gradient, mut work) in parts {
        let mut transposed = net.transposed_buffer();
        net.transpose(params, &mut transposed, false);
        net.backward(&transposed, (rows(&obs), steps), &mut work, gradient, false);
    }
    let mut ours = vec![0.0; policy.params.len()];
    nets.unpack(&gradient, &mut ours);
    assert_close("gradient", &ours, &section.floats("gradient"), 5e-6);
}
