//! `zerodte import`: turns files of vendors into the project's folder of minute bars.
//!
//! Symbol, columns, zone, stamp and price unit are detected and shown. What a file does not state is written only if flags
//! confirm it.

mod bar_file;
mod detection;
mod flags;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use market_data::{Bars, Symbol, input_file};

use self::detection::Detected;
use crate::{
    config::context::CommandContext,
    output::{
        console::Console,
        exit_code::UsageError,
        output_file::{OutputFile, OutputFolder},
        table::thousands,
    },
};

pub use self::flags::ImportFlags;

/// Imports files, or prints the flags that confirm what was detected.
///
/// # Errors
/// Unusable flags or files, detected values that are not confirmed, or a file that exists already. Nothing is written then.
pub fn run(flags: &ImportFlags, console: &mut Console) -> anyhow::Result<()> {
    let resolved = CommandContext::open(&flags.config, console, |_| flags.resolve())?;
    let Some((context, config)) = resolved else { return Ok(()) };
    let folder = OutputFolder::checked("Bars", &flags.out)?;
    let wanted = flags.wanted(&config.data);
    let files = flags.files.iter().map(|path| Detected::read(path, &wanted)).collect::<anyhow::Result<Vec<_>>>()?;
    for file in &files {
        context.console.say_all(text::lines(file))?;
    }
    if !flags.yes {
        UsageError::check(files.iter().filter_map(|file| text::confirmation(file, &wanted)).collect())?;
    }
    let series = joined(files)?;
    let outputs = outputs(&series, &folder, flags)?;
    for output in &outputs {
        output.save(context.console)?;
    }
    let symbols = series.keys().filter(|symbol| !symbol.as_str().starts_with("VIX"));
    Ok(context.console.say_all(text::next_commands(symbols, &flags.out))?)
}

/// Joins the files of each symbol, in the order of their dates.
fn joined(mut files: Vec<Detected>) -> Result<BTreeMap<Symbol, Bars>, UsageError> {
    files.sort_by_key(|file| file.bars.ts_ns().first().copied());
    let mut series: BTreeMap<Symbol, Bars> = BTreeMap::new();
    for Detected { path, bars, .. } in files {
        let symbol = bars.symbol().clone();
        let joined = match series.get(&symbol) {
            None => bars,
            Some(earlier) => earlier.followed_by(&bars).ok_or_else(|| {
                UsageError::one(format!(
                    "{} and {}: both have bars of {symbol} on the same dates; import one of them, or name another symbol \
                     with --symbol",
                    earlier.origin(),
                    path.display()
                ))
            })?,
        };
        series.insert(symbol, joined);
    }
    Ok(series)
}

/// One file to write.
struct Output {
    file: OutputFile,
    bytes: Vec<u8>,
    bars: usize,
    /// Whether the file exists with these bytes.
    unchanged: bool,
}

impl Output {
    fn save(&self, console: &mut Console) -> anyhow::Result<()> {
        if self.unchanged {
            return Ok(console.say(format!("Unchanged: {}", self.file.path().display()))?);
        }
        self.file.write(&self.bytes)?;
        Ok(console.say(format!("{} ({} bars)", self.file.line(), thousands(self.bars as i64)))?)
    }
}

/// Returns the files to write, after a check that none takes the place of other bars.
fn outputs(series: &BTreeMap<Symbol, Bars>, folder: &OutputFolder, flags: &ImportFlags) -> anyhow::Result<Vec<Output>> {
    let (mut outputs, mut faults) = (Vec::new(), BTreeSet::new());
    for (symbol, bars) in series {
        let file = folder.file(&format!("{symbol}_1m.parquet"));
        let csv = file.path().with_extension("csv");
        if csv.exists() {
            let text = "exists, and one file per symbol is read; move it away or name another folder with --out";
            faults.insert(format!("{}: {text}", csv.display()));
        }
        let bytes = bar_file::parquet(bars)?;
        let earlier = file.path().exists().then(|| input_file::read(file.path())).transpose()?;
        let unchanged = earlier.as_ref() == Some(&bytes);
        if earlier.is_some() && !unchanged && !flags.replace {
            let text = "exists with other bars; --replace puts the imported ones in their place";
            faults.insert(format!("{}: {text}", file.path().display()));
        }
        outputs.push(Output { file, bytes, bars: bars.len(), unchanged });
    }
    UsageError::check(faults.into_iter().collect())?;
    Ok(outputs)
}
