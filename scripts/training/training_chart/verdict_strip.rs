//! Strip of the verdicts below the panels: one coloured segment per stretch, with the verdict's word where it begins.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use ppo_agent::health::Verdict;

use crate::{
    artifacts::health_rows::{HealthRow, WrittenVerdict},
    chart::{
        panel::{LEFT, RIGHT},
        style::{ABSENT, Area, CALL, FAINT, GAIN, LINE_HEIGHT, LOSS, PUT, TEXT, WIDTH, font, text_width},
    },
};

/// Upper edge, lower edge, and the upper edge of the words, in pixels.
const TOP: i32 = 4;
const BOTTOM: i32 = 22;
const WORDS: i32 = 28;
/// Most lines of words; a word without room is left out.
const MAX_LINES: usize = 3;
/// Least distance between two words of a line.
const WORD_GAP: i32 = 12;

/// A stretch of equal verdicts, in pixels.
#[derive(Debug, Clone, PartialEq)]
struct Stretch {
    from: i32,
    to: i32,
    verdict: WrittenVerdict,
}

/// The verdicts of a run, laid out.
#[derive(Debug)]
pub(super) struct VerdictStrip {
    stretches: Vec<Stretch>,
    /// Left edge, line and text of each word.
    words: Vec<(i32, usize, String)>,
}

impl VerdictStrip {
    /// Lays out verdicts on the axis from 0 to `last_step`.
    pub(super) fn new(verdicts: &[HealthRow], last_step: f64) -> Self {
        let room = f64::from(WIDTH as i32 - LEFT - RIGHT);
        let x = |step: u64| LEFT + (room * (step as f64 / last_step).min(1.0)).round() as i32;
        let mut stretches: Vec<Stretch> = Vec::new();
        for row in worst_by_column(verdicts, |row| x(row.step)) {
            let (from, to) = (x(row.first_step.saturating_sub(1)), x(row.step));
            match stretches.last_mut() {
                Some(last) if last.verdict == row.verdict => last.to = to,
                _ => {
                    let from = stretches.last().map_or(from, |last| from.min(last.to));
                    stretches.push(Stretch { from, to, verdict: row.verdict.clone() });
                }
            }
        }
        let words = words(&stretches);
        Self { stretches, words }
    }

    /// Returns its height in pixels.
    pub(super) fn height(&self) -> u32 {
        let lines = self.words.iter().map(|word| word.1 as i32 + 1).max().unwrap_or(1);
        (WORDS + LINE_HEIGHT * lines + 8) as u32
    }

    /// Draws it at the top of an area.
    pub(super) fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let right = font(TEXT).pos(Pos::new(HPos::Right, VPos::Top));
        area.draw(&Text::new("verdict", (LEFT - 10, TOP + 1), right))?;
        for Stretch { from, to, verdict } in &self.stretches {
            area.draw(&Rectangle::new([(*from, TOP), (*to, BOTTOM)], color(verdict).filled()))?;
        }
        for (x, line, word) in &self.words {
            let y = WORDS + LINE_HEIGHT * *line as i32;
            area.draw(&Text::new(word.clone(), (*x, y), font(TEXT)))?;
        }
        Ok(())
    }
}

/// Returns the worst of the verdicts that share a column of pixels, the first of equals.
fn worst_by_column(verdicts: &[HealthRow], column: impl Fn(&HealthRow) -> i32) -> impl Iterator<Item = &HealthRow> {
    verdicts
        .chunk_by(move |a, b| column(a) == column(b))
        .filter_map(|rows| rows.iter().rev().max_by_key(|row| row.verdict.exit_code()))
}

