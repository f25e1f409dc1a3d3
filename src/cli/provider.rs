//! `capim provider`: some providers alone, against a management API that runs elsewhere.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::arguments::ProviderCommand;
use super::connection::{client_of, own_kubeconfig};
use super::error::{CliError, Exit};
use super::output::line;
use super::signals::Signals;
use super::up::{check_file_limit, log_to_stderr, warn_of_listening};
use crate::clock::{Clock, Seed};
use crate::playground::{ProcessConfig, ProcessError, Provider, ProviderProcess, Selection, Stage};

/// How long a process may take to end, with the release of its Leases.
const END_MAX: std::time::Duration = std::time::Duration::from_secs(8);

pub(super) async fn run(arguments: ProviderCommand) -> Result<ExitCode, CliError> {
    check_file_limit(0)?;
    log_to_stderr();
    let mut signals = Signals::listen()?;
    let clock = Clock::wall();
    let path = arguments.kubeconfig.clone().unwrap_or_else(own_kubeconfig);
    let client = client_of(&path, arguments.context.as_deref()).await?;
    warn_of_listening(&clock, arguments.network.listen);
    let providers: Selection =
        arguments.providers.iter().flat_map(|name| name.providers()).copied().collect();
    let names = providers.iter().map(Provider::name).collect::<Vec<_>>().join(",");
    let config = ProcessConfig {
        client,
        providers,
        address: arguments.network.listen,
        names: arguments.network.names(),
        workload_ports: arguments.workload_ports.first..=arguments.workload_ports.last,
        seed: arguments.seed.map(Seed),
        clock: clock.clone(),
        identity: arguments.leader_elect.then(|| identity(&clock)),
        lease_namespace: arguments.leader_elect_namespace.clone(),
    };
    let stop = CancellationToken::new();
    let told = |stage: Stage| {
        let text = match stage {
            Stage::Connected => format!("connected kubeconfig={}", path.display()),
            Stage::Electing => "waiting to lead".to_owned(),
            Stage::Working => format!("running providers={names}"),
        };
        line(&clock, &text);
    };
    let working = async {
        let process = ProviderProcess::connect(config).await?;
        process.run(stop.clone(), told).await
    };
    tokio::pin!(working);
    let code = tokio::select! {
        ended = &mut working => return ended.map(|()| ExitCode::SUCCESS).map_err(failed),
        code = signals.next() => code,
    };
    stop.cancel();
    // A connection that is still being made ends with the process.
    let _ = clock.timeout(END_MAX, working).await;
    Ok(ExitCode::from(code))
}

/// A name that no other process has, made as client-go's users make theirs: host and a number.
fn identity(clock: &Clock) -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "capim".to_owned());
    let (process, now) = (std::process::id(), clock.now().as_nanosecond());
    format!("{host}_{process}-{now:x}")
}

fn failed(error: ProcessError) -> CliError {
    let message = error.to_string();
    match error {
        ProcessError::Unreachable(_) => CliError::new("E021", Exit::NotRunning, message)
            .hint("capim up --external infra     starts a management API for this provider")
            .hint("--kubeconfig FILE             names another one"),
        ProcessError::Credentials(_) => CliError::new("E036", Exit::Other, message)
            .hint("a kubeconfig of an earlier run, or its certificate has expired"),
        ProcessError::MissingKinds(_) => CliError::new("E037", Exit::NotFound, message).hint(
            "install Cluster API's CustomResourceDefinitions first, with the v1beta2 versions",
        ),
        ProcessError::Request { .. } => CliError::other(message),
        ProcessError::Leader(_) => CliError::new("E025", Exit::Conflict, message)
            .note("what this process had is rebuilt by the next leader, from objects"),
    }
}
