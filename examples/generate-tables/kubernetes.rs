//! The table of the Kubernetes kinds: served resources, the shapes they reach, and messages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use capim::machinery::definition::Origin;
use capim::machinery::tables::{self, messages};
use serde_json::{Map, Value, json};

use crate::nodes::{Writer, compare};

/// Resources of the core group, which the discovery of /apis does not list: plural, singular,
/// kind, scope, short names, categories, subresources.
#[rustfmt::skip]
const CORE: [(&str, &str, &str, &str, &str, &str, &str); 15] = [
    ("configmaps", "configmap", "ConfigMap", "Namespaced", "cm", "", ""),
    ("endpoints", "endpoints", "Endpoints", "Namespaced", "ep", "", ""),
    ("events", "event", "Event", "Namespaced", "ev", "", ""),
    ("limitranges", "limitrange", "LimitRange", "Namespaced", "limits", "", ""),
    ("namespaces", "namespace", "Namespace", "Cluster", "ns", "", "status"),
    ("nodes", "node", "Node", "Cluster", "no", "", "status"),
    ("persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", "Namespaced", "pvc", "", "status"),
    ("persistentvolumes", "persistentvolume", "PersistentVolume", "Cluster", "pv", "", "status"),
    ("pods", "pod", "Pod", "Namespaced", "po", "all", "status"),
    ("podtemplates", "podtemplate", "PodTemplate", "Namespaced", "", "", ""),
    ("replicationcontrollers", "replicationcontroller", "ReplicationController", "Namespaced", "rc", "all", "status scale"),
    ("resourcequotas", "resourcequota", "ResourceQuota", "Namespaced", "quota", "", "status"),
    ("secrets", "secret", "Secret", "Namespaced", "", "", ""),
    ("serviceaccounts", "serviceaccount", "ServiceAccount", "Namespaced", "sa", "", ""),
    ("services", "service", "Service", "Namespaced", "svc", "all", "status"),
];

