//! PPO loss of one minibatch as a tensor graph; `crate::ppo::loss` documents the terms.

use tch::{Kind, TchError, Tensor, no_grad};

use super::samples::Batch;
use crate::ppo::loss::{EpochStats, UpdateSettings};

/// Loss of one minibatch and its reported statistics, on the device.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) loss: Tensor,
    /// Mean approximate KL divergence.
    pub(super) approx_kl: Tensor,
    /// Means of policy loss, value loss, negative entropy and clipped samples; sum of normalised entropies and count of
    /// unforced samples.
    others: [Tensor; 6],
}

impl Terms {
    /// Computes the loss of a minibatch whose logits are `[B, K]` and values `[B]`.
    pub(super) fn new(
        batch: &Batch,
        logits: &Tensor,
        values: &Tensor,
        settings: &UpdateSettings,
    ) -> Result<Self, TchError> {
        let log_probs = logits.f_masked_fill(&batch.illegal, f64::NEG_INFINITY)?.f_log_softmax(1, None)?;
        let probs = log_probs.f_exp()?;
        // Zero instead of minus infinity: 0 · ∞ would turn entropy and gradient into NaN.
        let log_probs = log_probs.f_masked_fill(&batch.illegal, 0.0)?;
        let entropy = -(probs * &log_probs).f_sum_dim_intlist(1i64, false, None)?;
        let log_prob = log_probs.f_gather(1, &batch.action, false)?.f_squeeze_dim(1)?;

        let log_ratio = log_prob - &batch.log_prob;
        let ratio = log_ratio.f_exp()?;
        let clip = f64::from(settings.loss.clip_range);
        let advantage = standardised(&batch.advantage, settings.normalize_advantage)?;
        let clipped = ratio.f_clamp(1.0 - clip, 1.0 + clip)? * &advantage;
        let policy_loss = -(&ratio * &advantage).f_minimum(&clipped)?.f_mean(None)?;
        let value_loss = (prediction(values, batch, settings)? - &batch.target).f_square()?.f_mean(None)?;
        let entropy_loss = -entropy.f_mean(None)?;
        let loss = &policy_loss
            + &entropy_loss * f64::from(settings.loss.ent_coef)
            + &value_loss * f64::from(settings.loss.vf_coef);

        no_grad(|| {
            let legal = batch.illegal.f_logical_not()?.f_sum_dim_intlist(1i64, false, Kind::Float)?;
            let unforced = legal.f_gt(1.0)?.f_to_kind(Kind::Float)?;
            let normalized = (entropy / legal.f_clamp_min(2.0)?.f_log_()? * &unforced).f_sum(None)?;
            let beyond = &ratio - 1.0;
            let approx_kl = (&beyond - &log_ratio).f_mean(None)?;
            let clipped = beyond.f_abs()?.f_gt(clip)?.f_to_kind(Kind::Float)?.f_mean(None)?;
            let others = [policy_loss, value_loss, entropy_loss, clipped, normalized, unforced.f_sum(None)?];
            Ok(Self { loss, approx_kl, others })
        })
    }
}

/// Returns the advantages, standardised within the minibatch if `normalize` and possible.
fn standardised(advantage: &Tensor, normalize: bool) -> Result<Tensor, TchError> {
    if !normalize || advantage.size()[0] < 2 {
        return Ok(advantage.shallow_clone());
    }
    let (deviation, mean) = advantage.f_std_mean(true)?;
    Ok((advantage - mean) / (deviation + 1e-8))
}

/// Returns the critic's values, clipped around the rollout's values if a value clip is set.
fn prediction(values: &Tensor, batch: &Batch, settings: &UpdateSettings) -> Result<Tensor, TchError> {
    match settings.loss.clip_range_vf.map(f64::from) {
        Some(clip) => Ok(&batch.value + (values - &batch.value).f_clamp(-clip, clip)?),
        None => Ok(values.shallow_clone()),
    }
}

/// Sums over the minibatches of one pass; they stay on the device until it ends.
#[derive(Debug)]
pub(super) struct Totals {
    /// Sums of the statistics of [`Terms`], of the KL divergence and of the gradient norms. `[8]`
    sums: Tensor,
    /// Largest KL divergence of a minibatch.
    kl_max: Tensor,
    loss: Option<Tensor>,
    minibatches: f64,
    steps: f64,
}

impl Totals {
    pub(super) fn new(device: tch::Device) -> Result<Self, TchError> {
        let zeros = |size: &[i64]| Tensor::f_zeros(size, (Kind::Double, device));
        Ok(Self { sums: zeros(&[8])?, kl_max: zeros(&[])?, loss: None, minibatches: 0.0, steps: 0.0 })
    }

    /// Adds a minibatch, with the norm of its gradient if the gradient was applied.
    pub(super) fn add(&mut self, terms: Terms, norm: Option<Tensor>) -> Result<(), TchError> {
        let Terms { loss, approx_kl, others } = terms;
        self.minibatches += 1.0;
        self.steps += if norm.is_some() { 1.0 } else { 0.0 };
        self.kl_max = no_grad(|| self.kl_max.f_maximum(&approx_kl))?;
        let norm = norm.unwrap_or_else(|| approx_kl.zeros_like());
        let of_batch: Vec<Tensor> = others.into_iter().chain([approx_kl, norm]).collect();
        let _ = no_grad(|| self.sums.f_add_(&Tensor::f_stack(&of_batch, 0)?))?;
        self.loss = Some(loss.f_detach()?);
        Ok(())
    }

    /// Downloads the sums.
    pub(super) fn read(&self, stopped: bool) -> Result<EpochStats, TchError> {
        let loss = self.loss.as_ref().map_or(0.0, |loss| loss.double_value(&[]));
        let mut stats =
            EpochStats { minibatches: self.minibatches, steps: self.steps, loss, stopped, ..EpochStats::default() };
        let fields = [
            &mut stats.policy_loss,
            &mut stats.value_loss,
            &mut stats.entropy_loss,
            &mut stats.clip_fraction,
            &mut stats.entropy_norm,
            &mut stats.unforced,
            &mut stats.approx_kl,
            &mut stats.grad_norm,
        ];
        let sums = Vec::<f64>::try_from(&self.sums)?;
        stats.approx_kl_max = self.kl_max.double_value(&[]);
        fields.into_iter().zip(sums).for_each(|(field, sum)| *field = sum);
        Ok(stats)
    }
}
