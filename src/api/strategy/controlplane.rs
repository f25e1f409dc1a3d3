//! Rules of the controlplane kinds. (CAPI v1.14: controlplane/kubeadm/webhooks/admission)

use serde_json::{Value, json};

use super::bootstrap::{
    Owner, forbidden, invalid, is_defined, put_previous_defaults, required, validate_spec,
};
use super::naming::validate_machine_naming;
use crate::api::topology::variables::validate_metadata;
use crate::machinery::definition::Strategy;
use crate::machinery::semver::Semver;
use crate::machinery::status::Cause;
use crate::machinery::{corefile, names};

/// Days that a CA lives by default.
const CA_DAYS: i64 = 3650;

/// What may change in `spec.kubeadmConfigSpec`; `*` stands for everything below.
const MUTABLE_CONFIG: &[&str] = &[
    "clusterConfiguration.etcd",
    "clusterConfiguration.etcd.*",
    "clusterConfiguration.dns",
    "clusterConfiguration.dns.*",
    "clusterConfiguration.imageRepository",
    "clusterConfiguration.featureGates",
    "clusterConfiguration.featureGates.*",
    "clusterConfiguration.apiServer",
    "clusterConfiguration.apiServer.*",
    "clusterConfiguration.controllerManager",
    "clusterConfiguration.controllerManager.*",
    "clusterConfiguration.scheduler",
    "clusterConfiguration.scheduler.*",
    "clusterConfiguration.certificateValidityPeriodDays",
    "clusterConfiguration.encryptionAlgorithm",
    "initConfiguration.nodeRegistration",
    "initConfiguration.nodeRegistration.*",
    "initConfiguration.patches.directory",
    "initConfiguration.patches",
    "initConfiguration.skipPhases",
    "initConfiguration.bootstrapTokens",
    "initConfiguration.localAPIEndpoint",
    "initConfiguration.localAPIEndpoint.*",
    "initConfiguration.timeouts",
    "initConfiguration.timeouts.*",
    "joinConfiguration.nodeRegistration",
    "joinConfiguration.nodeRegistration.*",
    "joinConfiguration.patches.directory",
    "joinConfiguration.patches",
    "joinConfiguration.skipPhases",
    "joinConfiguration.caCertPath",
    "joinConfiguration.controlPlane",
    "joinConfiguration.controlPlane.*",
    "joinConfiguration.discovery",
    "joinConfiguration.discovery.*",
    "joinConfiguration.timeouts",
    "joinConfiguration.timeouts.*",
    "bootCommands",
    "preKubeadmCommands",
    "postKubeadmCommands",
    "files",
    "verbosity",
    "users",
    "ntp",
    "ntp.*",
    "ignition",
    "ignition.*",
    "diskSetup",
    "diskSetup.*",
    "format",
    "mounts",
];

/// What may change beside it in `spec`.
const MUTABLE: &[&str] = &[
    "machineTemplate.metadata",
    "machineTemplate.metadata.*",
    "machineTemplate.spec",
    "machineTemplate.spec.*",
    "replicas",
    "version",
    "remediation",
    "remediation.*",
    "machineNaming",
    "machineNaming.*",
    "rollout",
    "rollout.*",
];

/// The strategy of a kind.
pub(super) fn of(kind: &str) -> Strategy {
    match kind {
        "KubeadmControlPlane" => Strategy {
            default: Some(default_control_plane),
            validate: Some(validate),
            validate_scale: Some(validate_scale),
            ..Strategy::default()
        },
        "KubeadmControlPlaneTemplate" => {
            Strategy { default: None, validate: Some(validate_template), ..Strategy::default() }
        }
        _ => Strategy::default(),
    }
}

