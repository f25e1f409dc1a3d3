//! `capim create cluster`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::arguments::{CreateCluster, ManifestFormat};
use super::connection::{connect, request_failed};
use super::error::{CliError, Exit};
use super::output;
use super::report;
use crate::api::core::Cluster;
use crate::client::{Client, ObjectKey};
use crate::clock::Clock;
use crate::playground::sample::{SampleCluster, Startup};
use crate::playground::{Applier, Manifest, Readiness};

pub(super) async fn run(create: CreateCluster) -> Result<ExitCode, CliError> {
    let samples = samples(&create);
    if create.dry_run {
        print_manifests(&samples, create.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let client = connect(&create.target).await?;
    refuse_existing(&client, &samples).await?;
    let applier = Applier::discover(&client).await.map_err(CliError::other)?;
    for sample in &samples {
        applier
            .apply(&sample.namespace, &manifests(sample))
            .await
            .map_err(|error| CliError::other(error).hint("nothing of this cluster was created"))?;
        output::write(format!(
            "cluster {:?} created in namespace {:?}\n",
            sample.name, sample.namespace
        ))?;
    }
    if create.wait {
        let clock = Clock::wall();
        let watched = report::WatchedClusters::start(client, clock.clone()).await;
        let names = samples
            .iter()
            .map(|sample| ObjectKey::new(&*sample.namespace, &*sample.name))
            .collect();
        let waited = Readiness::new(watched.clusters(), watched.machines(), clock)
            .only(names)
            .wait(create.timeout)
            .await;
        watched.stop().await;
        waited.map_err(|error| report::timed_out(&error))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn samples(create: &CreateCluster) -> Vec<SampleCluster> {
    let startup = if create.instant { Startup::instant() } else { Startup::in_memory() };
    let sample = |name: String| SampleCluster {
        name,
        namespace: create.target.namespace.clone(),
        control_planes: create.cp,
        workers: create.workers,
        version: create.k8s_version.clone(),
        startup: startup.clone(),
    };
    if create.count == 1 {
        return vec![sample(create.name.clone())];
    }
    (1..=create.count).map(|number| sample(format!("{}-{number}", create.name))).collect()
}

fn manifests(sample: &SampleCluster) -> Vec<Manifest> {
    let wrap = |(index, object)| Manifest {
        object,
        file: format!("cluster {}", sample.name),
        document: index + 1,
    };
    sample.manifests().into_iter().enumerate().map(wrap).collect()
}

async fn refuse_existing(client: &Client, samples: &[SampleCluster]) -> Result<(), CliError> {
    for sample in samples {
        let key = ObjectKey::new(&*sample.namespace, &*sample.name);
        let existing: Option<Cluster> = client
            .get(&key)
            .await
            .map_err(|error| request_failed("look for the cluster", &error))?;
        if existing.is_some() {
            let message =
                format!("cluster {:?} exists in namespace {:?}", sample.name, sample.namespace);
            return Err(CliError::new("E031", Exit::Conflict, message)
                .hint(format!("capim delete cluster {}", sample.name)));
        }
    }
    Ok(())
}

fn print_manifests(samples: &[SampleCluster], format: ManifestFormat) -> Result<(), CliError> {
    let objects: Vec<Value> = samples.iter().flat_map(SampleCluster::manifests).collect();
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
