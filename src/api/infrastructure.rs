//! `infrastructure.cluster.x-k8s.io`: `Dev*` v1beta2 and the older `InMemory*` v1alpha1.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::conditions::{Condition, Deprecated, V1Beta1Condition, is_absent};
use super::core::{ApiEndpoint, FailureDomain, MachineAddress, TemplateMeta};

/// Infrastructure of a cluster.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DevCluster {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: DevClusterSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<DevClusterStatus>,
}

namespaced_kind!(DevCluster, "infrastructure.cluster.x-k8s.io", "v1beta2", "devclusters");

api_struct! {
    /// Desired state of a DevCluster.
    DevClusterSpec {
        /// Where the API server answers.
        control_plane_endpoint: Option<ApiEndpoint>,
        /// What simulates the cluster.
        backend: ClusterBackend,
    }
}
api_struct! {
    /// Backend of a DevCluster; exactly one is set.
    ClusterBackend {
        /// The in-memory backend.
        in_memory: Option<EmptyObject>,
        /// The docker backend, which capim does not run.
        docker: Option<Value>,
    }
}
api_struct! {
    /// An object without fields.
    EmptyObject {
    }
}
api_struct! {
    /// Observed state of a DevCluster.
    DevClusterStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Milestones.
        initialization: Option<InfraInitialization>,
        /// Failure domains.
        failure_domains: Vec<FailureDomain>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
api_struct! {
    /// Milestones of an infrastructure object.
    InfraInitialization {
        /// It exists.
        provisioned: Option<bool>,
    }
}
/// Infrastructure of a machine.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DevMachine {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: DevMachineSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<DevMachineStatus>,
}

namespaced_kind!(DevMachine, "infrastructure.cluster.x-k8s.io", "v1beta2", "devmachines");

api_struct! {
    /// Observed state of a DevMachineTemplate.
    DevMachineTemplateStatus {
        /// What its machines can hold.
        capacity: BTreeMap<String, String>,
    }
}
api_struct! {
    /// Desired state of a DevMachine.
    DevMachineSpec {
        /// Provider id.
        #[serde(rename = "providerID")]
        provider_id: String,
        /// What simulates the machine.
        backend: MachineBackend,
    }
}
api_struct! {
    /// Backend of a DevMachine; exactly one is set.
    MachineBackend {
        /// The in-memory backend.
        in_memory: Option<Behaviour>,
        /// The docker backend, which capim does not run.
        docker: Option<Value>,
    }
}
api_struct! {
    /// How long the parts of a machine take to start.
    Behaviour {
        /// The virtual machine.
        vm: Option<StageBehaviour>,
        /// kubelet and Node.
        node: Option<StageBehaviour>,
        /// kube-apiserver.
        api_server: Option<StageBehaviour>,
        /// etcd member.
        etcd: Option<StageBehaviour>,
    }
}
api_struct! {
    /// Behaviour of one part.
    StageBehaviour {
        /// Provisioning.
        provisioning: StageProvisioning,
    }
}
api_struct! {
    /// Duration of provisioning.
    StageProvisioning {
        /// Go duration, e.g. `30s`.
        startup_duration: String,
        /// A number as a string: up to this fraction of the duration is added.
        startup_jitter: Option<String>,
    }
}
api_struct! {
    /// Observed state of a DevMachine.
    DevMachineStatus {
        /// metav1 conditions.
        conditions: Vec<Condition>,
        /// Milestones.
        initialization: Option<InfraInitialization>,
        /// Failure domain.
        failure_domain: String,
        /// Addresses.
        addresses: Vec<MachineAddress>,
        /// The v1beta1 conditions and counters.
        deprecated: Option<Deprecated>,
    }
}
/// Template of DevClusters.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DevClusterTemplate {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: DevClusterTemplateSpec,
}

namespaced_kind!(
    DevClusterTemplate,
    "infrastructure.cluster.x-k8s.io",
    "v1beta2",
    "devclustertemplates"
);

