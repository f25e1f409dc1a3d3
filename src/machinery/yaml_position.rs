//! Where a field of a YAML document is written: line and column for a path as API servers name it.
//!
//! The document is walked when somebody asks, so that what is read without an error costs nothing.

use granit_parser::{Event, Parser, Span, StrInput};

/// Deepest path that is followed.
const DEPTH_MAX: usize = 128;

/// A place in a text; line and column from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// What was found of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the name of the last step that is there is written, or the item of a sequence.
    pub key: Position,
    /// Where its value is, if that is a scalar.
    pub scalar: Option<Position>,
    /// Steps that are there.
    pub depth: usize,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of a mapping.
    Field(String),
    /// An item of a sequence, from 0; also the member of a mapping of that name.
    Item(usize),
}

/// Steps of a path such as `spec.files[2].path`, `.metadata.labels[a.b/c]` or `data["a"]`.
pub fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path.trim_start_matches('.');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (name, behind) = inner.split_once(']').unwrap_or((inner, ""));
            let name = name.trim_matches('"');
            steps.push(name.parse().map_or_else(|_| Step::Field(name.to_owned()), Step::Item));
            rest = behind.strip_prefix('.').unwrap_or(behind);
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        steps.push(Step::Field(rest[..end].to_owned()));
        rest = &rest[end..];
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    steps.truncate(DEPTH_MAX);
    steps
}

/// Follows the steps into the first document of a text as far as they lead; `None` if the text is
/// no YAML up to there, or empty.
pub fn find(text: &str, steps: &[Step]) -> Option<Found> {
    let mut walk = Walk { events: Parser::new_from_str(text) };
    let (mut event, mut span) = walk.root()?;
    let mut found = Found { key: position(&span), scalar: None, depth: 0 };
    for step in steps {
        let entry = match (&event, step) {
            (Event::MappingStart(..), Step::Field(name)) => walk.member(name)?,
            (Event::MappingStart(..), Step::Item(index)) => walk.member(&index.to_string())?,
            (Event::SequenceStart(..), Step::Item(index)) => walk.item(*index)?,
            _ => None,
        };
        let Some((key, value, value_span)) = entry else { return Some(found) };
        (event, span) = (value, value_span);
        let scalar = matches!(event, Event::Scalar(..)).then(|| position(&span));
        found = Found { key, scalar, depth: found.depth + 1 };
    }
    Some(found)
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

/// Where the name of an entry is written, and its value.
type Entry<'a> = (Position, Event<'a>, Span);

struct Walk<'a> {
    events: Parser<'a, StrInput<'a>>,
}

impl<'a> Walk<'a> {
    /// The next event that is content.
    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        loop {
            match self.events.next()?.ok()? {
                (Event::Comment(..), _) => {}
                event => return Some(event),
            }
        }
    }

    fn root(&mut self) -> Option<(Event<'a>, Span)> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return None,
                event => return Some(event),
            }
        }
    }

    /// The member of the mapping that has just begun.
    fn member(&mut self, wanted: &str) -> Option<Option<Entry<'a>>> {
        loop {
            let (name, span) = self.next()?;
            let is_wanted = match &name {
                Event::MappingEnd => return Some(None),
                Event::Scalar(name, ..) => name.as_ref() == wanted,
                _ => false,
            };
            self.skip(&name)?;
            let (value, value_span) = self.next()?;
            if is_wanted {
                return Some(Some((position(&span), value, value_span)));
            }
            self.skip(&value)?;
        }
    }

    /// The item of the sequence that has just begun.
    fn item(&mut self, wanted: usize) -> Option<Option<Entry<'a>>> {
        for _ in 0..wanted {
            match self.next()? {
                (Event::SequenceEnd, _) => return Some(None),
                (event, _) => self.skip(&event)?,
            }
        }
        match self.next()? {
            (Event::SequenceEnd, _) => Some(None),
            (event, span) => Some(Some((position(&span), event, span))),
        }
    }

    /// Leaves the node behind that begins with this event.
    fn skip(&mut self, begun: &Event<'a>) -> Option<()> {
        let mut open = change(begun);
        while open > 0 {
            open += change(&self.next()?.0);
        }
        Some(())
    }
}

/// By how much an event changes the number of open collections.
fn change(event: &Event<'_>) -> i32 {
    match event {
        Event::MappingStart(..) | Event::SequenceStart(..) => 1,
        Event::MappingEnd | Event::SequenceEnd => -1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# first\na: 1\nb:\n  - {x: \"ü\", y: 2}\n  - x: [3, 4]\n    \"z.z\": 7\nc:\n  d: # why\n    e: 5\n";

    #[test]
    fn fields_are_found_where_they_are_written() {
        for (path, depth, key, scalar) in [
            ("", 0, (2, 1), None),
            ("a", 1, (2, 1), Some((2, 4))),
            (".b[0].y", 3, (4, 14), Some((4, 17))),
            ("b[1].x[1]", 4, (5, 12), Some((5, 12))),
            ("b[1].x", 3, (5, 5), None),
            ("b[1][z.z]", 3, (6, 5), Some((6, 12))),
            ("c.d.e", 3, (9, 5), Some((9, 8))),
            ("c.d.f.g", 2, (8, 3), None),
            ("b[7]", 1, (3, 1), None),
            ("b[key=\"x\"]", 1, (3, 1), None),
            ("a.b", 1, (2, 1), Some((2, 4))),
        ] {
            let at = |(line, column)| Position { line, column };
            let expected = Found { key: at(key), scalar: scalar.map(at), depth };
            assert_eq!(find(TEXT, &steps(path)), Some(expected), "{path}");
        }
        assert_eq!(find("", &[]), None);
        assert_eq!(find("a: [", &steps("a[1]")), None);
    }

    #[test]
    fn paths_have_names_and_numbers() {
        let field = |name: &str| Step::Field(name.to_owned());
        assert_eq!(steps(".a.b[3].c"), [field("a"), field("b"), Step::Item(3), field("c")]);
        assert_eq!(steps("a[x.y/z].b"), [field("a"), field("x.y/z"), field("b")]);
        assert_eq!(steps("a[\"k\"]"), [field("a"), field("k")]);
        assert_eq!(steps("[0]"), [Step::Item(0)]);
        assert!(steps(&"a.".repeat(1000)).len() <= DEPTH_MAX);
    }
}
