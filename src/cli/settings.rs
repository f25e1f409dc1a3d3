//! Settings from files: `~/.config/capim/config.yaml` and, before it, the `capim.yaml` of a project.
//!
//! A setting takes the place of a flag's default, so that flags and `CAPIM_*` variables come first.
//! Files are read strictly: a key that does not exist is an error that names its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use granit_parser::{Event, Parser, Span};

use super::error::{CliError, Exit};
use crate::machinery::nearest::near;

/// Version and kind that a file may name.
pub(super) const API_VERSION: &str = "capim.dev/v1alpha1";
pub(super) const KIND: &str = "Config";
/// Name of a project's file, looked for upwards until the root of its repository.
const PROJECT_FILE: &str = "capim.yaml";
/// Levels of mappings that make sense, and some more.
const DEPTH_MAX: usize = 8;

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// true or false.
    Bool,
    /// A list of texts.
    List,
    /// A list of files and directories, relative to the file that names them.
    Paths,
}

/// A setting that exists.
#[derive(Debug)]
pub(super) struct Key {
    /// Path in a file, e.g. `up.ports.api`.
    pub(super) path: &'static str,
    /// The command whose flag it is a default of.
    command: &'static str,
    /// Name of the flag.
    pub(super) flag: &'static str,
    pub(super) holds: Holds,
    pub(super) about: &'static str,
}

const fn key(path: &'static str, flag: &'static str, holds: Holds, about: &'static str) -> Key {
    Key { path, command: "up", flag, holds, about }
}

/// All settings, in the order in which they are shown.
pub(super) const KEYS: [Key; 20] = [
    key("up.clusters", "clusters", Holds::Number, "sample clusters at start"),
    key("up.cp", "cp", Holds::Number, "control plane machines of each"),
    key("up.workers", "workers", Holds::Number, "worker machines of each"),
    key("up.k8sVersion", "k8s-version", Holds::Text, "Kubernetes version of their machines"),
    key("up.instant", "instant", Holds::Bool, "whether their machines start at once"),
    key("up.files", "file", Holds::Paths, "manifests to apply at start"),
    key("up.headless", "headless", Holds::Bool, "lines instead of the dashboard"),
    key("up.wait", "wait", Holds::Text, "ready, clusters or none"),
    key("up.timeout", "timeout", Holds::Text, "how long to wait, e.g. 5m"),
    key("up.providers.run", "providers", Holds::List, "providers that capim runs"),
    key("up.providers.external", "external", Holds::List, "providers that you run"),
    key("up.webhooks", "webhook", Holds::List, "NAMESPACE/NAME=URL of webhooks outside"),
    key("up.ports.api", "api-port", Holds::Number, "port of the management API"),
    key("up.ports.workload", "workload-ports", Holds::Text, "ports of workload clusters"),
    key("up.network.listen", "listen", Holds::Text, "address of all ports"),
    key("up.network.advertise", "advertise", Holds::Text, "host that kubeconfigs name"),
    key("up.network.sans", "san", Holds::List, "further names for certificates"),
    key("up.simulation.seed", "seed", Holds::Number, "seed of all randomness"),
    key("kubeconfig.merge", "merge", Holds::Bool, "add the context to ~/.kube/config"),
    key("kubeconfig.switch", "switch", Holds::Bool, "and make it the current one"),
];

/// A setting with the place that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Values as texts: several of a list.
    pub(super) values: Vec<String>,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// The settings of all files: path -> setting.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) found: BTreeMap<&'static str, Setting>,
}

impl Settings {
    /// Reads the files: that of the user (or another one in its place) and that of the project,
    /// which comes first.
    ///
    /// # Errors
    /// `E090` and `E091` with file and line.
    pub(super) fn load(instead: Option<&Path>) -> Result<Self, CliError> {
        let mut settings = Self::default();
        let user = instead.map_or_else(user_file, Path::to_owned);
        settings.read(&user, instead.is_some())?;
        if let Some(project) = project_file() {
            settings.read(&project, true)?;
        }
        Ok(settings)
    }

