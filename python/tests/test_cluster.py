"""Jobs on processes that crash: this machine, Ray where it is installed, and the script of a Slurm array."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from zerodte import cluster

WORKER = """
import json, os, sys
folder, number, fate = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tries = os.path.join(folder, f"tries{number}")
with open(tries, "a") as file:
    file.write("x")
first = os.path.getsize(tries) == 1
if fate == "exit" and first:
    os._exit(9)
if fate == "parent" and first:
    os.kill(os.getppid(), 9)
if fate == "always":
    os.kill(os.getpid(), 11)
with open(os.path.join(folder, f"{number}.part"), "w") as file:
    json.dump({"number": number, "threads": os.environ["RAYON_NUM_THREADS"]}, file)
os.replace(os.path.join(folder, f"{number}.part"), os.path.join(folder, f"{number}.json"))
sys.exit(int(fate) if fate.isdigit() else 0)
"""


def job(folder, number, fate="0", cpus=1):
    worker = folder / "worker.py"
    worker.write_text(WORKER)
    return cluster.Job((sys.executable, str(worker), str(folder), str(number), fate), f"job {number}", cpus)


def results(folder):
    return {path.name: path.read_text() for path in sorted(Path(folder).glob("*.json"))}


def tries(folder, number):
    return (folder / f"tries{number}").stat().st_size


def test_parts_cover_every_number_once_and_say_their_threads():
    jobs = cluster.parts("walk-forward", ["--out", "w"], [5, 1, 2, 3, 9], per_job=4, cpus=2)
    assert [job.command for job in jobs] == [
        ("zerodte", "walk-forward", "--out", "w", "--only", "1-3,5", "--num-threads", "2"),
        ("zerodte", "walk-forward", "--out", "w", "--only", "9", "--num-threads", "2"),
    ]
    assert jobs[0].cpus == 2 and jobs[0].name == "walk-forward 1-3,5"
    with pytest.raises(ValueError, match="has no parts"):
        cluster.parts("train", [], [1])


def test_crashes_are_repeated_and_the_results_are_those_of_calm_workers(tmp_path):
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    calm.mkdir()
    rough.mkdir()
    cluster.run([job(calm, number) for number in range(6)], workers=2)
    done = cluster.run([job(rough, number, "exit" if number % 2 else "0") for number in range(6)], workers=3)
    assert results(calm) == results(rough) and len(results(calm)) == 6
    assert [one.attempts for one in done] == [1, 2, 1, 2, 1, 2]


def test_verdicts_are_results_and_are_never_repeated(tmp_path):
    done = cluster.run([job(tmp_path, code, str(code)) for code in (3, 4, 5)], workers=1)
    assert [one.code for one in done] == [3, 4, 5] and all(tries(tmp_path, code) == 1 for code in (3, 4, 5))


def test_failures_are_not_repeated_and_endless_crashes_end(tmp_path):
    with pytest.raises(cluster.JobFailed, match="1 of 1 jobs failed; the first is job 1: exit code 1"):
        cluster.run([job(tmp_path, 1, "1")])
    assert tries(tmp_path, 1) == 1
    with pytest.raises(cluster.JobFailed, match="ended by signal 11") as failed:
        cluster.run([job(tmp_path, 7, "always")], retries=3)
    assert tries(tmp_path, 7) == 4 and failed.value.done[0].attempts == 4
    with pytest.raises(cluster.JobFailed, match="put it on the PATH"):
        cluster.run([cluster.Job(("no-such-program",), "none")])


def test_threads_are_the_cpus_of_the_job(tmp_path):
    cluster.run([job(tmp_path, 1, cpus=3)], workers=1)
    assert json.loads((tmp_path / "1.json").read_text())["threads"] == "3"


def test_a_slurm_array_runs_every_job_and_requeues_crashes_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "MOST_ARRAY", 2)
    script, tools = tmp_path / "jobs.sbatch", tmp_path / "tools"
    tools.mkdir()
    requeued = tmp_path / "requeued"
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >>{requeued}\n')
    (tools / "scontrol").chmod(0o755)
    jobs = [job(tmp_path, 0), job(tmp_path, 1, "4"), job(tmp_path, 2, "exit"), job(tmp_path, 3)]
    assert cluster.run(jobs, backend="slurm", script=script, retries=1) == []

    def task(number, restarts=0):
        slurm = {"SLURM_ARRAY_TASK_ID": number, "SLURM_ARRAY_JOB_ID": 77, "SLURM_RESTART_COUNT": restarts}
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", **{key: str(value) for key, value in slurm.items()}}
        return subprocess.run(["bash", script], env=environment).returncode

    assert "--array=0-1" in script.read_text()
    assert task(1) == 0 and not requeued.exists(), "a verdict is no crash"
    assert task(0) == 9 and requeued.read_text() == "requeue 77_0\n"
    assert task(0, restarts=1) == 0 and len(results(tmp_path)) == 4
    with pytest.raises(ValueError, match="line"):
        cluster.run([cluster.Job(("echo", "a\nb"), "two lines")], backend="slurm", script=script)
    (tmp_path / "tries2").unlink()
    assert task(0, restarts=1) == 9 and requeued.read_text() == "requeue 77_0\n", "the retries are spent"


def program():
    """Returns the program that the parts run, or skips loudly."""
    found = os.environ.get("ZERODTE_PROGRAM") or shutil.which("zerodte")
    if not found:
        pytest.skip("the program zerodte is not on the PATH, and ZERODTE_PROGRAM does not name it")
    return found


def sweep_arguments(folder):
    space = folder / "space.toml"
    space.write_text('"ppo.learning_rate" = { log = [1e-5, 1e-3] }\n')
    settings = ["data.synthetic.sessions_to=2024-06-28", "policy.net_arch=[8]", "ppo.n_steps=32", "evaluation.resamples=199"]
    sets = [argument for setting in [*settings, f"run.out_dir={folder}"] for argument in ("--set", setting)]
    data = ["--data-source", "synthetic", "--symbols", "SPY", "--timesteps", "1024", "--trials", "6", "--seeds", "2"]
    return ["--space", str(space), *data, *sets]


def all_bytes(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def killing(program, folder):
    """Returns a program that kills itself in the middle of its first run."""
    script = folder / "killing.sh"
    script.write_text(f'#!/bin/bash\nif mkdir {folder}/killed-"${{*: -3:1}}" 2>/dev/null; then timeout -s KILL 0.2 {program} "$@"; exit 137; fi\nexec {program} "$@"\n')
    script.chmod(0o755)
    return str(script)


def same_bytes_in_parts(tmp_path, backend):
    """Runs a sweep whole and in parts that are killed, and compares every file."""
    zerodte = program()
    arguments = sweep_arguments(tmp_path)
    whole, parts = ([*arguments, "--out", str(tmp_path / name)] for name in ("whole", "parts"))
    subprocess.run([zerodte, "sweep", *whole], check=True, capture_output=True)
    jobs = cluster.parts("sweep", parts, range(6), per_job=2, program=killing(zerodte, tmp_path))
    done = cluster.run(jobs, backend=backend, workers=2, retries=2)
    assert [one.code for one in done] == [0, 0, 0]
    subprocess.run([zerodte, "sweep", *parts, "--resume"], check=True, capture_output=True)
    assert all_bytes(tmp_path / "whole") == all_bytes(tmp_path / "parts")
    return done


def test_killed_parts_of_a_sweep_join_to_the_bytes_of_one_machine(tmp_path):
    assert [one.attempts for one in same_bytes_in_parts(tmp_path, "local")] == [2, 2, 2]


@pytest.mark.heavy
def test_ray_repeats_lost_workers_and_crashes_but_no_verdict(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    fates = ["0", "exit", "parent", "4"]
    done = cluster.run([job(tmp_path, number, fate) for number, fate in enumerate(fates)], backend="ray", workers=2)
    assert [one.code for one in done] == [0, 0, 0, 4] and len(results(tmp_path)) == 4
    assert [tries(tmp_path, number) for number in range(4)] == [1, 2, 2, 1]
    with pytest.raises(cluster.JobFailed, match="job 9"):
        cluster.run([job(tmp_path, 9, "always")], backend="ray", workers=2, retries=1)
    assert tries(tmp_path, 9) == 2


@pytest.mark.heavy
def test_ray_joins_killed_parts_to_the_bytes_of_one_machine(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    same_bytes_in_parts(tmp_path, "ray")


EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_simulation_of_a_fleet_repeats_itself_and_follows_its_figures():
    def said(*arguments):
        command = [sys.executable, EXAMPLES / "scale.py", "--units", "2000", "--cores", "100", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    text = said()
    assert text == said() and "2,000 units" in text and "join" in text
    page = (EXAMPLES.parents[1] / "docs" / "scale.md").read_text()
    printed = subprocess.run([sys.executable, EXAMPLES / "scale.py"], capture_output=True, text=True, check=True).stdout
    assert printed in page, "docs/scale.md holds the output of the script"
    rows = {line.split()[0]: line.split() for line in text.splitlines()[3:7]}
    assert rows["1"][1] == "2,000" and rows["10"][1] == "200"
    calm = said("--per-job", "1", "--straggler", "0", "--crash", "0", "--spread", "0", "--load-seconds", "1e-9", "--start-seconds", "0")
    # 2,000 units of 16 seconds on 100 cores: 20 rounds.
    assert calm.splitlines()[3].split()[2:6] == ["5.3", "min", "5.3", "min"]


@pytest.mark.heavy
def test_processes_of_optuna_share_their_trials(tmp_path):
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install optuna")
    zerodte = program()
    settings = sweep_arguments(tmp_path)
    rest = [argument for argument in settings if argument not in ("--space", str(tmp_path / "space.toml"), "--trials", "6")]
    command = [sys.executable, EXAMPLES / "optuna_sweep.py", "--trials", "4", "--journal", tmp_path / "log", "--program", zerodte, "--", *rest]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    texts = [process.communicate()[0] for process in running]
    assert all(process.returncode == 0 for process in running)
    assert max(int(text.split("best of ")[1].split(" ")[0]) for text in texts) in (4, 5)
