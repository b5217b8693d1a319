//! Text of an import: the detected properties of each file, the flags that confirm them, and the next commands.

use std::path::Path;

use market_data::{
    BarStamp, Symbol, Zone,
    source::files::placement::{Evidence, Placement},
};

use super::{detection::Detected, flags::Wanted};
use crate::output::table::thousands;

/// Returns a block of lines on one file.
pub(super) fn lines(found: &Detected) -> Vec<String> {
    let Detected { path, file, bars, count, unit, .. } = found;
    let new_york = Zone::new("America/New_York").ok();
    let clock = |ns: Option<&i64>| {
        let time =
            new_york.as_ref().zip(ns).map(|(zone, ns)| zone.clock_at(*ns).strftime("%Y-%m-%d %H:%M").to_string());
        format!("{} in New York", time.unwrap_or_default())
    };
    let closes = bars.close().iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let order = if file.newest_first() { ", newest bar first" } else { "" };
    let columns = file.renamed().unwrap_or("as in the project's files");
    let volume = if file.volume().is_some() { "" } else { "; no volume, written as 0" };
    let unit = if *unit == 1.0 { "dollars".to_owned() } else { format!("units of {unit} dollars") };
    let rows = [
        ("columns", format!("{columns}{volume}")),
        ("times", format!("{}{order}", file.time_form())),
        ("zone", zone(found)),
        ("stamp", stamp(found)),
        ("first bar", clock(bars.ts_ns().first())),
        ("last bar", clock(bars.ts_ns().last())),
        (
            "sessions",
            format!("{}, {} of them complete", thousands(count.sessions as i64), thousands(count.complete as i64)),
        ),
        ("outside hours", minutes(count.outside)),
        ("prices", format!("{unit}; closes from {:.2} to {:.2}", closes.0, closes.1)),
    ];
    let heading = format!("{}: {} bars of {}", path.display(), thousands(bars.len() as i64), bars.symbol());
    std::iter::once(heading).chain(rows.map(|(name, value)| format!("  {name:<14} {value}"))).collect()
}

fn minutes(count: usize) -> String {
    format!("{} minute{}", thousands(count as i64), if count == 1 { "" } else { "s" })
}

fn zone(found: &Detected) -> String {
    match &found.placement.zone {
        None => "stated by the file".to_owned(),
        Some(zone) => format!("{zone}; not stated by the file{}", evidence(found.placement.evidence)),
    }
}

fn stamp(found: &Detected) -> String {
    let Placement { stamp, evidence: sign, .. } = &found.placement;
    let moment = match stamp {
        BarStamp::Start => "start of the minute",
        BarStamp::End => "end of the minute",
    };
    format!("{moment}{}", evidence(*sign))
}

/// Returns the evidence for a zone and a stamp.
fn evidence(evidence: Evidence) -> String {
    match evidence {
        Evidence::Edges(share) => {
            format!("; bars begin or end with the session at {:.0} % of opens and closes", 100.0 * share)
        }
        Evidence::Volume(ratio) => format!("; the volume rises {ratio:.0} times at 09:30"),
        Evidence::None => "; not visible from the bars".to_owned(),
    }
}

/// Returns a sentence with the flags that confirm the detected properties of a file; `None` if nothing needs it.
pub(super) fn confirmation(found: &Detected, wanted: &Wanted) -> Option<String> {
    let zone = found.guessed_zone(wanted).map(|zone| format!("--timestamp-zone {zone}"));
    let stamp = found.guessed_stamp(wanted).map(|stamp| format!("--bar-stamp {stamp}"));
    let unit = found.guessed_unit(wanted).map(|unit| format!("--price-scale {unit}"));
    let flags: Vec<String> = [zone, stamp, unit].into_iter().flatten().collect();
    (!flags.is_empty()).then(|| {
        format!(
            "{}: nothing is written, because the file does not state what was detected; confirm with {}, or accept \
             everything detected with --yes",
            found.path.display(),
            flags.join(" ")
        )
    })
}

/// Returns the commands that use the imported bars of these symbols.
pub(super) fn next_commands<'a>(symbols: impl Iterator<Item = &'a Symbol>, out: &Path) -> Vec<String> {
    let symbols: Vec<&str> = symbols.map(Symbol::as_str).collect();
    let Some(first) = symbols.first() else { return Vec::new() };
    let out = out.display();
    vec![
        format!("Next: zerodte inspect {first} --data-dir {out}"),
        format!("      zerodte train --symbols {} --data-dir {out}", symbols.join(",")),
    ]
}
