//! Manifests of sample clusters: what `capim create cluster` applies and the benches provision.

use serde_json::{Value, json};

use crate::contract::labels;

/// A sample cluster: one control plane and one MachineDeployment, on the in-memory backend.
#[derive(Clone, Debug)]
pub struct SampleCluster {
    /// Cluster name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Control plane machines; odd.
    pub control_planes: u32,
    /// Worker machines.
    pub workers: u32,
    /// Kubernetes version, e.g. `v1.36.1`.
    pub version: String,
    /// How long machines take to start.
    pub startup: Startup,
}

/// Start-up durations of machines, as Go durations, with the jitter on top of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// Virtual machine.
    pub vm: String,
    /// kubelet and Node.
    pub node: String,
    /// kube-apiserver.
    pub api_server: String,
    /// etcd member.
    pub etcd: String,
    /// Fraction of a duration that is added at most, as a decimal number.
    pub jitter: String,
}

impl Startup {
    /// Upstream's default durations: 10 s for the VM, 2 s for the rest, jitter 0.2.
    /// (CAPI v1.14: test/infrastructure/docker/templates/clusterclass-in-memory.yaml)
    pub fn in_memory() -> Self {
        Self::uniform("10s", "2s", "0.2")
    }

    /// Everything at once.
    pub fn instant() -> Self {
        Self::uniform("0s", "0s", "0")
    }

    fn uniform(vm: &str, rest: &str, jitter: &str) -> Self {
        Self {
            vm: vm.to_owned(),
            node: rest.to_owned(),
            api_server: rest.to_owned(),
            etcd: rest.to_owned(),
            jitter: jitter.to_owned(),
        }
    }

    fn stage(&self, duration: &str) -> Value {
        json!({"provisioning": {"startupDuration": duration, "startupJitter": self.jitter}})
    }

    fn control_plane(&self) -> Value {
        json!({
            "vm": self.stage(&self.vm),
            "node": self.stage(&self.node),
            "apiServer": self.stage(&self.api_server),
            "etcd": self.stage(&self.etcd),
        })
    }

    fn worker(&self) -> Value {
        json!({"vm": self.stage(&self.vm), "node": self.stage(&self.node)})
    }
}

const CORE: &str = "cluster.x-k8s.io";
const BOOTSTRAP: &str = "bootstrap.cluster.x-k8s.io";
const CONTROL_PLANE: &str = "controlplane.cluster.x-k8s.io";
const INFRASTRUCTURE: &str = "infrastructure.cluster.x-k8s.io";

impl SampleCluster {
    /// The cluster's objects in the order in which they should be applied.
    pub fn manifests(&self) -> Vec<Value> {
        let mut objects = vec![
            self.machine_template(&self.control_plane_name(), self.startup.control_plane()),
            self.object(
                INFRASTRUCTURE,
                "DevCluster",
                &self.name,
                json!({"backend": {"inMemory": {}}}),
            ),
            self.control_plane(),
            self.cluster(),
        ];
        if self.workers > 0 {
            objects.extend([
                self.machine_template(&self.worker_name(), self.startup.worker()),
                self.bootstrap_template(),
                self.machine_deployment(),
            ]);
        }
        objects
    }

    fn control_plane_name(&self) -> String {
        format!("{}-cp", self.name)
    }

    fn worker_name(&self) -> String {
        format!("{}-md-0", self.name)
    }

