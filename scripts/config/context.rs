//! Common start of the commands: print the configuration and exit if requested, then print the notes and the notice
//! about synthetic bars.

use crate::{
    config::{RunConfig, flags::ConfigFlags},
    output::{console::Console, synthetic},
};

/// The console of one command, and its unprinted notes.
#[derive(Debug)]
pub(crate) struct CommandContext<'c> {
    /// Output of the command.
    pub(crate) console: &'c mut Console,
    /// Sentences about reinterpreted flags and changed inputs.
    pub(crate) notes: Vec<String>,
}

impl<'c> CommandContext<'c> {
    /// Resolves the configuration of a command, or several. If the flags request printing, prints it and returns
    /// `None`. Sentences that `resolve` adds to its list become notes.
    ///
    /// # Errors
    /// As `resolve`; or a terminal that cannot be written.
    pub(crate) fn open<C: PrintConfig>(
        flags: &ConfigFlags,
        console: &'c mut Console,
        resolve: impl FnOnce(&mut Vec<String>) -> anyhow::Result<C>,
    ) -> anyhow::Result<Option<(Self, C)>> {
        let mut notes = Vec::new();
        let resolved = resolve(&mut notes)?;
        if flags.print_config {
            console.say_all(resolved.printed()?)?;
            return Ok(None);
        }
        Ok(Some((Self { console, notes }, resolved)))
    }

    /// Prints and clears the notes.
    ///
    /// # Errors
    /// When the screen cannot be written.
    pub(crate) fn say_notes(&mut self) -> anyhow::Result<()> {
        let Self { console, notes } = self;
        Ok(notes.drain(..).try_for_each(|note| console.say_sentence(&format!("Note: {note}")))?)
    }

    /// Prints the notice about synthetic bars, if the bars are synthetic.
    ///
    /// # Errors
    /// When the screen cannot be written.
    pub(crate) fn say_synthetic(&mut self, synthetic: bool) -> anyhow::Result<()> {
        Ok(self.console.say_all(synthetic::notice(synthetic))?)
    }
}

/// Configurations that `--print-config` can print.
pub(crate) trait PrintConfig {
    /// Returns the configurations as annotated TOML, one text each.
    ///
    /// # Errors
    /// When a value cannot be written as TOML.
    fn printed(&self) -> anyhow::Result<Vec<String>>;
}

impl PrintConfig for RunConfig {
    fn printed(&self) -> anyhow::Result<Vec<String>> {
        Ok(vec![self.to_annotated_toml()?.trim_end().to_owned()])
    }
}

/// A configuration, and the values resolved with it.
impl<T> PrintConfig for (RunConfig, T) {
    fn printed(&self) -> anyhow::Result<Vec<String>> {
        self.0.printed()
    }
}

/// Returns one of several configurations, with its title above.
///
/// # Errors
/// When a value cannot be written as TOML.
pub(crate) fn titled(title: &str, config: &RunConfig) -> anyhow::Result<String> {
    Ok(format!("# {title}\n\n{}", config.to_annotated_toml()?))
}
