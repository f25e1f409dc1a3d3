//! The Python client, by `tests/e2e/python/tour.py`. It runs with a python3 that has the package
//! `kubernetes`: the one that `CAPIM_TEST_PYTHON` names, or the one on the PATH.

use std::process::Command;

use crate::support::{Shell, repository};

/// A Python that has the client, or `None`, said by name; in CI a missing one fails the test.
fn python() -> Option<String> {
    let python = std::env::var("CAPIM_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(&python).args(["-c", "import kubernetes"]).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(
        std::env::var_os("CAPIM_TEST_REQUIRE_TOOLS").is_none(),
        "{python} with the package kubernetes is required here, but missing"
    );
    eprintln!("skipped: {python} has no package kubernetes");
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_finds_a_kubernetes_api() {
    let Some(python) = python() else { return };
    let Some(shell) = Shell::start("sh").await else { return };
    let script = repository("tests/e2e/python/tour.py");
    shell.says(&format!("{python} {}", script.display()), "all is well").await;
    shell.stop().await;
}
