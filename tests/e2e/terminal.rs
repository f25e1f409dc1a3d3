//! The dashboard in a real terminal (tmux).

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::pty::Pty;
use crate::support::{capim, texts, tool, until_shown};

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

    /// Waits until the screen shows a text.
    fn wait_for(&self, text: &str) -> String {
        until_shown(|| self.screen(), text)
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
        assert!(screen.contains("1 cluster"), "{screen}");
        assert!(screen.contains("NAME") && screen.contains("STATE"), "{screen}");
        tmux.keys(&["2"]);
        tmux.wait_for("quick-start-cp-");
        tmux.keys(&["1"]);
        tmux.wait_for("Machines of quick-start");
        tmux.keys(&["Enter"]);
        tmux.wait_for("Tree  groups on");
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

/// `capim up` in a terminal of its own, when its dashboard is there.
fn up(state: &Path, environment: &[(&str, &str)]) -> Option<Pty> {
    let mut command = capim(state);
    command.args(["up", "--api-port", "0"]).envs(environment.iter().copied());
    let pty = Pty::start(&command, (100, 30))?;
    // Of a line only what is no blank is drawn.
    pty.wait_for("yet.");
    assert!(!pty.is_cooked());
    let modes = pty.modes();
    assert!(modes.alternate_screen && modes.mouse && modes.bracketed_paste, "{modes:?}");
    Some(pty)
}

#[test]
fn quitting_gives_the_terminal_back() {
    let state = tempfile::tempdir().unwrap();
    let Some(mut pty) = up(state.path(), &[]) else { return };
    pty.keys("q");
    pty.wait_for("Quit");
    pty.keys("y");
    assert_eq!(pty.ends().code(), Some(0));
    pty.assert_given_back();
}

#[test]
fn signals_that_end_the_process_give_the_terminal_back() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let state = tempfile::tempdir().unwrap();
        let Some(mut pty) = up(state.path(), &[]) else { return };
        pty.signal(signal);
        assert_eq!(pty.ends().code(), Some(code), "{signal:?}");
        pty.assert_given_back();
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    let state = tempfile::tempdir().unwrap();
    let Some(mut pty) = up(state.path(), &[("CAPIM_TEST_PANIC", "1")]) else { return };
    pty.keys("\x07");
    assert_eq!(pty.ends().code(), Some(101));
    pty.assert_given_back();
    let output = pty.output();
    let (left, told) = (output.rfind("\x1b[?1049l").unwrap(), output.find("panicked at").unwrap());
    assert!(left < told, "the message went to the alternate screen");
}

#[test]
fn a_stopped_dashboard_leaves_the_terminal_alone_and_comes_back() {
    let state = tempfile::tempdir().unwrap();
    let Some(mut pty) = up(state.path(), &[]) else { return };
    pty.signal(Signal::TSTP);
    pty.wait_until("stopped", |pty| pty.process_state() == 'T');
    pty.assert_given_back();
    pty.forget();
    pty.signal(Signal::CONT);
    // Everything is drawn again, because the shell has written over it.
    pty.wait_for("yet.");
    assert!(!pty.is_cooked());
    let modes = pty.modes();
    assert!(modes.alternate_screen && modes.mouse, "{modes:?}");
    pty.signal(Signal::TERM);
    assert_eq!(pty.ends().code(), Some(143));
    pty.assert_given_back();
}

#[test]
fn the_mouse_is_left_to_the_terminal_where_it_is_unwanted() {
    let state = tempfile::tempdir().unwrap();
    let mut command = capim(state.path());
    command.args(["up", "--api-port", "0", "--no-mouse", "--ascii", "--theme", "mono"]);
    let Some(mut pty) = Pty::start(&command, (100, 30)) else { return };
    pty.wait_for("yet.");
    assert!(!pty.modes().mouse);
    let output = pty.output();
    assert!(output.is_ascii(), "{output}");
    let has_colour = ["\x1b[38;", "\x1b[48;"].iter().any(|start| output.contains(start));
    assert!(!has_colour, "a colour in mono");
    pty.signal(Signal::TERM);
    pty.ends();
}

