//! What makes a CRD's schema structural, node by node, with kube-apiserver's wording.
//!
//! (Kubernetes: apiextensions-apiserver/pkg/apiserver/schema/validation.go and
//! pkg/apis/apiextensions/validation)

use serde_json::{Map, Value};

use crate::machinery::status::Cause;

/// Where a schema node stands; decides what it must and must not say.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// The root of a version's schema.
    Root,
    /// A property, or the values of a map.
    Field,
    /// Items of an array.
    Item,
    /// Below `allOf`, `anyOf`, `oneOf` or `not`.
    Branch,
    /// Below the same of an `x-kubernetes-int-or-string`, where types are allowed.
    IntOrStringBranch,
}

impl Place {
    pub(super) fn property(self) -> Self {
        self.below(Self::Field)
    }

    pub(super) fn items(self) -> Self {
        self.below(Self::Item)
    }

    fn below(self, structural: Self) -> Self {
        match self {
            Self::Root | Self::Field | Self::Item => structural,
            Self::Branch | Self::IntOrStringBranch => Self::Branch,
        }
    }
}

type Document = Map<String, Value>;

/// Keywords that a CRD's schema may not have at all.
const REFUSED: [&str; 7] = [
    "$ref",
    "definitions",
    "dependencies",
    "patternProperties",
    "additionalItems",
    "id",
    "$schema",
];
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

pub(super) fn is_refused(keyword: &str) -> bool {
    REFUSED.contains(&keyword)
}

pub(super) fn cause(reason: &str, message: String, field: &str) -> Cause {
    Cause { reason: reason.into(), message, field: field.into() }
}

/// Reports what is not structural about one node, its children aside.
pub(super) fn check(document: &Document, path: &str, place: Place, causes: &mut Vec<Cause>) {
    let mut report = Report { path, causes };
    for keyword in REFUSED.iter().filter(|keyword| document.contains_key(**keyword)) {
        report.forbidden(keyword, &format!("{keyword} is not supported"));
    }
    if document.contains_key("$ref") {
        return;
    }
    if is_true(document, "uniqueItems") {
        let why = "cannot be set to true since the runtime complexity becomes quadratic";
        report.forbidden("uniqueItems", &format!("uniqueItems {why}"));
    }
    report.pattern(document);
    match place {
        Place::Branch => report.branch(document, &["type"]),
        Place::IntOrStringBranch => report.branch(document, &[]),
        Place::Root | Place::Field | Place::Item => {
            report.types(document, place);
            report.containers(document);
            report.extensions(document);
            report.lists(document);
        }
    }
    report.rules(document);
}

/// Reports a keyword that was not understood, if that is an error.
pub(super) fn check_unset(keyword: &str, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let supported = match keyword {
        "x-kubernetes-list-type" => "\"atomic\", \"set\", \"map\"",
        "x-kubernetes-map-type" => "\"atomic\", \"granular\"",
        _ => return,
    };
    let message = format!("Unsupported value: {value}: supported values: {supported}");
    causes.push(cause("FieldValueNotSupported", message, &format!("{path}.{keyword}")));
}

struct Report<'a> {
    path: &'a str,
    causes: &'a mut Vec<Cause>,
}

