//! `capim describe cluster`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::arguments::Target;
use super::collect;
use super::connection::connect;
use super::describe_watch;
use super::error::{CliError, Exit};
use super::output;
use super::table::{self, Color, Look};
use crate::acts::Served;
use crate::clock::Clock;
use crate::describe::{
    Cell, Family, HEADERS, HEADERS_V1BETA1, MESSAGE_WIDTH, Options, Row, Sources, Tree, rows,
};

/// Blanks between columns, as clusterctl has them.
const GAP: usize = 2;
/// Messages are not broken at less.
const MESSAGE_WIDTH_MIN: usize = 40;

/// `capim describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// What to describe.
    #[command(subcommand)]
    pub kind: DescribeKind,
}

/// What can be described.
#[derive(Debug, Subcommand)]
pub enum DescribeKind {
    /// Show a cluster as a tree of its objects, with what is wrong, as clusterctl does.
    Cluster(DescribeCluster),
}

/// `capim describe cluster`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DescribeCluster {
    /// Name of the cluster.
    #[arg(add = super::complete::clusters())]
    pub name: String,
    /// Show all conditions of these: comma separated kinds or kind/name, or `all`; with `+` at the
    /// end only those that are not normal.
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true, value_parser = parse_show_conditions)]
    pub show_conditions: String,
    /// Show MachineSets.
    #[arg(long)]
    pub show_machinesets: bool,
    /// Show ClusterResourceSets.
    #[arg(long)]
    pub show_resourcesets: bool,
    /// Show templates of infrastructure and bootstrap configuration.
    #[arg(long)]
    pub show_templates: bool,
    /// Show infrastructure and bootstrap configuration of machines also when they say nothing more
    /// than the machine.
    #[arg(long)]
    pub echo: bool,
    /// Put machines with the same conditions into one row.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub grouping: bool,
    /// Conditions of the v1beta2 family; with `false` the deprecated ones of v1beta1.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub v1beta2: bool,
    /// Output format.
    #[arg(short = 'o', long, value_enum, default_value_t = DescribeFormat::Tree)]
    pub output: DescribeFormat,
    /// Go on and show every change: on a terminal in the same place, elsewhere one block after the
    /// other.
    #[arg(short = 'w', long)]
    pub watch: bool,
    /// When to use colours.
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// Output of `capim describe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DescribeFormat {
    /// The tree.
    Tree,
    /// The rows as JSON.
    Json,
    /// The rows as YAML.
    Yaml,
}

const EXAMPLES: &str = "\
Examples:
  capim describe cluster demo
  capim describe cluster demo -w       as it changes
  capim describe cluster demo --show-conditions KubeadmControlPlane
                                       all conditions of the control plane
  capim describe cluster demo --show-conditions all+
                                       of every object the conditions that are not normal
  capim describe cluster demo --grouping=false --echo
                                       every machine with its infrastructure and bootstrap objects";