api_struct! {
    /// Holds the template.
    DevClusterTemplateSpec {
        /// Template.
        template: DevClusterTemplateResource,
    }
}
api_struct! {
    /// The template.
    DevClusterTemplateResource {
        /// Labels and annotations.
        metadata: TemplateMeta,
        /// Spec.
        spec: DevClusterSpec,
    }
}
/// Template of DevMachines.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DevMachineTemplate {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: DevMachineTemplateSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<DevMachineTemplateStatus>,
}

namespaced_kind!(
    DevMachineTemplate,
    "infrastructure.cluster.x-k8s.io",
    "v1beta2",
    "devmachinetemplates"
);

api_struct! {
    /// Holds the template.
    DevMachineTemplateSpec {
        /// Template.
        template: DevMachineTemplateResource,
    }
}
api_struct! {
    /// The template.
    DevMachineTemplateResource {
        /// Labels and annotations.
        metadata: TemplateMeta,
        /// Spec.
        spec: DevMachineSpec,
    }
}
/// Infrastructure of a cluster, as of CAPI v1.5 to v1.9.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InMemoryCluster {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: InMemoryClusterSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<InMemoryClusterStatus>,
}

namespaced_kind!(
    InMemoryCluster,
    "infrastructure.cluster.x-k8s.io",
    "v1alpha1",
    "inmemoryclusters"
);

api_struct! {
    /// Desired state of an InMemoryCluster.
    InMemoryClusterSpec {
        /// Where the API server answers.
        control_plane_endpoint: Option<ApiEndpoint>,
    }
}
api_struct! {
    /// Observed state of an InMemoryCluster.
    InMemoryClusterStatus {
        /// It exists.
        ready: Option<bool>,
        /// v1beta1 conditions.
        conditions: Vec<V1Beta1Condition>,
    }
}
/// Infrastructure of a machine, as of CAPI v1.5 to v1.9.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InMemoryMachine {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: InMemoryMachineSpec,
    /// Observed state.
    #[serde(skip_serializing_if = "is_absent")]
    pub status: Option<InMemoryMachineStatus>,
}

namespaced_kind!(
    InMemoryMachine,
    "infrastructure.cluster.x-k8s.io",
    "v1alpha1",
    "inmemorymachines"
);

api_struct! {
    /// Desired state of an InMemoryMachine.
    InMemoryMachineSpec {
        /// Provider id.
        #[serde(rename = "providerID")]
        provider_id: String,
        /// Durations.
        behaviour: Option<Behaviour>,
    }
}
api_struct! {
    /// Observed state of an InMemoryMachine.
    InMemoryMachineStatus {
        /// It runs.
        ready: Option<bool>,
        /// v1beta1 conditions.
        conditions: Vec<V1Beta1Condition>,
    }
}
/// Template of InMemoryClusters.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InMemoryClusterTemplate {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: InMemoryClusterTemplateSpec,
}

namespaced_kind!(
    InMemoryClusterTemplate,
    "infrastructure.cluster.x-k8s.io",
    "v1alpha1",
    "inmemoryclustertemplates"
);

api_struct! {
    /// Holds the template.
    InMemoryClusterTemplateSpec {
        /// Template.
        template: InMemoryClusterTemplateResource,
    }
}
api_struct! {
    /// The template.
    InMemoryClusterTemplateResource {
        /// Labels and annotations.
        metadata: TemplateMeta,
        /// Spec.
        spec: InMemoryClusterSpec,
    }
}
/// Template of InMemoryMachines.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InMemoryMachineTemplate {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: InMemoryMachineTemplateSpec,
}

namespaced_kind!(
    InMemoryMachineTemplate,
    "infrastructure.cluster.x-k8s.io",
    "v1alpha1",
    "inmemorymachinetemplates"
);

api_struct! {
    /// Holds the template.
    InMemoryMachineTemplateSpec {
        /// Template.
        template: InMemoryMachineTemplateResource,
    }
}
api_struct! {
    /// The template.
    InMemoryMachineTemplateResource {
        /// Labels and annotations.
        metadata: TemplateMeta,
        /// Spec.
        spec: InMemoryMachineSpec,
    }
}

