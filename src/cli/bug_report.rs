//! `capim bug-report`: one archive with what is needed to understand a problem, and no secrets.
//!
//! Values of Secrets, tokens, keys and certificates become hashes. They are salted anew for every
//! report: the same value has the same hash within one report, and says nothing beyond it.

use std::hash::{BuildHasher, Hasher};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::arguments::Target;
use super::connection::connect;
use super::error::{CliError, Exit};
use super::instance::{Instance, unusable};
use super::log_file;
use super::output;
use super::settings::{project_file, user_file};
use super::table;
use crate::acts::Served;
use crate::client::Client;
use crate::clock::Clock;
use crate::pki::sha256_hex;

/// Digits of a hash that are shown.
const HASH_DIGITS: usize = 16;
/// Fields whose text is a secret wherever they are. (kubeadm and client-go's kubeconfig)
const SECRET_FIELDS: [&str; 8] = [
    "token",
    "tokenSecret",
    "password",
    "certificateKey",
    "client-key-data",
    "client-certificate-data",
    "certificate-authority-data",
    "content",
];

/// `capim bug-report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim bug-report                     lists what goes in, asks, and writes one archive
  capim bug-report --list              writes nothing
  capim bug-report --yes --to report.tar.gz

Of Secrets, tokens and keys only salted hashes go in.")]
pub struct BugReport {
    /// The archive. Default: capim-INSTANCE-TIME.tar.gz in this directory.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Only list what would go in.
    #[arg(long)]
    pub list: bool,
    /// Do not ask.
    #[arg(short = 'y', long, env = "CAPIM_YES")]
    pub yes: bool,
    /// Which playground, and where in it.
    #[command(flatten)]
    pub target: Target,
}

/// A file of the archive.
struct Entry {
    name: String,
    about: String,
    text: String,
}

pub(super) async fn run(report: BugReport) -> Result<ExitCode, CliError> {
    let (instance, clock) = (Instance::chosen(), Clock::wall());
    let redaction = Redaction::new();
    let mut entries = local(&instance, &redaction);
    // Nothing that runs is a reason for a report, too.
    match connect(&report.target).await {
        Ok(client) => entries.extend(served(&client, &redaction).await),
        Err(error) => {
            entries.push(entry("objects.txt", "why there are no objects", error.to_string()))
        }
    }
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|it| vec![it.name.clone(), format!("{} bytes", it.text.len()), it.about.clone()])
        .collect();
    let shown = table::plain(&[], &rows);
    if report.list {
        output::write(shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::tell(shown.trim_end());
    let path = report.to.clone().unwrap_or_else(|| {
        let time = clock.now().strftime("%Y%m%dT%H%M%SZ");
        PathBuf::from(format!("capim-{}-{time}.tar.gz", instance.name()))
    });
    confirm(&report, &path)?;
    write(&entries, &path, &clock).map_err(|error| unusable(&path, &error))?;
    output::write(format!("{}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn confirm(report: &BugReport, path: &std::path::Path) -> Result<(), CliError> {
    if report.yes || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    eprint!("Write {}? [y/N] ", path.display());
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(CliError::other)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::new("E001", Exit::Other, "nothing was written")),
    }
}

fn entry(name: &str, about: &str, text: String) -> Entry {
    Entry { name: name.to_owned(), about: about.to_owned(), text }
}

/// What this machine has.
fn local(instance: &Instance, redaction: &Redaction) -> Vec<Entry> {
    let mut entries = vec![
        entry("version.txt", "versions", super::version::text()),
        entry("environment.txt", "CAPIM_* and the terminal's variables", environment(redaction)),
    ];
    let settings = project_file().into_iter().chain([user_file()]);
    for (number, file) in settings.enumerate() {
        if let Ok(text) = std::fs::read_to_string(&file) {
            let about = format!("settings: {}", file.display());
            entries.push(entry(&format!("settings-{number}.yaml"), &about, redaction.text(&text)));
        }
    }
    let directory = instance.directory();
    let of_instance = ["server.json", "ports.json", "merged.json"].map(|name| directory.join(name));
    let logs = log_file::all(&instance.log());
    for file in of_instance.into_iter().chain(logs).chain([instance.stderr()]) {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        entries.push(entry(&format!("instance/{name}"), "of the instance", redaction.text(&text)));
    }
    entries
}

fn environment(redaction: &Redaction) -> String {
    let wanted = |name: &str| {
        name.starts_with("CAPIM_")
            || name.starts_with("XDG_")
            || ["TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR", "CI", "SHELL"]
                .contains(&name)
    };
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        wanted(&name).then(|| format!("{name}={value}\n"))
    });
    let mut lines: Vec<String> = variables.collect();
    lines.sort();
    let system = format!("system={} {}\n", std::env::consts::OS, std::env::consts::ARCH);
    redaction.text(&(system + &lines.concat()))
}

