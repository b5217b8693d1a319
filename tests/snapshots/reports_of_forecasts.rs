//! The reports on forecasters: their words alone, for libtorch computes their figures.

use super::Shell;

const SMALL: &str = "--data-source synthetic --symbols SPY --intraday-days 40 --max-epochs 2 --hidden-size 8";

#[test]
fn reports_on_forecasters() {
    let mut shell = Shell::new();
    shell.run(&format!("zerodte forecast train {SMALL} --out-dir out --model-name plain"));
    shell.add_keys("out/runs/plain/metrics.json");
    shell.check_words("report_of_forecast_train");
    shell.run("zerodte forecast eval --model out/models/plain --json report.json");
    shell.run("zerodte forecast eval --model out/models/plain --start-date 2024-01-02");
    shell.add_keys("report.json");
    shell.check_words("report_of_forecast_eval");
    shell.quiet(&format!(
        "zerodte forecast train {SMALL} --out-dir out --model-name loud --variance-term std --output-init 0.5 --seed 1"
    ));
    shell.run("zerodte forecast compare out/runs/plain out/runs/loud --out comparison --zip zips");
    let markdown = shell.read("comparison/comparison.md");
    shell.add("comparison/comparison.md", &markdown);
    shell.check_words("report_of_forecast_compare");
    shell.run(&format!(
        "zerodte forecast ablate {SMALL} --intraday-days 60 --grid frames=2,3 --seeds 1 --out ablation --num-threads 1"
    ));
    let markdown = shell.read("ablation/ablation.md");
    shell.add("ablation/ablation.md", &markdown);
    shell.check_words("report_of_forecast_ablate");
}
