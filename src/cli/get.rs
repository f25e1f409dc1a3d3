//! `capim get`: the dashboard's rows on stdout.

use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::arguments::{Get, GetFormat, GetKind};
use super::connection::{connect, request_failed};
use super::error::{CliError, Exit};
use super::output;
use crate::api::controlplane::KubeadmControlPlane;
use crate::api::core::{Cluster, Machine};
use crate::client::Client;
use crate::clock::Clock;
use crate::tui::rows::{ClusterRow, KcpRow, MachineRow};
use crate::tui::text::{natural, printable};

pub(super) async fn run(get: Get) -> Result<ExitCode, CliError> {
    let client = connect(&get.target).await?;
    let now = Clock::wall().now();
    match get.kind {
        GetKind::Clusters => show(
            &get,
            "cluster",
            &read::<Cluster>(&client, &get).await?,
            ClusterRow::HEADERS,
            |cluster| ClusterRow::of(cluster).cells(now),
        ),
        GetKind::Machines => show(
            &get,
            "machine",
            &read::<Machine>(&client, &get).await?,
            MachineRow::HEADERS,
            |machine| MachineRow::of(machine).cells(now),
        ),
        GetKind::Kcp => {
            let objects = read::<KubeadmControlPlane>(&client, &get).await?;
            show(&get, "kubeadmcontrolplane", &objects, KcpRow::HEADERS, |kcp| {
                KcpRow::of(kcp).cells(now)
            })
        }
    }
}

async fn read<K>(client: &Client, get: &Get) -> Result<Vec<K>, CliError>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug,
{
    let namespace = if get.all_namespaces { "" } else { get.target.namespace.as_str() };
    let mut objects: Vec<K> =
        client.list(namespace, "").await.map_err(|error| request_failed("list objects", &error))?;
    let key = |object: &K| {
        let meta = object.meta();
        (meta.namespace.clone(), natural(meta.name.as_deref().unwrap_or_default()))
    };
    objects.sort_by_cached_key(key);
    if let Some(name) = &get.name {
        objects.retain(|object| object.meta().name.as_ref() == Some(name));
        if objects.is_empty() {
            let message = format!("{} {name:?} not found in namespace {namespace:?}", K::kind(&()));
            return Err(
                CliError::new("E030", Exit::NotFound, message).hint("capim get clusters -A")
            );
        }
    }
    Ok(objects)
}

fn show<K, const N: usize>(
    get: &Get,
    prefix: &str,
    objects: &[K],
    headers: [&str; N],
    cells: impl Fn(&K) -> [String; N],
) -> Result<ExitCode, CliError>
where
    K: kube::Resource<DynamicType = ()> + Serialize,
{
    match get.output {
        GetFormat::Json => {
            let items: Vec<Value> =
                objects.iter().map(with_kind).collect::<Result<_, _>>().map_err(CliError::other)?;
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
            let text = serde_json::to_string_pretty(&list).map_err(CliError::other)?;
            output::write(text + "\n")?;
        }
        GetFormat::Name => {
            let name = |object: &K| {
                format!(
                    "{prefix}/{}
",
                    object.meta().name.as_deref().unwrap_or_default()
                )
            };
            output::write(objects.iter().map(name).collect::<String>())?;
        }
        GetFormat::Table if objects.is_empty() => eprintln!("No resources found."),
        GetFormat::Table => output::write(table(headers, objects.iter().map(cells).collect()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn with_kind<K: kube::Resource<DynamicType = ()> + Serialize>(
    object: &K,
) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(object)?;
    value["apiVersion"] = K::api_version(&()).into();
    value["kind"] = K::kind(&()).into();
    Ok(value)
}

/// Columns as wide as their widest cell, three spaces apart, as kubectl prints them.
fn table<const N: usize>(headers: [&str; N], rows: Vec<[String; N]>) -> String {
    let headers = headers.map(str::to_owned);
    let rows = rows.into_iter().map(|row| row.map(|cell| printable(&cell)));
    let lines: Vec<[String; N]> = std::iter::once(headers).chain(rows).collect();
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let start = text.len();
        for (cell, width) in line.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width + 3 - cell.chars().count()));
        }
        let end = start + text[start..].trim_end().len();
        text.truncate(end);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![["a".to_owned(), String::new()], ["long".to_owned(), "● x".to_owned()]];
        assert_eq!(table(["NAME", "WHY"], rows), "NAME   WHY\na\nlong   ● x\n");
    }
}
