//! The style that all charts share: palette in a light and a dark look, text sizes, meshes, axis labels.
//!
//! Charts are drawn in the colours of the light look. `picture` adds a style sheet that replaces each of them by its dark
//! partner where the viewer prefers a dark look.

use std::fmt::Write as _;

use anyhow::Context as _;
use plotters::{
    chart::MeshStyle,
    coord::{Shift, ranged1d::Ranged},
    prelude::*,
};

use crate::output::table::thousands;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Width of a picture, in pixels. Text is legible where the picture is shown 800 pixels wide.
pub(crate) const WIDTH: u32 = 1000;
/// Sizes of text: 17 and 13.5 pixels where the picture is shown 800 pixels wide.
pub(crate) const TITLE: i32 = 26;
pub(crate) const TEXT: i32 = 21;
/// Distance between two lines of text, in pixels.
pub(crate) const LINE_HEIGHT: i32 = 24;

pub(crate) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
pub(crate) const INK: RGBColor = RGBColor(0x33, 0x3a, 0x44);
pub(crate) const FAINT: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
pub(crate) const GAIN: RGBColor = RGBColor(0x1f, 0x7f, 0x55);
pub(crate) const LOSS: RGBColor = RGBColor(0xc2, 0x40, 0x2f);
pub(crate) const CALL: RGBColor = RGBColor(0x1f, 0x6f, 0xb0);
pub(crate) const PUT: RGBColor = RGBColor(0xa8, 0x5d, 0x0f);
pub(crate) const HOLD: RGBColor = RGBColor(0x66, 0x71, 0x7e);
pub(crate) const STRONG_BUY: RGBColor = RGBColor(0x6b, 0x3f, 0xa0);
pub(crate) const PRESENT: RGBColor = RGBColor(0xb9, 0xd8, 0xc6);
pub(crate) const ABSENT: RGBColor = RGBColor(0x8a, 0x2b, 0x24);
pub(crate) const LATE: RGBColor = RGBColor(0x8f, 0x6f, 0x00);

/// Every colour of the light look, and its partner in the dark one.
const PALETTE: [(RGBColor, RGBColor); 12] = [
    (PAPER, RGBColor(0x14, 0x18, 0x1d)),
    (INK, RGBColor(0xe3, 0xe7, 0xec)),
    (FAINT, RGBColor(0x32, 0x3a, 0x43)),
    (GAIN, RGBColor(0x4c, 0xc3, 0x8a)),
    (LOSS, RGBColor(0xf0, 0x83, 0x7a)),
    (CALL, RGBColor(0x6f, 0xb1, 0xea)),
    (PUT, RGBColor(0xe8, 0xa2, 0x4f)),
    (HOLD, RGBColor(0xa3, 0xae, 0xbb)),
    (STRONG_BUY, RGBColor(0xb7, 0x9a, 0xe6)),
    (PRESENT, RGBColor(0x24, 0x50, 0x3a)),
    (ABSENT, RGBColor(0xc9, 0x4f, 0x44)),
    (LATE, RGBColor(0xd9, 0xb9, 0x3b)),
];

/// Draws a picture of a size in pixels, as SVG text with a light and a dark look.
///
/// # Errors
/// Those of `draw`, and failures of the drawing library, which no input is known to cause.
pub(crate) fn picture(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&PAPER)?;
        draw(&root)?;
        root.present().context("drawing the picture")?;
    }
    Ok(with_dark_look(&svg))
}

