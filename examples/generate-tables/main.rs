//! Writes `kubernetes.table` and `cluster-api.table` from Kubernetes' OpenAPI, discovery and
//! protobuf descriptions and from Cluster API's CustomResourceDefinitions.
//!
//! ```text
//! cargo run --example generate-tables -- <kubernetes dir> <crds dir> assets
//! cargo run --example generate-tables -- cluster-api <crds dir> assets
//! ```
//!
//! The second form writes `cluster-api.table` alone.
//!
//! The Kubernetes directory holds `openapi-schemas.json` (component name -> schema),
//! `discovery.json` (aggregated discovery of /apis) and `protobuf-fields.json` (message name ->
//! `[number, JSON name, type, mark]` as `tables::messages` describes them, from the tags in
//! Kubernetes' types.go). The other one holds folders of CRDs as JSON and their
//! `index.json`. What was written is parsed again and compared with what was read.
//!
//! ```text
//! cargo run --example generate-tables -- compare <crds dir> docs/crd-differences.md
//! ```
//!
//! compares the definitions that capim serves with those of a folder and writes down how they
//! differ and why.

mod cluster_api;
mod compare;
mod kubernetes;
mod nodes;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from).peekable();
    let usage = "usage: generate-tables <kubernetes dir> <crds dir> <output dir>, or \
                 generate-tables cluster-api <crds dir> <output dir>, or \
                 generate-tables compare <crds dir> <document>";
    if arguments.next_if(|first| first.as_os_str() == "cluster-api").is_some() {
        let folder = arguments.next().context(usage)?;
        let output = arguments.next().context(usage)?;
        return write_cluster_api(&folder, &output);
    }
    if arguments.next_if(|first| first.as_os_str() == "compare").is_some() {
        let folder = arguments.next().context(usage)?;
        let document = arguments.next().context(usage)?;
        return Ok(std::fs::write(document, compare::document(&folder)?)?);
    }
    let kubernetes_dir = arguments.next().context(usage)?;
    let crds_dir = arguments.next().context(usage)?;
    let output = arguments.next().context(usage)?;
    let text = kubernetes::table(&kubernetes_dir)?;
    std::fs::write(output.join("kubernetes.table"), text).context("writing kubernetes.table")?;
    write_cluster_api(&crds_dir, &output)
}

fn write_cluster_api(crds_dir: &Path, output: &Path) -> Result<()> {
    let text = cluster_api::table(crds_dir)?;
    std::fs::write(output.join("cluster-api.table"), text).context("writing cluster-api.table")
}
