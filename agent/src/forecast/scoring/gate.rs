//! Verdict on a forecaster: rules applied one after the other, each with its evidence.
//!
//! With `VR` the variance of the forecasts over that of the outcomes and `b` the slope of outcomes on forecasts, `R² =
//! VR · (2b - 1)` apart from bias; a calibrated forecast has `b = 1` and `VR = R²`. Returns are forecast with an R² of
//! 0.004 at best, hence with 6 % of their standard deviation: no rule asks for more spread than the skill supports.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::{ConfidenceInterval, GoodnessOfFit};

use crate::{
    forecast::{Scores, TargetKind},
    format::{percent, thousands},
};

/// Slope above which forecasts are shrunk beyond use. Forecasts with `1 / b` of the calibrated spread save `2/b - 1/b²`
/// of the error that calibrated ones save: less than half of it from `b = 2 + √2`.
const SHRUNK_SLOPE: f64 = 3.42;
/// Half-widths of an interval, about three standard errors, for clear skill; the edge of the interval itself is
/// exceeded by noise once in forty.
const CLEAR_HALF_WIDTHS: f64 = 1.5;
/// Slopes that are compatible with calibration.
const CALIBRATED_SLOPES: [f64; 2] = [0.5, 1.5];
/// Share of the last value's squared error above which a volatility forecast is implausible. A process that the last value
/// forecasts with a correlation ρ leaves at most (1 - ρ) / 2 to the best forecast; noise in the last value adds to it.
const OVER_LAST_VALUE: f64 = 0.75;
/// Share of the outcomes' standard deviation below which biased forecasts are nearly constant.
const NARROW_SPREAD: f64 = 0.1;

/// Verdict on the forecasts of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// Skill beyond the level of the judged dates, and calibrated.
    Healthy,
    /// No better than a constant.
    NoSkill,
    /// Skill, but the slope is too small or too large.
    Miscalibrated,
    /// More spread than the skill supports.
    Overdispersed,
    /// Nearly constant, though a reference shows skill or the forecasts are biased.
    Collapsed,
    /// Some skill, but a simple predictor of the same inputs is clearly better.
    Outdone,
    /// Clearly worse than the training mean.
    WorseThanConstant,
    /// Implausibly good.
    LeakSuspected,
    /// Some forecasts are not finite.
    Broken,
    /// Too little data, or R² and rank measure disagree.
    Inconclusive,
}

impl GateVerdict {
    /// Returns whether the forecaster must not be used.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Overdispersed
            | Self::Collapsed
            | Self::Outdone
            | Self::WorseThanConstant
            | Self::LeakSuspected
            | Self::Broken => true,
            Self::Healthy | Self::NoSkill | Self::Miscalibrated | Self::Inconclusive => false,
        }
    }
}

impl fmt::Display for GateVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::NoSkill => "no_skill",
            Self::Miscalibrated => "miscalibrated",
            Self::Overdispersed => "overdispersed",
            Self::Collapsed => "collapsed",
            Self::Outdone => "outdone",
            Self::WorseThanConstant => "worse_than_constant",
            Self::LeakSuspected => "leak_suspected",
            Self::Broken => "broken",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// Thresholds of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// R² of returns above which a leak is suspected, above 0, below 1. The best published is 0.004, of months (Gu,
    /// Kelly & Xiu 2020).
    pub return_r2: f64,
    /// R² of volatilities above which a leak is suspected, above 0, below 1, unless the last value explains most of it. 0.2 to
    /// 0.6 is common.
    pub volatility_r2: f64,
    /// Area under the curve of directions above which a leak is suspected, above 0.5, below 1. 0.55 would be excellent.
    pub direction_auc: f64,
    /// Loss of R² that counts as none, 0 to 1. 0.01: an edge of 0.004 that has gone costs as much again, and chance
    /// adds to it.
    pub negligible_loss: f64,
    /// Fewest sessions whose confidence intervals are trusted, 5 or more. Intervals of fewer than 10 are too narrow.
    pub min_sessions: usize,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { return_r2: 0.05, volatility_r2: 0.9, direction_auc: 0.65, negligible_loss: 0.01, min_sessions: 10 }
    }
}

