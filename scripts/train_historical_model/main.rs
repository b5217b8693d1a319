//! Trains a masked PPO policy on historical minute bars and replays it out of sample.

use std::process::ExitCode;

use clap::Parser as _;
use zerodte_scripts::{
    output::{
        console::Console,
        exit_code::{self, Outcome},
    },
    training::{self, flags::TrainFlags},
};

fn main() -> ExitCode {
    let flags = TrainFlags::parse();
    exit_code::report(&training::run(&flags, &mut Console::stdout()).map(Outcome::from))
}
