//! Security contexts of pods and containers.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, ValidateSecurityContext)

use serde_json::Value;

use super::paths::descending;
use super::windows;
use crate::apiserver::strategy::fields::{items, text};
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];
const GROUP_CHANGES: &[&str] = &["Always", "OnRootMismatch"];
const GROUP_POLICIES: &[&str] = &["Merge", "Strict"];
const SELINUX_CHANGES: &[&str] = &["MountOption", "Recursive"];
const PROC_MOUNTS: &[&str] = &["Default", "Unmasked"];
/// Longest path of a profile on a node.
const PROFILE_MAX: usize = 4095;
/// Longest name of a kernel parameter.
const SYSCTL_MAX: usize = 253;

/// Fields of the Go struct, in the order in which errors show them.
const CONTEXT_FIELDS: [(&str, &str); 12] = [
    ("Capabilities", "capabilities"),
    ("Privileged", "privileged"),
    ("SELinuxOptions", "seLinuxOptions"),
    ("WindowsOptions", "windowsOptions"),
    ("RunAsUser", "runAsUser"),
    ("RunAsGroup", "runAsGroup"),
    ("RunAsNonRoot", "runAsNonRoot"),
    ("ReadOnlyRootFilesystem", "readOnlyRootFilesystem"),
    ("AllowPrivilegeEscalation", "allowPrivilegeEscalation"),
    ("ProcMount", "procMount"),
    ("SeccompProfile", "seccompProfile"),
    ("AppArmorProfile", "appArmorProfile"),
];

