//! The commands that look at and change clusters of a running playground, as a user types them.

use std::process::Output;

use crate::support::{capim, texts, tool};

/// Runs a script against a playground of its own; `$C` is capim.
fn script(text: &str) -> Output {
    let state = tempfile::tempdir().unwrap();
    capim(state.path())
        .env("C", env!("CARGO_BIN_EXE_capim"))
        .env("NO_COLOR", "1")
        .args(["up", "--headless", "--api-port", "0", "--workload-ports", "25000-25999"])
        .args(["--", "sh", "-c", text])
        .current_dir(state.path())
        .output()
        .unwrap()
}

/// The text with one blank where there were several.
fn squeezed(text: &str) -> String {
    let line = |line: &str| {
        let indent = if line.starts_with(' ') { " " } else { "" };
        format!("{indent}{}\n", line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    text.lines().map(line).collect()
}

#[test]
fn a_cluster_is_described_explained_scaled_and_upgraded() {
    let output = script(
        r#"
        set -e
        $C create cluster demo --instant --cp 3 --workers 2 --wait
        # A cluster is available before the last of its machines is.
        for part in controlPlane.availableReplicas=3 workers.availableReplicas=2; do
            $C wait cluster/demo --for="jsonpath={.status.${part%=*}}=${part#*=}" --timeout 60s
        done
        $C describe cluster demo
        $C describe cluster demo --show-conditions all --grouping=false --show-templates -o json |
            grep -c '"kind": "Machine"'
        $C describe cluster demo --v1beta2=false | head -1
        $C why demo
        $C wait cluster/demo machines --for=Available --timeout 60s
        $C scale demo --workers +1 --wait --timeout 60s
        $C pause demo
        $C why demo
        $C resume demo
        $C upgrade demo --to v1.36.2 --wait --timeout 120s
        $C get kcp -o yaml | grep 'version: v1.36.2' | head -1
        $C get md/demo-md-0 -o wide
        $C get ms,kcp -o name
        $C events demo -o ndjson | head -1 | cut -c1-1
        $C exec demo -- sh -c 'test -s "$KUBECONFIG" && echo "in $CAPIM_CLUSTER"'
        eval "$($C env)"; test -s "$KUBECONFIG"
        $C delete cluster demo -y
        $C wait cluster/demo --for=deleted --timeout 60s
        "#,
    );
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let squeezed = squeezed(&stdout);
    for expected in [
        "NAME REPLICAS AVAILABLE READY UP TO DATE STATUS REASON SINCE MESSAGE\n",
        "Cluster default/demo 5/5 5 5 5 True Available",
        "\n├─DevCluster default/demo\n",
        "\n├─KubeadmControlPlane default/demo-cp, v1.36.1 3/3 3 3 3 True Available",
        "\n│ └─3 Machines... 3 3 3 True Ready",
        "See demo-cp-",
        "\n└─Workers\n └─MachineDeployment default/demo-md-0, v1.36.1 2/2",
        "\n5\n",
        "NAME READY SEVERITY REASON",
        "Cluster default/demo: nothing is wrong",
        "machinedeployment \"demo-md-0\" scaled to 3",
        "Paused=True (Paused)",
        "then nothing, until Cluster demo is resumed",
        "version: v1.36.2",
        "kubeadmcontrolplane/demo-cp\n",
        "\n{\n",
        "in demo\n",
    ] {
        assert!(squeezed.contains(expected), "{expected}\n--- is not in\n{stdout}\n{stderr}");
    }
}

#[test]
fn mistakes_get_a_code_an_exit_code_and_a_way_out() {
    let output = script(
        r#"
        run() { echo "> $*" >&2; $C "$@" >/dev/null; echo "= $?" >&2; }
        $C create cluster prod-eu --workers 0 >/dev/null
        run describe cluster prod-ue
        run why machne/a
        run why a/b/c
        run get clusters prod-us
        run wait cluster/prod-eu --for=Nonsense --timeout 0s
        run wait cluster/other --for=Available
        run scale prod-eu --workers 3
        run scale prod-eu --cp 2
        run upgrade prod-eu --to latest
        run exec nosuch -- true
        run exec -- sh -c 'exit 9'
        run get machines -w -o json
        run describe cluster prod-eu -n team-a
        "#,
    );
    let (_, stderr) = texts(&output);
    for expected in [
        "error[E030]: cluster \"prod-ue\" not found in namespace \"default\"\n  help: did you mean \
         \"prod-eu\"?\n= 4",
        "error[E032]: the server has no kind \"machne\"\n  help: did you mean \"machine\"?\n= 4",
        "error[E002]: expected KIND/NAME, e.g. machine/demo-cp-x7k2p, but got \"a/b/c\"\n= 2",
        "error[E030]: cluster \"prod-us\" not found in namespace \"default\"\n  help: did you mean \
         \"prod-eu\"?\n= 4",
        "error[E041]: timed out after 0ns\n  cluster/prod-eu   ",
        "\n  hint: capim why cluster/prod-eu\n= 3",
        "error[E030]: cluster \"other\" not found in namespace \"default\"\n  hint: capim get clusters \
         -A\n= 4",
        "error[E030]: cluster \"prod-eu\" has no MachineDeployment\n= 4",
        "etcd needs an odd number of control plane machines",
        "expected a version such as v1.37.0",
        "error[E030]: cluster \"nosuch\" has no kubeconfig in namespace \"default\"",
        "> exec -- sh -c exit 9\n= 9",
        "\"message\":\"--watch goes with -o table, wide, name or ndjson\",\"notes\":[]}\n= 2",
        "  hint: it is in namespace \"default\": -n default\n= 4",
    ] {
        assert!(stderr.contains(expected), "{expected}\n--- is not in\n{stderr}");
    }
}

#[test]
fn without_a_playground_every_command_says_so() {
    let state = tempfile::tempdir().unwrap();
    for arguments in [
        &["describe", "cluster", "a"][..],
        &["why", "a"],
        &["get", "clusters"],
        &["wait", "cluster/a"],
        &["scale", "a", "--cp", "1"],
        &["events"],
        &["env"],
    ] {
        let output = capim(state.path()).args(arguments).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(6), "{arguments:?}: {stderr}");
        let expected =
            "error[E021]: no playground is running in instance \"default\"\n  hint: capim up -d\n";
        assert_eq!(stderr, expected);
        assert_eq!(stdout, "");
    }
}

#[test]
fn scripts_and_pages_need_no_playground_and_a_closed_pipe_is_no_error() {
    let state = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", line]).env("C", env!("CARGO_BIN_EXE_capim"));
        let output = command.env("XDG_STATE_HOME", state.path()).current_dir(state.path()).output();
        texts(&output.unwrap())
    };
    for shell in ["bash", "zsh", "fish"] {
        let (script, stderr) = run(&format!("$C completion {shell}"));
        assert!(script.contains("COMPLETE") && stderr.is_empty(), "{shell}: {stderr}");
    }
    let (line, stderr) = run("$C completion zsh | head -1");
    assert_eq!((line.as_str(), stderr.as_str()), ("#compdef capim\n", ""));
    let (pages, stderr) = run("$C man --dir pages && ls pages");
    assert!(pages.contains("capim-describe-cluster.1") && stderr.is_empty(), "{pages}{stderr}");
    let (help, _) = run("for verb in why wait scale upgrade pause events env shell exec doctor \
                         completion man get 'describe cluster' 'rollout restart'; do \
                         $C $verb --help | grep -c '^Examples:'; done");
    assert_eq!(help.replace('\n', ""), "1".repeat(15));
    let (checks, _) = run("$C doctor");
    assert!(checks.contains("playground") && checks.contains("none is running"), "{checks}");
}

