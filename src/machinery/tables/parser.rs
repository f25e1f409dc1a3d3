//! The parser of tables: one pass over the lines, no tokens kept.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{KEYWORDS, Table, TableError};
use crate::machinery::definition::{
    Cell, Column, Origin, ResourceDefinition, ScalePaths, Serving, Strategy, Subresources,
};
use crate::machinery::schema::{Builder, Draft, Index, Schema};

pub(super) fn parse(text: &'static str, origin: Origin) -> Result<Table, TableError> {
    let (text, messages) = text.split_once("\nmessages\n").unwrap_or((text, ""));
    let mut parser = Parser::new(text, origin);
    parser.declare_shapes();
    while let Some(line) = parser.peek() {
        let block = line.text.split(' ').next().unwrap_or_default();
        match block {
            "shape" => parser.shape()?,
            "part" => parser.part()?,
            "kind" => parser.kind()?,
            _ => return Err(line.error("unknown block")),
        }
    }
    Ok(parser.finish(messages))
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    depth: usize,
    text: &'a str,
}

impl Line<'_> {
    fn error(self, problem: &'static str) -> TableError {
        TableError { line: self.number, problem, text: self.text.to_owned() }
    }
}

struct Parser<'a> {
    lines: Vec<Line<'a>>,
    next: usize,
    builder: Builder,
    /// Shapes and parts by name.
    nodes: HashMap<&'a str, Index>,
    shapes: Vec<(&'a str, Index)>,
    kinds: Vec<(ResourceDefinition, Index)>,
    origin: Origin,
}

type Parsed<T> = Result<T, TableError>;

impl<'a> Parser<'a> {
    fn new(text: &'a str, origin: Origin) -> Self {
        let lines = text.lines().enumerate().map(|(number, line)| {
            let text = line.trim_start_matches(' ');
            Line { number: number + 1, depth: line.len() - text.len(), text }
        });
        let lines = lines.filter(|line| !line.text.is_empty() && !line.text.starts_with('#'));
        Self {
            lines: lines.collect(),
            next: 0,
            builder: Builder::default(),
            nodes: HashMap::new(),
            shapes: Vec::new(),
            kinds: Vec::new(),
            origin,
        }
    }

    fn finish(self, messages: &'static str) -> Table {
        let arena = Arc::new(self.builder.finish());
        let schema = |root| Schema::new(arena.clone(), root);
        let shapes = self.shapes.iter().map(|(name, root)| ((*name).into(), schema(*root)));
        let definitions = self
            .kinds
            .into_iter()
            .map(|(definition, root)| ResourceDefinition { schema: schema(root), ..definition });
        Table { shapes: shapes.collect(), definitions: definitions.collect(), messages }
    }

    fn peek(&self) -> Option<Line<'a>> {
        self.lines.get(self.next).copied()
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    /// Shapes refer to each other in any order.
    fn declare_shapes(&mut self) {
        for line in &self.lines {
            if let Some(name) = line.text.strip_prefix("shape ").filter(|_| line.depth == 0) {
                let index = self.builder.declare(name);
                self.nodes.insert(name, index);
                self.shapes.push((name, index));
            }
        }
    }

    fn shape(&mut self) -> Parsed<()> {
        let Some(line) = self.peek() else { return Ok(()) };
        self.advance();
        let name = line.text.trim_start_matches("shape ");
        let index = *self.nodes.get(name).ok_or_else(|| line.error("undeclared shape"))?;
        let (draft, _) = self.root(line)?;
        self.builder.define(index, draft);
        Ok(())
    }

    fn part(&mut self) -> Parsed<()> {
        let Some(line) = self.peek() else { return Ok(()) };
        self.advance();
        let (draft, _) = self.root(line)?;
        let index = self.builder.intern(draft);
        self.nodes.insert(line.text.trim_start_matches("part "), index);
        Ok(())
    }

    /// The node of a block's `=` line, and the node it refers to if it only refers.
    fn root(&mut self, block: Line<'a>) -> Parsed<(Draft, Option<Index>)> {
        let line = self.peek().ok_or_else(|| block.error("no root node"))?;
        let rest = line.text.strip_prefix("= ").ok_or_else(|| line.error("no root node"))?;
        self.advance();
        self.node(line, rest)
    }

    /// A node whose facts are in `rest` of `line`, and whose children follow.
    fn node(&mut self, line: Line<'a>, rest: &'a str) -> Parsed<(Draft, Option<Index>)> {
        let mut draft = Draft::default();
        let (kind, mut facts) = rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(name) = kind.strip_prefix('&') {
            let target = *self.nodes.get(name).ok_or_else(|| line.error("unknown reference"))?;
            if facts.is_empty() {
                return Ok((draft, Some(target)));
            }
            draft.extend(target);
        } else if !draft.set_type(kind) {
            return Err(line.error("unknown type"));
        }
        while !facts.is_empty() {
            facts = fact(line, facts, &mut draft)?;
        }
        while let Some(child) = self.peek().filter(|child| child.depth > line.depth) {
            self.advance();
            self.child(child, &mut draft)?;
        }
        Ok((draft, None))
    }

