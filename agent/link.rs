//! Build script of every package that links libtorch, which the feature `torch` asks for: stops early with one sentence when
//! there is none, and writes the folder of the shared libraries into the binary, so that it starts without any environment
//! variable. For the root package it also notes the revision that is being built, and has its programs linked small.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "that is how a build script talks to cargo")]

use std::{env, path::PathBuf, process::Command};

fn main() -> Result<(), String> {
    if env::var("CARGO_PKG_NAME").is_ok_and(|name| name == "zerodte") {
        note_revision();
        shrink_programs();
    }
    if env::var_os("CARGO_FEATURE_TORCH").is_some() { link_libtorch() } else { Ok(()) }
}

/// Writes the folder of the shared libraries into the binary.
fn link_libtorch() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    let home = env::var("LIBTORCH")
        .map(PathBuf::from)
        .map_err(|_| "LIBTORCH is not set: run scripts/setup.sh, build from inside the project folder, or without libtorch by --no-default-features")?;
    let library = home.join("lib/libtorch_cpu.so");
    let library = library.canonicalize().map_err(|_| {
        format!(
            "there is no {}: run scripts/setup.sh once, or build without libtorch by --no-default-features",
            library.display()
        )
    })?;
    let folder = library.parent().ok_or("libtorch_cpu.so lies in no folder")?;
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    Ok(())
}

/// Has functions of equal code folded and symbol names dropped, by the linker that comes with the toolchain for this target.
/// Both stay with another linker, which may not offer them, and in a build for debugging.
fn shrink_programs() {
    let is = |key: &str, expected: &str| env::var(key).is_ok_and(|value| value == expected);
    let target = is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu");
    let own_linker = env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if target && !own_linker && is("PROFILE", "release") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all,--strip-all");
    }
}

/// Sets `ZERODTE_REVISION` to the commit, with `-dirty` behind it when tracked files differ; empty without git.
fn note_revision() {
    // The log of HEAD grows with every commit and checkout; the rest is what can make a build differ from its commit.
    let watched = [".git/HEAD", ".git/logs/HEAD", "Cargo.toml", "Cargo.lock", "scripts", "data", "env", "agent"];
    for path in watched.into_iter().filter(|path| PathBuf::from(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("--no-optional-locks").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "HEAD"]).unwrap_or_default();
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    println!("cargo::rustc-env=ZERODTE_REVISION={revision}{}", if changed { "-dirty" } else { "" });
}
