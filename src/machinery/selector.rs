//! Label and field selectors: parsed from query parameters, matched against every object of a list.
//!
//! Grammar, canonical text and error messages are apimachinery's `labels` and `fields` packages.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::names;
use super::status::quote;

/// How a label requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `in (a,b)`.
    In,
    /// `notin (a,b)`.
    NotIn,
    /// `=`.
    Equals,
    /// `==`.
    DoubleEquals,
    /// `!=`.
    NotEquals,
    /// The key alone.
    Exists,
    /// `!key`.
    DoesNotExist,
    /// `>`, on integers.
    GreaterThan,
    /// `<`, on integers.
    LessThan,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Comparison.
    pub operator: Operator,
    /// Values, sorted and distinct; empty for `Exists` and `DoesNotExist`.
    pub values: Vec<String>,
}

/// A label selector: all requirements must hold. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Parses the string form. The error is kube-apiserver's message for a 400.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut requirements = Parser::new(text).parse()?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    /// A selector that matches no object, as an absent `metav1.LabelSelector` does.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Converts a `metav1.LabelSelector` in JSON: null selects nothing, `{}` everything.
    pub fn from_label_selector(selector: &Value) -> Result<Self, String> {
        let Some(fields) = selector.as_object() else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in
            fields.get("matchLabels").and_then(Value::as_object).into_iter().flatten()
        {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::new(key.clone(), Operator::Equals, vec![value])?);
        }
        let expressions = fields.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let operator = match expression["operator"].as_str().unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(format!("{} is not a valid label selector operator", quote(other)));
                }
            };
            let key = expression["key"].as_str().unwrap_or_default().to_owned();
            let values = expression["values"].as_array().map_or_else(Vec::new, |values| {
                values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            });
            requirements.push(Requirement::new(key, operator, values)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    /// Whether the selector selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_by(|key| labels.get(key).map(String::as_str))
    }

    /// Whether an object is selected whose labels `lookup` finds.
    pub fn matches_by<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(lookup(&r.key)))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

/// A `metav1.LabelSelector` in JSON for people (`metav1.FormatLabelSelector`): `<none>` if empty.
pub fn format_label_selector(selector: &Value) -> String {
    match LabelSelector::from_label_selector(selector) {
        Err(_) => "<error>".to_owned(),
        Ok(selector) => {
            let text = selector.to_string();
            if text.is_empty() { "<none>".to_owned() } else { text }
        }
    }
}

