//! What the end-to-end tests share: programs that may be missing, the binary, playgrounds.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use capim::clock::{Clock, Seed};
use capim::playground::{ApiPort, Config, Playground};

/// A program on the PATH, or `None`, said by name; in CI a missing program fails the test.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CAPIM_TEST_REQUIRE_TOOLS").is_none(),
            "{name} is required here, but missing"
        );
        eprintln!("skipped: {name} is not on the PATH");
    }
    found
}

/// The binary under test, with its own state directory and none of the user's settings.
pub fn capim(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_capim"));
    command.env("XDG_STATE_HOME", state).env_remove("KUBECONFIG");
    for variable in
        ["CAPIM_KUBECONFIG", "CAPIM_API_PORT", "CAPIM_SEED", "CAPIM_WORKLOAD_PORTS", "CAPIM_LOG"]
    {
        command.env_remove(variable);
    }
    command
}

/// stdout and stderr as text.
pub fn texts(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A playground in this process on the virtual clock. Call in a test with `start_paused = true`.
pub async fn virtual_playground(seed: u64) -> Playground {
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    playground(Clock::virtual_from(start), seed).await
}

/// A playground in this process.
pub async fn playground(clock: Clock, seed: u64) -> Playground {
    let config = Config {
        address: [127, 0, 0, 1].into(),
        api_port: ApiPort::Exact(0),
        workload_ports: 20_000..=29_999,
        seed: Seed(seed),
        clock,
        webhooks: Default::default(),
        watch_events: true,
        kubeconfig: None,
    };
    Playground::start(config).await.unwrap()
}
