//! Regular expressions as Go's `regexp` accepts them.
//!
//! Both engines are of RE2's kind; what only one of them takes is told apart here.

use std::borrow::Cow;

/// Most repetitions that Go allows, nested ones multiplied.
const REPEAT_MAX: u64 = 1000;

/// Go's message about a pattern that it does not accept.
pub(crate) fn error(pattern: &str) -> Option<String> {
    let complaint = repeat_error(pattern).or_else(|| {
        let error = regex_syntax(pattern)?;
        Some(translate(pattern, &error))
    })?;
    Some(format!("error parsing regexp: {complaint}"))
}

fn regex_syntax(pattern: &str) -> Option<String> {
    regex::Regex::new(&to_rust(pattern)).err().map(|error| error.to_string())
}

/// The pattern as Rust's engine reads it: braces that repeat nothing, and brackets and set
/// operators within classes, are plain characters to Go.
pub(crate) fn to_rust(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains(['{', '[']) {
        return Cow::Borrowed(pattern);
    }
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let mut width = first.len_utf8();
        match first {
            '\\' => {
                width += rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..width]);
            }
            '{' if repeat(rest).is_none() => out.push_str("\\{"),
            '[' => {
                width = class_width(rest);
                class_to_rust(&rest[..width], &mut out);
            }
            _ => out.push(first),
        }
        rest = &rest[width..];
    }
    Cow::Owned(out)
}

fn class_to_rust(class: &str, out: &mut String) {
    let mut escaped = false;
    let mut named = false;
    for (at, c) in class.char_indices() {
        let after = class[at..].chars().nth(1);
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if at > 0 && c == '[' {
            named = after == Some(':');
            if !named {
                out.push('\\');
            }
        } else if named {
            named = c != ']';
        } else if matches!(c, '&' | '~') || (c == '-' && after == Some('-')) {
            out.push('\\');
        }
        out.push(c);
    }
}

/// A repetition that Go refuses: a count above its limit, also as the product of nested ones, an
/// operator behind another, or one with nothing before it. (Go: regexp/syntax/parse.go)
fn repeat_error(pattern: &str) -> Option<String> {
    let mut scan = Scan { groups: vec![1], last: 1, has_operand: false, operator: None };
    let mut at = 0;
    while let Some(first) = pattern[at..].chars().next() {
        let rest = &pattern[at..];
        let counted = if first == '{' { repeat(rest) } else { None };
        let is_operator = matches!(first, '*' | '+' | '?') || counted.is_some();
        if !is_operator {
            at += scan.step(rest, first);
            continue;
        }
        let mut width = 1;
        if let Some(counted) = counted {
            width = counted.text.len();
            let product = scan.last.saturating_mul(counted.largest.max(1));
            if !counted.is_valid || product > REPEAT_MAX {
                return Some(format!("invalid repeat count: `{}`", counted.text));
            }
            scan.last = product;
            scan.note();
        }
        width += usize::from(rest[width..].starts_with('?'));
        if let Some(start) = scan.operator {
            let found = &pattern[start..at + width];
            return Some(format!("invalid nested repetition operator: `{found}`"));
        }
        if !scan.has_operand {
            return Some(format!("missing argument to repetition operator: `{}`", &rest[..width]));
        }
        scan.operator = Some(at);
        at += width;
    }
    None
}

/// What is known on the way through a pattern.
struct Scan {
    /// One entry a group: the largest product of counts within it so far.
    groups: Vec<u64>,
    /// Product of the counts of what stands before.
    last: u64,
    /// Whether there is something that can be repeated.
    has_operand: bool,
    /// Where the operator begins that stands before.
    operator: Option<usize>,
}

impl Scan {
    /// Goes over what is no operator; its width.
    fn step(&mut self, rest: &str, first: char) -> usize {
        self.operator = None;
        let mut width = first.len_utf8();
        let mut is_operand = true;
        match first {
            '\\' => {
                width += rest[1..].chars().next().map_or(0, char::len_utf8);
                self.last = 1;
            }
            '[' => {
                width = class_width(rest);
                self.last = 1;
            }
            '(' => {
                let (opener, opens) = opener(rest);
                width = opener;
                if opens {
                    self.groups.push(1);
                    is_operand = false;
                } else {
                    is_operand = self.has_operand;
                }
            }
            ')' => {
                self.last = self.groups.pop().unwrap_or(1);
                if self.groups.is_empty() {
                    self.groups.push(1);
                }
            }
            '|' => is_operand = false,
            _ => self.last = 1,
        }
        self.has_operand = is_operand;
        self.note();
        width
    }

    fn note(&mut self) {
        if let Some(group) = self.groups.last_mut() {
            *group = (*group).max(self.last);
        }
    }
}

/// Bytes of what a group begins with, and whether it is a group and not flags alone.
fn opener(text: &str) -> (usize, bool) {
    if !text.starts_with("(?") {
        return (1, true);
    }
    match text.find([')', ':', '>']) {
        Some(end) => (end + 1, !text[end..].starts_with(')')),
        None => (2, true),
    }
}

