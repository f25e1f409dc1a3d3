//! Property names as CEL identifiers (kubernetes 1.36: apiserver/pkg/cel/escaping.go).

use std::borrow::Cow;

/// Names that are keywords of CEL.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

const ESCAPES: [(&str, &str); 4] =
    [("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// Whether a name is a keyword.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The identifier of a property; `None` if it has none.
pub(super) fn escape(name: &str) -> Option<Cow<'_, str>> {
    if is_reserved(name) {
        return Some(Cow::Owned(format!("__{name}__")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| plain(c) || ".-/".contains(c));
    if !valid {
        return None;
    }
    if name.chars().all(plain) && !name.contains("__") {
        return Some(Cow::Borrowed(name));
    }
    let mut escaped = String::with_capacity(name.len() + 16);
    let mut rest = name;
    'next: while let Some(first) = rest.chars().next() {
        for (plain, replacement) in ESCAPES {
            if let Some(after) = rest.strip_prefix(plain) {
                escaped.push_str(replacement);
                rest = after;
                continue 'next;
            }
        }
        escaped.push(first);
        rest = &rest[first.len_utf8()..];
    }
    Some(Cow::Owned(escaped))
}

/// The property of an identifier.
pub(super) fn unescape(name: &str) -> Cow<'_, str> {
    if !name.contains("__") {
        return Cow::Borrowed(name);
    }
    let keyword = name.strip_prefix("__").and_then(|name| name.strip_suffix("__"));
    if let Some(keyword) = keyword.filter(|keyword| RESERVED.contains(keyword)) {
        return Cow::Borrowed(keyword);
    }
    let mut unescaped = String::with_capacity(name.len());
    let mut rest = name;
    'next: while let Some(first) = rest.chars().next() {
        for (plain, escape) in ESCAPES {
            if let Some(after) = rest.strip_prefix(escape) {
                unescaped.push_str(plain);
                rest = after;
                continue 'next;
            }
        }
        unescaped.push(first);
        rest = &rest[first.len_utf8()..];
    }
    Cow::Owned(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_upstreams_and_reversible() {
        for (name, escaped) in [
            ("a", "a"),
            ("a.b", "a__dot__b"),
            ("a-b/c", "a__dash__b__slash__c"),
            ("a__b", "a__underscores__b"),
            ("a___b", "a__underscores___b"),
            ("namespace", "__namespace__"),
            ("_a", "_a"),
            ("_-", "___dash__"),
        ] {
            assert_eq!(escape(name).as_deref(), Some(escaped), "{name}");
            assert_eq!(unescape(escaped), name, "{escaped}");
        }
        for name in ["", "1a", "a b", "ä", "$ref", "a@"] {
            assert_eq!(escape(name), None, "{name}");
        }
    }
}