impl GateConfig {
    /// Returns every fault, each with its path below `gate`; empty when the configuration can be used.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, value, low) in [
            ("return_r2", self.return_r2, 0.0),
            ("volatility_r2", self.volatility_r2, 0.0),
            ("direction_auc", self.direction_auc, 0.5),
        ] {
            if !(low < value && value < 1.0) {
                faults.push(format!("gate.{name}: {value} does not lie between {low} and 1"));
            }
        }
        if !(0.0..=1.0).contains(&self.negligible_loss) {
            faults.push(format!("gate.negligible_loss: {} does not lie between 0 and 1", self.negligible_loss));
        }
        if self.min_sessions < 5 {
            faults.push("gate.min_sessions: must be 5 or more".to_owned());
        }
        faults
    }

    /// Returns the plausible maxima of R² and of the rank measure, which detects a leak at any scale of the forecasts.
    fn ceilings(&self, kind: TargetKind) -> (f64, f64) {
        match kind {
            TargetKind::Return => (self.return_r2, self.return_r2.sqrt()),
            TargetKind::Volatility => (self.volatility_r2, self.volatility_r2.sqrt()),
            TargetKind::Direction => (1.0, self.direction_auc),
        }
    }
}

/// Score of a simple predictor on the same inputs and samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Name, such as "ridge regression".
    pub name: String,
    /// R², or the Brier skill.
    pub r2: ConfidenceInterval,
}

impl Reference {
    /// Returns a reference from its scores; `None` without an interval.
    pub fn of(name: &str, scores: &Scores) -> Option<Self> {
        scores.r2_interval().map(|r2| Self { name: name.to_owned(), r2 })
    }

    fn has_skill(&self) -> bool {
        self.r2.low > 0.0
    }
}

/// Verdict with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The verdict.
    pub verdict: GateVerdict,
    /// Sentences with the figures behind the verdict.
    pub evidence: Vec<String>,
    /// Remedy, where there is one.
    pub advice: Option<String>,
}

impl Gate {
    /// Returns the verdict on the forecasts of a target, from scores with intervals; without intervals only non-finite
    /// and constant forecasts are detected. `over_last` is the R² against the last value ([`r2_over`](crate::forecast::r2_over)); a
    /// volatility that the last value forecasts as well is no leak.
    pub fn of(
        kind: TargetKind,
        scores: &Scores,
        reference: Option<&Reference>,
        over_last: Option<ConfidenceInterval>,
        config: &GateConfig,
    ) -> Self {
        Case { over_last, ..Case::of(kind, scores, reference, config) }.verdict()
    }
}

/// Inputs of the rules.
struct Case<'a> {
    kind: TargetKind,
    config: &'a GateConfig,
    reference: Option<&'a Reference>,
    fit: &'a GoodnessOfFit,
    not_finite: u64,
    sessions: usize,
    bias: f64,
    train_mean: f64,
    r2: Option<ConfidenceInterval>,
    /// R² against the training mean, and against the last value.
    r2_train_mean: Option<ConfidenceInterval>,
    over_last: Option<ConfidenceInterval>,
    slope: Option<ConfidenceInterval>,
    /// Rank measure, and its value by chance.
    ranks: Option<ConfidenceInterval>,
    chance: f64,
}

type Finding = Option<(GateVerdict, Vec<String>)>;

impl<'a> Case<'a> {
    fn of(kind: TargetKind, scores: &'a Scores, reference: Option<&'a Reference>, config: &'a GateConfig) -> Self {
        let (not_finite, sessions, bias, train_mean) = match scores {
            Scores::Regression(s) => (s.not_finite, s.blocks, s.bias, s.train_mean),
            Scores::Class(s) => (s.not_finite, s.blocks, s.bias, s.train_mean),
        };
        let (slope, ranks, chance) = match scores {
            Scores::Regression(s) => (s.intervals.and_then(|i| i.slope), s.intervals.and_then(|i| i.rank_ic), 0.0),
            Scores::Class(s) => (s.intervals.and_then(|i| i.slope), s.intervals.and_then(|i| i.auc), 0.5),
        };
        let (fit, r2, r2_train_mean) = (scores.fit(), scores.r2_interval(), scores.r2_train_mean_interval());
        Self {
            kind,
            config,
            reference,
            fit,
            not_finite,
            sessions,
            bias,
            train_mean,
            r2,
            r2_train_mean,
            over_last: None,
            slope,
            ranks,
            chance,
        }
    }

    fn verdict(&self) -> Gate {
        let found = self
            .broken()
            .or_else(|| self.constant())
            .or_else(|| self.too_little())
            .or_else(|| self.leak())
            .or_else(|| self.worse_than_constant())
            .or_else(|| self.shrunk())
            .or_else(|| self.outdone())
            .or_else(|| self.overdispersed())
            .or_else(|| self.no_skill())
            .or_else(|| self.miscalibrated());
        let (verdict, mut evidence) = found.unwrap_or((GateVerdict::Healthy, Vec::new()));
        evidence.extend(self.figures());
        Gate { verdict, evidence, advice: advice(verdict).map(str::to_owned) }
    }

