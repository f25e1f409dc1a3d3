//! Windows: options of its containers, and what its pods do not have.
//! (kubernetes 1.36: pkg/apis/core/validation/validation.go, validateWindows)

use serde_json::Value;

use super::containers_of;
use crate::apiserver::strategy::fields::text;
use crate::apiserver::strategy::formats;
use crate::apiserver::strategy::report::{Path, Report};

const SYSTEMS: &[&str] = &["linux", "windows"];
const CREDENTIAL_MAX: usize = 64 * 1024;
const DOMAIN_MAX: usize = 256;
const USER_MAX: usize = 104;
const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";
/// Fields of a pod's spec and of its security context that Windows does not know.
const POD_FIELDS: [&str; 4] = ["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"];
const CONTEXT_FIELDS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "seLinuxChangePolicy",
];
const CONTAINER_FIELDS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// Checks the options of a security context.
pub(super) fn options(report: &mut Report, path: &Path<'_>, options: &Value) {
    if !options.is_object() {
        return;
    }
    if let Some(name) = options["gmsaCredentialSpecName"].as_str() {
        formats::subdomain(report, &path.field("gmsaCredentialSpecName"), name);
    }
    if let Some(spec) = options["gmsaCredentialSpec"].as_str() {
        let place = path.field("gmsaCredentialSpec");
        if spec.is_empty() {
            report.invalid_text(place, spec, "gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > CREDENTIAL_MAX {
            report.invalid_text(place, spec, "gmsaCredentialSpec size must be under 64 KiB");
        }
    }
    if let Some(name) = options["runAsUserName"].as_str() {
        let place = path.field("runAsUserName");
        report.invalid_texts(place, name, user_name(name));
    }
}

fn user_name(name: &str) -> Vec<&'static str> {
    if name.is_empty() {
        return vec!["runAsUserName cannot be an empty string"];
    }
    if name.chars().any(char::is_control) {
        return vec!["runAsUserName cannot contain control characters"];
    }
    let (domain, user) = match name.split_once('\\') {
        None => (None, name),
        Some((_, user)) if user.contains('\\') => {
            return vec!["runAsUserName cannot contain more than one backslash"];
        }
        Some((domain, user)) => (Some(domain), user),
    };
    let mut reasons = Vec::new();
    if domain.is_some_and(|domain| domain.len() >= DOMAIN_MAX) {
        reasons.push("runAsUserName's Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !is_netbios(domain) && !is_dns(domain)) {
        reasons.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        reasons.push("runAsUserName's User cannot be empty");
    } else if user.len() > USER_MAX {
        reasons.push("runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        reasons.push("runAsUserName's User cannot contain only periods or spaces");
    }
    if user
        .contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']'])
    {
        reasons.push(
            "runAsUserName's User cannot contain the following characters: \
             \"/\\:;|=,+*?<>@[]",
        );
    }
    reasons
}

fn is_netbios(domain: &str) -> bool {
    let illegal = ['\\', '/', ':', '*', '?', '"', '<', '>', '|'];
    !domain.is_empty()
        && !domain.starts_with('.')
        && domain.chars().count() <= 15
        && !domain.contains(illegal)
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let ends = label.as_bytes();
        (1..=63).contains(&label.len())
            && ends[0].is_ascii_alphanumeric()
            && ends[ends.len() - 1].is_ascii_alphanumeric()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Either all containers of a pod are processes of the host, or none.
pub(super) fn host_processes(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let of_pod = spec["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
    let (mut all, mut of_host) = (0, 0);
    for (list, index, container) in containers_of(spec) {
        all += 1;
        let own = container["securityContext"]["windowsOptions"]["hostProcess"].as_bool();
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let why =
                format!("pod hostProcess value must be identical if both are specified, was {pod}");
            let place = path.field(list);
            let place = place.index(index);
            let place = place.field("securityContext");
            let place = place.field("windowsOptions");
            report.shown(place.field("hostProcess"), &own.to_string(), &why);
        }
        of_host += usize::from(own.or(of_pod) == Some(true));
    }
    if of_host == 0 {
        return;
    }
    if of_host != all {
        let why = "If pod contains any hostProcess containers then all containers must be \
                   HostProcess containers";
        report.invalid_text(path, "", why);
    }
    if spec["hostNetwork"] != true {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        report.shown(path.field("hostNetwork"), "false", why);
    }
}

/// Checks the operating system, and what it does not know.
pub(super) fn system(report: &mut Report, path: &Path<'_>, spec: &Value) {
    if !spec["os"].is_object() {
        return;
    }
    let place = path.field("os");
    match text(&spec["os"], "name") {
        "" => report.required(place.field("name"), "cannot be empty"),
        "linux" => linux(report, path, spec),
        "windows" => windows(report, path, spec),
        other => report.unsupported(place, other, SYSTEMS),
    }
}

fn linux(report: &mut Report, path: &Path<'_>, spec: &Value) {
    let why = "windows options cannot be set for a linux pod";
    if !spec["securityContext"]["windowsOptions"].is_null() {
        report.forbidden(path.field("securityContext").field("windowsOptions"), why);
    }
    for (list, index, container) in containers_of(spec) {
        if !container["securityContext"]["windowsOptions"].is_null() {
            let place = path.field(list);
            let place = place.index(index);
            report.forbidden(place.field("securityContext").field("windowsOptions"), why);
        }
    }
}

fn windows(report: &mut Report, path: &Path<'_>, spec: &Value) {
    for name in POD_FIELDS {
        // The host's namespaces are no pointers in Go: false is nothing.
        let optional = matches!(name, "hostUsers" | "shareProcessNamespace");
        if spec[name] == true || optional && !spec[name].is_null() {
            report.forbidden(path.field(name), NOT_ON_WINDOWS);
        }
    }
    let context = path.field("securityContext");
    for name in CONTEXT_FIELDS.iter().chain(&["supplementalGroupsPolicy"]) {
        if !spec["securityContext"][*name].is_null() {
            report.forbidden(context.field(name), NOT_ON_WINDOWS);
        }
    }
    for (list, index, container) in containers_of(spec) {
        let place = path.field(list);
        let place = place.index(index);
        let place = place.field("securityContext");
        for name in CONTAINER_FIELDS {
            if !container["securityContext"][name].is_null() {
                report.forbidden(place.field(name), NOT_ON_WINDOWS);
            }
        }
    }
}