/// What the management API has: objects of Cluster API, Events, Secrets without their values.
async fn served(client: &Client, redaction: &Redaction) -> Vec<Entry> {
    let mut entries = Vec::new();
    if let Ok(text) = client.get_text("/metrics").await {
        entries.push(entry("metrics.txt", "what the process has counted", text));
    }
    let Ok(served) = Served::discover(client).await else { return entries };
    for kind in served.all() {
        let resource = &kind.resource;
        let wanted = resource.group.ends_with("cluster.x-k8s.io")
            || (resource.group.is_empty()
                && ["events", "secrets", "namespaces"].contains(&resource.plural.as_str()));
        if !wanted {
            continue;
        }
        let Ok(objects) = kind.list(client, "", "").await else { continue };
        if objects.is_empty() {
            continue;
        }
        let count = objects.len();
        let objects: Vec<Value> = objects.into_iter().map(|it| redaction.object(it)).collect();
        let name = match resource.group.as_str() {
            "" => format!("objects/{}.json", resource.plural),
            group => format!("objects/{}.{group}.json", resource.plural),
        };
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        entries.push(entry(&name, &format!("{count} objects"), format!("{list:#}\n")));
    }
    entries
}

/// Replaces secrets by hashes.
struct Redaction {
    salt: u64,
    pem: Regex,
    token: Regex,
}

impl Redaction {
    fn new() -> Self {
        let salt = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let pem = Regex::new(r"-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END [A-Z0-9 ]+-----");
        // JSON Web Tokens, bootstrap tokens, and base64 of PEM.
        let token = Regex::new(
            r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|\b[a-z0-9]{6}\.[a-z0-9]{16}\b|LS0tLS1CRUdJTi[\w+/=]+",
        );
        let constant = "a constant expression";
        Self { salt, pem: pem.expect(constant), token: token.expect(constant) }
    }

    fn hash(&self, secret: &str) -> String {
        let digest = sha256_hex([self.salt.to_le_bytes().as_slice(), secret.as_bytes()]);
        format!("sha256:{}", &digest[..HASH_DIGITS])
    }

    fn text(&self, text: &str) -> String {
        let hashed = |found: &Captures<'_>| self.hash(&found[0]);
        let text = self.pem.replace_all(text, hashed);
        self.token.replace_all(&text, hashed).into_owned()
    }

    fn object(&self, mut object: Value) -> Value {
        let is_secret = object["kind"] == "Secret";
        for field in ["data", "stringData"] {
            let values = object.get_mut(field).filter(|_| is_secret).and_then(Value::as_object_mut);
            for value in values.into_iter().flat_map(|it| it.values_mut()) {
                *value = self.hash(value.as_str().unwrap_or_default()).into();
            }
        }
        self.fields(&mut object);
        object
    }

    fn fields(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field.as_str() {
                        Some(text) if SECRET_FIELDS.contains(&name.as_str()) => {
                            *field = self.hash(text).into();
                        }
                        _ => self.fields(field),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fields(item)),
            Value::String(text) => *text = self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn write(entries: &[Entry], path: &std::path::Path, clock: &Clock) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.create(true).write(true).truncate(true).mode(0o600).open(path)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(entry.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(clock.now().as_second()).unwrap_or_default());
        let name = format!("capim-bug-report/{}", entry.name);
        archive.append_data(&mut header, name, entry.text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_become_hashes_that_tell_equal_ones() {
        let redaction = Redaction::new();
        let secret = json!({"kind": "Secret", "data": {"value": "QUJD", "other": "QUJD"},
            "metadata": {"name": "demo-ca", "annotations": {"a": "-----BEGIN RSA KEY-----\nx\n-----END RSA KEY-----"}}});
        let shown = redaction.object(secret);
        assert_eq!(shown["data"]["value"], shown["data"]["other"]);
        assert!(shown["data"]["value"].as_str().unwrap().starts_with("sha256:"));
        assert_eq!(shown["metadata"]["name"], "demo-ca");
        assert!(!shown.to_string().contains("RSA KEY"), "{shown}");
        let config = json!({"kind": "KubeadmConfig", "spec": {"joinConfiguration": {"discovery":
            {"bootstrapToken": {"token": "abcdef.0123456789abcdef"}}}}, "status": {"x": "abcdef.0123456789abcdef"}});
        assert!(!redaction.object(config).to_string().contains("0123456789abcdef"));
        assert_ne!(redaction.hash("a"), Redaction::new().hash("a"));
    }
}