#[test]
fn requests_with_kubectl_are_found_by_client() {
    let Some(_) = tool("kubectl") else { return };
    let output = script(
        r#"
        set -e
        kubectl get --raw /version > /dev/null
        kubectl get configmaps -A > /dev/null
        ! kubectl get --raw /apis/no/such 2> /dev/null
        $C get requests -o json
        echo =====
        $C get requests -o wide
        one=$($C get requests -o name | grep '^requests/kubectl/' | head -n 1)
        $C get $one -o yaml
        ! $C get requests/nobody
        $C get requests -w -o ndjson > watched &
        count=0
        until grep '"type":"MODIFIED"' watched | grep -q '"kubectl/'; do
            count=$((count + 1))
            test $count -lt 300
            kubectl get --raw /version > /dev/null
        done
        kill $!
        echo watched
        "#,
    );
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let (json, rest) = stdout.split_once("=====\n").unwrap();
    let list: serde_json::Value = serde_json::from_str(json).unwrap();
    let items = list["items"].as_array().unwrap();
    let kubectl = items.iter().find(|it| it["program"].as_str().unwrap().starts_with("kubectl/"));
    let kubectl = kubectl.unwrap_or_else(|| panic!("no kubectl in {json}"));
    assert_eq!(kubectl["kind"], "ClientRequests");
    assert_eq!(kubectl["errors"]["client"], 1, "{kubectl}");
    assert!(kubectl["requests"].as_u64().unwrap() >= 3, "{kubectl}");
    let resources = kubectl["resources"].as_array().unwrap();
    assert!(resources.iter().any(|it| it["resource"] == "configmaps"), "{kubectl}");
    let controllers = items.iter().filter(|it| it["inProcess"] == true);
    assert!(controllers.map(|it| it["openWatches"].as_u64().unwrap()).sum::<u64>() > 0, "{json}");
    let rest = squeezed(rest);
    assert!(rest.starts_with("CLIENT USER REQUESTS RATE ERRORS WATCHES P50 P99 LAST SEEN 4XX"));
    for expected in ["\nkind: ClientRequests\n", "\nwatched\n"] {
        assert!(rest.contains(expected), "{expected}\n--- is not in\n{stdout}\n{stderr}");
    }
    assert!(stderr.contains("error[E030]: no client \"nobody\" has asked the server"), "{stderr}");
}