    fn read(&mut self, file: &Path, must_exist: bool) -> Result<(), CliError> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
                return Ok(());
            }
            Err(error) => {
                let message = format!("failed to read {}: {error}", shown(file));
                return Err(CliError::new("E092", Exit::Usage, message)
                    .hint("capim config path     where settings are looked for"));
            }
        };
        let found = parse(&text, file)?;
        let replaced = |key: &Key| {
            let others = KEYS.iter().filter(|it| instead_of(key.flag).contains(&it.flag));
            others.into_iter().any(|other| found.contains_key(other.path))
        };
        let replaced = KEYS.iter().filter(|key| replaced(key)).map(|key| key.path);
        for path in replaced {
            self.found.remove(path);
        }
        self.found.extend(found);
        Ok(())
    }

    /// The command line with the settings as defaults of its flags, without those that contradict a
    /// flag that is `given`.
    ///
    /// # Errors
    /// `E091` for a value that its flag does not accept.
    pub(super) fn apply(
        &self,
        mut command: Command,
        given: impl Fn(&str) -> bool,
    ) -> Result<Command, CliError> {
        for key in &KEYS {
            let Some(setting) = self.found.get(key.path) else { continue };
            check(&command, key, setting)?;
            if instead_of(key.flag).iter().any(|flag| given(flag)) {
                continue;
            }
            let values = setting.values.clone();
            command = command.mut_subcommand(key.command, |command| {
                let is_meant = |it: &&clap::Arg| it.get_long() == Some(key.flag);
                let id = command.get_arguments().find(is_meant).map(|it| it.get_id().clone());
                match id {
                    Some(id) => command.mut_arg(id, |flag| flag.default_values(values)),
                    None => command,
                }
            });
        }
        Ok(command)
    }
}

/// The flags that contradict a flag.
fn instead_of(flag: &str) -> &'static [&'static str] {
    match flag {
        "providers" => &["external"],
        "external" => &["providers"],
        "api-port" => &["forget-ports"],
        "headless" => &["detach"],
        _ => &[],
    }
}

/// The flags of `capim up` that arguments or variables give.
pub(super) fn given(matches: &ArgMatches) -> impl Fn(&str) -> bool {
    let up = matches.subcommand_matches("up").cloned();
    move |flag| {
        let id = flag.replace('-', "_");
        let source = up.as_ref().filter(|up| up.try_contains_id(&id).is_ok());
        let source = source.and_then(|up| up.value_source(&id));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    }
}

/// Whether a flag accepts a setting's values.
fn check(command: &Command, key: &Key, setting: &Setting) -> Result<(), CliError> {
    let mut words = vec!["capim".to_owned(), key.command.to_owned()];
    for value in &setting.values {
        match (key.holds, value.as_str()) {
            (Holds::Bool, "true" | "false") => {}
            (Holds::Bool, _) => return Err(refused(key, setting, "expected true or false")),
            _ => words.push(format!("--{}={value}", key.flag)),
        }
    }
    match command.clone().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == clap::error::ErrorKind::MissingRequiredArgument => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(refused(key, setting, first.trim_start_matches("error: ")))
        }
    }
}

fn refused(key: &Key, setting: &Setting, why: &str) -> CliError {
    let (file, line) = (shown(&setting.file), setting.line);
    let message = format!("{} in {file} line {line}: {why}", key.path);
    CliError::new("E091", Exit::Usage, message).hint("capim config schema     what a file may say")
}

/// `$XDG_CONFIG_HOME/capim/config.yaml`, by default under `~/.config`.
pub(super) fn user_file() -> PathBuf {
    let base =
        std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.unwrap_or_else(|| {
        std::env::home_dir().unwrap_or_else(|| PathBuf::from(".")).join(".config")
    });
    base.join("capim").join("config.yaml")
}

/// The file of the project that one is in.
pub(super) fn project_file() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    for directory in here.ancestors() {
        let file = directory.join(PROJECT_FILE);
        if file.is_file() && is_trusted(&file) {
            return Some(file);
        }
        if directory.join(".git").exists() {
            return None;
        }
    }
    None
}

/// Whether a file is this user's own, or the system's: others do not say how playgrounds run.
fn is_trusted(file: &Path) -> bool {
    let owner = std::fs::metadata(file).map(|it| std::os::unix::fs::MetadataExt::uid(&it));
    let own = rustix::process::getuid().as_raw();
    owner.is_ok_and(|owner| owner == own || owner == 0)
}

/// A path as one would type it here.
fn shown(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match file.strip_prefix(&here) {
        Ok(relative) => format!("./{}", relative.display()),
        Err(_) => file.display().to_string(),
    }
}

