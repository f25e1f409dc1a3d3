//! kubectl's JSONPath dialect, as printer columns use it: `.spec.a`,
//! `.metadata.labels['cluster\.x-k8s\.io/cluster-name']`,
//! `.status.conditions[?(@.type=="Ready")].status`, `[0]`, `[*]`, `..name`.
//!
//! Compiled once, evaluated often. Missing fields give no result instead of an error, as the
//! table convertor of CRDs asks for (apiextensions `tableconvertor.go`).

use std::cell::Cell;

use serde_json::Value;

/// A text that is no JSONPath, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSONPath {path:?}: {reason}")]
pub struct JsonPathError {
    path: String,
    reason: &'static str,
}

/// A compiled path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Fields(Vec<String>),
    Index(i64),
    Slice(Option<i64>, Option<i64>, usize),
    Wildcard,
    Descend,
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Exists,
    Compare(Compare, Operand),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Vec<Step>),
    Literal(Value),
}

impl JsonPath {
    /// Compiles a path, with or without the braces of a kubectl template and a leading `$`.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let trimmed = text.trim();
        let inner =
            trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(trimmed);
        let mut parser = Parser { rest: inner.trim(), depth: 0 };
        let steps = parser
            .steps()
            .and_then(|steps| {
                if parser.rest.is_empty() { Ok(steps) } else { Err("unrecognized character") }
            })
            .map_err(|reason| JsonPathError { path: text.to_owned(), reason })?;
        Ok(Self { steps })
    }

    /// All results in document order.
    pub fn evaluate<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        evaluate(&self.steps, value, &Visits::default())
    }

    /// The first result, which is what a table cell shows.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        // The usual path is nothing but fields, which needs no list of results.
        let mut current = value;
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                Step::Field(name) => current = current.get(name)?,
                _ => {
                    return evaluate(&self.steps[position..], current, &Visits::default())
                        .first()
                        .copied();
                }
            }
        }
        Some(current)
    }
}

/// Values that one evaluation may still visit; descents within descents and filters would have it
/// visit any number. What is not visited is not found.
struct Visits(Cell<usize>);

/// More than an object can have values.
const VISITS_MAX: usize = 1 << 20;

impl Default for Visits {
    fn default() -> Self {
        Self(Cell::new(VISITS_MAX))
    }
}

impl Visits {
    fn next(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

fn evaluate<'v>(steps: &[Step], value: &'v Value, visits: &Visits) -> Vec<&'v Value> {
    let mut current = vec![value];
    for step in steps {
        let mut next = Vec::new();
        for value in current.into_iter().take_while(|_| visits.next()) {
            step.collect(value, &mut next, visits);
        }
        current = next;
    }
    current
}

impl Step {
    fn collect<'v>(&self, value: &'v Value, out: &mut Vec<&'v Value>, visits: &Visits) {
        match self {
            Step::Field(name) => out.extend(value.get(name)),
            Step::Fields(names) => out.extend(names.iter().filter_map(|name| value.get(name))),
            Step::Wildcard => match value {
                Value::Array(items) => out.extend(items),
                Value::Object(fields) => out.extend(fields.values()),
                _ => {}
            },
            Step::Descend => descend(value, out, visits),
            Step::Index(index) => {
                if let Value::Array(items) = value {
                    let at = clamp(*index, items.len());
                    out.extend(at.and_then(|at| items.get(at)));
                }
            }
            Step::Slice(from, to, step) => {
                if let Value::Array(items) = value {
                    let bound =
                        |index: i64| clamp(index, items.len()).unwrap_or(0).min(items.len());
                    let (from, to) = (from.map_or(0, bound), to.map_or(items.len(), bound));
                    out.extend(items.iter().take(to).skip(from).step_by(*step));
                }
            }
            Step::Filter(filter) => match value {
                Value::Array(items) => {
                    let items = items.iter().take_while(|_| visits.next());
                    out.extend(items.filter(|item| filter.holds(item, visits)));
                }
                other if filter.holds(other, visits) => out.push(other),
                _ => {}
            },
        }
    }
}

fn descend<'v>(value: &'v Value, out: &mut Vec<&'v Value>, visits: &Visits) {
    if !visits.next() {
        return;
    }
    out.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, out, visits)),
        Value::Object(fields) => fields.values().for_each(|field| descend(field, out, visits)),
        _ => {}
    }
}

