//! A forecaster's training: one epoch of each encoder, with the work before the first (moments, the linear predictor).

use criterion::{BenchmarkId, Criterion, Throughput};
use ppo_agent::{
    DeviceChoice,
    forecast::{Encoder, ForecastConfig, failures::planted, fit},
};

/// One epoch on synthetic samples: 7,000 to learn from, three frames of eight features.
pub(crate) fn epoch(criterion: &mut Criterion) {
    let planted = planted::heavy_tailed(10_000, 1);
    let mut group = criterion.benchmark_group("forecast_epoch");
    group.sample_size(10).throughput(Throughput::Elements(planted.data.train.len() as u64));
    for encoder in [Encoder::Mlp, Encoder::Gru, Encoder::Attention] {
        let config = ForecastConfig { encoder, max_epochs: 1, ..ForecastConfig::default() };
        group.bench_function(BenchmarkId::from_parameter(format!("{encoder:?}").to_lowercase()), |bencher| {
            bencher.iter(|| fit(&planted.data, &config, 1, DeviceChoice::Cpu, &mut ()).expect("a sound configuration"));
        });
    }
    group.finish();
}