/// Bytes of a character class.
fn class_width(text: &str) -> usize {
    let mut escaped = false;
    let mut named = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' if text[at..].starts_with("[:") => named = true,
            ']' if named => named = false,
            ']' if at > 1 && !(at == 2 && text[1..].starts_with('^')) => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A repetition by count.
struct Counted<'a> {
    text: &'a str,
    largest: u64,
    /// Whether the counts are within the limit, and in order.
    is_valid: bool,
}

/// `{n}`, `{n,}` or `{n,m}` at the beginning.
fn repeat(text: &str) -> Option<Counted<'_>> {
    let end = text.find('}')?;
    let (low, high) = match text[1..end].split_once(',') {
        Some((low, high)) => (low, high),
        None => (&text[1..end], ""),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(low) || !(high.is_empty() || is_number(high)) {
        return None;
    }
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let low = number(low);
    let high = if high.is_empty() { low } else { number(high) };
    let largest = low.max(high);
    Some(Counted { text: &text[..=end], largest, is_valid: largest <= REPEAT_MAX && low <= high })
}

/// A group name that is none: Go reads `(?<` as the beginning of one.
fn name_error(pattern: &str) -> Option<String> {
    let at = pattern.match_indices("(?").map(|(at, _)| at).find(|at| {
        let rest = &pattern[at + 2..];
        rest.starts_with('<') || rest.starts_with("P<")
    })?;
    let rest = &pattern[at..];
    let start = rest.find('<')? + 1;
    let Some(end) = rest.find('>') else {
        return Some(format!("invalid named capture: `{rest}`"));
    };
    let name = rest.get(start..end).unwrap_or_default();
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if !name.is_empty() && name.chars().all(is_word) {
        return None;
    }
    Some(format!("invalid named capture: `{}`", &rest[..=end]))
}

/// Go's wording of a bad regular expression, for the mistakes that people make.
fn translate(pattern: &str, error: &str) -> String {
    if let Some(name) = name_error(pattern) {
        return name;
    }
    if error.contains("look-around") {
        let at = pattern.find("(?").unwrap_or_default();
        let width = if pattern[at..].starts_with("(?<") { 4 } else { 3 };
        let found = pattern.get(at..at + width).unwrap_or(pattern);
        return format!("invalid or unsupported Perl syntax: `{found}`");
    }
    if error.contains("repetition operator missing expression") {
        let at = pattern.find(['*', '+', '?']).unwrap_or_default();
        let found = pattern.get(at..at + 1).unwrap_or(pattern);
        return format!("missing argument to repetition operator: `{found}`");
    }
    if error.contains("unclosed character class") {
        let at = pattern.rfind('[').unwrap_or_default();
        return format!("missing closing ]: `{}`", &pattern[at..]);
    }
    if error.contains("unrecognized escape sequence") || error.contains("backreference") {
        let at = pattern.find('\\').unwrap_or_default();
        let found: String = pattern[at..].chars().take(2).collect();
        return format!("invalid escape sequence: `{found}`");
    }
    let kind = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("invalid character class range", "invalid character class range"),
    ];
    let kind = kind.iter().find(|(ours, _)| error.contains(ours));
    let kind = kind.map_or("invalid or unsupported syntax", |(_, theirs)| theirs);
    format!("{kind}: `{pattern}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_refused_in_go_s_words() {
        for (pattern, complaint) in [
            ("(", "missing closing ): `(`"),
            ("^(?!x)", "invalid or unsupported Perl syntax: `(?!`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("((a{100}){100}){100}", "invalid repeat count: `{100}`"),
            ("*a", "missing argument to repetition operator: `*`"),
            ("a[b", "missing closing ]: `[b`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a*??", "invalid nested repetition operator: `*??`"),
            ("a{2}+", "invalid nested repetition operator: `{2}+`"),
            ("(?:a)|*?", "missing argument to repetition operator: `*?`"),
            ("x{2,1}", "invalid repeat count: `{2,1}`"),
            ("(?<=x)y", "invalid named capture: `(?<=x)y`"),
            ("(?P<n", "invalid named capture: `(?P<n`"),
            ("(?=x)y", "invalid or unsupported Perl syntax: `(?=`"),
        ] {
            let expected = format!("error parsing regexp: {complaint}");
            assert_eq!(error(pattern).as_deref(), Some(expected.as_str()), "{pattern}");
        }
        for pattern in [
            "",
            "^a{1,1000}$",
            "[{]{3}",
            "(a{10}){10}",
            "a{,3}",
            "\\{2000}",
            "(?i)a*?",
            "^*",
            "(a|b)+?",
        ] {
            assert_eq!(error(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_to_go() {
        for (pattern, text, matches) in [
            ("^{a}$", "{a}", true),
            ("^[[a]+$", "[a[", true),
            ("^[a&&b]$", "&", true),
            ("^[[:alpha:]]+$", "ab", true),
            ("^[[:alpha:]]+$", "a1", false),
            ("^[]a]+$", "]a", true),
        ] {
            let regex = regex::Regex::new(&to_rust(pattern)).unwrap();
            assert_eq!(regex.is_match(text), matches, "{pattern} {text}");
        }
    }
}