/// The settings in a text.
fn parse(text: &str, file: &Path) -> Result<BTreeMap<&'static str, Setting>, CliError> {
    let mut reader = Reader { events: Parser::new_from_str(text), file, found: BTreeMap::new() };
    loop {
        match reader.next()? {
            (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(reader.found),
            (Event::MappingStart(..), _) => {
                reader.mapping("")?;
                return Ok(reader.found);
            }
            (Event::Scalar(text, ..), _) if text.is_empty() => return Ok(reader.found),
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (_, span) => return Err(reader.broken(span, "expected a mapping")),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    file: &'a Path,
    found: BTreeMap<&'static str, Setting>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), CliError> {
        loop {
            match self.events.next() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    let message = format!("{} is no YAML: {error}", shown(self.file));
                    return Err(CliError::new("E092", Exit::Usage, message));
                }
                None => return Err(CliError::other("the settings end unexpectedly")),
            }
        }
    }

    fn broken(&self, span: Span, what: &str) -> CliError {
        let message = format!("{} line {}: {what}", shown(self.file), span.start.line());
        CliError::new("E091", Exit::Usage, message)
    }

    /// The members of a mapping whose path is `prefix`.
    fn mapping(&mut self, prefix: &str) -> Result<(), CliError> {
        if prefix.split('.').count() > DEPTH_MAX {
            return Err(CliError::new("E091", Exit::Usage, "the settings are nested too deeply"));
        }
        loop {
            let (event, span) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(()),
                Event::Scalar(name, ..) => name.into_owned(),
                _ => return Err(self.broken(span, "expected a key")),
            };
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            self.member(&path, span)?;
        }
    }

    fn member(&mut self, path: &str, at: Span) -> Result<(), CliError> {
        let section = format!("{path}.");
        let (event, span) = self.next()?;
        if let ("apiVersion" | "kind", Event::Scalar(text, ..)) = (path, &event) {
            let expected = if path == "kind" { KIND } else { API_VERSION };
            return match text.as_ref() == expected {
                true => Ok(()),
                false => Err(self.broken(span, &format!("{path} is {text:?}, not {expected:?}"))),
            };
        }
        if KEYS.iter().any(|key| key.path.starts_with(&section)) {
            return match event {
                Event::MappingStart(..) => self.mapping(path),
                Event::Scalar(text, ..) if is_null(&text) => Ok(()),
                _ => Err(self.broken(span, &format!("{path} holds other keys, not a value"))),
            };
        }
        let Some(key) = KEYS.iter().find(|key| key.path == path) else {
            return Err(self.unknown(path, at));
        };
        let values = match (key.holds, event) {
            (Holds::List | Holds::Paths, Event::SequenceStart(..)) => self.list(key)?,
            (Holds::List | Holds::Paths, Event::Scalar(text, ..)) if text.is_empty() => Vec::new(),
            (Holds::List | Holds::Paths, _) => {
                return Err(self.broken(span, &format!("{path} is a list")));
            }
            (_, Event::Scalar(text, ..)) => vec![text.into_owned()],
            _ => return Err(self.broken(span, &format!("{path} is one value"))),
        };
        let setting = Setting { values, file: self.file.to_owned(), line: at.start.line() };
        if self.found.insert(key.path, setting).is_some() {
            return Err(self.broken(at, &format!("{path} is there twice")));
        }
        Ok(())
    }

    fn list(&mut self, key: &Key) -> Result<Vec<String>, CliError> {
        let mut values = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(values),
                (Event::Scalar(text, ..), _) if key.holds == Holds::Paths => {
                    let directory = self.file.parent().unwrap_or(Path::new("."));
                    values.push(directory.join(text.as_ref()).display().to_string());
                }
                (Event::Scalar(text, ..), _) => values.push(text.into_owned()),
                (_, span) => {
                    return Err(self.broken(span, &format!("{} is a list of texts", key.path)));
                }
            }
        }
    }

    fn unknown(&self, path: &str, at: Span) -> CliError {
        let (prefix, name) = path.rsplit_once('.').unwrap_or(("", path));
        let siblings = KEYS.iter().filter_map(|key| {
            let rest = match prefix {
                "" => key.path,
                prefix => key.path.strip_prefix(prefix)?.strip_prefix('.')?,
            };
            Some(rest.split('.').next().unwrap_or(rest).to_owned())
        });
        let suggestion = near(name, siblings);
        let suggestion = suggestion.map(|it| format!("; did you mean {it:?}?")).unwrap_or_default();
        let (file, line) = (shown(self.file), at.start.line());
        let message = format!("unknown key {name:?} in {file} line {line}{suggestion}");
        CliError::new("E090", Exit::Usage, message)
            .hint("capim config schema     what a file may say")
    }
}

