//! Whether a forecaster is fit for use: the rules of the verdict, one after the other, each with its evidence.
//!
//! With `VR` the variance of the forecasts over that of the outcomes and `b` the slope, `R² = VR · (2b - 1)` but for a wrong
//! level, and a calibrated forecast has `b = 1` and `VR = R²`. Returns are forecast with an R² of 0.004 at best, hence with
//! 6 % of their deviation: no rule here asks for more spread than what the forecast knows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statistics::{ConfidenceInterval, GoodnessOfFit};

use crate::{
    forecast::{Scores, TargetKind},
    format::{percent, thousands},
};

/// Slope from which forecasts are shrunk beyond use. Those with `1 / b` of the calibrated spread save `2/b - 1/b²` of the
/// error that calibrated ones would: less than half of it from `b = 2 + √2`.
const SHRUNK: f64 = 3.42;
/// Half-widths of an interval, some three standard errors, by which forecasts clearly know something: the edge of the
/// interval itself is passed by one noise in forty.
const CLEAR: f64 = 1.5;
/// Slopes of a calibrated forecast, as far as anybody can tell.
const CALIBRATED: [f64; 2] = [0.5, 1.5];
/// Share of the outcomes' deviation below which forecasts that miss the level are all but one constant.
const NARROW: f64 = 0.1;

/// What is said of the forecasts of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// They are better than the training mean, and calibrated.
    Healthy,
    /// Nothing is shown to be predictable: the training mean is as good.
    NoSkill,
    /// They are better than the training mean, but too bold or too timid.
    Miscalibrated,
    /// They spread more than they know.
    Overdispersed,
    /// They hardly tell one sample from another, though there is something to tell or they miss the level.
    Collapsed,
    /// They know something, and a simple predictor of the same inputs knows clearly more.
    Outdone,
    /// The training mean is clearly better.
    WorseThanConstant,
    /// They are too good to be true.
    LeakSuspected,
    /// Some are no number.
    Broken,
    /// There is too little to go by, or R² and ranks disagree.
    Inconclusive,
}

impl GateVerdict {
    /// Returns whether something has gone wrong: such a forecaster is not to be used.
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

/// What is too good to be true, and what is too little to matter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// R² of returns above which a leak is suspected, above 0, below 1. The best published is 0.004, of months (Gu,
    /// Kelly & Xiu 2020).
    pub return_r2: f64,
    /// R² of volatilities above which a leak is suspected, above 0, below 1. 0.2 to 0.6 is common.
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

    /// Ceilings of R² and of the agreement of ranks. Ranks see a leak whatever the scale of the forecasts.
    fn ceilings(&self, kind: TargetKind) -> (f64, f64) {
        match kind {
            TargetKind::Return => (self.return_r2, self.return_r2.sqrt()),
            TargetKind::Volatility => (self.volatility_r2, self.volatility_r2.sqrt()),
            TargetKind::Direction => (1.0, self.direction_auc),
        }
    }
}

/// What somebody simple makes of the same inputs and samples: it shows that there is something to be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Who it is, such as "ridge regression".
    pub name: String,
    /// R² against the training mean, or the Brier skill.
    pub r2: ConfidenceInterval,
}

impl Reference {
    /// Takes a reference from its scores; nothing where they have no interval.
    pub fn of(name: &str, scores: &Scores) -> Option<Self> {
        scores.r2_interval().map(|r2| Self { name: name.to_owned(), r2 })
    }

    fn has_skill(&self) -> bool {
        self.r2.low > 0.0
    }
}

/// A verdict, with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The verdict.
    pub verdict: GateVerdict,
    /// Sentences with the figures that led to it.
    pub evidence: Vec<String>,
    /// What to do, where something is to be done.
    pub advice: Option<String>,
}

impl Gate {
    /// Judges the forecasts of a target by their scores with intervals; without intervals only what is broken or constant
    /// can be told.
    pub fn of(kind: TargetKind, scores: &Scores, reference: Option<&Reference>, config: &GateConfig) -> Self {
        Case::of(kind, scores, reference, config).judge()
    }
}

/// The figures that a verdict is made of.
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
    slope: Option<ConfidenceInterval>,
    /// Agreement of ranks, and what it is by chance.
    order: Option<ConfidenceInterval>,
    chance: f64,
}

type Found = Option<(GateVerdict, Vec<String>)>;

