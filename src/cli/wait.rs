//! `capim wait`: by watching, until each object is as wanted.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::arguments::{Target, parse_duration};
use super::connection::connect;
use super::describe::usage;
use super::error::{CliError, Exit};
use super::output;
use super::report::Deadline;
use crate::acts::{Awaited, Served};
use crate::client::Client;
use crate::clock::Clock;
use crate::describe::conditions;
use crate::machinery::jsonpath::JsonPath;
use crate::tui::text::printable;

/// Objects named in a timeout error.
const OBJECTS_SHOWN: usize = 10;
/// How long a timeout error may look for what objects are instead.
const LOOKING: Duration = Duration::from_secs(2);

/// `capim wait`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Wait {
    /// Objects, e.g. cluster/demo machine/demo-cp-x7k2p; a kind alone means all of it.
    #[arg(required = true, value_name = "KIND[/NAME]", add = super::complete::kinds())]
    pub objects: Vec<String>,
    /// What to wait for: TYPE or condition=TYPE[=STATUS], jsonpath=PATH[=VALUE], created, deleted.
    #[arg(long = "for", value_name = "WHAT", default_value = "Available")]
    pub wanted: Wanted,
    /// Only objects with these labels, where a kind alone is named.
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    pub selector: String,
    /// How long to wait in all, e.g. 90s or 5m.
    #[arg(long, env = "CAPIM_TIMEOUT", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

const EXAMPLES: &str = "\
Examples:
  capim wait cluster/demo                          until it is Available
  capim wait machines --for=Ready --timeout=90s    all machines that there are now
  capim wait cluster/demo --for=condition=Available=False
  capim wait cluster/demo --for='jsonpath={.status.phase}=Provisioned'
  capim wait cluster/demo --for=deleted

Exit code 3 if the time is over, 4 if an object does not exist.";

/// What is waited for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// A condition has a status.
    Condition {
        /// Type.
        type_: String,
        /// Status.
        status: String,
    },
    /// A path has a value, or any.
    Path {
        /// As typed.
        text: String,
        /// Compiled.
        path: Box<JsonPath>,
        /// Value.
        value: Option<String>,
    },
    /// The object exists.
    Created,
    /// The object does not exist.
    Deleted,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "created" | "create" => return Ok(Self::Created),
            "deleted" | "delete" | "Deleted" => return Ok(Self::Deleted),
            _ => {}
        }
        if let Some(rest) = text.strip_prefix("jsonpath=") {
            let (path, value) = match rest.split_once("}=") {
                Some((path, value)) => (format!("{path}}}"), Some(value.to_owned())),
                None => match rest.split_once('=') {
                    Some((path, value)) if !rest.starts_with('{') => {
                        (path.to_owned(), Some(value.to_owned()))
                    }
                    _ => (rest.to_owned(), None),
                },
            };
            let compiled = JsonPath::parse(&path).map_err(|error| error.to_string())?;
            return Ok(Self::Path { text: path, path: Box::new(compiled), value });
        }
        let rest = text.strip_prefix("condition=").unwrap_or(text);
        let (type_, status) = rest.split_once('=').unwrap_or((rest, "True"));
        let is_type = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            !text.is_empty() && text.chars().all(plain)
        };
        if !is_type(type_) {
            return Err("expected a condition, jsonpath=..., created or deleted".to_owned());
        }
        let status = match status.to_ascii_lowercase().as_str() {
            "true" => "True",
            "false" => "False",
            "unknown" => "Unknown",
            _ => return Err(format!("{status:?} is no status; True, False or Unknown")),
        };
        Ok(Self::Condition { type_: type_.to_owned(), status: status.to_owned() })
    }
}

