//! Playgrounds in the background: their life, their names, and what they leave behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{capim, texts, tool, until_shown};

/// A state directory whose playgrounds end with the test.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = capim(self.path());
        command.args(line.split_whitespace());
        command.env("HOME", self.path()).current_dir(self.path()).env("NO_COLOR", "1");
        command
    }

    pub fn run(&self, line: &str) -> (Option<i32>, String, String) {
        let output: Output = self.command(line).output().unwrap();
        let (stdout, stderr) = texts(&output);
        (output.status.code(), stdout, stderr)
    }

    /// stdout of a command that succeeds.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let (code, stdout, stderr) = self.run(line);
        assert_eq!(code, Some(0), "{line}\n{stdout}\n{stderr}");
        stdout
    }

    /// stderr of a command that fails with this code.
    #[track_caller]
    pub fn fails(&self, line: &str, expected: i32) -> String {
        let (code, stdout, stderr) = self.run(line);
        assert_eq!(code, Some(expected), "{line}\n{stdout}\n{stderr}");
        stderr
    }

    pub fn instance(&self, name: &str) -> PathBuf {
        self.path().join("capim").join(name)
    }

    pub fn record(&self, name: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(self.instance(name).join("server.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn pid(&self, name: &str) -> rustix::process::Pid {
        let pid = self.record(name)["pid"].as_i64().unwrap();
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
    }

    /// Stops its process, as a debugger does.
    pub fn stop(&self, name: &str) {
        rustix::process::kill_process(self.pid(name), rustix::process::Signal::STOP).unwrap();
    }

    pub fn kill(&self, name: &str) {
        rustix::process::kill_process(self.pid(name), rustix::process::Signal::KILL).unwrap();
        // The lock goes with the process; waiting for it is waiting for the end.
        std::fs::File::open(self.instance(name).join("server.lock"))
            .unwrap()
            .lock_shared()
            .unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.command("down --all").output();
    }
}

#[test]
fn a_playground_goes_to_the_background_is_listed_and_ends() {
    let home = Home::new();
    let (code, stdout, stderr) =
        home.run("up -d --api-port 0 -c 2 --instant --workload-ports 27000-27099");
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    let kubeconfig = home.instance("default").join("kubeconfig");
    assert_eq!(stdout, format!("export KUBECONFIG='{}'\n", kubeconfig.display()));
    for expected in [
        " ✓ management API   https://127.0.0.1:",
        " ✓ providers        core ",
        " ✓ clusters         2/2 Available",
        "capim attach   dashboard        capim down   stop",
    ] {
        assert!(stderr.contains(expected), "{expected}\n---\n{stderr}");
    }
    let list = home.ok("ls");
    assert!(list.contains("default   running   "), "{list}");
    let status = home.ok("status");
    assert!(status.contains("2/2 Available") && status.contains("8 Running"), "{status}");
    let status: serde_json::Value = serde_json::from_str(&home.ok("status -o json")).unwrap();
    assert_eq!(status["clusters"], serde_json::json!({"total": 2, "available": 2}));
    assert!(home.ok("logs").contains("up api=https://127.0.0.1:"));
    // A second one of the same name is the same one; with other flags it is a conflict.
    assert_eq!(home.ok("up -d"), stdout);
    let error = home.fails("up -d --seed 7", 5);
    assert!(
        error.contains("error[E014]: instance \"default\" is running with other flags"),
        "{error}"
    );
    assert!(error.contains("--seed 7: it runs with its default"), "{error}");
    let error = home.fails("up --headless -- true", 5);
    assert!(error.contains("error[E014]: instance \"default\" is running already"), "{error}");
    let stopped = home.ok("down");
    assert_eq!(stopped, "instance \"default\" stopped; its 2 clusters are lost\n");
    let (code, _, stderr) = home.run("down");
    assert_eq!((code, stderr.as_str()), (Some(0), "instance \"default\" is not running\n"));
    assert_eq!(home.run("ls").2, "No playground is running.\n");
    home.fails("status", 6);
}

#[test]
fn identity_and_port_outlive_restarts_and_objects_do_not() {
    let home = Home::new();
    home.ok("up -d --api-port 0");
    let kubeconfig = home.instance("default").join("kubeconfig");
    let first = std::fs::read_to_string(&kubeconfig).unwrap();
    home.ok("create cluster demo --instant");
    let (code, exported, stopped) = home.run("restart");
    assert_eq!(code, Some(0), "{stopped}");
    assert_eq!(exported, format!("export KUBECONFIG='{}'\n", kubeconfig.display()));
    assert!(
        stopped.starts_with("instance \"default\" stopped; its cluster is lost\n"),
        "{stopped}"
    );
    assert!(!stopped.contains("are kept"), "{stopped}");
    assert_eq!(std::fs::read_to_string(&kubeconfig).unwrap(), first);
    assert_eq!(home.run("get clusters").2, "No resources found.\n");
    home.ok("down");
    home.ok("up -d");
    let second = std::fs::read_to_string(&kubeconfig).unwrap();
    home.ok("down");
    home.ok("up -d");
    assert_eq!(std::fs::read_to_string(&kubeconfig).unwrap(), second, "nothing has changed");
    // The old file's text still works: same authority, same client, same port.
    std::fs::write(home.path().join("exported"), &second).unwrap();
    home.ok("get clusters --kubeconfig exported");
    for (path, mode) in [
        ("", 0o700),
        ("identity", 0o700),
        ("identity/ca.key", 0o600),
        ("kubeconfig", 0o600),
        ("server.json", 0o600),
        ("log/capim.log", 0o600),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let found =
            std::fs::metadata(home.instance("default").join(path)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{path}");
    }
    // A taken port is not changed silently.
    let port: u16 = port(&second).parse().unwrap();
    home.ok("down");
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = home.fails("up -d", 5);
    let expected =
        format!("error[E012]: port {port} is in use by process {} (e2e-", std::process::id());
    assert!(error.starts_with(&expected), "{error}");
    assert!(
        error.contains("note: it is this instance's port") && error.contains("--forget-ports"),
        "{error}"
    );
    drop(taken);
    assert!(home.run("ls").2.contains("No playground"));
}

fn port(kubeconfig: &str) -> String {
    let rest = kubeconfig.split("https://127.0.0.1:").nth(1).unwrap();
    rest.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn instances_live_beside_each_other_and_a_killed_one_is_seen_to_be_stale() {
    let home = Home::new();
    home.ok("-i one up -d --api-port 0 --workload-ports 27100-27199");
    home.ok("up -i two -d --api-port 0 --workload-ports 27200-27299");
    assert_eq!(home.ok("ls -o name"), "one\ntwo\n");
    let error = home.fails("get clusters", 6);
    let expected = "error[E021]: no playground is running in instance \"default\"\n  \
        note: instance \"one\" is running: capim -i one status\n  \
        note: instance \"two\" is running: capim -i two status\n  hint: capim up -d\n";
    assert_eq!(error, expected);
    home.ok("-i one create cluster a --instant");
    assert!(home.ok("-i one get clusters -o name").contains("cluster/a"));
    assert_eq!(home.ok("-i two get clusters -o name"), "");
    home.kill("two");
    let list = home.ok("ls");
    assert!(list.contains("two    stale"), "{list}");
    let error = home.fails("-i two status", 6);
    assert!(error.contains("ended without cleaning up"), "{error}");
    let (code, _, stderr) = home.run("-i two down");
    assert_eq!(code, Some(0));
    assert!(stderr.contains("had ended without cleaning up; it is cleaned up now"), "{stderr}");
    home.ok("-i two up -d");
    home.kill("two");
    home.ok("-i two up -d");
    home.ok("down --all");
    assert_eq!(home.run("ls").2, "No playground is running.\n");
}

#[test]
fn the_childs_own_error_is_the_commands() {
    let home = Home::new();
    std::fs::write(
        home.path().join("bad.yaml"),
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n",
    )
    .unwrap();
    let error = home.fails("up -d --api-port 0 -f bad.yaml", 1);
    assert!(
        error.contains("error[E080]") && error.contains("no matches for kind \"Thing\""),
        "{error}"
    );
    assert_eq!(home.run("ls").2, "No playground is running.\n");
    let error = home.fails("-i UP ls", 2);
    assert!(error.contains("expected lower-case letters"), "{error}");
}

#[test]
fn contexts_are_merged_under_the_lock_and_go_with_the_playground() {
    let Some(_) = tool("kubectl") else { return };
    let home = Home::new();
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    let file = home.path().join(".kube").join("config");
    let before = "apiVersion: v1\nkind: Config\npreferences:\n  colors: true\nclusters:\n- name: prod\n  cluster:\n    server: https://prod\ncontexts:\n- name: prod\n  context:\n    cluster: prod\n    user: me\ncurrent-context: prod\nusers:\n- name: me\n  user:\n    token: x\n";
    std::fs::write(&file, before).unwrap();
    home.ok("up -d --api-port 0");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "untouched unless asked");
    let (code, _, stderr) = home.run("kubeconfig --merge --switch");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        stderr,
        "context \"capim\" is now current in ~/.kube/config\n"
            .replace("~", &home.path().display().to_string())
    );
    let kubectl = |line: &str| {
        let mut command = Command::new("kubectl");
        command.args(line.split(' ')).env("HOME", home.path()).env_remove("KUBECONFIG");
        texts(&command.output().unwrap())
    };
    assert_eq!(kubectl("config current-context").0, "capim\n");
    assert!(kubectl("get clusters -A").1.contains("No resources found"));
    assert_eq!(
        kubectl("config view -o jsonpath={.users[?(@.name==\"me\")].user.token}").0,
        "REDACTED"
    );
    // The link of those who keep their files elsewhere stays one, and is what is locked.
    let elsewhere = home.path().join("dotfiles");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    home.ok("kubeconfig --merge");
    assert!(std::fs::symlink_metadata(&file).unwrap().is_symlink());
    // Locked by somebody else.
    let lock = home.path().join(".kube").join("config.lock");
    std::fs::write(&lock, "").unwrap();
    let error = home.fails("kubeconfig --merge", 5);
    assert!(
        error.contains("error[E050]: kubeconfig ") && error.contains("is locked since "),
        "{error}"
    );
    assert!(error.contains("hint: rm "), "{error}");
    std::fs::remove_file(&lock).unwrap();
    home.ok("down");
    let value = |text: &str| serde_saphyr::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&std::fs::read_to_string(&file).unwrap()), value(before));
    assert!(!lock.exists());
}

