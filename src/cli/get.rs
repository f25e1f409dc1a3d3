//! `capim get`: objects of any kind. Clusters, machines and control planes have the dashboard's
//! rows, other kinds and `-o wide` the server's tables. Requests by client are not objects:
//! [`get_requests`].

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::arguments::Target;
use super::connection::{connect, request_failed};
use super::describe::usage;
use super::error::{CliError, Exit};
use super::get_rows::{self, Shown};
use super::{get_requests, output};
use crate::acts::{Kind, Served, encoded};
use crate::client::{Client, ClientError};
use crate::clock::Clock;
use crate::tui::text::natural;

/// `capim get`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Get {
    /// What to show: a kind by any of its names, several with commas, or KIND/NAME; `requests`
    /// shows who asks the management API for what.
    #[arg(value_name = "KIND[/NAME]", add = super::complete::kinds())]
    pub kind: String,
    /// Only the objects of these names.
    #[arg(value_name = "NAME", add = super::complete::of_kind_before())]
    pub names: Vec<String>,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only objects with these labels, e.g. `cluster.x-k8s.io/cluster-name=demo`.
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub selector: String,
    /// Go on with a line for every change.
    #[arg(short = 'w', long)]
    pub watch: bool,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = GetFormat::Table, env = "CAPIM_OUTPUT")]
    pub output: GetFormat,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Output of `capim get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GetFormat {
    /// A table for people.
    Table,
    /// The server's table with all its columns.
    Wide,
    /// One name a line, as kind/name.
    Name,
    /// The objects as a JSON List; one that was named by itself.
    Json,
    /// The same as YAML.
    Yaml,
    /// An object a line; with --watch an event a line.
    Ndjson,
}

/// Between two watches of which the first told nothing.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  capim get clusters
  capim get machines -l cluster.x-k8s.io/cluster-name=demo -o wide
  capim get md,ms -A                   MachineDeployments and MachineSets of all namespaces
  capim get kcp/demo-cp -o yaml
  capim get machines -w                a line for every change
  capim get events -w -o ndjson        for programs
  capim get requests -o wide           who asks the management API: requests, errors, latencies";

/// Which objects of one kind.
pub(super) struct Question<'a> {
    pub(super) kind: &'a Kind,
    pub(super) namespace: &'a str,
    pub(super) names: Vec<String>,
    pub(super) selector: &'a str,
    pub(super) all_namespaces: bool,
}

impl Question<'_> {
    /// Path and query of the list.
    fn list(&self) -> String {
        let mut query = Vec::new();
        if !self.selector.is_empty() {
            query.push(format!("labelSelector={}", encoded(self.selector)));
        }
        if let [name] = self.names.as_slice() {
            query.push(format!("fieldSelector={}", encoded(&format!("metadata.name={name}"))));
        }
        let path = self.kind.path(if self.all_namespaces { "" } else { self.namespace });
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// Path and query of the watch that follows a list.
    fn watch(&self, version: &str) -> String {
        let list = self.list();
        let separator = if list.contains('?') { '&' } else { '?' };
        format!(
            "{list}{separator}watch=1&allowWatchBookmarks=true&resourceVersion={}",
            encoded(version)
        )
    }

    /// Whether an object is asked for.
    fn wants(&self, object: &Value) -> bool {
        self.names.is_empty()
            || object["metadata"]["name"]
                .as_str()
                .is_some_and(|name| self.names.iter().any(|wanted| wanted == name))
    }
}

pub(super) async fn run(get: Get) -> Result<ExitCode, CliError> {
    let requests = get_requests::asked(&get)?;
    let client = connect(&get.target).await?;
    if get.watch && matches!(get.output, GetFormat::Json | GetFormat::Yaml) {
        return Err(usage("--watch goes with -o table, wide, name or ndjson"));
    }
    if let Some(names) = requests {
        return get_requests::run(&client, &get, &names).await;
    }
    let served = Served::discover(&client).await?;
    let questions = questions(&get, &served)?;
    if get.watch && questions.len() > 1 {
        return Err(usage("only one kind can be watched at a time"));
    }
    let several = questions.len() > 1;
    let mut collected = Vec::new();
    for (index, question) in questions.iter().enumerate() {
        if several && index > 0 && matches!(get.output, GetFormat::Table | GetFormat::Wide) {
            output::write("\n")?;
        }
        let (objects, version) = show(&client, question, get.output, several).await?;
        collected.extend(objects);
        if get.watch {
            follow(&client, question, get.output, version).await?;
        }
    }
    let single = !several && questions.first().is_some_and(|it| it.names.len() == 1);
    write_objects(collected, get.output, single && !get.watch)?;
    Ok(ExitCode::SUCCESS)
}

fn questions<'a>(get: &'a Get, served: &'a Served) -> Result<Vec<Question<'a>>, CliError> {
    let question = |kind, names: Vec<String>| Question {
        kind,
        namespace: &get.target.namespace,
        names,
        selector: &get.selector,
        all_namespaces: get.all_namespaces,
    };
    if get.kind.contains('/') {
        let mut questions: Vec<Question<'a>> = Vec::new();
        for typed in std::iter::once(&get.kind).chain(&get.names) {
            let (kind, name) = served.object(typed)?;
            match questions.iter_mut().find(|it| it.kind == kind) {
                Some(known) => known.names.push(name.to_owned()),
                None => questions.push(question(kind, vec![name.to_owned()])),
            }
        }
        return Ok(questions);
    }
    let kinds = get.kind.split(',').filter(|word| !word.is_empty());
    let kinds: Vec<&Kind> = kinds.map(|word| served.find(word)).collect::<Result<_, _>>()?;
    Ok(kinds.into_iter().map(|kind| question(kind, get.names.clone())).collect())
}

/// Shows what there is now, or answers the objects if the format needs them all at once; with the
/// version from which a watch goes on.
async fn show(
    client: &Client,
    question: &Question<'_>,
    format: GetFormat,
    several: bool,
) -> Result<(Vec<Value>, String), CliError> {
    let failed = |error: ClientError| {
        request_failed(&format!("list {}", question.kind.resource.plural), &error)
    };
    let own = get_rows::is_own(question.kind);
    let is_table = format == GetFormat::Wide || (format == GetFormat::Table && !own);
    let accept = if is_table { get_rows::AS_TABLE } else { "application/json" };
    let mut list = client.get_json_as(&question.list(), accept).await.map_err(failed)?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let items = list[if is_table { "rows" } else { "items" }].take();
    let Value::Array(items) = items else { return Ok((Vec::new(), version)) };
    let object = |item: &Value| if is_table { item["object"].clone() } else { item.clone() };
    let mut items: Vec<Value> =
        items.into_iter().filter(|item| question.wants(&object(item))).collect();
    for name in &question.names {
        if !items.iter().any(|item| object(item)["metadata"]["name"] == name.as_str()) {
            return Err(question.kind.not_found(client, question.namespace, name).await);
        }
    }
    items.sort_by_cached_key(|item| {
        let object = object(item);
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        (text("namespace"), natural(&text("name")))
    });
    match format {
        GetFormat::Table | GetFormat::Wide if items.is_empty() => {
            eprintln!("No resources found.");
        }
        GetFormat::Table | GetFormat::Wide => {
            let shown = Shown { question, wide: format == GetFormat::Wide, several };
            let definitions = &list["columnDefinitions"];
            output::write(shown.table(definitions, &items))?;
        }
        GetFormat::Name => output::write(names(question.kind, &items))?,
        GetFormat::Ndjson => {
            for item in items {
                output::write(output::json_line(&question.kind.typed(item)))?;
            }
        }
        GetFormat::Json | GetFormat::Yaml => {
            let items = items.into_iter().map(|item| question.kind.typed(item)).collect();
            return Ok((items, version));
        }
    }
    Ok((Vec::new(), version))
}

fn names(kind: &Kind, objects: &[Value]) -> String {
    let name = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        format!("{}/{}\n", kind.full_name(), crate::tui::text::printable(name))
    };
    objects.iter().map(name).collect()
}

pub(super) fn write_objects(
    objects: Vec<Value>,
    format: GetFormat,
    single: bool,
) -> Result<(), CliError> {
    let value = match <[Value; 1]>::try_from(objects) {
        Ok([object]) if single => object,
        Ok([object]) => json!({"apiVersion": "v1", "kind": "List", "items": [object]}),
        Err(objects) => json!({"apiVersion": "v1", "kind": "List", "items": objects}),
    };
    match format {
        GetFormat::Json => output::json(&value),
        GetFormat::Yaml => output::yaml(&value),
        GetFormat::Table | GetFormat::Wide | GetFormat::Name | GetFormat::Ndjson => Ok(()),
    }
}

/// Shows changes until the server or the user ends it, or nobody reads stdout any more.
async fn follow(
    client: &Client,
    question: &Question<'_>,
    format: GetFormat,
    mut version: String,
) -> Result<(), CliError> {
    let own = get_rows::is_own(question.kind);
    let is_table = format == GetFormat::Wide || (format == GetFormat::Table && !own);
    let accept = if is_table { get_rows::AS_TABLE } else { "application/json" };
    let shown = Shown { question, wide: format == GetFormat::Wide, several: false };
    let mut definitions = Value::Null;
    loop {
        let ended = |error: ClientError| {
            CliError::new("E023", Exit::Other, format!("the watch ended: {}", error.reason()))
                .hint("is the playground still running? capim get clusters")
        };
        let mut events = client.watch_as(&question.watch(&version), accept).await.map_err(ended)?;
        let mut told = false;
        while let Some(event) = events.next().await {
            let mut event = event.map_err(ended)?;
            told = true;
            let rows = if is_table { event["object"]["rows"].as_array() } else { None };
            let object = match rows.and_then(|rows| rows.first()) {
                Some(row) => row["object"].clone(),
                None => event["object"].clone(),
            };
            if let Some(seen) = object["metadata"]["resourceVersion"].as_str() {
                seen.clone_into(&mut version);
            }
            match event["type"].as_str() {
                Some("BOOKMARK") => continue,
                Some("ERROR") => {
                    let message = object["message"].as_str().unwrap_or("for no given reason");
                    let message = format!("the server ended the watch: {message}");
                    return Err(CliError::new("E023", Exit::Other, message));
                }
                _ if !question.wants(&object) => continue,
                _ => {}
            }
            let text = match format {
                GetFormat::Ndjson => output::json_line(&event),
                GetFormat::Name => names(question.kind, &[object]),
                _ if is_table => {
                    let table = event["object"].take();
                    if table["columnDefinitions"].is_array() {
                        definitions = table["columnDefinitions"].clone();
                    }
                    let rows = table["rows"].as_array().cloned().unwrap_or_default();
                    shown.lines(&definitions, &rows)
                }
                _ => shown.lines(&Value::Null, &[object]),
            };
            if !output::is_read(&text)? {
                return Ok(());
            }
        }
        if !told {
            Clock::wall().sleep(PAUSE).await;
        }
    }
}
