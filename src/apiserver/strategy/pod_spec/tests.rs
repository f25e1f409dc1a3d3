use serde_json::{Value, json};

use super::*;
use crate::apiserver::strategy::report::{Path, Report};

/// A spec that is fine.
fn valid() -> Value {
    let mut spec = json!({"containers": [{"name": "c", "image": "i:1"}]});
    default_pod_spec(&mut spec);
    spec
}

/// Sets `value` at a JSON pointer of a spec that is fine, and expects the causes.
fn check(pointer: &str, value: Value, expected: &[&str]) {
    let mut spec = valid();
    let place = pointer.split('/').skip(1).fold(&mut spec, |place, name| match name.parse() {
        Ok(index) if place.is_array() => {
            let index: usize = index;
            &mut place[index]
        }
        _ => &mut place[name],
    });
    *place = value.clone();
    default_pod_spec(&mut spec);
    let mut report = Report::default();
    let metadata = json!({"name": "p"});
    pod_spec(&mut report, &Path::Root("spec"), &spec, &Owner::Pod(&metadata));
    let causes: Vec<_> = report.into_causes().iter().map(ToString::to_string).collect();
    assert_eq!(causes, expected, "{pointer} = {value}");
}

#[test]
fn a_plain_spec_is_accepted() {
    check("/hostname", json!("a"), &[]);
}

