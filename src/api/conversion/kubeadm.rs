//! KubeadmConfigs: how machines become nodes.
//! (CAPI v1.14: api/bootstrap/kubeadm/v1beta1/conversion.go, bootstrap/kubeadm/webhooks/conversion)

use serde_json::{Value, json};

use super::convert::Converter;
use super::fields::{Fields, always, drop_blank, each, get, is_blank, items, object, put, take};
use super::status::{Families, initialization_down, initialization_up};
use super::values::{
    Outcome, arguments_down, arguments_up, duration, duration_at, intend_bool, seconds, seconds_at,
};

pub(super) const CONFIG: Converter = Converter { up: config_up, down: config_down, keeps: true };
pub(super) const TEMPLATE: Converter =
    Converter { up: template_up, down: template_down, keeps: true };

const READY: [(&str, &str); 1] = [("ready", "dataSecretCreated")];
const STATUS: Families = Families {
    old: &["failureReason", "failureMessage"],
    old_counters: &[],
    new: &[],
    is_always_there: true,
};

fn config_up(config: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(spec) = object(config, "spec") {
        spec_up(spec, restored.and_then(|it| it.get("spec")))?;
    }
    initialization_up(config, &READY, restored);
    STATUS.up(config);
    Ok(())
}

fn config_down(config: &mut Fields) {
    if let Some(spec) = object(config, "spec") {
        spec_down(spec);
    }
    STATUS.down(config);
    initialization_down(config, &READY);
}

fn template_up(template: &mut Fields, restored: Option<&Value>) -> Outcome {
    match object(template, "spec.template.spec") {
        Some(spec) => spec_up(spec, restored.and_then(|it| it.pointer("/spec/template/spec"))),
        None => Ok(()),
    }
}

fn template_down(template: &mut Fields) {
    if let Some(spec) = object(template, "spec.template.spec") {
        spec_down(spec);
    }
}

/// Components with arguments by name.
const COMPONENTS: [&str; 4] = [
    "clusterConfiguration.apiServer",
    "clusterConfiguration.controllerManager",
    "clusterConfiguration.scheduler",
    "clusterConfiguration.etcd.local",
];
const REGISTRATIONS: [&str; 2] =
    ["initConfiguration.nodeRegistration", "joinConfiguration.nodeRegistration"];
/// What the hub has no fields for, because nothing read it.
const FORGOTTEN: [&str; 10] = [
    "useExperimentalRetryJoin",
    "clusterConfiguration.apiVersion",
    "clusterConfiguration.kind",
    "clusterConfiguration.clusterName",
    "clusterConfiguration.kubernetesVersion",
    "clusterConfiguration.networking",
    "initConfiguration.apiVersion",
    "initConfiguration.kind",
    "joinConfiguration.apiVersion",
    "joinConfiguration.kind",
];
/// Booleans that are pointers in the hub: the object that has it, and its name.
const FLAGS: [(&str, &str); 4] = [
    ("joinConfiguration.discovery.bootstrapToken", "unsafeSkipCAVerification"),
    ("joinConfiguration.discovery.file.kubeConfig.cluster", "insecureSkipTLSVerify"),
    ("joinConfiguration.discovery.file.kubeConfig.user.exec", "provideClusterInfo"),
    ("ignition.containerLinuxConfig", "strict"),
];
/// The like in lists: the list, what items are told apart by, and the name.
const LISTED_FLAGS: [(&str, &str, &str); 4] = [
    ("clusterConfiguration.apiServer.extraVolumes", "hostPath", "readOnly"),
    ("clusterConfiguration.controllerManager.extraVolumes", "hostPath", "readOnly"),
    ("clusterConfiguration.scheduler.extraVolumes", "hostPath", "readOnly"),
    ("files", "path", "append"),
];
const HEALTH_CHECK: &str = "timeouts.controlPlaneComponentHealthCheckSeconds";
const TLS_BOOTSTRAP: &str = "timeouts.tlsBootstrapSeconds";

