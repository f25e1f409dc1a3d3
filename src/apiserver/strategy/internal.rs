//! Pods and claims in the form of kube-apiserver's internal types, which some of its messages show:
//! fields by their names in Go and in their order, with those that say nothing.
//! (kubernetes 1.36: pkg/apis/core/types.go)
//!
//! Types that hardly anybody changes are shown by their own fields alone.

use serde_json::{Value, json};

use crate::machinery::meta::OBJECT_META_FIELDS;

/// The fields of the types. A field is followed by what it is called in JSON if that is not the
/// same but for the first letter, and by what it holds: `s` text, `i` a number, `b` a claim, `q` a
/// quantity, `*` anything that may be nil; or the name of a type, `?` before it for one that may be
/// nil, `[]` for a list of it, `^` for one whose fields stand among the others.
const TYPES: [(&str, &str); 47] = [
    (
        "PodSpec",
        "Volumes []Volume,InitContainers []Container,Containers []Container,\
         EphemeralContainers []EphemeralContainer,RestartPolicy s,TerminationGracePeriodSeconds *,\
         ActiveDeadlineSeconds *,DNSPolicy=dnsPolicy s,NodeSelector *,ServiceAccountName s,\
         AutomountServiceAccountToken *,NodeName s,SecurityContext ?PodSecurityContext,\
         ImagePullSecrets []Reference,Hostname s,Subdomain s,SetHostnameAsFQDN *,\
         Affinity ?Affinity,SchedulerName s,Tolerations []Toleration,HostAliases []HostAlias,\
         PriorityClassName s,Priority *,PreemptionPolicy *,DNSConfig=dnsConfig ?DNSConfig,\
         ReadinessGates []ReadinessGate,RuntimeClassName *,Overhead *,EnableServiceLinks *,\
         TopologySpreadConstraints []Spread,OS=os ?Reference,SchedulingGates []Reference,\
         ResourceClaims []PodResourceClaim,Resources ?Resources,HostnameOverride *,\
         SchedulingGroup ?SchedulingGroup",
    ),
    (
        "PodSecurityContext",
        "HostNetwork b,HostPID=hostPID b,HostIPC=hostIPC b,ShareProcessNamespace *,HostUsers *,\
         SELinuxOptions=seLinuxOptions ?SELinuxOptions,WindowsOptions ?WindowsOptions,\
         RunAsUser *,RunAsGroup *,RunAsNonRoot *,SupplementalGroups *,\
         SupplementalGroupsPolicy *,FSGroup=fsGroup *,FSGroupChangePolicy=fsGroupChangePolicy *,\
         Sysctls []NameValue,SeccompProfile ?Profile,AppArmorProfile ?Profile,\
         SELinuxChangePolicy=seLinuxChangePolicy *",
    ),
    (
        "Container",
        "Name s,Image s,Command *,Args *,WorkingDir s,Ports []ContainerPort,\
         EnvFrom []EnvFrom,Env []EnvVar,Resources Resources,ResizePolicy []ResizePolicy,\
         RestartPolicy *,RestartPolicyRules []RestartRule,VolumeMounts []VolumeMount,\
         VolumeDevices []VolumeDevice,LivenessProbe ?Probe,ReadinessProbe ?Probe,\
         StartupProbe ?Probe,Lifecycle ?Lifecycle,TerminationMessagePath s,\
         TerminationMessagePolicy s,ImagePullPolicy s,SecurityContext ?SecurityContext,Stdin b,\
         StdinOnce b,TTY=tty b",
    ),
    ("EphemeralContainer", "^Container,TargetContainerName s"),
    ("ContainerPort", "Name s,HostPort i,ContainerPort i,Protocol s,HostIP=hostIP s"),
    ("EnvFrom", "Prefix s,ConfigMapRef ?OptionalReference,SecretRef ?OptionalReference"),
    ("OptionalReference", "Name s,Optional *"),
    ("EnvVar", "Name s,Value s,ValueFrom ?EnvVarSource"),
    (
        "EnvVarSource",
        "FieldRef ?FieldRef,ResourceFieldRef ?ResourceFieldRef,ConfigMapKeyRef ?KeyRef,\
         SecretKeyRef ?KeyRef,FileKeyRef ?FileKeyRef",
    ),
    ("FieldRef", "APIVersion=apiVersion s,FieldPath s"),
    ("ResourceFieldRef", "ContainerName s,Resource s,Divisor q"),
    ("KeyRef", "Name s,Key s,Optional *"),
    ("FileKeyRef", "VolumeName s,Path s,Key s,Optional *"),
    ("Resources", "Limits *,Requests *,Claims []Claim"),
    ("Claim", "Name s,Request s"),
    ("ResizePolicy", "ResourceName s,RestartPolicy s"),
    ("RestartRule", "Action s,ExitCodes ?ExitCodes"),
    ("ExitCodes", "Operator s,Values *"),
    (
        "VolumeMount",
        "Name s,ReadOnly b,RecursiveReadOnly *,MountPath s,SubPath s,MountPropagation *,\
         SubPathExpr s",
    ),
    ("VolumeDevice", "Name s,DevicePath s"),
    (
        "Probe",
        "^Handler,InitialDelaySeconds i,TimeoutSeconds i,PeriodSeconds i,SuccessThreshold i,\
         FailureThreshold i,TerminationGracePeriodSeconds *",
    ),
    (
        "Handler",
        "Exec ?Exec,HTTPGet=httpGet ?HTTPGet,TCPSocket=tcpSocket ?TCPSocket,GRPC=grpc ?GRPC",
    ),
    ("Exec", "Command *"),
    ("HTTPGet", "Path s,Port *,Host s,Scheme s,HTTPHeaders=httpHeaders []NameValue"),
    ("TCPSocket", "Port *,Host s"),
    ("GRPC", "Port i,Service *"),
    ("NameValue", "Name s,Value s"),
    ("Lifecycle", "PostStart ?LifecycleHandler,PreStop ?LifecycleHandler,StopSignal *"),
    (
        "LifecycleHandler",
        "Exec ?Exec,HTTPGet=httpGet ?HTTPGet,TCPSocket=tcpSocket ?TCPSocket,Sleep ?Sleep",
    ),
    ("Sleep", "Seconds i"),
    (
        "SecurityContext",
        "Capabilities ?Capabilities,Privileged *,SELinuxOptions=seLinuxOptions ?SELinuxOptions,\
         WindowsOptions ?WindowsOptions,RunAsUser *,RunAsGroup *,RunAsNonRoot *,\
         ReadOnlyRootFilesystem *,AllowPrivilegeEscalation *,ProcMount *,\
         SeccompProfile ?Profile,AppArmorProfile ?Profile",
    ),
    ("Capabilities", "Add *,Drop *"),
    ("SELinuxOptions", "User s,Role s,Type s,Level s"),
    ("Profile", "Type s,LocalhostProfile *"),
    ("Reference", "Name s"),
    ("Toleration", "Key s,Operator s,Value s,Effect s,TolerationSeconds *"),
    ("HostAlias", "IP=ip s,Hostnames *"),
    ("ReadinessGate", "ConditionType s"),
    ("PodResourceClaim", "Name s,ResourceClaimName *,ResourceClaimTemplateName *"),
    ("Volume", "Name s,^VolumeSource"),
    (
        "ClaimSpec",
        "AccessModes *,Selector *,Resources ClaimResources,VolumeName s,StorageClassName *,\
         VolumeMode *,DataSource ?DataSource,DataSourceRef ?DataSource,\
         VolumeAttributesClassName *",
    ),
    ("ClaimResources", "Limits *,Requests *"),
    ("Strategy", "Type s,RollingUpdate ?RollingUpdate"),
    ("RollingUpdate", "MaxUnavailable *,MaxSurge *"),
    ("StatefulSetStrategy", "Type s,RollingUpdate ?StatefulSetRollingUpdate"),
    ("StatefulSetRollingUpdate", "Partition i,MaxUnavailable *"),
    (
        "PodDisruptionBudgetSpec",
        "MinAvailable *,Selector *,MaxUnavailable *,UnhealthyPodEvictionPolicy *",
    ),
];

