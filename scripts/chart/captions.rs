//! Headings and legends of charts, broken into lines that fit the picture.

use plotters::prelude::*;

use crate::{
    chart::style::{Area, LINE_HEIGHT, TEXT, TITLE, font, text_width},
    output::wrap::wrap,
};

/// Distance of text from the edges of a picture, in pixels.
pub(crate) const MARGIN: i32 = 16;
/// Width of a symbol of the legend.
const SYMBOL: i32 = 26;
/// Distance from a symbol to its label, and from a label to the next symbol.
const GAPS: (i32, i32) = (8, 22);

/// Title and explanation above a chart.
#[derive(Debug)]
pub(crate) struct Heading {
    lines: Vec<(String, i32)>,
}

impl Heading {
    /// Breaks a title and the sentences below it into lines for a width in pixels.
    pub(crate) fn new(title: &str, about: &[String], width: u32) -> Self {
        let lines =
            |text: &str, size| wrapped(text, size, width as i32 - 2 * MARGIN).into_iter().map(move |l| (l, size));
        Self { lines: lines(title, TITLE).chain(about.iter().flat_map(|text| lines(text, TEXT))).collect() }
    }

    /// Returns its height in pixels.
    pub(crate) fn height(&self) -> u32 {
        MARGIN as u32 + self.lines.iter().map(|&(_, size)| row_height(size) as u32).sum::<u32>()
    }

    /// Draws it at the top of an area.
    ///
    /// # Errors
    /// When the drawing library fails.
    pub(crate) fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let mut y = MARGIN / 2 + 2;
        for (line, size) in &self.lines {
            area.draw(&Text::new(line.clone(), (MARGIN, y), font(*size)))?;
            y += row_height(*size);
        }
        Ok(())
    }
}

fn row_height(size: i32) -> i32 {
    LINE_HEIGHT + size - TEXT
}

/// Breaks a text at spaces into lines of a width in pixels; a longer word has a line of its own.
fn wrapped(text: &str, size: i32, width: i32) -> Vec<String> {
    wrap(text, "", "", |line| text_width(line, size) <= width)
}

/// Shape beside the label of a legend.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Symbol {
    Line(RGBColor),
    Dashed(RGBColor),
    Area(RGBAColor),
    Dot(RGBColor),
    /// Two small dots.
    Dots(RGBColor, RGBColor),
    Ring(RGBColor),
    /// Triangle that points up.
    Up(RGBColor),
    /// Triangle that points down.
    Down(RGBColor),
    /// Vertical line.
    Upright(RGBColor),
}

impl Symbol {
    fn draw(self, area: &Area<'_>, x: i32, y: i32) -> anyhow::Result<()> {
        let middle = x + SYMBOL / 2;
        match self {
            Self::Line(color) => area.draw(&PathElement::new([(x, y), (x + SYMBOL, y)], color.stroke_width(3)))?,
            Self::Dashed(color) => {
                for from in [x, x + 10, x + 20] {
                    area.draw(&PathElement::new([(from, y), (from + 6, y)], color.stroke_width(3)))?;
                }
            }
            Self::Area(color) => area.draw(&Rectangle::new([(x, y - 6), (x + SYMBOL, y + 6)], color.filled()))?,
            Self::Dot(color) => area.draw(&Circle::new((middle, y), 5, color.filled()))?,
            Self::Dots(first, second) => {
                area.draw(&Circle::new((middle - 5, y), 3, first.filled()))?;
                area.draw(&Circle::new((middle + 5, y), 3, second.filled()))?;
            }
            Self::Ring(color) => area.draw(&Circle::new((middle, y), 5, color.stroke_width(2)))?,
            Self::Up(color) => area.draw(&TriangleMarker::new((middle, y + 1), 7, color.filled()))?,
            Self::Down(color) => area.draw(&TriangleMarker::new((middle, y - 2), -7, color.filled()))?,
            Self::Upright(color) => {
                area.draw(&PathElement::new([(middle, y - 8), (middle, y + 8)], color.stroke_width(2)))?;
            }
        }
        Ok(())
    }
}

/// Labels with their symbols, side by side, in as many lines as they need.
#[derive(Debug)]
pub(crate) struct Legend {
    /// Left edge, line, label and symbol.
    entries: Vec<(i32, i32, String, Symbol)>,
}

impl Legend {
    /// Arranges entries for a width in pixels.
    pub(crate) fn new(entries: impl IntoIterator<Item = (String, Symbol)>, width: u32) -> Self {
        let (mut x, mut line) = (MARGIN, 0);
        let mut place = |(label, symbol): (String, Symbol)| {
            let needed = SYMBOL + GAPS.0 + text_width(&label, TEXT);
            if x > MARGIN && x + needed > width as i32 - MARGIN {
                (x, line) = (MARGIN, line + 1);
            }
            let entry = (x, line, label, symbol);
            x += needed + GAPS.1;
            entry
        };
        Self { entries: entries.into_iter().map(&mut place).collect() }
    }

    /// Returns its height in pixels.
    pub(crate) fn height(&self) -> i32 {
        self.entries.last().map_or(0, |entry| LINE_HEIGHT * (entry.1 + 1))
    }

    /// Draws it below `top`.
    ///
    /// # Errors
    /// When the drawing library fails.
    pub(crate) fn draw(&self, area: &Area<'_>, top: i32) -> anyhow::Result<()> {
        for (x, line, label, symbol) in &self.entries {
            let y = top + LINE_HEIGHT * line + LINE_HEIGHT / 2;
            symbol.draw(area, *x, y)?;
            area.draw(&Text::new(label.clone(), (x + SYMBOL + GAPS.0, y - 8), font(TEXT)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::style::{CALL, picture, tests::assert_house_style};

    #[test]
    fn long_texts_are_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 20, 72), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 20, 10), ["unbreakable"]);
        assert!(wrapped("", 20, 10).is_empty());
        let heading = Heading::new(&"word ".repeat(40), &["below".to_owned()], 1000);
        assert_eq!(heading.lines.len(), 4);
        assert_eq!(heading.height(), (MARGIN + 3 * (LINE_HEIGHT + 5) + LINE_HEIGHT) as u32);
    }

    #[test]
    fn legends_wrap_within_the_width() {
        let entries = (0..12).map(|i| (format!("volatility_{i}"), Symbol::Line(CALL)));
        let legend = Legend::new(entries, 500);
        assert!(legend.height() > LINE_HEIGHT);
        for (x, _, label, _) in &legend.entries {
            assert!(x + SYMBOL + GAPS.0 + text_width(label, TEXT) <= 500 - MARGIN, "{label}");
        }
        assert_eq!(Legend::new([], 500).height(), 0);
        assert_house_style(&picture((500, 200), |root| legend.draw(root, 0)).unwrap());
    }
}
