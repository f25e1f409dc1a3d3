//! Rules for CustomResourceDefinitions outside their schemas.
//!
//! (Kubernetes: apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go)

use serde_json::Value;

use super::{array, is_shared, prefix_of, text};
use crate::machinery::schema::{NodeType, Schema};
use crate::machinery::status::Cause;

const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or \
    '-', start with an alphabetic character, and end with an alphanumeric character (e.g. \
    'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

pub(super) fn check(crd: &Value) -> Vec<Cause> {
    let mut report = Report { causes: Vec::new() };
    let spec = &crd["spec"];
    report.identity(crd, spec);
    report.names(&spec["names"]);
    report.versions(spec);
    report.conversion(&spec["conversion"]);
    let versions = array(spec, "versions");
    for (number, version) in versions.iter().enumerate() {
        report.version(version, number);
        report.columns(version, &prefix_of(versions, number, "additionalPrinterColumns"));
        report.scale(version, &prefix_of(versions, number, "subresources"));
    }
    report.causes
}

/// Selectable fields must be scalars that the schema declares.
pub(super) fn check_selectable(
    version: &Value,
    schema: &Schema,
    prefix: &str,
    causes: &mut Vec<Cause>,
) {
    let mut report = Report { causes: Vec::new() };
    let mut seen: Vec<&str> = Vec::new();
    for (number, field) in array(version, "selectableFields").iter().enumerate() {
        let path = text(field, "jsonPath");
        let at = format!("{prefix}.selectableFields[{number}].jsonPath");
        let quoted = Value::from(path).to_string();
        let mut steps = path.trim_start_matches('.').split('.');
        let node = steps.try_fold(schema.root(), |node, step| node.property(step));
        let kind = node.map(|node| node.node_type()).filter(|_| !path.starts_with(".metadata"));
        match kind {
            None => {
                report.invalid(&at, &quoted, "is an invalid path: does not refer to a valid field")
            }
            Some(NodeType::String | NodeType::Boolean | NodeType::Integer) => {}
            Some(_) => report.invalid(
                &at,
                &quoted,
                "must point to a field of type string, boolean or integer. Enum string fields and \
                 strings with formats are allowed.",
            ),
        }
        if seen.contains(&path) {
            report.push("FieldValueDuplicate", &at, format!("Duplicate value: {quoted}"));
        }
        seen.push(path);
    }
    causes.extend(report.causes);
}

struct Report {
    causes: Vec<Cause>,
}

impl Report {
    fn push(&mut self, reason: &str, field: &str, message: String) {
        self.causes.push(Cause { reason: reason.into(), message, field: field.into() });
    }
    fn required(&mut self, field: &str) {
        self.push("FieldValueRequired", field, "Required value".into());
    }
    fn invalid(&mut self, field: &str, value: &str, why: &str) {
        self.push("FieldValueInvalid", field, format!("Invalid value: {value}: {why}"));
    }
    fn unsupported(&mut self, field: &str, value: &str, supported: &str) {
        let message = format!("Unsupported value: \"{value}\": supported values: {supported}");
        self.push("FieldValueNotSupported", field, message);
    }

    fn identity(&mut self, crd: &Value, spec: &Value) {
        let (name, group) = (text(&crd["metadata"], "name"), text(spec, "group"));
        let plural = text(&spec["names"], "plural");
        if name != format!("{plural}.{group}") {
            let quoted = Value::from(name).to_string();
            let why = "must be spec.names.plural+\".\"+spec.group";
            self.invalid("metadata.name", &quoted, why);
        }
        if group.is_empty() {
            self.required("spec.group");
        } else if !group.contains('.') {
            let why = "should be a domain with at least one dot";
            self.invalid("spec.group", &format!("\"{group}\""), why);
        }
        let protected = [".k8s.io", ".kubernetes.io"].iter().any(|end| group.ends_with(end));
        let exempt = group.ends_with(".x-k8s.io");
        let approval = &crd["metadata"]["annotations"]["api-approved.kubernetes.io"];
        if protected && !exempt && !approval.is_string() {
            let message = "Required value: protected groups must have approval annotation \
                \"api-approved.kubernetes.io\", see \
                https://github.com/kubernetes/enhancements/pull/1111";
            let field = "metadata.annotations[api-approved.kubernetes.io]";
            self.push("FieldValueRequired", field, message.into());
        }
        match text(spec, "scope") {
            "Cluster" | "Namespaced" => {}
            "" => self.required("spec.scope"),
            other => self.unsupported("spec.scope", other, "\"Cluster\", \"Namespaced\""),
        }
        if spec["preserveUnknownFields"] == true {
            let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                       spec.versions[*].schema instead";
            self.invalid("spec.preserveUnknownFields", "true", why);
        }
    }

    fn names(&mut self, names: &Value) {
        for name in ["plural", "singular", "kind", "listKind"] {
            let field = format!("spec.names.{name}");
            let value = text(names, name);
            if value.is_empty() {
                self.required(&field);
            } else if !is_dns_1035(&if name.ends_with("ind") {
                value.to_lowercase()
            } else {
                value.to_owned()
            }) {
                self.label(&field, value);
            }
        }
        for list in ["shortNames", "categories"] {
            for (number, name) in array(names, list).iter().enumerate() {
                let name = name.as_str().unwrap_or_default();
                if !is_dns_1035(name) {
                    self.label(&format!("spec.names.{list}[{number}]"), name);
                }
            }
        }
    }

    fn label(&mut self, field: &str, value: &str) {
        self.invalid(field, &Value::from(value).to_string(), DNS_1035);
    }

    fn versions(&mut self, spec: &Value) {
        let versions = array(spec, "versions");
        let storage = versions.iter().filter(|version| version["storage"] == true).count();
        let given = shown(versions);
        if storage != 1 {
            let why = "must have exactly one version marked as storage version";
            self.invalid("spec.versions", &given, why);
        }
        let mut names: Vec<&str> = versions.iter().map(|version| text(version, "name")).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            self.invalid("spec.versions", &given, "must contain unique version names");
        }
        let stored = versions.iter().filter(|version| version["storage"] == true);
        let stored: Vec<&str> = stored.map(|version| text(version, "name")).collect();
        let field = "status.storedVersions";
        match stored[..] {
            [] if versions.is_empty() => {
                self.invalid(field, "null", "must have at least one stored version");
            }
            [first, .., last] if first != last => {
                let why = format!("must have the storage version {last}");
                self.invalid(field, &format!("[\"{first}\"]"), &why);
            }
            _ => {}
        }
    }

    fn version(&mut self, version: &Value, number: usize) {
        let name = text(version, "name");
        if !is_dns_1035(name) {
            if number == 0 {
                self.label("spec.version", name);
            }
            self.label(&format!("spec.versions[{number}].name"), name);
        }
        if let Some(warning) = version["deprecationWarning"].as_str() {
            let field = format!("spec.versions[{number}].deprecationWarning");
            let quoted = Value::from(warning).to_string();
            if version["deprecated"] != true {
                self.invalid(&field, &quoted, "can only be set for deprecated versions");
            } else if warning.is_empty() {
                self.invalid(&field, &quoted, "must not be an empty string");
            }
        }
    }

    fn columns(&mut self, version: &Value, prefix: &str) {
        for (number, column) in array(version, "additionalPrinterColumns").iter().enumerate() {
            let at = |field: &str| format!("{prefix}.additionalPrinterColumns[{number}].{field}");
            if text(column, "name").is_empty() {
                self.required(&at("name"));
            }
            match text(column, "type") {
                "" => self.required(&at("type")),
                "boolean" | "date" | "integer" | "number" | "string" => {}
                other => {
                    let why = "must be one of boolean,date,integer,number,string";
                    self.invalid(&at("type"), &format!("\"{other}\""), why);
                }
            }
            match text(column, "jsonPath") {
                "" => self.required(&at("JSONPath")),
                path if path.starts_with('.') => {}
                path => {
                    let quoted = Value::from(path).to_string();
                    let why = "must be a simple json path starting with .";
                    self.invalid(&at("JSONPath"), &quoted, why);
                }
            }
        }
    }

    fn scale(&mut self, version: &Value, prefix: &str) {
        let scale = &version["subresources"]["scale"];
        if !scale.is_object() {
            return;
        }
        let paths = [
            ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
            ("statusReplicasPath", &[".status."], "should be a json path under .status"),
            (
                "labelSelectorPath",
                &[".spec.", ".status."],
                "should be a json path under either .spec or .status",
            ),
        ];
        for (name, roots, why) in paths {
            let field = format!("{prefix}.subresources.scale.{name}");
            match text(scale, name) {
                "" if name == "labelSelectorPath" => {}
                "" => self.required(&field),
                path if roots.iter().any(|root| path.starts_with(root)) => {}
                path => self.invalid(&field, &Value::from(path).to_string(), why),
            }
        }
    }

    fn conversion(&mut self, conversion: &Value) {
        let versions = "spec.conversion.conversionReviewVersions";
        let webhook = &conversion["webhook"];
        match text(conversion, "strategy") {
            "Webhook" => {
                if array(webhook, "conversionReviewVersions").is_empty() {
                    self.required(versions);
                }
                if !webhook["clientConfig"].is_object() {
                    let why = "Required value: required when strategy is set to Webhook";
                    let field = "spec.conversion.webhookClientConfig";
                    self.push("FieldValueRequired", field, why.into());
                }
            }
            "None" => {
                let why = "Forbidden: should not be set when strategy is not set to Webhook";
                if !array(webhook, "conversionReviewVersions").is_empty() {
                    self.push("FieldValueForbidden", versions, why.into());
                }
                if webhook["clientConfig"].is_object() {
                    let field = "spec.conversion.webhookClientConfig";
                    self.push("FieldValueForbidden", field, why.into());
                }
            }
            other => self.unsupported("spec.conversion.strategy", other, "\"None\", \"Webhook\""),
        }
    }
}

/// Versions as kube-apiserver's internal type shows them; fields that all share are null there.
fn shown(versions: &[Value]) -> String {
    let field = |version: &Value, name: &str| match is_shared(versions, name) {
        true => Value::Null,
        false => version[name].clone(),
    };
    let version = |version: &Value| {
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\
             \"DeprecationWarning\":{},\"Schema\":{},\"Subresources\":{},\
             \"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
            version["name"],
            version["served"] == true,
            version["storage"] == true,
            version["deprecated"] == true,
            version["deprecationWarning"],
            field(version, "schema"),
            field(version, "subresources"),
            field(version, "additionalPrinterColumns"),
            field(version, "selectableFields"),
        )
    };
    format!("[{}]", versions.iter().map(version).collect::<Vec<_>>().join(","))
}

fn is_dns_1035(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(inner)
}
