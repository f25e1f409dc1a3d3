//! Variables in templates, as clusterctl fills them: `${VAR}` with defaults, case, length, parts,
//! replacement and removal. (drone/envsubst v2; CAPI v1.14: cmd/clusterctl/client/yamlprocessor)
//!
//! `${ VAR }` is `${VAR}`, and `$${VAR}` stays `${VAR}`. Bash's `-`, `+` and `?` forms are all
//! defaults, as in the library.

use std::collections::BTreeMap;

/// Deepest nesting of substitutions within defaults.
const DEPTH_MAX: usize = 50;
/// Bytes that a filled template may have.
const OUTPUT_MAX: usize = 64 << 20;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Substitution(Substitution),
}

/// `${param operator args}`
#[derive(Clone, Debug, Default)]
struct Substitution {
    param: String,
    operator: String,
    args: Vec<Node>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// The library's message, like `missing closing brace`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = without_spaces(text);
        let mut scanner = Scanner { text: &text, at: 0, depth: 0 };
        Ok(Self { nodes: scanner.all()? })
    }

    /// The variables of the template with what stands for them if they are not set, if anything.
    pub fn variables(&self) -> BTreeMap<String, Option<String>> {
        let mut found = BTreeMap::new();
        for node in &self.nodes {
            let Node::Substitution(substitution) = node else { continue };
            let mut default = String::new();
            for arg in &substitution.args {
                match arg {
                    Node::Text(text) => default.push_str(text),
                    Node::Substitution(inner) => default.push_str(&format!("${{{}}}", inner.param)),
                }
            }
            let default = (!default.is_empty()).then_some(default);
            found.entry(substitution.param.clone()).or_insert(default);
        }
        found
    }

    /// Fills the template; `value` answers for variables that are set.
    ///
    /// # Errors
    /// clusterctl's message with the variables that have neither value nor default.
    pub fn fill(&self, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        let variables = self.variables();
        let missing: Vec<&str> = variables
            .iter()
            .filter(|(name, default)| default.is_none() && value(name).is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            return Err(format!(
                "value for variables [{}] is not set. Please set the value using os environment \
                 variables or the clusterctl config file",
                missing.join(", ")
            ));
        }
        let mut out = String::new();
        for node in &self.nodes {
            out.push_str(&evaluated(node, value));
            if out.len() > OUTPUT_MAX {
                return Err("the filled template is too large".to_owned());
            }
        }
        Ok(out)
    }
}

/// `${ VAR }`, `${VAR }` and `${ VAR}` are older spellings of `${VAR}`.
fn without_spaces(text: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start + 2);
        out.push_str(before);
        rest = after;
        let Some(end) = after.find('}') else { break };
        let name = after[..end].trim();
        if !name.is_empty() && name.chars().all(is_name) {
            out.push_str(name);
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}

const BAD: &str = "bad substitution";
const NO_PARAMETER: &str = "unable to parse substitution within function";

