//! `capim delete cluster`.

use std::io::IsTerminal;
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
    confirm(&names, &delete)?;
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
        let deadline = report::Deadline::after(delete.timeout, clock.clone());
        let watched = report::WatchedClusters::start(client, clock.clone(), &deadline).await?;
        let waited = Readiness::new(watched.clusters(), watched.machines(), clock)
            .only(keys)
            .wait_gone(deadline.left())
            .await;
        watched.stop().await;
        waited.map_err(|error| report::still_there(&error, &deadline))?;
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
fn confirm(names: &[String], delete: &DeleteCluster) -> Result<(), CliError> {
    let is_named = names.len() == 1 && !delete.all;
    if delete.yes || (is_named && !std::io::stdin().is_terminal()) {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let plural = if names.len() == 1 { "" } else { "s" };
        let message = format!(
            "deleting {} cluster{plural} needs an answer, but stdin is no terminal",
            names.len()
        );
        return Err(CliError::new("E002", Exit::Usage, message).hint("add --yes"));
    }
    let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what =
        if names.len() == 1 { "cluster".to_owned() } else { format!("{} clusters:", names.len()) };
    let shown = crate::tui::text::printable(&shown);
    output::tell_part(&format!("Delete {what} {shown}{more}? [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CliError::other)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(CliError::other("nothing was deleted"))
    }
}
