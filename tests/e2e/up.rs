//! What `capim up` leaves behind and what ends it: ready files, conditions to stop, settings over
//! restarts, groups on GitHub.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use capim::clock::Clock;
use serde_json::{Value, json};

use crate::errors::wait_for;
use crate::instances::Home;
use crate::support::{playground, texts};

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

#[test]
fn a_ready_file_is_there_for_as_long_as_the_playground_is_ready() {
    let home = Home::new();
    let file = home.path().join("ready.json");
    // What an earlier process has left does not count.
    std::fs::write(&file, "{\"pid\": 1}").unwrap();
    home.ok("up -d --api-port 0 --workload-ports 28700-28799 --ready-file ready.json");
    let ready = read_json(&file).unwrap();
    let record = home.record("default");
    let port: u16 = record["api"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(
        ready,
        json!({"apiVersion": "cli.capim.dev/v1alpha1", "kind": "Ready", "instance": "default",
            "pid": record["pid"], "api": record["api"],
            "kubeconfig": home.instance("default").join("kubeconfig"),
            "ports": {"api": port, "workload": {"first": 28700, "last": 28799}}})
    );
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Whoever waits for another file shall not wait for ever.
    let error = home.fails("up -d --ready-file other.json", 5);
    assert!(error.contains("--ready-file other.json: it runs with ready.json"), "{error}");
    home.ok("down");
    assert!(!file.exists());
    let shown = home.ok("up --headless --api-port 0 --ready-file ready.json -- cat ready.json");
    assert!(shown.contains("\"kind\": \"Ready\""), "{shown}");
    assert!(!file.exists());
}

#[test]
fn conditions_to_stop_end_a_playground() {
    let home = Home::new();
    let mut command = home.command("up --headless --api-port 0 --stop-when");
    let output = command.arg("after 100ms").output().unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("INFO stopping: 100ms are over\n"), "{stderr}");
    let output =
        home.command("up -d --api-port 0 --stop-when").arg("clients=0 for 50ms").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", texts(&output));
    // The lock goes with the process.
    let lock = home.instance("default").join("server.lock");
    std::fs::File::open(lock).unwrap().lock_shared().unwrap();
    let log = home.ok("logs");
    assert!(log.contains("stopping: no client has been connected for 50ms"), "{log}");
    let error = home.fails("up --headless --stop-when never", 2);
    assert!(
        error.contains("expected `clients=0 for 10m`, `parent-exits` or `after 1h`"),
        "{error}"
    );
}