fn default_control_plane(new: &mut Value, _old: Option<&Value>) {
    let Some(spec) = new.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    if spec["replicas"].is_null() {
        spec["replicas"] = json!(1);
    }
    if let Some(version) = spec["version"].as_str().filter(|version| !version.starts_with('v')) {
        spec["version"] = json!(format!("v{version}"));
    }
    for at in ["/rollout", "/rollout/strategy", "/rollout/strategy/rollingUpdate"] {
        if spec.pointer(at).is_none_or(Value::is_null) {
            let (parent, field) = at.rsplit_once('/').unwrap_or_default();
            if let Some(Value::Object(parent)) = spec.pointer_mut(parent) {
                parent.insert(field.to_owned(), json!({}));
            }
        }
    }
    if let Some(Value::Object(strategy)) = spec.pointer_mut("/rollout/strategy") {
        strategy.insert("type".to_owned(), json!("RollingUpdate"));
        if let Some(Value::Object(limits)) = strategy.get_mut("rollingUpdate") {
            let surge = limits.entry("maxSurge").or_insert(Value::Null);
            if surge.is_null() {
                *surge = json!(1);
            }
        }
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let spec = &new["spec"];
    let configuration = &spec["kubeadmConfigSpec"]["clusterConfiguration"];
    let mut causes = validate_control_plane(spec);
    if let Some(old) = old {
        causes.extend(validate_change(&old["spec"], spec));
        causes.extend(validate_upgrade(&old["spec"], spec));
    }
    let old_configuration =
        old.map(|old| &old["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]);
    let path = "spec.kubeadmConfigSpec";
    causes.extend(validate_cluster_configuration(
        configuration,
        old_configuration,
        &format!("{path}.clusterConfiguration"),
    ));
    if let Some(old) = old_configuration {
        causes.extend(validate_coredns(new, &old["dns"], &configuration["dns"]));
    }
    causes.extend(validate_spec(&spec["kubeadmConfigSpec"], path, Owner::ControlPlane));
    causes
}

/// Upstream has a webhook of its own for `kubectl scale`, which refuses in other words.
fn validate_scale(scale: &Value, object: &Value) -> Result<(), String> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    let etcd = &object["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]["etcd"];
    let why = if replicas <= 0 {
        "replicas should be greater than zero"
    } else if !is_defined(&etcd["external"]) && replicas % 2 == 0 {
        "replicas cannot be an even number when etcd is stacked"
    } else {
        return Ok(());
    };
    Err(format!(
        "admission webhook \"validation-scale.kubeadmcontrolplane.controlplane.cluster.x-k8s.io\" \
         denied the request: {why}"
    ))
}

/// CoreDNS goes only where its Corefile can follow, unless that is left alone.
fn validate_coredns(new: &Value, old_dns: &Value, new_dns: &Value) -> Vec<Cause> {
    let (from, to) = (&old_dns["imageTag"], &new_dns["imageTag"]);
    if !is_defined(from) || !is_defined(to) {
        return Vec::new();
    }
    let at = || "spec.kubeadmConfigSpec.clusterConfiguration.dns.imageTag".to_owned();
    let parse = |which: &str, tag: &Value| {
        parse_image_tag(tag).map_err(|error| {
            let detail = format!("failed to parse {which} CoreDNS version: {error}");
            vec![invalid(at(), tag, &detail)]
        })
    };
    let (current, target) = match (parse("current", from), parse("target", to)) {
        (Err(causes), _) | (_, Err(causes)) => return causes,
        (Ok(current), Ok(target)) => (current, target),
    };
    let annotations = &new["metadata"]["annotations"];
    if current.numbers() == target.numbers()
        || !annotations["controlplane.cluster.x-k8s.io/skip-coredns"].is_null()
    {
        return Vec::new();
    }
    let Err(error) = corefile::check_way(current.numbers(), target.numbers()) else {
        return Vec::new();
    };
    let detail = format!("cannot migrate CoreDNS up to '{target}' from '{current}': {error}");
    vec![forbidden(at(), &detail)]
}

/// Tags of images say `_` where versions say `+`.
fn parse_image_tag(tag: &Value) -> Result<Semver, String> {
    Semver::parse_tolerant(&tag.as_str().unwrap_or_default().replace('_', "+"))
}

fn validate_control_plane(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let replicas = spec["replicas"].as_i64();
    let at = || "spec.replicas".to_owned();
    match replicas {
        None => causes.push(required(at(), "is required")),
        Some(..=0) => causes.push(forbidden(at(), "cannot be less than or equal to 0")),
        Some(1..) => {}
    }
    let etcd = &spec["kubeadmConfigSpec"]["clusterConfiguration"]["etcd"];
    if !is_defined(&etcd["external"]) && replicas.is_some_and(|replicas| replicas % 2 == 0) {
        causes.push(forbidden(at(), "cannot be an even number when etcd is stacked"));
    }
    let reference = &spec["machineTemplate"]["spec"]["infrastructureRef"];
    for field in ["apiGroup", "kind", "name"] {
        if !is_defined(&reference[field]) {
            let at = format!("spec.machineTemplate.infrastructure.{field}");
            causes.push(invalid(at, &json!(""), "cannot be empty"));
        }
    }
    let taints = &spec["machineTemplate"]["spec"]["taints"];
    causes.extend(validate_taints(taints, "spec.machineTemplate.spec.taints"));
    let metadata = &spec["machineTemplate"]["metadata"];
    causes.extend(validate_metadata(metadata, "spec.machineTemplate.metadata"));
    let version = spec["version"].as_str().unwrap_or_default();
    if !version.starts_with('v') {
        causes.push(invalid("spec.version".to_owned(), &json!(version), "must start with v"));
    }
    if Version::parse(version).is_none() {
        let detail = "must be a valid semantic version";
        causes.push(invalid("spec.version".to_owned(), &json!(version), detail));
    }
    causes.extend(validate_rollout(spec, "spec"));
    causes.extend(validate_naming(spec, "spec"));
    causes
}

/// Checks the taints that Machines put on their Nodes, at `path`.
pub(super) fn validate_taints(taints: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, taint) in taints.as_array().into_iter().flatten().enumerate() {
        let key = taint["key"].as_str().unwrap_or_default();
        let detail = match key {
            "node.cluster.x-k8s.io/uninitialized" | "node.cluster.x-k8s.io/outdated-revision" => {
                "taint key is not allowed"
            }
            "node.kubernetes.io/out-of-service" => "",
            key if key.starts_with("node.kubernetes.io/") => {
                "taint key must not have the prefix node.kubernetes.io/, except for \
                 node.kubernetes.io/out-of-service"
            }
            key if key.starts_with("node.cloudprovider.kubernetes.io/") => {
                "taint key must not have the prefix node.cloudprovider.kubernetes.io/"
            }
            "node-role.kubernetes.io/master" => {
                "taint is deprecated since 1.24 and should not be used anymore"
            }
            _ => "",
        };
        let at = || format!("{path}[{index}].key");
        if !detail.is_empty() {
            causes.push(invalid(at(), &json!(key), detail));
        }
        for error in names::check_label_key(key) {
            causes.push(invalid(at(), &json!(key), &error));
        }
    }
    causes
}

fn validate_rollout(spec: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let strategy = &spec["rollout"]["strategy"];
    if !is_defined(strategy) {
        return causes;
    }
    let at = format!("{path}.rollout.strategy");
    if strategy["type"] != "RollingUpdate" {
        causes.push(required(format!("{at}.type"), "only RollingUpdate is supported"));
    }
    let surge = &strategy["rollingUpdate"]["maxSurge"];
    let surge = surge.as_i64().or_else(|| Some(surge.as_str()?.parse().unwrap_or(0)));
    if surge == Some(0) && spec["replicas"].as_i64().is_some_and(|replicas| replicas < 3) {
        let detail = "when KubeadmControlPlane is configured to scale-in, replica count needs to \
                      be at least 3";
        causes.push(required(format!("{at}.rollingUpdate"), detail));
    }
    if surge.is_some_and(|surge| !(0..=1).contains(&surge)) {
        causes.push(required(format!("{at}.rollingUpdate.maxSurge"), "value must be 1 or 0"));
    }
    causes.extend(validate_validity(spec, path));
    causes
}

/// Certificates must not outlive their CA, nor be renewed before they exist.
fn validate_validity(spec: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let configuration = &spec["kubeadmConfigSpec"]["clusterConfiguration"];
    let days = |field: &str| configuration[field].as_i64().filter(|days| *days != 0);
    let Some(validity) = days("certificateValidityPeriodDays") else { return causes };
    let (limit, name) = match days("caCertificateValidityPeriodDays") {
        Some(days) => (days, "caCertificateValidityPeriodDays"),
        None => (CA_DAYS, "the default value of caCertificateValidityPeriodDays"),
    };
    if validity > limit {
        let at =
            format!("{path}.kubeadmConfigSpec.clusterConfiguration.certificateValidityPeriodDays");
        let detail = format!("must be less than or equal to {name} ({limit})");
        causes.push(invalid(at, &json!(validity), &detail));
    }
    let before = spec["rollout"]["before"]["certificatesExpiryDays"].as_i64().unwrap_or(0);
    if before != 0 && before >= validity {
        let at = format!("{path}.rollout.before.certificatesExpiryDays");
        let detail = format!("must be less than certificateValidityPeriodDays ({validity})");
        causes.push(invalid(at, &json!(before), &detail));
    }
    causes
}

fn validate_naming(spec: &Value, path: &str) -> Vec<Cause> {
    let at = format!("{path}.machineNaming.template");
    validate_machine_naming(&spec["machineNaming"]["template"], &at, "kubeadmControlPlane")
}

fn validate_cluster_configuration(new: &Value, old: Option<&Value>, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let check_tag = |tag: &Value, at: String| {
        let tag = tag.as_str().unwrap_or_default();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let detail = format!("tag {tag} is invalid");
        (!tag.chars().all(is_allowed)).then(|| forbidden(at, &detail))
    };
    let dns_tag = &new["dns"]["imageTag"];
    causes.extend(check_tag(dns_tag, format!("{path}.dns.imageTag")));
    if is_defined(dns_tag)
        && let Err(error) = parse_image_tag(dns_tag)
    {
        let detail = format!("failed to parse CoreDNS version: {error}");
        // Upstream's path begins here, whatever the object is.
        causes.push(invalid("dns.imageTag".to_owned(), dns_tag, &detail));
    }
    let etcd = &new["etcd"];
    causes.extend(check_tag(&etcd["local"]["imageTag"], format!("{path}.etcd.local.imageTag")));
    if is_defined(&etcd["local"]) && is_defined(&etcd["external"]) {
        let detail = "cannot have both external and local etcd";
        causes.push(forbidden(format!("{path}.etcd.local"), detail));
    }
    if let Some(old) = old
        && is_defined(&old["etcd"]["external"]) != is_defined(&etcd["external"])
    {
        let detail = "cannot change between external and local etcd";
        causes.push(forbidden(format!("{path}.etcd.external"), detail));
    }
    causes
}

/// Upgrades go at most one minor version at a time; downgrades are let through, as upstream does.
fn validate_upgrade(old: &Value, new: &Value) -> Vec<Cause> {
    let text = |spec: &Value| spec["version"].as_str().unwrap_or_default().to_owned();
    let (from, to) = (text(old), text(new));
    let parse = |which: &str, version: &str| {
        Semver::parse_tolerant(version).map_err(|error| {
            vec![Cause {
                reason: "InternalError".to_owned(),
                message: format!(
                    "Internal error: failed to parse {which} kubeadmcontrolplane version: \
                     {version}: {error}"
                ),
                field: "spec.version".to_owned(),
            }]
        })
    };
    let current = match parse("current", &from) {
        Ok(current) => current,
        Err(causes) => return causes,
    };
    let wanted = match parse("updated", &to) {
        Ok(wanted) => wanted,
        Err(causes) => return causes,
    };
    if wanted.numbers() >= (current.major, current.minor.saturating_add(2), 0) {
        let detail = format!("cannot update Kubernetes version from {from} to {to}");
        return vec![forbidden("spec.version".to_owned(), &detail)];
    }
    Vec::new()
}

/// Everything in `spec` but the lists above is fixed.
fn validate_change(old: &Value, new: &Value) -> Vec<Cause> {
    let mut changed = Vec::new();
    collect_changes("", old, new, &mut changed);
    changed
        .into_iter()
        .filter(|path| {
            let allowed = match path.strip_prefix("kubeadmConfigSpec.") {
                Some(inside) => is_allowed(MUTABLE_CONFIG, inside),
                None => is_allowed(MUTABLE, path),
            };
            !allowed
        })
        .map(|path| forbidden(format!("spec.{path}"), "cannot be modified"))
        .collect()
}

fn is_allowed(list: &[&str], path: &str) -> bool {
    list.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == *allowed,
    })
}

