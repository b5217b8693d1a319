//! Commands of `zerodte`, one module each.

pub mod audit;
pub mod audit_reward;
pub mod backtest;
pub mod bench;
pub mod calibrate;
pub mod completions;
pub mod decide;
pub mod demo;
pub mod diagnose;
pub mod doctor;
pub mod evaluate;
pub mod explain;
pub mod export;
pub mod fetch;
pub mod forecast;
pub mod import;
pub mod inspect;
pub mod man;
pub mod placebo;
pub mod registry;
pub mod report;
pub mod reproduce_collapse;
pub mod selftest;
pub mod shadow;
pub mod sweep;
pub mod train;
pub mod walk_forward;
pub mod watch;

use clap::{Parser, Subcommand};

use crate::{
    artifacts::manifest,
    commands::{
        audit::AuditFlags, audit_reward::AuditRewardFlags, backtest::flags::BacktestFlags, bench::BenchFlags,
        calibrate::flags::CalibrateFlags, completions::CompletionsFlags, decide::DecideFlags, demo::DemoFlags,
        diagnose::DiagnoseFlags, doctor::DoctorFlags, evaluate::EvaluateFlags, explain::ExplainFlags,
        export::ExportFlags, fetch::FetchFlags, forecast::ForecastTool, import::ImportFlags, inspect::InspectFlags,
        man::ManFlags, placebo::PlaceboFlags, registry::RegistryTool, report::ReportPageFlags,
        reproduce_collapse::ReproduceFlags, selftest::Selftest, shadow::ShadowFlags, sweep::SweepFlags,
        train::TrainFlags, walk_forward::WalkForwardFlags, watch::WatchFlags,
    },
    output::{console::Console, exit_code::Outcome},
};

/// Market-replay reinforcement learning for intraday options: trains, tests, explains and checks policies.
///
/// Start with `zerodte demo`, which needs no data.
#[derive(Debug, Clone, Parser)]
#[command(name = "zerodte", version = manifest::VERSION.as_str(), arg_required_else_help = true)]
pub struct ToolFlags {
    /// The command.
    #[command(subcommand)]
    pub command: Tool,
}

/// Commands of `zerodte`.
#[derive(Debug, Clone, Subcommand)]
pub enum Tool {
    /// Trains on two made-up markets, one with a pattern and one without, and tests both policies; needs no data.
    Demo(DemoFlags),
    /// Trains a policy on minute bars and tests it on later dates that it never saw.
    Train(Box<TrainFlags>),
    /// Shows the current state of a training, from its run folder or a log, including legacy logs.
    Watch(WatchFlags),
    /// Prints the verdict on a training; exit code 3 collapsed or state-blind, 4 frozen, 5 exploding.
    Diagnose(DiagnoseFlags),
    /// Replays sessions in order with a model and reports its earnings.
    Backtest(BacktestFlags),
    /// Evaluates reports of backtests: the evidence for an edge after costs, and the verdict on it.
    Evaluate(EvaluateFlags),
    /// Lists the trials that were made, counts looks at dates, and checks the chain of rows.
    #[command(subcommand)]
    Registry(RegistryTool),
    /// Trains on past dates and tests on the next ones, again and again: the question is whether a way of training earns.
    WalkForward(WalkForwardFlags),
    /// Trains many configurations on one market, compares them by validation money, and says what luck alone would show.
    Sweep(Box<SweepFlags>),
    /// Repeats a walk-forward test on markets without direction, and ranks the real result among them.
    Placebo(PlaceboFlags),
    /// Writes the page of a walk-forward test again, from the files of its folder.
    Report(ReportPageFlags),
    /// Explains one decision of a model: observation, action probabilities, action and outcome.
    Explain(ExplainFlags),
    /// Decides at the newest bar of today, or at a bar of an earlier session; places no orders.
    Decide(DecideFlags),
    /// Follows a session with a vendor's bars, records every decision, and compares them with the replay of the same day.
    Shadow(ShadowFlags),
    /// Exports a model for other runtimes, as ONNX.
    Export(ExportFlags),
    /// Checks a file of trades: re-derives every cash flow from it and compares it to the cent.
    Audit(AuditFlags),
    /// Imports minute bars of a vendor, CSV or Parquet, into the folder that a training reads.
    Import(ImportFlags),
    /// Inspects the bars of a symbol: coverage, gaps, repeats, outliers, half days, and differences from a second
    /// source.
    Inspect(InspectFlags),
    /// Fetches bars, volatility indices and options from a vendor into the cache.
    Fetch(FetchFlags),
    /// Checks this machine and its keys: plan by asset class, cache, libtorch, GPU, disk.
    Doctor(DoctorFlags),
    /// Compares modelled option prices and spreads with real trades and quotes.
    Calibrate(CalibrateFlags),
    /// Plays policies without information and flags those that the reward pays for losing money.
    AuditReward(AuditRewardFlags),
    /// Trains the profiles of the earlier collapses on the same days and compares intervals with the cumulative
    /// average.
    ReproduceCollapse(ReproduceFlags),
    /// Trains and evaluates forecasters of returns, volatility and direction.
    #[command(subcommand)]
    Forecast(Box<ForecastTool>),
    /// Tests a claim of this program by running it.
    #[command(subcommand)]
    Selftest(Selftest),
    /// Measures the speed of stepping, collecting and learning on this machine, after a check of correctness.
    Bench(BenchFlags),
    /// Prints the completions of a shell.
    Completions(CompletionsFlags),
    /// Prints the manual page, or writes one per command.
    Man(ManFlags),
}