#[test]
fn a_playground_ends_with_its_parent() {
    let home = Home::new();
    let file = home.path().join("ready.json");
    for flags in ["--headless &", "-d;"] {
        let line = format!(
            "\"$0\" up --api-port 0 --ready-file ready.json --stop-when parent-exits {flags} read line"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_capim")]);
        let own = home.command("");
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(home.path()).stdin(Stdio::piped());
        let mut parent = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for(|| read_json(&file));
        parent.kill().unwrap();
        parent.wait().unwrap();
        wait_for(|| (!file.exists()).then_some(()));
        let lock = home.instance("default").join("server.lock");
        std::fs::File::open(lock).unwrap().lock_shared().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_counted_while_they_are_connected() {
    let playground = playground(Clock::wall(), 1).await;
    let mut clients = playground.clients();
    assert_eq!(*clients.borrow(), 0);
    let address = playground.url().trim_start_matches("https://").to_owned();
    let one = tokio::net::TcpStream::connect(&address).await.unwrap();
    let two = tokio::net::TcpStream::connect(&address).await.unwrap();
    clients.wait_for(|count| *count == 2).await.unwrap();
    drop((one, two));
    clients.wait_for(|count| *count == 0).await.unwrap();
    playground.stop().await;
}

#[test]
fn without_a_kubeconfig_nothing_is_written_and_commands_say_so() {
    let home = Home::new();
    let mut command = home.command("up --headless --api-port 0 --no-kubeconfig --ready-file ready");
    let mut running = command.stderr(Stdio::null()).spawn().unwrap();
    let ready = wait_for(|| read_json(&home.path().join("ready")));
    assert_eq!(ready["kubeconfig"], Value::Null);
    assert!(!home.instance("default").join("kubeconfig").exists());
    for line in ["get clusters", "status", "up -d"] {
        let error = home.fails(line, 5);
        assert_eq!(
            error,
            "error[E022]: instance \"default\" runs without a kubeconfig\n  cause: it was started with --no-kubeconfig\n  hint: capim down && capim up -d\n",
            "{line}"
        );
    }
    home.ok("down");
    assert_eq!(running.wait().unwrap().code(), Some(143));
}

#[test]
fn a_restart_keeps_the_settings_of_the_first_start() {
    let home = Home::new();
    let mut command = home.command("up -d --api-port 0 --instant --workload-ports 28800-28899");
    let output = command.env("CAPIM_CLUSTERS", "2").env("CAPIM_WORKERS", "0").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", texts(&output));
    let output = home.command("restart").env("CAPIM_CLUSTERS", "5").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", texts(&output));
    let status: Value = serde_json::from_str(&home.ok("status -o json")).unwrap();
    assert_eq!(status["clusters"], json!({"total": 2, "available": 2}));
    assert_eq!(status["machines"], json!({"Running": 2}), "{status}");
}

#[test]
fn on_github_the_start_is_a_group_that_ends_before_all_else() {
    let home = Home::new();
    let mut command = home.command(
        "up --headless --api-port 0 -c 12 --workers 0 --instant --workload-ports 28900-28999 --wait clusters -- sh -c",
    );
    let output = command.arg("echo mine >&2").env("GITHUB_ACTIONS", "true").output().unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!((lines[0], lines[lines.len() - 1]), ("::group::capim up", "mine"), "{stderr}");
    assert_eq!(lines[lines.len() - 2], "::endgroup::", "{stderr}");
    assert!(lines[lines.len() - 3].contains(" INFO ready clusters=12/12 took="), "{stderr}");
    let done: Vec<u32> = lines
        .iter()
        .filter_map(|line| line.split(" INFO clusters ").nth(1)?.strip_suffix("/12")?.parse().ok())
        .collect();
    assert!(done.is_sorted_by(|a, b| a < b) && done.len() <= 10, "{stderr}");
    // An error is not hidden in the group.
    let mut command = home.command(
        "up --headless --api-port 0 -c 1 --workload-ports 28900-28999 --wait clusters --timeout 0s -- true",
    );
    let output = command.env("GITHUB_ACTIONS", "true").output().unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let (end, error) = (stderr.find("::endgroup::").unwrap(), stderr.find("error[E041]").unwrap());
    assert!(end < error, "{stderr}");
}

/// A kubeconfig with several contexts, of which the current one leads nowhere.
#[test]
fn a_context_of_a_kubeconfig_can_be_named() {
    let home = Home::new();
    home.ok("up -d --api-port 0 -c 1 --instant --workers 0 --workload-ports 29000-29099");
    let own = std::fs::read_to_string(home.instance("default").join("kubeconfig")).unwrap();
    let mut config: Value = serde_saphyr::from_str(&own).unwrap();
    let push = |list: &mut Value, entry: Value| list.as_array_mut().unwrap().push(entry);
    push(
        &mut config["clusters"],
        json!({"name": "other", "cluster": {"server": "https://127.0.0.1:1"}}),
    );
    push(&mut config["users"], json!({"name": "other", "user": {}}));
    let context = json!({"cluster": "other", "user": "other"});
    push(&mut config["contexts"], json!({"name": "other", "context": context}));
    config["current-context"] = "other".into();
    std::fs::write(home.path().join("both"), config.to_string()).unwrap();
    home.fails("get clusters --kubeconfig both", 6);
    let named = "--kubeconfig both --context capim";
    assert_eq!(home.ok(&format!("get clusters -o name {named}")), "cluster/demo-1\n");
    assert!(home.ok(&format!("why demo-1 {named}")).contains("demo-1"));
    let error = home.fails("get clusters --kubeconfig both --context capin", 4);
    assert_eq!(
        error,
        "error[E022]: both has no context \"capin\"\n  help: did you mean \"capim\"?\n"
    );
    let printed = home.ok(&format!("kubeconfig {named}"));
    assert!(printed.contains("current-context: capim\n"), "{printed}");
    let line = format!("exec {named} -- cat");
    let path = home.ok(&format!("kubeconfig --path {named}"));
    let mut command = home.command(&line);
    let output = command.arg(path.trim()).output().unwrap();
    assert!(texts(&output).0.contains("current-context: capim\n"), "{:?}", texts(&output));
    let error = home.fails("get clusters --context capim", 2);
    assert!(error.contains("--kubeconfig"), "{error}");
}
