//! The log of a whole training, what it leaves behind, and the passages that only some trainings have.

use std::{fs, path::Path};

use super::Shell;

const SMOKE: &str = "train_historical_model --config configs/smoke.toml --out-dir out";

#[test]
fn a_whole_training() {
    let mut shell = Shell::new();
    shell.run(&format!("{SMOKE} --timesteps 20000 --checkpoint-freq 10000"));
    shell.check("log_of_a_training");

    let mut names = Vec::new();
    tree(&shell.path("out"), "out", &mut names);
    names.sort();
    shell.add("files", &names.join("\n"));
    let manifest = serde_json::from_str(&shell.read("out/runs/smoke/manifest.json")).unwrap();
    // A build without git has no revision.
    let manifest = super::keys(&manifest).replace("git_revision: null", "git_revision: text");
    shell.add("keys of manifest.json", &manifest);
    for name in ["metrics", "health", "marks"] {
        let rows = shell.read(&format!("out/runs/smoke/{name}.jsonl"));
        let rows: Vec<serde_json::Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        shell.add(&format!("keys of {name}.jsonl"), &super::keys(&rows.into()));
    }
    let progress = shell.read("out/runs/smoke/progress.csv");
    shell.add("columns of progress.csv", &progress.lines().next().unwrap().replace(',', "\n"));
    shell.check("files_of_a_training");
}

/// Collects the files below a folder; of the one that carries the machine's name and the time, the part that is fixed.
fn tree(folder: &Path, name: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let file = entry.file_name().into_string().unwrap();
        let file = if file.starts_with("events.out.tfevents.") { "events.out.tfevents.#" } else { &file };
        let name = format!("{name}/{file}");
        if entry.path().is_dir() { tree(&entry.path(), &name, names) } else { names.push(name) }
    }
}

#[test]
fn passages_that_only_some_trainings_have() {
    let mut shell = Shell::new();
    let passage = |shell: &mut Shell, remark: &str, flags: &str, first: &str| {
        let said = super::printed(&shell.output(&format!("{SMOKE} {flags}")));
        let kept: Vec<&str> = said.lines().skip_while(|line| !line.starts_with(first)).collect();
        assert!(!kept.is_empty(), "no line starts with {first} in:\n{said}");
        shell.add(&format!("{remark}: {flags}"), &kept.join("\n"));
    };
    // Settings that a controller moves, learned within seconds.
    let adapt = "--human-momentum --symbols SPY --timesteps 34000 --on-collapse adapt --learning-rate 3e-3 \
                 --set run.diagnostics_freq=3000 --set health.patience=1 --set env.reward.hold_tax=1 \
                 --set env.reward.missed_opportunity=1 --set data.synthetic.planted_edge=0.5 \
                 --set data.synthetic.edge_visibility=1 --checkpoint-freq 2048";
    let said = super::printed(&shell.output(&format!("{SMOKE} {adapt}")));
    let moves: Vec<&str> = said.lines().filter(|line| line.starts_with("Adapted ")).collect();
    assert!(!moves.is_empty(), "no move in:\n{said}");
    shell.add("moves of a controller", &moves.join("\n"));
    // Fees so high that the lesson takes a second.
    let holds = "--timesteps 60000 --learning-rate 1e-3 --set env.costs.fee_multiplier=20.0 \
                 --set env.reward.good_buy_call=0 --set env.reward.good_buy_put=0 --set env.reward.missed_opportunity=0 \
                 --set env.reward.hold_tax=0 --set env.reward.bad_chase=0";
    passage(&mut shell, "a policy that stays out", holds, "TRAINING COMPLETE");
    let short = "--symbols SPY --set run.diagnostics_freq=2048";
    let frozen = format!("{short} --learning-rate 1e-12 --on-collapse stop");
    passage(&mut shell, "a frozen training that is stopped", &frozen, "TRAINING STOPPED");
    passage(&mut shell, "a training that explodes", "--symbols SPY --learning-rate 1e30", "Verdict ");
    shell.run(&format!("{SMOKE} --dry-run"));
    shell.quiet(&format!("{SMOKE} --checkpoint-freq 4000"));
    for steps in [8_192, 10_240] {
        fs::remove_file(shell.path(&format!("out/models/checkpoints/smoke_{steps}_steps.safetensors"))).unwrap();
    }
    passage(&mut shell, "resumed", "--checkpoint-freq 4000 --resume latest", "SYNTHETIC DATA");
    let child = "--load-model out/models/smoke --model-name child --end-date 2024-11-20 --set market.setup_threshold=3";
    let said = super::printed(&shell.output(&format!("{SMOKE} {child} --timesteps 2000")));
    let head = said.lines().take_while(|line| !line.starts_with("---"));
    let tail = said.lines().skip_while(|line| !line.starts_with("TRAINING COMPLETE"));
    shell.add(&format!("a warm start: {child}"), &head.chain(tail).collect::<Vec<_>>().join("\n"));
    shell.check("log_passages");
}