impl Wanted {
    /// Whether an object (`None` if it does not exist) is as wanted; if not, what it is instead.
    pub(super) fn check(&self, object: Option<&Value>) -> Result<(), String> {
        let Some(object) = object else {
            return match self {
                Self::Deleted => Ok(()),
                _ => Err("it does not exist".to_owned()),
            };
        };
        match self {
            Self::Created => Ok(()),
            Self::Deleted => Err("it exists".to_owned()),
            Self::Path { text, path, value } => {
                let found = path.evaluate(object);
                let shown = |value: &Value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                match (found.as_slice(), value) {
                    ([], _) => Err(format!("{text} has no value")),
                    ([..], None) => Ok(()),
                    ([found, ..], Some(value)) if shown(found) == *value => Ok(()),
                    ([found, ..], Some(_)) => Err(format!("{text} is {}", shown(found))),
                }
            }
            Self::Condition { type_, status } => check_condition(object, type_, status),
        }
    }
}

fn check_condition(object: &Value, type_: &str, status: &str) -> Result<(), String> {
    let all = conditions(object);
    let Some(condition) = all.iter().find(|it| it.type_.eq_ignore_ascii_case(type_)) else {
        return Err(format!("it has no condition {type_}"));
    };
    // A condition about an older generation says nothing about the object as it is now.
    let listed = object["status"]["conditions"].as_array().into_iter().flatten();
    let about = listed
        .filter(|it| it["type"].as_str() == Some(&condition.type_))
        .find_map(|it| it["observedGeneration"].as_i64());
    let generation = object["metadata"]["generation"].as_i64();
    if about.zip(generation).is_some_and(|(about, generation)| about < generation) {
        return Err(format!("{} is not up to date", condition.type_));
    }
    if condition.status == status {
        return Ok(());
    }
    let mut text = format!("{}={}", condition.type_, condition.status);
    if !condition.reason.is_empty() {
        text = format!("{text} ({})", condition.reason);
    }
    let message = crate::tui::text::one_line(&condition.message);
    Err(if message.is_empty() { text } else { format!("{text}: {message}") })
}

/// Whether each object is named when it is as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// On stdout.
    Each,
    /// The caller says what is to be said.
    Nothing,
}

pub(super) async fn run(wait: Wait) -> Result<ExitCode, CliError> {
    let client = connect(&wait.target).await?;
    let served = Served::discover(&client).await?;
    let namespace = &wait.target.namespace;
    let mut awaited = Vec::new();
    for typed in &wait.objects {
        if typed.contains('/') {
            let (kind, name) = served.object(typed)?;
            let (kind, namespace, name) = (kind.clone(), namespace.clone(), name.to_owned());
            awaited.push(Awaited { kind, namespace, name });
            continue;
        }
        let kind = served.find(typed)?;
        for object in kind.list(&client, namespace, &wait.selector).await? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            awaited.push(Awaited { kind: kind.clone(), namespace: namespace.clone(), name });
        }
    }
    if awaited.is_empty() && !matches!(wait.wanted, Wanted::Deleted) {
        return Err(CliError::new("E030", Exit::NotFound, "there is nothing to wait for")
            .hint(format!("capim get {} -A", wait.objects.join(","))));
    }
    if awaited.len() > 10_000 {
        return Err(usage("more than 10,000 objects to wait for"));
    }
    let check = |object: Option<&Value>| wait.wanted.check(object);
    let must_exist = !matches!(wait.wanted, Wanted::Created | Wanted::Deleted);
    let deadline = Deadline::after(wait.timeout, Clock::wall());
    let patience = Patience { deadline: &deadline, must_exist, report: Report::Each };
    until(&client, &awaited, patience, check).await?;
    Ok(ExitCode::SUCCESS)
}

/// How objects are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    /// One for all that a command waits for.
    pub(super) deadline: &'a Deadline,
    /// Whether an absent object is an error.
    pub(super) must_exist: bool,
    pub(super) report: Report,
}

impl<'a> Patience<'a> {
    /// For objects that were just changed.
    pub(super) fn changed(deadline: &'a Deadline) -> Self {
        Self { deadline, must_exist: true, report: Report::Each }
    }