/// Reads a template from the left.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Steps over a text, if it comes next.
    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn all(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while self.at < self.text.len() {
            if self.skip("${") {
                nodes.push(Node::Substitution(self.substitution()?));
            } else {
                nodes.push(Node::Text(self.run(|_| true, Escapes::Dollars)));
            }
        }
        Ok(nodes)
    }

    /// Characters up to one that is not accepted, or a substitution.
    fn run(&mut self, accept: impl Fn(char) -> bool, escapes: Escapes) -> String {
        let mut out = String::new();
        while let Some(c) = self.peek() {
            let rest = self.rest();
            let escaped = match escapes {
                Escapes::None => None,
                _ if rest.starts_with("$$") => Some('$'),
                Escapes::All if rest.starts_with("\\/") => Some('/'),
                Escapes::All if rest.starts_with("\\\\") => Some('\\'),
                _ => None,
            };
            if let Some(escaped) = escaped {
                out.push(escaped);
                self.at += 2;
                continue;
            }
            if rest.starts_with("${") || !accept(c) {
                break;
            }
            out.push(c);
            self.at += c.len_utf8();
        }
        out
    }

    fn name(&mut self) -> String {
        let rest = self.rest();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        self.at += end;
        name
    }

    /// What stands after `${`.
    fn substitution(&mut self) -> Result<Substitution, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(BAD.to_owned());
        }
        let mut made = Substitution::default();
        if self.skip("#") {
            made.operator = "#".to_owned();
            made.param = self.name();
            if made.param.is_empty() {
                return Err(BAD.to_owned());
            }
            self.close()?;
        } else {
            made.param = self.name();
            if made.param.is_empty() {
                return Err("unable to parse variable name".to_owned());
            }
            self.operation(&mut made)?;
        }
        self.depth -= 1;
        Ok(made)
    }

    fn operation(&mut self, made: &mut Substitution) -> Result<(), String> {
        let operators = |found: &[&str], scanner: &mut Self| {
            let operator = found.iter().find(|operator| scanner.skip(operator));
            operator.map(|operator| (*operator).to_owned())
        };
        match self.peek() {
            Some('=') => {
                made.operator = operators(&["="], self).unwrap_or_default();
                self.default(made)
            }
            Some(':') => match operators(&[":=", ":-", ":?", ":+"], self) {
                Some(operator) => {
                    made.operator = operator;
                    self.default(made)
                }
                None => self.part(made),
            },
            Some(',' | '^') => {
                let case = [",,", "^^", ",^", "^,", ",", "^"];
                made.operator = operators(&case, self).unwrap_or_default();
                self.close()
            }
            Some('/') => {
                let replace = ["//", "/#", "/%", "/"];
                made.operator = operators(&replace, self).unwrap_or_default();
                self.replacement(made)
            }
            Some('#' | '%') => {
                made.operator = operators(&["##", "%%", "#", "%"], self).unwrap_or_default();
                let pattern = self.argument(|c| c != '}', Escapes::None)?;
                made.args.push(pattern);
                self.close()
            }
            _ if self.skip("}") => Ok(()),
            _ => Err("missing closing brace".to_owned()),
        }
    }

    fn default(&mut self, made: &mut Substitution) -> Result<(), String> {
        while !self.skip("}") {
            made.args.push(self.argument(|c| c != '}', Escapes::None)?);
        }
        Ok(())
    }

    fn part(&mut self, made: &mut Substitution) -> Result<(), String> {
        self.skip(":");
        made.operator = ":".to_owned();
        made.args.push(self.argument(|c| c != ':' && c != '}', Escapes::None)?);
        if self.skip("}") {
            return Ok(());
        }
        if !self.skip(":") {
            return Err(BAD.to_owned());
        }
        while self.skip(":") {}
        made.args.push(self.argument(|c| c != '}', Escapes::None)?);
        self.close()
    }

    fn replacement(&mut self, made: &mut Substitution) -> Result<(), String> {
        made.args.push(self.argument(|c| c != '/', Escapes::All)?);
        if !self.skip("/") {
            return Err(BAD.to_owned());
        }
        while self.skip("/") {}
        if self.skip("}") {
            return Ok(());
        }
        made.args.push(self.argument(|c| c != '}', Escapes::All)?);
        self.close()
    }

    fn argument(
        &mut self,
        accept: impl Fn(char) -> bool,
        escapes: Escapes,
    ) -> Result<Node, String> {
        if self.skip("${") {
            return self.substitution().map(Node::Substitution);
        }
        let start = self.at;
        let text = self.run(accept, escapes);
        if self.at == start { Err(NO_PARAMETER.to_owned()) } else { Ok(Node::Text(text)) }
    }

    fn close(&mut self) -> Result<(), String> {
        if self.skip("}") { Ok(()) } else { Err(BAD.to_owned()) }
    }
}

/// Which characters a doubled dollar or a backslash makes plain.
#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    None,
    Dollars,
    All,
}

fn evaluated(node: &Node, value: &dyn Fn(&str) -> Option<String>) -> String {
    match node {
        Node::Text(text) => text.clone(),
        Node::Substitution(substitution) => {
            let args: Vec<String> =
                substitution.args.iter().map(|arg| evaluated(arg, value)).collect();
            apply(&substitution.operator, value(&substitution.param).unwrap_or_default(), &args)
        }
    }
}

fn apply(operator: &str, held: String, args: &[String]) -> String {
    let arg = |at: usize| args.get(at).map_or("", String::as_str);
    match (operator, args.len()) {
        (",", _) => first_changed(&held, |c| c.to_lowercase().collect()),
        (",,", _) => held.to_lowercase(),
        ("^", _) => first_changed(&held, |c| c.to_uppercase().collect()),
        ("^^", _) => held.to_uppercase(),
        ("#", 0) => held.len().to_string(),
        ("#", _) => without_prefix(&held, arg(0), Length::Shortest),
        ("##", _) => without_prefix(&held, arg(0), Length::Longest),
        ("%", _) => without_suffix(&held, arg(0), Length::Shortest),
        ("%%", _) => without_suffix(&held, arg(0), Length::Longest),
        (":", _) => part_of(&held, args),
        ("/#", 2) if held.starts_with(arg(0)) => held.replacen(arg(0), arg(1), 1),
        ("/%", 2) => match held.strip_suffix(arg(0)) {
            Some(start) => format!("{start}{}", arg(1)),
            None => held,
        },
        ("/#" | "/%", _) => held,
        ("/", _) => held.replacen(arg(0), arg(1), 1),
        ("//", _) => held.replace(arg(0), arg(1)),
        _ if held.is_empty() => args.concat(),
        _ => held,
    }
}

fn first_changed(held: &str, change: fn(char) -> String) -> String {
    let mut chars = held.chars();
    let first = chars.next().map(change).unwrap_or_default();
    format!("{first}{}", chars.as_str())
}

