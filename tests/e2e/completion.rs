//! What a shell offers when the key for completion is pressed.

use std::process::Command;

use crate::instances::Home;
use crate::support::texts;

/// What is offered for the last word of a line, as fish gets it: names without their descriptions.
fn offered(home: &Home, line: &str) -> Vec<String> {
    let mut command = home.command("");
    command.arg("--").args(line.split(' ')).env("COMPLETE", "fish");
    // A loaded machine is no reason to offer nothing here.
    let output = command.env("CAPIM_COMPLETION_TIMEOUT", "60s").output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{line}\n{stdout}");
    stdout.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

#[test]
fn without_a_playground_there_are_no_names_and_no_words() {
    let home = Home::new();
    for line in [
        "capim describe cluster a",
        "capim get machines a",
        "capim why machine/",
        "capim get clusters -n a",
        "capim create cluster x --class a",
        "capim -i nosuch describe cluster a",
    ] {
        assert_eq!(offered(&home, line), Vec::<String>::new(), "{line}");
    }
    assert_eq!(offered(&home, "capim explain e01"), Vec::<String>::new());
    assert_eq!(offered(&home, "capim explain E01"), ["E012", "E013", "E014", "E015", "E016"]);
    assert_eq!(offered(&home, "capim examples cl"), ["cloud", "cluster-resource-set"]);
    assert_eq!(offered(&home, "capim get clusters -o n"), ["name", "ndjson"]);
    assert_eq!(offered(&home, "capim rollou"), ["rollout"]);
}

#[test]
fn names_of_a_playground_are_offered() {
    let home = Home::new();
    home.ok("-i one up -d --api-port 0 --workload-ports 29100-29199 --instant -c 2 --workers 1");
    assert_eq!(offered(&home, "capim -i o"), ["one"]);
    assert_eq!(offered(&home, "capim describe cluster d"), Vec::<String>::new());
    assert_eq!(offered(&home, "capim -i one describe cluster d"), ["demo-1", "demo-2"]);
    assert_eq!(offered(&home, "capim -i one kubeconfig demo-2"), ["demo-2"]);
    assert_eq!(offered(&home, "capim -i one get clusters -n kube-s"), ["kube-system"]);
    let machines = offered(&home, "capim -i one why machine/demo-1-cp");
    assert!(machines.len() == 1 && machines[0].starts_with("machine/demo-1-cp-"), "{machines:?}");
    assert_eq!(offered(&home, "capim -i one get md demo-1"), ["demo-1-md-0"]);
    assert_eq!(offered(&home, "capim -i one get kcp/demo-2"), ["kcp/demo-2-cp"]);
    assert_eq!(offered(&home, "capim -i one pause demo-1"), ["demo-1"]);
    let kubeconfig = home.instance("one").join("kubeconfig");
    let line = format!("capim get clusters --kubeconfig {} --context c", kubeconfig.display());
    assert_eq!(offered(&home, &line), ["capim-one"]);
    let line = format!("capim describe cluster --kubeconfig {} demo-1", kubeconfig.display());
    assert_eq!(offered(&home, &line), ["demo-1"]);
    // As bash does it, with the script that it was given.
    std::fs::create_dir(home.path().join("bin")).unwrap();
    let own = home.path().join("bin/capim");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_capim"), own).unwrap();
    let script = "export PATH=$PWD/bin:$PATH; eval \"$(capim completion bash)\"; \
        COMP_WORDS=(capim -i one describe cluster dem); COMP_CWORD=5; COMP_TYPE=9; \
        _clap_complete_capim capim dem cluster; printf '%s,' \"${COMPREPLY[@]}\"";
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(home.path());
    for (name, value) in home.command("").get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.env("CAPIM_COMPLETION_TIMEOUT", "60s").output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("demo-1,demo-2,", ""));
    // A server that says nothing is not waited for.
    home.stop("one");
    let mut command = home.command("");
    command.args(["--", "capim", "-i", "one", "describe", "cluster", "d"]);
    let output = command.env("COMPLETE", "fish").output().unwrap();
    assert_eq!((texts(&output), output.status.code()), ((String::new(), String::new()), Some(0)));
    home.kill("one");
}