fn clamp(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

impl Filter {
    fn holds(&self, item: &Value, visits: &Visits) -> bool {
        let left = self.left.value(item, visits);
        match &self.test {
            Test::Exists => left.is_some(),
            Test::Compare(compare, right) => match (left, right.value(item, visits)) {
                (Some(left), Some(right)) => compare.holds(left, right),
                _ => false,
            },
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, item: &'v Value, visits: &Visits) -> Option<&'v Value> {
        match self {
            Operand::Literal(value) => Some(value),
            Operand::Path(steps) => evaluate(steps, item, visits).first().copied(),
        }
    }
}

impl Compare {
    fn holds(self, left: &Value, right: &Value) -> bool {
        use std::cmp::Ordering;
        let order = match (left, right) {
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => {
                a.as_f64().and_then(|a| a.partial_cmp(&b.as_f64()?))
            }
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            _ => None,
        };
        match self {
            Compare::Equal => order == Some(Ordering::Equal),
            Compare::NotEqual => order.is_some_and(|order| order != Ordering::Equal),
            Compare::Less => order == Some(Ordering::Less),
            Compare::LessOrEqual => order.is_some_and(|order| order != Ordering::Greater),
            Compare::Greater => order == Some(Ordering::Greater),
            Compare::GreaterOrEqual => order.is_some_and(|order| order != Ordering::Less),
        }
    }
}

/// Deepest nesting of filters.
const DEPTH_MAX: usize = 16;

struct Parser<'a> {
    rest: &'a str,
    /// Filters that the rest is in.
    depth: usize,
}

type Parsed<T> = Result<T, &'static str>;

impl<'a> Parser<'a> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, text: &str, reason: &'static str) -> Parsed<()> {
        if self.eat(text) { Ok(()) } else { Err(reason) }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Reads steps until something else comes.
    fn steps(&mut self) -> Parsed<Vec<Step>> {
        let mut steps = Vec::new();
        if !self.eat("$") {
            self.eat("@");
        }
        if steps.is_empty() && self.rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            steps.push(Step::Field(self.name()?));
        }
        loop {
            if self.eat("..") {
                steps.push(Step::Descend);
                if !self.rest.starts_with('[') {
                    steps.push(self.field()?);
                }
            } else if self.eat(".") {
                if !self.rest.is_empty() && !self.rest.starts_with('[') {
                    steps.push(self.field()?);
                }
            } else if self.eat("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn field(&mut self) -> Parsed<Step> {
        if self.eat("*") { Ok(Step::Wildcard) } else { self.name().map(Step::Field) }
    }

    /// Reads a name; a backslash takes the next character as it is.
    fn name(&mut self) -> Parsed<String> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.extend(chars.next().map(|(_, c)| c)),
                '.' | '[' | ']' | '(' | ')' | '=' | '!' | '<' | '>' | '{' | '}' | ' ' | ','
                | '\'' | '"' => {
                    end = at;
                    break;
                }
                c => name.push(c),
            }
        }
        self.rest = &self.rest[end..];
        if name.is_empty() { Err("a field name is missing") } else { Ok(name) }
    }

    fn bracket(&mut self) -> Parsed<Step> {
        self.skip_spaces();
        if self.eat("?(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err("filters are nested too deep");
            }
            let filter = self.filter()?;
            self.depth -= 1;
            self.expect(")", "unterminated filter")?;
            self.skip_spaces();
            self.expect("]", "unterminated filter")?;
            return Ok(Step::Filter(Box::new(filter)));
        }
        if self.rest.starts_with(['\'', '"']) {
            let mut names = vec![self.quoted()?];
            self.skip_spaces();
            while self.eat(",") {
                self.skip_spaces();
                names.push(self.quoted()?);
                self.skip_spaces();
            }
            self.expect("]", "unterminated array")?;
            return Ok(match <[String; 1]>::try_from(names) {
                Ok([name]) => Step::Field(name),
                Err(names) => Step::Fields(names),
            });
        }
        let (inside, rest) = self.rest.split_once(']').ok_or("unterminated array")?;
        self.rest = rest;
        let inside = inside.trim();
        if inside == "*" {
            return Ok(Step::Wildcard);
        }
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| "invalid array index"),
        };
        let parts: Vec<&str> = inside.split(':').collect();
        match parts[..] {
            [index] => number(index)?.map(Step::Index).ok_or("invalid array index"),
            [from, to] => Ok(Step::Slice(number(from)?, number(to)?, 1)),
            [from, to, step] => {
                let step = number(step)?.unwrap_or(1);
                let step = usize::try_from(step).ok().filter(|step| *step > 0);
                Ok(Step::Slice(number(from)?, number(to)?, step.ok_or("step must be > 0")?))
            }
            _ => Err("invalid array index"),
        }
    }

    fn quoted(&mut self) -> Parsed<String> {
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'));
        let quote = quote.ok_or("unterminated quoted string")?;
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                text.extend(chars.next().map(|(_, c)| c));
            } else if c == quote {
                self.rest = &self.rest[at + 1..];
                return Ok(text);
            } else {
                text.push(c);
            }
        }
        Err("unterminated quoted string")
    }

    fn filter(&mut self) -> Parsed<Filter> {
        self.skip_spaces();
        let left = self.operand()?;
        self.skip_spaces();
        let operators = [
            ("==", Compare::Equal),
            ("!=", Compare::NotEqual),
            ("<=", Compare::LessOrEqual),
            (">=", Compare::GreaterOrEqual),
            ("<", Compare::Less),
            (">", Compare::Greater),
        ];
        for (text, compare) in operators {
            if self.eat(text) {
                self.skip_spaces();
                let right = self.operand()?;
                self.skip_spaces();
                return Ok(Filter { left, test: Test::Compare(compare, right) });
            }
        }
        Ok(Filter { left, test: Test::Exists })
    }

    fn operand(&mut self) -> Parsed<Operand> {
        if self.rest.starts_with(['\'', '"']) {
            return self.quoted().map(|text| Operand::Literal(Value::String(text)));
        }
        if self.rest.starts_with(['@', '$', '.']) {
            return self.steps().map(Operand::Path);
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || matches!(c, ')' | '=' | '!' | '<' | '>'))
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        match serde_json::from_str(text) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => Ok(Operand::Literal(value)),
            _ => Err("invalid filter operand"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "metadata": {"labels": {"cluster.x-k8s.io/cluster-name": "c1"},
                         "ownerReferences": [{"kind": "A", "name": "a"}, {"kind": "Machine", "name": "m"}]},
            "spec": {"list": [1, 2, 3, 4], "n": 0},
            "status": {"conditions": [{"type": "Available", "status": "False"}, {"type": "Ready", "status": "True"}]},
        })
    }

    #[test]
    fn paths_of_printer_columns_evaluate() {
        for (path, results) in [
            (".spec.n", json!([0])),
            ("{.spec.n}", json!([0])),
            ("$.spec.n", json!([0])),
            (".spec.missing.deeper", json!([])),
            (r".metadata.labels['cluster\.x-k8s\.io/cluster-name']", json!(["c1"])),
            (r".metadata.labels.cluster\.x-k8s\.io/cluster-name", json!(["c1"])),
            (r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"])),
            (r#".status.conditions[?(@.type == 'Ready')].status"#, json!(["True"])),
            (r#".status.conditions[?(@.type!="Ready")].status"#, json!(["False"])),
            (r#".status.conditions[?(@.type=="None")].status"#, json!([])),
            (r#".metadata.ownerReferences[?(@.kind=="Machine")].name"#, json!(["m"])),
            (".spec.list[0]", json!([1])),
            (".spec.list[-1]", json!([4])),
            (".spec.list[9]", json!([])),
            (".spec.list[1:3]", json!([2, 3])),
            (".spec.list[::2]", json!([1, 3])),
            (".spec.list[*]", json!([1, 2, 3, 4])),
            (".spec.list[?(@ > 2)]", json!([3, 4])),
            ("..kind", json!(["A", "Machine"])),
            (".metadata.ownerReferences[?(@.name)].kind", json!(["A", "Machine"])),
            (".metadata.ownerReferences[0]['kind','name']", json!(["A", "a"])),
        ] {
            let object = object();
            let compiled = JsonPath::parse(path).unwrap();
            let found: Vec<Value> = compiled.evaluate(&object).into_iter().cloned().collect();
            assert_eq!(Value::from(found.clone()), results, "{path}");
            assert_eq!(compiled.first(&object), found.first(), "{path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in [".a[", ".a[?(@.b==", ".a['x", ".a[x]", ".a)", ".a[::0]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in "[.@$a*?()\\[\\]'\"=<:0-9\\\\é, -]{0,20}") {
            if let Ok(path) = JsonPath::parse(&text) {
                let _ = path.evaluate(&object());
            }
        }
    }
}
