//! Trains a masked PPO policy on historical minute bars and replays it out of sample.

use std::process::ExitCode;

use zerodte_scripts::{
    artifacts::manifest,
    config::flag_help,
    output::{
        console::{Console, Level},
        exit_code::{self, Outcome},
        panic_report,
    },
    training::{self, flags::TrainFlags},
};

fn main() -> ExitCode {
    panic_report::install(&manifest::VERSION);
    let flags = flag_help::parse::<TrainFlags>();
    let mut console = Console::stdout();
    // A log that is piped through tee keeps the form that the greps of the Python system read.
    let usual = if Console::is_terminal() { Level::Normal } else { Level::Verbose };
    console.set_level(flags.screen.level(usual));
    exit_code::report(&training::run(&flags, &mut console).map(Outcome::from))
}