/// Places the word of every stretch in the first line that has room for it.
fn words(stretches: &[Stretch]) -> Vec<(i32, usize, String)> {
    let mut free = [i32::MIN; MAX_LINES];
    let mut words = Vec::new();
    for stretch in stretches {
        let word = stretch.verdict.to_string();
        let width = text_width(&word, TEXT);
        let x = stretch.from.min(WIDTH as i32 - 8 - width);
        if let Some(line) = free.iter().position(|&free| x >= free) {
            free[line] = x + width + WORD_GAP;
            words.push((x, line, word));
        }
    }
    words
}

fn color(verdict: &WrittenVerdict) -> RGBColor {
    match verdict {
        WrittenVerdict::Known(Verdict::Healthy) => GAIN,
        WrittenVerdict::Known(Verdict::Drifting) => PUT,
        WrittenVerdict::Known(Verdict::Collapsed(_) | Verdict::StateBlind) => LOSS,
        WrittenVerdict::Known(Verdict::Frozen | Verdict::Exploding) => ABSENT,
        WrittenVerdict::Known(Verdict::HoldIsOptimal) => CALL,
        WrittenVerdict::Known(Verdict::Inconclusive) | WrittenVerdict::Unknown(_) => FAINT,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use market_data::DataStamp;

    use super::*;

    /// Verdict on an interval of 5,000 steps.
    pub(in super::super) fn verdict(step: u64, word: &str) -> HealthRow {
        HealthRow {
            data: DataStamp::Market,
            step,
            first_step: step - 4_999,
            verdict: word.into(),
            reading: word.into(),
            since: step,
            evidence: Vec::new(),
            checklist: Vec::new(),
            advice: Vec::new(),
            money: None,
        }
    }

    #[test]
    fn equal_verdicts_are_one_stretch() {
        let rows =
            [("healthy", 5_000), ("healthy", 10_000), ("frozen", 15_000)].map(|(word, step)| verdict(step, word));
        let strip = VerdictStrip::new(&rows, 15_000.0);
        let end = WIDTH as i32 - RIGHT;
        let two_thirds = LEFT + ((end - LEFT) as f64 / 1.5).round() as i32;
        let stretch = |from, to, word: &str| Stretch { from, to, verdict: word.into() };
        assert_eq!(strip.stretches, [stretch(LEFT, two_thirds, "healthy"), stretch(two_thirds, end, "frozen")]);
        assert_eq!(strip.words, [(LEFT, 0, "healthy".to_owned()), (two_thirds, 0, "frozen".to_owned())]);
    }

    #[test]
    fn of_the_verdicts_within_a_pixel_the_worst_is_shown() {
        let word = |i: u64| if i == 7_777 { "frozen" } else { "healthy" };
        let rows: Vec<HealthRow> = (1..=20_000).map(|i| verdict(5_000 * i, word(i))).collect();
        let strip = VerdictStrip::new(&rows, 100_000_000.0);
        let shown: Vec<String> = strip.stretches.iter().map(|stretch| stretch.verdict.to_string()).collect();
        assert_eq!(shown, ["healthy", "frozen", "healthy"]);
    }

    #[test]
    fn words_never_overlap_nor_leave_the_picture() {
        let rows: Vec<HealthRow> = (1..=100)
            .map(|i| verdict(5_000 * i, if i % 2 == 0 { "hold_is_optimal" } else { "collapsed:BUY_CALL" }))
            .collect();
        let strip = VerdictStrip::new(&rows, 500_000.0);
        assert!(strip.words.len() > 10 && strip.words.len() < 30, "{}", strip.words.len());
        for line in 0..MAX_LINES {
            let words: Vec<_> = strip.words.iter().filter(|word| word.1 == line).collect();
            let end = |word: &(i32, usize, String)| word.0 + text_width(&word.2, TEXT);
            assert!(words.windows(2).all(|pair| end(pair[0]) < pair[1].0), "{words:?}");
            assert!(words.iter().all(|word| end(word) <= WIDTH as i32), "{words:?}");
        }
        assert_eq!(VerdictStrip::new(&[], 1.0).height(), (WORDS + LINE_HEIGHT + 8) as u32);
    }
}