/// Sources of volumes; one that is there is shown by its own fields.
const VOLUME_SOURCES: &str = "HostPath,EmptyDir,GCEPersistentDisk,AWSElasticBlockStore,GitRepo,\
    Secret,NFS,ISCSI,Glusterfs,PersistentVolumeClaim,RBD,Quobyte,FlexVolume,Cinder,CephFS,Flocker,\
    DownwardAPI,FC,AzureFile,ConfigMap,VsphereVolume,AzureDisk,PhotonPersistentDisk,Projected,\
    PortworxVolume,ScaleIO,StorageOS,CSI,Ephemeral,Image";

/// A pod's spec, indented, as Go's `MarshalIndent` with one space prints the internal type.
pub(super) fn pod_spec(spec: &Value) -> String {
    let mut spec = spec.clone();
    let context = &mut spec["securityContext"];
    if !context.is_object() {
        *context = json!({});
    }
    for field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
        let value = spec[field].take();
        if !value.is_null() {
            spec["securityContext"][field] = value;
        }
    }
    let mut text = String::new();
    structure(&mut text, "PodSpec", &spec, 0);
    text
}

/// One of a pod's ephemeral containers in the same form.
pub(super) fn ephemeral_container(container: &Value) -> String {
    let mut text = String::new();
    structure(&mut text, "EphemeralContainer", container, 0);
    text
}

