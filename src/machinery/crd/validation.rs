//! What is wrong with a CustomResourceDefinition, with kube-apiserver's paths and wording.
//!
//! Upstream checks its internal version, in which what all versions have in common stands above
//! them (`spec.validation`, `spec.subresources`, ...): hence the paths.
//! (kubernetes 1.36: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go)

use serde_json::{Map, Value};

use super::approval::{self, Approval, approval, is_protected_group};
use super::report::Report;
use super::{array, check_rules, conversion_rules, is_shared, text, version_rules};
use crate::machinery::names;
use crate::machinery::schema;
use crate::machinery::status::Cause;

/// Keywords that the root of a schema may have next to a status subresource.
const AT_ROOT: [&str; 22] = [
    "description",
    "type",
    "format",
    "title",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "required",
    "items",
    "properties",
    "externalDocs",
    "example",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

/// Checks a definition that is to be stored; `old` is the stored one, `None` on create. Metadata is
/// checked by whoever checks that of all kinds, but for the name's relation to the spec. Rules of
/// `x-kubernetes-validations` are compiled if nothing else is wrong and the spec is a new one.
pub fn validate(crd: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut report = Report::default();
    if old.is_none() {
        name(crd, &mut report);
    }
    spec(crd, old, &mut report);
    if let Some(old) = old {
        immutable(&crd["spec"], old, &mut report);
    }
    version_rules::names(&crd["status"]["acceptedNames"], "status.acceptedNames", &mut report);
    stored_versions(crd, &mut report);
    approved(crd, old, &mut report);
    preserve_unknown(&crd["spec"], old, &mut report);
    let is_new = old.is_none_or(|old| old["spec"] != crd["spec"]);
    if report.causes.is_empty() && is_new {
        return check_rules(crd);
    }
    report.causes
}

/// Checks what a write of the status changes.
pub fn validate_status(crd: &Value) -> Vec<Cause> {
    let mut report = Report::default();
    version_rules::names(&crd["status"]["acceptedNames"], "status.acceptedNames", &mut report);
    report.causes
}

/// Whether a definition is served.
pub fn is_established(crd: &Value) -> bool {
    let conditions = crd["status"]["conditions"].as_array().into_iter().flatten();
    let mut established = conditions.filter(|it| it["type"] == "Established");
    established.any(|condition| condition["status"] == "True")
}

fn name(crd: &Value, report: &mut Report) {
    let (name, group) = (text(&crd["metadata"], "name"), text(&crd["spec"], "group"));
    if name != format!("{}.{group}", text(&crd["spec"]["names"], "plural")) {
        let quoted = Value::from(name).to_string();
        report.invalid("metadata.name", &quoted, "must be spec.names.plural+\".\"+spec.group");
    }
}

fn spec(crd: &Value, old: Option<&Value>, report: &mut Report) {
    let spec = &crd["spec"];
    group(spec, report);
    match text(spec, "scope") {
        "Cluster" | "Namespaced" => {}
        "" => report.required("spec.scope", ""),
        other => report.unsupported("spec.scope", other, &["Cluster", "Namespaced"]),
    }
    let versions = array(spec, "versions");
    for (number, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{number}].schema.openAPIV3Schema");
            report.required(&field, "");
        }
    }
    for (number, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{number}]");
        report_version_name(version, &format!("{path}.name"), report);
        version_rules::deprecation(version, &format!("{path}.deprecationWarning"), report);
        of_version(version, versions, old, (&path, Shared::No), report);
    }
    versions_as_a_whole(versions, report);
    if let Some(first) = versions.first() {
        report_version_name(first, "spec.version", report);
    }
    let names = &spec["names"];
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(names, name).is_empty() {
            report.required(&format!("spec.names.{name}"), "");
        }
    }
    version_rules::names(names, "spec.names", report);
    if let Some(first) = versions.first() {
        of_version(first, versions, old, ("spec", Shared::Yes), report);
    }
    conversion_rules::check(spec, old, report);
}

fn group(spec: &Value, report: &mut Report) {
    let group = text(spec, "group");
    let quoted = Value::from(group).to_string();
    let wrong = names::check_subdomain(group);
    if group.is_empty() {
        report.required("spec.group", "");
    } else if !wrong.is_empty() {
        report.invalid("spec.group", &quoted, &wrong.join(","));
    } else if !group.contains('.') {
        report.invalid("spec.group", &quoted, "should be a domain with at least one dot");
    }
}

fn report_version_name(version: &Value, field: &str, report: &mut Report) {
    let name = text(version, "name");
    report.label(field, name, name, "");
}

/// Whether what all versions have in common is checked, or what they have not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shared {
    Yes,
    No,
}

/// Checks the parts of a version that are reported below `path`.
fn of_version(
    version: &Value,
    versions: &[Value],
    old: Option<&Value>,
    (path, shared): (&str, Shared),
    report: &mut Report,
) {
    let is_here = |field: &str| is_shared(versions, field) == (shared == Shared::Yes);
    if is_here("schema") {
        // What all versions share is checked as if any had a status.
        let has_status = |version: &Value| version["subresources"]["status"].is_object();
        let has_status = match shared {
            Shared::Yes => versions.iter().any(has_status),
            Shared::No => has_status(version),
        };
        let path = match shared {
            Shared::Yes => format!("{path}.validation.openAPIV3Schema"),
            Shared::No => format!("{path}.schema.openAPIV3Schema"),
        };
        if let Value::Object(document) = &version["schema"]["openAPIV3Schema"] {
            schema_root(document, has_status, &path, report);
            report.causes.extend(schema::check(document, &path));
        }
    }
    if is_here("subresources") {
        version_rules::scale(version, &format!("{path}.subresources.scale"), report);
    }
    if is_here("additionalPrinterColumns") {
        version_rules::columns(version, &format!("{path}.additionalPrinterColumns"), report);
    }
    if is_here("selectableFields") {
        version_rules::selectable(version, old, &format!("{path}.selectableFields"), report);
    }
}

