//! Keys and addresses of vendors: from the environment, or from a file `.env` in the current folder or beside the program.
//!
//! The environment overrides the files, and the current folder overrides the program's. Keys are never printed, logged or
//! written to a file.

use std::{collections::BTreeMap, path::PathBuf};

use market_data::{
    input_file,
    source::vendor::{CredentialSource, NamedKey, Secret, VendorError},
};
use url::Url;

/// Variables of the environment and of the `.env` files.
#[derive(Clone, Default)]
pub struct Credentials {
    files: BTreeMap<String, String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.files.keys()).finish()
    }
}

impl Credentials {
    /// Reads the files that exist. Lines that are not assignments are skipped.
    pub fn read() -> Self {
        let here = PathBuf::from(".env");
        let program = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(".env")));
        Self::of([Some(here), program].into_iter().flatten())
    }

    /// Reads some files; the first one that sets a variable wins.
    fn of(paths: impl Iterator<Item = PathBuf>) -> Self {
        let mut files = BTreeMap::new();
        for text in paths.filter_map(|path| input_file::read_text(&path).ok()) {
            // Some editors write a byte-order mark before the first line.
            let pairs = dotenvy::from_read_iter(text.trim_start_matches('\u{feff}').as_bytes()).flatten();
            for (name, value) in pairs.filter(|(_, value)| !value.trim().is_empty()) {
                files.entry(name).or_insert(value);
            }
        }
        Self { files }
    }

    /// Returns the value of a variable, unless it is empty.
    fn get(&self, name: &str) -> Option<String> {
        variable(name).or_else(|| self.files.get(name).cloned())
    }
}

impl CredentialSource for Credentials {
    fn key(&self, names: &[&'static str]) -> Result<Option<NamedKey>, VendorError> {
        let Some((name, text)) = names.iter().find_map(|name| Some((*name, self.get(name)?))) else { return Ok(None) };
        Secret::new(&text).map(|key| Some((key, name))).ok_or(VendorError::OddKey { name })
    }

    fn key_pair(&self, names: &[(&'static str, &'static str)]) -> Result<Option<[NamedKey; 2]>, VendorError> {
        for (first, second) in names {
            if let (Some(a), Some(b)) = (self.key(&[*first])?, self.key(&[*second])?) {
                return Ok(Some([a, b]));
            }
        }
        Ok(None)
    }

    // The files do not count here: one that came with a folder from somebody else could send the key to another host.
    fn address(&self, name: &'static str, default: &str) -> Result<Url, VendorError> {
        checked(name, variable(name).unwrap_or_else(|| default.to_owned()))
    }
}

#[expect(clippy::disallowed_methods, reason = "keys belong neither in configuration files nor on a command line")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Parses an address to which a key may be sent: https, or http on this machine.
fn checked(name: &'static str, text: String) -> Result<Url, VendorError> {
    let local = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let safe = |url: &Url| url.has_host() && (url.scheme() == "https" || url.scheme() == "http" && local(url));
    text.trim().parse().ok().filter(safe).ok_or(VendorError::Address { name, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_and_a_missing_file_are_no_faults() {
        assert_eq!(keys("\u{feff}Z_KEY=abc\n").key(&["Z_KEY"]).unwrap().map(|(_, name)| name), Some("Z_KEY"));
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
    fn the_first_name_that_is_set_wins_and_quotes_are_dropped() {
        let keys = keys("# mine\nZ_OLD=old\nZ_NEW=\"abc 1\"\nZ_EMPTY=\nexport Z_KEY='k123'\nnonsense\n");
        assert_eq!(keys.key(&["Z_EMPTY", "Z_KEY", "Z_OLD"]).unwrap(), Secret::new("k123").map(|key| (key, "Z_KEY")));
        assert_eq!(keys.key(&["Z_NONE"]).unwrap(), None);
        assert!(keys.key(&["Z_NEW"]).unwrap_err().to_string().contains("Z_NEW"), "a blank inside");
        let pair = keys.key_pair(&[("Z_KEY", "Z_EMPTY"), ("Z_OLD", "Z_KEY")]).unwrap().unwrap();
        assert_eq!(pair.map(|(_, name)| name), ["Z_OLD", "Z_KEY"]);
        assert!(!format!("{keys:?}").contains("k123"));
    }

    #[test]
    fn keys_are_sent_to_safe_addresses_only() {
        let address = |text: &str| checked("Z_URL", text.to_owned());
        assert_eq!(address("https://api.example.com").unwrap().as_str(), "https://api.example.com/");
        assert_eq!(address("http://127.0.0.1:8080").unwrap().port(), Some(8080));
        for unsafe_address in ["http://api.example.com", "localhost", "ftp://localhost", "https://"] {
            assert!(address(unsafe_address).is_err(), "{unsafe_address}");
        }
    }
}
