//! The command line: arguments as typed become a plan as meant; one file a verb.

pub mod arguments;
mod connection;
mod create;
mod delete;
pub mod error;
mod get;
mod kubeconfig;
mod output;
mod report;
mod up;
mod version;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, CreateKind, DeleteKind};
use error::{CliError, Exit};

/// Runs the executable: parses the arguments, runs the verb and reports its error.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
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
    let outcome = runtime.block_on(run(arguments.command));
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
        Command::Version => version::run(),
    }
}
