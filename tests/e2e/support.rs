//! What the end-to-end tests share: programs that may be missing, the binary, playgrounds.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use capim::clock::{Clock, Seed};
use capim::embed::ControlPlane;
use capim::playground::{Config, Playground};

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
    command.env("XDG_STATE_HOME", state).env("XDG_CONFIG_HOME", state.join("config"));
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        let is_setting = name.starts_with("CAPIM_") && !name.starts_with("CAPIM_TEST_");
        if is_setting || name == "KUBECONFIG" || name == "GITHUB_ACTIONS" {
            command.env_remove(&variable);
        }
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
    let config = Config { seed: Seed(seed), watch_events: true, ..Config::new(clock) };
    Playground::start(config).await.unwrap()
}

/// An API server of this process for programs on the PATH: a kubeconfig, a home of their own and a
/// directory for their files, which is where they run.
pub struct Shell {
    pub control_plane: ControlPlane,
    pub directory: tempfile::TempDir,
}

/// What a command wrote and how it ended.
pub struct Ran {
    line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Shell {
    /// A server with controllers, or `None` if the program is missing.
    pub async fn start(program: &str) -> Option<Self> {
        tool(program)?;
        let control_plane = ControlPlane::start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let shell = Self { control_plane, directory };
        shell.file("kubeconfig", &shell.control_plane.kubeconfig());
        Some(shell)
    }

    /// Writes a file into the directory.
    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    /// Runs a line in sh.
    pub async fn run(&self, line: &str) -> Ran {
        let home = self.directory.path();
        let output = tokio::process::Command::new("sh")
            .args(["-c", line])
            .current_dir(home)
            .env("HOME", home)
            .env("KUBECONFIG", home.join("kubeconfig"))
            .env_remove("KUBE_EDITOR")
            .kill_on_drop(true)
            .output();
        let limit = std::time::Duration::from_secs(60);
        let output = tokio::time::timeout(limit, output).await;
        let output = output.unwrap_or_else(|_| panic!("{line}: no end in sight")).unwrap();
        let (stdout, stderr) = texts(&output);
        Ran { line: line.to_owned(), code: output.status.code(), stdout, stderr }
    }

    /// Standard output of a line that succeeds.
    #[track_caller]
    pub fn ok<'a>(&'a self, line: &str) -> impl Future<Output = String> + use<'a> {
        let line = line.to_owned();
        let caller = std::panic::Location::caller();
        async move {
            let ran = self.run(&line).await;
            assert_eq!(ran.code, Some(0), "{caller}: {}", ran.shown());
            ran.stdout
        }
    }

    /// Runs a line and compares all of its standard output.
    #[track_caller]
    pub fn says<'a>(&'a self, line: &str, expected: &str) -> impl Future<Output = ()> + use<'a> {
        let (line, expected) = (line.to_owned(), expected.to_owned());
        let caller = std::panic::Location::caller();
        async move {
            let ran = self.run(&line).await;
            assert_eq!(ran.code, Some(0), "{caller}: {}", ran.shown());
            assert_eq!(ran.stdout.trim_end(), expected, "{caller}: {}", ran.shown());
        }
    }

    /// Runs a line that fails with this on standard error.
    #[track_caller]
    pub fn fails<'a>(&'a self, line: &str, expected: &str) -> impl Future<Output = ()> + use<'a> {
        let (line, expected) = (line.to_owned(), expected.to_owned());
        let caller = std::panic::Location::caller();
        async move {
            let ran = self.run(&line).await;
            assert_eq!(ran.code, Some(1), "{caller}: {}", ran.shown());
            assert!(ran.stderr.contains(&expected), "{caller}: {}", ran.shown());
        }
    }

    /// Lines of a program that would go on for ever: `before` many, then `action` takes place, then
    /// `after` more.
    pub async fn follow(
        &self,
        program: &str,
        arguments: &[&str],
        (before, after): (usize, usize),
        action: impl Future,
    ) -> Vec<String> {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let home = self.directory.path();
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .current_dir(home)
            .env("HOME", home)
            .env("KUBECONFIG", home.join("kubeconfig"))
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = Vec::new();
        let mut read = async |count: usize| {
            for _ in 0..count {
                let limit = std::time::Duration::from_secs(60);
                let line = tokio::time::timeout(limit, lines.next_line()).await;
                let line = line.unwrap_or_else(|_| panic!("{arguments:?}: {seen:?}")).unwrap();
                seen.push(line.unwrap_or_else(|| panic!("{arguments:?} ended")));
            }
        };
        read(before).await;
        action.await;
        read(after).await;
        seen
    }

    /// Stops the server.
    pub async fn stop(self) {
        self.control_plane.stop().await;
    }
}

impl Ran {
    /// All of it, for messages.
    pub fn shown(&self) -> String {
        format!("{}\n--- {:?}\n{}\n---\n{}", self.line, self.code, self.stdout, self.stderr)
    }
}

/// Looks at a screen until it shows a text. Between two looks the processor is left to those who
/// draw it.
pub fn until_shown(screen: impl Fn() -> String, text: &str) -> String {
    const LIMIT: Duration = Duration::from_secs(120);
    const BETWEEN: Duration = Duration::from_millis(50);
    let start = std::time::SystemTime::now();
    loop {
        let shown = screen();
        if shown.contains(text) {
            return shown;
        }
        assert!(start.elapsed().unwrap() < LIMIT, "no {text:?} in:\n{shown}");
        std::thread::sleep(BETWEEN);
    }
}
