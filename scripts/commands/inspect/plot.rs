//! SVG heat map of all minutes: sessions from left to right, minutes after the open from top to bottom.

use anyhow::Context as _;
use market_data::{
    calendar::session_time,
    quality::{At, Day, FULL},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{InspectReport, Runs};
use crate::chart::{
    captions::{Heading, Legend, MARGIN, Symbol},
    style::{
        ABSENT, Area, CALL, FAINT, INK, LATE, LINE_HEIGHT, LOSS, PRESENT, PUT, STRONG_BUY, TEXT, WIDTH, font, picture,
        text_width,
    },
};

const MINUTE: i32 = 2;
const HEIGHT: i32 = FULL as i32 * MINUTE;
const LEFT: i32 = 84;
const RIGHT: i32 = 36;
const BOTTOM: i32 = 64;
/// Preferred total width of the sessions.
const SPREAD: i32 = WIDTH as i32 - LEFT - RIGHT;
/// Widest column of a session.
const WIDEST: i32 = 40;
/// Largest number of runs that are enlarged for visibility; with more, runs are drawn to scale.
const FEW: usize = 200;
/// Smallest visible size, in pixels.
const SEEN: i32 = 5;
/// Smallest distance between labels of the horizontal axis, in pixels.
const LABEL_GAP: i32 = 14;

/// Colours of areas and their labels.
const AREAS: [(&str, RGBColor); 6] = [
    ("bar", PRESENT),
    ("no bar", LOSS),
    ("session without any bar", ABSENT),
    ("repeated or frozen", PUT),
    ("bar after an early close", LATE),
    ("closed", FAINT),
];
/// Colours of dots and their labels.
const DOTS: [(&str, RGBColor); 3] = [("suspicious print", STRONG_BUY), ("long wick", INK), ("lasting jump", CALL)];

/// Draws the heat map.
///
/// # Errors
/// When the drawing library fails; no input is known to cause this.
pub(super) fn draw(report: &InspectReport, days: &[Day]) -> anyhow::Result<String> {
    let sessions = days.len() as i32;
    let width = SPREAD.clamp(sessions, sessions * WIDEST);
    let total = (LEFT + width.max(SPREAD) + RIGHT) as u32;
    let heading = Heading::new(&report.findings[0], &[], total);
    let legend = legend(total);
    let map = Map { days, width, top: top(&heading, &legend) };
    picture((total, (map.top + HEIGHT + BOTTOM) as u32), |root| {
        heading.draw(root)?;
        legend.draw(root, heading.height() as i32)?;
        map.axes(root)?;
        map.cells(root, report)?;
        map.dots(root, report)
    })
}

fn legend(width: u32) -> Legend {
    let areas = AREAS.map(|(label, color)| (label.to_owned(), Symbol::Area(color.mix(1.0))));
    let dots = DOTS.map(|(label, color)| (label.to_owned(), Symbol::Dot(color)));
    Legend::new(areas.into_iter().chain(dots), width)
}

/// Returns the upper edge of the map: below the captions and the name of the vertical axis.
fn top(heading: &Heading, legend: &Legend) -> i32 {
    heading.height() as i32 + legend.height() + LINE_HEIGHT + 14
}

/// The map and the layout of its cells.
struct Map<'a> {
    days: &'a [Day],
    /// Width of all sessions in pixels, at least one each.
    width: i32,
    /// Upper edge, in pixels.
    top: i32,
}

