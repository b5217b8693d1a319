//! Limits of the processor: fused multiply-adds, and a streaming read.

use std::hint::black_box;

use anyhow::Context as _;
use pulp::{Arch, Simd, WithSimd};
use serde_json::{Value, json};

use crate::output::clock::Stopwatch;

/// Multiply-adds in flight: enough to hide their latency, few enough for 16 registers.
const IN_FLIGHT: usize = 12;
/// Rounds of one measurement, about ten milliseconds.
const ROUNDS: usize = 1 << 22;
/// Numbers that each thread reads: 64 MiB, more than the caches of a core.
const NUMBERS: usize = 1 << 24;
/// Measurements, of which the fastest counts: a limit is what the processor can do, undisturbed.
const TRIES: usize = 4;

/// Limits of some threads together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peak {
    /// Width of the vectors in use.
    pub(super) vector_bits: usize,
    /// Floating-point operations per second; a multiply-add counts as two.
    pub(super) flops: f64,
    /// Bytes per second read from memory.
    pub(super) read: f64,
}

impl Peak {
    /// Measures the limits of `threads` threads at work at the same time; 0 = one per core.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub(super) fn measure(threads: usize) -> anyhow::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("starting the threads")?;
        let lanes = Arch::new().dispatch(Lanes);
        let all = |of_thread: &(dyn Fn() -> f64 + Sync)| -> f64 {
            let rates = (0..TRIES).map(|_| pool.broadcast(|_| of_thread()).iter().sum::<f64>());
            rates.fold(0.0, f64::max)
        };
        let flops = all(&|| {
            let watch = Stopwatch::start();
            black_box(Arch::new().dispatch(MultiplyAdds(black_box(ROUNDS))));
            (2 * IN_FLIGHT * lanes * ROUNDS) as f64 / watch.seconds()
        });
        let read = all(&|| {
            let numbers = vec![1.0f32; NUMBERS];
            let watch = Stopwatch::start();
            black_box(Arch::new().dispatch(Read(black_box(&numbers))));
            (4 * NUMBERS) as f64 / watch.seconds()
        });
        Ok(Self { vector_bits: 32 * lanes, flops, read })
    }

    /// Returns the limits, for a report.
    pub(super) fn report(self, threads: usize) -> Value {
        json!({
            "vector_bits": self.vector_bits,
            "threads": threads,
            "gflops_per_second": rounded(self.flops / 1e9),
            "read_gigabytes_per_second": rounded(self.read / 1e9),
        })
    }
}

/// Returns a number with two decimals.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// Numbers per vector.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Rounds of independent multiply-adds in registers.
struct MultiplyAdds(usize);

impl WithSimd for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        // The sums tend to one and stay clear of slow denormal numbers.
        let (factor, term) = (simd.splat_f32s(0.5), simd.splat_f32s(0.5));
        let mut sums = [simd.splat_f32s(2.0); IN_FLIGHT];
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        let mut total = simd.splat_f32s(0.0);
        for sum in sums {
            total = simd.add_f32s(total, sum);
        }
        simd.reduce_sum_f32s(total)
    }
}

/// One pass over an array.
struct Read<'a>(&'a [f32]);

impl WithSimd for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (groups, _) = S::as_simd_f32s(self.0).0.as_chunks::<8>();
        let mut sums = [simd.splat_f32s(0.0); 8];
        for group in groups {
            for (sum, vector) in sums.iter_mut().zip(group) {
                *sum = simd.add_f32s(*sum, *vector);
            }
        }
        let mut total = simd.splat_f32s(0.0);
        for sum in sums {
            total = simd.add_f32s(total, sum);
        }
        simd.reduce_sum_f32s(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_work_is_done() {
        assert_eq!(Arch::new().dispatch(Read(&[0.5; 1024])), 512.0);
        // Sixty halvings bring every sum from 2 to 1.
        let lanes = Arch::new().dispatch(Lanes);
        assert_eq!(Arch::new().dispatch(MultiplyAdds(60)), (IN_FLIGHT * lanes) as f32);
    }
}
