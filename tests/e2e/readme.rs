//! The README's blocks work as printed.

use std::path::Path;

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
        .map(|block| block.replace("\\\n", ""))
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let commands: Vec<&String> = lines.iter().filter(|line| line.starts_with("capim ")).collect();
    assert!(commands.len() >= 3, "{lines:?}");
    for command in commands {
        let command = command.split(['>', '|']).next().unwrap();
        let words = command.split_whitespace();
        Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    for command in lines.iter().filter(|line| line.starts_with("examples/")) {
        assert!(repository(command.split(' ').next().unwrap()).is_file(), "{command}");
    }
}

/// Runs blocks one after the other in one shell, as a reader would paste them: capim on the PATH, a
/// home of its own, and a cargo that only notes what it was asked for.
fn run(blocks: &[String]) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let Some(_) = tool("kubectl") else { return };
    let home = tempfile::tempdir().unwrap();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_capim"), bin.join("capim")).unwrap();
    std::fs::write(bin.join("cargo"), "#!/bin/sh\necho \"$*\" >> \"$HOME/cargo.log\"\n").unwrap();
    std::fs::set_permissions(bin.join("cargo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink(repository("examples"), home.path().join("examples")).unwrap();
    let path = std::env::var("PATH").unwrap();
    let shell = |script: &str| {
        let mut command = std::process::Command::new("bash");
        let template = capim(home.path());
        command
            .env_clear()
            .envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["-euxo", "pipefail", "-c", script]).current_dir(home.path());
        command.env("PATH", format!("{}:{path}", bin.display())).env("HOME", home.path());
        command.env("CAPIM_API_PORT", "0");
        texts_of(&mut command)
    };
    let (code, stdout, stderr) = shell(&blocks.join("\n"));
    let (_, list, _) = shell("capim ls -o name; capim down --all");
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    assert!(!list.lines().any(|name| !name.starts_with("instance")), "still running: {list}");
    let asked = std::fs::read_to_string(home.path().join("cargo.log")).unwrap_or_default();
    let manifest = std::fs::read_to_string(repository("Cargo.toml")).unwrap();
    for line in asked.lines() {
        let bench = line.strip_prefix("bench --bench ");
        let known = ["install --path .", "test"].contains(&line)
            || bench
                .is_some_and(|name| manifest.contains(&format!("[[bench]]\nname = \"{name}\"")));
        assert!(known, "cargo {line}");
    }
}

fn texts_of(command: &mut std::process::Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let (stdout, stderr) = texts(&output);
    (output.status.code(), stdout, stderr)
}

/// Blocks of the part of the README from one headline to another.
fn part(from: &str, to: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository("README.md")).unwrap();
    let text = &text[text.find(from).unwrap()..text.find(to).unwrap()];
    let parts = text.split("```").skip(1).step_by(2);
    parts.filter_map(|part| part.strip_prefix("sh\n")).map(str::to_owned).collect()
}

#[test]
fn the_ten_minutes_run_as_printed() {
    let blocks = part("# capim", "## How it differs");
    assert!(blocks.len() >= 7, "{blocks:?}");
    run(&blocks);
}

#[test]
fn the_recipes_run_as_printed() {
    let blocks = part("## Recipes", "## Limits");
    assert!(blocks.len() >= 6, "{blocks:?}");
    run(&blocks);
    assert_eq!(part("# capim", "## Limits").len(), blocks_of_sh(), "no block is left out");
}

fn blocks_of_sh() -> usize {
    blocks("sh").len()
}

#[test]
fn the_walk_through_runs() {
    let Some(_) = tool("kubectl") else { return };
    let home = tempfile::tempdir().unwrap();
    let mut command = capim(home.path());
    let template: Vec<_> = command
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    command = std::process::Command::new(repository("examples/walk-through.sh"));
    for (name, value) in template {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let capim = Path::new(env!("CARGO_BIN_EXE_capim")).parent().unwrap().display().to_string();
    command.env("PATH", format!("{capim}:{}", std::env::var("PATH").unwrap()));
    command.env("HOME", home.path()).env("CAPIM_API_PORT", "0").env("CLUSTERS", "4");
    let (code, stdout, stderr) = texts_of(command.current_dir(home.path()));
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    for expected in
        ["capim-walk-through", "4 Nodes are Ready", "4 clusters", "nothing runs any more"]
    {
        assert!(stdout.contains(expected), "{expected}\n---\n{stdout}\n{stderr}");
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
    let manifest = Manifest::made(object, "README.md");
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
