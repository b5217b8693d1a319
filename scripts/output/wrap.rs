//! Texts broken into lines at blanks.

/// Width of a screen in columns.
const SCREEN: usize = 80;

/// Breaks a text into lines for which `fits` holds; a longer word has a line of its own. The first line begins with `first`,
/// the others with `rest`. A text without a word has no line.
pub(crate) fn wrap(text: &str, first: &str, rest: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let longer = lines.last().map(|line| format!("{line} {word}")).filter(|line| fits(line));
        match lines.last_mut().zip(longer) {
            Some((line, longer)) => *line = longer,
            None => {
                let start = if lines.is_empty() { first } else { rest };
                lines.push(format!("{start}{word}"));
            }
        }
    }
    lines
}

/// Breaks a text into lines of at most 80 columns.
pub(crate) fn wrap_for_screen(text: &str) -> Vec<String> {
    wrap_to(text, SCREEN)
}

/// Breaks a text into lines of at most `width` characters.
pub(crate) fn wrap_to(text: &str, width: usize) -> Vec<String> {
    wrap(text, "", "", |line| line.chars().count() <= width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        let lines = wrap_for_screen(&"word ".repeat(40));
        assert_eq!((lines.len(), lines[0].len()), (3, 79));
        assert_eq!(wrap_for_screen(""), Vec::<String>::new());
        assert_eq!(wrap("one two unbreakable", "# ", "#  ", |line| line.len() <= 9), ["# one two", "#  unbreakable"]);
    }
}
