//! `capim config`: where settings come from, and what they are.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Subcommand};
use serde_json::{Value, json};

use super::arguments::Arguments;
use super::error::{CliError, Exit};
use super::instance::{Instance, unusable};
use super::output;
use super::settings::{API_VERSION, Holds, KEYS, KIND, Key, Settings, project_file, user_file};
use super::table;
use crate::playground::write_private;

/// `capim config`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim config view --origin           every setting and where it comes from
  capim config init > capim.yaml       a file with every setting, commented out
  capim config path                    all files that capim reads and writes
  capim config schema > schema.json    for editors

Order: flag, CAPIM_* variable, capim.yaml of the project (looked for upwards to the root of the
repository), the user's file, default.")]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// `capim config VERB`.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print the settings that hold.
    View(View),
    /// Print a file with every setting, commented out, or write it as the user's file.
    Init(Init),
    /// Print where files are.
    Path,
    /// Print a JSON schema of the files.
    Schema,
}

/// `capim config view`.
#[derive(Debug, Args)]
pub struct View {
    /// With the place that each comes from, also of those that are defaults.
    #[arg(long)]
    pub origin: bool,
}

/// `capim config init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write the user's file; one that exists is not replaced.
    #[arg(long)]
    pub user: bool,
}

impl Config {
    /// Whether it is about the settings that there are.
    pub(super) fn needs_settings(&self) -> bool {
        matches!(self.verb, ConfigVerb::View(_))
    }
}

pub(super) fn run(config: &Config, settings: &Settings) -> Result<ExitCode, CliError> {
    match &config.verb {
        ConfigVerb::View(view) => self::view(view, settings)?,
        ConfigVerb::Init(init) => self::init(init)?,
        ConfigVerb::Path => path()?,
        ConfigVerb::Schema => output::json(&schema())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn view(view: &View, settings: &Settings) -> Result<(), CliError> {
    let mut rows = Vec::new();
    for key in &KEYS {
        let (value, origin) = effective(key, settings);
        if view.origin {
            rows.push(vec![key.path.to_owned(), value, origin]);
        } else if origin != "default" {
            rows.push(vec![key.path.to_owned(), value]);
        }
    }
    let headers: &[&str] = if view.origin { &["KEY", "VALUE", "FROM"] } else { &["KEY", "VALUE"] };
    if rows.is_empty() {
        output::tell("No setting differs from its default; --origin shows all.");
        return Ok(());
    }
    let headers: Vec<String> = headers.iter().map(|it| (*it).to_owned()).collect();
    output::write(table::plain(&headers, &rows))
}

/// The value that a flag has when it is not given, and where that comes from.
fn effective(key: &Key, settings: &Settings) -> (String, String) {
    let command = Arguments::command();
    let up = command.find_subcommand("up");
    let flag = up.and_then(|up| up.get_arguments().find(|it| it.get_long() == Some(key.flag)));
    let variable = flag.and_then(|flag| flag.get_env()).and_then(|it| it.to_str());
    if let Some(variable) = variable
        && let Ok(value) = std::env::var(variable)
    {
        return (value, variable.to_owned());
    }
    if let Some(setting) = settings.found.get(key.path) {
        let origin = format!("{}:{}", setting.file.display(), setting.line);
        return (setting.values.join(" "), origin);
    }
    let defaults: Vec<String> = flag
        .map(|flag| flag.get_default_values())
        .unwrap_or_default()
        .iter()
        .map(|it| it.to_string_lossy().into_owned())
        .collect();
    (if defaults.is_empty() { "-".to_owned() } else { defaults.join(" ") }, "default".to_owned())
}

fn init(init: &Init) -> Result<(), CliError> {
    let text = commented();
    if !init.user {
        return output::write(text);
    }
    let file = user_file();
    if file.exists() {
        let message = format!("{} exists", file.display());
        return Err(
            CliError::new("E031", Exit::Conflict, message).hint("capim config view --origin")
        );
    }
    write_private(&file, &text).map_err(|error| unusable(&file, &error))?;
    output::tell(&format!("{} written", file.display()));
    Ok(())
}

/// A file that sets nothing and shows everything.
fn commented() -> String {
    let mut text = format!("apiVersion: {API_VERSION}\nkind: {KIND}\n");
    let mut open: Vec<&str> = Vec::new();
    for key in &KEYS {
        let parts: Vec<&str> = key.path.split('.').collect();
        let (name, sections) = parts.split_last().unwrap_or((&key.path, &[]));
        let common = open.iter().zip(sections).take_while(|(one, other)| one == other).count();
        open.truncate(common);
        for section in &sections[common..] {
            text += &format!("# {}{section}:\n", "  ".repeat(open.len()));
            open.push(section);
        }
        let (value, _) = effective(key, &Settings::default());
        let value = match (key.holds, value.as_str()) {
            (Holds::List | Holds::Paths, _) => "[]".to_owned(),
            (Holds::Bool, _) => "false".to_owned(),
            (Holds::Number | Holds::Text, "-") => String::new(),
            (Holds::Number | Holds::Text, _) => value,
        };
        text += &format!("# {}{name}: {value}  # {}\n", "  ".repeat(open.len()), key.about);
    }
    text
}

fn path() -> Result<(), CliError> {
    let instance = Instance::chosen();
    let project = project_file();
    let files: [(&str, PathBuf); 8] = [
        ("user's settings", user_file()),
        ("project's settings", project.unwrap_or_else(|| PathBuf::from("-"))),
        ("instance", instance.directory()),
        ("kubeconfig", instance.kubeconfig()),
        ("certificates", instance.identity()),
        ("port", instance.directory().join("ports.json")),
        ("process", instance.directory().join("server.json")),
        ("log", instance.log()),
    ];
    let row = |(what, path): &(&str, PathBuf)| vec![(*what).to_owned(), path.display().to_string()];
    output::write(table::plain(&[], &files.iter().map(row).collect::<Vec<_>>()))
}

fn schema() -> Value {
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "capim settings",
        "type": "object",
        "additionalProperties": false,
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"const": KIND}},
    });
    for key in &KEYS {
        let parts: Vec<&str> = key.path.split('.').collect();
        let (name, sections) = parts.split_last().unwrap_or((&key.path, &[]));
        let mut place = &mut root;
        for section in sections {
            let member = &mut place["properties"][section];
            if member.is_null() {
                *member =
                    json!({"type": "object", "additionalProperties": false, "properties": {}});
            }
            place = member;
        }
        let mut of_key = match key.holds {
            Holds::Text => json!({"type": "string"}),
            Holds::Number => json!({"type": "integer", "minimum": 0}),
            Holds::Bool => json!({"type": "boolean"}),
            Holds::List | Holds::Paths => json!({"type": "array", "items": {"type": "string"}}),
        };
        of_key["description"] = key.about.into();
        place["properties"][name] = of_key;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_and_initial_file_know_every_setting() {
        let (schema, file) = (schema(), commented());
        for key in &KEYS {
            let pointer = format!("/properties/{}", key.path.replace('.', "/properties/"));
            assert!(schema.pointer(&pointer).is_some_and(|it| it["type"].is_string()), "{pointer}");
            let name = key.path.rsplit('.').next().unwrap();
            assert!(file.contains(&format!("{name}: ")), "{name} is not in\n{file}");
        }
        assert!(file.contains("# up:\n#   clusters: 0  # "), "{file}");
    }
}