/// Runs a command and returns its outcome.
///
/// # Errors
/// As the command's own `run`.
pub fn run(command: &Tool, console: &mut Console) -> anyhow::Result<Outcome> {
    match command {
        Tool::Audit(flags) => audit::run(flags, console),
        Tool::AuditReward(flags) => audit_reward::run(flags, console),
        Tool::Backtest(flags) => backtest::run(flags, console),
        Tool::Calibrate(flags) => calibrate::run(flags, console),
        Tool::Completions(flags) => completions::run(flags, console),
        Tool::Decide(flags) => decide::run(flags, console),
        Tool::Demo(flags) => demo::run(flags, console),
        Tool::Bench(flags) => bench::run(flags, console),
        Tool::Diagnose(flags) => return diagnose::run(flags, console).map(Outcome::Diagnosed),
        Tool::Doctor(flags) => doctor::run(flags, console),
        Tool::Evaluate(flags) => evaluate::run(flags, console),
        Tool::Explain(flags) => explain::run(flags, console),
        Tool::Export(flags) => export::run(flags, console),
        Tool::Fetch(flags) => fetch::run(flags, console),
        Tool::Forecast(tool) => return forecast::run(tool, console),
        Tool::Import(flags) => import::run(flags, console),
        Tool::Inspect(flags) => inspect::run(flags, console),
        Tool::Man(flags) => man::run(flags, console),
        Tool::Registry(tool) => registry::run(tool, console),
        Tool::Placebo(flags) => return placebo::run(flags, console),
        Tool::Report(flags) => report::run(flags, console),
        Tool::ReproduceCollapse(flags) => reproduce_collapse::run(flags, console),
        Tool::Selftest(test) => selftest::run(test, console),
        Tool::Shadow(flags) => shadow::run(flags, console),
        Tool::Sweep(flags) => return sweep::run(flags, console),
        Tool::Train(flags) => return train::run(flags, console),
        Tool::WalkForward(flags) => return walk_forward::run(flags, console),
        Tool::Watch(flags) => watch::run(flags, console),
    }
    .map(|()| Outcome::Finished)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::flag_help;

    #[test]
    fn flags_are_sound_and_the_help_of_a_trained_model_names_its_defaults() {
        ToolFlags::command().debug_assert();
        let help = help("backtest");
        assert!(help.contains("[default: the model's]") && !help.contains("SPY,QQQ"), "{help}");
    }

    fn help(command: &str) -> String {
        let words = ["zerodte"].into_iter().chain(command.split(' ')).chain(["--help"]);
        let text = flag_help::describe(ToolFlags::command()).try_get_matches_from(words).unwrap_err().to_string();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_help_of_a_shared_flag_is_that_of_its_command() {
        let shown = [
            ("audit-reward", "files: audits on real and made-up bars"),
            ("audit-reward", "[default: the first bar's]"),
            ("calibrate", "--options <PATH> Folder or file of option minutes to compare with"),
            ("calibrate", "[default: SPY]"),
            ("calibrate", "First session date, YYYY-MM-DD [default: the first available]"),
            ("doctor", "Folder of the cache [default: bars]"),
            ("explain", "[default: the model's]"),
            ("fetch", "[default: the last finished session]"),
            ("fetch", "massive (also: polygon, intraday), alpaca or yahoo (also: yfinance) [default: massive]"),
            ("forecast eval", "[default: the first unseen date]"),
            ("forecast train", "[default: forecaster]"),
            ("inspect", "[default: the first bar's]"),
            ("reproduce-collapse", "[default: SPY,QQQ]"),
        ];
        for (command, text) in shown {
            assert!(help(command).contains(text), "{command}: {text} is missing in {}", help(command));
        }
        let hidden = [
            ("explain", vec!["--symbols ", "--start-date", "--end-date", "--intraday-days"]),
            ("fetch", vec!["--options", "--columns"]),
            ("forecast ablate", vec!["--options", "--model-name", "--out-dir", "--device", "--boosted"]),
            ("forecast eval", vec!["--options"]),
            ("forecast train", vec!["--options"]),
            ("inspect", vec!["--symbols", "--options"]),
        ];
        for (command, flags) in hidden {
            let help = help(command);
            flags.iter().for_each(|flag| assert!(!help.contains(flag), "{command} shows {flag}: {help}"));
        }
    }

    /// Returns the commands that have flags, including subcommands.
    fn leaves(command: &clap::Command) -> Vec<&clap::Command> {
        if command.has_subcommands() { command.get_subcommands().flat_map(leaves).collect() } else { vec![command] }
    }

    #[test]
    fn shared_flags_stand_below_the_heading_of_their_group() {
        let data =
            ["symbols", "start_date", "end_date", "intraday_days", "data_source", "data_dir", "columns", "options"];
        let configuration = ["config", "set", "print_config"];
        let output =
            ["json", "plot", "fit", "markdown", "predictions", "out", "zip", "csv", "svg", "model_name", "out_dir"];
        let groups = [("Data", &data[..]), ("Configuration", &configuration), ("Output", &output)];
        let tools = ToolFlags::command();
        let commands = leaves(&tools);
        for (heading, flags) in groups {
            for flag in flags {
                let found =
                    commands.iter().flat_map(|command| command.get_arguments().filter(|arg| arg.get_id() == flag));
                let headings: Vec<_> = found.map(clap::Arg::get_help_heading).collect();
                assert!(!headings.is_empty() && headings.iter().all(|of| *of == Some(heading)), "{flag}: {headings:?}");
            }
        }
    }
}
