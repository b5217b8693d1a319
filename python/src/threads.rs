//! Pools of threads that belong to the running process.
//!
//! Threads do not exist in a forked child, but rayon's global pool would still wait for them there; so no code of this crate uses
//! it.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::PyResult;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error;

/// One pool, the process that started it, and its number of threads.
type Started = (u32, usize, Arc<ThreadPool>);

static POOLS: Mutex<Vec<Started>> = Mutex::new(Vec::new());

/// Returns this process's pool of some threads; 0 stands for one per core.
///
/// # Errors
/// When the system starts no more threads.
pub(crate) fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    let (own, inherited) = std::mem::take(&mut *pools).into_iter().partition(|(owner, ..)| *owner == process);
    *pools = own;
    // The threads of an inherited pool stayed in the parent: to drop it would wait for them.
    std::mem::forget::<Vec<Started>>(inherited);
    if let Some((.., pool)) = pools.iter().find(|(_, size, _)| *size == threads) {
        return Ok(Arc::clone(pool));
    }
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(threads).build().map_err(error::runtime)?);
    pools.push((process, threads, Arc::clone(&pool)));
    Ok(pool)
}