    fn broken(&self) -> Finding {
        let all = self.not_finite + self.fit.samples;
        let text = || format!("{} of {} forecasts are not finite", thousands(self.not_finite), thousands(all));
        (self.not_finite > 0).then(|| (GateVerdict::Broken, vec![text()]))
    }

    fn constant(&self) -> Finding {
        self.fit.is_constant().then(|| {
            let text = format!(
                "all forecasts are equal to {:.4}: standard deviation {:.1e}, that of the outcomes {:.1e}",
                self.fit.pred_mean, self.fit.pred_std, self.fit.outcome_std
            );
            (GateVerdict::Collapsed, vec![text])
        })
    }

    fn too_little(&self) -> Finding {
        let min_sessions = self.config.min_sessions;
        let text = if self.sessions < min_sessions {
            format!("only {} sessions; a reliable interval needs {min_sessions}", self.sessions)
        } else if self.r2.is_none() {
            "R² has no interval: all outcomes are equal, or intervals were not requested".to_owned()
        } else {
            return None;
        };
        Some((GateVerdict::Inconclusive, vec![text]))
    }

    fn leak(&self) -> Finding {
        let persistent = self.over_last.is_some_and(|over| over.low <= OVER_LAST_VALUE);
        if self.kind == TargetKind::Volatility && persistent {
            return None;
        }
        let (max_r2, max_ranks) = self.config.ceilings(self.kind);
        let too_good = |name: &str, interval: Option<ConfidenceInterval>, most: f64| {
            let interval = interval.filter(|interval| interval.low > most)?;
            Some(format!("{name} of {interval} exceeds {most:.3}, the plausible maximum for a {}", self.kind))
        };
        let found = [too_good("R²", self.r2, max_r2), too_good(self.rank_measure(), self.ranks, max_ranks)];
        let evidence: Vec<String> = found.into_iter().flatten().collect();
        (!evidence.is_empty()).then_some((GateVerdict::LeakSuspected, evidence))
    }

    fn worse_than_constant(&self) -> Finding {
        let r2 = self.r2_train_mean.filter(|r2| r2.high < -self.config.negligible_loss)?;
        let mut evidence = vec![format!("worse than the training mean: R² {r2}")];
        let wrong_level = self.level_explains_loss();
        if wrong_level {
            let (bias, squares) = (self.bias.powi(2), self.mean_square());
            let share = percent(Some(bias / squares));
            evidence.push(format!("the forecasts are biased by {:+.4}: {share} of the squared error", self.bias));
        } else if let Some(slope) = self.slope.filter(|slope| slope.high < CALIBRATED_SLOPES[0]) {
            evidence.push(format!("the forecasts are overdispersed: slope {slope:.2}"));
        } else {
            evidence.push("neither bias nor overdispersion explains it".to_owned());
        }
        if wrong_level && self.spread() < NARROW_SPREAD {
            evidence
                .push(format!("their standard deviation is only {} of the outcomes'", percent(Some(self.spread()))));
            return Some((GateVerdict::Collapsed, evidence));
        }
        Some((GateVerdict::WorseThanConstant, evidence))
    }

    /// Returns the mean squared error.
    fn mean_square(&self) -> f64 {
        (1.0 - self.fit.explained_variance) * self.fit.outcome_std.powi(2) + self.bias.powi(2)
    }

    /// Returns whether bias, not spread, explains most of the error beyond that of the training mean.
    fn level_explains_loss(&self) -> bool {
        let shift = self.fit.pred_mean - self.bias - self.train_mean;
        let level = self.bias.powi(2) - shift.powi(2);
        level > -self.fit.explained_variance * self.fit.outcome_std.powi(2)
    }

    /// Returns the standard deviation of the forecasts as a share of the outcomes'.
    fn spread(&self) -> f64 {
        self.fit.variance_ratio.sqrt()
    }

    /// Returns the rank measure if it is clearly above chance.
    fn clear_ranks(&self) -> Option<ConfidenceInterval> {
        self.ranks.filter(|ranks| ranks.value - CLEAR_HALF_WIDTHS * (ranks.value - ranks.low) > self.chance)
    }

    /// Requires slope and rank measure: a slope depends on a few large outcomes, ranks ignore the scale.
    fn shrunk(&self) -> Finding {
        let slope = self.slope.filter(|slope| slope.low > SHRUNK_SLOPE)?;
        let ranks = self.clear_ranks()?;
        let share = percent(Some(1.0 / slope.value));
        let text = format!(
            "the forecasts have skill ({} {ranks}) but only {share} of the calibrated spread: slope {slope:.1}",
            self.rank_measure()
        );
        Some((GateVerdict::Collapsed, vec![text]))
    }

