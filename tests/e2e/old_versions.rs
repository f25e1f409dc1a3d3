//! Clusters that are written in v1beta1, with kubectl.

use capim::api::conversion::convert;
use serde_json::Value;

use crate::support::{capim, repository, texts, tool};

/// Applies the example in v1beta1, waits in both versions, changes it in v1beta1 and reads all of
/// it in both. Reads are repeated until no controller wrote in between.
const SCRIPT: &str = r#"
set -e
kubectl apply -f "$EXAMPLE" 2>warnings
kubectl wait cluster/old-quick-start --for=condition=Available --timeout=90s
kubectl wait clusters.v1beta1.cluster.x-k8s.io/old-quick-start --for=condition=Ready --timeout=90s
kubectl apply -f "$EXAMPLE" 2>/dev/null >unchanged
kubectl apply --server-side --field-manager=old -f - 2>/dev/null <<END
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster
metadata: {name: old-quick-start, namespace: default, labels: {old: "yes"}}
spec: {paused: false}
END
kubectl scale machinedeployments.v1beta1.cluster.x-k8s.io/old-quick-start-md-0 --replicas=2
kubectl wait machinedeployment/old-quick-start-md-0 --for=jsonpath='{.status.availableReplicas}'=2 --timeout=90s
kubectl wait cluster/old-quick-start --for=condition=Available --timeout=90s
read_both() {
    for number in $(seq 1 100); do
        kubectl get "$1.v1beta1.$2" -o json 2>/dev/null >"$1.old"
        kubectl get "$1.v1beta2.$2" -o json >"$1.new"
        old=$(grep '"resourceVersion": "[0-9]' "$1.old" | tr -d ' ,' )
        new=$(grep '"resourceVersion": "[0-9]' "$1.new" | tr -d ' ,' )
        if [ "$old" = "$new" ]; then return 0; fi
    done
    return 1
}
for kind in clusters machines machinesets machinedeployments; do read_both $kind cluster.x-k8s.io; done
read_both kubeadmcontrolplanes controlplane.cluster.x-k8s.io
read_both kubeadmconfigs bootstrap.cluster.x-k8s.io
read_both devclusters infrastructure.cluster.x-k8s.io
read_both devmachines infrastructure.cluster.x-k8s.io
kubectl get clusters.v1beta1.cluster.x-k8s.io 2>/dev/null >table
kubectl get crd clusters.cluster.x-k8s.io -o json >crd
kubectl get --raw /apis/cluster.x-k8s.io >group
"#;

const KINDS: [&str; 8] = [
    "clusters",
    "machines",
    "machinesets",
    "machinedeployments",
    "kubeadmcontrolplanes",
    "kubeadmconfigs",
    "devclusters",
    "devmachines",
];

#[test]
fn v1beta1_clusters_become_available_and_both_versions_show_the_same_truth() {
    if tool("kubectl").is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let output = capim(state.path())
        .args(["up", "--headless", "--api-port", "0", "--", "sh", "-c", SCRIPT])
        .env("EXAMPLE", repository("examples/quick-start-v1beta1.yaml"))
        .current_dir(state.path())
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    let read = |name: &str| std::fs::read_to_string(state.path().join(name)).unwrap();
    let json = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap();

    let deprecated = "cluster.x-k8s.io/v1beta1 Cluster is deprecated; use cluster.x-k8s.io/v1beta2 \
                      Cluster";
    assert!(read("warnings").contains(deprecated), "{}", read("warnings"));
    // Where there are references kubectl sends their versions again, which conversion renewed.
    let unchanged = read("unchanged");
    let mut templates = unchanged.lines().filter(|line| line.contains("template"));
    assert!(templates.all(|line| line.ends_with(" unchanged")), "{unchanged}");
    assert!(read("table").contains("Provisioned"), "{}", read("table"));
    assert_eq!(json("group")["preferredVersion"]["version"], "v1beta2");
    let versions = json("crd")["spec"]["versions"].as_array().unwrap().len();
    assert_eq!((versions, &json("crd")["status"]["storedVersions"][0]), (2, &"v1beta2".into()));
    for kind in KINDS {
        let (old, new) = (json(&format!("{kind}.old")), json(&format!("{kind}.new")));
        let (old, new) = (old["items"].as_array().unwrap(), new["items"].as_array().unwrap());
        assert!(!old.is_empty() && old.len() == new.len(), "{kind}");
        for (old, new) in old.iter().zip(new) {
            let mut converted = old.clone();
            convert(&mut converted, "v1beta1", "v1beta2").unwrap();
            let mut new = new.clone();
            // MachineSets of v1beta1 cannot tell zero from nothing, upstream's neither.
            let seconds = "/spec/template/spec/minReadySeconds";
            if kind == "machinesets" && new.pointer(seconds) == Some(&0.into()) {
                let spec = new["spec"]["template"]["spec"].as_object_mut().unwrap();
                spec.remove("minReadySeconds");
            }
            // The time limit of v1beta1 is for joining, too, even where only init had one.
            if kind == "kubeadmconfigs" && new["spec"].get("joinConfiguration").is_none() {
                let spec = converted["spec"].as_object_mut().unwrap();
                spec.remove("joinConfiguration");
            }
            for part in ["spec", "status"] {
                assert_eq!(converted[part], new[part], "{kind} {}", new["metadata"]["name"]);
            }
        }
    }
    let cluster = &json("clusters.old")["items"][0];
    assert_eq!(cluster["metadata"]["labels"]["old"], "yes");
    assert_eq!(cluster["status"]["controlPlaneReady"], true);
    assert_eq!(cluster["status"]["v1beta2"]["conditions"][0]["type"], "Available");
    let reference = &cluster["spec"]["controlPlaneRef"];
    assert_eq!(reference["apiVersion"], "controlplane.cluster.x-k8s.io/v1beta2");
    assert_eq!(reference["namespace"], "default");
    let control_plane = &json("kubeadmcontrolplanes.new")["items"][0]["spec"];
    let timeouts = &control_plane["kubeadmConfigSpec"]["initConfiguration"]["timeouts"];
    assert_eq!(timeouts["controlPlaneComponentHealthCheckSeconds"], 300);
    assert_eq!(
        control_plane["machineTemplate"]["spec"]["deletion"]["nodeDrainTimeoutSeconds"],
        600
    );
    let deployment = &json("machinedeployments.new")["items"][0]["spec"];
    assert_eq!(deployment["deletion"]["order"], "Oldest");
    assert_eq!(deployment["replicas"], 2);
}
