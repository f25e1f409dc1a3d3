//! The executable as a user or a script runs it.

use crate::support::{capim, repository, texts, tool};

#[test]
fn quick_start_runs_a_command_and_exits_with_its_code() {
    let Some(_) = tool("kubectl") else { return };
    let state = tempfile::tempdir().unwrap();
    let output = capim(state.path())
        .args(["up", "--headless", "--api-port", "0", "--wait", "clusters", "-f"])
        .arg(repository("examples/quick-start.yaml"))
        .args(["--", "kubectl", "get", "clusters,kubeadmcontrolplanes,machines", "-A"])
        .current_dir(state.path())
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    for column in ["NAMESPACE", "PHASE", "AVAILABLE", "VERSION"] {
        assert!(stdout.contains(column), "no column {column} in:\n{stdout}");
    }
    assert_eq!(stdout.matches("Running").count(), 2, "{stdout}");
    assert!(stdout.contains("Provisioned"), "{stdout}");
    assert!(stderr.contains("ready clusters=1/1"), "{stderr}");
}

#[test]
fn commands_own_exit_code_is_passed_on() {
    let state = tempfile::tempdir().unwrap();
    let output = capim(state.path())
        .args([
            "up",
            "--headless",
            "--api-port",
            "0",
            "--",
            "sh",
            "-c",
            "test -s \"$KUBECONFIG\" && exit 42",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(42), "{:?}", texts(&output));
}

#[test]
fn create_get_kubeconfig_and_delete_work_on_a_running_playground() {
    let Some(_) = tool("kubectl") else { return };
    let state = tempfile::tempdir().unwrap();
    let script = r#"
        set -e
        "$CAPIM" create cluster demo --instant --workers 2 --wait
        "$CAPIM" get clusters
        "$CAPIM" get machines -o name
        "$CAPIM" get kcp
        "$CAPIM" kubeconfig demo > "$XDG_STATE_HOME/demo"
        kubectl --kubeconfig "$XDG_STATE_HOME/demo" get nodes
        "$CAPIM" delete cluster demo --yes --wait
        "$CAPIM" get clusters
    "#;
    let output = capim(state.path())
        .env("CAPIM", env!("CARGO_BIN_EXE_capim"))
        .args(["up", "--headless", "--api-port", "0", "--", "sh", "-c", script])
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(stdout.contains("● Available"), "{stdout}");
    assert_eq!(stdout.matches("machine/demo-").count(), 3, "{stdout}");
    assert_eq!(stdout.matches(" Ready ").count(), 3, "{stdout}");
    assert!(stderr.contains("No resources found."), "{stderr}");
}

#[test]
fn dry_run_prints_manifests_without_a_playground() {
    let state = tempfile::tempdir().unwrap();
    let output = capim(state.path())
        .args(["create", "cluster", "demo", "--dry-run", "-o", "yaml"])
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("kind: KubeadmControlPlane"), "{stdout}");
    assert_eq!(stdout.matches("\n---\n").count(), 6, "{stdout}");
}

#[test]
fn version_names_what_is_emulated() {
    let state = tempfile::tempdir().unwrap();
    let (stdout, _) = texts(&capim(state.path()).arg("version").output().unwrap());
    assert!(stdout.contains("Cluster API  v1.14.0"), "{stdout}");
}

#[test]
fn kubeconfig_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("capim/default/kubeconfig");
    let output = capim(state.path())
        .args(["up", "--headless", "--api-port", "0", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", texts(&output));
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn sigterm_during_creation_ends_soon() {
    use std::io::{BufRead, BufReader};
    let state = tempfile::tempdir().unwrap();
    let mut child = capim(state.path())
        .args(["up", "--headless", "--api-port", "0", "-f"])
        .arg(repository("examples/quick-start.yaml"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.split("https://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let asked = std::time::SystemTime::now();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(143));
    // Well under a second where nothing else runs.
    assert!(asked.elapsed().unwrap() < std::time::Duration::from_secs(30));
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is still open");
}
