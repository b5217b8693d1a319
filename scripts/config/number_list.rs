//! Lists of numbers as flags take them, such as `3,5,7-9`.

use std::{collections::BTreeSet, str::FromStr};

/// Most numbers of a list.
const MOST: usize = 100_000;

/// Whole numbers, each once, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberList(pub BTreeSet<usize>);

impl FromStr for NumberList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<usize>().ok();
            match number(first).zip(number(last)) {
                Some((first, last)) if first <= last && last - first < MOST => numbers.extend(first..=last),
                _ => return Err(format!("\"{part}\" is no number and no range: write it as 3,5,7-9")),
            }
        }
        if numbers.len() > MOST { Err(format!("more than {MOST} numbers")) } else { Ok(Self(numbers)) }
    }
}

impl NumberList {
    /// Returns a sentence on the first number that is not one of `first..=last`, if there is one; `what` is the noun, such as fold.
    pub fn fault(&self, what: &str, first: usize, last: usize) -> Option<String> {
        let outside = self.0.iter().find(|number| !(first..=last).contains(*number))?;
        Some(format!("--only {outside}: there is no such {what}; they are {first} to {last}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read_and_anything_else_is_named() {
        let list: NumberList = "7-9, 3,8".parse().unwrap();
        assert_eq!(list.0.iter().copied().collect::<Vec<_>>(), [3, 7, 8, 9]);
        assert_eq!(list.fault("fold", 1, 9), None);
        assert_eq!(list.fault("fold", 1, 8).unwrap(), "--only 9: there is no such fold; they are 1 to 8");
        for text in ["", "3,", "5-4", "x", "-1", "1-999999999"] {
            assert!(text.parse::<NumberList>().unwrap_err().contains("write it as 3,5,7-9"), "{text}");
        }
    }
}
