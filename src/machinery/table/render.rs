//! Writing Tables as JSON bytes.

use std::borrow::Cow;
use std::io::Write;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::builtin::{self, AGE, BuiltIn, NAME};
use super::printers::{age, pods};
use crate::machinery::definition::{Cell, Column};
use crate::machinery::jsonpath::JsonPath;

/// What a row carries besides its cells (`includeObject` of the request).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// A `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// Reads the query parameter. The error is kube-apiserver's message for a 400.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "Metadata" => Ok(IncludeObject::Metadata),
            "None" => Ok(IncludeObject::None),
            "Object" => Ok(IncludeObject::Object),
            other => Err(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            )),
        }
    }
}

/// Whether a Table repeats its columns: watches send them with the first event only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Headers {
    /// `columnDefinitions` is the list.
    #[default]
    Included,
    /// `columnDefinitions` is null.
    Omitted,
}

/// How to write a Table.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What rows carry.
    pub include: IncludeObject,
    /// Whether the columns are described.
    pub headers: Headers,
    /// Version of `meta.k8s.io`: `v1` or `v1beta1`.
    pub version: &'static str,
    /// Unix time in seconds, for ages.
    pub now_seconds: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            include: IncludeObject::default(),
            headers: Headers::default(),
            version: "v1",
            now_seconds: 0,
        }
    }
}

/// `metadata` of a Table.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListMeta<'a> {
    /// resourceVersion of the list, or of the object for a single one.
    pub resource_version: &'a str,
    /// Token of the next page, empty for none.
    pub continue_token: &'a str,
    /// How many objects follow this page, if known.
    pub remaining: Option<i64>,
}

enum Source {
    Name,
    Path(JsonPath),
    Print(fn(&Value, i64) -> Value),
    /// A JSONPath that does not compile prints nothing.
    Nothing,
}

struct Compiled {
    kind: Box<str>,
    source: Source,
}

/// The compiled columns of one resource.
pub struct Printer {
    columns: Vec<Compiled>,
    /// `columnDefinitions`, encoded.
    definitions: Vec<u8>,
    has_pod_conditions: bool,
}

/// `metadata` and type of an encoded object, without decoding the rest.
#[derive(Deserialize)]
struct Partial<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

impl Printer {
    /// Compiles the columns of a resource. Name is put first unless a column of format `name` is
    /// among them (Events show their name last).
    pub fn new(kind: &str, columns: &[Column]) -> Self {
        let mut compiled = Vec::with_capacity(columns.len() + 1);
        let mut definitions = Vec::with_capacity(columns.len() + 1);
        if !columns.iter().any(|column| &*column.format == "name") {
            compiled.push(Compiled { kind: "string".into(), source: Source::Name });
            definitions.push(definition("Name", ("string", "name"), NAME, 0));
        }
        for column in columns {
            let source = match &column.cell {
                Cell::Printer(print) => Source::Print(*print),
                Cell::JsonPath(path) => JsonPath::parse(path).map_or(Source::Nothing, Source::Path),
            };
            compiled.push(Compiled { kind: (*column.kind).into(), source });
            let types = (&*column.kind, &*column.format);
            let description = description(column);
            definitions.push(definition(&column.name, types, &description, column.priority));
        }
        let has_pod_conditions =
            kind == "Pod" && columns.iter().any(|column| matches!(column.cell, Cell::Printer(_)));
        let definitions = Value::from(definitions).to_string().into_bytes();
        Self { columns: compiled, definitions, has_pod_conditions }
    }

