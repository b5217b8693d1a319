//! Keys that no log, error or file can show.

use std::fmt;

/// A key. It shows itself to nobody but the header that carries it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a key over, blanks around it dropped; nothing where it is empty or holds what no header can carry.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let key = text.trim();
        let sound = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        sound.then(|| Self(key.to_owned()))
    }

    /// Returns the value of a header `Authorization` that carries the key.
    pub(crate) fn bearer(key: &Self) -> Self {
        Self(format!("Bearer {}", key.0))
    }

    /// Returns the key itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Takes every copy of the key out of a text.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows() {
        let key = Secret::new("  abc123\n").unwrap();
        assert_eq!(format!("{key:?} {:?}", Some(&key)), "[key] Some([key])");
        assert_eq!((key.reveal(), key.scrub("apiKey=abc123&x").as_str()), ("abc123", "apiKey=[key]&x"));
        for odd in ["", "  ", "two words", "zwölf", "a\u{7f}"] {
            assert_eq!(Secret::new(odd), None, "{odd:?}");
        }
    }
}