/// The spec of a claim in the same form.
pub(super) fn claim_spec(spec: &Value) -> String {
    let mut text = String::new();
    structure(&mut text, "ClaimSpec", spec, 0);
    text
}

/// A value of one of the types in the form in which single values are shown, without space.
pub(super) fn shown(name: &str, value: &Value) -> String {
    let mut text = String::new();
    structure(&mut text, name, value, 0);
    compact(&text)
}

/// A template of pods in the form in which single values are shown, without space.
pub(super) fn pod_template(template: &Value) -> String {
    let mut members = metadata_members(&template["metadata"]);
    members.push(format!("\"Spec\":{}", compact(&pod_spec(&template["spec"]))));
    format!("{{{}}}", members.join(","))
}

/// Metadata in the order of the fields of Go's type.
pub(in crate::apiserver) fn metadata(metadata: &Value) -> String {
    format!("{{{}}}", metadata_members(metadata).join(","))
}

fn metadata_members(metadata: &Value) -> Vec<String> {
    let present = OBJECT_META_FIELDS.into_iter().filter(|name| !metadata[*name].is_null());
    present.map(|name| format!("\"{name}\":{}", metadata[name])).collect()
}

/// JSON without space between its parts.
fn compact(text: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let keep = |&c: &char| {
        let keep = is_text || !c.is_ascii_whitespace();
        is_text ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        keep
    };
    text.chars().filter(keep).collect()
}

fn fields_of(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, fields)| *fields)
}

fn structure(text: &mut String, name: &str, value: &Value, depth: usize) {
    let Some(fields) = fields_of(name) else { return anything(text, value, depth, true) };
    let mut is_first = true;
    text.push('{');
    members(text, fields, value, (depth + 1, &mut is_first));
    close(text, '}', depth, is_first);
}

fn members(text: &mut String, fields: &str, value: &Value, (depth, is_first): (usize, &mut bool)) {
    for field in fields.split(',').map(str::trim) {
        if let Some(name) = field.strip_prefix('^') {
            match fields_of(name) {
                Some(fields) => members(text, fields, value, (depth, is_first)),
                None => volume_sources(text, value, (depth, is_first)),
            }
            continue;
        }
        let (names, holds) = field.split_once(' ').unwrap_or((field, "*"));
        let (go, json) = match names.split_once('=') {
            Some((go, json)) => (go, json.to_owned()),
            None => (names, lower_first(names)),
        };
        begin(text, go, depth, is_first);
        held(text, holds, &value[json.as_str()], depth);
    }
}

fn held(text: &mut String, holds: &str, value: &Value, depth: usize) {
    match (holds, value) {
        ("s", Value::Null) => text.push_str("\"\""),
        ("i", Value::Null) => text.push('0'),
        ("b", Value::Null) => text.push_str("false"),
        ("q", Value::Null) => text.push_str("\"0\""),
        ("s" | "i" | "b" | "q" | "*", value) => anything(text, value, depth, false),
        (holds, Value::Null) if holds.starts_with(['?', '[']) => text.push_str("null"),
        (holds, Value::Array(list)) => {
            let name = holds.trim_start_matches("[]");
            let mut is_first = true;
            text.push('[');
            for item in list {
                item_break(text, depth + 1, &mut is_first);
                structure(text, name, item, depth + 1);
            }
            close(text, ']', depth, is_first);
        }
        (holds, value) => structure(text, holds.trim_start_matches('?'), value, depth),
    }
}