/// `${VAR:start:length}` in bytes; half characters at the ends are lost.
fn part_of(held: &str, args: &[String]) -> String {
    let number = |at: usize| args.get(at).map(|arg: &String| arg.parse::<i64>());
    let size = i64::try_from(held.len()).unwrap_or(i64::MAX);
    let Some(Ok(start)) = number(0) else { return held.to_owned() };
    let start = if start < 0 { size.saturating_add(start).max(0) } else { start };
    let end = match number(1) {
        None => size,
        Some(Err(_)) => return held.to_owned(),
        Some(Ok(length)) => start.saturating_add(length).min(size),
    };
    let bytes = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let found = bytes.and_then(|(start, end)| held.as_bytes().get(start..end));
    String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
}

#[derive(Clone, Copy, PartialEq)]
enum Length {
    Shortest,
    Longest,
}

/// Without the shortest or longest beginning that a pattern matches.
fn without_prefix(held: &str, pattern: &str, length: Length) -> String {
    let pattern: Vec<char> = pattern.chars().collect();
    let chars: Vec<char> = held.chars().collect();
    let mut found = None;
    for end in (1..=chars.len()).rev() {
        if is_match(&pattern, &chars[..end]) {
            found = Some(end);
            if length == Length::Longest {
                break;
            }
        }
    }
    chars[found.unwrap_or(0)..].iter().collect()
}

fn without_suffix(held: &str, pattern: &str, length: Length) -> String {
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    reversed(&without_prefix(&reversed(held), &reversed(pattern), length))
}

/// Whether a pattern of characters, `?` and `*` matches a whole text.
fn is_match(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(template: &str) -> Result<String, String> {
        let value = |name: &str| {
            let known = [("NAME", "my-Cluster"), ("PATH_", "a/b/c.tar.gz"), ("EMPTY", "")];
            known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Template::parse(template)?.fill(&value)
    }

    #[test]
    fn every_form_is_filled() {
        for (template, expected) in [
            ("a ${NAME} b", "a my-Cluster b"),
            ("${ NAME }|${NAME }|${ NAME}", "my-Cluster|my-Cluster|my-Cluster"),
            ("$NAME $${NAME} $", "$NAME ${NAME} $"),
            ("${X:=a b}${X=c}${X:-d}", "a bcd"),
            ("${NAME:=x}${EMPTY:=x}", "my-Clusterx"),
            ("${X:=${NAME}-md}", "my-Cluster-md"),
            ("${X:=${Y:=deep}}!", "deep!"),
            ("${#NAME}", "10"),
            (
                "${NAME^} ${NAME^^} ${NAME,} ${NAME,,}",
                "My-Cluster MY-CLUSTER my-Cluster my-cluster",
            ),
            ("${NAME:3} ${NAME:0:2} ${NAME:-3}", "Cluster my my-Cluster"),
            (
                "${NAME/-/_} ${NAME//s/S} ${NAME/#my/your} ${NAME/%er/}",
                "my_Cluster my-CluSter your-Cluster my-Cluster",
            ),
            ("${PATH_#*/} ${PATH_##*/}", "b/c.tar.gz c.tar.gz"),
            ("${PATH_%.*} ${PATH_%%.*}", "a/b/c.tar a/b/c"),
            ("${PATH_//\\//.}", "a.b.c.tar.gz"),
        ] {
            assert_eq!(fill(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn missing_variables_are_told_together() {
        assert_eq!(
            fill("${B} ${A} ${C:=c} ${B}").unwrap_err(),
            "value for variables [A, B] is not set. Please set the value using os environment \
             variables or the clusterctl config file"
        );
    }

    #[test]
    fn variables_have_their_defaults() {
        let template = Template::parse("${B} ${A:=x-${B}} ${A} $${C}").unwrap();
        let expected = [("A".to_owned(), Some("x-${B}".to_owned())), ("B".to_owned(), None)];
        assert_eq!(template.variables(), expected.into());
    }

    #[test]
    fn broken_substitutions_are_refused() {
        for (template, expected) in [
            ("${NAME", "missing closing brace"),
            ("${}", "unable to parse variable name"),
            ("${NAME-x}", "missing closing brace"),
            ("${NAME:=x", "unable to parse substitution within function"),
            ("${NAME/a}", "bad substitution"),
            ("${#}", "bad substitution"),
        ] {
            assert_eq!(fill(template).unwrap_err(), expected, "{template}");
        }
        assert!(fill(&"${X:=".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(pieces in prop::collection::vec(prop_oneof![
            prop::sample::select(vec!["${", "}", "$", "NAME", "#", "##", "%", "/", ":", "=", ":=",
                "-", "^", ",", "*", "?", "1", "-3", " ", "\\", "é"]).prop_map(str::to_owned),
            "\\PC{0,3}",
        ], 0..20)) {
            let _ = fill(&pieces.concat());
        }

        #[test]
        fn text_without_dollars_stays(text in "[^$]{0,40}") {
            prop_assert_eq!(fill(&text), Ok(text));
        }
    }
}
