//! Keys and addresses of vendors: from the environment, or from a file `.env` in the current folder or beside the program.
//!
//! The environment wins over the files, the current folder over the program's. A key is never printed, logged or written.

use std::{collections::BTreeMap, path::PathBuf};

use market_data::source::vendor::{Secret, VendorError};
use url::Url;

/// What the environment and the files say.
#[derive(Clone, Default)]
pub struct Credentials {
    files: BTreeMap<String, String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.files.keys()).finish()
    }
}

/// A key and the variable that holds it.
pub type Named = (Secret, &'static str);

impl Credentials {
    /// Reads the files, as far as they are there. A line that is no assignment is passed over.
    pub fn read() -> Self {
        let here = PathBuf::from(".env");
        let program = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(".env")));
        Self::of([Some(here), program].into_iter().flatten())
    }

    /// Reads some files; of two that set a variable, the first wins.
    fn of(paths: impl Iterator<Item = PathBuf>) -> Self {
        let mut files = BTreeMap::new();
        for text in paths.filter_map(|path| std::fs::read_to_string(path).ok()) {
            // Editors of another system put a mark before the first line.
            let pairs = dotenvy::from_read_iter(text.trim_start_matches('\u{feff}').as_bytes()).flatten();
            for (name, value) in pairs.filter(|(_, value)| !value.trim().is_empty()) {
                files.entry(name).or_insert(value);
            }
        }
        Self { files }
    }

    /// Returns what a variable holds, unless it is empty.
    fn get(&self, name: &str) -> Option<String> {
        variable(name).or_else(|| self.files.get(name).cloned())
    }

    /// Returns the first key that is set.
    ///
    /// # Errors
    /// A key that cannot be one.
    pub fn first(&self, names: &[&'static str]) -> Result<Option<Named>, VendorError> {
        let Some((name, text)) = names.iter().find_map(|name| Some((*name, self.get(name)?))) else { return Ok(None) };
        Secret::new(&text).map(|key| Some((key, name))).ok_or(VendorError::OddKey { name })
    }

    /// Returns the first pair of keys of which both are set.
    ///
    /// # Errors
    /// A key that cannot be one.
    pub fn pair(&self, names: &[(&'static str, &'static str)]) -> Result<Option<[Named; 2]>, VendorError> {
        for (first, second) in names {
            if let (Some(a), Some(b)) = (self.first(&[*first])?, self.first(&[*second])?) {
                return Ok(Some([a, b]));
            }
        }
        Ok(None)
    }
}

#[expect(clippy::disallowed_methods, reason = "keys do not belong into files of configuration or on a command line")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Returns the address in a variable of the environment, or the usual one. A file has no say: it might have come with a
/// folder from somebody else, and would send the key there.
///
/// # Errors
/// A text that is no address, or one that would carry a key over an open line.
pub fn address(name: &'static str, usual: &str) -> Result<Url, VendorError> {
    checked(name, variable(name).unwrap_or_else(|| usual.to_owned()))
}

fn checked(name: &'static str, text: String) -> Result<Url, VendorError> {
    let local = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let safe = |url: &Url| url.has_host() && (url.scheme() == "https" || url.scheme() == "http" && local(url));
    text.trim().parse().ok().filter(safe).ok_or(VendorError::Address { name, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_a_mark_and_need_not_be_one() {
        assert_eq!(keys("\u{feff}Z_KEY=abc\n").first(&["Z_KEY"]).unwrap().map(|(_, name)| name), Some("Z_KEY"));
        let folder = tempfile::tempdir().unwrap();
        assert!(Credentials::of([folder.path().to_owned()].into_iter()).files.is_empty());
    }

    fn keys(text: &str) -> Credentials {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".env");
        std::fs::write(&file, text).unwrap();
        Credentials::of([folder.path().join("absent"), file].into_iter())
    }

    #[test]
    fn the_first_name_that_is_set_wins_and_quotes_go() {
        let keys = keys("# mine\nZ_OLD=old\nZ_NEW=\"abc 1\"\nZ_EMPTY=\nexport Z_KEY='k123'\nnonsense\n");
        assert_eq!(keys.first(&["Z_EMPTY", "Z_KEY", "Z_OLD"]).unwrap(), Secret::new("k123").map(|key| (key, "Z_KEY")));
        assert_eq!(keys.first(&["Z_NONE"]).unwrap(), None);
        assert!(keys.first(&["Z_NEW"]).unwrap_err().to_string().contains("Z_NEW"), "a blank inside");
        let pair = keys.pair(&[("Z_KEY", "Z_EMPTY"), ("Z_OLD", "Z_KEY")]).unwrap().unwrap();
        assert_eq!(pair.map(|(_, name)| name), ["Z_OLD", "Z_KEY"]);
        assert!(!format!("{keys:?}").contains("k123"));
    }

    #[test]
    fn a_key_travels_to_safe_addresses_only() {
        let address = |text: &str| checked("Z_URL", text.to_owned());
        assert_eq!(address("https://api.example.com").unwrap().as_str(), "https://api.example.com/");
        assert_eq!(address("http://127.0.0.1:8080").unwrap().port(), Some(8080));
        for odd in ["http://api.example.com", "localhost", "ftp://localhost", "https://"] {
            assert!(address(odd).is_err(), "{odd}");
        }
    }
}
