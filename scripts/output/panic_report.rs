//! Report of a fault of the program itself: one sentence instead of a backtrace, which `RUST_BACKTRACE=1` asks for.

use std::{
    env, io,
    io::Write as _,
    panic::{self, PanicHookInfo},
};

/// Prints one sentence for every panic from here on; the program still ends with code 101. `version` names the program.
pub fn install(version: &'static str) {
    if env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        return;
    }
    panic::set_hook(Box::new(move |panic| {
        // A closed stderr is no error.
        let _ = writeln!(io::stderr().lock(), "{}", sentence(version, panic));
    }));
}

fn sentence(version: &str, panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message").trim();
    let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    let command: Vec<String> = env::args().collect();
    format!(
        "error: a fault of the program itself: {message}{place}; please report it with this line and the files that it read: \
         zerodte {version}, command {}",
        command.join(" ")
    )
}
