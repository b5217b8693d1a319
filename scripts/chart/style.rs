//! The style that all charts share: palette, fonts, meshes, axis labels.

use plotters::{chart::MeshStyle, coord::ranged1d::Ranged, prelude::*};

use crate::output::table::thousands;

pub(crate) const INK: RGBColor = RGBColor(0x33, 0x3a, 0x44);
pub(crate) const FAINT: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
pub(crate) const GAIN: RGBColor = RGBColor(0x2e, 0x9e, 0x6b);
pub(crate) const LOSS: RGBColor = RGBColor(0xd6, 0x5a, 0x4a);
pub(crate) const CALL: RGBColor = RGBColor(0x2b, 0x7b, 0xba);
pub(crate) const PUT: RGBColor = RGBColor(0xd0, 0x7a, 0x1f);
pub(crate) const HOLD: RGBColor = RGBColor(0x7a, 0x86, 0x94);
pub(crate) const STRONG_BUY: RGBColor = RGBColor(0x6b, 0x3f, 0xa0);

/// Gives a chart's mesh the style that all charts share.
pub(crate) fn house_style<X: Ranged, Y: Ranged, DB: DrawingBackend>(mesh: &mut MeshStyle<'_, '_, X, Y, DB>) {
    mesh.bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(font(12))
        .axis_desc_style(font(13));
}

pub(crate) fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

pub(crate) fn steps_label(step: &f64) -> String {
    thousands(step.round() as i64)
}