    /// Requires disjoint intervals, which is stricter than needed, since two forecasts of the same samples are not
    /// independent.
    fn outdone(&self) -> Finding {
        let r2 = self.r2?;
        let better = self.reference.filter(|reference| reference.has_skill() && reference.r2.low > r2.high)?;
        let blind = r2.low <= 0.0 && self.spread() < NARROW_SPREAD;
        let text = format!("{} is clearly better than the model: R² {} against {r2}", better.name, better.r2);
        Some((if blind { GateVerdict::Collapsed } else { GateVerdict::Outdone }, vec![text]))
    }

    fn overdispersed(&self) -> Finding {
        let slope = self.slope.filter(|slope| slope.high < CALIBRATED_SLOPES[0])?;
        let min_loss = self.fit.variance_ratio * (1.0 - 2.0 * slope.high);
        (min_loss > self.config.negligible_loss).then(|| {
            let text = format!(
                "the forecasts have {} of the outcomes' standard deviation, but a slope of only {slope:.2}",
                percent(Some(self.spread()))
            );
            (GateVerdict::Overdispersed, vec![text])
        })
    }

    fn no_skill(&self) -> Finding {
        let r2 = self.r2.filter(|r2| r2.low <= 0.0)?;
        if let Some(ranks) = self.clear_ranks() {
            let text =
                format!("R² {r2} may be zero, but the rank measure is above chance: {} {ranks}", self.rank_measure());
            return Some((GateVerdict::Inconclusive, vec![text]));
        }
        if let Some(reference) = self.reference.filter(|reference| reference.has_skill()) {
            let text = format!("R² {r2} may be zero, while {} has {}", reference.name, reference.r2);
            return Some((GateVerdict::Inconclusive, vec![text]));
        }
        let by_level = self.r2_train_mean.filter(|train| train.low > 0.0);
        let text = if let Some(train) = by_level {
            format!(
                "better than the training mean by the level of these dates alone: R² {r2}, against the training mean {train}"
            )
        } else if r2.high < 0.0 {
            format!("worse than the mean of these dates, but no more than overfitting to noise explains: R² {r2}")
        } else {
            format!("not shown to beat the mean of these dates: R² {r2}")
        };
        Some((GateVerdict::NoSkill, vec![text]))
    }

    fn miscalibrated(&self) -> Finding {
        let [low, high] = CALIBRATED_SLOPES;
        let slope = self.slope.filter(|slope| slope.high < low || slope.low > high)?;
        let word = if slope.value < 1.0 { "overdispersed" } else { "underdispersed" };
        Some((GateVerdict::Miscalibrated, vec![format!("the forecasts are {word}: slope {slope:.2}")]))
    }

    /// Returns the figures behind every verdict.
    fn figures(&self) -> Vec<String> {
        let mut text = format!(
            "{} forecasts of {} sessions, with {} of the outcomes' standard deviation",
            thousands(self.fit.samples),
            thousands(self.sessions as u64),
            percent(Some(self.spread()))
        );
        let over_last = self.over_last.filter(|_| self.kind == TargetKind::Volatility);
        for (name, interval) in [
            ("R²", self.r2),
            ("R² against the training mean", self.r2_train_mean),
            ("against the last value", over_last),
            ("slope", self.slope),
            (self.rank_measure(), self.ranks),
        ] {
            text.extend(interval.map(|interval| format!("; {name} {interval}")));
        }
        let reference = self.reference.map(|reference| format!("{}: R² {}", reference.name, reference.r2));
        [text].into_iter().chain(reference).collect()
    }

    fn rank_measure(&self) -> &'static str {
        if self.kind == TargetKind::Direction { "AUC" } else { "rank IC" }
    }
}

/// Returns the remedy for a verdict.
fn advice(verdict: GateVerdict) -> Option<&'static str> {
    match verdict {
        GateVerdict::Healthy | GateVerdict::Inconclusive => None,
        GateVerdict::NoSkill => Some("use a constant; try more data or other inputs before a larger model"),
        GateVerdict::Miscalibrated => {
            Some("recalibrate: multiply the deviation of each forecast from the mean by the slope")
        }
        GateVerdict::Overdispersed => Some("stop earlier, raise the weight decay or use a smaller model"),
        GateVerdict::Collapsed => {
            Some("check the scaling of inputs and targets, raise the learning rate, lower the weight decay")
        }
        GateVerdict::Outdone => Some("train longer, tune the settings, or use the simple predictor"),
        GateVerdict::WorseThanConstant => {
            Some("do not use this model: compare the means of training and validation targets, then stop earlier")
        }
        GateVerdict::LeakSuspected => {
            Some("look for look-ahead bias in the inputs: labels, centred windows, scalers fitted on all dates")
        }
        GateVerdict::Broken => Some("lower the learning rate, clip gradients, and check the inputs for NaN"),
    }
}