/// What YAML has for nothing.
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::arguments::Arguments;

    fn check(text: &str) -> Result<BTreeMap<&'static str, Setting>, String> {
        let found = parse(text, Path::new("/p/capim.yaml")).map_err(|error| error.to_string())?;
        let settings = Settings { found };
        settings.apply(Arguments::command(), |_| false).map_err(|error| error.to_string())?;
        Ok(settings.found)
    }

    #[test]
    fn every_setting_is_a_flag_and_the_example_is_accepted() {
        let found = check(
            "apiVersion: capim.dev/v1alpha1\nkind: Config\nup:\n  clusters: 3\n  # a comment\n  \
             providers: {external: [kubeadm-control-plane]}\n  ports: {api: 7443, workload: 20000-29999}\n  \
             simulation: {seed: 42}\n  files: [./a.yaml, /b]\nkubeconfig: {merge: false}\n",
        )
        .unwrap();
        assert_eq!(found["up.files"].values, ["/p/./a.yaml", "/b"]);
        assert_eq!(found["up.files"].line, 9);
        assert_eq!(check(""), Ok(BTreeMap::new()));
        assert_eq!(check("up:\n"), Ok(BTreeMap::new()));
        let command = Arguments::command();
        let up = command.find_subcommand("up").unwrap();
        for key in &KEYS {
            assert!(up.get_arguments().any(|it| it.get_long() == Some(key.flag)), "{}", key.path);
        }
    }

    /// What `capim up` becomes, with settings of a user and of a project.
    fn up(user: &str, project: &str, words: &[&str]) -> crate::cli::arguments::Up {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        for (name, text) in [("user.yaml", user), ("project.yaml", project)] {
            let file = directory.path().join(name);
            std::fs::write(&file, text).unwrap();
            settings.read(&file, true).unwrap();
        }
        let words = ["capim", "up"].iter().chain(words);
        let typed = Arguments::command().try_get_matches_from(words.clone()).unwrap();
        let command = settings.apply(Arguments::command(), given(&typed)).unwrap();
        let matches = command.try_get_matches_from(words).unwrap();
        match clap::FromArgMatches::from_arg_matches(&matches).map(|it: Arguments| it.command) {
            Ok(Some(crate::cli::arguments::Command::Up(up))) => up,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_comes_first_takes_what_contradicts_it_away() {
        use crate::playground::Provider;
        let run = "up: {providers: {run: [core]}, ports: {api: 7450}, headless: true}\n";
        let external = "up: {providers: {external: [infra]}}\n";
        assert_eq!(up(run, "", &[]).selection().external().len(), 3);
        let infra = [Provider::Infra];
        assert_eq!(up(run, "", &["--external", "infra"]).selection().external(), infra);
        assert_eq!(up(run, external, &[]).selection().external(), infra);
        assert_eq!(up(external, run, &[]).selection().external().len(), 3);
        assert_eq!(up(external, "", &["--providers", "all"]).selection().external(), []);
        assert_eq!(up(run, "", &[]).api_port, Some(7450));
        assert_eq!(up(run, "", &["--forget-ports"]).api_port, None);
        assert!(!up(run, "", &["-d"]).headless);
    }

    #[test]
    fn mistakes_name_file_and_line() {
        for (text, expected) in [
            (
                "up:\n  cluster: 3\n",
                "error[E090]: unknown key \"cluster\" in /p/capim.yaml line 2; did you mean \"clusters\"?",
            ),
            (
                "upp: 1\n",
                "error[E090]: unknown key \"upp\" in /p/capim.yaml line 1; did you mean \"up\"?",
            ),
            ("up: 3\n", "error[E091]: /p/capim.yaml line 1: up holds other keys, not a value"),
            (
                "up:\n  clusters: [1]\n",
                "error[E091]: /p/capim.yaml line 2: up.clusters is one value",
            ),
            (
                "up:\n  clusters: many\n",
                "error[E091]: up.clusters in /p/capim.yaml line 2: invalid value 'many' for '--clusters <N>'",
            ),
            (
                "up:\n  instant: maybe\n",
                "error[E091]: up.instant in /p/capim.yaml line 2: expected true or false",
            ),
            ("up: {clusters: 1, clusters: 2}\n", "up.clusters is there twice"),
            ("kind: Cluster\n", "kind is \"Cluster\", not \"Config\""),
            ("a: '\n", "error[E092]: /p/capim.yaml is no YAML"),
            ("- 1\n", "expected a mapping"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(expected), "{expected}\n---\n{error}");
        }
    }
}