/// Dotted paths of what a merge patch from `old` to `new` would hold.
fn collect_changes(path: &str, old: &Value, new: &Value, changed: &mut Vec<String>) {
    // Where nothing and an empty value are not the same in Go: maps, and this pointer to a list.
    let is_map = [".labels", ".annotations"].iter().any(|end| path.ends_with(end));
    if is_map || path.ends_with("nodeRegistration.taints") {
        let entries = |map: &Value| map.as_object().filter(|map| !map.is_empty()).cloned();
        if old != new && (!is_map || entries(old) != entries(new)) {
            changed.push(path.to_owned());
        }
        return;
    }
    let is_nothing = |value: &Value| !is_defined(value) && !value.is_object();
    if old == new || (is_nothing(old) && is_nothing(new)) {
        return;
    }
    let empty = serde_json::Map::new();
    let (old_map, new_map) = match (old, new) {
        (Value::Object(old), Value::Object(new)) => (old, new),
        (_, Value::Object(new)) => (&empty, new),
        (Value::Object(fields), _) if !is_defined(old) => (fields, &empty),
        _ => {
            changed.push(path.to_owned());
            return;
        }
    };
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in new_map {
        collect_changes(&join(key), old_map.get(key).unwrap_or(&Value::Null), value, changed);
    }
    for (key, value) in old_map.iter().filter(|(key, _)| !new_map.contains_key(*key)) {
        if is_defined(value) {
            changed.push(join(key));
        } else {
            collect_changes(&join(key), value, &Value::Null, changed);
        }
    }
}

