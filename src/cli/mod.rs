//! The command line: arguments as typed become a plan as meant; one file a verb.
//!
//! The executable answers to three names: started as `kube-apiserver` or `etcd` (by a link of that
//! name) it behaves as that program does towards those who start and watch it.

mod apiserver;
pub mod arguments;
mod attach;
mod background;
mod bug_report;
mod child;
mod codes;
mod collect;
mod complete;
mod completion;
mod config;
mod connection;
mod create;
mod create_topology;
mod dashboard;
mod delete;
mod describe;
mod describe_watch;
mod doctor;
mod down;
mod environment;
pub mod error;
mod etcd;
mod events;
mod examples;
mod explain;
mod generate;
mod get;
mod get_requests;
mod get_rows;
mod instance;
mod kubeconfig;
mod log_file;
mod logs;
mod ls;
mod merged;
mod output;
mod pause;
mod port_owner;
mod progress;
mod provider;
mod ready_file;
mod refused;
mod report;
mod rollout;
mod scale;
mod settings;
mod signals;
mod status;
mod stop_when;
mod table;
mod timeline;
mod timeline_svg;
mod topology;
mod up;
mod upgrade;
mod verbs;
mod version;
mod wait;
mod why;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::{Arguments, Command, CreateKind, DeleteKind, TopologyVerb};
use error::{CliError, ErrorFormat, Exit, usage_error};
use instance::Instance;
use settings::Settings;

/// Runs the executable: parses the arguments, runs the verb and reports its error.
pub fn main() -> ExitCode {
    complete::answer();
    let errors = ErrorFormat::chosen();
    let program = match Program::of(std::env::args_os().collect(), errors) {
        Ok(program) => program,
        Err(error) => return errors.tell(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error =
                CliError::new("E070", Exit::Environment, format!("failed to start: {error}"));
            return errors.tell(&error);
        }
    };
    let outcome = runtime.block_on(program.run());
    // Blocking reads of stdin must not hold the process.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error| errors.tell(&error))
}

/// What the executable was started as.
enum Program {
    Capim(Box<Arguments>, Settings),
    /// With kube-apiserver's flags.
    Apiserver(Vec<String>),
    /// With etcd's flags.
    Etcd(Vec<String>),
}

impl Program {
    /// Ends the process for what it cannot read, and for `--help`.
    fn of(typed: Vec<OsString>, errors: ErrorFormat) -> Result<Self, CliError> {
        let arguments: Vec<String> =
            typed.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        let own =
            arguments.first().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
        Ok(match (own, arguments.get(1).map(String::as_str)) {
            (Some("kube-apiserver"), _) => Self::Apiserver(arguments[1..].to_vec()),
            (Some("etcd"), _) => Self::Etcd(arguments[1..].to_vec()),
            // Its flags are not for clap, which takes `--` for itself.
            (_, Some("apiserver")) => Self::Apiserver(arguments[2..].to_vec()),
            _ => {
                let loaded = Settings::load(settings_file(&arguments).as_deref());
                let (arguments, settings) = with_settings(typed, loaded, errors)?;
                Self::Capim(Box::new(arguments), settings)
            }
        })
    }

    async fn run(self) -> Result<ExitCode, CliError> {
        match self {
            Self::Capim(arguments, settings) => {
                Instance::named(&arguments.instance).choose();
                match arguments.command {
                    Some(command) => run(command, &settings).await,
                    None => attach::without_verb().await,
                }
            }
            Self::Apiserver(arguments) => apiserver::run(&arguments).await,
            Self::Etcd(arguments) => etcd::run(&arguments).await,
        }
    }
}

/// Reads the arguments with settings as defaults. Settings that are broken stop only those commands
/// that need them.
fn with_settings(
    typed: Vec<OsString>,
    loaded: Result<Settings, CliError>,
    errors: ErrorFormat,
) -> Result<(Arguments, Settings), CliError> {
    let plain = Arguments::command().try_get_matches_from(&typed);
    let applied = loaded.and_then(|settings| {
        let command = match &plain {
            Ok(plain) => settings.apply(Arguments::command(), settings::given(plain))?,
            Err(_) => settings.apply(Arguments::command(), |_| false)?,
        };
        Ok((command, settings))
    });
    let parse = |command: clap::Command, typed: Vec<OsString>| {
        let matches = command.try_get_matches_from(typed);
        match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
            Ok(parsed) => Ok(parsed),
            Err(error) if errors == ErrorFormat::Json && error.use_stderr() => {
                Err(usage_error(&error))
            }
            Err(error) => error.exit(),
        }
    };
    match applied {
        Ok((command, settings)) => Ok((parse(command, typed)?, settings)),
        Err(error) => {
            let arguments = parse(Arguments::command(), typed)?;
            match &arguments.command {
                Some(Command::Up(_)) => Err(error),
                Some(Command::Config(config)) if config.needs_settings() => Err(error),
                _ => Ok((arguments, Settings::default())),
            }
        }
    }
}

/// What `--config` or its variable names: needed before the arguments can be read.
fn settings_file(arguments: &[String]) -> Option<PathBuf> {
    let own = arguments.iter().take_while(|word| *word != "--");
    let mut own = own.skip_while(|word| *word != "--config" && !word.starts_with("--config="));
    let flag = match own.next().map(|word| word.strip_prefix("--config=")) {
        Some(Some(file)) => Some(file.to_owned()),
        Some(None) => own.next().cloned(),
        None => None,
    };
    let variable = || std::env::var("CAPIM_CONFIG").ok();
    flag.or_else(variable).filter(|file| !file.is_empty()).map(PathBuf::from)
}

async fn run(command: Command, settings: &Settings) -> Result<ExitCode, CliError> {
    match command {
        Command::Up(up) => up::run(up).await,
        Command::Create(create) => match create.kind {
            CreateKind::Cluster(create) => create::run(create).await,
        },
        Command::Get(get) => get::run(get).await,
        Command::Delete(delete) => match delete.kind {
            DeleteKind::Cluster(delete) => delete::run(delete).await,
        },
        Command::Kubeconfig(arguments) => kubeconfig::run(arguments).await,
        Command::Provider(arguments) => provider::run(arguments).await,
        Command::Apiserver(raw) => apiserver::run(&raw.arguments).await,
        Command::Topology(topology) => match topology.verb {
            TopologyVerb::Plan(plan) => topology::run(plan).await,
        },
        Command::Examples(examples) => examples::run(&examples),
        Command::Verb(verb) => verb.run().await,
        Command::Config(config) => config::run(&config, settings),
        Command::Version => version::run(),
    }
}
