//! `capim delete cluster`.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use super::arguments::DeleteCluster;
use super::connection::{connect, request_failed};
use super::error::{CliError, Exit};
use super::output;
use super::report;
use crate::api::core::Cluster;
use crate::client::{Client, ObjectKey, Propagation};
use crate::clock::Clock;
use crate::playground::Readiness;

/// Names shown in the question.
const NAMES_SHOWN: usize = 5;

pub(super) async fn run(delete: DeleteCluster) -> Result<ExitCode, CliError> {
    let client = connect(&delete.target).await?;
    let namespace = &delete.target.namespace;
    let names =
        if delete.all { all_names(&client, namespace).await? } else { delete.names.clone() };
    if names.is_empty() {
        output::write(format!("no clusters in namespace {namespace:?}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    confirm(&names, delete.yes)?;
    let mut keys = Vec::new();
    for name in &names {
        let key = ObjectKey::new(&**namespace, &**name);
        client
            .delete::<Cluster>(&key, Propagation::Background)
            .await
            .map_err(|error| request_failed(&format!("delete cluster {name:?}"), &error))?;
        output::write(format!("cluster {name:?} is being deleted\n"))?;
        keys.push(key);
    }
    if delete.wait {
        let clock = Clock::wall();
        let watched = report::WatchedClusters::start(client, clock.clone()).await;
        let waited = Readiness::new(watched.clusters(), watched.machines(), clock)
            .only(keys)
            .wait_gone(delete.timeout)
            .await;
        watched.stop().await;
        waited.map_err(|error| report::timed_out(&error))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn all_names(client: &Client, namespace: &str) -> Result<Vec<String>, CliError> {
    let clusters: Vec<Cluster> = client
        .list(namespace, "")
        .await
        .map_err(|error| request_failed("list clusters", &error))?;
    Ok(clusters.into_iter().filter_map(|cluster| cluster.metadata.name).collect())
}

/// Asks on a terminal; refuses to guess without one, unless a single cluster was named.
fn confirm(names: &[String], yes: bool) -> Result<(), CliError> {
    if yes || (names.len() == 1 && !std::io::stdin().is_terminal()) {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let message =
            format!("deleting {} clusters needs an answer, but stdin is no terminal", names.len());
        return Err(CliError::new("E002", Exit::Usage, message).hint("add --yes"));
    }
    let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    eprint!(
        "Delete {} cluster(s): {}{more}? [y/N] ",
        names.len(),
        crate::tui::text::printable(&shown)
    );
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CliError::other)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(CliError::other("nothing was deleted"))
    }
}