    fn object(&self, group: &str, kind: &str, name: &str, spec: Value) -> Value {
        json!({
            "apiVersion": format!("{group}/v1beta2"),
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {labels::CLUSTER_NAME: self.name},
            },
            "spec": spec,
        })
    }

    fn cluster(&self) -> Value {
        let spec = json!({
            "clusterNetwork": {
                "services": {"cidrBlocks": ["10.128.0.0/12"]},
                "pods": {"cidrBlocks": ["192.168.0.0/16"]},
                "serviceDomain": "cluster.local",
            },
            "controlPlaneRef": reference(CONTROL_PLANE, "KubeadmControlPlane", &self.control_plane_name()),
            "infrastructureRef": reference(INFRASTRUCTURE, "DevCluster", &self.name),
        });
        let mut cluster = self.object(CORE, "Cluster", &self.name, spec);
        // A Cluster without a topology carries no cluster-name label upstream.
        if let Some(metadata) = cluster["metadata"].as_object_mut() {
            metadata.remove("labels");
        }
        cluster
    }

    fn control_plane(&self) -> Value {
        let name = self.control_plane_name();
        let spec = json!({
            "replicas": self.control_planes,
            "version": self.version,
            "machineTemplate": {
                "spec": {"infrastructureRef": reference(INFRASTRUCTURE, "DevMachineTemplate", &name)},
            },
            "kubeadmConfigSpec": {
                "clusterConfiguration": {"apiServer": {"certSANs": ["localhost", "127.0.0.1"]}},
            },
        });
        self.object(CONTROL_PLANE, "KubeadmControlPlane", &name, spec)
    }

    fn machine_template(&self, name: &str, behaviour: Value) -> Value {
        let spec = json!({"template": {"spec": {"backend": {"inMemory": behaviour}}}});
        self.object(INFRASTRUCTURE, "DevMachineTemplate", name, spec)
    }

    fn bootstrap_template(&self) -> Value {
        let arguments = json!([{"name": "eviction-hard", "value": "nodefs.available<0%"}]);
        let spec = json!({"template": {"spec": {
            "joinConfiguration": {"nodeRegistration": {"kubeletExtraArgs": arguments}},
        }}});
        self.object(BOOTSTRAP, "KubeadmConfigTemplate", &self.worker_name(), spec)
    }

    fn machine_deployment(&self) -> Value {
        let name = self.worker_name();
        // A selector of its own, so that the counters leave control plane machines out.
        let labels = json!({labels::CLUSTER_NAME: self.name, labels::DEPLOYMENT_NAME: name});
        let spec = json!({
            "clusterName": self.name,
            "replicas": self.workers,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "clusterName": self.name,
                    "version": self.version,
                    "bootstrap": {"configRef": reference(BOOTSTRAP, "KubeadmConfigTemplate", &name)},
                    "infrastructureRef": reference(INFRASTRUCTURE, "DevMachineTemplate", &name),
                },
            },
        });
        self.object(CORE, "MachineDeployment", &name, spec)
    }
}

fn reference(group: &str, kind: &str, name: &str) -> Value {
    json!({"apiGroup": group, "kind": kind, "name": name})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(workers: u32) -> SampleCluster {
        SampleCluster {
            name: "a".into(),
            namespace: "default".into(),
            control_planes: 1,
            workers,
            version: "v1.36.1".into(),
            startup: Startup::instant(),
        }
    }

    #[test]
    fn cluster_without_workers_has_no_machine_deployment() {
        let kinds = |workers| -> Vec<String> {
            sample(workers)
                .manifests()
                .iter()
                .map(|o| o["kind"].as_str().unwrap().to_owned())
                .collect()
        };
        assert!(!kinds(0).contains(&"MachineDeployment".to_owned()));
        assert!(kinds(1).contains(&"MachineDeployment".to_owned()));
    }

    #[test]
    fn references_name_objects_of_the_same_set() {
        let objects = sample(1).manifests();
        let names = |kind: &str| -> Vec<&str> {
            objects
                .iter()
                .filter(|o| o["kind"] == kind)
                .map(|o| o["metadata"]["name"].as_str().unwrap())
                .collect()
        };
        let cluster = objects.iter().find(|o| o["kind"] == "Cluster").unwrap();
        let control_plane = cluster["spec"]["controlPlaneRef"]["name"].as_str().unwrap();
        assert_eq!(names("KubeadmControlPlane"), [control_plane]);
        assert_eq!(names("DevMachineTemplate").len(), 2);
    }
}
