//! Verbs beyond starting a playground and filling it: looking, waiting, changing, connecting.

use std::process::ExitCode;

use clap::Subcommand;

use super::attach::{self, Attach};
use super::bug_report::{self, BugReport};
use super::completion::{self, Completion, Man};
use super::dashboard::{self, Dashboard};
use super::describe::{self, Describe, DescribeKind};
use super::doctor::{self, Doctor};
use super::down::{self, Down};
use super::environment::{self, Env, Exec, Shell};
use super::error::CliError;
use super::events::{self, Events};
use super::explain::{self, Explain};
use super::generate::{self, Generate, GenerateKind};
use super::logs::{self, Logs};
use super::ls::{self, Ls};
use super::pause::{self, Pause};
use super::rollout::{self, Rollout, RolloutKind};
use super::scale::{self, Scale};
use super::status::{self, Status};
use super::timeline::{self, Timeline};
use super::upgrade::{self, Upgrade};
use super::wait::{self, Wait};
use super::why::{self, Why};
use crate::acts::PauseState;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the dashboard of a playground that runs.
    #[command(visible_alias = "ui")]
    Attach(Attach),
    /// Show the dashboard of any management cluster, by its kubeconfig.
    Dashboard(Dashboard),
    /// List the playgrounds of this user.
    Ls(Ls),
    /// Show what a playground is and holds.
    Status(Status),
    /// Stop a playground; its objects are lost.
    Down(Down),
    /// Stop a playground and start it again with the same flags; its objects are lost.
    Restart(down::Restart),
    /// Show the log of a playground.
    Logs(Logs),
    /// Show an object with all that belongs to it.
    Describe(Describe),
    /// Tell why an object is not as it should be: the chain to the cause, and what happens next.
    Why(Why),
    /// Wait until objects have a condition, a value, or are gone.
    Wait(Wait),
    /// Change the number of machines of a cluster.
    Scale(Scale),
    /// Change the Kubernetes version of a cluster.
    Upgrade(Upgrade),
    /// Replace the machines of a cluster.
    Rollout(Rollout),
    /// Stop reconciling a cluster, or one object.
    Pause(Pause),
    /// Reconcile a cluster, or one object, again.
    Resume(Pause),
    /// Show what happened, oldest first.
    Events(Events),
    /// Fill templates of clusters, without a network.
    Generate(Generate),
    /// Show what the machines of a cluster spent their start on.
    Timeline(Timeline),
    /// Print a line for the shell that sets KUBECONFIG.
    Env(Env),
    /// Start a shell with KUBECONFIG set.
    Shell(Shell),
    /// Run a command with KUBECONFIG set and exit with its code.
    Exec(Exec),
    /// Write an archive with what is needed to understand a problem, without secrets.
    BugReport(BugReport),
    /// Check whether this machine is fit for capim.
    Doctor(Doctor),
    /// Tell what an error code means, what leads to it and what to do next.
    Explain(Explain),
    /// Print a script that completes capim's arguments.
    Completion(Completion),
    /// Print the manual page, or write those of all commands.
    Man(Man),
}

impl Verb {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        match self {
            Self::Dashboard(dashboard) => dashboard::run(dashboard).await,
            Self::Attach(attach) => attach::run(attach).await,
            Self::Ls(ls) => ls::run(&ls),
            Self::Status(status) => status::run(status).await,
            Self::Down(down) => down::run(down).await,
            Self::Restart(restart) => down::restart(restart).await,
            Self::Logs(logs) => logs::run(logs).await,
            Self::Describe(describe) => match describe.kind {
                DescribeKind::Cluster(describe) => describe::run(describe).await,
            },
            Self::Why(why) => why::run(why).await,
            Self::Wait(wait) => wait::run(wait).await,
            Self::Scale(scale) => scale::run(scale).await,
            Self::Upgrade(upgrade) => upgrade::run(upgrade).await,
            Self::Rollout(rollout) => match rollout.kind {
                RolloutKind::Restart(restart) => rollout::restart(restart).await,
            },
            Self::Pause(pause) => pause::run(pause, PauseState::Paused).await,
            Self::Resume(resume) => pause::run(resume, PauseState::Running).await,
            Self::Events(events) => events::run(events).await,
            Self::Generate(generate) => match generate.kind {
                GenerateKind::Cluster(generate) => generate::run(&generate),
            },
            Self::Timeline(timeline) => timeline::run(timeline).await,
            Self::Env(env) => environment::env(env).await,
            Self::Shell(shell) => environment::shell(shell).await,
            Self::Exec(exec) => environment::exec(exec).await,
            Self::BugReport(report) => bug_report::run(report).await,
            Self::Doctor(doctor) => doctor::run(doctor).await,
            Self::Explain(explain) => explain::run(&explain),
            Self::Completion(completion) => completion::run(&completion),
            Self::Man(man) => completion::man(&man),
        }
    }
}