impl<'a> Case<'a> {
    fn of(kind: TargetKind, scores: &'a Scores, reference: Option<&'a Reference>, config: &'a GateConfig) -> Self {
        let (not_finite, sessions, bias, train_mean) = match scores {
            Scores::Regression(s) => (s.not_finite, s.blocks, s.bias, s.train_mean),
            Scores::Class(s) => (s.not_finite, s.blocks, s.bias, s.train_mean),
        };
        let (slope, order, chance) = match scores {
            Scores::Regression(s) => (s.intervals.and_then(|i| i.slope), s.intervals.and_then(|i| i.rank_ic), 0.0),
            Scores::Class(s) => (s.intervals.and_then(|i| i.slope), s.intervals.and_then(|i| i.auc), 0.5),
        };
        let (fit, r2) = (scores.fit(), scores.r2_interval());
        Self { kind, config, reference, fit, not_finite, sessions, bias, train_mean, r2, slope, order, chance }
    }

    fn judge(&self) -> Gate {
        let found = self
            .broken()
            .or_else(|| self.constant())
            .or_else(|| self.too_little())
            .or_else(|| self.leak())
            .or_else(|| self.worse())
            .or_else(|| self.shrunk())
            .or_else(|| self.outdone())
            .or_else(|| self.overdispersed())
            .or_else(|| self.no_skill())
            .or_else(|| self.miscalibrated());
        let (verdict, mut evidence) = found.unwrap_or((GateVerdict::Healthy, Vec::new()));
        evidence.extend(self.figures());
        Gate { verdict, evidence, advice: advice(verdict).map(str::to_owned) }
    }

    fn broken(&self) -> Found {
        let all = self.not_finite + self.fit.samples;
        let text = || format!("{} of {} forecasts are no finite number", thousands(self.not_finite), thousands(all));
        (self.not_finite > 0).then(|| (GateVerdict::Broken, vec![text()]))
    }

    fn constant(&self) -> Found {
        self.fit.is_constant().then(|| {
            let text = format!(
                "every sample is given one forecast, {:.4}: deviation {:.1e}, that of the outcomes {:.1e}",
                self.fit.pred_mean, self.fit.pred_std, self.fit.outcome_std
            );
            (GateVerdict::Collapsed, vec![text])
        })
    }

    fn too_little(&self) -> Found {
        let fewest = self.config.min_sessions;
        let text = if self.sessions < fewest {
            format!("only {} sessions, where an interval needs {fewest}", self.sessions)
        } else if self.r2.is_none() {
            "R² has no interval: all outcomes are alike, or it was not asked for".to_owned()
        } else {
            return None;
        };
        Some((GateVerdict::Inconclusive, vec![text]))
    }

    fn leak(&self) -> Found {
        let (most_r2, most_order) = self.config.ceilings(self.kind);
        let too_good = |name: &str, interval: Option<ConfidenceInterval>, most: f64| {
            let interval = interval.filter(|interval| interval.low > most)?;
            Some(format!("{name} of {interval} is more than {most:.3}, which nobody reaches for a {}", self.kind))
        };
        let found = [too_good("R²", self.r2, most_r2), too_good(self.order_name(), self.order, most_order)];
        let evidence: Vec<String> = found.into_iter().flatten().collect();
        (!evidence.is_empty()).then_some((GateVerdict::LeakSuspected, evidence))
    }

    fn worse(&self) -> Found {
        let r2 = self.r2.filter(|r2| r2.high < -self.config.negligible_loss)?;
        let mut evidence = vec![format!("the training mean is better: R² {r2}")];
        let by_level = self.lost_by_level();
        if by_level {
            let (bias, squares) = (self.bias.powi(2), self.mean_square());
            let share = percent(Some(bias / squares));
            evidence.push(format!("forecasts miss the mean by {:+.4}: {share} of the squared error", self.bias));
        } else if let Some(slope) = self.slope.filter(|slope| slope.high < CALIBRATED[0]) {
            evidence.push(format!("they spread more than they know: slope {slope:.2}"));
        } else {
            evidence.push("neither a wrong level nor too much spread explains it".to_owned());
        }
        if by_level && self.spread() < NARROW {
            evidence.push(format!("they hardly differ: {} of the outcomes' deviation", percent(Some(self.spread()))));
            return Some((GateVerdict::Collapsed, evidence));
        }
        Some((GateVerdict::WorseThanConstant, evidence))
    }

    /// Mean squared error.
    fn mean_square(&self) -> f64 {
        (1.0 - self.fit.explained_variance) * self.fit.outcome_std.powi(2) + self.bias.powi(2)
    }

    /// Whether most of the error beyond that of the training mean comes from a wrong level, not from the spread.
    fn lost_by_level(&self) -> bool {
        let shift = self.fit.pred_mean - self.bias - self.train_mean;
        let level = self.bias.powi(2) - shift.powi(2);
        level > -self.fit.explained_variance * self.fit.outcome_std.powi(2)
    }

    /// Deviation of the forecasts as a share of the outcomes'.
    fn spread(&self) -> f64 {
        self.fit.variance_ratio.sqrt()
    }

    /// The agreement of ranks, where it is clearly above chance.
    fn clear_order(&self) -> Option<ConfidenceInterval> {
        self.order.filter(|order| order.value - CLEAR * (order.value - order.low) > self.chance)
    }