pub(super) async fn run(describe: DescribeCluster) -> Result<ExitCode, CliError> {
    let client = connect(&describe.target).await?;
    let served = Served::discover(&client).await?;
    if describe.watch {
        describe_watch::follow(&client, &served, &describe).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let sources =
        collect::cluster(&client, &served, &describe.target.namespace, &describe.name).await?;
    output::write(View::of(&describe).text(&sources, Clock::wall().now())?)?;
    Ok(ExitCode::SUCCESS)
}

/// How a cluster is shown.
pub(super) struct View {
    options: Options,
    headers: Vec<String>,
    format: DescribeFormat,
    colors: bool,
}

impl View {
    /// As the arguments ask for it.
    pub(super) fn of(describe: &DescribeCluster) -> Self {
        let family = if describe.v1beta2 { Family::V1Beta2 } else { Family::V1Beta1 };
        let options = Options {
            show_conditions: describe.show_conditions.clone(),
            show_machine_sets: describe.show_machinesets,
            show_resource_sets: describe.show_resourcesets,
            show_templates: describe.show_templates,
            echo: describe.echo,
            grouping: describe.grouping,
            family,
        };
        let headers: &[&str] = match family {
            Family::V1Beta2 => &HEADERS,
            Family::V1Beta1 => &HEADERS_V1BETA1,
        };
        let headers = headers.iter().map(|&header| header.to_owned()).collect();
        Self { options, headers, format: describe.output, colors: describe.color.is_on() }
    }

    /// Whether it is the tree for people.
    pub(super) fn is_tree(&self) -> bool {
        self.format == DescribeFormat::Tree
    }

    /// The cluster as text.
    ///
    /// # Errors
    /// If it cannot be written as JSON or YAML.
    pub(super) fn text(&self, sources: &Sources, now: Timestamp) -> Result<String, CliError> {
        let tree = Tree::of(sources, self.options.clone());
        let rows = |width| rows(&tree, now, width);
        match self.format {
            DescribeFormat::Tree => {
                let width = message_width(&self.headers, &rows(MESSAGE_WIDTH), terminal_width());
                let look = Look { gap: GAP, colors: self.colors };
                Ok(table::toned(&self.headers, &cells(rows(width)), look))
            }
            DescribeFormat::Json => output::json_text(&self.value(sources, now)),
            DescribeFormat::Yaml => output::yaml_text(&self.value(sources, now)),
        }
    }

    /// One of several texts: JSON is on one line then.
    ///
    /// # Errors
    /// As [`View::text`].
    pub(super) fn line_or_block(
        &self,
        sources: &Sources,
        now: Timestamp,
    ) -> Result<String, CliError> {
        match self.format {
            DescribeFormat::Json => Ok(output::json_line(&self.value(sources, now))),
            DescribeFormat::Tree | DescribeFormat::Yaml => self.text(sources, now),
        }
    }

    /// What stands between two of several texts.
    pub(super) fn between(&self) -> &'static str {
        match self.format {
            DescribeFormat::Tree => "\n",
            DescribeFormat::Yaml => "---\n",
            DescribeFormat::Json => "",
        }
    }

    /// What is shown, with ages as of one moment that is always the same.
    pub(super) fn content(&self, sources: &Sources) -> Value {
        self.value(sources, Timestamp::MAX)
    }

    fn value(&self, sources: &Sources, now: Timestamp) -> Value {
        let tree = Tree::of(sources, self.options.clone());
        as_value(&self.headers, &rows(&tree, now, MESSAGE_WIDTH))
    }
}

fn cells(rows: Vec<Row>) -> Vec<Vec<Cell>> {
    rows.into_iter().map(|row| row.cells).collect()
}

/// Columns of the terminal that stdout is.
fn terminal_width() -> Option<usize> {
    let terminal = std::io::stdout().is_terminal();
    let size = terminal.then(|| crossterm::terminal::size().ok()).flatten();
    size.map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// What the other columns leave to messages, where that is worth it; else clusterctl's width.
fn message_width(headers: &[String], rows: &[Row], terminal: Option<usize>) -> usize {
    let Some(terminal) = terminal else { return MESSAGE_WIDTH };
    let cells: Vec<Vec<Cell>> = rows.iter().map(|row| row.cells.clone()).collect();
    let widths = table::widths(headers, &cells);
    let before: usize = widths.iter().rev().skip(1).map(|width| width + GAP).sum();
    match terminal.saturating_sub(before) {
        left if left >= MESSAGE_WIDTH_MIN => left.min(MESSAGE_WIDTH),
        _ => MESSAGE_WIDTH_MIN,
    }
}

/// `{"rows": [{"kind": ..., "name": ..., "cells": {"NAME": ...}}]}`
fn as_value(headers: &[String], rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let texts = row
            .cells
            .iter()
            .map(|cell| cell.iter().map(|span| span.text.as_str()).collect::<String>());
        let cells: serde_json::Map<String, Value> =
            headers.iter().cloned().zip(texts.map(Value::from)).collect();
        json!({"kind": row.kind, "name": row.name, "cells": cells})
    };
    json!({"rows": rows.iter().map(row).collect::<Vec<_>>()})
}

/// (CAPI v1.14: cmd/clusterctl/cmd/describe_cluster.go, validateShowConditions)
fn parse_show_conditions(text: &str) -> Result<String, String> {
    if text.split(',').any(|part| part.trim() != part) {
        return Err("whitespace is not allowed".to_owned());
    }
    Ok(text.to_owned())
}

/// Usage errors beyond what clap sees.
pub(super) fn usage(message: impl Into<String>) -> CliError {
    CliError::new("E002", Exit::Usage, message)
}