#[test]
fn an_editor_has_the_terminal_to_itself() {
    let state = tempfile::tempdir().unwrap();
    let editor = state.path().join("editor.sh");
    std::fs::write(
        &editor,
        "#!/bin/sh\nstty -a | grep -q ' icanon' && sed -i 's/serviceDomain: cluster.local/serviceDomain: edited.local/' \"$1\"\n",
    )
    .unwrap();
    let editor = format!("sh {}", editor.display());
    let Some(mut pty) = up(state.path(), &[("KUBE_EDITOR", &editor)]) else { return };
    let cluster = || {
        let arguments = ["get", "cluster", "demo", "-o", "json"];
        texts(&capim(state.path()).args(arguments).output().unwrap()).0
    };
    pty.keys(":create cluster demo --instant\r");
    pty.wait_until("created", |_| cluster().contains("cluster.local"));
    // Its row is there once its state has been drawn.
    let states = ["New", "Provision", "Available"];
    pty.wait_until("row", |pty| states.iter().any(|state| pty.output().contains(state)));
    pty.keys("e");
    pty.wait_until("edited", |_| cluster().contains("edited.local"));
    let modes = pty.modes();
    assert!(modes.alternate_screen && modes.mouse && !pty.is_cooked(), "{modes:?}");
}

/// Clusters as kubectl sees them.
fn kubectl(state: &Path, arguments: &[&str]) -> String {
    let kubeconfig = capim(state).args(["kubeconfig"]).output().unwrap();
    let file = state.join("kubectl.yaml");
    std::fs::write(&file, kubeconfig.stdout).unwrap();
    let output = Command::new("kubectl").arg("--kubeconfig").arg(&file).args(arguments).output();
    let (stdout, stderr) = texts(&output.unwrap());
    format!("{stdout}{stderr}")
}

#[test]
fn clusters_are_created_scaled_and_deleted_by_keys() {
    if tool("kubectl").is_none() || tool("tmux").is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_capim");
    let command = format!("XDG_STATE_HOME={} {program} up --api-port 0", state.path().display());
    let tmux = Tmux::start(state.path(), 110, 34, &command);
    tmux.wait_for("No clusters yet");
    tmux.keys(&["a"]);
    tmux.wait_for("a cluster needs a name");
    tmux.keys(&["demo", "Up", "Space"]);
    let screen = tmux.wait_for("--instant");
    assert!(screen.contains("= capim create cluster demo --cp 1 --workers 3"), "{screen}");
    tmux.keys(&["Enter"]);
    tmux.wait_for("created");
    assert!(kubectl(state.path(), &["get", "clusters"]).contains("demo"));

    tmux.wait_for("1 cluster");
    tmux.keys(&["s"]);
    tmux.wait_for("Scale demo");
    tmux.keys(&["BSpace", "5"]);
    tmux.wait_for("= capim scale demo --workers 5");
    tmux.keys(&["Enter"]);
    tmux.wait_for("scaled: demo-md-0 3 to 5");
    let query = ["get", "machinedeployment", "demo-md-0", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(kubectl(state.path(), &query), "5");

    tmux.keys(&["U"]);
    tmux.wait_for("= capim scale demo --workers 3 --md demo-md-0");
    tmux.keys(&["y"]);
    tmux.wait_for("scaled: demo-md-0 5 to 3");
    assert_eq!(kubectl(state.path(), &query), "3");

    tmux.keys(&["C-d"]);
    tmux.wait_for("Delete demo?");
    tmux.keys(&["n"]);
    assert!(kubectl(state.path(), &["get", "clusters"]).contains("demo"));
    tmux.keys(&["C-d"]);
    tmux.wait_for("Delete demo?");
    tmux.keys(&["y"]);
    tmux.wait_for("No clusters yet");
    assert!(kubectl(state.path(), &["get", "clusters"]).contains("No resources found"));
}