/// A terminal of its own (tmux) in which a command runs.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn start(home: &Home, name: &str, command: &str) -> Self {
        let terminal = Self { socket: home.path().join(format!("{name}.sock")) };
        // A killed dashboard leaves its screen and the cursor anywhere on it.
        let shell = format!("{command}; printf '\\033[H\\033[2Jexit=%s\\n' $?; exec sleep 600");
        let output = terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "40",
            "sh",
            "-c",
            &shell,
        ]);
        assert_eq!(output, "");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(arguments).env("LC_ALL", "C.UTF-8");
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    /// Waits until the screen shows a text.
    fn wait_for(&self, text: &str) -> String {
        until_shown(|| self.tmux(&["capture-pane", "-p"]), text)
    }

    /// Process id of the dashboard.
    fn dashboard(&self) -> i32 {
        let pane = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let output = Command::new("pgrep").args(["-P", pane.trim(), "capim"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn dashboards_attach_at_once_and_a_killed_one_leaves_the_playground_alone() {
    let Some(_) = tool("tmux") else { return };
    let home = Home::new();
    home.ok("up -d --api-port 0 -c 1 --instant --workload-ports 27300-27399");
    let command = format!(
        "XDG_STATE_HOME={0} XDG_CONFIG_HOME={0} HOME={0} {1} attach",
        home.path().display(),
        env!("CARGO_BIN_EXE_capim")
    );
    let one = Terminal::start(&home, "one", &command);
    let two = Terminal::start(&home, "two", &command);
    one.wait_for("demo-1");
    two.wait_for("demo-1");
    let pid = rustix::process::Pid::from_raw(one.dashboard()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    one.wait_for("exit=137");
    home.ok("create cluster later --instant --wait");
    two.wait_for("later");
    let pid = rustix::process::Pid::from_raw(two.dashboard()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    two.wait_for("exit=143");
    assert!(home.ok("status").contains("2/2 Available"));
    let error = home.fails("attach", 2);
    assert!(error.contains("error[E003]: a dashboard needs a terminal"), "{error}");
}

#[test]
fn settings_come_from_flag_variable_project_and_user_in_this_order() {
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("config/capim")).unwrap();
    std::fs::write(
        home.path().join("config/capim/config.yaml"),
        "up:\n  clusters: 1\n  cp: 3\n  workers: 7\n  instant: true\n",
    )
    .unwrap();
    std::fs::write(home.path().join("capim.yaml"), "kind: Config\nup:\n  workers: 2\n  cp: 1\n")
        .unwrap();
    let view = home.ok("config view --origin");
    let line = |key: &str| {
        view.lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let project = home.path().join("capim.yaml").display().to_string();
    assert_eq!(line("up.workers"), ["up.workers", "2", &format!("{project}:3")]);
    assert_eq!(line("up.clusters")[1], "1");
    assert_eq!(line("up.simulation.seed"), ["up.simulation.seed", "-", "default"]);
    let mut command = home.command("up -d --api-port 0 --workload-ports 27400-27499 --cp 1");
    let output = command.env("CAPIM_CLUSTERS", "2").output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let status = home.ok("status");
    assert!(status.contains("2/2 Available") && status.contains("6 Running"), "{status}");
    home.ok("down");
    std::fs::write(
        home.path().join("capim.yaml"),
        "apiVersion: capim.dev/v1alpha1\nkind: Config\nup:\n  cluster: 3\n",
    )
    .unwrap();
    let error = home.fails("up -d", 2);
    assert!(error.starts_with("error[E090]: unknown key \"cluster\" in ./capim.yaml line 4; did you mean \"clusters\"?\n"), "{error}");
    std::fs::write(home.path().join("other.yaml"), "up: {clusters: many}\n").unwrap();
    std::fs::remove_file(home.path().join("capim.yaml")).unwrap();
    let error = home.fails("--config other.yaml config view", 2);
    assert!(
        error.contains("error[E091]: up.clusters in other.yaml line 1: invalid value 'many'"),
        "{error}"
    );
    // Whatever needs no settings goes on without them, above all what the hints name.
    for line in ["ls", "down", "config schema", "config path", "--version", "up --help"] {
        home.ok(&format!("--config other.yaml {line}"));
    }
    assert!(home.ok("config init").contains("#   clusters: 0"));
}

#[test]
fn a_kubeconfig_of_others_is_not_replaced_and_what_cannot_restart_is_not_stopped() {
    let home = Home::new();
    let file = home.path().join("config.yaml");
    let before = "contexts: [{name: prod, context: {cluster: prod, user: me}}]\n";
    std::fs::write(&file, before).unwrap();
    let error = home.fails("up -d --api-port 0 --kubeconfig config.yaml", 5);
    assert!(error.contains("holds other contexts: prod; it is not replaced"), "{error}");
    let mut command = home.command("up -d --api-port 0 -f -");
    let output = command.env("CAPIM_KUBECONFIG", &file).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before, "it is for looking alone");
    let error = home.fails("restart", 2);
    assert!(error.contains("error[E002]: what was read from stdin is gone"), "{error}");
    home.ok("status");
    // What is asked for beyond what runs is done or refused, not ignored.
    let error = home.fails("up -d --webhook a/b=https://127.0.0.1:9443", 5);
    assert!(error.contains("--webhook a/b=https://127.0.0.1:9443: it runs with its"), "{error}");
    home.ok("up -d --merge");
    let merged = home.path().join(".kube").join("config");
    assert!(std::fs::read_to_string(&merged).unwrap().contains("name: capim"));
    let (code, _, stderr) = home.run("down --forget");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("are kept"), "{stderr}");
    assert!(!home.instance("default").exists());
    assert!(!std::fs::read_to_string(&merged).unwrap().contains("name: capim"));
}

#[test]
fn signals_reach_the_command_and_not_only_the_playground() {
    let home = Home::new();
    let script = "trap 'echo trapped; exit 9' TERM; echo ready; while :; do read -r _; done";
    let mut command = home.command("up --api-port 0 --headless --workload-ports 27920-27929 --");
    let mut child = command
        .args(["sh", "-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    // The shell looks at its trap when its `read` ends.
    drop(child.stdin.take());
    assert_eq!(lines.next().unwrap().unwrap(), "trapped");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn metrics_name_what_runs_and_only_administrators_read_them() {
    let Some(_) = tool("kubectl") else { return };
    let home = Home::new();
    home.ok("up -d --api-port 0 -c 2 --instant --workers 1 --workload-ports 27500-27599");
    let get = |who: &[&str]| {
        let mut command = Command::new("kubectl");
        command.args(["get", "--raw", "/metrics"]).args(who);
        command.env("KUBECONFIG", home.instance("default").join("kubeconfig"));
        texts(&command.output().unwrap())
    };
    let (text, stderr) = get(&[]);
    for expected in [
        "controller_runtime_reconcile_total{controller=\"machine\",result=\"success\"} ",
        "controller_runtime_reconcile_time_seconds_bucket{controller=\"machine\",le=\"0.005\"} ",
        "controller_runtime_max_concurrent_reconciles{controller=\"machine\"} ",
        "workqueue_adds_total{controller=\"machine\",name=\"machine\"} ",
        "workqueue_work_duration_seconds_count{controller=\"machine\",name=\"machine\"} ",
        "workqueue_queue_duration_seconds_count{controller=\"machine\",name=\"machine\"} ",
        "rest_client_requests_total{code=\"200\",host=\"in-process\",method=\"PATCH\"} ",
        "apiserver_request_total{code=\"200\",component=\"apiserver\",",
        "capim_clusters{phase=\"Provisioned\"} 2\n",
        "capim_clusters_available 2\n",
        "capim_machines{phase=\"Running\"} 4\n",
        "capim_machines{phase=\"Failed\"} 0\n",
    ] {
        assert!(text.contains(expected), "{expected}\n---\n{text}\n{stderr}");
    }
    assert!(!text.contains("demo-1"), "no label is a client's");
    // What anybody writes into a status does not become a label.
    let mut command = Command::new("kubectl");
    command.args([
        "patch",
        "cluster",
        "demo-1",
        "--subresource=status",
        "--type=merge",
        "-p",
        "{\"status\":{\"phase\":\"Made-up\"}}",
    ]);
    let output =
        command.env("KUBECONFIG", home.instance("default").join("kubeconfig")).output().unwrap();
    let (_, stderr) = texts(&output);
    assert!(!get(&[]).0.contains("Made-up"), "{stderr}");
    let (_, stderr) = get(&["--as", "nobody"]);
    assert!(stderr.contains("Forbidden") || stderr.contains("forbidden"), "{stderr}");
}