/// Resources of other groups, all in the version given; the rest comes from discovery.
const GROUPS: [(&str, &str, &str); 19] = [
    (
        "admissionregistration.k8s.io",
        "v1",
        "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations",
    ),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
    ("apps", "v1", "controllerrevisions daemonsets deployments replicasets statefulsets"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "cronjobs jobs"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    ("coordination.k8s.io", "v1", "leases"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("events.k8s.io", "v1", "events"),
    ("flowcontrol.apiserver.k8s.io", "v1", "flowschemas prioritylevelconfigurations"),
    (
        "networking.k8s.io",
        "v1",
        "ingressclasses ingresses ipaddresses networkpolicies servicecidrs",
    ),
    ("node.k8s.io", "v1", "runtimeclasses"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "v1", "clusterrolebindings clusterroles rolebindings roles"),
    ("resource.k8s.io", "v1", "deviceclasses resourceclaims resourceclaimtemplates resourceslices"),
    ("scheduling.k8s.io", "v1", "priorityclasses"),
    (
        "storage.k8s.io",
        "v1",
        "csidrivers csinodes csistoragecapacities storageclasses volumeattachments volumeattributesclasses",
    ),
    ("autoscaling", "v1", "horizontalpodautoscalers"),
];

/// Field selectors beyond name and namespace. (Kubernetes: pkg/registry/*/*/strategy.go)
const SELECTABLE: [(&str, &str); 12] = [
    // In the order of the core group's, as what they are stored as.
    (
        "events.k8s.io events",
        "regarding.kind regarding.namespace regarding.name regarding.uid regarding.apiVersion regarding.resourceVersion regarding.fieldPath reason reportingController source type",
    ),
    ("certificatesigningrequests", "spec.signerName"),
    (
        "events",
        "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent source type",
    ),
    ("jobs", "status.successful"),
    ("namespaces", "status.phase"),
    ("nodes", "spec.unschedulable"),
    (
        "pods",
        "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase status.podIP status.nominatedNodeName",
    ),
    ("replicasets", "status.replicas"),
    ("replicationcontrollers", "status.replicas"),
    ("resourceslices", "spec.nodeName spec.driver"),
    ("secrets", "type"),
    ("services", "spec.clusterIP spec.type"),
];

/// Shapes that are needed although no served resource reaches them.
const FURTHER_SHAPES: [&str; 16] = [
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authentication.v1.TokenReview",
    "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
    "io.k8s.api.authorization.v1.SubjectAccessReview",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.core.v1.Binding",
    "io.k8s.api.events.v1.Event",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
];

/// Shapes that OpenAPI gives as an object without fields, but that hold anything.
const OPEN_SHAPES: [&str; 3] = [
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
];

/// The text of the table.
pub fn table(directory: &Path) -> Result<String> {
    let read = |name: &str| -> Result<Value> {
        let text = std::fs::read_to_string(directory.join(name)).context(name.to_owned())?;
        Ok(serde_json::from_str(&text)?)
    };
    let (openapi, discovery) = (read("openapi-schemas.json")?, read("discovery.json")?);
    let openapi = openapi.as_object().context("schemas are an object")?;
    let kinds = kinds(&discovery, openapi)?;
    let mut roots: Vec<&str> = kinds.iter().map(|kind| kind.component.as_str()).collect();
    roots.extend(FURTHER_SHAPES);
    let shapes = reachable(openapi, &roots)?;
    let note = "# Kubernetes' kinds. Written by examples/generate-tables; do not edit.\n";
    let mut text = note.to_owned();
    // Shapes share by name, so that no parts are wanted: nothing is counted.
    let mut writer = Writer::default();
    for (name, shape) in &shapes {
        write!(text, "shape {name}\n{}", writer.block(shape, name)?)?;
    }
    for kind in &kinds {
        writeln!(text, "{} = &{}", kind.header, kind.component)?;
    }
    text.push_str("messages\n");
    let names: Vec<String> = shapes.keys().map(|name| message_name(name)).collect();
    let lists = kinds.iter().map(|kind| format!("{}List", message_name(&kind.component)));
    text.push_str(&message_lines(&read("protobuf-fields.json")?, names.into_iter().chain(lists))?);
    let parsed = tables::parse(text.clone().leak(), Origin::BuiltIn)?;
    for (name, shape) in &shapes {
        let schema = parsed.shapes.get(name.as_str()).context("a shape is lost")?;
        compare(name, shape, &schema.to_openapi())?;
    }
    Ok(text)
}

struct Kind {
    header: String,
    component: String,
}

fn kinds(discovery: &Value, openapi: &Map<String, Value>) -> Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for (plural, singular, kind, scope, short, categories, subresources) in CORE {
        let mut header = format!("kind - v1 {kind} {plural} {singular} {scope}\n");
        details(&mut header, ("", plural), short, categories, subresources)?;
        kinds.push(Kind { header, component: format!("io.k8s.api.core.v1.{kind}") });
    }
    for (group, version, resources) in GROUPS {
        let found = discovery["items"].as_array().context("items")?.iter();
        let mut found = found.filter(|item| item["metadata"]["name"] == group);
        let found = found.next().context("group in discovery")?;
        let found = found["versions"].as_array().context("versions")?.iter();
        let found = found.filter(|found| found["version"] == version);
        let all: Vec<&Value> =
            found.flat_map(|found| found["resources"].as_array().into_iter().flatten()).collect();
        for plural in resources.split(' ') {
            let resource = all.iter().find(|resource| resource["resource"] == plural);
            let resource = resource.with_context(|| format!("{plural} in discovery"))?;
            let kind = resource["responseKind"]["kind"].as_str().context("kind")?;
            let singular = resource["singularResource"].as_str().unwrap_or_default();
            let scope = resource["scope"].as_str().context("scope")?;
            let mut header = format!("kind {group} {version} {kind} {plural} {singular} {scope}\n");
            let subresources = resource["subresources"].as_array().into_iter().flatten();
            let subresources = subresources.filter_map(|one| one["subresource"].as_str());
            let subresources: Vec<&str> = subresources.collect();
            let (short, categories) = (&resource["shortNames"], &resource["categories"]);
            let (short, categories) = (join(short), join(categories));
            details(&mut header, (group, plural), &short, &categories, &subresources.join(" "))?;
            let component = component(openapi, group, version, kind)?;
            kinds.push(Kind { header, component });
        }
    }
    Ok(kinds)
}

fn details(
    header: &mut String,
    (group, plural): (&str, &str),
    short: &str,
    categories: &str,
    subresources: &str,
) -> Result<()> {
    for (keyword, words) in [("short", short), ("categories", categories)] {
        if !words.is_empty() {
            writeln!(header, " {keyword} {words}")?;
        }
    }
    for subresource in subresources.split(' ') {
        match subresource {
            "status" => header.push_str(" status\n"),
            "scale" => header.push_str(" scale spec.replicas status.replicas spec.selector\n"),
            _ => {}
        }
    }
    let names = [format!("{group} {plural}"), plural.to_owned()];
    let paths = names.iter().find_map(|name| SELECTABLE.iter().find(|(known, _)| known == name));
    if let Some((_, paths)) = paths {
        writeln!(header, " select {paths}")?;
    }
    Ok(())
}

fn join(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(" ")
}

/// The component that has this group, version and kind.
fn component(
    openapi: &Map<String, Value>,
    group: &str,
    version: &str,
    kind: &str,
) -> Result<String> {
    let wanted = json!({ "group": group, "kind": kind, "version": version });
    let mut found = openapi.iter().filter(|(name, schema)| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        name.ends_with(&format!(".{kind}")) && kinds.is_some_and(|kinds| kinds.contains(&wanted))
    });
    let (name, _) = found.next().with_context(|| format!("schema of {group}/{version} {kind}"))?;
    Ok(name.clone())
}

