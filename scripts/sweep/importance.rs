//! Importance of a key: the share of the trials' money that its value explains by itself.

use statistics::mean;

use super::space::{Domain, Parameter};

/// Groups of equal width that the values of an interval are divided into.
const GROUPS: f64 = 4.0;

/// Returns ω² of the trials' scores between groups of a key's values: 0 explains nothing, 1 everything; `None` where trials are too
/// few. `points` are the coordinates of the key.
///
/// ω² takes off what as many random groups would explain, so that keys with long lists are not favoured.
///
/// # Source
/// Hays 1963, "Statistics for psychologists"; one-way analysis of variance.
pub(super) fn of(parameter: &Parameter, points: &[f64], scores: &[f64]) -> Option<f64> {
    let count = match &parameter.domain {
        Domain::Choice(values) => values.len() as f64,
        _ => GROUPS,
    };
    let group = |at: &f64| (at * count).min(count - 1.0) as usize;
    let mut groups = vec![Vec::new(); count as usize];
    points.iter().zip(scores).for_each(|(at, score)| groups[group(at)].push(*score));
    groups.retain(|group| !group.is_empty());
    let (n, k, grand) = (scores.len(), groups.len(), mean(scores));
    if k < 2 || n <= k {
        return None;
    }
    let total: f64 = scores.iter().map(|score| (score - grand).powi(2)).sum();
    let between: f64 = groups.iter().map(|group| group.len() as f64 * (mean(group) - grand).powi(2)).sum();
    let within = (total - between) / (n - k) as f64;
    let omega = (between - (k - 1) as f64 * within) / (total + within);
    (total > 0.0).then(|| omega.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use toml::Value;

    use super::*;
    use crate::sweep::space::Interval;

    #[test]
    fn a_key_that_decides_explains_all_and_one_that_does_not_explains_nothing() {
        let interval = Interval { low: 0.0, high: 1.0, whole: false, steps: None };
        let number = Parameter { key: "a".to_owned(), domain: Domain::Range(interval) };
        let choice = Domain::Choice(vec![Value::Integer(1), Value::Integer(2)]);
        let choice = Parameter { key: "b".to_owned(), domain: choice };
        let points: Vec<f64> = (0..64).map(|i| f64::from(i) / 64.0).collect();
        let step: Vec<f64> = points.iter().map(|at| if *at < 0.5 { -3.0 } else { 5.0 }).collect();
        let noise: Vec<f64> = (0..64).map(|i| f64::from(i * 37 % 64)).collect();
        assert!(of(&number, &points, &step).unwrap() > 0.999 && of(&choice, &points, &step).unwrap() > 0.999);
        assert!(of(&number, &points, &noise).unwrap() < 0.05);
        assert_eq!(of(&choice, &points, &[1.0; 64]), None, "equal scores have nothing to explain");
        assert_eq!(of(&choice, &points[..2], &step[..2]), None);
    }
}
