//! `fieldPath` of a rule: `.a.b['c']` (kubernetes 1.36:
//! apiextensions-apiserver/pkg/apiserver/schema/cel/validation.go).

use crate::machinery::schema::Node;

/// The path in the form of errors (`a.b[c]`); `None` if the schema has no such field.
pub(super) fn normalise(path: &str, root: Node<'_>) -> Option<String> {
    let mut shown = String::new();
    let mut node = root;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = step(rest)?;
        let is_field = node.properties().next().is_some();
        node = match is_field {
            true => node.property(&name)?,
            false => node.additional()?,
        };
        if !is_field {
            shown.push_str(&format!("[{name}]"));
        } else if shown.is_empty() {
            shown.push_str(&name);
        } else {
            shown.push_str(&format!(".{name}"));
        }
        rest = after;
    }
    Some(shown)
}

/// The first step, and what follows it.
fn step(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        return (end > 0).then(|| (rest[..end].to_owned(), &rest[end..]));
    }
    let rest = text.strip_prefix("['")?;
    let mut name = String::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' => return Some((name, rest[at + 1..].strip_prefix(']')?)),
            '\\' => name.push(match characters.next()?.1 {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                plain @ ('\'' | '\\') => plain,
                _ => return None,
            }),
            plain => name.push(plain),
        }
    }
    None
}
