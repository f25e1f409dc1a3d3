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
mod collect;
mod completion;
mod config;
mod connection;
mod create;
mod create_topology;
mod dashboard;
mod delete;
mod describe;
mod doctor;
mod down;
mod environment;
pub mod error;
mod etcd;
mod events;
mod examples;
mod generate;
mod get;
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
mod report;
mod rollout;
mod scale;
mod settings;
mod signals;
mod status;
mod table;
mod timeline;
mod topology;
mod up;
mod upgrade;
mod verbs;
mod version;
mod wait;
mod why;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::{Arguments, Command, CreateKind, DeleteKind, TopologyVerb};
use error::{CliError, Exit};
use instance::Instance;
use settings::Settings;

/// Runs the executable: parses the arguments, runs the verb and reports its error.
pub fn main() -> ExitCode {
    let arguments = std::env::args_os().map(|it| it.to_string_lossy().into_owned());
    let program = match Program::of(arguments) {
        Ok(program) => program,
        Err(error) => {
            output::tell(&error.to_string());
            return ExitCode::from(error.exit as u8);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let error =
                CliError::new("E070", Exit::Environment, format!("failed to start: {error}"));
            eprintln!("{error}");
            return ExitCode::from(error.exit as u8);
        }
    };
    let outcome = runtime.block_on(program.run());
    // Blocking reads of stdin must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit as u8)
        }
    }
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
    fn of(arguments: impl Iterator<Item = String>) -> Result<Self, CliError> {
        let arguments: Vec<String> = arguments.collect();
        let own =
            arguments.first().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
        Ok(match (own, arguments.get(1).map(String::as_str)) {
            (Some("kube-apiserver"), _) => Self::Apiserver(arguments[1..].to_vec()),
            (Some("etcd"), _) => Self::Etcd(arguments[1..].to_vec()),
            // Its flags are not for clap, which takes `--` for itself.
            (_, Some("apiserver")) => Self::Apiserver(arguments[2..].to_vec()),
            _ => {
                let settings = Settings::load(settings_file(&arguments).as_deref())?;
                let matches = settings.apply(Arguments::command())?.get_matches_from(arguments);
                let parsed = Arguments::from_arg_matches(&matches);
                Self::Capim(Box::new(parsed.unwrap_or_else(|error| error.exit())), settings)
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
