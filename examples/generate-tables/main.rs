//! Writes `kubernetes.table` and `cluster-api.table` from Kubernetes' OpenAPI, discovery and
//! protobuf descriptions and from Cluster API's CustomResourceDefinitions.
//!
//! ```text
//! cargo run --example generate-tables -- <kubernetes dir> <crds dir> assets
//! ```
//!
//! The Kubernetes directory holds `openapi-schemas.json` (component name -> schema),
//! `discovery.json` (aggregated discovery of /apis) and `protobuf-fields.json` (message name ->
//! `[number, JSON name, type, mark]` as `tables::messages` describes them, from the tags in
//! Kubernetes' types.go). The other one holds folders of CRDs as JSON and their
//! `index.json`. What was written is parsed again and compared with what was read.

mod cluster_api;
mod kubernetes;
mod nodes;

use std::path::PathBuf;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: generate-tables <kubernetes dir> <crds dir> <output dir>";
    let kubernetes_dir = arguments.next().context(usage)?;
    let crds_dir = arguments.next().context(usage)?;
    let output = arguments.next().context(usage)?;
    let text = kubernetes::table(&kubernetes_dir)?;
    std::fs::write(output.join("kubernetes.table"), text).context("writing kubernetes.table")?;
    let text = cluster_api::table(&crds_dir)?;
    std::fs::write(output.join("cluster-api.table"), text).context("writing cluster-api.table")?;
    Ok(())
}