/// What differs between the specs of a template, once both have what was defaulted formerly.
fn template_changes(old: &Value, new: &Value) -> Vec<String> {
    let (mut old, mut new) = (old.clone(), new.clone());
    for spec in [&mut old, &mut new] {
        if let Some(config) = spec.get_mut("kubeadmConfigSpec").filter(|it| it.is_object()) {
            put_previous_defaults(config);
        }
    }
    let strategy = &old["rollout"]["strategy"];
    let was_default =
        strategy["type"] == "RollingUpdate" && strategy["rollingUpdate"]["maxSurge"] == 1;
    if was_default && !is_defined(&new["rollout"]["strategy"]) && new.is_object() {
        if !new["rollout"].is_object() {
            new["rollout"] = json!({});
        }
        new["rollout"]["strategy"] = strategy.clone();
    }
    let mut changed = Vec::new();
    collect_changes("", &old, &new, &mut changed);
    changed
}

fn validate_template(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let path = "spec.template.spec";
    let spec = &new["spec"]["template"]["spec"];
    if let Some(old) = old {
        let changed = template_changes(&old["spec"]["template"]["spec"], spec);
        if changed.is_empty() {
            return Vec::new();
        }
        let detail = format!(
            "KubeadmControlPlaneTemplate spec.template.spec field is immutable. Please create new \
             resource instead. Changed: {}",
            changed.join(", ")
        );
        return vec![invalid(path.to_owned(), spec, &detail)];
    }
    let mut causes = validate_rollout(spec, path);
    causes.extend(validate_naming(spec, path));
    let taints = &spec["machineTemplate"]["spec"]["taints"];
    causes.extend(validate_taints(taints, &format!("{path}.machineTemplate.spec.taints")));
    let metadata = &spec["machineTemplate"]["metadata"];
    causes.extend(validate_metadata(metadata, &format!("{path}.machineTemplate.metadata")));
    let config = format!("{path}.kubeadmConfigSpec");
    causes.extend(validate_cluster_configuration(
        &spec["kubeadmConfigSpec"]["clusterConfiguration"],
        None,
        &format!("{config}.clusterConfiguration"),
    ));
    causes.extend(validate_spec(&spec["kubeadmConfigSpec"], &config, Owner::ControlPlane));
    let metadata = &new["spec"]["template"]["metadata"];
    causes.extend(validate_metadata(metadata, "spec.template.metadata"));
    causes
}

