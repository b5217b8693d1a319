//! `scripts/train.sh`: the choice of the build, the checks before it, and the program that it runs, with a `cargo` that builds
//! nothing.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, process::Output};

use tempfile::TempDir;

use crate::cli::{refused, text};

/// Prints its arguments and the messages of a finished build; fails if a file `broken` lies beside it.
const CARGO: &str = r#"#!/bin/bash
if [ -e "${0%/*}/broken" ]; then echo "error: it does not compile" >&2; exit 101; fi
echo "cargo $*" >&2
for program in train_historical_model zerodte; do
    echo "{\"reason\":\"compiler-artifact\",\"executable\":\"${0%/*}/$program\"}"
done
"#;
/// Prints its name and its arguments.
const PROGRAM: &str = "#!/bin/bash\necho \"${0##*/} $*\"\n";

fn write_executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A clone that holds the scripts alone, without libtorch.
struct ScriptsOnly(TempDir);

impl ScriptsOnly {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("scripts")).unwrap();
        for script in ["train.sh", "setup.sh", "steps.sh"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script);
            fs::copy(source, folder.path().join("scripts").join(script)).unwrap();
        }
        write_executable(&folder.path().join("bin/cargo"), CARGO);
        ["zerodte", "train_historical_model"]
            .iter()
            .for_each(|program| write_executable(&folder.path().join("bin").join(program), PROGRAM));
        Self(folder)
    }

    /// A program of an earlier build, which checks its arguments itself.
    fn built(self) -> Self {
        write_executable(&self.0.path().join("target/release/train_historical_model"), PROGRAM);
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let folder = self.0.path();
        let mut command = Command::new("bash");
        command.arg(folder.join("scripts/train.sh")).args(args).current_dir(folder).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display())).env("HOME", folder);
        command
    }

    fn train(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
}

#[test]
fn the_build_is_native_unless_libtorch_is_in_place() {
    let clone = ScriptsOnly::new().built();
    for (args, run) in [
        (&[][..], "zerodte demo\n"),
        (&["--seed", "1", "--device", "cpu"], "train_historical_model --seed 1 --device cpu\n"),
    ] {
        let output = clone.train(args);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && stdout == run, "{stdout}{stderr}");
        assert!(stderr.starts_with("train.sh: building (") && stderr.contains("--no-default-features"), "{stderr}");
    }

    let libtorch = clone.0.path().join("libtorch");
    let with_libtorch = |args: &[&str]| clone.command(args).env("LIBTORCH", &libtorch).output().unwrap();
    refused(&with_libtorch(&["--forecaster=none"]), 1, &["setup.sh: LIBTORCH=", "holds no lib/libtorch_cpu.so"]);
    write_executable(&libtorch.join("lib/libtorch_cpu.so"), "");
    for args in [&["--forecaster=none"][..], &["--seed", "1"]] {
        let stderr = text(&with_libtorch(args).stderr);
        assert!(stderr.starts_with("train.sh: building with libtorch ("), "{stderr}");
        assert!(stderr.contains("cargo build") && !stderr.contains("--no-default-features"), "{stderr}");
    }
}

#[test]
fn faults_are_named_before_the_build() {
    let clone = ScriptsOnly::new();
    let missing = |args: &[&str], part: &str| {
        let output = clone.train(args);
        refused(&output, 1, &[part]);
        assert!(!text(&output.stderr).contains("building"), "{}", text(&output.stderr));
    };
    missing(&["--config", "no.toml"], "train.sh: --config no.toml: there is no such file");
    missing(&["--data-dir=nowhere"], "train.sh: --data-dir nowhere: there is no such folder");
    missing(&["--data-source", "files", "--data-dir", "nowhere"], "--data-dir nowhere: there is no such folder");
    let homeless = clone.command(&[]).env_remove("HOME").output().unwrap();
    refused(&homeless, 1, &["train.sh: HOME is not set"]);
}

#[test]
fn a_failed_build_shows_the_errors_and_runs_nothing() {
    let clone = ScriptsOnly::new().built();
    fs::write(clone.0.path().join("bin/broken"), "").unwrap();
    let output = clone.train(&["--help"]);
    refused(&output, 1, &["error: it does not compile", "train.sh: the build failed, see above"]);
    assert_eq!(text(&output.stdout), "");
}
