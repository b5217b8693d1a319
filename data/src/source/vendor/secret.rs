//! Keys, which never appear in a log, an error or a file.

use std::fmt;

/// A key. Only the header that carries it can read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns a key without the blanks around it; `None` if it is empty or contains characters that no header can carry.
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

    /// Replaces every copy of the key in a text.
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
        for invalid in ["", "  ", "two words", "zwölf", "a\u{7f}"] {
            assert_eq!(Secret::new(invalid), None, "{invalid:?}");
        }
    }
}
