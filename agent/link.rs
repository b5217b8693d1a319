//! Build script of every package that links libtorch: stops early with one sentence when there is none, and writes the
//! folder of the shared libraries into the binary, so that it starts without any environment variable.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "that is how a build script talks to cargo")]

use std::{env, path::PathBuf};

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let home = env::var("LIBTORCH")
        .map(PathBuf::from)
        .map_err(|_| "LIBTORCH is not set: run scripts/setup.sh, or build from inside the project folder")?;
    let library = home.join("lib/libtorch_cpu.so");
    let library =
        library.canonicalize().map_err(|_| format!("there is no {}: run scripts/setup.sh once", library.display()))?;
    let folder = library.parent().ok_or("libtorch_cpu.so lies in no folder")?;
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    Ok(())
}
