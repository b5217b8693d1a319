//! A recurrent policy through `train_historical_model`: trained, resumed, loaded.

use std::fs;

use tempfile::TempDir;

use crate::cli::{refused, smoke, text, train};

#[test]
fn a_recurrent_policy_is_trained_resumed_and_replayed() {
    let (out, paused) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let lstm = ["--policy", "lstm", "--recurrent-size", "8", "--net-arch", "16", "--sequence-length", "16"];
    let run = [&lstm[..], &["--timesteps", "6000", "--n-epochs", "1", "--checkpoint-freq", "2000"]].concat();
    let screen = text(&smoke(out.path(), &run).stdout);
    assert!(screen.contains("native backend on the CPU") && screen.contains("always-HOLD"), "{screen}");
    smoke(paused.path(), &run);
    fs::remove_file(paused.path().join("models/checkpoints/smoke_6144_steps.safetensors")).unwrap();
    fs::remove_file(paused.path().join("models/smoke.safetensors")).unwrap();
    smoke(paused.path(), &[&run[..], &["--resume", "latest"]].concat());
    let model = |out: &TempDir| fs::read(out.path().join("models/smoke.safetensors")).unwrap();
    assert!(model(&out) == model(&paused), "a run that was resumed in the middle of its episodes");

    let parent = out.path().join("models/smoke");
    let loaded = ["--load-model", parent.to_str().unwrap(), "--model-name", "other"];
    let files = ["--config", "configs/smoke.toml", "--out-dir", out.path().to_str().unwrap()];
    let refusal = train(&[&files[..], &loaded[..]].concat());
    refused(&refusal, 1, &["--load-model", "policy.kind is \"lstm\", this run asks for \"mlp\"", "policy.net_arch"]);
    smoke(out.path(), &[&run[..], &loaded[..]].concat());
}
