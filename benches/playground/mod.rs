//! How benches start that measure a playground in a process of its own.

use capim::clock::{Clock, Seed};
use capim::playground::{Config, Playground};
use serde_json::Value;

/// Runs a bench with the numbers on the command line, or these, and prints what it answers. Every
/// size runs in a process of its own, so that memory figures do not mix.
pub fn run_sizes<F: Future<Output = Value>>(otherwise: &[usize], run: impl FnOnce(usize) -> F) {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let sizes: Vec<usize> =
        arguments.iter().map(|size| size.parse().expect("sizes are numbers")).collect();
    match sizes.as_slice() {
        [] => otherwise.iter().for_each(|size| run_apart(*size)),
        [size] => {
            capim::playground::raise_file_limit();
            let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime starts");
            println!("{}", runtime.block_on(run(*size)));
        }
        sizes => sizes.iter().for_each(|size| run_apart(*size)),
    }
}

fn run_apart(size: usize) {
    let program = std::env::current_exe().expect("a process knows its own path");
    let status = std::process::Command::new(program)
        .arg(size.to_string())
        .status()
        .expect("the bench runs itself");
    assert!(status.success(), "size {size} failed");
}

/// A playground with room for thousands of clusters.
pub async fn start(clock: &Clock) -> Playground {
    let config =
        Config { workload_ports: 20_000..=32_000, seed: Seed(42), ..Config::new(clock.clone()) };
    let playground = Playground::start(config).await.expect("the playground starts");
    playground.manager().started().await;
    playground
}
