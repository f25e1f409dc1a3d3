//! `capim completion` and `capim man`: both from the tree of commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::arguments::Arguments;
use super::complete;
use super::error::{CliError, Exit};
use super::output;

/// `capim completion`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim completion bash > /etc/bash_completion.d/capim
  capim completion zsh > \"${fpath[1]}/_capim\"
  capim completion fish > ~/.config/fish/completions/capim.fish

The scripts ask capim itself, so that names of clusters, machines, namespaces, instances, classes and
examples are completed, too. A server has 100 ms to answer; CAPIM_COMPLETION_TIMEOUT says otherwise.")]
pub struct Completion {
    /// For which shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `capim man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  capim man | man -l -
  capim man --dir /usr/local/share/man/man1")]
pub struct Man {
    /// Write a page for every command into this directory.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What the scripts start; found on the PATH, so that they outlive an update.
const PROGRAM: &str = "capim";

pub(super) fn run(completion: &Completion) -> Result<ExitCode, CliError> {
    use clap_complete::Shell;

    let shell: &dyn EnvCompleter = match completion.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
        Shell::Elvish => &Elvish,
        Shell::PowerShell => &Powershell,
        // A shell of a later version of the library: flags and verbs, without names.
        other => {
            let mut script = Vec::new();
            clap_complete::generate(other, &mut Arguments::command(), PROGRAM, &mut script);
            output::write(script)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut script = Vec::new();
    shell
        .write_registration(complete::VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(CliError::other)?;
    output::write(script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(man: &Man) -> Result<ExitCode, CliError> {
    let command = Arguments::command();
    match &man.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(CliError::other)?;
            output::write(page)?;
        }
        Some(directory) => {
            let failed = |error: std::io::Error| {
                let message =
                    format!("failed to write manual pages to {}: {error}", directory.display());
                CliError::new("E013", Exit::Environment, message)
            };
            std::fs::create_dir_all(directory).map_err(failed)?;
            clap_mangen::generate_to(command, directory).map_err(failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
