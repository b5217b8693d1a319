//! Trains a masked PPO policy on historical minute bars and replays it out of sample.

use std::process::ExitCode;

use zerodte_scripts::{
    config::flag_help,
    output::{
        console::Console,
        exit_code::{self, Outcome},
    },
    training::{self, flags::TrainFlags},
};

fn main() -> ExitCode {
    let flags = flag_help::parse::<TrainFlags>();
    exit_code::report(&training::run(&flags, &mut Console::stdout()).map(Outcome::from))
}
