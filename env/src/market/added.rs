//! Columns of the user after the features.

use market_data::{OptionHistory, Symbol, SymbolSessions, columns::AddedColumns};

use crate::{EnvError, MarketConfig, features::FEATURES};

/// Returns the names of the columns that the sessions of all symbols bring beside the features, then those of the option files.
///
/// # Errors
/// [`EnvError::Config`] for symbols with different columns, a name that a feature has, a symbol of `market.cross` without columns, or
/// columns of option files without such files.
pub(super) fn of_symbols(
    symbols: &[SymbolSessions],
    options: Option<&[OptionHistory]>,
    config: &MarketConfig,
) -> Result<Vec<String>, EnvError> {
    let names = symbols.first().map_or_else(Vec::new, |symbol| symbol.added.names.clone());
    let mut faults = Vec::new();
    if let Some(other) = symbols.iter().find(|symbol| symbol.added.names != names) {
        let (first, second) = (&symbols[0].symbol, &other.symbol);
        faults.push(format!("data.own_columns: {first} and {second} have different columns; give both the same"));
    }
    if let Some(name) = names.iter().find(|name| FEATURES.iter().any(|(known, _)| known == name)) {
        faults.push(format!("data.own_columns: {name} is the name of a feature"));
    }
    let lacks = |symbol: &&Symbol| !names.iter().any(|name| name.strip_prefix(symbol.as_str()) == Some(".return"));
    for symbol in config.cross.iter().filter(lacks) {
        faults.push(format!("market.cross: there are no bars of {symbol}; give them beside the others"));
    }
    if options.is_none() && !config.option_columns.is_empty() {
        faults.push(
            "market.option_columns: there are no option files; name them with run.options (--options)".to_owned(),
        );
    }
    let of_options = config.option_columns.iter().map(|column| column.column());
    if faults.is_empty() { Ok(names.into_iter().chain(of_options).collect()) } else { Err(EnvError::Config(faults)) }
}

/// Returns the columns of a session after the features: the user's, then those of the option files. `[bars, C]`
pub(super) fn rows(user: &AddedColumns, day: usize, options: &[f32], bars: usize) -> Vec<f32> {
    let width = options.len() / bars.max(1);
    let row = |bar: usize| user.row(day, bar).iter().chain(&options[bar * width..(bar + 1) * width]).copied();
    (0..bars).flat_map(row).collect()
}