impl Requirement {
    /// Checks key and values; the error joins all complaints as Go's error aggregate does.
    pub fn new(key: String, operator: Operator, mut values: Vec<String>) -> Result<Self, String> {
        let mut errors = Vec::new();
        let complain =
            |path: &str, value: &str, why: &str| format!("{path}: Invalid value: {value}: {why}");
        let key_errors = names::check_label_key(&key);
        if !key_errors.is_empty() {
            errors.push(complain("key", &quote(&key), &key_errors.join("; ")));
        }
        let listed = || Value::from(values.clone()).to_string();
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                let why = "for 'in', 'notin' operators, values set can't be empty";
                errors.push(complain("values", &listed(), why));
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                let why = "values set must be empty for exists and does not exist";
                errors.push(complain("values", &listed(), why));
            }
            Operator::GreaterThan | Operator::LessThan => {
                for (index, value) in values.iter().enumerate() {
                    if value.parse::<i64>().is_err() {
                        let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                        errors.push(complain(&format!("values[{index}]"), &quote(value), why));
                    }
                }
            }
            _ => {}
        }
        for (index, value) in values.iter().enumerate() {
            let value_errors = names::check_label_value(value);
            if !value_errors.is_empty() {
                let path = format!("values[{index}][{key}]");
                errors.push(complain(&path, &quote(value), &value_errors.join("; ")));
            }
        }
        match errors.len() {
            0 => {
                values.sort();
                values.dedup();
                Ok(Self { key, operator, values })
            }
            1 => Err(errors.remove(0)),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let listed = |label: &str| self.values.iter().any(|value| value == label);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => label.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !label.is_some_and(listed),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.bound(label).is_some_and(|(label, bound)| label > bound),
            Operator::LessThan => self.bound(label).is_some_and(|(label, bound)| label < bound),
        }
    }

    fn bound(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((label?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let values = self.values.join(",");
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    End,
    Word(&'a str),
    Symbol(&'a str),
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::End => "",
            Token::Word(text) | Token::Symbol(text) => text,
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            let Some(first) = rest.chars().next() else { break };
            let length = if is_symbol(first) {
                let double = rest.starts_with("==") || rest.starts_with("!=");
                1 + usize::from(double)
            } else {
                let end = |c: char| is_symbol(c) || matches!(c, ' ' | '\t' | '\r' | '\n');
                rest.find(end).unwrap_or(rest.len())
            };
            let (token, after) = rest.split_at(length);
            tokens.push(if is_symbol(first) { Token::Symbol(token) } else { Token::Word(token) });
            rest = after;
        }
        tokens.push(Token::End);
        Self { tokens, position: 0 }
    }

    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.position).copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn parse(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(requirements),
                Token::Word(_) | Token::Symbol("!") => {
                    let requirement = self
                        .requirement()
                        .map_err(|error| format!("unable to parse requirement: {error}"))?;
                    requirements.push(requirement);
                }
                other => {
                    let found = other.text();
                    return Err(format!(
                        "found '{found}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") => {
                    let after = self.peek();
                    if !matches!(after, Token::Word(_) | Token::Symbol("!")) {
                        let found = after.text();
                        return Err(format!("found '{found}', expected: identifier after ','"));
                    }
                }
                other => {
                    let found = other.text();
                    return Err(format!("found '{found}', expected: ',' or 'end of string'"));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.next();
        let negated = token == Token::Symbol("!");
        if negated {
            token = self.next();
        }
        let Token::Word(key) = token else {
            return Err(format!("found '{}', expected: identifier", token.text()));
        };
        let errors = names::check_label_key(key);
        if !errors.is_empty() {
            return Err(format!("<nil>: Invalid value: {}: {}", quote(key), errors.join("; ")));
        }
        if negated {
            return Requirement::new(key.to_owned(), Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Requirement::new(key.to_owned(), Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(key.to_owned(), operator, values)
    }

    fn operator(&mut self) -> Result<Operator, String> {
        Ok(match self.next() {
            Token::Word("in") => Operator::In,
            Token::Word("notin") => Operator::NotIn,
            Token::Symbol("=") => Operator::Equals,
            Token::Symbol("==") => Operator::DoubleEquals,
            Token::Symbol("!=") => Operator::NotEquals,
            Token::Symbol(">") => Operator::GreaterThan,
            Token::Symbol("<") => Operator::LessThan,
            other => {
                let found = other.text();
                return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        match self.peek() {
            Token::Word(_) | Token::Symbol(",") => self.value_list(),
            Token::Symbol(")") => {
                self.next();
                Ok(vec![String::new()])
            }
            other => Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
        }
    }

    /// Reads `a,b)`; missing identifiers between commas are empty values.
    fn value_list(&mut self) -> Result<Vec<String>, String> {
        let mut values = Vec::new();
        let mut expects_value = true;
        loop {
            match self.next() {
                Token::Word(word) if expects_value => {
                    values.push(word.to_owned());
                    expects_value = false;
                }
                Token::Symbol(",") => {
                    if expects_value {
                        values.push(String::new());
                    }
                    expects_value = true;
                }
                Token::Symbol(")") => {
                    if expects_value {
                        values.push(String::new());
                    }
                    return Ok(values);
                }
                other if expects_value => {
                    return Err(format!("found '{}', expected: ',', or identifier", other.text()));
                }
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(word) => Ok(word.to_owned()),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

/// One requirement of a field selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldRequirement {
    /// Dotted path such as `metadata.name`.
    pub path: String,
    /// `true` for `=` and `==`, `false` for `!=`.
    pub equals: bool,
    /// Value to compare with, unescaped.
    pub value: String,
}

/// A field selector: all requirements must hold. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses `a=b,c!=d`; `\` escapes `,`, `=` and itself in values. The error is kube-apiserver's
    /// message for a 400.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let Some((path, equals, value)) = split_term(term) else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            let value = unescape(value)?;
            requirements.push(FieldRequirement { path: path.to_owned(), equals, value });
        }
        Ok(Self { requirements })
    }

    /// Whether the selector selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldRequirement> {
        self.requirements.iter()
    }

    /// Whether an object is selected whose fields `lookup` gives; absent fields are empty strings.
    pub fn matches_by<S: AsRef<str>>(&self, lookup: impl Fn(&str) -> S) -> bool {
        self.requirements.iter().all(|r| (lookup(&r.path).as_ref() == r.value.as_str()) == r.equals)
    }

    /// The one value that `path` must have, if the selector says so.
    pub fn exact(&self, path: &str) -> Option<&str> {
        let mut found = self.requirements.iter().filter(|r| r.equals && r.path == path);
        found.next().map(|r| r.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let operator = if requirement.equals { "=" } else { "!=" };
            write!(f, "{}{operator}", requirement.path)?;
            for c in requirement.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let index = term.find("!=").into_iter().chain(term.find('=')).min()?;
    let (path, rest) = term.split_at(index);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((path, false, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((path, true, value))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    ));
                }
            },
            ',' | '=' => {
                let code = c as u32;
                return Err(format!(
                    "invalid field selector: unescaped character in value: {code}"
                ));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn selects_as_kube_apiserver_does() {
        let dev = labels(&[("t", "1"), ("env", "dev")]);
        let bare = labels(&[("t", "1"), ("num", "5")]);
        for (text, on_dev, on_bare) in [
            ("", true, true),
            ("t", true, true),
            ("t,env", true, false),
            ("t,!env", false, true),
            ("env=dev", true, false),
            ("env==dev", true, false),
            ("env!=dev", false, true),
            ("env in (dev,prod)", true, false),
            ("env notin (dev,prod)", false, true),
            ("num>4", false, true),
            ("num>5", false, false),
            ("num<6", false, true),
            ("t=1,t=2", false, false),
            ("t=", false, false),
            ("t in ()", false, false),
            (" t = 1 ", true, true),
            ("env in (,dev)", true, false),
        ] {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&dev), on_dev, "{text}");
            assert_eq!(selector.matches(&bare), on_bare, "{text}");
        }
    }

    #[test]
    fn parse_errors_are_upstreams() {
        for (text, error) in [
            ("=x", "found '=', expected: !, identifier, or 'end of string'"),
            ("t,,env", "found ',', expected: identifier after ','"),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("t in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("t in (dev", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("t in x", "unable to parse requirement: found 'x' expected: '('"),
            (
                "n>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap_err(), error, "{text}");
        }
        let long = "x".repeat(64);
        assert_eq!(
            LabelSelector::parse(&format!("t={long}")).unwrap_err(),
            format!(
                "unable to parse requirement: values[0][t]: Invalid value: \"{long}\": must be no more than 63 bytes"
            )
        );
        assert!(LabelSelector::parse("-bad=1").unwrap_err().starts_with(
            "unable to parse requirement: <nil>: Invalid value: \"-bad\": name part must"
        ));
    }

    #[test]
    fn label_selector_objects_convert() {
        let selector = json!({
            "matchLabels": {"b": "2", "a": "1"},
            "matchExpressions": [{"key": "c", "operator": "NotIn", "values": ["y", "x"]}],
        });
        assert_eq!(format_label_selector(&selector), "a=1,b=2,c notin (x,y)");
        assert_eq!(format_label_selector(&json!({})), "<none>");
        assert_eq!(format_label_selector(&Value::Null), "<none>");
        assert!(!LabelSelector::from_label_selector(&Value::Null).unwrap().matches(&labels(&[])));
        assert!(LabelSelector::from_label_selector(&json!({})).unwrap().is_empty());
        let wrong = json!({"matchExpressions": [{"key": "c", "operator": "Gt"}]});
        assert_eq!(
            LabelSelector::from_label_selector(&wrong).unwrap_err(),
            "\"Gt\" is not a valid label selector operator"
        );
    }

    #[test]
    fn field_selectors_parse_as_upstream() {
        let selector = FieldSelector::parse("metadata.name!=a,metadata.namespace==ns").unwrap();
        assert_eq!(selector.exact("metadata.namespace"), Some("ns"));
        assert_eq!(selector.exact("metadata.name"), None);
        assert_eq!(selector.to_string(), "metadata.name!=a,metadata.namespace=ns");
        assert_eq!(
            FieldSelector::parse("metadata.name").unwrap_err(),
            "invalid selector: 'metadata.name'; can't understand 'metadata.name'"
        );
        assert_eq!(
            FieldSelector::parse("metadata.name in (a,b)").unwrap_err(),
            "invalid selector: 'metadata.name in (a,b)'; can't understand 'b)'"
        );
        assert!(FieldSelector::parse("").unwrap().is_empty());
        let empty_value = FieldSelector::parse("spec.nodeName=").unwrap();
        assert!(empty_value.matches_by(|_| ""));
    }

    proptest! {
        #[test]
        fn canonical_form_parses_to_the_same_selector(
            text in "(a|b|c)( in \\((x|y),z\\)|=x|==y|!=z|>1|)(,!d)?(,e notin \\(\\))?"
        ) {
            let selector = LabelSelector::parse(&text).unwrap();
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn parsers_never_panic(text in "[ab!=<>(), in\\\\é]{0,16}") {
            let _ = LabelSelector::parse(&text);
            let _ = FieldSelector::parse(&text);
        }

        #[test]
        fn field_values_survive_escaping(value in "[a-c,=\\\\]{0,8}") {
            let selector = FieldSelector {
                requirements: vec![FieldRequirement { path: "p".into(), equals: true, value }],
            };
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
