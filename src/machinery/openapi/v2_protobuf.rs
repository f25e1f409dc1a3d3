//! The OpenAPI v2 document as protobuf, which Go clients without OpenAPI v3 ask for and nothing
//! else (client-go's `OpenAPISchema`, hence old kubectl and Argo CD).
//!
//! Field numbers are those of gnostic's `openapi.v2` messages. Values of any type travel as YAML
//! text, of which JSON is a part.

use serde_json::{Map, Value};

/// A message in the making.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire: u32) {
        self.varint(u64::from(field << 3 | wire));
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u32, message: Message) {
        self.bytes(field, &message.bytes);
    }

    /// A text, number or flag of JSON, if there is one; numbers are doubles if `is_double`.
    fn scalar(&mut self, field: u32, value: Option<&Value>) {
        match value {
            Some(Value::String(text)) if !text.is_empty() => self.bytes(field, text.as_bytes()),
            Some(Value::Bool(true)) => {
                self.tag(field, 0);
                self.varint(1);
            }
            Some(Value::Number(number)) => {
                let number = number.as_i64().unwrap_or_default();
                self.tag(field, 0);
                self.varint(number.cast_unsigned());
            }
            _ => {}
        }
    }

    fn double(&mut self, field: u32, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_f64) {
            self.tag(field, 1);
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn texts(&mut self, field: u32, list: Option<&Value>) {
        for text in list.and_then(Value::as_array).into_iter().flatten() {
            if let Value::String(text) = text {
                self.bytes(field, text.as_bytes());
            }
        }
    }

    fn any(&mut self, field: u32, value: Option<&Value>) {
        if let Some(value) = value {
            self.message(field, any(value));
        }
    }

    /// What begins with `x-`.
    fn extensions(&mut self, field: u32, map: &Map<String, Value>) {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            self.message(field, named(name, any(value)));
        }
    }
}

fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, format!("{value}\n").as_bytes());
    message
}

fn named(name: &str, value: Message) -> Message {
    let mut message = Message::default();
    message.bytes(1, name.as_bytes());
    message.message(2, value);
    message
}

/// A message that holds one other.
fn wrapped(field: u32, inner: Message) -> Message {
    let mut message = Message::default();
    message.message(field, inner);
    message
}

/// Encodes a document that [`super::v2::document`] made.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.scalar(1, document.get("swagger"));
    let mut info = Message::default();
    info.scalar(1, document["info"].get("title"));
    info.scalar(2, document["info"].get("version"));
    message.message(2, info);
    let mut paths = Message::default();
    for (path, item) in members(&document["paths"]) {
        paths.message(2, named(path, path_item(item)));
    }
    message.message(8, paths);
    let mut definitions = Message::default();
    for (name, value) in members(&document["definitions"]) {
        definitions.message(1, named(name, schema(value)));
    }
    message.message(9, definitions);
    security(document, &mut message);
    message.bytes
}

fn security(document: &Value, message: &mut Message) {
    for requirement in document["security"].as_array().into_iter().flatten() {
        let mut names = Message::default();
        for (name, _) in members(requirement) {
            names.message(1, named(name, Message::default()));
        }
        message.message(12, names);
    }
    let mut definitions = Message::default();
    for (name, definition) in members(&document["securityDefinitions"]) {
        let mut key = Message::default();
        for (field, keyword) in [(1, "type"), (2, "name"), (3, "in"), (4, "description")] {
            key.scalar(field, definition.get(keyword));
        }
        definitions.message(1, named(name, wrapped(2, key)));
    }
    message.message(13, definitions);
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn path_item(item: &Value) -> Message {
    const METHODS: [(u32, &str); 7] = [
        (2, "get"),
        (3, "put"),
        (4, "post"),
        (5, "delete"),
        (6, "options"),
        (7, "head"),
        (8, "patch"),
    ];
    let mut message = Message::default();
    for (field, method) in METHODS {
        if let Some(Value::Object(found)) = item.get(method) {
            message.message(field, operation(found));
        }
    }
    for found in item["parameters"].as_array().into_iter().flatten() {
        message.message(9, parameter(found));
    }
    message
}

fn operation(operation: &Map<String, Value>) -> Message {
    let mut message = Message::default();
    message.scalar(3, operation.get("description"));
    message.scalar(5, operation.get("operationId"));
    message.texts(6, operation.get("produces"));
    message.texts(7, operation.get("consumes"));
    for found in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        message.message(8, parameter(found));
    }
    let mut responses = Message::default();
    for (code, response) in operation.get("responses").into_iter().flat_map(members) {
        let mut value = Message::default();
        value.scalar(1, response.get("description"));
        if let Some(found) = response.get("schema") {
            value.message(2, wrapped(1, schema(found)));
        }
        responses.message(1, named(code, wrapped(1, value)));
    }
    message.message(9, responses);
    message.texts(10, operation.get("schemes"));
    message.extensions(13, operation);
    message
}

/// A `ParametersItem`.
fn parameter(parameter: &Value) -> Message {
    let mut inner = Message::default();
    let place = parameter["in"].as_str().unwrap_or_default();
    if place == "body" {
        for (field, keyword) in [(1, "description"), (2, "name"), (3, "in"), (4, "required")] {
            inner.scalar(field, parameter.get(keyword));
        }
        if let Some(found) = parameter.get("schema") {
            inner.message(5, schema(found));
        }
        return wrapped(1, wrapped(1, inner));
    }
    for (field, keyword) in [(1, "required"), (2, "in"), (3, "description"), (4, "name")] {
        inner.scalar(field, parameter.get(keyword));
    }
    let (which, kind, format, unique) =
        if place == "query" { (3, 6, 7, 20) } else { (4, 5, 6, 19) };
    inner.scalar(kind, parameter.get("type"));
    inner.scalar(format, parameter.get("format"));
    inner.scalar(unique, parameter.get("uniqueItems"));
    wrapped(1, wrapped(2, wrapped(which, inner)))
}

