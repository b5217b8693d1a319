//! Checks that need no request, and the table of all checks.

use std::{fs, path::Path};

use jiff::civil::Date;
use market_data::{
    DateRange,
    source::{
        cache::{Cache, Kind},
        vendor::{Adjustment, CredentialSource as _, KeyVariables, VENDORS, VendorKeys},
    },
};
use market_env::PricingConfig;
use ppo_agent::require_libtorch;

use crate::{artifacts::manifest::LIBTORCH, inputs::credentials::Credentials, output::table::thousands};

/// Months after its prints for which the error of a fit is measured.
const FIT_MONTHS: i32 = 9;

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Yes,
    No,
    Fact,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Check {
    name: String,
    state: State,
    text: String,
}

impl Check {
    fn new(name: impl Into<String>, state: State, text: impl Into<String>) -> Self {
        Self { name: name.into(), state, text: text.into() }
    }

    /// Returns a check that passed.
    pub(super) fn yes(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, State::Yes, text)
    }

    /// Returns a check that failed, with the reason.
    pub(super) fn no(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, State::No, text)
    }

    /// Returns a fact, which neither passes nor fails.
    pub(super) fn fact(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, State::Fact, text)
    }
}

/// Draws the table.
pub(super) fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let line = |check: &Check| {
        let state = match check.state {
            State::Yes => "yes",
            State::No => "no",
            State::Fact => "-",
        };
        format!("{:<width$}  {state:<3}  {}", check.name, check.text)
    };
    checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Checks that the keys are set, and names their variables.
