//! The roles that kubeadm makes, and who has them.
//! (kubernetes 1.36: cmd/kubeadm/app/phases; 1.37 for what is new there)

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::{Object, SYSTEM, minor};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Group of the tokens by which Nodes join.
const JOINING: &str = "system:bootstrappers:kubeadm:default-node-token";

/// All roles and bindings of a Kubernetes version.
pub(super) fn objects(version: &str) -> Vec<Object> {
    let mut objects = joining();
    objects.extend(get_nodes_role());
    objects.extend(administrators(version));
    objects.extend(coredns());
    objects
}

fn binding(name: &str, role: &str, group: &str) -> Object {
    let object = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": group}],
    });
    (ApiResource::erase::<ClusterRoleBinding>(&()), object)
}

fn get_nodes_role() -> [Object; 2] {
    let name = "kubeadm:get-nodes";
    let role = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}],
    });
    [(ApiResource::erase::<ClusterRole>(&()), role), binding(name, name, JOINING)]
}

/// What nodes may read and ask for before and after they have joined, and what kube-proxy may.
/// (kubeadm 1.36: phases/bootstraptoken, phases/uploadconfig, phases/addons/proxy)
fn joining() -> Vec<Object> {
    let group = |name: &str| json!({"apiGroup": RBAC_GROUP, "kind": "Group", "name": name});
    let anonymous = json!({"apiGroup": RBAC_GROUP, "kind": "User", "name": "system:anonymous"});
    let nodes = || json!([group(JOINING), group("system:nodes")]);
    let requests = "system:certificates.k8s.io:certificatesigningrequests";
    let mut objects = Vec::with_capacity(12);
    for (namespace, name, map, subjects) in [
        ("kube-public", "kubeadm:bootstrap-signer-clusterinfo", "cluster-info", json!([anonymous])),
        (SYSTEM, "kubeadm:kubelet-config", "kubelet-config", nodes()),
        (SYSTEM, "kubeadm:nodes-kubeadm-config", "kubeadm-config", nodes()),
        (SYSTEM, "kube-proxy", "kube-proxy", json!([group(JOINING)])),
    ] {
        objects.extend(reader(namespace, name, map, &subjects));
    }
    objects.push(binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", JOINING));
    let role = format!("{requests}:nodeclient");
    objects.push(binding("kubeadm:node-autoapprove-bootstrap", &role, JOINING));
    let role = format!("{requests}:selfnodeclient");
    let name = "kubeadm:node-autoapprove-certificate-rotation";
    objects.push(binding(name, &role, "system:nodes"));
    let (resource, mut proxier) = binding("kubeadm:node-proxier", "system:node-proxier", "");
    let account = json!({"kind": "ServiceAccount", "name": "kube-proxy", "namespace": SYSTEM});
    proxier["subjects"] = json!([account]);
    objects.push((resource, proxier));
    objects
}

/// A Role that reads one ConfigMap, and its binding.
fn reader(namespace: &str, name: &str, map: &str, subjects: &Value) -> [Object; 2] {
    let metadata = json!({"name": name, "namespace": namespace});
    let role = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "Role",
        "metadata": metadata,
        "rules": [{
            "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [map],
            "verbs": ["get"],
        }],
    });
    let binding = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name},
        "subjects": subjects,
    });
    [(ApiResource::erase::<Role>(&()), role), (ApiResource::erase::<RoleBinding>(&()), binding)]
}

/// What CoreDNS may see.
fn coredns() -> [Object; 2] {
    let name = "system:coredns";
    let rule = |group: &str, resources: Value| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    let role = json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            rule("", json!(["endpoints", "services", "pods", "namespaces"])),
            rule("discovery.k8s.io", json!(["endpointslices"])),
        ],
    });
    let (resource, mut binding) = binding(name, name, "");
    let account = json!({"kind": "ServiceAccount", "name": "coredns", "namespace": SYSTEM});
    binding["subjects"] = json!([account]);
    [(ApiResource::erase::<ClusterRole>(&()), role), (resource, binding)]
}

/// Administrators, since 1.29, and API servers that speak to kubelets, since 1.37.
fn administrators(version: &str) -> Vec<Object> {
    let mut objects = Vec::with_capacity(2);
    if minor(version) >= 29 {
        let name = "kubeadm:cluster-admins";
        objects.push(binding(name, "cluster-admin", name));
    }
    if minor(version) >= 37 {
        let name = "kubeadm:apiserver-kubelet-client";
        let (resource, mut binding) = binding(name, "system:kubelet-api-admin", "");
        let user = "kube-apiserver-kubelet-client";
        binding["subjects"] = json!([{"apiGroup": RBAC_GROUP, "kind": "User", "name": user}]);
        objects.push((resource, binding));
    }
    objects
}
