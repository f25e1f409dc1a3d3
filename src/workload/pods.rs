//! The static Pods of a control plane machine, as their mirrors appear in the API.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::etcd;
use super::node::seconds;

/// A control plane component that kubeadm runs as a static Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Component {
    /// The key-value store.
    Etcd,
    /// The API server.
    ApiServer,
    /// The scheduler.
    Scheduler,
    /// The controller manager.
    ControllerManager,
}

impl Component {
    /// All components, in the order in which they start.
    pub(super) const ALL: [Self; 4] =
        [Self::Etcd, Self::ApiServer, Self::Scheduler, Self::ControllerManager];

    /// Value of label `component`, and name of the container.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::Scheduler => "kube-scheduler",
            Self::ControllerManager => "kube-controller-manager",
        }
    }

    /// Name of the Pod on a Node.
    pub(super) fn pod_name(self, node: &str) -> String {
        format!("{}-{node}", self.name())
    }

    /// The component of a name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }

    /// Its image.
    pub(super) fn image(self, version: &str) -> String {
        match self {
            Self::Etcd => format!("registry.k8s.io/etcd:{}-0", etcd::VERSION),
            // A version may carry build metadata, which an image tag may not.
            _ => format!("registry.k8s.io/{}:{}", self.name(), version.replace('+', "_")),
        }
    }

    fn command(self, address: IpAddr) -> Vec<String> {
        let flags = match self {
            Self::Etcd => vec![
                format!("--advertise-client-urls=https://{address}:2379"),
                "--data-dir=/var/lib/etcd".to_owned(),
            ],
            Self::ApiServer => vec![
                format!("--advertise-address={address}"),
                "--authorization-mode=Node,RBAC".to_owned(),
                "--secure-port=6443".to_owned(),
            ],
            Self::Scheduler => vec!["--kubeconfig=/etc/kubernetes/scheduler.conf".to_owned()],
            Self::ControllerManager => {
                vec!["--kubeconfig=/etc/kubernetes/controller-manager.conf".to_owned()]
            }
        };
        [self.name().to_owned()].into_iter().chain(flags).collect()
    }
}

/// What a static Pod depends on.
pub(super) struct PodFacts<'a> {
    /// Node name.
    pub(super) node: &'a str,
    /// uid of the Node.
    pub(super) node_uid: &'a str,
    /// Kubernetes version, with `v`.
    pub(super) version: &'a str,
    /// The Node's address.
    pub(super) address: IpAddr,
    /// Number that the config hash is made of.
    pub(super) identity: u64,
    /// How its container fares.
    pub(super) run: Run,
}

/// How the container of a static Pod fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// When the Pod was first seen.
    pub(super) seen: Timestamp,
    /// When the container started last.
    pub(super) started: Timestamp,
    /// When it stopped, if it does not run.
    pub(super) stopped: Option<Timestamp>,
    /// How often it was started again.
    pub(super) restarts: u32,
}

impl Run {
    /// A container that starts for the first time.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { seen: now, started: now, stopped: None, restarts: 0 }
    }
}

/// etcd's ids, shown as annotations of its Pod as upstream's in-memory provider does.
pub(super) struct EtcdIds {
    /// Id of the etcd cluster.
    pub(super) cluster: u64,
    /// Id of the member.
    pub(super) member: u64,
    /// Since when the member leads, if it does.
    pub(super) leader_from: Option<Timestamp>,
}

/// Group of the annotations of etcd Pods.
pub(super) const ETCD_ANNOTATIONS: &str = "etcd.inmemory.infrastructure.cluster.x-k8s.io";

/// The etcd Pod of a member.
pub(super) fn etcd_pod(facts: &PodFacts<'_>, ids: &EtcdIds) -> Value {
    let mut pod = static_pod(Component::Etcd, facts);
    let annotations = &mut pod["metadata"]["annotations"];
    let group = ETCD_ANNOTATIONS;
    annotations[format!("{group}/cluster-id")] = ids.cluster.to_string().into();
    annotations[format!("{group}/member-id")] = ids.member.to_string().into();
    if let Some(since) = ids.leader_from {
        annotations[format!("{group}/leader-from")] = seconds(since).into();
    }
    annotations["kubeadm.kubernetes.io/etcd.advertise-client-urls"] =
        format!("https://{}:2379", facts.address).into();
    pod
}

/// A running, ready static Pod in `kube-system`.
pub(super) fn static_pod(component: Component, facts: &PodFacts<'_>) -> Value {
    let hash = format!("{:016x}{:016x}", facts.identity, component as u64);
    let mut annotations = json!({
        "kubernetes.io/config.hash": hash,
        "kubernetes.io/config.mirror": hash,
        "kubernetes.io/config.seen": seconds(facts.run.seen),
        "kubernetes.io/config.source": "file",
    });
    if component == Component::ApiServer {
        annotations["kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"] =
            format!("{}:6443", facts.address).into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": component.pod_name(facts.node),
            "namespace": "kube-system",
            "labels": {"component": component.name(), "tier": "control-plane"},
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Node",
                "name": facts.node,
                "uid": facts.node_uid,
                "controller": true,
            }],
        },
        "spec": {
            "containers": [{
                "name": component.name(),
                "image": component.image(facts.version),
                "imagePullPolicy": "IfNotPresent",
                "command": component.command(facts.address),
            }],
            "hostNetwork": true,
            "nodeName": facts.node,
            "priority": 2_000_001_000,
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Always",
            "tolerations": [{"effect": "NoExecute", "operator": "Exists"}],
        },
        "status": status(component, facts),
    })
}

