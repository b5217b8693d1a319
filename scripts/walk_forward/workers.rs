//! Worker threads that take jobs in order, each with a thread pool of its own, so that no job waits within another.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context as _, anyhow};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Runs jobs on `threads` threads, 0 = one per core. A job that breaks off ends the work: no further job starts. Returns whether
/// all jobs ran.
///
/// # Errors
/// The error of a job; no further job starts then.
pub(crate) fn run_in_order<T: Sync>(
    threads: usize,
    jobs: &[T],
    run: impl Fn(&T) -> anyhow::Result<ControlFlow<()>> + Sync,
) -> anyhow::Result<bool> {
    let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
    let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let take = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if ended.load(Ordering::Relaxed) {
                break;
            }
            let outcome = run(job);
            if !matches!(outcome, Ok(ControlFlow::Continue(()))) {
                ended.store(true, Ordering::Relaxed);
                return outcome.map(|_| ());
            }
        }
        Ok(())
    };
    let pools = (0..threads.min(jobs.len())).map(|_| pool()).collect::<anyhow::Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let workers: Vec<_> = pools.iter().map(|pool| scope.spawn(|| pool.install(take))).collect();
        let results: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        results.into_iter().try_for_each(|result| result.map_err(|_| anyhow!("a training panicked"))?)
    })?;
    Ok(!ended.load(Ordering::Relaxed))
}

fn pool() -> anyhow::Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(1).build().context("starting a thread")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_job_runs_once_and_an_end_or_an_error_starts_no_further_one() {
        let jobs: Vec<usize> = (0..50).collect();
        for threads in [1, 3, 0] {
            let done = Mutex::new(Vec::new());
            let all = run_in_order(threads, &jobs, |&job| {
                done.lock().unwrap().push(job);
                Ok(ControlFlow::Continue(()))
            });
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert!(all.unwrap() && done == jobs, "{threads} threads");
        }
        let count = AtomicUsize::new(0);
        let end_at_five = |&job: &usize| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(if job == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        assert!(!run_in_order(1, &jobs, end_at_five).unwrap());
        assert_eq!(count.into_inner(), 6);
        let failing = |&job: &usize| if job == 5 { Err(anyhow!("job 5")) } else { Ok(ControlFlow::Continue(())) };
        assert_eq!(run_in_order(2, &jobs, failing).unwrap_err().to_string(), "job 5");
        assert!(run_in_order(2, &[] as &[usize], |_| Ok(ControlFlow::Continue(()))).unwrap());
    }
}
