//! The command line: arguments as typed become a plan as meant; one file a verb.
//!
//! The executable answers to three names: started as `kube-apiserver` or `etcd` (by a link of that
//! name) it behaves as that program does towards those who start and watch it.

mod apiserver;
pub mod arguments;
mod child;
mod collect;
mod completion;
mod connection;
mod create;
mod delete;
mod describe;
mod doctor;
mod environment;
pub mod error;
mod etcd;
mod events;
mod examples;
mod generate;
mod get;
mod get_rows;
mod kubeconfig;
mod members;
mod output;
mod pause;
mod provider;
mod report;
mod resources;
mod rollout;
mod scale;
mod signals;
mod suggest;
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
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, CreateKind, DeleteKind, TopologyVerb};
use error::{CliError, Exit};

/// Runs the executable: parses the arguments, runs the verb and reports its error.
pub fn main() -> ExitCode {
    let program = Program::of(std::env::args_os().map(|it| it.to_string_lossy().into_owned()));
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
    Capim(Box<Command>),
    /// With kube-apiserver's flags.
    Apiserver(Vec<String>),
    /// With etcd's flags.
    Etcd(Vec<String>),
}

impl Program {
    /// Ends the process for what it cannot read, and for `--help`.
    fn of(arguments: impl Iterator<Item = String>) -> Self {
        let arguments: Vec<String> = arguments.collect();
        let own =
            arguments.first().map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str);
        match (own, arguments.get(1).map(String::as_str)) {
            (Some("kube-apiserver"), _) => Self::Apiserver(arguments[1..].to_vec()),
            (Some("etcd"), _) => Self::Etcd(arguments[1..].to_vec()),
            // Its flags are not for clap, which takes `--` for itself.
            (_, Some("apiserver")) => Self::Apiserver(arguments[2..].to_vec()),
            _ => Self::Capim(Box::new(Arguments::parse_from(arguments).command)),
        }
    }

    async fn run(self) -> Result<ExitCode, CliError> {
        match self {
            Self::Capim(command) => run(*command).await,
            Self::Apiserver(arguments) => apiserver::run(&arguments).await,
            Self::Etcd(arguments) => etcd::run(&arguments).await,
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, CliError> {
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
        Command::Version => version::run(),
    }
}