/// Rules for the root of a schema alone.
fn schema_root(document: &Map<String, Value>, has_status: bool, path: &str, report: &mut Report) {
    if has_status {
        let kind = document.get("type").and_then(Value::as_str).unwrap_or_default();
        let other = document.keys().find(|keyword| !AT_ROOT.contains(&keyword.as_str()));
        if !kind.is_empty() && kind != "object" {
            let why = "only \"object\" is allowed as the type at the root of the schema if the \
                       status subresource is enabled";
            report.invalid(&format!("{path}.type"), &Value::from(kind).to_string(), why);
        } else if other.is_some() {
            let fields: Vec<String> = AT_ROOT.iter().map(|keyword| go_field(keyword)).collect();
            let why = format!(
                "only [{}] fields are allowed at the root of the schema if the status subresource \
                 is enabled",
                fields.join(" ")
            );
            report.invalid(path, &Value::Object(document.clone()).to_string(), &why);
        }
    }
    if document.get("nullable") == Some(&Value::Bool(true)) {
        let field = format!("{path}.nullable");
        report.forbidden(&field, "nullable cannot be true at the root");
    }
}

/// The name of a keyword's field in Go.
fn go_field(keyword: &str) -> String {
    match keyword {
        "x-kubernetes-preserve-unknown-fields" => "XPreserveUnknownFields".to_owned(),
        "x-kubernetes-validations" => "XValidations".to_owned(),
        other => other[..1].to_uppercase() + &other[1..],
    }
}

fn versions_as_a_whole(versions: &[Value], report: &mut Report) {
    let mut names: Vec<&str> = versions.iter().map(|version| text(version, "name")).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        report.invalid("spec.versions", &shown(versions), "must contain unique version names");
    }
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        report.invalid("spec.versions", &shown(versions), why);
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

/// What objects in the store rely on.
fn immutable(spec: &Value, old: &Value, report: &mut Report) {
    let mut check = |path: &[&str]| {
        let at = |spec: &Value| path.iter().fold(spec, |value, name| &value[*name]).clone();
        let (new, old) = (at(spec), at(&old["spec"]));
        if new != old {
            let field = format!("spec.{}", path.join("."));
            report.invalid(&field, &new.to_string(), "field is immutable");
        }
    };
    if is_established(old) {
        check(&["scope"]);
        check(&["names", "kind"]);
    }
    check(&["group"]);
    check(&["names", "plural"]);
}

/// Versions in which objects may still be stored must stay.
fn stored_versions(crd: &Value, report: &mut Report) {
    let versions = array(&crd["spec"], "versions");
    let given = &crd["status"]["storedVersions"];
    let stored = array(&crd["status"], "storedVersions");
    let field = "status.storedVersions";
    if stored.is_empty() {
        // An empty list is none to Go.
        return report.invalid(field, "null", "must have at least one stored version");
    }
    for version in versions.iter().filter(|version| version["storage"] == true) {
        if !stored.contains(&version["name"]) {
            let why = format!("must have the storage version {}", text(version, "name"));
            report.invalid(field, &given.to_string(), &why);
        }
    }
    for (index, stored) in stored.iter().enumerate() {
        if versions.iter().any(|version| version["name"] == *stored) {
            continue;
        }
        let name = stored.as_str().unwrap_or_default();
        let why = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain \
             in spec.versions until a storage migration ensures no data remains persisted in \
             {name} and removes {name} from status.storedVersions"
        );
        report.invalid(&format!("{field}[{index}]"), &stored.to_string(), &why);
    }
}

/// Groups of Kubernetes' own need an approval, new or changed.
fn approved(crd: &Value, old: Option<&Value>, report: &mut Report) {
    if !is_protected_group(text(&crd["spec"], "group")) {
        return;
    }
    let state = |crd: &Value| approval(&crd["metadata"]["annotations"]);
    let new = state(crd);
    let before = old.map(state);
    if before.is_some_and(|before| std::mem::discriminant(&before) == std::mem::discriminant(&new))
    {
        return;
    }
    let field = format!("metadata.annotations[{}]", approval::ANNOTATION);
    match new {
        Approval::Missing(why) => report.required(&field, &why),
        Approval::Invalid(why) => {
            let given = &crd["metadata"]["annotations"][approval::ANNOTATION];
            report.invalid(&field, &given.to_string(), &why);
        }
        Approval::Approved(_) | Approval::Bypassed(_) => {}
    }
}

fn preserve_unknown(spec: &Value, old: Option<&Value>, report: &mut Report) {
    let keeps = |spec: &Value| spec["preserveUnknownFields"] == true;
    if keeps(spec) && !old.is_some_and(|old| keeps(&old["spec"])) {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                   spec.versions[*].schema instead";
        report.invalid("spec.preserveUnknownFields", "true", why);
    }
}
