//! What a user gets wrong is answered with what is wrong, and nothing is half done.

use std::path::Path;

use crate::support::{capim, repository, texts};

/// Runs `capim up` with a manifest; gives exit code and stderr.
fn up_with(manifest: &str) -> (Option<i32>, String) {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("bad.yaml");
    std::fs::write(&file, manifest).unwrap();
    up_with_file(&file, state.path())
}

fn up_with_file(file: &Path, state: &Path) -> (Option<i32>, String) {
    let output = capim(state)
        .args(["up", "--headless", "--api-port", "0", "-f"])
        .arg(file)
        .args(["--", "echo", "must not run"])
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(!stdout.contains("must not run"), "{stdout}");
    (output.status.code(), stderr)
}

fn quick_start() -> String {
    std::fs::read_to_string(repository("examples/quick-start.yaml")).unwrap()
}

fn check(manifest: &str, expected: &[&str]) {
    let (code, stderr) = up_with(manifest);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error[E080]"), "{stderr}");
    for text in expected {
        assert!(stderr.contains(text), "{text:?} is not in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn bad_duration_names_object_and_field() {
    let manifest = quick_start().replacen("startupDuration: 10s", "startupDuration: 10 parsecs", 1);
    check(&manifest, &["DevMachineTemplate", "quick-start-cp", "startupDuration", "10 parsecs"]);
}

#[test]
fn bad_jitter_names_object_and_field() {
    let manifest = quick_start().replacen("startupJitter: \"0.2\"", "startupJitter: \"20%\"", 1);
    check(&manifest, &["DevMachineTemplate", "quick-start-cp", "startupJitter", "20%"]);
}

#[test]
fn ill_typed_field_names_object_and_field() {
    let manifest = quick_start().replacen("replicas: 1", "replicas: many", 1);
    check(&manifest, &["KubeadmControlPlane", "quick-start-cp", "spec.replicas"]);
}

#[test]
fn unknown_field_names_the_field() {
    let manifest = quick_start().replacen("clusterNetwork:", "clusterNetwrok:", 1);
    check(&manifest, &["quick-start", "clusterNetwrok"]);
}

#[test]
fn cluster_with_a_missing_template_is_never_ready() {
    let text = quick_start().replace("startupDuration: 10s", "startupDuration: 0s");
    let text = text.replace("startupDuration: 2s", "startupDuration: 0s");
    let is_worker_template = |document: &&str| {
        document.contains("kind: DevMachineTemplate\nmetadata:\n  name: quick-start-md-0")
    };
    let documents: Vec<&str> = text.split("---\n").collect();
    assert_eq!(documents.iter().filter(|document| is_worker_template(document)).count(), 1);
    let kept: Vec<&str> =
        documents.into_iter().filter(|document| !is_worker_template(document)).collect();
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("missing.yaml");
    std::fs::write(&file, kept.join("---\n")).unwrap();
    let output = capim(state.path())
        .args([
            "up",
            "--headless",
            "--api-port",
            "0",
            "--wait",
            "clusters",
            "--timeout",
            "4s",
            "-f",
        ])
        .arg(&file)
        .args(["--", "true"])
        .output()
        .unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("error[E041]: timed out"), "{stderr}");
    assert!(stderr.contains("quick-start"), "{stderr}");
}

#[test]
fn broken_yaml_names_file_and_document() {
    check("apiVersion: v1\nkind: [\n", &["bad.yaml, document 1"]);
}

#[test]
fn unknown_kind_is_no_match() {
    check(
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n",
        &["no matches for kind \"Thing\""],
    );
}

#[test]
fn name_that_is_too_long_is_refused() {
    let manifest =
        quick_start().replace("name: quick-start\n", &format!("name: {}\n", "a".repeat(260)));
    check(&manifest, &["metadata.name"]);
}

#[test]
fn missing_file_is_named() {
    let state = tempfile::tempdir().unwrap();
    let (code, stderr) = up_with_file(Path::new("no-such.yaml"), state.path());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("failed to read no-such.yaml"), "{stderr}");
}

#[test]
fn taken_port_is_a_conflict_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let state = tempfile::tempdir().unwrap();
    let output = capim(state.path())
        .args(["up", "--headless", "--api-port", &port, "--", "true"])
        .output()
        .unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(5), "{stderr}");
    assert!(stderr.contains(&format!("error[E012]: port {port} is in use")), "{stderr}");
    assert!(stderr.contains("hint: capim up --api-port 0"), "{stderr}");
}

#[test]
fn commands_without_a_playground_say_so() {
    let state = tempfile::tempdir().unwrap();
    for arguments in [
        &["get", "clusters"][..],
        &["delete", "cluster", "a"],
        &["kubeconfig"],
        &["create", "cluster", "a"],
    ] {
        let output = capim(state.path()).args(arguments).output().unwrap();
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(6), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error[E021]: no playground is running"), "{stderr}");
    }
}

#[test]
fn file_limit_that_is_too_low_is_an_environment_error() {
    let state = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" up --headless --api-port 0 -- true"])
        .arg(env!("CARGO_BIN_EXE_capim"))
        .env("XDG_STATE_HOME", state.path())
        .output()
        .unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(stderr.contains("error[E070]: file limit too low"), "{stderr}");
}

#[test]
fn wrong_usage_exits_with_two() {
    let state = tempfile::tempdir().unwrap();
    for arguments in [
        &["up", "--timeout", "10 parsecs"][..],
        &["up", "--workload-ports", "9-3"],
        &["create", "cluster", "a", "--cp", "2"],
        &["frobnicate"],
    ] {
        let output = capim(state.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {:?}", texts(&output));
    }
}
