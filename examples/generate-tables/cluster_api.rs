//! The table of Cluster API's kinds: every CRD in every version, the storage version first.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use capim::machinery::crd;
use capim::machinery::definition::Origin;
use capim::machinery::gvk::compare_versions;
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
            kinds.extend(versions(&crd).with_context(|| file.display().to_string())?);
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

/// All versions of a definition, the storage version first, then the best other first.
fn versions(crd: &Value) -> Result<Vec<Kind>> {
    if GROUPS_SKIPPED.contains(&crd["spec"]["group"].as_str().unwrap_or_default()) {
        return Ok(Vec::new());
    }
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array).context("versions")?;
    let mut versions: Vec<&Value> = versions.iter().collect();
    let name = |version: &Value| version["name"].as_str().unwrap_or_default().to_owned();
    versions.sort_by(|a, b| {
        let stored = (b["storage"] == true).cmp(&(a["storage"] == true));
        stored.then_with(|| compare_versions(&name(a), &name(b)))
    });
    // Warnings and defaults are the program's own business.
    let definitions = crd::definitions_of(crd).map_err(|causes| anyhow!("{causes:?}"))?;
    let warning = |version: &Value| {
        let of_version = definitions.iter().find(|it| *it.version == name(version));
        of_version.and_then(|it| it.serving.deprecation.clone())
    };
    versions.into_iter().map(|version| kind(crd, version, warning(version))).collect()
}

fn kind(crd: &Value, version: &Value, deprecation: Option<Arc<str>>) -> Result<Kind> {
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).context("missing name");
    let group = text("/spec/group")?;
    let name = version["name"].as_str().context("version without name")?;
    let (kind, plural, singular, scope) = (
        text("/spec/names/kind")?,
        text("/spec/names/plural")?,
        text("/spec/names/singular")?,
        text("/spec/scope")?,
    );
    let mut header = format!("kind {group} {name} {kind} {plural} {singular} {scope}\n");
    if version["storage"] == true {
        header.push_str(" stored\n");
    }
    if let Some(warning) = deprecation {
        writeln!(header, " deprecated {warning}")?;
    }
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
    Ok(Kind { header, name: format!("{kind}.{name}"), schema })
}