/// The shapes below the roots, in the form in which the table has them.
fn reachable(openapi: &Map<String, Value>, roots: &[&str]) -> Result<BTreeMap<String, Value>> {
    let mut pending: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
    let mut shapes = BTreeMap::new();
    while let Some(name) = pending.pop() {
        if shapes.contains_key(&name) {
            continue;
        }
        let schema = openapi.get(&name).with_context(|| format!("no schema {name}"))?;
        let mut shape = reduced(schema, true);
        if shape == json!({}) || OPEN_SHAPES.contains(&name.as_str()) {
            shape["x-kubernetes-preserve-unknown-fields"] = true.into();
        }
        references(&shape, &mut pending);
        shapes.insert(name, shape);
    }
    Ok(shapes)
}

fn references(node: &Value, found: &mut Vec<String>) {
    match node {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                found.push(target.trim_start_matches("#/components/schemas/").to_owned());
            }
            map.values().for_each(|child| references(child, found));
        }
        Value::Array(list) => list.iter().for_each(|child| references(child, found)),
        _ => {}
    }
}

/// Without group-version-kinds and unions, which definitions know, and without defaults that are
/// only Go's zero values.
fn reduced(node: &Value, is_schema: bool) -> Value {
    match node {
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, value)| {
                let dropped = match name.as_str() {
                    "x-kubernetes-group-version-kind" | "x-kubernetes-unions" => true,
                    "default" => is_zero(value),
                    _ => false,
                };
                !(is_schema && dropped)
            });
            let kept = kept.map(|(name, value)| {
                let below = !is_schema || name != "properties";
                (name.clone(), reduced(value, below))
            });
            Value::Object(kept.collect())
        }
        Value::Array(list) => list.iter().map(|child| reduced(child, is_schema)).collect(),
        other => other.clone(),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// `k8s.io.api.core.v1.Pod` of `io.k8s.api.core.v1.Pod`.
fn message_name(component: &str) -> String {
    let name = component.replacen("io.k8s.", "k8s.io.", 1);
    let name = name.replace("apiextensions-apiserver", "apiextensions_apiserver");
    name.replace("kube-aggregator", "kube_aggregator")
}

fn message_lines(fields: &Value, roots: impl Iterator<Item = String>) -> Result<String> {
    let fields = fields.as_object().context("messages are an object")?;
    let mut pending: Vec<String> = roots.collect();
    pending.extend(["k8s.io.apimachinery.pkg.runtime.Unknown".to_owned()]);
    let mut seen = BTreeSet::new();
    let mut blocks = BTreeMap::new();
    while let Some(name) = pending.pop() {
        let Some(list) = fields.get(&name).and_then(Value::as_array) else { continue };
        if !seen.insert(name.clone()) {
            continue;
        }
        let mut lines = String::new();
        for field in list {
            let kind = field[2].as_str().context("type of a field")?;
            let (shape, item) = if let Some(item) = kind.strip_prefix("[]") {
                ("[]", item)
            } else if let Some(map) = kind.strip_prefix("map<string,") {
                ("{}", map.trim_end_matches('>'))
            } else {
                ("", kind)
            };
            let item = if item.contains('.') {
                pending.push(item.to_owned());
                format!("&{}", abbreviate(item))
            } else {
                item.to_owned()
            };
            let name = field[1].as_str().context("name of a field")?;
            let mark = field[3].as_str().context("mark of a field")?;
            writeln!(lines, " {} {name} {shape}{item}{mark}", field[0])?;
        }
        blocks.insert(abbreviate(&name), lines);
    }
    Ok(blocks.into_iter().map(|(name, lines)| format!("{name}\n{lines}")).collect())
}

fn abbreviate(name: &str) -> String {
    let found = messages::ABBREVIATIONS.iter().find(|(_, prefix)| name.starts_with(prefix));
    found.map_or_else(
        || name.to_owned(),
        |(mark, prefix)| format!("{mark}{}", &name[prefix.len()..]),
    )
}
