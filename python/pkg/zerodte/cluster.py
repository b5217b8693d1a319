"""Parts of a sweep, a walk-forward test or a placebo test on many processes: this machine, Ray, or a Slurm array.

The unit of work is a trial, a fold or a placebo market, and the worker is the program `zerodte` with `--only`. A part writes one small
file per unit, at once or not at all, into the folder that all workers share; the same command with `--resume` and without `--only` joins
them to the bytes of a single machine. A part that is run twice, or killed anywhere, changes nothing.

>>> from zerodte import cluster
>>> arguments = ["--space", "space.toml", "--trials", "400", "--out", "sweep"]
>>> jobs = cluster.parts("sweep", arguments, range(400), per_job=20)
>>> jobs[1].command[-4:]
('--only', '20-39', '--num-threads', '1')

`cluster.run(jobs)` runs them; `zerodte sweep` with the same arguments and `--resume` joins them.

A job that crashes (killed by a signal, by the operating system, or by an exit code that the program does not use) is run again. A job that
ends with a verdict (exit codes 3, 4, 5) is done. A job that fails (1) or is refused (2) is an error: it would fail again.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Done", "Job", "JobFailed", "parts", "run"]

VERDICTS = frozenset({0, 3, 4, 5})
"""Exit codes of a job that is done: success, and the verdicts on a training."""
ERRORS = frozenset({1, 2})
"""Exit codes of a job that would fail again: a failed run, and faulty flags."""
MOST_ARRAY = 1000
"""Tasks of a Slurm array: one less than Slurm's default MaxArraySize."""


@dataclass(frozen=True)
class Job:
    """A command of its own process."""

    command: tuple[str, ...]
    """Program and arguments."""
    name: str
    """Name in messages."""
    cpus: int = 1
    """Threads of the command."""


@dataclass(frozen=True)
class Done:
    """A job that has ended."""

    job: Job
    code: int
    """Exit code; negative for a signal."""
    attempts: int
    """Times that it was started; 0 where the backend does not tell."""
    seconds: float
    """Duration of the last attempt."""
    output: str
    """Last lines of its output and errors."""


class JobFailed(RuntimeError):
    """One or more jobs failed, were refused, or crashed too often; `done` has all that ended."""

    def __init__(self, message: str, done: list[Done]):
        super().__init__(message)
        self.done = done


class _Crashed(RuntimeError):
    """A crash, for a backend that repeats tasks by their exceptions."""


def parts(
    command: str,
    arguments: Sequence[str],
    numbers: Iterable[int],
    *,
    per_job: int = 1,
    cpus: int = 1,
    program: str = "zerodte",
) -> list[Job]:
    """Returns jobs that run some trials, folds or placebo markets each.

    `command` is `sweep`, `walk-forward` or `placebo`, `arguments` are those of the whole test. `numbers` are trials from 0, folds from 1 or
    markets from 1. A job loads the market once, so `per_job` units of a few seconds each share that time. Each job has `cpus` threads.
    """
    if command not in ("sweep", "walk-forward", "placebo"):
        raise ValueError(f"{command!r} has no parts: use sweep, walk-forward or placebo")
    if per_job < 1 or cpus < 1:
        raise ValueError("per_job and cpus are 1 or more")
    numbers, jobs = sorted(set(numbers)), []
    for start in range(0, len(numbers), per_job):
        only = _ranges(numbers[start : start + per_job])
        threads = ("--num-threads", str(cpus))
        jobs.append(Job((program, command, *map(str, arguments), "--only", only, *threads), f"{command} {only}", cpus))
    return jobs


def run(
    jobs: Sequence[Job],
    backend: str = "local",
    *,
    workers: int | None = None,
    retries: int = 2,
    script: str | os.PathLike[str] = "zerodte.sbatch",
    submit: bool = False,
) -> list[Done]:
    """Runs jobs and returns them in their order.

    - `local`: processes of this machine, `workers` CPUs in all (default: every CPU).
    - `ray`: tasks of Ray Core, on the cluster that is connected, or on `workers` CPUs of this machine. Folders must be shared.
    - `slurm`: writes `script`, an array of the jobs, and the list of their commands beside it. With `submit` it is handed to `sbatch`. Returns
      an empty list.

    A crash is repeated `retries` times, a verdict never.

    Raises `JobFailed` when a job fails, is refused, or crashes once more.
    """
    if retries < 0:
        raise ValueError("retries is 0 or more")
    if backend == "slurm":
        _write_slurm(jobs, Path(script), retries)
        if submit:
            subprocess.run(["sbatch", os.fspath(script)], check=True)
        return []
    if backend not in ("local", "ray"):
        raise ValueError(f"{backend!r} is no backend: use local, ray or slurm")
    done = _run_ray(jobs, workers, retries) if backend == "ray" else _run_local(jobs, workers, retries)
    failed = [one for one in done if one.code not in VERDICTS]
    if failed:
        first = failed[0]
        end = f"ended by signal {-first.code}" if first.code < 0 else f"exit code {first.code}"
        raise JobFailed(f"{len(failed)} of {len(jobs)} jobs failed; the first is {first.job.name}: {end}\n{first.output}", done)
    return done


