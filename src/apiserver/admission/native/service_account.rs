//! `ServiceAccount`: pods run as an account of their namespace.
//! (kubernetes 1.36: plugin/pkg/admission/serviceaccount)

use serde_json::{Value, json};

use super::{NOTHING, Plugin, forbidden, key};
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::random;
use crate::machinery::names;
use crate::machinery::status::Status;

/// Of new pods, where accounts are published.
pub(super) const POD: Plugin = Plugin {
    name: "ServiceAccount",
    needed: |call, _| call.server.options().service_account_admission,
    admit,
    ..NOTHING
};

/// Where containers find their token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Seconds after which tokens expire.
const TOKEN_SECONDS: u32 = 3607;
const VOLUME_PREFIX: &str = "kube-api-access-";
/// The annotation of a pod that mirrors a static one.
const MIRROR: &str = "kubernetes.io/config.mirror";

fn admit(
    attributes: &Attributes<'_>,
    pod: &mut Value,
    _old: Option<&Value>,
) -> Result<(), Box<Status>> {
    let given = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default().to_owned();
    if !pod["metadata"]["annotations"][MIRROR].is_null() {
        if given.is_empty() {
            return Ok(());
        }
        let why = "a mirror pod may not reference service accounts";
        return Err(forbidden(attributes, pod, why));
    }
    let name = if given.is_empty() { "default".to_owned() } else { given };
    pod["spec"]["serviceAccountName"] = name.as_str().into();
    pod["spec"]["serviceAccount"] = name.as_str().into();
    let namespace = &attributes.namespace;
    let accounts = key("", "serviceaccounts");
    let Some(entry) = attributes.call.server.store().get(&accounts, namespace, &name) else {
        let why = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not \
             found"
        );
        return Err(forbidden(attributes, pod, &why));
    };
    let account: Value = serde_json::from_slice(&entry.raw).unwrap_or_default();
    let mounts = |object: &Value| object["automountServiceAccountToken"].as_bool();
    if mounts(&pod["spec"]).or(mounts(&account)).unwrap_or(true) {
        mount_token(pod);
    }
    if pod["spec"]["imagePullSecrets"].is_null() && account["imagePullSecrets"].is_array() {
        pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    Ok(())
}

/// Mounts a volume with token, authority and namespace into every container that has none there.
fn mount_token(pod: &mut Value) {
    let spec = &mut pod["spec"];
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let known = volumes
        .filter_map(|volume| volume["name"].as_str())
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(str::to_owned);
    let name = known.clone().unwrap_or_else(|| names::generate(VOLUME_PREFIX, random::number()));
    let mut is_mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            if !container["volumeMounts"].is_array() {
                container["volumeMounts"] = json!([]);
            }
            let Some(mounts) = container["volumeMounts"].as_array_mut() else { continue };
            if mounts.iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            mounts.push(json!({"name": name, "mountPath": MOUNT_PATH, "readOnly": true}));
            is_mounted = true;
        }
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|field, value| {
            !matches!(field.as_str(), "initContainers" | "containers") || !value.is_null()
        });
    }
    if !is_mounted || known.is_some() {
        return;
    }
    if !spec["volumes"].is_array() {
        spec["volumes"] = json!([]);
    }
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.push(json!({"name": name, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {
                "name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}],
            }},
            {"downwardAPI": {"items": [{
                "path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
            }]}},
        ]}}));
    }
}