/// Checks a container's context. Whether it may be privileged is the server's business
/// (`strategy::privileged`).
pub(super) fn container(report: &mut Report, path: &Path<'_>, container: &Value, spec: &Value) {
    let context = &container["securityContext"];
    if !context.is_object() {
        return;
    }
    for name in ["runAsUser", "runAsGroup"] {
        formats::posix_id(report, &path.field(name), &context[name]);
    }
    let place = path.field("procMount");
    report.one_of(place, &context["procMount"], PROC_MOUNTS);
    if context["procMount"] == "Unmasked" && spec["hostUsers"] != false {
        let why = "`hostUsers` must be false to use `Unmasked`";
        report.invalid_text(place, "Unmasked", why);
    }
    seccomp(report, &path.field("seccompProfile"), &context["seccompProfile"]);
    if context["allowPrivilegeEscalation"] == false {
        if context["privileged"] == true {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            report.shown(path, &shown(context), why);
        }
        let added = items(&context["capabilities"]["add"]);
        for _ in added.filter(|capability| **capability == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` \
                       CAP_SYS_ADMIN";
            report.shown(path, &shown(context), why);
        }
    }
    windows::options(report, &path.field("windowsOptions"), &context["windowsOptions"]);
    app_armor(report, &path.field("appArmorProfile"), &context["appArmorProfile"]);
}

/// A context as errors show it: Kubernetes' internal struct, which has names of its own.
fn shown(context: &Value) -> String {
    let members: Vec<String> = CONTEXT_FIELDS
        .iter()
        .map(|(shown, field)| {
            let value = match *field {
                "capabilities" if context[*field].is_object() => {
                    let list = |name: &str| context[*field][name].to_string();
                    format!("{{\"Add\":{},\"Drop\":{}}}", list("add"), list("drop"))
                }
                "seccompProfile" | "appArmorProfile" if context[*field].is_object() => {
                    let profile = &context[*field];
                    let (kind, path) = (&profile["type"], &profile["localhostProfile"]);
                    format!("{{\"Type\":{kind},\"LocalhostProfile\":{path}}}")
                }
                _ => context[*field].to_string(),
            };
            format!("\"{shown}\":{value}")
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Checks a pod's context.
pub(super) fn pod(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let context = &spec["securityContext"];
    if spec["shareProcessNamespace"] == true && spec["hostPID"] == true {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        report.shown(path.field("shareProcessNamespace"), "true", why);
    }
    if !context.is_object() {
        return;
    }
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        formats::posix_id(report, &path.field(name), &context[name]);
    }
    let groups = path.field("supplementalGroups");
    for (index, group) in items(&context["supplementalGroups"]).enumerate() {
        formats::posix_id(report, &groups.index(index), group);
    }
    sysctls(report, &path.field("sysctls"), spec);
    report.one_of(
        path.field("fsGroupChangePolicy"),
        &context["fsGroupChangePolicy"],
        GROUP_CHANGES,
    );
    seccomp(report, &path.field("seccompProfile"), &context["seccompProfile"]);
    windows::options(report, &path.field("windowsOptions"), &context["windowsOptions"]);
    app_armor(report, &path.field("appArmorProfile"), &context["appArmorProfile"]);
    let place = path.field("supplementalGroupsPolicy");
    report.one_of(place, &context["supplementalGroupsPolicy"], GROUP_POLICIES);
    let place = path.field("seLinuxChangePolicy");
    report.one_of(place, &context["seLinuxChangePolicy"], SELINUX_CHANGES);
}

fn sysctls(report: &mut Report, list: &Path<'_>, spec: &Value) {
    let mut taken = Vec::new();
    for (index, sysctl) in items(&spec["securityContext"]["sysctls"]).enumerate() {
        let (name, path) = (text(sysctl, "name"), list.index(index));
        let path = path.field("name");
        if name.is_empty() {
            report.required(path, "");
        } else if name.len() > SYSCTL_MAX || !is_sysctl(name) {
            let why = "must have at most 253 characters and match regex \
                       ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            report.invalid_text(path, name, why);
        } else if taken.contains(&name) {
            report.duplicate(path, name);
        }
        let dotted = name.replace('/', ".");
        if spec["hostNetwork"] == true && dotted.starts_with("net.") {
            report.invalid_text(path, name, "may not be specified when 'hostNetwork' is true");
        } else if spec["hostIPC"] == true && is_ipc(&dotted) {
            report.invalid_text(path, name, "may not be specified when 'hostIPC' is true");
        }
        taken.push(name);
    }
}

fn is_sysctl(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.split(['.', '/']).all(|part| {
        part.bytes().next().is_some_and(plain)
            && part.bytes().last().is_some_and(plain)
            && part.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'))
    })
}

fn is_ipc(name: &str) -> bool {
    name == "kernel.sem"
        || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|it| name.starts_with(it))
}

fn seccomp(report: &mut Report, path: &Path<'_>, profile: &Value) {
    if !profile.is_object() {
        return;
    }
    let (kind, local) = (text(profile, "type"), profile["localhostProfile"].as_str());
    match kind {
        "" => report.required(path.field("type"), "type is required when seccompProfile is set"),
        _ => report.one_of(path.field("type"), &profile["type"], PROFILES),
    }
    let place = path.field("localhostProfile");
    match (kind, local) {
        ("Localhost", None) => {
            report.required(place, "must be set when seccomp type is Localhost");
        }
        ("Localhost", Some(local)) => descending(report, &place, local),
        (_, Some(local)) => {
            let shown = format!(
                "{{\"Type\":{},\"LocalhostProfile\":{}}}",
                Value::from(kind),
                Value::from(local)
            );
            report.shown(place, &shown, "can only be set when seccomp type is Localhost");
        }
        (_, None) => {}
    }
}

fn app_armor(report: &mut Report, path: &Path<'_>, profile: &Value) {
    if !profile.is_object() {
        return;
    }
    let place = path.field("localhostProfile");
    let local = profile["localhostProfile"].as_str();
    let needed = "must be set when AppArmor type is Localhost";
    match (text(profile, "type"), local) {
        ("Localhost", None) => report.required(place, needed),
        ("Localhost", Some(local)) => {
            if local.trim() != local {
                report.invalid_text(place, local, "must not be padded with whitespace");
            } else if local.is_empty() {
                report.required(place, needed);
            }
            if local.len() > PROFILE_MAX {
                report.too_long(place, PROFILE_MAX);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(local)) => {
            let why = "can only be set when AppArmor type is Localhost";
            report.invalid_text(place, local, why);
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => {
            report.required(path.field("type"), "type is required when appArmorProfile is set");
        }
        (other, _) => report.unsupported(path.field("type"), other, PROFILES),
    }
}