    /// Both witnesses must speak: a slope hangs on a few large outcomes, ranks know no scale.
    fn shrunk(&self) -> Found {
        let slope = self.slope.filter(|slope| slope.low > SHRUNK)?;
        let order = self.clear_order()?;
        let share = percent(Some(1.0 / slope.value));
        let text = format!(
            "forecasts know something ({} {order}) and show {share} of the spread it deserves: slope {slope:.1}",
            self.order_name()
        );
        Some((GateVerdict::Collapsed, vec![text]))
    }

    /// Intervals that do not meet are more than a clear difference needs, but those of two forecasts of the same samples
    /// are not independent.
    fn outdone(&self) -> Found {
        let r2 = self.r2?;
        let better = self.reference.filter(|reference| reference.has_skill() && reference.r2.low > r2.high)?;
        let blind = r2.low <= 0.0 && self.spread() < NARROW;
        let text = format!("{} sees what the model does not: R² {} against {r2}", better.name, better.r2);
        Some((if blind { GateVerdict::Collapsed } else { GateVerdict::Outdone }, vec![text]))
    }

    fn overdispersed(&self) -> Found {
        let slope = self.slope.filter(|slope| slope.high < CALIBRATED[0])?;
        let least_loss = self.fit.variance_ratio * (1.0 - 2.0 * slope.high);
        (least_loss > self.config.negligible_loss).then(|| {
            let text = format!(
                "forecasts have {} of the outcomes' deviation, which follow them with a slope of {slope:.2}",
                percent(Some(self.spread()))
            );
            (GateVerdict::Overdispersed, vec![text])
        })
    }

    fn no_skill(&self) -> Found {
        let r2 = self.r2.filter(|r2| r2.low <= 0.0)?;
        if let Some(order) = self.clear_order() {
            let text = format!("R² {r2} may be zero, but the ranks know something: {} {order}", self.order_name());
            return Some((GateVerdict::Inconclusive, vec![text]));
        }
        if let Some(reference) = self.reference.filter(|reference| reference.has_skill()) {
            let text = format!("R² {r2} may be zero, where {} has {}", reference.name, reference.r2);
            return Some((GateVerdict::Inconclusive, vec![text]));
        }
        let text = if r2.high < 0.0 {
            format!("the training mean is better, but not clearly by more than the fitting of noise costs: R² {r2}")
        } else {
            format!("the training mean may be as good: R² {r2}")
        };
        Some((GateVerdict::NoSkill, vec![text]))
    }

    fn miscalibrated(&self) -> Found {
        let [low, high] = CALIBRATED;
        let slope = self.slope.filter(|slope| slope.high < low || slope.low > high)?;
        let word = if slope.value < 1.0 { "bold" } else { "timid" };
        Some((GateVerdict::Miscalibrated, vec![format!("forecasts are too {word}: slope {slope:.2}")]))
    }

    /// The figures behind every verdict.
    fn figures(&self) -> Vec<String> {
        let mut text = format!(
            "{} forecasts of {} sessions, with {} of the outcomes' deviation",
            thousands(self.fit.samples),
            thousands(self.sessions as u64),
            percent(Some(self.spread()))
        );
        for (name, interval) in [("R²", self.r2), ("slope", self.slope), (self.order_name(), self.order)] {
            text.extend(interval.map(|interval| format!("; {name} {interval}")));
        }
        let reference = self.reference.map(|reference| format!("{}: R² {}", reference.name, reference.r2));
        [text].into_iter().chain(reference).collect()
    }

    fn order_name(&self) -> &'static str {
        if self.kind == TargetKind::Direction { "AUC" } else { "rank IC" }
    }
}

/// What helps, by verdict.
fn advice(verdict: GateVerdict) -> Option<&'static str> {
    match verdict {
        GateVerdict::Healthy | GateVerdict::Inconclusive => None,
        GateVerdict::NoSkill => Some("use the training mean: more data or other inputs come before a larger model"),
        GateVerdict::Miscalibrated => Some("multiply the forecasts' distance from their mean by the slope"),
        GateVerdict::Overdispersed => Some("stop earlier, raise the weight decay or make the model smaller"),
        GateVerdict::Collapsed => {
            Some("look whether inputs and targets are scaled, raise the learning rate, lower the weight decay")
        }
        GateVerdict::Outdone => Some("train longer or with other settings, or use the simple predictor"),
        GateVerdict::WorseThanConstant => {
            Some("do not use it: compare the level of training and validation targets, then stop earlier")
        }
        GateVerdict::LeakSuspected => {
            Some("look for inputs that know the future: labels, centred windows, scalers fitted on all dates")
        }
        GateVerdict::Broken => Some("lower the learning rate, clip gradients, and look for inputs that are no number"),
    }
}
