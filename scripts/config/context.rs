//! The beginning that commands share: print the configuration and end where that was asked for, then the notes, then the notice
//! about synthetic bars.

use crate::{
    config::{RunConfig, flags::ConfigFlags},
    output::{console::Console, synthetic},
};

/// The console of one command, and the notes that its user has not seen yet.
#[derive(Debug)]
pub(crate) struct CommandContext<'c> {
    /// Where the command writes.
    pub(crate) console: &'c mut Console,
    /// Sentences about flags that were understood differently than typed, and about inputs that changed.
    pub(crate) notes: Vec<String>,
}

impl<'c> CommandContext<'c> {
    /// Resolves what a command runs under, a configuration or several; `None` where the flags ask only to print it, which is
    /// done then. Whatever `resolve` adds to its list is noted.
    ///
    /// # Errors
    /// As `resolve`; or a screen that cannot be written.
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

    /// Prints the notes, which are then forgotten.
    ///
    /// # Errors
    /// When the screen cannot be written.
    pub(crate) fn say_notes(&mut self) -> anyhow::Result<()> {
        Ok(self.console.say_all(self.notes.drain(..).map(|note| format!("Note: {note}")))?)
    }

    /// Prints the notice about synthetic bars, if they are.
    ///
    /// # Errors
    /// When the screen cannot be written.
    pub(crate) fn say_synthetic(&mut self, synthetic: bool) -> anyhow::Result<()> {
        Ok(self.console.say_all(synthetic::notice(synthetic))?)
    }
}

/// What `--print-config` prints.
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

/// A configuration, and what else was resolved with it.
impl<T> PrintConfig for (RunConfig, T) {
    fn printed(&self) -> anyhow::Result<Vec<String>> {
        self.0.printed()
    }
}

/// Returns one of several configurations below its title.
///
/// # Errors
/// When a value cannot be written as TOML.
pub(crate) fn titled(title: &str, config: &RunConfig) -> anyhow::Result<String> {
    Ok(format!("# {title}\n\n{}", config.to_annotated_toml()?))
}