#[test]
fn containers_are_checked() {
    let path = "spec.containers[0]";
    for (field, value, expected) in [
        ("image", json!(""), "image: Required value"),
        (
            "terminationMessagePolicy",
            json!("X"),
            "terminationMessagePolicy: Unsupported value: \
          \"X\": supported values: \"File\", \"FallbackToLogsOnError\"",
        ),
        (
            "ports",
            json!([{"containerPort": 70000}]),
            "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            "ports",
            json!([{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]),
            "ports[1].name: Duplicate value: \"a\"",
        ),
        (
            "env",
            json!([{"name": "a", "valueFrom": {}}]),
            "env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
          `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        (
            "env",
            json!([{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]),
            "env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported \
          values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
          \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \
          \"status.podIPs\"",
        ),
        (
            "envFrom",
            json!([{}]),
            "envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
        ),
        (
            "volumeMounts",
            json!([{"name": "v", "mountPath": "/x"}]),
            "volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            "livenessProbe",
            json!({"httpGet": {"port": 1}, "exec": {"command": ["x"]}}),
            "livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
        ),
        (
            "livenessProbe",
            json!({"tcpSocket": {"port": 1}, "successThreshold": 2}),
            "livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            "lifecycle",
            json!({"preStop": {"sleep": {"seconds": 31}}}),
            "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
          terminationGracePeriodSeconds (30)",
        ),
        (
            "securityContext",
            json!({"runAsUser": -1}),
            "securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, \
          inclusive",
        ),
        (
            "securityContext",
            json!({"seccompProfile": {"type": "Localhost"}}),
            "securityContext.seccompProfile.localhostProfile: Required value: must be set when \
          seccomp type is Localhost",
        ),
    ] {
        let expected = format!("{path}.{expected}");
        check(&format!("/containers/0/{field}"), value, &[&expected]);
    }
}

#[test]
fn init_and_ephemeral_containers_have_rules_of_their_own() {
    check(
        "/initContainers",
        json!([{"name": "i", "image": "i", "livenessProbe": {"tcpSocket": {"port": 1}}}]),
        &["spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers \
           without restartPolicy=Always"],
    );
    check(
        "/initContainers",
        json!([{"name": "i", "image": "i", "restartPolicy": "Always",
                "livenessProbe": {"tcpSocket": {"port": 1}}}]),
        &[],
    );
    check(
        "/ephemeralContainers",
        json!([{"name": "e", "image": "i", "ports": [{"containerPort": 1}],
                "targetContainerName": "x"}]),
        &[
            "spec.ephemeralContainers[0].targetContainerName: Not found: \"x\"",
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral \
             Container",
        ],
    );
}

#[test]
fn volumes_are_checked() {
    for (volume, expected) in [
        (
            json!({"name": "v", "hostPath": {"path": "/a/../b"}}),
            "hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        ),
        (
            json!({"name": "v", "emptyDir": {}, "configMap": {"name": "x"}}),
            "configMap: Forbidden: may not specify more than 1 volume type",
        ),
        (
            json!({"name": "v", "secret": {"secretName": "s", "defaultMode": 512}}),
            "secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), \
          both inclusive",
        ),
        (
            json!({"name": "v", "nfs": {"server": "s", "path": "p"}}),
            "nfs.path: Invalid value: \"p\": must be an absolute path",
        ),
        (json!({"name": "v", "csi": {"driver": ""}}), "csi.driver: Required value"),
        (
            json!({"name": "v", "projected": {"sources": [{"secret": {"name": "s"},
                 "configMap": {"name": "c"}}]}}),
            "projected.sources[0]: Forbidden: may not specify more than 1 volume type per source",
        ),
        (
            json!({"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {
                 "accessModes": ["X"], "resources": {"requests": {"storage": "1Gi"}}}}}}),
            "ephemeral.volumeClaimTemplate.spec.accessModes: Unsupported value: \"X\": supported \
          values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
        ),
    ] {
        let mut report = Report::default();
        let mut spec = valid();
        spec["volumes"] = json!([volume]);
        default_pod_spec(&mut spec);
        pod_spec(&mut report, &Path::Root("spec"), &spec, &Owner::Template);
        let causes = report.into_causes();
        assert_eq!(causes[0].to_string(), format!("spec.volumes[0].{expected}"), "{volume}");
    }
}

#[test]
fn scheduling_is_checked() {
    check(
        "/tolerations",
        json!([{"operator": "X"}]),
        &[
            "spec.tolerations[0].operator: Invalid value: \"X\": operator must be Exists when \
             `key` is empty, which means \"match all values and all keys\"",
            "spec.tolerations[0].operator: Unsupported value: \"X\": supported values: \"Equal\", \
             \"Exists\"",
        ],
    );
    check(
        "/topologySpreadConstraints",
        json!([{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"},
               {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}]),
        &["spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \
           \"{a, DoNotSchedule}\""],
    );
    check(
        "/affinity",
        json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 0, "podAffinityTerm": {"topologyKey": "k"}}]}}),
        &["spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: \
           Invalid value: 0: must be in the range 1-100"],
    );
    check(
        "/schedulingGates",
        json!([{"name": "a"}, {"name": "a"}]),
        &["spec.schedulingGates[1]: Duplicate value: \"a\""],
    );
}

#[test]
fn names_and_systems_are_checked() {
    check(
        "/dnsPolicy",
        json!("None"),
        &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    );
    check(
        "/hostAliases",
        json!([{"ip": "x"}]),
        &["spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. \
           10.9.8.7 or 2001:db8::ffff)"],
    );
    check(
        "/os",
        json!({"name": "plan9"}),
        &["spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\""],
    );
    check(
        "/runtimeClassName",
        json!("-"),
        &["spec.runtimeClassName: Invalid value: \"-\": a lowercase RFC 1123 subdomain must \
           consist of lower case alphanumeric characters, '-' or '.', and must start and end with \
           an alphanumeric character (e.g. 'example.com', regex used for validation is \
           '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"],
    );
}

#[test]
fn defaults_fill_what_go_fills() {
    let mut spec = json!({
        "containers": [{"name": "c", "image": "a/b@sha256:x", "imagePullPolicy": "",
                        "livenessProbe": {"httpGet": {"port": 1}, "periodSeconds": 0}}],
        "serviceAccount": "s",
        "volumes": [{"name": "v"}],
    });
    default_pod_spec(&mut spec);
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "IfNotPresent");
    assert_eq!(spec["containers"][0]["livenessProbe"]["periodSeconds"], 10);
    assert_eq!(spec["containers"][0]["livenessProbe"]["httpGet"]["path"], "/");
    assert_eq!(spec["serviceAccountName"], "s");
    assert_eq!(spec["volumes"][0], json!({"name": "v", "emptyDir": {}}));
}
