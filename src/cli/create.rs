//! `capim create cluster`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::arguments::{CreateCluster, ManifestFormat};
use super::connection::connect;
use super::create_topology;
use super::error::CliError;
use super::output;
use super::progress::Progress;
use super::report;
use crate::acts;
use crate::acts::sample::{SampleCluster, Startup};
use crate::client::ObjectKey;
use crate::clock::Clock;
use crate::playground::Readiness;

pub(super) async fn run(create: CreateCluster) -> Result<ExitCode, CliError> {
    let names = names(&create);
    // Only a class has to be looked up where it is.
    let client = match create.dry_run && create.class.is_none() {
        true => None,
        false => Some(connect(&create.target).await?),
    };
    let clusters = match (&create.class, &client) {
        (Some(class), Some(client)) => {
            let clusters = create_topology::clusters(client, &create, class, &names).await?;
            clusters.into_iter().map(|cluster| vec![cluster]).collect()
        }
        _ => samples(&create, &names).iter().map(SampleCluster::manifests).collect::<Vec<_>>(),
    };
    let Some(client) = client.filter(|_| !create.dry_run) else {
        print_manifests(&clusters.concat(), create.output)?;
        return Ok(ExitCode::SUCCESS);
    };
    let namespace = &create.target.namespace;
    let clock = Clock::wall();
    let mut progress = Progress::new("created", clock.clone());
    let (mut count, total) = (0, names.len());
    acts::refuse_existing(&client, namespace, &names).await?;
    let batch = names.iter().cloned().zip(clusters).collect();
    acts::create(&client, namespace, batch, |name| {
        progress.give_way();
        output::write(format!("cluster {name:?} created in namespace {namespace:?}\n"))?;
        count += 1;
        if total > 1 {
            progress.set(count, total);
        }
        Ok(())
    })
    .await?;
    drop(progress);
    if create.wait {
        let deadline = report::Deadline::after(create.timeout, clock.clone());
        let watched = report::WatchedClusters::start(client, clock.clone(), &deadline).await?;
        let keys = names.iter().map(|name| ObjectKey::new(&**namespace, &**name)).collect();
        let readiness =
            Readiness::new(watched.clusters(), watched.machines(), clock.clone()).only(keys);
        let mut progress = Progress::new("ready", clock.clone());
        let waited = report::wait(&readiness, &deadline, &mut progress).await;
        drop(progress);
        watched.stop().await;
        waited.map_err(|error| report::timed_out(&error))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One name, or numbered ones.
fn names(create: &CreateCluster) -> Vec<String> {
    match (&create.name, create.count) {
        (Some(name), 1) => vec![name.clone()],
        (None, 1) => vec!["demo".to_owned()],
        (name, count) => {
            let name = name.as_deref().unwrap_or("scale");
            (1..=count).map(|number| format!("{name}-{number}")).collect()
        }
    }
}

fn samples(create: &CreateCluster, names: &[String]) -> Vec<SampleCluster> {
    let startup = if create.instant { Startup::instant() } else { Startup::in_memory() };
    let sample = |name: &String| SampleCluster {
        name: name.clone(),
        namespace: create.target.namespace.clone(),
        control_planes: create.cp,
        workers: create.workers,
        version: create.k8s_version.clone(),
        startup: startup.clone(),
    };
    names.iter().map(sample).collect()
}

fn print_manifests(objects: &[Value], format: ManifestFormat) -> Result<(), CliError> {
    match format {
        ManifestFormat::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            let text = serde_json::to_string_pretty(&list).map_err(CliError::other)?;
            output::write(text + "\n")?;
        }
        ManifestFormat::Yaml => {
            let documents: Result<Vec<String>, _> =
                objects.iter().map(serde_saphyr::to_string).collect();
            let documents = documents.map_err(CliError::other)?;
            let documents: Vec<&str> = documents.iter().map(|text| text.trim_end()).collect();
            output::write(documents.join("\n---\n") + "\n")?;
        }
    }
    Ok(())
}