/// Turns a KubeadmConfigSpec of a spoke into the hub's.
pub(super) fn spec_up(spec: &mut Fields, restored: Option<&Value>) -> Outcome {
    for path in FORGOTTEN {
        take(spec, path);
    }
    let control_plane = take(spec, "clusterConfiguration.apiServer.timeoutForControlPlane");
    let discovery = take(spec, "joinConfiguration.discovery.timeout");
    for component in COMPONENTS {
        if let Some(component) = object(spec, component) {
            arguments_up(component, "extraArgs");
        }
    }
    for registration in REGISTRATIONS {
        if let Some(registration) = object(spec, registration) {
            arguments_up(registration, "kubeletExtraArgs");
        }
    }
    for token in items(spec, "initConfiguration.bootstrapTokens") {
        seconds_at(token, "ttl", "ttlSeconds")?;
    }
    each(spec, "diskSetup.partitions", |partition| {
        always(partition, &["layout"], &json!(false));
    });
    let none = Fields::new();
    let known = restored.and_then(Value::as_object).unwrap_or(&none);
    flags_up(spec, known);
    // Timeouts are only in part known to v1beta1; what it knows of them wins.
    for path in ["initConfiguration.timeouts", "joinConfiguration.timeouts"] {
        if let Some(timeouts) = get(known, path).filter(|timeouts| !is_blank(timeouts)) {
            put(spec, path, timeouts.clone());
        }
    }
    timeouts_up(spec, control_plane.as_ref(), discovery.as_ref())
}

fn flags_up(spec: &mut Fields, known: &Fields) {
    for (path, flag) in FLAGS {
        let known = get(known, path).and_then(|it| it.get(flag));
        if let Some(owner) = object(spec, path) {
            intend_bool(owner, flag, known);
        }
    }
    for (path, key, flag) in LISTED_FLAGS {
        let known = get(known, path).and_then(Value::as_array);
        each(spec, path, |item| {
            let of_item = |other: &&Value| other.get(key) == item.get(key);
            let known = known.and_then(|all| all.iter().find(of_item));
            intend_bool(item, flag, known.and_then(|it| it.get(flag)));
        });
    }
}

/// Sets the timeouts that v1beta1 has elsewhere.
fn timeouts_up(
    spec: &mut Fields,
    control_plane: Option<&Value>,
    discovery: Option<&Value>,
) -> Outcome {
    let control_plane = control_plane.map(seconds).transpose()?;
    let discovery = discovery.map(seconds).transpose()?;
    if let Some(seconds) = &control_plane {
        put(spec, &format!("initConfiguration.{HEALTH_CHECK}"), seconds.clone());
    }
    if control_plane.is_some() || discovery.is_some() {
        let path = format!("joinConfiguration.{HEALTH_CHECK}");
        match control_plane {
            Some(seconds) => put(spec, &path, seconds),
            None => drop(take(spec, &path)),
        }
        if let Some(seconds) = discovery {
            put(spec, &format!("joinConfiguration.{TLS_BOOTSTRAP}"), seconds);
        }
    }
    Ok(())
}

/// Turns a KubeadmConfigSpec of the hub into a spoke's.
pub(super) fn spec_down(spec: &mut Fields) {
    for component in COMPONENTS {
        if let Some(component) = object(spec, component) {
            arguments_down(component, "extraArgs");
        }
    }
    for registration in REGISTRATIONS {
        if let Some(registration) = object(spec, registration) {
            arguments_down(registration, "kubeletExtraArgs");
        }
    }
    each(spec, "initConfiguration.bootstrapTokens", |token| {
        duration_at(token, "ttlSeconds", "ttl")
    });
    for (path, flag) in FLAGS {
        if let Some(owner) = object(spec, path) {
            intend_bool(owner, flag, None);
        }
    }
    for (path, _, flag) in LISTED_FLAGS {
        each(spec, path, |item| intend_bool(item, flag, None));
    }
    let init = take(spec, "initConfiguration.timeouts").unwrap_or_default();
    let join = take(spec, "joinConfiguration.timeouts").unwrap_or_default();
    if let Some(seconds) = init.get("controlPlaneComponentHealthCheckSeconds") {
        let path = "clusterConfiguration.apiServer.timeoutForControlPlane";
        put(spec, path, duration(seconds));
    }
    drop_blank(spec, "initConfiguration");
    if let Some(seconds) = join.get("tlsBootstrapSeconds") {
        put(spec, "joinConfiguration.discovery.timeout", duration(seconds));
    }
    drop_blank(spec, "joinConfiguration");
}