    /// For machines that go.
    pub(super) fn going(deadline: &'a Deadline) -> Self {
        Self { deadline, must_exist: false, report: Report::Nothing }
    }
}

/// Waits for objects one after the other, all within one deadline.
///
/// # Errors
/// `E041` with what each object is instead, `E030` for one that does not exist though it must.
pub(super) async fn until(
    client: &Client,
    awaited: &[Awaited],
    patience: Patience<'_>,
    check: impl Fn(Option<&Value>) -> Result<(), String>,
) -> Result<(), CliError> {
    let Patience { deadline, must_exist, report } = patience;
    let clock = Clock::wall();
    for (index, object) in awaited.iter().enumerate() {
        let waited = object.until(client, must_exist, &check);
        match clock.timeout(deadline.left(), waited).await {
            Ok(outcome) => {
                outcome?;
                if report == Report::Each {
                    let name = format!("{}/{}", object.kind.singular, object.name);
                    output::write(format!("{} condition met\n", printable(&name)))?;
                }
            }
            Err(_) => {
                let limit = deadline.limit();
                return Err(timed_out(client, &awaited[index..], limit, check).await);
            }
        }
    }
    Ok(())
}

async fn timed_out(
    client: &Client,
    rest: &[Awaited],
    limit: Duration,
    check: impl Fn(Option<&Value>) -> Result<(), String>,
) -> CliError {
    let mut waiting = Vec::new();
    // The server may be why it took so long: the answer must not.
    let looking = async {
        for awaited in rest {
            let object = awaited.kind.get(client, &awaited.namespace, &awaited.name).await;
            if let Err(why) = check(object.ok().flatten().as_ref()) {
                waiting.push((format!("{}/{}", awaited.kind.singular, awaited.name), why));
            }
            if waiting.len() > OBJECTS_SHOWN {
                break;
            }
        }
    };
    let _ = Clock::wall().timeout(LOOKING, looking).await;
    let message = match rest.len() {
        1 => format!("timed out after {limit:?}"),
        count => format!("timed out after {limit:?}, with {count} objects left to look at"),
    };
    let mut error = CliError::new("E041", Exit::Timeout, message);
    for (name, why) in waiting.iter().take(OBJECTS_SHOWN) {
        error = error.note(format!("{name}   {why}"));
    }
    match waiting.first() {
        Some((name, _)) => error.hint(format!("capim why {name}")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(wanted: &str, object: Value) -> Result<(), String> {
        wanted.parse::<Wanted>().unwrap().check(Some(&object).filter(|it| !it.is_null()))
    }

    #[test]
    fn objects_are_as_wanted_or_the_answer_says_what_they_are() {
        let object = json!({"metadata": {"generation": 2}, "status": {"phase": "Running", "n": 3,
            "conditions": [{"type": "Ready", "status": "False", "reason": "R", "message": "* m"},
                {"type": "Old", "status": "True", "observedGeneration": 1}]}});
        let failed = |wanted: &str| check(wanted, object.clone()).unwrap_err();
        assert_eq!(failed("Ready"), "Ready=False (R): m");
        assert_eq!(failed("condition=Old"), "Old is not up to date");
        assert_eq!(failed("Gone"), "it has no condition Gone");
        assert_eq!(failed("jsonpath={.status.phase}=Failed"), "{.status.phase} is Running");
        assert_eq!(failed("jsonpath={.x}"), "{.x} has no value");
        assert_eq!(failed("deleted"), "it exists");
        for wanted in
            ["ready=false", "jsonpath=.status.phase=Running", "jsonpath={.status.n}=3", "created"]
        {
            assert_eq!(check(wanted, object.clone()), Ok(()), "{wanted}");
        }
        assert_eq!(check("deleted", Value::Null), Ok(()));
        assert!(check("Ready", Value::Null).is_err());
    }

    #[test]
    fn what_is_wanted_must_make_sense() {
        for bad in ["", "=", "condition=", "Ready=maybe", "jsonpath={.a", "a b"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
