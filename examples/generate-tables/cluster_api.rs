//! The table of Cluster API's kinds: every CRD in its storage version.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use capim::machinery::definition::Origin;
use capim::machinery::tables;
use serde_json::Value;

use crate::nodes::{Writer, compare};

/// Folders of CRDs, relative to the given directory.
const FOLDERS: [&str; 2] = ["v1.14", "v1.6-inmemory"];
/// Groups whose kinds are files of clusterctl and never served.
const GROUPS_SKIPPED: [&str; 1] = ["clusterctl.cluster.x-k8s.io"];

struct Kind {
    header: String,
    name: String,
    schema: Value,
}

/// The text of the table.
pub fn table(directory: &Path) -> Result<String> {
    let mut kinds = Vec::new();
    for folder in FOLDERS {
        let mut files: Vec<_> = std::fs::read_dir(directory.join(folder))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file)?;
            let crd: Value = serde_json::from_str(&text)?;
            kinds.extend(kind(&crd).with_context(|| file.display().to_string())?);
        }
    }
    let mut writer = Writer::default();
    kinds.iter().for_each(|kind| writer.count(&kind.schema));
    let mut blocks = String::new();
    for kind in &kinds {
        let lines = writer.block(&kind.schema, &kind.name)?;
        write!(blocks, "{}{lines}", kind.header)?;
    }
    let note = "# Cluster API's kinds. Written by examples/generate-tables; do not edit.\n";
    let text = format!("{note}{}{blocks}", writer.parts);
    let parsed = tables::parse(text.clone().leak(), Origin::Custom)?;
    for (kind, definition) in kinds.iter().zip(&parsed.definitions) {
        compare(&kind.name, &kind.schema, &definition.schema.to_openapi())?;
    }
    Ok(text)
}

fn kind(crd: &Value) -> Result<Option<Kind>> {
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).context("missing name");
    let group = text("/spec/group")?;
    if GROUPS_SKIPPED.contains(&group) {
        return Ok(None);
    }
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array).context("versions")?;
    let version = versions.iter().find(|version| version["storage"] == true);
    let version = version.context("no storage version")?;
    let name = version["name"].as_str().context("version without name")?;
    let (kind, plural, singular, scope) = (
        text("/spec/names/kind")?,
        text("/spec/names/plural")?,
        text("/spec/names/singular")?,
        text("/spec/scope")?,
    );
    let mut header = format!("kind {group} {name} {kind} {plural} {singular} {scope}\n");
    for (keyword, field) in [("short", "shortNames"), ("categories", "categories")] {
        if let Some(names) = crd["spec"]["names"][field].as_array() {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            writeln!(header, " {keyword} {}", names.join(" "))?;
        }
    }
    if version["subresources"]["status"].is_object() {
        header.push_str(" status\n");
    }
    if let Some(scale) = version["subresources"]["scale"].as_object() {
        let paths = ["specReplicasPath", "statusReplicasPath", "labelSelectorPath"];
        let paths = paths.map(|path| scale.get(path).and_then(Value::as_str).unwrap_or_default());
        let paths = paths.map(|path| path.trim_start_matches('.')).join(" ");
        writeln!(header, " scale {}", paths.trim_end())?;
    }
    for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
        let text = |field: &str| column[field].as_str().unwrap_or_default();
        let priority = column["priority"].as_i64().unwrap_or_default();
        let cells = (text("name"), text("type"), text("format"), priority, text("jsonPath"));
        let cells = (cells.0, cells.1, cells.2, cells.3, cells.4, text("description"));
        writeln!(header, " column {}", serde_json::to_string(&cells)?)?;
    }
    let schema = version["schema"]["openAPIV3Schema"].clone();
    Ok(Some(Kind { header, name: format!("{kind}.{name}"), schema }))
}