    fn child(&mut self, line: Line<'a>, draft: &mut Draft) -> Parsed<()> {
        let (role, rest) =
            line.text.split_once(' ').ok_or_else(|| line.error("a node without a type"))?;
        let (child, reference) = self.node(line, rest)?;
        let index = reference.unwrap_or_else(|| self.builder.intern(child));
        match role {
            "[]" => draft.items(index),
            "{}" => draft.additional(index),
            "!" => draft.not(index),
            "|allOf" | "|anyOf" | "|oneOf" => draft.branch(&role[1..], index),
            _ => {
                let name = role.strip_prefix('.').ok_or_else(|| line.error("unknown role"))?;
                let property = name.strip_suffix('*');
                if let Some(name) = property {
                    draft.require(name);
                }
                draft.property(property.unwrap_or(name), index);
            }
        }
        Ok(())
    }

    fn kind(&mut self) -> Parsed<()> {
        let Some(line) = self.peek() else { return Ok(()) };
        self.advance();
        let mut definition = self.names(line)?;
        while let Some(detail) = self.peek().filter(|detail| detail.depth == 1) {
            if detail.text.starts_with("= ") {
                let (draft, reference) = self.root(line)?;
                let root = reference.unwrap_or_else(|| self.builder.intern(draft));
                self.kinds.push((definition, root));
                return Ok(());
            }
            self.advance();
            describe(&mut definition, detail)?;
        }
        Err(line.error("a kind without a schema"))
    }

    fn names(&self, line: Line<'a>) -> Parsed<ResourceDefinition> {
        let words: Vec<&str> = line.text.split(' ').collect();
        let [_, group, version, kind, plural, singular, scope] = words[..] else {
            return Err(line.error("wrong number of names"));
        };
        Ok(ResourceDefinition {
            group: group.trim_start_matches('-').into(),
            version: version.into(),
            kind: kind.into(),
            list_kind: format!("{kind}List").into(),
            plural: plural.into(),
            singular: singular.into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: scope == "Namespaced",
            origin: self.origin,
            schema: Schema::any(),
            columns: Vec::new(),
            subresources: Subresources::default(),
            selectable_fields: Vec::new(),
            strategy: Strategy::default(),
            serving: Serving::default(),
        })
    }
}

/// One line about a kind.
fn describe(definition: &mut ResourceDefinition, line: Line<'_>) -> Parsed<()> {
    let (keyword, rest) = line.text.split_once(' ').unwrap_or((line.text, ""));
    let mut words = rest.split(' ').map(Arc::<str>::from);
    match keyword {
        "short" => definition.short_names = words.collect(),
        "categories" => definition.categories = words.collect(),
        "select" => definition.selectable_fields = words.collect(),
        "status" => definition.subresources.status = true,
        "stored" => definition.serving.stored = true,
        "deprecated" => definition.serving.deprecation = Some(rest.into()),
        "scale" => {
            let (Some(spec_replicas), Some(status_replicas)) = (words.next(), words.next()) else {
                return Err(line.error("scale without paths"));
            };
            let label_selector = words.next();
            definition.subresources.scale =
                Some(ScalePaths { spec_replicas, status_replicas, label_selector });
        }
        "column" => {
            let column = column(rest).ok_or_else(|| line.error("malformed column"))?;
            definition.columns.push(column);
        }
        _ => return Err(line.error("unknown keyword")),
    }
    Ok(())
}

/// `["name","type","format",priority,"jsonPath","description"]`.
type ColumnRow = (Arc<str>, Arc<str>, Arc<str>, i32, Arc<str>, Arc<str>);

fn column(text: &str) -> Option<Column> {
    let row: ColumnRow = serde_json::from_str(text).ok()?;
    let (name, kind, format, priority, path, description) = row;
    Some(Column { name, kind, format, description, priority, cell: Cell::JsonPath(path) })
}

/// Reads one fact and returns what follows it.
fn fact<'a>(line: Line<'_>, text: &'a str, draft: &mut Draft) -> Parsed<&'a str> {
    let end = text.find(['=', ' ']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let found = KEYWORDS.binary_search_by(|(short, _)| (*short).cmp(name));
    let keyword = found.map_err(|_| line.error("unknown fact"))?;
    let (value, rest) = match rest.strip_prefix('=') {
        Some(rest) => value(rest).ok_or_else(|| line.error("malformed value"))?,
        None => (Value::Bool(true), rest),
    };
    if !draft.set(KEYWORDS[keyword].1, &value) {
        return Err(line.error("unexpected value"));
    }
    Ok(rest.strip_prefix(' ').unwrap_or(rest))
}

/// A bare word, or JSON.
fn value(text: &str) -> Option<(Value, &str)> {
    if text.starts_with(['"', '[', '{']) {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let value = values.next()?.ok()?;
        let end = values.byte_offset();
        return Some((value, &text[end..]));
    }
    let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
    let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let value = match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_number => serde_json::from_str(word).ok()?,
        _ => Value::from(word),
    };
    Some((value, rest))
}
