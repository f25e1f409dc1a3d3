//! Our CustomResourceDefinitions against a folder of upstream's, field by field.
//!
//! The document says how much was compared and lists every difference with its reason; one that
//! has no reason is an error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use capim::api::definitions;
use capim::machinery::crd;
use capim::machinery::definition::ResourceDefinition;
use serde_json::{Map, Value};

use crate::nodes::canonical;

/// Differences that are meant: where (the end of a kind's name and the start of a path) and why.
const REASONS: [(&str, &str, &str); 6] = [
    (
        "clusterctl.cluster.x-k8s.io",
        "",
        "files and memory of clusterctl; capim serves `providers` \
      itself only where clusterctl asks for them",
    ),
    ("devmachinepools.infrastructure.cluster.x-k8s.io", "spec.versions.v1beta2.schema", POOLS),
    (
        "devmachinepooltemplates.infrastructure.cluster.x-k8s.io",
        "spec.versions.v1beta2.schema",
        POOLS,
    ),
    (
        "",
        "spec.conversion",
        "the folder has definitions as controller-gen makes them; the released \
      manifests add the conversion webhook, which capim names, too, and answers natively",
    ),
    (
        "",
        "metadata.labels",
        "the released manifests add the labels of the provider and of its \
      contracts",
    ),
    ("", "metadata.annotations", "says which controller-gen made the file"),
];

const POOLS: &str = "pools of machines have an in-memory backend in capim; upstream has none, \
                     and the table has it by hand";

/// One difference.
struct Difference {
    path: String,
    upstream: Value,
    own: Value,
}

/// What one definition came to.
#[derive(Default)]
struct Comparison {
    versions: Vec<String>,
    compared: usize,
    differences: Vec<Difference>,
}

/// Compares and returns the document.
pub fn document(folder: &Path) -> Result<String> {
    let own = own_definitions();
    let mut text = String::from(
        "# Custom resource definitions: capim's and upstream's\n\n\
         Written by `cargo run --example generate-tables -- compare <folder of CRDs> \
         docs/crd-differences.md`. The folder holds the\ndefinitions of Cluster API v1.14.0 and of \
         the in-memory provider of v1.6 as JSON, without descriptions. Compared are\nnames, scope, \
         versions (served, stored, deprecated), subresources with their paths, columns, selectable \
         fields, and every\nkeyword of every field of the schemas: types, formats, required, \
         enums, limits, patterns, list and map types, defaults, rules.\n\n\
         | definition | versions | facts compared | differences |\n|---|---|---|---|\n",
    );
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for file in files(folder)? {
        let upstream: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)
            .with_context(|| file.display().to_string())?;
        let name = upstream["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let comparison = compare(&upstream, own.get(&name).unwrap_or(&Value::Null));
        let mut count = 0;
        for difference in &comparison.differences {
            let reason = REASONS
                .iter()
                .find(|(end, start, _)| name.ends_with(end) && difference.path.starts_with(start));
            let line = format!(
                "`{name}` {}: upstream {}, capim {}",
                difference.path,
                short(&difference.upstream),
                short(&difference.own)
            );
            match reason {
                Some((_, _, why)) => {
                    reasons.entry((*why).to_owned()).or_default().push(line);
                }
                None => unexplained.push(line),
            }
            count += 1;
        }
        let versions = comparison.versions.join(", ");
        writeln!(text, "| `{name}` | {versions} | {} | {count} |", comparison.compared)?;
    }
    text.push_str("\n## Differences and why\n");
    for (why, lines) in reasons {
        writeln!(text, "\n* {why}:")?;
        for line in lines {
            writeln!(text, "  * {line}")?;
        }
    }
    if !unexplained.is_empty() {
        bail!("differences without a reason:\n{}", unexplained.join("\n"));
    }
    Ok(text)
}

/// Our definitions by name, as a server of ours shows them.
fn own_definitions() -> BTreeMap<String, Value> {
    let mut kinds: BTreeMap<String, Vec<ResourceDefinition>> = BTreeMap::new();
    for definition in definitions::definitions() {
        let name = format!("{}.{}", definition.plural, definition.group);
        kinds.entry(name).or_default().push(definition);
    }
    let manifest = |versions: &Vec<ResourceDefinition>| {
        let versions: Vec<&ResourceDefinition> = versions.iter().collect();
        crd::manifest(&versions, &definitions::labels(versions[0]))
    };
    kinds.iter().map(|(name, versions)| (name.clone(), manifest(versions))).collect()
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|it| it == "json") && !path.ends_with("index.json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn compare(upstream: &Value, own: &Value) -> Comparison {
    let versions = upstream["spec"]["versions"].as_array();
    let names = versions.into_iter().flatten().filter_map(|it| it["name"].as_str());
    let mut comparison =
        Comparison { versions: names.map(str::to_owned).collect(), ..Comparison::default() };
    if own.is_null() {
        comparison.difference("", Value::from("present"), Value::from("absent"));
        return comparison;
    }
    let (upstream, own) = (by_version(upstream), by_version(own));
    comparison.walk(&upstream, &own, "");
    comparison
}

/// The definition without status, with versions and columns by name, in a form that can be compared.
fn by_version(crd: &Value) -> Value {
    let mut crd = canonical(crd);
    if let Some(crd) = crd.as_object_mut() {
        crd.remove("status");
    }
    if let Some(list) = crd["spec"]["versions"].as_array_mut() {
        let versions = std::mem::take(list).into_iter().map(|mut version| {
            if version["deprecated"] == false {
                version.as_object_mut().map(|version| version.remove("deprecated"));
            }
            let name = version["name"].as_str().unwrap_or_default().to_owned();
            (name, version)
        });
        let versions: Map<String, Value> = versions.collect();
        crd["spec"]["versions"] = versions.into();
    }
    crd
}

impl Comparison {
    fn difference(&mut self, path: &str, upstream: Value, own: Value) {
        let path = path.trim_start_matches('.').to_owned();
        self.differences.push(Difference { path, upstream, own });
    }

    fn walk(&mut self, upstream: &Value, own: &Value, path: &str) {
        match (upstream, own) {
            (Value::Object(left), Value::Object(right)) => {
                let more = right.keys().filter(|name| !left.contains_key(*name));
                for name in left.keys().chain(more) {
                    self.walk(&upstream[name], &own[name], &format!("{path}.{name}"));
                }
            }
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (number, (left, right)) in left.iter().zip(right).enumerate() {
                    self.walk(left, right, &format!("{path}[{number}]"));
                }
            }
            _ => {
                self.compared += 1;
                if upstream != own {
                    self.difference(path, upstream.clone(), own.clone());
                }
            }
        }
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        value => value.to_string(),
    };
    let mut short: String = text.chars().take(100).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{short}`")
}