impl Report<'_> {
    fn push(&mut self, reason: &str, keyword: &str, message: String) {
        self.causes.push(cause(reason, message, &format!("{}.{keyword}", self.path)));
    }
    fn forbidden(&mut self, keyword: &str, why: &str) {
        self.push("FieldValueForbidden", keyword, format!("Forbidden: {why}"));
    }
    fn required(&mut self, keyword: &str, why: &str) {
        self.push("FieldValueRequired", keyword, format!("Required value: {why}"));
    }
    fn invalid(&mut self, keyword: &str, value: &str, why: &str) {
        self.push("FieldValueInvalid", keyword, format!("Invalid value: {value}: {why}"));
    }

    fn pattern(&mut self, document: &Document) {
        let Some(pattern) = document.get("pattern").and_then(Value::as_str) else { return };
        if let Err(error) = regex::Regex::new(pattern) {
            let why = go_pattern_error(pattern, &error.to_string());
            let why = format!("must be a valid regular expression, but isn't: {why}");
            self.invalid("pattern", &Value::from(pattern).to_string(), &why);
        }
    }

    fn branch(&mut self, document: &Document, also: &[&str]) {
        let never = ["default", "title", "description"];
        for keyword in also.iter().chain(&never).filter(|keyword| document.contains_key(**keyword))
        {
            self.forbidden(keyword, "must be empty to be structural");
        }
        if document.contains_key("additionalProperties") {
            self.forbidden("additionalProperties", "must be undefined to be structural");
        }
        if is_true(document, "nullable") {
            self.forbidden("nullable", "must be false to be structural");
        }
        let mut extensions: Vec<&String> =
            document.keys().filter(|keyword| keyword.starts_with("x-kubernetes-")).collect();
        extensions.sort_unstable();
        for keyword in extensions {
            if !matches!(keyword.as_str(), "x-kubernetes-validations") {
                self.forbidden(keyword, "must be false to be structural");
            } else {
                self.forbidden(keyword, "must be empty to be structural");
            }
        }
    }

    fn types(&mut self, document: &Document, place: Place) {
        let free = is_true(document, "x-kubernetes-int-or-string")
            || is_true(document, "x-kubernetes-preserve-unknown-fields");
        match document.get("type").and_then(Value::as_str).unwrap_or_default() {
            "" if place == Place::Root => self.required("type", "must not be empty at the root"),
            "" if free => {}
            "" if place == Place::Item => {
                self.required("type", "must not be empty for specified array items");
            }
            "" => self.required("type", "must not be empty for specified object fields"),
            name if !TYPES.contains(&name) => {
                let supported = TYPES.map(|name| format!("\"{name}\"")).join(", ");
                let message =
                    format!("Unsupported value: \"{name}\": supported values: {supported}");
                self.push("FieldValueNotSupported", "type", message);
            }
            name if place == Place::Root && name != "object" => {
                self.invalid("type", &format!("\"{name}\""), "must be object at the root");
            }
            _ => {}
        }
    }

    fn containers(&mut self, document: &Document) {
        let properties = document.get("properties").and_then(Value::as_object);
        let additional = document.get("additionalProperties");
        if properties.is_some_and(|properties| !properties.is_empty()) && additional.is_some() {
            let why = "additionalProperties and properties are mutual exclusive";
            self.forbidden("additionalProperties", why);
        }
        match document.get("items") {
            Some(Value::Array(_)) => {
                self.forbidden("items", "items must be a schema object and not an array");
            }
            None if document.get("type").and_then(Value::as_str) == Some("array") => {
                self.required("items", "must be specified");
            }
            Some(_) | None => {}
        }
    }

    fn extensions(&mut self, document: &Document) {
        let kind = document.get("type").and_then(Value::as_str).unwrap_or_default();
        let quoted = format!("\"{kind}\"");
        let preserve = "x-kubernetes-preserve-unknown-fields";
        if document.get(preserve) == Some(&Value::Bool(false)) {
            self.invalid(preserve, "false", "must be true or undefined");
        }
        if is_true(document, "x-kubernetes-embedded-resource") {
            let empty =
                document.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty);
            if empty && !is_true(document, preserve) {
                let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                           x-kubernetes-preserve-unknown-fields";
                self.required("properties", why);
            }
            if kind != "object" {
                self.invalid(
                    "type",
                    &quoted,
                    "must be object if x-kubernetes-embedded-resource is true",
                );
            }
        }
        if document.contains_key("x-kubernetes-map-type") && kind != "object" {
            self.invalid("type", &quoted, "must be object if x-kubernetes-map-type is specified");
        }
        if document.contains_key("x-kubernetes-list-type") && kind != "array" {
            self.invalid("type", &quoted, "must be array if x-kubernetes-list-type is specified");
        }
    }

    fn lists(&mut self, document: &Document) {
        let list_type = document.get("x-kubernetes-list-type").and_then(Value::as_str);
        let Some(items) = document.get("items").and_then(Value::as_object) else { return };
        let item_type = items.get("type").and_then(Value::as_str).unwrap_or_default();
        match list_type {
            Some("set") => {
                let map_type = items.get("x-kubernetes-map-type");
                if item_type == "object" && map_type.and_then(Value::as_str) != Some("atomic") {
                    let found = map_type.unwrap_or(&Value::Null).to_string();
                    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
                    self.invalid("items.x-kubernetes-map-type", &found, why);
                }
            }
            Some("map") => {
                if item_type != "object" {
                    let why = "must be object if parent array's x-kubernetes-list-type is map";
                    self.invalid("items.type", &format!("\"{item_type}\""), why);
                }
                self.map_keys(document, items);
            }
            _ => {}
        }
    }

    fn map_keys(&mut self, document: &Document, items: &Document) {
        let keyword = "x-kubernetes-list-map-keys";
        let keys = document.get(keyword).and_then(Value::as_array);
        let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
            return self.required(keyword, "must not be empty if x-kubernetes-list-type is map");
        };
        let properties = items.get("properties").and_then(Value::as_object);
        let is_property = |key: &Value| {
            key.as_str().is_some_and(|key| properties.is_some_and(|all| all.contains_key(key)))
        };
        if !keys.iter().all(is_property) {
            let keys = Value::from(keys.clone()).to_string();
            self.invalid(keyword, &keys, "entries must all be names of item properties");
        }
    }

    fn rules(&mut self, document: &Document) {
        let rules = document.get("x-kubernetes-validations").and_then(Value::as_array);
        for (number, rule) in rules.into_iter().flatten().enumerate() {
            let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
            let at = |name: &str| format!("x-kubernetes-validations[{number}].{name}");
            if text("rule").trim().is_empty() {
                self.required(&at("rule"), "rule is not specified");
            }
            if text("message").contains('\n') {
                let value = Value::from(text("message")).to_string();
                self.invalid(&at("message"), &value, "must not contain line breaks");
            }
            let reasons = ["", "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid"];
            let reason = text("reason");
            if !reasons.contains(&reason) && reason != "FieldValueRequired" {
                let message = format!(
                    "Unsupported value: \"{reason}\": supported values: \"FieldValueDuplicate\", \
                     \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
                );
                self.push("FieldValueNotSupported", &at("reason"), message);
            }
        }
    }
}

fn is_true(document: &Document, keyword: &str) -> bool {
    document.get(keyword) == Some(&Value::Bool(true))
}

/// Go's wording of a bad regular expression, for the mistakes that people make.
fn go_pattern_error(pattern: &str, error: &str) -> String {
    if error.contains("look-around") {
        let at = pattern.find("(?").unwrap_or_default();
        let width = if pattern[at..].starts_with("(?<") { 4 } else { 3 };
        let found = pattern.get(at..at + width).unwrap_or(pattern);
        return format!("error parsing regexp: invalid or unsupported Perl syntax: `{found}`");
    }
    let kind = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        ("repetition operator missing expression", "missing argument to repetition operator"),
        ("invalid character class range", "invalid character class range"),
    ];
    let kind = kind.iter().find(|(ours, _)| error.contains(ours));
    let kind = kind.map_or("invalid or unsupported syntax", |(_, theirs)| theirs);
    format!("error parsing regexp: {kind}: `{pattern}`")
}
