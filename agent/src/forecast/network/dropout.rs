//! Dropout from a counter-based stream; libtorch's generator is global to the process, so concurrent trainings would
//! change each other's numbers.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

/// Inverted dropout, applied to one tensor after the other.
#[derive(Debug)]
pub(crate) struct Dropout<'a> {
    /// Dropout probability and stream; `None` disables dropout.
    source: Option<(f64, &'a mut ChaCha8Rng)>,
}

impl<'a> Dropout<'a> {
    /// Returns dropout that changes nothing.
    pub(crate) fn none() -> Self {
        Self { source: None }
    }

    /// Returns dropout of this share of the units.
    pub(crate) fn new(share: f64, rng: &'a mut ChaCha8Rng) -> Self {
        Self { source: (share > 0.0).then_some((share, rng)) }
    }

    /// Sets a share of the numbers to zero and scales the others, so that the mean stays.
    ///
    /// # Source
    /// Srivastava et al. 2014, scaled in training ("inverted") as in `torch.nn.Dropout`.
    pub(crate) fn apply(&mut self, x: Tensor) -> Result<Tensor, TchError> {
        let Some((share, rng)) = &mut self.source else { return Ok(x) };
        let mut bytes = vec![0; 2 * x.numel()];
        rng.fill_bytes(&mut bytes);
        let (threshold, scale) = ((*share * 65_536.0) as u16, (1.0 / (1.0 - *share)) as f32);
        let kept = |draw: &[u8; 2]| if u16::from_le_bytes(*draw) < threshold { 0.0 } else { scale };
        let mask: Vec<f32> = bytes.as_chunks().0.iter().map(kept).collect();
        x.f_mul(&Tensor::f_from_slice(&mask)?.f_view_as(&x)?.f_to(x.device())?)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;
    use tch::Kind;

    use super::*;

    #[test]
    fn dropout_zeroes_its_share_and_keeps_the_mean() {
        let ones = || Tensor::ones([200, 100], (Kind::Float, tch::Device::Cpu));
        let of = |seed| Dropout::new(0.3, &mut ChaCha8Rng::seed_from_u64(seed)).apply(ones()).unwrap();
        let (first, other) = (of(1), of(2));
        let zeros = first.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!((zeros - 0.3).abs() < 0.01, "{zeros}");
        assert!((first.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.02);
        assert!(first.equal(&of(1)) && !first.equal(&other));
        assert!(Dropout::none().apply(ones()).unwrap().equal(&ones()));
    }
}