pub(super) fn keys() -> Vec<Check> {
    let keys = Credentials::read();
    let single = |names: &[&'static str]| keys.key(names).map(|key| key.map(|(_, name)| name.to_owned()));
    let pair = |names: &[(&'static str, &'static str)]| {
        keys.key_pair(names).map(|pair| pair.map(|[(_, first), (_, second)]| format!("{first} and {second}")))
    };
    let row = |key: &VendorKeys| match key.variables {
        KeyVariables::Single(names) => (key.label, single(names), names[0].to_owned()),
        KeyVariables::Pair(names) => (key.label, pair(names), format!("{} and {}", names[0].0, names[0].1)),
    };
    let check = |(name, found, wanted): (&str, Result<Option<String>, _>, String)| match found {
        Ok(Some(variable)) => Check::yes(name, format!("in {variable}")),
        Ok(None) => Check::no(name, format!("{wanted} not found, neither in the environment nor in .env")),
        Err(error) => Check::no(name, format!("{error}")),
    };
    VENDORS.iter().flat_map(|vendor| vendor.keys).map(row).map(check).collect()
}

/// Lists the contents of the cache.
pub(super) fn cache(cache: &Cache, folder: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    for vendor in VENDORS.iter().flat_map(|vendor| vendor.folders) {
        for adjustment in [Adjustment::Split, Adjustment::Raw] {
            for symbol in cache.symbols(vendor, adjustment, Kind::Minute) {
                let series = cache.series(vendor, adjustment, Kind::Minute, &symbol);
                let name = format!("cache: {vendor} {symbol}, {}", adjustment.name());
                checks.push(match (series.span(), bytes(series.folder())) {
                    (Ok(Some(dates)), size) => Check::yes(name, format!("{dates}, {}", megabytes(size))),
                    (Ok(None), _) => Check::fact(name, "no session with bars"),
                    (Err(error), _) => Check::no(name, format!("{error}")),
                });
            }
        }
    }
    if checks.is_empty() {
        checks.push(Check::fact("cache", format!("{} holds no vendor data yet", folder.display())));
    }
    checks
}

/// Returns the newest date of bars in the cache.
pub(super) fn newest(cache: &Cache) -> Option<Date> {
    let folders = VENDORS.iter().flat_map(|vendor| vendor.folders);
    let all = folders.flat_map(|vendor| [Adjustment::Split, Adjustment::Raw].map(|adjustment| (vendor, adjustment)));
    let last = |(vendor, adjustment): (&&'static str, Adjustment)| {
        let symbols = cache.symbols(vendor, adjustment, Kind::Minute).into_iter();
        let span = |symbol| cache.series(vendor, adjustment, Kind::Minute, &symbol).span().ok().flatten();
        symbols.filter_map(span).map(|dates| dates.last).max()
    };
    all.filter_map(last).max()
}

/// Compares the dates of the prints that the pricing model was fitted on with the newest bars.
pub(super) fn pricing_fit(pricing: &PricingConfig, newest: Option<Date>) -> Check {
    let name = "fit of option prices";
    let Some((first, last)) = pricing.fitted_from.zip(pricing.fitted_to) else {
        return Check::fact(name, "the configuration does not state its dates");
    };
    let fitted = format!("on prints of {}", DateRange { first, last });
    let months = newest.map_or(0, |newest| {
        let whole = (i32::from(newest.year()) - i32::from(last.year())) * 12;
        whole + i32::from(newest.month()) - i32::from(last.month())
    });
    match newest {
        Some(newest) if months > FIT_MONTHS => Check::no(
            name,
            format!(
                "{fitted}; the bars reach {newest}, {months} months later, and its error is measured for {FIT_MONTHS}: refit with zerodte \
                 calibrate --fit"
            ),
        ),
        Some(newest) => Check::yes(name, format!("{fitted}; the bars reach {newest}")),
        None => Check::fact(name, fitted),
    }
}

/// Lists the resources of the machine: libtorch, GPUs, cores, free disk space.
pub(super) fn machine(folder: &Path) -> Vec<Check> {
    let gpu = match ppo_agent::gpus() {
        Ok(count) => Check::yes("GPU", format!("{count}; --device cuda uses the first")),
        Err(reason) => Check::no("GPU", reason),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    vec![libtorch(), gpu, Check::fact("cores", cores.to_string()), disk(folder)]
}

fn libtorch() -> Check {
    match (LIBTORCH, require_libtorch("GPUs and forecasters")) {
        (Some(version), _) => Check::yes("libtorch", format!("{version}, linked")),
        (None, missing) => Check::no("libtorch", missing.err().map_or_else(String::new, |error| error.to_string())),
    }
}

fn disk(folder: &Path) -> Check {
    let there = folder.ancestors().find(|path| path.exists() && !path.as_os_str().is_empty());
    let there = there.unwrap_or(Path::new("."));
    match rustix::fs::statvfs(there) {
        // A year of a symbol's minutes takes about 4 MB.
        Ok(state) if state.f_bavail * state.f_frsize >= 1 << 30 => {
            Check::yes("disk", format!("{} free in {}", megabytes(state.f_bavail * state.f_frsize), there.display()))
        }
        Ok(state) => Check::no(
            "disk",
            format!("only {} free in {}", megabytes(state.f_bavail * state.f_frsize), there.display()),
        ),
        Err(error) => Check::no("disk", format!("{}: {error}", there.display())),
    }
}

fn bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", thousands((bytes.div_ceil(1 << 20)) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_is_too_old_for_bars_long_after_its_prints() {
        let pricing = PricingConfig::default();
        let last = pricing.fitted_to.unwrap();
        let state =
            |months: i64| pricing_fit(&pricing, Some(last.saturating_add(jiff::Span::new().months(months)))).state;
        assert_eq!([state(-6), state(9), state(10)], [State::Yes, State::Yes, State::No]);
        assert_eq!(pricing_fit(&pricing, None).text, "on prints of 2024-01-02 to 2025-06-30");
        let unknown = PricingConfig { fitted_from: None, ..pricing };
        assert_eq!(pricing_fit(&unknown, Some(last)).state, State::Fact);
    }

    #[test]
    fn the_table_is_aligned() {
        let checks =
            [Check::yes("disk", "5 MB free"), Check::no("key of massive", "not set"), Check::fact("cores", "2")];
        let expected = "disk            yes  5 MB free\nkey of massive  no   not set\ncores           -    2";
        assert_eq!(table(&checks), expected);
    }
}