fn schema(schema_: &Value) -> Message {
    const SCALARS: [(u32, &str); 14] = [
        (1, "$ref"),
        (2, "format"),
        (3, "title"),
        (4, "description"),
        (8, "exclusiveMaximum"),
        (10, "exclusiveMinimum"),
        (11, "maxLength"),
        (12, "minLength"),
        (13, "pattern"),
        (14, "maxItems"),
        (15, "minItems"),
        (16, "uniqueItems"),
        (17, "maxProperties"),
        (18, "minProperties"),
    ];
    let mut message = Message::default();
    let Value::Object(map) = schema_ else { return message };
    for (field, keyword) in SCALARS {
        message.scalar(field, map.get(keyword));
    }
    for (field, keyword) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        message.double(field, map.get(keyword));
    }
    message.any(5, map.get("default"));
    message.texts(19, map.get("required"));
    for value in map.get("enum").and_then(Value::as_array).into_iter().flatten() {
        message.message(20, any(value));
    }
    match map.get("additionalProperties") {
        Some(Value::Bool(allowed)) => {
            let mut item = Message::default();
            item.tag(2, 0);
            item.varint(u64::from(*allowed));
            message.message(21, item);
        }
        Some(values) => message.message(21, wrapped(1, schema(values))),
        None => {}
    }
    if let Some(Value::String(kind)) = map.get("type") {
        let mut item = Message::default();
        item.bytes(1, kind.as_bytes());
        message.message(22, item);
    }
    if let Some(items) = map.get("items") {
        message.message(23, wrapped(1, schema(items)));
    }
    if let Some(found) = map.get("properties") {
        let mut properties = Message::default();
        for (name, value) in members(found) {
            properties.message(1, named(name, schema(value)));
        }
        message.message(25, properties);
    }
    message.any(30, map.get("example"));
    message.extensions(31, map);
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Fields of a message: number and payload of those with a length.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            match tag & 7 {
                0 => {
                    let value = varint(&mut bytes);
                    found.push((tag >> 3, value.to_le_bytes().to_vec()));
                }
                1 => {
                    found.push((tag >> 3, bytes[..8].to_vec()));
                    bytes = &bytes[8..];
                }
                2 => {
                    let length = varint(&mut bytes) as usize;
                    found.push((tag >> 3, bytes[..length].to_vec()));
                    bytes = &bytes[length..];
                }
                other => panic!("wire type {other}"),
            }
        }
        found
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn child(bytes: &[u8], path: &[u64]) -> Vec<u8> {
        path.iter().fold(bytes.to_vec(), |bytes, field| {
            let found = fields(&bytes).into_iter().find(|(number, _)| number == field);
            found.unwrap_or_else(|| panic!("field {field} of {path:?}")).1
        })
    }

    #[test]
    fn messages_have_gnostics_field_numbers() {
        let document = json!({
            "swagger": "2.0",
            "info": {"title": "T", "version": "V"},
            "paths": {"/a": {"get": {"operationId": "o", "x-kubernetes-action": "get",
                "parameters": [{"in": "body", "name": "body", "schema": {"$ref": "#/definitions/a"}},
                    {"in": "query", "name": "q", "type": "string"}],
                "responses": {"200": {"description": "OK", "schema": {"type": "string"}}}}}},
            "definitions": {"a": {"type": "object", "required": ["n"], "properties": {
                "n": {"type": "integer", "minimum": 1, "enum": [1]},
                "m": {"type": "object", "additionalProperties": {"type": "string"}}}}},
        });
        let bytes = encode(&document);
        let text = |path: &[u64]| String::from_utf8(child(&bytes, path)).unwrap();
        assert_eq!((text(&[1]), text(&[2, 1])), ("2.0".to_owned(), "T".to_owned()));
        assert_eq!(text(&[8, 2, 1]), "/a");
        let get = [8, 2, 2, 2];
        let at = |rest: &[u64]| text(&[&get[..], rest].concat());
        assert_eq!(at(&[5]), "o");
        assert_eq!(at(&[8, 1, 1, 5, 1]), "#/definitions/a");
        assert_eq!(at(&[9, 1, 2, 1, 2, 1, 22, 1]), "string");
        assert_eq!(
            (at(&[13, 1]), at(&[13, 2, 2])),
            ("x-kubernetes-action".into(), "\"get\"\n".into())
        );
        let operation = fields(&child(&bytes, &get));
        let parameters: Vec<_> = operation.iter().filter(|(field, _)| *field == 8).collect();
        let query = &parameters[1].1;
        assert_eq!(child(query, &[1, 2, 3, 4]), b"q");
        assert_eq!(text(&[9, 1, 1]), "a");
        assert_eq!(text(&[9, 1, 2, 19]), "n");
        assert_eq!(text(&[9, 1, 2, 25, 1, 1]), "m");
        assert_eq!(text(&[9, 1, 2, 25, 1, 2, 21, 1, 22, 1]), "string");
    }
}