def _ranges(numbers: Sequence[int]) -> str:
    """Returns ascending numbers as `--only` takes them, such as 3,5,7-9."""
    texts, start = [], 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            first, last = numbers[start], numbers[at - 1]
            texts.append(str(first) if first == last else f"{first}-{last}")
            start = at
    return ",".join(texts)


def _crashed(code: int) -> bool:
    return code not in VERDICTS and code not in ERRORS


def _attempt(job: Job, attempts: int = 0) -> Done:
    """Runs a job once, with as many threads as it has CPUs."""
    threads = str(job.cpus)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    start = time.monotonic()
    try:
        ended = subprocess.run(job.command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    except FileNotFoundError as error:
        return Done(job, 2, attempts, 0.0, f"{error}: name the program, or put it on the PATH")
    return Done(job, ended.returncode, attempts, time.monotonic() - start, ended.stdout[-2000:])


def _run_local(jobs: Sequence[Job], workers: int | None, retries: int) -> list[Done]:
    cpus = workers or len(os.sched_getaffinity(0))
    widest = max((job.cpus for job in jobs), default=1)
    refused = threading.Event()

    def work(job: Job) -> Done | None:
        for attempt in range(1, retries + 2):
            if refused.is_set():
                return None
            done = _attempt(job, attempt)
            if not _crashed(done.code):
                break
        if done.code in ERRORS:
            refused.set()  # The next jobs have the same arguments.
        return done

    with ThreadPoolExecutor(max(cpus // widest, 1)) as pool:
        return [done for done in pool.map(work, jobs) if done is not None]


def _task(job: Job) -> Done:
    """A task of Ray: a crash of the command is an exception, so that Ray repeats it as it repeats a lost worker."""
    done = _attempt(job)
    if _crashed(done.code):
        raise _Crashed(f"{job.name}: exit code {done.code}\n{done.output}")
    return done


def _run_ray(jobs: Sequence[Job], workers: int | None, retries: int) -> list[Done]:
    try:
        import ray
    except ImportError as error:
        raise ImportError("backend 'ray' needs Ray: pip install 'ray>=2.40'") from error
    started = not ray.is_initialized()
    if started:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        task = ray.remote(_task)
        options = {"max_retries": retries, "retry_exceptions": [_Crashed]}
        waiting = [task.options(num_cpus=job.cpus, name=job.name, **options).remote(job) for job in jobs]
        done = []
        for job, handle in zip(jobs, waiting, strict=True):
            try:
                done.append(ray.get(handle))
            except (_Crashed, ray.exceptions.RayError) as error:
                done.append(Done(job, -1, retries + 1, 0.0, str(error)[-2000:]))
        return done
    finally:
        if started:
            ray.shutdown()


SLURM = """\
#!/usr/bin/env bash
#SBATCH --job-name=zerodte
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task={cpus}
#SBATCH --requeue
#SBATCH --output=zerodte-%A_%a.out
# {count} jobs on {tasks} tasks. Limit the tasks that run at once with: sbatch --array=0-{last}%20 {script}
set -u
export RAYON_NUM_THREADS={cpus} OMP_NUM_THREADS={cpus}
for ((line = SLURM_ARRAY_TASK_ID + 1; line <= {count}; line += {tasks})); do
    code=0
    bash -c "$(sed -n "${{line}}p" {jobs})" || code=$?
    case $code in
        0 | 3 | 4 | 5) continue ;; # Done; 3 to 5 are verdicts on a training.
        1 | 2) exit "$code" ;;     # It would fail again.
    esac
    if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {retries} ]; then
        scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
    fi
    exit "$code"
done
"""


def _write_slurm(jobs: Sequence[Job], script: Path, retries: int) -> None:
    """Writes the script of an array, and the commands of the jobs, one per line, beside it."""
    if not jobs:
        raise ValueError("there is no job to submit")
    if any("\n" in argument for job in jobs for argument in job.command):
        raise ValueError("an argument has a line end, and the list of a Slurm array has one command per line")
    listing, tasks = script.with_suffix(".jobs").absolute(), min(len(jobs), MOST_ARRAY)
    text = SLURM.format(
        last=tasks - 1,
        cpus=max(job.cpus for job in jobs),
        count=len(jobs),
        tasks=tasks,
        script=script.name,
        jobs=shlex.quote(os.fspath(listing)),
        retries=retries,
    )
    _write(listing, "".join(shlex.join(job.command) + "\n" for job in jobs))
    _write(script, text)


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