impl StageProvisioning {
    /// The startup duration; an absent one is zero, and a negative one counts as zero, as a wait
    /// of negative length does in Go.
    ///
    /// # Errors
    /// The message of Go's `time.ParseDuration`.
    pub fn startup(&self) -> Result<Duration, String> {
        if self.startup_duration.is_empty() {
            return Ok(Duration::ZERO);
        }
        let nanoseconds = parse_go_duration(&self.startup_duration)?;
        Ok(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)))
    }

    /// The jitter as a fraction of the duration; zero if absent.
    ///
    /// # Errors
    /// Says what a jitter looks like, with the value seen.
    pub fn jitter(&self) -> Result<f64, String> {
        self.startup_jitter.as_deref().map_or(Ok(0.0), parse_jitter)
    }
}

/// Reads a jitter: a finite, non-negative number in a string. The empty string is zero.
///
/// # Errors
/// Says what is expected; for a percentage also how to write it.
pub fn parse_jitter(text: &str) -> Result<f64, String> {
    if text.is_empty() {
        return Ok(0.0);
    }
    match text.parse::<f64>() {
        Ok(jitter) if jitter.is_finite() && jitter >= 0.0 => Ok(jitter),
        _ => {
            let hint = text
                .strip_suffix('%')
                .and_then(|number| number.trim().parse::<f64>().ok())
                .filter(|percent| percent.is_finite() && *percent >= 0.0)
                .map(|percent| format!("; write {text} as \"{}\"", percent / 100.0))
                .unwrap_or_default();
            Err(format!(
                "must be a string with a non-negative number, the fraction of the duration that \
                 is added at most, e.g. \"0.2\"{hint}"
            ))
        }
    }
}

/// Reads a Go duration such as `1m30s` or `1.5h` in nanoseconds. (Go: time.ParseDuration)
///
/// # Errors
/// Go's message.
pub fn parse_go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| c != '.' && !c.is_ascii_digit());
        let (number, after) = rest.split_at(number_end.unwrap_or(rest.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit());
        let (unit, next) = after.split_at(unit_end.unwrap_or(after.len()));
        if unit.is_empty() || fraction.contains('.') {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let scale = go_unit(unit)
            .ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let fraction = if fraction.is_empty() {
            0
        } else {
            // Below a nanosecond nothing counts, so the precision of a double is enough.
            (format!("0.{fraction}").parse::<f64>().map_err(|_| invalid())? * scale as f64) as u64
        };
        total = whole
            .checked_mul(scale)
            .and_then(|part| part.checked_add(fraction))
            .and_then(|part| part.checked_add(total))
            .filter(|sum| *sum <= i64::MAX as u64)
            .ok_or_else(invalid)?;
        rest = next;
    }
    let total = i64::try_from(total).map_err(|_| invalid())?;
    Ok(if negative { -total } else { total })
}

/// Nanoseconds of a unit of Go durations.
fn go_unit(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        let accepted: &[(&str, i64)] = &[
            ("0", 0),
            ("10s", 10_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("-2ms", -2_000_000),
            ("+3us", 3_000),
            ("7\u{b5}s", 7_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ];
        for (text, nanoseconds) in accepted {
            assert_eq!(parse_go_duration(text), Ok(*nanoseconds), "{text}");
        }
        let refused = [
            ("", "time: invalid duration \"\""),
            ("10", "time: missing unit in duration \"10\""),
            ("10 parsecs", "time: unknown unit \" parsecs\" in duration \"10 parsecs\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("s", "time: invalid duration \"s\""),
            (".", "time: invalid duration \".\""),
            ("1.2.3s", "time: missing unit in duration \"1.2.3s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ];
        for (text, message) in refused {
            assert_eq!(parse_go_duration(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn jitter_is_a_non_negative_number_in_a_string() {
        assert_eq!(parse_jitter("0.2"), Ok(0.2));
        assert_eq!(parse_jitter(""), Ok(0.0));
        for text in ["-0.1", "NaN", "inf", "a lot", "20%"] {
            assert!(parse_jitter(text).is_err(), "{text}");
        }
        assert!(parse_jitter("20%").is_err_and(|hint| hint.ends_with("write 20% as \"0.2\"")));
    }

    #[test]
    fn negative_durations_do_not_wait() {
        let stage = StageProvisioning { startup_duration: "-5s".into(), startup_jitter: None };
        assert_eq!(stage.startup(), Ok(Duration::ZERO));
    }
}