    /// Writes a whole Table from encoded objects. An object that is no JSON is left out.
    pub fn render<'a>(
        &self,
        meta: ListMeta<'_>,
        objects: impl IntoIterator<Item = &'a [u8]>,
        options: &Options,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(br#"{"kind":"Table","apiVersion":"meta.k8s.io/"#);
        out.extend_from_slice(options.version.as_bytes());
        out.extend_from_slice(br#"","metadata":"#);
        write_meta(&mut out, meta);
        out.extend_from_slice(br#","columnDefinitions":"#);
        match options.headers {
            Headers::Included => out.extend_from_slice(&self.definitions),
            Headers::Omitted => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(br#","rows":["#);
        let mut first = true;
        for object in objects {
            let Ok(value) = serde_json::from_slice::<Value>(object) else { continue };
            if !first {
                out.push(b',');
            }
            first = false;
            self.row(&mut out, &value, object, options);
        }
        out.extend_from_slice(b"]}");
        out
    }

    fn row(&self, out: &mut Vec<u8>, value: &Value, encoded: &[u8], options: &Options) {
        out.extend_from_slice(br#"{"cells":["#);
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            column.write(out, value, options.now_seconds);
        }
        out.push(b']');
        if self.has_pod_conditions
            && let Some(conditions) = pods::row_conditions(value)
        {
            out.extend_from_slice(br#","conditions":"#);
            write_json(out, &conditions);
        }
        match options.include {
            IncludeObject::None => out.extend_from_slice(br#","object":null"#),
            IncludeObject::Object => {
                out.extend_from_slice(br#","object":"#);
                out.extend_from_slice(encoded);
            }
            IncludeObject::Metadata => {
                let partial: Option<Partial<'_>> = serde_json::from_slice(encoded).ok();
                let metadata = partial.and_then(|partial| partial.metadata);
                out.extend_from_slice(
                    br#","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/"#,
                );
                out.extend_from_slice(options.version.as_bytes());
                out.extend_from_slice(br#"","metadata":"#);
                out.extend_from_slice(metadata.map_or(b"{}", |raw| raw.get().as_bytes()));
                out.push(b'}');
            }
        }
        out.push(b'}');
    }
}

impl Compiled {
    fn write(&self, out: &mut Vec<u8>, object: &Value, now_seconds: i64) {
        match &self.source {
            Source::Name => {
                let name = object.pointer("/metadata/name").and_then(Value::as_str);
                write_json(out, &Value::from(name.unwrap_or_default()));
            }
            Source::Nothing => out.extend_from_slice(b"null"),
            Source::Print(print) => write_json(out, &print(object, now_seconds)),
            Source::Path(path) => match path.first(object) {
                None => out.extend_from_slice(b"null"),
                Some(value) => write_cell(out, &self.kind, value, now_seconds),
            },
        }
    }
}

/// Writes a JSONPath's result as its column type asks (apiextensions `cellForJSONValue`): a value
/// that does not fit is null, strings take everything.
fn write_cell(out: &mut Vec<u8>, kind: &str, value: &Value, now_seconds: i64) {
    match (kind, value) {
        ("string", Value::String(_)) => write_json(out, value),
        ("string", Value::Null) => out.extend_from_slice(b"null"),
        ("string", other) => write_json(out, &Value::String(other.to_string())),
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(integer) => drop(write!(out, "{integer}")),
            None => drop(write!(out, "{}", number.as_f64().unwrap_or_default().trunc() as i64)),
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => write_json(out, value),
        ("date", Value::String(time)) => {
            let shown = match time.parse::<jiff::Timestamp>() {
                Ok(time) => age(Some(time.as_second()), now_seconds),
                Err(_) => "<invalid>".to_owned(),
            };
            write_json(out, &Value::String(shown));
        }
        _ => out.extend_from_slice(b"null"),
    }
}

fn write_json(out: &mut Vec<u8>, value: &Value) {
    // Writing a Value into memory cannot fail: its keys are strings and Vec does not err.
    drop(serde_json::to_writer(out, value));
}

fn write_meta(out: &mut Vec<u8>, meta: ListMeta<'_>) {
    let mut map = serde_json::Map::new();
    if !meta.resource_version.is_empty() {
        map.insert("resourceVersion".to_owned(), meta.resource_version.into());
    }
    if !meta.continue_token.is_empty() {
        map.insert("continue".to_owned(), meta.continue_token.into());
    }
    if let Some(remaining) = meta.remaining {
        map.insert("remainingItemCount".to_owned(), remaining.into());
    }
    write_json(out, &Value::Object(map));
}

fn definition(name: &str, (kind, format): (&str, &str), description: &str, priority: i32) -> Value {
    serde_json::json!({
        "name": name, "type": kind, "format": format, "description": description,
        "priority": priority,
    })
}

/// What a column says of itself; those of definitions say at least where they look.
/// (kubernetes 1.36: apiextensions-apiserver pkg/registry/customresource/tableconvertor)
fn description(column: &Column) -> Cow<'_, str> {
    match &column.cell {
        Cell::JsonPath(path) if column.description.is_empty() => {
            format!("Custom resource definition column (in JSONPath format): {path}").into()
        }
        Cell::JsonPath(_) | Cell::Printer(_) => Cow::Borrowed(&*column.description),
    }
}

fn to_columns(columns: &[BuiltIn]) -> Vec<Column> {
    let column = |column: &BuiltIn| Column {
        name: column.name.into(),
        kind: column.kind.into(),
        format: column.format.into(),
        description: column.description.into(),
        priority: column.priority,
        cell: Cell::Printer(column.print),
    };
    columns.iter().map(column).collect()
}

/// The columns of a built-in kind; kinds without printers of their own show `Created At`.
/// `None` for groups that are not Kubernetes' own.
pub fn builtin_columns(group: &str, kind: &str) -> Option<Vec<Column>> {
    if let Some(columns) = builtin::of_kind(group, kind) {
        return Some(to_columns(columns));
    }
    let is_kubernetes =
        !group.contains('.') || group.ends_with(".k8s.io") && !group.contains("x-k8s");
    is_kubernetes.then(|| to_columns(builtin::DEFAULT))
}

/// The columns of a CRD version that defines none: its age.
pub fn default_columns() -> Vec<Column> {
    vec![Column {
        name: "Age".into(),
        kind: "date".into(),
        format: "".into(),
        description: AGE.into(),
        priority: 0,
        cell: Cell::JsonPath(".metadata.creationTimestamp".into()),
    }]
}
