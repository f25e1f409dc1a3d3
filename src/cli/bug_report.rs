//! `capim bug-report`: one archive with what is needed to understand a problem, and no secrets.
//!
//! Values of Secrets, tokens, keys and certificates become hashes. They are salted anew for every
//! report: the same value has the same hash within one report, and says nothing beyond it.

use std::hash::{BuildHasher, Hasher};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
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
use crate::playground::write_private;

/// What a hash begins with, and digits of it that are shown.
const HASH_PREFIX: &str = "sha256:";
const HASH_DIGITS: usize = 16;
/// Fields whose text is a secret wherever they are. (kubeadm and client-go's kubeconfig)
const SECRET_FIELDS: [&str; 9] = [
    "token",
    "tokenSecret",
    "password",
    "passwd",
    "certificateKey",
    "client-key-data",
    "client-certificate-data",
    "certificate-authority-data",
    "content",
];
/// Parts of the names of variables (of topologies and environments) whose values are secrets.
const SECRET_WORDS: [&str; 6] =
    ["password", "passwd", "secret", "token", "credential", "privatekey"];

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
    /// Do not ask; needed without a terminal.
    #[arg(short = 'y', long, env = "CAPIM_YES", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
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
    archive(&entries, &clock)
        .and_then(|archive| write_private(&path, archive))
        .map_err(|error| unusable(&path, &error))?;
    output::write(format!("{}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn confirm(report: &BugReport, path: &Path) -> Result<(), CliError> {
    if report.yes {
        return Ok(());
    }
    let verb = if path.exists() { "Replace" } else { "Write" };
    if !std::io::stdin().is_terminal() {
        let message = format!("{} {}? stdin is no terminal to answer", verb, path.display());
        return Err(CliError::new("E002", Exit::Usage, message).hint("add --yes"));
    }
    output::tell_part(&format!("{verb} {}? [y/N] ", path.display()));
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
        let about = if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
        entries.push(entry(&name, &about, format!("{list:#}\n")));
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
        let pem = Regex::new(r"(?s)-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----");
        // JSON Web Tokens, bootstrap tokens, and base64 of PEM.
        let token = Regex::new(
            r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|\b[a-z0-9]{6}\.[a-z0-9]{16}\b|LS0tLS1CRUdJTi[\w+/=]+",
        );
        let constant = "a constant expression";
        Self { salt, pem: pem.expect(constant), token: token.expect(constant) }
    }

    fn hash(&self, secret: &str) -> String {
        let digest = sha256_hex([self.salt.to_le_bytes().as_slice(), secret.as_bytes()]);
        format!("{HASH_PREFIX}{}", &digest[..HASH_DIGITS])
    }

    fn text(&self, text: &str) -> String {
        let hashed = |found: &Captures<'_>| self.hash(&found[0]);
        let text = self.pem.replace_all(text, hashed);
        self.token.replace_all(&text, hashed).into_owned()
    }

    fn object(&self, mut object: Value) -> Value {
        self.fields(&mut object);
        object
    }

    fn fields(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                self.secret(fields);
                for (name, field) in fields {
                    match SECRET_FIELDS.contains(&name.as_str()) {
                        true => self.value(field),
                        false => self.fields(field),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fields(item)),
            Value::String(text) => *text = self.string(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Values of a Secret, also of one within another object, and of a variable whose name says
    /// that it is one.
    fn secret(&self, fields: &mut serde_json::Map<String, Value>) {
        if fields.get("kind").is_some_and(|kind| kind == "Secret") {
            for place in ["/data", "/stringData", "/metadata/annotations"] {
                let mut steps = place.split('/').skip(1);
                let first = steps.next().and_then(|step| fields.get_mut(step));
                let found = steps.try_fold(first, |place, step| Some(place?.get_mut(step)));
                let values = found.flatten().and_then(Value::as_object_mut);
                values.into_iter().flat_map(|it| it.values_mut()).for_each(|it| self.value(it));
            }
        }
        let name = fields.get("name").and_then(Value::as_str).map(str::to_ascii_lowercase);
        let is_secret = name.is_some_and(|name| {
            let name = name.replace(['_', '-', '.'], "");
            SECRET_WORDS.iter().any(|word| name.contains(word))
        });
        if let Some(value) = fields.get_mut("value").filter(|_| is_secret) {
            self.value(value);
        }
    }

    /// A secret, or what consists of secrets.
    fn value(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|field| self.value(field)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::String(text) if self.is_hash(text) => {}
            Value::String(text) => *text = self.hash(text),
            Value::Number(_) => *value = self.hash(&value.to_string()).into(),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn is_hash(&self, text: &str) -> bool {
        text.len() == HASH_PREFIX.len() + HASH_DIGITS && text.starts_with(HASH_PREFIX)
    }

    /// Text that may be an object itself, as the annotation of `kubectl apply` is.
    fn string(&self, text: &str) -> String {
        if text.trim_start().starts_with('{')
            && let Ok(mut object @ Value::Object(_)) = serde_json::from_str(text)
        {
            self.fields(&mut object);
            return object.to_string();
        }
        self.text(text)
    }
}

/// The archive as bytes.
fn archive(entries: &[Entry], clock: &Clock) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(entry.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(clock.now().as_second()).unwrap_or_default());
        let name = format!("capim-bug-report/{}", entry.name);
        archive.append_data(&mut header, name, entry.text.as_bytes())?;
    }
    archive.into_inner()?.finish()
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

    #[test]
    fn what_was_applied_with_kubectl_and_variables_keep_their_secrets() {
        let redaction = Redaction::new();
        let applied = |object: Value| json!({"kubectl.kubernetes.io/last-applied-configuration": object.to_string()});
        let secret = json!({"kind": "Secret", "stringData": {"password": "hunter2"}});
        let secret = json!({"kind": "Secret", "metadata": {"annotations": applied(secret)}});
        let spec = json!({"files": [{"path": "/a", "content": "hunter2"}],
            "users": [{"name": "me", "passwd": "hunter2"}]});
        let plane = json!({"kind": "KubeadmControlPlane", "spec": spec,
            "metadata": {"annotations": applied(json!({"spec": spec}))}});
        let cluster = json!({"kind": "Cluster", "spec": {"topology": {"variables": [
            {"name": "registry-password", "value": {"of": ["hunter2"]}},
            {"name": "zone", "value": "north"}]}}});
        for object in [secret, plane, cluster] {
            let shown = redaction.object(object).to_string();
            assert!(!shown.contains("hunter2") && shown.contains("sha256:"), "{shown}");
            assert_eq!(shown.contains("topology"), shown.contains("north"), "{shown}");
        }
    }

    #[test]
    fn encrypted_keys_are_keys() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
            DEK-Info: AES-128-CBC,00\n\nhunter2\n-----END RSA PRIVATE KEY-----";
        let shown = Redaction::new().text(&format!("before {key} between {key} after"));
        assert!(!shown.contains("hunter2") && shown.contains(" between "), "{shown}");
    }
}