/// Inserts the style sheet of the dark look below the opening tag.
fn with_dark_look(svg: &str) -> String {
    let (opening, rest) = svg.split_once('\n').unwrap_or((svg, ""));
    let mut rules = String::new();
    for (light, dark) in PALETTE.map(|(light, dark)| (hex(light), hex(dark))) {
        let _ = write!(rules, "[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    format!("{opening}\n<style>@media (prefers-color-scheme:dark){{{rules}}}</style>\n{rest}")
}

/// Returns a colour as the drawing library writes it.
fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Gives a chart's mesh the style that all charts share.
pub(crate) fn house_style<X: Ranged, Y: Ranged, DB: DrawingBackend>(mesh: &mut MeshStyle<'_, '_, X, Y, DB>) {
    mesh.bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(font(TEXT))
        .axis_desc_style(font(TEXT));
}

pub(crate) fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// Returns the approximate width of a text in a usual sans-serif font, in pixels.
pub(crate) fn text_width(text: &str, size: i32) -> i32 {
    let em = |letter: char| match letter {
        ' ' | '-' | '.' | ',' | ':' | '(' | ')' | '/' | 'f' | 'i' | 'j' | 'l' | 'r' | 't' | 'I' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' => 0.9,
        capital if capital.is_uppercase() => 0.72,
        _ => 0.58,
    };
    (text.chars().map(em).sum::<f64>() * font_pixels(size)).ceil() as i32
}

/// Returns the size of a font in pixels, as the drawing library writes it.
fn font_pixels(size: i32) -> f64 {
    f64::from(size) / 1.24
}

pub(crate) fn steps_label(step: &f64) -> String {
    thousands(step.round() as i64)
}

/// Formats a value in percent.
pub(crate) fn percent_label(value: &f64) -> String {
    format!("{:.0}%", value + 0.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Colours of areas, which stand beside text and lines but carry neither.
    const AREAS: [RGBColor; 2] = [FAINT, PRESENT];

    /// Returns the contrast of two colours by WCAG 2.
    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let linear = |channel: u8| match f64::from(channel) / 255.0 {
            low if low <= 0.040_45 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        };
        let luminance = |RGBColor(r, g, b): RGBColor| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Returns a colour of some opacity on a background.
    fn blend(RGBColor(r, g, b): RGBColor, opacity: f64, RGBColor(x, y, z): RGBColor) -> RGBColor {
        let mix = |over: u8, under: u8| (f64::from(over) * opacity + f64::from(under) * (1.0 - opacity)).round() as u8;
        RGBColor(mix(r, x), mix(g, y), mix(b, z))
    }

    /// Returns an attribute of an SVG element.
    fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
        element.split_once(&format!(" {name}=\""))?.1.split('"').next()
    }

    /// Checks the colours, contrasts and text sizes of a picture.
    pub(crate) fn assert_house_style(svg: &str) {
        assert!(svg.contains("prefers-color-scheme:dark"), "{svg}");
        let partner = |color: &str| PALETTE.into_iter().find(|(light, _)| hex(*light) == color);
        let (_, body) = svg.split_once("</style>").unwrap();
        for element in body.split('<') {
            for color in ["fill", "stroke"].into_iter().filter_map(|name| attribute(element, name)) {
                assert!(color == "none" || partner(color).is_some(), "{color} is not in the palette: {element}");
            }
            let is_text = element.starts_with("text ");
            let drawn = if is_text { attribute(element, "fill") } else { attribute(element, "stroke") };
            let opacity: f64 = attribute(element, "opacity").map_or(1.0, |opacity| opacity.parse().unwrap());
            let least = if is_text { 4.5 } else { 3.0 };
            if let Some((light, dark)) = drawn.and_then(partner)
                && !AREAS.contains(&light)
                && light != PAPER
            {
                for (color, paper) in [(light, PAPER), (dark, PALETTE[0].1)] {
                    let found = contrast(blend(color, opacity, paper), paper);
                    assert!(found >= least, "a contrast of {found} in {element}");
                }
            }
        }
        let sizes: BTreeSet<&str> = body.split('<').filter_map(|element| attribute(element, "font-size")).collect();
        let house = [TITLE, TEXT].map(|size| font_pixels(size).to_string());
        assert!(sizes.iter().all(|&size| house.iter().any(|known| known == size)), "{sizes:?}");
    }

    #[test]
    fn every_colour_is_legible_in_both_looks() {
        for (light, dark) in PALETTE.into_iter().filter(|(light, _)| *light != PAPER && !AREAS.contains(light)) {
            assert!(contrast(light, PAPER) >= 4.5, "{} on white", hex(light));
            // The dark red of absent sessions is an area, but a small one.
            let least = if light == ABSENT { 3.0 } else { 4.5 };
            assert!(contrast(dark, PALETTE[0].1) >= least, "{} in the dark", hex(dark));
        }
        for area in AREAS {
            let (light, dark) = PALETTE.into_iter().find(|(light, _)| *light == area).unwrap();
            assert!(contrast(INK, light) >= 4.5 && contrast(PALETTE[1].1, dark) >= 4.5, "text on {}", hex(light));
        }
        assert!((contrast(PAPER, RGBColor(0, 0, 0)) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn text_is_large_enough_at_800_pixels() {
        for size in [TITLE, TEXT] {
            assert!(font_pixels(size) * 800.0 / f64::from(WIDTH) >= 13.0);
        }
    }

    #[test]
    fn each_colour_has_one_dark_partner() {
        let light: BTreeSet<String> = PALETTE.iter().map(|(light, _)| hex(*light)).collect();
        assert_eq!(light.len(), PALETTE.len());
        let svg = picture((20, 10), |root| Ok(root.draw(&Rectangle::new([(0, 0), (5, 5)], CALL.filled()))?)).unwrap();
        assert!(svg.starts_with("<svg width=\"20\" height=\"10\"") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("[fill=\"#1F6FB0\"]{fill:#6FB1EA}") && svg.contains("fill=\"#1F6FB0\" stroke=\"none\""));
        assert_house_style(&svg);
    }
}
