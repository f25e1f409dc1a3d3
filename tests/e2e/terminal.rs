//! The dashboard in a real terminal (tmux).

use std::path::Path;
use std::process::Command;

use crate::support::tool;

/// A tmux server of its own with one session.
struct Tmux {
    socket: String,
}

impl Tmux {
    fn start(state: &Path, width: u16, height: u16, command: &str) -> Self {
        let tmux = Self { socket: state.join("tmux.sock").display().to_string() };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = format!(
            "{command}; echo exit=$?; stty -a | tr ' ' '\\n' | grep -x -e icanon -e -icanon; exec sleep 600"
        );
        tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "-s",
            "t",
            "sh",
            "-c",
            &shell,
        ]);
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-S", &self.socket])
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .output();
        let output = output.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "t"])
    }

    fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys", "-t", "t"][..], keys].concat());
    }

    /// Waits until the screen shows a text; each look is a round trip to tmux.
    fn wait_for(&self, text: &str) -> String {
        let start = std::time::SystemTime::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(
                start.elapsed().unwrap().as_secs() < 60,
                "{text:?} did not appear in:\n{screen}"
            );
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

fn dashboard(width: u16, height: u16) -> Option<(tempfile::TempDir, Tmux)> {
    tool("tmux")?;
    let state = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_capim");
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quick-start.yaml");
    let command = format!(
        "XDG_STATE_HOME={} {program} up --api-port 0 -f {examples}",
        state.path().display()
    );
    let tmux = Tmux::start(state.path(), width, height, &command);
    Some((state, tmux))
}

#[test]
fn dashboard_shows_the_cluster_and_gives_the_terminal_back() {
    for (width, height) in [(80, 24), (120, 40)] {
        let Some((_state, tmux)) = dashboard(width, height) else { return };
        let screen = tmux.wait_for("quick-start");
        assert!(screen.contains("1 clusters"), "{screen}");
        assert!(screen.contains("NAME") && screen.contains("STATE"), "{screen}");
        tmux.keys(&["2"]);
        tmux.wait_for("quick-start-cp-");
        tmux.keys(&["1"]);
        tmux.wait_for("Machines of quick-start");
        tmux.keys(&["Enter"]);
        tmux.wait_for("CONDITIONS");
        tmux.keys(&["Escape"]);
        tmux.wait_for("Machines of quick-start");
        tmux.keys(&["?"]);
        tmux.wait_for("Help");
        tmux.keys(&["x"]);
        tmux.keys(&["q"]);
        tmux.wait_for("Stop the playground?");
        tmux.keys(&["y"]);
        let screen = tmux.wait_for("exit=0");
        let screen = if screen.contains("icanon") { screen } else { tmux.wait_for("icanon") };
        assert!(!screen.contains("-icanon"), "the terminal is still raw:\n{screen}");
    }
}

#[test]
fn sigterm_gives_the_terminal_back() {
    let Some((_state, tmux)) = dashboard(80, 24) else { return };
    tmux.wait_for("quick-start");
    let pane = tmux.run(&["list-panes", "-t", "t", "-F", "#{pane_pid}"]);
    let killed =
        Command::new("pkill").args(["-TERM", "-P", pane.trim(), "capim"]).status().unwrap();
    assert!(killed.success());
    tmux.wait_for("exit=143");
    let screen = tmux.wait_for("icanon");
    assert!(!screen.contains("-icanon"), "the terminal is still raw:\n{screen}");
}
