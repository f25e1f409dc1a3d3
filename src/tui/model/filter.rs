//! What `/` takes: text or a regular expression, `!text` for the opposite, `-l labels`, `-f letters`.

use regex::{Regex, RegexBuilder};

use super::row::Row;
use crate::machinery::selector::LabelSelector;

/// Size of a compiled expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Which rows are shown.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) enum Filter {
    /// All.
    #[default]
    All,
    /// Rows in which the expression is found, or not found.
    Text { regex: Box<Regex>, inverse: bool },
    /// Rows whose labels match.
    Labels(LabelSelector),
    /// Rows whose name has these letters in this order.
    Letters(String),
}

impl Filter {
    /// Reads a filter as typed. Text that is no regular expression is looked for as it is; a
    /// selector that cannot be read yet (it is being typed) keeps everything.
    pub(in crate::tui) fn parse(typed: &str) -> Self {
        let typed = typed.trim();
        if let Some(selector) = typed.strip_prefix("-l") {
            return match LabelSelector::parse(selector.trim()) {
                Ok(selector) if !selector.is_empty() => Self::Labels(selector),
                _ => Self::All,
            };
        }
        if let Some(letters) = typed.strip_prefix("-f") {
            return match letters.trim() {
                "" => Self::All,
                letters => Self::Letters(letters.to_lowercase()),
            };
        }
        let (text, inverse) = match typed.strip_prefix('!') {
            Some(text) => (text.trim(), true),
            None => (typed, false),
        };
        if text.is_empty() {
            return Self::All;
        }
        let regex = |pattern: &str| {
            RegexBuilder::new(pattern).case_insensitive(true).size_limit(REGEX_BYTES_MAX).build()
        };
        match regex(text).or_else(|_| regex(&regex::escape(text))) {
            Ok(regex) => Self::Text { regex: Box::new(regex), inverse },
            Err(_) => Self::All,
        }
    }

    /// Whether a row is shown.
    pub(in crate::tui) fn keeps(&self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::Text { regex, inverse } => {
                let found = row
                    .cells
                    .iter()
                    .filter_map(super::row::Cell::searched)
                    .any(|text| regex.is_match(&text));
                found != *inverse
            }
            Self::Labels(selector) => match row.object.labels() {
                Some(labels) => selector.matches(labels),
                None => selector.matches(&Default::default()),
            },
            Self::Letters(letters) => has_letters(&row.key.name.to_lowercase(), letters),
        }
    }
}

fn has_letters(text: &str, letters: &str) -> bool {
    let mut rest = text.chars();
    letters.chars().all(|letter| rest.any(|other| other == letter))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tui::model::lists;

    fn row(name: &str) -> Row {
        let cluster = serde_json::json!({"metadata": {"name": name, "namespace": "default", "labels": {"env": "dev"}}});
        lists::cluster(&Arc::new(serde_json::from_value(cluster).unwrap()))
    }

    #[test]
    fn filters_read_as_typed() {
        let keeps = |typed: &str, name: &str| Filter::parse(typed).keeps(&row(name));
        assert!(keeps("", "a") && keeps("SCALE", "scale-1") && !keeps("scale", "demo"));
        assert!(keeps("^sc.*1$", "scale-1") && !keeps("^cale", "scale-1"));
        assert!(keeps("[", "a[b") && !keeps("[", "ab"), "no expression: looked for as it is");
        assert!(!keeps("!scale", "scale-1") && keeps("!scale", "demo") && keeps("!", "demo"));
        assert!(keeps("-l env=dev", "a") && !keeps("-l env!=dev", "a") && keeps("-l env=(", "a"));
        assert!(keeps("-f sc1", "scale-1") && !keeps("-f 1s", "scale-1") && keeps("-f", "a"));
    }
}