/// Versions as the fields of Cluster API hold them.
pub(super) struct Version;

impl Version {
    /// Reads a strict semantic version after an optional `v`.
    pub(super) fn parse(text: &str) -> Option<Semver> {
        Semver::parse(text.strip_prefix('v').unwrap_or(text)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control_plane(replicas: i64, version: &str) -> Value {
        let mut object = json!({"spec": {
            "replicas": replicas, "version": version,
            "machineTemplate": {"spec": {"infrastructureRef":
                {"apiGroup": "g", "kind": "DevMachineTemplate", "name": "n"}}},
            "kubeadmConfigSpec": {"clusterConfiguration": {"certificatesDir": "/a"}}}});
        default_control_plane(&mut object, None);
        object
    }

    fn told(causes: Vec<Cause>) -> Vec<String> {
        causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn defaults_are_those_of_the_webhook() {
        let mut object = json!({"spec": {"version": "1.34.0"}});
        default_control_plane(&mut object, None);
        assert_eq!(
            object["spec"],
            json!({"version": "v1.34.0", "replicas": 1, "rollout": {"strategy":
                {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}})
        );
        let again = object.clone();
        default_control_plane(&mut object, None);
        assert_eq!(object, again);
    }

    #[test]
    fn recorded_refusals() {
        for (replicas, version, expected) in [
            (1, "v1.34.0", &[][..]),
            (
                2,
                "v1.34.0",
                &["spec.replicas: Forbidden: cannot be an even number when etcd is stacked"],
            ),
            (
                0,
                "v1.34.0",
                &[
                    "spec.replicas: Forbidden: cannot be less than or equal to 0",
                    "spec.replicas: Forbidden: cannot be an even number when etcd is stacked",
                ],
            ),
            (
                1,
                "latest",
                &["spec.version: Invalid value: \"vlatest\": must be a valid semantic version"],
            ),
        ] {
            assert_eq!(told(validate(&control_plane(replicas, version), None)), expected);
        }
    }

    #[test]
    fn versions_are_strict() {
        let old = control_plane(1, "v1.34.0");
        let strict = "spec.version: Invalid value: \"vnonsense\": must be a valid semantic version";
        let tolerant = "spec.version: Internal error: failed to parse updated kubeadmcontrolplane \
                        version: vnonsense: Invalid character(s) found in major number \
                        \"0nonsense\"";
        let causes = told(validate(&control_plane(1, "nonsense"), Some(&old)));
        assert_eq!(causes, [strict, tolerant]);
        let short = told(validate(&control_plane(1, "v1.34"), None));
        assert_eq!(
            short,
            ["spec.version: Invalid value: \"v1.34\": must be a valid semantic version"]
        );
    }

    #[test]
    fn a_scale_is_refused_in_words_of_its_own() {
        let scale = |replicas: i64| {
            validate_scale(&json!({"spec": {"replicas": replicas}}), &control_plane(3, "v1.34.0"))
        };
        assert_eq!(scale(5), Ok(()));
        let even = scale(2).unwrap_err();
        assert!(even.ends_with("replicas cannot be an even number when etcd is stacked"), "{even}");
        assert!(scale(0).unwrap_err().ends_with("replicas should be greater than zero"));
        let mut external = control_plane(3, "v1.34.0");
        external["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]["etcd"] =
            json!({"external": {"endpoints": ["e"]}});
        assert_eq!(validate_scale(&json!({"spec": {"replicas": 2}}), &external), Ok(()));
    }

    #[test]
    fn coredns_goes_only_where_its_corefile_can_follow() {
        let tagged = |tag: &str| {
            let mut object = control_plane(1, "v1.34.0");
            object["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]["dns"] =
                json!({"imageTag": tag});
            object
        };
        let path = "spec.kubeadmConfigSpec.clusterConfiguration.dns.imageTag: Forbidden:";
        for (from, to, expected) in [
            ("v1.12.1", "v1.14.2", &[][..]),
            ("v1.12.1", "v1.12.1_patched", &[]),
            (
                "v1.12.1",
                "v1.11.1",
                &["cannot migrate CoreDNS up to '1.11.1' from '1.12.1': cannot migrate up to \
                   '1.11.1' from '1.12.1'"],
            ),
            (
                "v1.11.2",
                "v1.12.1",
                &[
                    "cannot migrate CoreDNS up to '1.12.1' from '1.11.2': start version '1.11.2' not \
                   supported",
                ],
            ),
        ] {
            let expected: Vec<String> =
                expected.iter().map(|detail| format!("{path} {detail}")).collect();
            assert_eq!(told(validate(&tagged(to), Some(&tagged(from)))), expected, "{from} {to}");
        }
        let mut skipped = tagged("v1.11.1");
        skipped["metadata"]["annotations"]["controlplane.cluster.x-k8s.io/skip-coredns"] =
            json!("");
        assert_eq!(told(validate(&skipped, Some(&tagged("v1.12.1")))), Vec::<String>::new());
        let unreadable = told(validate(&tagged("latest"), None));
        let expected = "dns.imageTag: Invalid value: \"latest\": failed to parse CoreDNS version: \
                        Invalid character(s) found in major number \"0latest\"";
        assert_eq!(unreadable, [expected]);
    }

    #[test]
    fn metadata_of_machines_is_checked() {
        let mut object = control_plane(1, "v1.34.0");
        object["spec"]["machineTemplate"]["metadata"] =
            json!({"labels": {"a b": "c"}, "annotations": {"-": "x"}});
        let fields: Vec<String> =
            validate(&object, None).into_iter().map(|cause| cause.field).collect();
        let at = "spec.machineTemplate.metadata";
        assert_eq!(fields, [format!("{at}.labels"), format!("{at}.annotations")]);
    }

    #[test]
    fn external_etcd_may_be_even_but_stays_external() {
        let mut object = control_plane(2, "v1.34.0");
        let etcd = json!({"external": {"endpoints": ["e"]}});
        object["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]["etcd"] = etcd;
        assert_eq!(told(validate(&object, None)), Vec::<String>::new());
        let old = control_plane(1, "v1.34.0");
        let causes = told(validate(&object, Some(&old)));
        let expected = "spec.kubeadmConfigSpec.clusterConfiguration.etcd.external: Forbidden: \
                        cannot change between external and local etcd";
        assert_eq!(causes, [expected]);
    }

    #[test]
    fn upgrades_skip_no_minor_version() {
        let old = control_plane(1, "v1.33.5");
        for (version, count) in [("v1.34.9", 0), ("v1.32.0", 0), ("v1.35.0", 1), ("v2.0.0", 1)] {
            let causes = told(validate(&control_plane(1, version), Some(&old)));
            assert_eq!(causes.len(), count, "{version}: {causes:?}");
        }
    }

    #[test]
    fn fixed_fields_cannot_be_modified() {
        let old = control_plane(1, "v1.34.0");
        let mut new = old.clone();
        new["spec"]["kubeadmConfigSpec"]["files"] = json!([{"path": "/x"}]);
        new["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]["apiServer"] =
            json!({"certSANs": ["a"]});
        assert_eq!(told(validate(&new, Some(&old))), Vec::<String>::new());
        new["spec"]["kubeadmConfigSpec"]["clusterConfiguration"]["certificatesDir"] = json!("/b");
        let expected = "spec.kubeadmConfigSpec.clusterConfiguration.certificatesDir: Forbidden: \
                        cannot be modified";
        assert_eq!(told(validate(&new, Some(&old))), [expected]);
    }

    #[test]
    fn templates_are_immutable() {
        let template = |naming: &str| {
            json!({"spec": {"template": {"spec": {"machineNaming": {"template": naming},
                "kubeadmConfigSpec": {}}}}})
        };
        let old = template("{{ .random }}");
        assert_eq!(told(validate_template(&old, None)), Vec::<String>::new());
        assert_eq!(told(validate_template(&old, Some(&old))), Vec::<String>::new());
        let causes = told(validate_template(&template("a-{{ .random }}"), Some(&old)));
        assert!(causes[0].contains("field is immutable"), "{causes:?}");
        assert_eq!(told(validate_template(&template("a"), None)).len(), 1);
    }

    #[test]
    fn templates_may_say_what_was_defaulted_and_nothing_else() {
        let registration = |taints: Value| {
            json!({"kubeadmConfigSpec": {"initConfiguration":
            {"nodeRegistration": {"taints": taints, "name": "n"}}}})
        };
        let labels = |labels: Value| json!({"machineTemplate": {"metadata": {"labels": labels}}});
        let strategy = |surge: i64| {
            json!({"rollout": {"strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge}}}})
        };
        let expired = json!({"rollout": {"before": {"certificatesExpiryDays": 10}}});
        let none = || json!({});
        let changed = ["format", "initConfiguration.nodeRegistration.imagePullPolicy"];
        let defaulted = json!({"kubeadmConfigSpec": {"format": "cloud-config",
            "initConfiguration": {"nodeRegistration": {"imagePullPolicy": "IfNotPresent"}}}});
        let plain = json!({"kubeadmConfigSpec": {}});
        let ignition = json!({"kubeadmConfigSpec": {"format": "ignition",
            "initConfiguration": {"nodeRegistration": {"imagePullPolicy": "Always"}}}});
        let cases: [(Value, Value, &[&str]); 11] = [
            (defaulted.clone(), plain.clone(), &[]),
            (plain.clone(), defaulted, &[]),
            (plain, ignition, &changed),
            (labels(json!({"a": ""})), none(), &["machineTemplate.metadata.labels"]),
            (none(), labels(json!({"a": ""})), &["machineTemplate.metadata.labels"]),
            (labels(none()), none(), &[]),
            (
                registration(Value::Null),
                registration(json!([])),
                &["initConfiguration.nodeRegistration.taints"],
            ),
            (strategy(1), none(), &[]),
            (strategy(0), none(), &["rollout"]),
            (none(), strategy(1), &["rollout.strategy.rollingUpdate.maxSurge"]),
            (expired, none(), &["rollout"]),
        ];
        for (old, new, wanted) in cases {
            let found = template_changes(&old, &new);
            let is_found = |field: &&str| found.iter().any(|path| path.contains(*field));
            assert!(wanted.iter().all(is_found), "{old} -> {new}: {found:?}");
            assert_eq!(found.is_empty(), wanted.is_empty(), "{old} -> {new}: {found:?}");
        }
    }

    #[test]
    fn keys_of_taints_are_keys_of_labels() {
        let key = format!("example.com/{}", "x".repeat(64));
        let causes = told(validate_taints(&json!([{"key": key}, {"key": "ok"}]), "taints"));
        assert_eq!(causes.len(), 1, "{causes:?}");
        assert!(causes[0].contains("must be no more than 63"), "{causes:?}");
    }
}
