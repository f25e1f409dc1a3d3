//! The README's blocks work as printed.

use capim::cli::arguments::Arguments;
use capim::playground::{Manifest, apply_manifests};
use clap::Parser;
use serde_json::json;

use crate::support::{capim, repository, texts, tool, virtual_playground};

/// Fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository("README.md")).unwrap();
    let parts = text.split("```").skip(1).step_by(2);
    let of_language = parts.filter_map(|part| part.strip_prefix(&format!("{language}\n")));
    of_language.map(str::to_owned).collect()
}

#[test]
fn every_capim_command_is_understood() {
    let lines: Vec<String> = blocks("sh")
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let commands: Vec<&String> = lines.iter().filter(|line| line.starts_with("capim ")).collect();
    assert!(commands.len() >= 3, "{lines:?}");
    for command in commands {
        let words = command.split('>').next().unwrap().split_whitespace();
        Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    for command in lines.iter().filter(|line| line.starts_with("examples/")) {
        assert!(repository(command.split(' ').next().unwrap()).is_file(), "{command}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_template_is_accepted() {
    let yaml = blocks("yaml").pop().unwrap();
    let spec: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    let mut object = json!({
        "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2",
        "kind": "DevMachineTemplate",
        "metadata": {"name": "readme"},
    });
    object["spec"] = spec["spec"].clone();
    let playground = virtual_playground(1).await;
    let manifest = Manifest { object, file: "README.md".to_owned(), document: 1 };
    apply_manifests(playground.client(), "default", &[manifest]).await.unwrap();
    playground.stop().await;
}

#[test]
fn the_talks_script_creates_its_clusters() {
    let Some(_) = tool("kubectl") else { return };
    let state = tempfile::tempdir().unwrap();
    let script = format!(
        "{} 3 && kubectl get clusters -o name",
        repository("examples/twenty-clusters.sh").display()
    );
    let output = capim(state.path())
        .args(["up", "--headless", "--api-port", "0", "--", "sh", "-c", &script])
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    for name in ["test-1", "test-2", "test-3"] {
        assert!(
            stdout.lines().any(|line| line == format!("cluster.cluster.x-k8s.io/{name}")),
            "{stdout}"
        );
    }
}
