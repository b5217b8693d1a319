//! Parity of recurrent networks with PyTorch and sb3-contrib, on the arrays of `tests/reference/recurrent.py`.

use market_env::ObsSpec;
use tch::{Kind, Tensor};

use super::{
    net::Nets,
    recurrent::{Cell, RecurrentState},
};
use crate::{
    AdamState, Normalizer, Policy, PolicyConfig, PolicyKind,
    backend::adam::{BETA1, BETA2, EPSILON},
    parity_tests::{Section, assert_close},
};

const STEPS: i64 = 12;
const SEQUENCES: i64 = 5;
const INPUTS: i64 = 7;
const UNITS: i64 = 6;
const ACTIONS: i64 = 4;

impl Section {
    /// One thread: the arrays are too small to share.
    fn on_one_thread(prefix: &str) -> Self {
        tch::set_num_threads(1);
        Self::new(prefix)
    }

    fn tensor(&self, name: &str, shape: &[i64]) -> Tensor {
        Tensor::from_slice(&self.floats(name)).view(shape)
    }

    /// Recurrent states `[parts, S, H]` and the steps at which they are reset.
    fn past(&self, names: &[&str]) -> RecurrentState {
        let parts = names.iter().flat_map(|name| self.tensor(name, &[-1, SEQUENCES, UNITS]).unbind(0)).collect();
        RecurrentState { parts, start: Some(self.tensor("starts", &[STEPS, SEQUENCES, 1]).ne(0.0)) }
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.detach().flatten(0, -1)).unwrap()
}

#[test]
fn cells_match_pytorch() {
    for (name, kind, gates) in [("lstm", PolicyKind::Lstm, 4), ("gru", PolicyKind::Gru, 3)] {
        let section = Section::on_one_thread(name);
        let rows = gates * UNITS;
        let shapes = [vec![rows, INPUTS], vec![rows, UNITS], vec![rows], vec![rows]];
        let flat = section.floats("params");
        let mut rest = flat.as_slice();
        let tensors = shapes.each_ref().map(|shape| {
            let (own, others) = rest.split_at(shape.iter().product::<i64>() as usize);
            rest = others;
            Tensor::from_slice(own).view(shape.as_slice()).set_requires_grad(true)
        });
        let cell = Cell::new(kind, tensors, &mut 0);
        let input = section.tensor("x", &[STEPS * SEQUENCES, INPUTS]).set_requires_grad(true);
        let mut past = section.past(&["initial"]);
        let output = cell.unroll(&input, &mut past).unwrap();
        let last = Tensor::stack(&past.parts, 0);
        assert_close(&format!("{name} outputs"), &floats(&output), &section.floats("output"), 1e-6);
        assert_close(&format!("{name} memory"), &floats(&last), &section.floats("final"), 1e-6);

        let weighted = |tensor: &Tensor, weights| (tensor.flatten(0, -1) * section.tensor(weights, &[-1])).sum(None);
        let loss: Tensor = weighted(&output, "by_output") + weighted(&last, "by_final");
        let by: Vec<&Tensor> = cell.tensors().iter().chain([&input]).collect();
        let gradients = Tensor::run_backward(&[loss], &by, false, false);
        let by_params: Vec<f32> = gradients[..4].iter().flat_map(floats).collect();
        assert_close(&format!("{name} gradient"), &by_params, &section.floats("gradient"), 5e-6);
        let by_input = floats(&gradients[4]);
        assert_close(&format!("{name} gradient by the inputs"), &by_input, &section.floats("x_gradient"), 5e-6);
    }
}

#[test]
fn recurrent_policy_matches_sb3_contrib() {
    let section = Section::on_one_thread("recurrent");
    let names = |count: i64| (0..count).map(|index| index.to_string()).collect();
    let spec = ObsSpec { features: vec![], frames: 1, account: names(INPUTS), actions: names(ACTIONS) };
    let recurrent_size = UNITS as usize;
    let config = PolicyConfig { kind: PolicyKind::Lstm, net_arch: vec![5], recurrent_size, ..PolicyConfig::default() };
    let policy = Policy::new(&spec, &config, Normalizer::identity(0), 1).unwrap();
    let params = section.floats("params");
    assert_eq!(params.len(), policy.params.len());
    let nets = Nets::new(&Tensor::from_slice(&params), &policy).unwrap();

    let obs = section.tensor("obs", &[STEPS * SEQUENCES, INPUTS]);
    let (logits, value) = nets.forward(&obs, &mut section.past(&["actor_state", "critic_state"])).unwrap();
    let log_probs = logits.log_softmax(1, None);
    let action = Tensor::from_slice(&section.bytes("action")).to_kind(Kind::Int64).unsqueeze(1);
    let log_prob = log_probs.gather(1, &action, false).squeeze_dim(1);
    let entropy = -(log_probs.exp() * &log_probs).sum_dim_intlist(1i64, false, None);
    let found =
        [("log_prob", "by_log_prob", log_prob), ("value", "by_value", value), ("entropy", "by_entropy", entropy)];
    let mut loss = Tensor::from(0.0f32);
    for (name, weights, ours) in found {
        assert_close(name, &floats(&ours), &section.floats(name), 1e-6);
        loss += (ours * section.tensor(weights, &[-1])).sum(None);
    }
    let gradient = nets.gradient(&loss).unwrap();
    assert_close("gradient", &floats(&gradient), &section.floats("gradient"), 5e-6);
}

#[test]
fn five_steps_match_torch() {
    [0.0, 0.1].into_iter().for_each(steps_match_torch);
}

fn steps_match_torch(weight_decay: f64) {
    let device = tch::Device::Cpu;
    let store = tch::nn::VarStore::new(device);
    let mut param = store.root().var("p", &[3], tch::nn::Init::Const(0.5));
    let mut torch = tch::nn::OptimizerConfig::build(
        tch::nn::Adam { beta1: BETA1, beta2: BETA2, wd: weight_decay, eps: EPSILON, amsgrad: false },
        &store,
        0.01,
    )
    .unwrap();
    let (mut ours, mut adam) = ([0.5f32; 3], AdamState::new(3));
    for step in 0..5 {
        let gradient = [0.3, -1.0 + 0.4 * step as f32, 1e-4];
        let loss = (&param * Tensor::from_slice(&gradient)).sum(Kind::Float);
        torch.backward_step(&loss);
        adam.step(&mut ours, &gradient, 1.0, (0.01, weight_decay));
    }
    let theirs = Vec::<f32>::try_from(param.detach_()).unwrap();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
    }
}
