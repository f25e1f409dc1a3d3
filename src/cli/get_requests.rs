//! `capim get requests`: who asks the management API for what. The server counts; these are no
//! objects, so there is neither a namespace nor a label, and a watch asks again.

use std::collections::HashMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::connection::request_failed;
use super::describe::usage;
use super::error::{CliError, Exit};
use super::get::{self, Get, GetFormat};
use super::{output, table};
use crate::client::{Client, ClientRequests};
use crate::clock::Clock;
use crate::tui::rows::ClientRow;
use crate::tui::text::printable;

/// What clients' requests are called on the command line.
const WORD: &str = "requests";
/// Kind of one client's requests.
const KIND: &str = "ClientRequests";

/// The named clients if it is requests that are asked for, none for all of them.
pub(super) fn asked(get: &Get) -> Result<Option<Vec<String>>, CliError> {
    let one = get.kind.strip_prefix(WORD).and_then(|rest| rest.strip_prefix('/'));
    if one.is_none() && get.kind != WORD {
        return match get.kind.split(',').any(|word| word == WORD) {
            true => Err(usage("requests are shown alone, not together with objects")),
            false => Ok(None),
        };
    }
    if !get.selector.is_empty() {
        return Err(usage("requests have no labels: --selector goes with objects"));
    }
    let names = one.map(str::to_owned).into_iter().chain(get.names.iter().cloned());
    Ok(Some(names.collect()))
}

/// Shows the requests of all clients, or of those that are named.
pub(super) async fn run(
    client: &Client,
    get: &Get,
    names: &[String],
) -> Result<ExitCode, CliError> {
    let (api_version, clients) = read(client, names).await?;
    for name in names {
        if !clients.iter().any(|client| client.metadata.name == *name) {
            let message = format!("no client {name:?} has asked the server");
            let error = CliError::new("E030", Exit::NotFound, message);
            return Err(error.hint("capim get requests -o name"));
        }
    }
    let typed = |client: &ClientRequests| typed(&api_version, client);
    match get.output {
        GetFormat::Table | GetFormat::Wide if clients.is_empty() => {
            eprintln!("No requests found.");
        }
        GetFormat::Table | GetFormat::Wide => output::write(shown(&clients, get.output))?,
        GetFormat::Name => output::write(named(&clients))?,
        GetFormat::Ndjson => {
            let lines = clients.iter().map(typed).collect::<Result<Vec<_>, _>>()?;
            output::write(lines.iter().map(output::json_line).collect::<String>())?;
        }
        GetFormat::Json | GetFormat::Yaml => {
            let items = clients.iter().map(typed).collect::<Result<_, _>>()?;
            get::write_objects(items, get.output, names.len() == 1)?;
        }
    }
    if get.watch {
        follow(client, get.output, names, clients).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// apiVersion and clients of the report, the busiest first.
async fn read(
    client: &Client,
    names: &[String],
) -> Result<(String, Vec<ClientRequests>), CliError> {
    let failed = |error| request_failed("read who asks the server", &error);
    let Some(mut list) = client.api_clients().await.map_err(failed)? else {
        let message = "this server does not tell who asks it: it is none of capim's";
        return Err(CliError::new("E032", Exit::NotFound, message));
    };
    list.items.retain(|client| names.is_empty() || names.contains(&client.metadata.name));
    Ok((list.api_version, list.items))
}

fn typed(api_version: &str, client: &ClientRequests) -> Result<Value, CliError> {
    let mut value = serde_json::to_value(client).map_err(CliError::other)?;
    value["apiVersion"] = api_version.into();
    value["kind"] = KIND.into();
    Ok(value)
}

fn named(clients: &[ClientRequests]) -> String {
    let line = |client: &ClientRequests| format!("{WORD}/{}\n", printable(&client.metadata.name));
    clients.iter().map(line).collect()
}

/// A table with headers.
fn shown(clients: &[ClientRequests], format: GetFormat) -> String {
    let now = Clock::wall().now();
    let wide = format == GetFormat::Wide;
    let further: &[&str] = if wide { &ClientRow::WIDE_HEADERS } else { &[] };
    let headers: Vec<String> =
        ClientRow::HEADERS.iter().chain(further).map(|&header| header.to_owned()).collect();
    let row = |client: &ClientRequests| {
        let row = ClientRow::of(client);
        let mut cells = row.cells(now).to_vec();
        if wide {
            cells.extend(row.wide_cells(now));
        }
        cells
    };
    table::plain(&headers, &clients.iter().map(row).collect::<Vec<_>>())
}

/// Shows clients that have asked since, until the user ends it or nobody reads stdout any more.
async fn follow(
    client: &Client,
    format: GetFormat,
    names: &[String],
    first: Vec<ClientRequests>,
) -> Result<(), CliError> {
    let state = |client: &ClientRequests| (client.requests, client.open_watches);
    let mut seen: HashMap<String, (u64, usize)> =
        first.iter().map(|client| (client.metadata.name.clone(), state(client))).collect();
    loop {
        // The server counts and tells nobody.
        Clock::wall().sleep(get::PAUSE).await;
        let (api_version, clients) = read(client, names).await?;
        let mut text = String::new();
        let mut changed = Vec::new();
        for client in clients {
            let old = seen.insert(client.metadata.name.clone(), state(&client));
            if old == Some(state(&client)) {
                continue;
            }
            if format == GetFormat::Ndjson {
                let type_ = if old.is_some() { "MODIFIED" } else { "ADDED" };
                let object = typed(&api_version, &client)?;
                text.push_str(&output::json_line(&json!({"type": type_, "object": object})));
            }
            changed.push(client);
        }
        match format {
            _ if changed.is_empty() => continue,
            GetFormat::Name => text = named(&changed),
            GetFormat::Table | GetFormat::Wide => {
                let table = shown(&changed, format);
                text =
                    table.split_once('\n').map(|(_, lines)| lines.to_owned()).unwrap_or_default();
            }
            GetFormat::Json | GetFormat::Yaml | GetFormat::Ndjson => {}
        }
        if !output::is_read(&text)? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        get: Get,
    }

    fn of(words: &[&str]) -> Result<Option<Vec<String>>, CliError> {
        asked(&Line::parse_from([&["get"], words].concat()).get)
    }

    #[test]
    fn requests_are_told_from_kinds() {
        assert_eq!(of(&["requests"]).ok(), Some(Some(vec![])));
        assert_eq!(of(&["requests", "a", "b"]).ok(), Some(Some(vec!["a".into(), "b".into()])));
        let name = "kubectl/v1.36.1@kubernetes-admin".to_owned();
        assert_eq!(of(&[&format!("requests/{name}")]).ok(), Some(Some(vec![name])));
        assert_eq!(of(&["requests.example.com"]).ok(), Some(None), "a served kind of that name");
        assert_eq!(of(&["clusters,machines"]).ok(), Some(None));
        assert!(of(&["requests,machines"]).is_err());
        assert!(of(&["requests", "-l", "a=b"]).is_err());
    }
}
