//! `capim events`.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::arguments::Target;
use super::collect;
use super::connection::{connect, request_failed};
use super::error::{CliError, Exit};
use super::output;
use super::table;
use crate::acts::{Kind, Served, encoded};
use crate::client::Client;
use crate::clock::Clock;
use crate::tui::text::{age, one_line};

/// `capim events`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Events {
    /// Only events of a cluster and all that belongs to it, or of one object.
    #[arg(value_name = "CLUSTER|KIND/NAME", add = super::complete::objects())]
    pub object: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "object")]
    pub all_namespaces: bool,
    /// Only those of type Warning.
    #[arg(long)]
    pub warnings: bool,
    /// Go on with a line for every new event.
    #[arg(short = 'w', long)]
    pub watch: bool,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = EventsFormat::Table)]
    pub output: EventsFormat,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Output of `capim events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventsFormat {
    /// A table for people.
    Table,
    /// One JSON List.
    Json,
    /// An event a line.
    Ndjson,
}

const EXAMPLES: &str = "\
Examples:
  capim events                         of the namespace default
  capim events demo                    of a cluster and all that belongs to it
  capim events machine/demo-cp-x7k2p
  capim events -A --warnings -w        warnings of all namespaces, as they happen";

/// Which events are shown.
struct Filter {
    /// Kinds and names of objects, all if `None`.
    objects: Option<BTreeSet<(String, String)>>,
    warnings: bool,
}

impl Filter {
    fn wants(&self, event: &Value) -> bool {
        let known = self.objects.as_ref().is_none_or(|all| all.contains(&involved(event)));
        known && (!self.warnings || event["type"] == "Warning")
    }
}

pub(super) async fn run(events: Events) -> Result<ExitCode, CliError> {
    let client = connect(&events.target).await?;
    let served = Served::discover(&client).await?;
    let objects = match &events.object {
        Some(typed) => Some(objects(&client, &served, &events.target.namespace, typed).await?),
        None => None,
    };
    let filter = Filter { objects, warnings: events.warnings };
    let kind = served.find("events")?;
    let namespace = if events.all_namespaces { "" } else { events.target.namespace.as_str() };
    let list = client.get_json(&kind.path(namespace)).await;
    let mut list = list.map_err(|error| request_failed("list events", &error))?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let mut items = match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    items.retain(|event| filter.wants(event));
    items.sort_by_cached_key(|event| (last_seen(event), name(event)));
    match events.output {
        EventsFormat::Table if items.is_empty() && !events.watch => eprintln!("No events."),
        EventsFormat::Table => {
            let headers = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned);
            let rows: Vec<Vec<String>> = items.iter().map(row).collect();
            output::write(table::plain(&headers, &rows))?;
        }
        EventsFormat::Json => {
            output::json(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
        }
        EventsFormat::Ndjson => {
            for event in &items {
                output::write(output::json_line(event))?;
            }
        }
    }
    if events.watch {
        let cluster = events.object.as_deref().filter(|typed| !typed.contains('/'));
        let followed = Followed { filter, cluster, served: &served, strangers: BTreeSet::new() };
        follow(&client, kind, namespace, version, followed, events.output).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Kinds and names of the objects that were asked for.
async fn objects(
    client: &Client,
    served: &Served,
    namespace: &str,
    typed: &str,
) -> Result<BTreeSet<(String, String)>, CliError> {
    if typed.contains('/') {
        let (kind, name) = served.object(typed)?;
        return Ok([(kind.resource.kind.clone(), name.to_owned())].into());
    }
    let sources = collect::cluster(client, served, namespace, typed).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = std::iter::once(&sources.cluster)
        .chain(&sources.machines)
        .chain(&sources.machine_sets)
        .chain(&sources.machine_deployments)
        .chain(&sources.machine_pools)
        .chain(sources.referenced.values());
    Ok(all.map(|object| (text(&object["kind"]), text(&object["metadata"]["name"]))).collect())
}

/// Most objects that are remembered not to belong to the cluster.
const STRANGERS_MAX: usize = 10_000;

/// What is wanted of the events to come. Objects that come later may belong to the cluster, too.
struct Followed<'a> {
    filter: Filter,
    cluster: Option<&'a str>,
    served: &'a Served,
    strangers: BTreeSet<(String, String)>,
}

impl Followed<'_> {
    async fn wants(&mut self, client: &Client, event: &Value) -> bool {
        if self.filter.wants(event) {
            return true;
        }
        let (Some(cluster), Some(objects)) = (self.cluster, &self.filter.objects) else {
            return false;
        };
        let key = involved(event);
        if objects.contains(&key) || self.strangers.contains(&key) {
            return false;
        }
        let belongs = self.belongs(client, event, cluster).await;
        if belongs && let Some(objects) = &mut self.filter.objects {
            objects.insert(key);
        } else if self.strangers.len() < STRANGERS_MAX {
            self.strangers.insert(key);
        }
        belongs && self.filter.wants(event)
    }

    /// Whether the object that an event is about has the cluster's label.
    async fn belongs(&self, client: &Client, event: &Value, cluster: &str) -> bool {
        let about = &event["involvedObject"];
        let text = |field: &str| about[field].as_str().unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        let Ok(kind) = self.served.find(&format!("{}.{group}", text("kind"))) else { return false };
        let object = kind.get(client, text("namespace"), text("name")).await.ok().flatten();
        object
            .is_some_and(|it| it["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == cluster)
    }
}

/// Kind and name of the object that an event is about.
fn involved(event: &Value) -> (String, String) {
    let about = &event["involvedObject"];
    let text = |field: &str| about[field].as_str().unwrap_or_default().to_owned();
    (text("kind"), text("name"))
}

async fn follow(
    client: &Client,
    kind: &Kind,
    namespace: &str,
    version: String,
    mut followed: Followed<'_>,
    format: EventsFormat,
) -> Result<(), CliError> {
    let path = format!("{}?watch=1&resourceVersion={}", kind.path(namespace), encoded(&version));
    let ended = |detail: String| {
        CliError::new("E023", Exit::Other, format!("the watch ended{detail}"))
            .hint("is the playground still running? capim get clusters")
    };
    let events = client.watch_as(&path, "application/json").await;
    let mut events = events.map_err(|error| request_failed("watch events", &error))?;
    while let Some(event) = events.next().await {
        let event = event.map_err(|error| ended(format!(": {}", error.reason())))?;
        let object = &event["object"];
        let is_new = matches!(event["type"].as_str(), Some("ADDED" | "MODIFIED"));
        if !is_new || !followed.wants(client, object).await {
            continue;
        }
        let text = match format {
            EventsFormat::Table => table::plain(&[], &[row(object)]),
            EventsFormat::Json | EventsFormat::Ndjson => output::json_line(object),
        };
        if !output::is_read(text)? {
            return Ok(());
        }
    }
    Err(ended(String::new()))
}

fn name(event: &Value) -> String {
    event["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn last_seen(event: &Value) -> Option<Timestamp> {
    let fields = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ];
    fields.iter().find_map(|field| field.as_str().and_then(|time| time.parse().ok()))
}

fn row(event: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let involved = &event["involvedObject"];
    let count = event["series"]["count"].as_i64().or_else(|| event["count"].as_i64());
    let seen = age(last_seen(event), Clock::wall().now());
    let seen = match count {
        Some(count) if count > 1 => format!("{seen} (x{count})"),
        _ => seen,
    };
    vec![
        seen,
        text(&event["type"]),
        text(&event["reason"]),
        format!("{}/{}", text(&involved["kind"]).to_lowercase(), text(&involved["name"])),
        one_line(event["message"].as_str().unwrap_or_default()),
    ]
}