fn volume_sources(text: &mut String, value: &Value, (depth, is_first): (usize, &mut bool)) {
    for go in VOLUME_SOURCES.split(',').map(str::trim) {
        let json = match go {
            "GCEPersistentDisk" => "gcePersistentDisk".to_owned(),
            "AWSElasticBlockStore" => "awsElasticBlockStore".to_owned(),
            "CephFS" => "cephfs".to_owned(),
            "StorageOS" => "storageos".to_owned(),
            go if go.bytes().all(|byte| byte.is_ascii_uppercase()) => go.to_lowercase(),
            go => lower_first(go),
        };
        begin(text, go, depth, is_first);
        anything(text, &value[json.as_str()], depth, true);
    }
}

/// A value without a type of its own; `is_go` writes its names as Go's.
fn anything(text: &mut String, value: &Value, depth: usize, is_go: bool) {
    let mut is_first = true;
    match value {
        Value::Object(map) => {
            text.push('{');
            for (name, value) in map {
                let name = if is_go { upper_first(name) } else { name.clone() };
                begin(text, &name, depth + 1, &mut is_first);
                anything(text, value, depth + 1, is_go);
            }
            close(text, '}', depth, is_first);
        }
        Value::Array(list) => {
            text.push('[');
            for item in list {
                item_break(text, depth + 1, &mut is_first);
                anything(text, item, depth + 1, is_go);
            }
            close(text, ']', depth, is_first);
        }
        other => text.push_str(&other.to_string()),
    }
}

fn begin(text: &mut String, name: &str, depth: usize, is_first: &mut bool) {
    item_break(text, depth, is_first);
    text.push_str(&Value::from(name).to_string());
    text.push_str(": ");
}

fn item_break(text: &mut String, depth: usize, is_first: &mut bool) {
    text.push_str(if std::mem::take(is_first) { "\n" } else { ",\n" });
    text.extend(std::iter::repeat_n(' ', depth));
}

fn close(text: &mut String, bracket: char, depth: usize, is_empty: bool) {
    if !is_empty {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', depth));
    }
    text.push(bracket);
}

fn lower_first(name: &str) -> String {
    let mut rest = name.chars();
    rest.next().map(|first| first.to_lowercase().chain(rest).collect()).unwrap_or_default()
}

fn upper_first(name: &str) -> String {
    let mut rest = name.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_shows_all_fields_in_gos_order() {
        let spec = json!({
            "containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}],
            "hostNetwork": true, "nodeSelector": {"a": "b"},
        });
        let text = pod_spec(&spec);
        let parsed: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(parsed["Containers"][0]["Resources"]["Limits"]["cpu"], "1");
        assert_eq!(parsed["SecurityContext"]["HostNetwork"], true);
        assert!(text.starts_with("{\n \"Volumes\": null,\n \"InitContainers\": null,\n"), "{text}");
        assert!(
            text.contains(" \"Containers\": [\n  {\n   \"Name\": \"c\",\n   \"Image\": \"\",\n")
        );
        assert!(text.contains("\n \"NodeSelector\": {\n  \"a\": \"b\"\n },\n"));
        assert!(text.ends_with("\n}"));
    }

    #[test]
    fn single_values_stand_on_one_line() {
        let template = json!({"metadata": {"labels": {"a": "b: \\\" c"}}, "spec": {}});
        let text = pod_template(&template);
        assert!(
            text.starts_with(r#"{"labels":{"a":"b: \\\" c"},"Spec":{"Volumes":null,"#),
            "{text}"
        );
        assert_eq!(compact("{\"a\": \"x \\\" y\", \n \"b\": 1}"), r#"{"a":"x \" y","b":1}"#);
    }

    #[test]
    fn every_type_that_is_named_is_known() {
        for (_, fields) in TYPES {
            for field in fields.split(',') {
                let holds = field.trim().split_once(' ').map_or("*", |(_, holds)| holds);
                let name = holds.trim_start_matches(['?', '[', ']']);
                let is_odd = [
                    "Affinity",
                    "DNSConfig",
                    "Spread",
                    "WindowsOptions",
                    "SchedulingGroup",
                    "DataSource",
                ];
                assert!(
                    name.len() < 2 || fields_of(name).is_some() || is_odd.contains(&name),
                    "{name}"
                );
            }
        }
    }
}
