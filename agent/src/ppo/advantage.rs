//! Generalised advantage estimation and realised returns, on plain slices.

/// Rewards and values of a rollout. Every slice is `[T, N]` unless noted.
#[derive(Debug, Clone, Copy)]
pub struct Returns<'a> {
    /// Number of lanes `N`.
    pub lanes: usize,
    /// Reward of each step.
    pub reward: &'a [f32],
    /// Value of the observation before each step, and after the last. `[T + 1, N]`
    pub value: &'a [f32],
    /// Steps that terminate an episode: the value after them is zero.
    pub terminated: &'a [bool],
    /// Steps that truncate an episode: the value after them is `last_value`.
    pub truncated: &'a [bool],
    /// Value of the final observation; read only for truncated steps.
    pub last_value: &'a [f32],
}

/// Writes the generalised advantage estimate of every step. `advantage` is `[T, N]`.
///
/// `δ = r + γ·V' - V` with `V'` zero after a termination and `last_value` after a truncation;
/// `A = δ + γ·λ·A'`, where `A'` is the next step's within the same episode and zero across its end.
///
/// # Panics
/// If a length is not `T · N`, or `value`'s is not `(T + 1) · N`.
///
/// # Source
/// Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation", eq. 16.
pub fn generalized_advantage(returns: Returns<'_>, gamma: f64, gae_lambda: f64, advantage: &mut [f32]) {
    let Returns { lanes, reward, value, terminated, truncated, last_value } = returns;
    let samples = advantage.len();
    assert!(samples.is_multiple_of(lanes), "the advantages are [T, {lanes}]");
    assert_eq!([reward.len(), terminated.len(), truncated.len(), last_value.len()], [samples; 4], "lengths [T, N]");
    assert_eq!(value.len(), samples + lanes, "values are [T + 1, N]");
    let (gamma, decay) = (gamma as f32, (gamma * gae_lambda) as f32);
    for i in (0..samples).rev() {
        let ended = terminated[i] || truncated[i];
        let next_value = match (terminated[i], truncated[i]) {
            (true, _) => 0.0,
            (false, true) => last_value[i],
            (false, false) => value[i + lanes],
        };
        let carried = if ended || i + lanes >= samples { 0.0 } else { decay * advantage[i + lanes] };
        advantage[i] = reward[i] + gamma * next_value - value[i] + carried;
    }
}

/// Writes the realised return of every step: the discounted rewards to the end of its episode, or NaN if the episode is
/// truncated or continues after the rollout. All slices are `[T, N]`; `ends` is terminated and truncated.
pub(crate) fn realised_returns(lanes: usize, reward: &[f32], ends: (&[bool], &[bool]), gamma: f64, out: &mut [f32]) {
    let (terminated, truncated) = ends;
    let mut after = vec![f64::NAN; lanes];
    for time in (0..reward.len() / lanes).rev() {
        for (lane, after) in after.iter_mut().enumerate() {
            let sample = time * lanes + lane;
            let rest = match (terminated[sample], truncated[sample]) {
                (true, _) => 0.0,
                (_, true) => f64::NAN,
                _ => *after,
            };
            *after = f64::from(reward[sample]) + gamma * rest;
            out[sample] = *after as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches_a_hand_computed_example() {
        let mut advantage = [0.0; 3];
        let returns = Returns {
            lanes: 1,
            reward: &[1.0, 2.0, 4.0],
            value: &[0.5, 1.0, 2.0, 8.0],
            terminated: &[false; 3],
            truncated: &[false, true, false],
            last_value: &[99.0, 6.0, 99.0],
        };
        generalized_advantage(returns, 0.5, 0.5, &mut advantage);
        // δ = 1 + 0.5·1 - 0.5 = 1;  2 + 0.5·6 - 1 = 4 (cut);  4 + 0.5·8 - 2 = 6;  A0 = 1 + 0.25·4.
        assert_eq!(advantage, [2.0, 4.0, 6.0]);
        generalized_advantage(Returns { terminated: &[false, true, false], ..returns }, 0.5, 0.5, &mut advantage);
        assert_eq!(advantage, [1.25, 1.0, 6.0], "a termination wins over a truncation");
    }

    #[test]
    fn realised_returns_exist_before_a_termination_and_are_nan_before_a_truncation() {
        // Two lanes, four steps: lane 0 terminates at step 2, lane 1 is truncated at step 1.
        let reward = [1.0, 10.0, 2.0, 20.0, 4.0, 30.0, 8.0, 40.0];
        let mut terminated = [false; 8];
        let mut truncated = [false; 8];
        (terminated[4], truncated[3], terminated[7]) = (true, true, true);
        let mut out = [0.0; 8];
        realised_returns(2, &reward, (&terminated, &truncated), 0.5, &mut out);
        assert_eq!([out[0], out[2], out[4]], [3.0, 4.0, 4.0]);
        assert!(out[6].is_nan() && out[1].is_nan() && out[3].is_nan());
        assert_eq!([out[5], out[7]], [50.0, 40.0]);
    }

    /// Definition: an advantage is the discounted sum of the later δ of the same episode.
    fn slow(r: Returns<'_>, gamma: f64, lambda: f64, i: usize) -> f64 {
        let (mut sum, mut weight, mut j) = (0.0, 1.0, i);
        while j < r.reward.len() {
            let next = if r.terminated[j] {
                0.0
            } else if r.truncated[j] {
                r.last_value[j]
            } else {
                r.value[j + r.lanes]
            };
            sum += weight * (f64::from(r.reward[j]) + gamma * f64::from(next) - f64::from(r.value[j]));
            if r.terminated[j] || r.truncated[j] {
                break;
            }
            weight *= gamma * lambda;
            j += r.lanes;
        }
        sum
    }

    proptest! {
        #[test]
        fn matches_the_definition(
            lanes in 1usize..4,
            steps in prop::collection::vec((-1.0f32..1.0, -1.0f32..1.0, -1.0f32..1.0, 0u8..6), 24..36),
            gamma in 0.0f64..1.0,
            lambda in 0.0f64..1.0,
        ) {
            let samples = (steps.len() - lanes) / lanes * lanes;
            let reward: Vec<f32> = steps.iter().take(samples).map(|s| s.0).collect();
            let value: Vec<f32> = steps.iter().take(samples + lanes).map(|s| s.1).collect();
            let last_value: Vec<f32> = steps.iter().take(samples).map(|s| s.2).collect();
            let terminated: Vec<bool> = steps.iter().take(samples).map(|s| s.3 == 0).collect();
            let truncated: Vec<bool> = steps.iter().take(samples).map(|s| s.3 == 1).collect();
            let returns = Returns { lanes, reward: &reward, value: &value, terminated: &terminated,
                truncated: &truncated, last_value: &last_value };
            let mut advantage = vec![0.0; samples];
            generalized_advantage(returns, gamma, lambda, &mut advantage);
            for (i, &fast) in advantage.iter().enumerate() {
                let expected = slow(returns, gamma, lambda, i);
                prop_assert!((f64::from(fast) - expected).abs() < 1e-4, "{i}: {fast} {expected}");
            }
        }
    }
}