/// The status of a static Pod, as its kubelet reports it.
pub(super) fn status(component: Component, facts: &PodFacts<'_>) -> Value {
    let run = &facts.run;
    let (seen, started) = (seconds(run.seen), seconds(run.started));
    let name = component.name();
    let condition =
        |type_: &str| json!({"type": type_, "status": "True", "lastTransitionTime": seen});
    let readiness = |type_: &str| match run.stopped {
        None => json!({"type": type_, "status": "True", "lastTransitionTime": started}),
        Some(stopped) => json!({
            "type": type_, "status": "False", "lastTransitionTime": seconds(stopped),
            "reason": "ContainersNotReady",
            "message": format!("containers with unready status: [{name}]"),
        }),
    };
    let address = facts.address.to_string();
    let image = component.image(facts.version);
    let id = format!("containerd://{:016x}{:016x}", facts.identity, component as u64);
    let (state, last) = match run.stopped {
        None => (json!({"running": {"startedAt": started}}), json!({})),
        Some(stopped) => (
            json!({"waiting": {
                "reason": "CrashLoopBackOff",
                "message": format!(
                    "back-off 5m0s restarting failed container={name} pod={}_kube-system",
                    component.pod_name(facts.node),
                ),
            }}),
            json!({"terminated": {
                "containerID": id, "exitCode": 1, "reason": "Error",
                "startedAt": started, "finishedAt": seconds(stopped),
            }}),
        ),
    };
    json!({
        "phase": "Running",
        "conditions": [
            condition("PodReadyToStartContainers"),
            condition("Initialized"),
            readiness("Ready"),
            readiness("ContainersReady"),
            condition("PodScheduled"),
        ],
        "hostIP": address,
        "hostIPs": [{"ip": address}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "qosClass": "Burstable",
        "startTime": seen,
        "containerStatuses": [{
            "name": component.name(),
            "image": image,
            "imageID": image,
            "containerID": id,
            "ready": run.stopped.is_none(),
            "started": run.stopped.is_none(),
            "restartCount": run.restarts,
            "state": state,
            "lastState": last,
        }],
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    const FACTS: PodFacts<'static> = PodFacts {
        node: "bar-cp-1",
        node_uid: "7c5d",
        version: "v1.34.0+build.1",
        address: IpAddr::V4(std::net::Ipv4Addr::new(172, 18, 0, 2)),
        identity: 7,
        run: Run {
            seen: Timestamp::UNIX_EPOCH,
            started: Timestamp::UNIX_EPOCH,
            stopped: None,
            restarts: 0,
        },
    };

    fn typed(pod: Value) -> Pod {
        serde_json::from_value(pod).expect("the shape of a Pod")
    }

    #[test]
    fn static_pods_mirror_what_kubeadm_runs() {
        for component in Component::ALL {
            let pod = typed(static_pod(component, &FACTS));
            let labels = pod.metadata.labels.expect("labels");
            assert_eq!(labels["component"], component.name());
            assert_eq!(labels["tier"], "control-plane");
            let annotations = pod.metadata.annotations.expect("annotations");
            assert_eq!(
                annotations["kubernetes.io/config.mirror"],
                annotations["kubernetes.io/config.hash"]
            );
            let owner = &pod.metadata.owner_references.expect("owner")[0];
            assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Node", "7c5d"));
            let spec = pod.spec.expect("spec");
            assert_eq!(spec.node_name.as_deref(), Some("bar-cp-1"));
            assert_eq!(spec.host_network, Some(true));
            let status = pod.status.expect("status");
            assert_eq!(status.phase.as_deref(), Some("Running"));
            assert!(status.container_statuses.expect("containers")[0].ready);
            let conditions = status.conditions.expect("conditions");
            assert!(conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
        }
    }

    #[test]
    fn build_metadata_does_not_get_into_image_tags() {
        let pod = typed(static_pod(Component::Scheduler, &FACTS));
        let image = pod.spec.expect("spec").containers[0].image.clone();
        assert_eq!(image.as_deref(), Some("registry.k8s.io/kube-scheduler:v1.34.0_build.1"));
    }

    #[test]
    fn a_container_that_stopped_shows_in_its_pod() {
        let run = Run { stopped: Some(Timestamp::UNIX_EPOCH), ..FACTS.run };
        let pod = typed(static_pod(Component::Etcd, &PodFacts { run, ..FACTS }));
        let status = pod.status.expect("status");
        let ready = status.conditions.expect("conditions");
        let ready = ready.iter().find(|condition| condition.type_ == "Ready").expect("Ready");
        assert_eq!(ready.status, "False");
        let container = &status.container_statuses.expect("containers")[0];
        assert!(!container.ready);
        let state = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = state.and_then(|waiting| waiting.reason.as_deref());
        assert_eq!(reason, Some("CrashLoopBackOff"));
    }

    #[test]
    fn the_etcd_pod_shows_its_ids() {
        let ids = EtcdIds { cluster: 5, member: 6, leader_from: Some(Timestamp::UNIX_EPOCH) };
        let annotations = typed(etcd_pod(&FACTS, &ids)).metadata.annotations.expect("annotations");
        let group = "etcd.inmemory.infrastructure.cluster.x-k8s.io";
        assert_eq!(annotations[&format!("{group}/cluster-id")], "5");
        assert_eq!(annotations[&format!("{group}/member-id")], "6");
        assert_eq!(annotations[&format!("{group}/leader-from")], "1970-01-01T00:00:00Z");
    }
}