impl Map<'_> {
    fn left(&self, session: usize) -> i32 {
        LEFT + (session * self.width as usize / self.days.len()) as i32
    }

    fn corners(&self, session: usize, from: usize, minutes: usize) -> [(i32, i32); 2] {
        let y = self.top + from as i32 * MINUTE;
        [(self.left(session), y), (self.left(session + 1), y + minutes as i32 * MINUTE)]
    }

    fn session_of(&self, at: At) -> Option<usize> {
        self.days.binary_search_by_key(&at.date, Day::date).ok()
    }

    fn runs(&self, area: &Area<'_>, runs: &Runs, color: RGBColor) -> anyhow::Result<()> {
        for run in &runs.all {
            let session = self.session_of(run.start).context("a run lies in a session")?;
            let corners = self.corners(session, run.start.minute, run.minutes);
            let corners = if runs.count <= FEW { at_least(corners, SEEN) } else { corners };
            area.draw(&Rectangle::new(corners, color.filled()))?;
        }
        Ok(())
    }

    fn cells(&self, area: &Area<'_>, report: &InspectReport) -> anyhow::Result<()> {
        let fill = |session: usize, from: usize, minutes: usize, color: RGBColor| {
            area.draw(&Rectangle::new(self.corners(session, from, minutes), color.filled()))
        };
        for (session, day) in self.days.iter().enumerate() {
            let minutes = day.session.minutes();
            fill(session, 0, minutes, if day.bars.is_empty() { ABSENT } else { PRESENT })?;
            if minutes < FULL {
                fill(session, minutes, FULL - minutes, FAINT)?;
            }
            for &minute in &day.afternoon {
                fill(session, minute, 1, LATE)?;
            }
        }
        [(&report.gaps, LOSS), (&report.stale, PUT), (&report.frozen, PUT)]
            .into_iter()
            .try_for_each(|(runs, color)| self.runs(area, runs, color))
    }

    fn dots(&self, area: &Area<'_>, report: &InspectReport) -> anyhow::Result<()> {
        let outliers = &report.outliers;
        let [(_, bad), (_, wick), (_, lasting)] = DOTS;
        let prints = |prints: &[super::Print], color| prints.iter().map(|print| (print.at, color)).collect::<Vec<_>>();
        let wicks = outliers.wicks.iter().map(|found| (found.at, wick));
        let dots = prints(&outliers.lasting, lasting).into_iter().chain(wicks).chain(prints(&outliers.reversed, bad));
        for (at, color) in dots {
            let session = self.session_of(at).context("an outlier lies in a session")?;
            let [(left, top), (right, bottom)] = self.corners(session, at.minute, 1);
            let place = (left.midpoint(right), top.midpoint(bottom));
            area.draw(&Circle::new(place, 3, color.filled()))?;
        }
        Ok(())
    }

    fn axes(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let right = font(TEXT).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new("New York time", (MARGIN, self.top - LINE_HEIGHT - 6), font(TEXT)))?;
        for minute in (0..=FULL).step_by(30) {
            let y = self.top + minute as i32 * MINUTE;
            area.draw(&PathElement::new([(LEFT - 6, y), (LEFT - 1, y)], INK))?;
            area.draw(&Text::new(session_time(minute), (LEFT - 10, y), right.clone()))?;
        }
        let mut free = i32::MIN;
        let end = LEFT + self.width.max(SPREAD) + RIGHT;
        for (session, label) in self.labels() {
            let (x, y) = (self.left(session), self.top + HEIGHT);
            area.draw(&PathElement::new([(x, y + 1), (x, y + 6)], INK))?;
            let width = text_width(&label, TEXT);
            if x >= free && x + width <= end {
                area.draw(&Text::new(label, (x, y + 10), font(TEXT)))?;
                free = x + width + LABEL_GAP;
            }
        }
        area.draw(&Text::new("date", (LEFT + self.width / 2 - 16, self.top + HEIGHT + 36), font(TEXT)))?;
        Ok(())
    }

    /// Returns the sessions to label: the first of every month, or all sessions if they are few.
    fn labels(&self) -> Vec<(usize, String)> {
        let dates: Vec<_> = self.days.iter().map(Day::date).collect();
        if dates.len() <= 60 {
            return dates.iter().map(ToString::to_string).enumerate().collect();
        }
        let starts_month = |&at: &usize| at == 0 || dates[at - 1].month() != dates[at].month();
        (0..dates.len()).filter(starts_month).map(|at| (at, dates[at].strftime("%Y-%m").to_string())).collect()
    }
}

/// Enlarges a rectangle around its centre to at least the given pixels in both directions.
fn at_least([(left, top), (right, bottom)]: [(i32, i32); 2], pixels: i32) -> [(i32, i32); 2] {
    let widened = |from: i32, to: i32| {
        let more = (pixels - (to - from)).max(0);
        (from - more / 2, to + more - more / 2)
    };
    let ((left, right), (top, bottom)) = (widened(left, right), widened(top, bottom));
    [(left, top), (right, bottom)]
}

#[cfg(test)]
mod tests {
    use market_data::DataStamp;

    use super::*;
    use crate::{
        chart::style::tests::assert_house_style,
        commands::inspect::{
            Outside, Read,
            tests::{day, flat},
        },
    };

    fn drawn(days: Vec<Day>) -> String {
        let (symbol, source) = ("SPY".to_owned(), "files:bars".to_owned());
        let read = Read {
            symbol,
            source,
            data: DataStamp::Market,
            files: Vec::new(),
            days,
            outside: Outside::default(),
            columns: None,
        };
        let svg = draw(&InspectReport::new(&read, None).unwrap(), &read.days).unwrap();
        assert_house_style(&svg);
        svg
    }

    #[test]
    fn a_gap_lies_at_its_session_and_minute() {
        let bars =
            |minutes: &mut dyn Iterator<Item = usize>| minutes.map(|m| flat(m, 100.0 + (m % 9) as f64)).collect();
        let whole = day("2025-06-02", bars(&mut (0..390)));
        let holed = day("2025-06-03", bars(&mut (0..390).filter(|minute| !(60..75).contains(minute))));
        let svg = drawn(vec![whole, holed]);
        let session = format!("<rect x=\"{LEFT}\" y=\"");
        let top: i32 = svg.split_once(&session).unwrap().1.split('"').next().unwrap().parse().unwrap();
        let gap = format!("x=\"{}\" y=\"{}\" width=\"40\" height=\"30\"", LEFT + 40, top + 120);
        assert!(svg.contains(&gap), "{gap} is missing in {svg}");
        for part in ["10:00", "2025-06-03", "suspicious print", "New York time"] {
            assert!(svg.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn more_sessions_than_pixels_make_the_picture_wider() {
        let sessions = market_data::calendar::sessions("2019-01-02".parse().unwrap(), "2024-12-31".parse().unwrap());
        let days = sessions.iter().map(|session| day(&session.date.to_string(), vec![flat(0, 100.0)])).collect();
        let svg = drawn(days);
        assert_eq!(at_least([(10, 20), (11, 40)], 5), [(8, 20), (13, 40)]);
        assert!(
            svg.contains(&format!("width=\"{}\"", LEFT + RIGHT + sessions.len() as i32)) && svg.contains("2024-12")
        );
    }
}
