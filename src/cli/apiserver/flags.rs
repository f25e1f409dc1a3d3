//! The flags of kube-apiserver 1.36, as Go's pflag reads them: `--name=value`, `--name value`, and
//! `--name` alone for booleans. What has no meaning here is accepted, what kube-apiserver does not
//! know is refused. (kubernetes 1.36: cmd/kube-apiserver/app/options)

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// Nothing or a truth value.
    Bool,
    /// A value.
    Value,
}

/// Flags that have an effect, with what they do.
const USED: &[(&str, Takes, &str)] = &[
    ("advertise-address", Takes::Value, "Address in the Endpoints of the Service kubernetes"),
    ("allow-privileged", Takes::Bool, "Whether containers may be privileged; default false"),
    ("anonymous-auth", Takes::Bool, "Whether requests without credentials are answered at all"),
    ("authorization-mode", Takes::Value, "RBAC, AlwaysAllow (default) or AlwaysDeny"),
    ("bind-address", Takes::Value, "Address to listen on; 127.0.0.1 without it"),
    ("cert-dir", Takes::Value, "Where apiserver.crt and apiserver.key are, or are written to"),
    ("client-ca-file", Takes::Value, "Authorities of client certificates, PEM"),
    ("disable-admission-plugins", Takes::Value, "Admission plug-ins to switch off"),
    ("enable-admission-plugins", Takes::Value, "Admission plug-ins to switch on"),
    ("help", Takes::Bool, "Show this"),
    ("secure-port", Takes::Value, "Port; 0 takes any free one, which is printed; default 6443"),
    ("service-account-issuer", Takes::Value, "Issuer of service account tokens"),
    ("service-account-key-file", Takes::Value, "Keys that verify service account tokens, PEM"),
    ("service-account-signing-key-file", Takes::Value, "Key that signs service account tokens"),
    ("service-cluster-ip-range", Takes::Value, "Addresses of Services; default 10.0.0.0/24"),
    ("tls-cert-file", Takes::Value, "Serving certificate, PEM"),
    ("tls-private-key-file", Takes::Value, "Key of the serving certificate, PEM"),
    ("token-auth-file", Takes::Value, "CSV of static tokens: token,user,uid[,\"group1,group2\"]"),
    ("version", Takes::Bool, "Show the version"),
    ("write-kubeconfig", Takes::Value, "capim's own: write an administrator's kubeconfig"),
];

/// Boolean flags of kube-apiserver that have no effect here.
const IGNORED_BOOL: &str = "
    aggregator-reject-forwarding-redirect audit-log-batch-throttle-enable
    audit-log-compress audit-log-truncate-enabled audit-webhook-batch-throttle-enable
    audit-webhook-truncate-enabled contention-profiling disable-http2-serving
    emulation-forward-compatible enable-aggregator-routing enable-bootstrap-token-auth
    enable-garbage-collector enable-logs-handler enable-priority-and-fairness
    encryption-provider-config-automatic-reload log-json-split-stream log-text-split-stream
    permit-address-sharing permit-port-sharing profiling
    runtime-config-emulation-forward-compatible service-account-extend-token-expiration
    service-account-lookup shutdown-send-retry-after watch-cache";

/// Other flags of kube-apiserver that have no effect here.
const IGNORED_VALUE: &str = "
    admission-control admission-control-config-file
    allow-metric-labels api-audiences apiserver-count audit-log-batch-buffer-size
    audit-log-batch-max-size audit-log-batch-max-wait audit-log-batch-throttle-burst
    audit-log-batch-throttle-qps audit-log-format audit-log-maxage
    audit-log-maxbackup audit-log-maxsize audit-log-mode audit-log-path
    audit-log-truncate-max-batch-size audit-log-truncate-max-event-size audit-log-version
    audit-policy-file audit-webhook-batch-buffer-size audit-webhook-batch-max-size
    audit-webhook-batch-max-wait audit-webhook-batch-throttle-burst
    audit-webhook-batch-throttle-qps
    audit-webhook-config-file audit-webhook-initial-backoff audit-webhook-mode
    audit-webhook-truncate-max-batch-size audit-webhook-truncate-max-event-size
    audit-webhook-version authentication-config authentication-token-webhook-cache-ttl
    authentication-token-webhook-config-file authentication-token-webhook-version
    authorization-config authorization-policy-file authorization-webhook-cache-authorized-ttl
    authorization-webhook-cache-unauthorized-ttl authorization-webhook-config-file
    authorization-webhook-version cloud-config cloud-provider
    coordinated-leadership-lease-duration coordinated-leadership-renew-deadline
    coordinated-leadership-retry-period cors-allowed-origins debug-socket-path
    default-not-ready-toleration-seconds default-unreachable-toleration-seconds
    default-watch-cache-size delete-collection-workers disabled-metrics
    egress-selector-config-file
    emulated-version encryption-provider-config endpoint-reconciler-type etcd-cafile etcd-certfile
    etcd-compaction-interval etcd-count-metric-poll-period etcd-db-metric-poll-interval
    etcd-healthcheck-timeout etcd-keyfile etcd-prefix etcd-readycheck-timeout etcd-servers
    etcd-servers-overrides event-ttl external-hostname feature-gates goaway-chance
    http2-max-streams-per-connection kubelet-certificate-authority kubelet-client-certificate
    kubelet-client-key kubelet-port kubelet-preferred-address-types kubelet-read-only-port
    kubelet-timeout kubernetes-service-node-port lease-reuse-duration-seconds livez-grace-period
    log-flush-frequency log-json-info-buffer-size log-text-info-buffer-size logging-format
    max-connection-bytes-per-sec max-mutating-requests-inflight max-requests-inflight
    min-compatibility-version min-request-timeout oidc-ca-file oidc-client-id oidc-groups-claim
    oidc-groups-prefix oidc-issuer-url oidc-required-claim oidc-signing-algs oidc-username-claim
    oidc-username-prefix peer-advertise-ip peer-advertise-port peer-ca-file
    proxy-client-cert-file proxy-client-key-file request-timeout
    requestheader-allowed-names requestheader-client-ca-file
    requestheader-extra-headers-prefix requestheader-group-headers requestheader-uid-headers
    requestheader-username-headers runtime-config
    service-account-jwks-uri service-account-max-token-expiration
    service-account-signing-endpoint service-node-port-range
    show-hidden-metrics-for-version shutdown-delay-duration shutdown-send-retry-after
    shutdown-watch-termination-grace-period storage-backend
    storage-initialization-timeout storage-media-type strict-transport-security-directives
    tls-cipher-suites tls-curve-preferences tls-min-version tls-sni-cert-key
    tracing-config-file v vmodule watch-cache-sizes";

/// Short forms.
const SHORT: &[(&str, &str)] = &[("h", "help"), ("v", "v")];

/// The flags of one command line.
#[derive(Debug, Default)]
pub(super) struct Flags {
    values: BTreeMap<String, Vec<String>>,
    /// What follows `--`.
    pub(super) command: Vec<String>,
}

impl Flags {
    /// Reads a command line.
    ///
    /// # Errors
    /// What kube-apiserver says about an unknown flag, a missing value or an argument.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut flags = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                flags.command = rest.cloned().collect();
                break;
            }
            let (name, value) = split(argument, arguments)?;
            let value = match (takes(name), value) {
                (None, _) => return Err(format!("unknown flag: --{name}")),
                (Some(Takes::Bool), None) => "true".to_owned(),
                (Some(Takes::Bool), Some(value)) => truth(name, value)?.to_string(),
                (Some(Takes::Value), Some(value)) => value.to_owned(),
                (Some(Takes::Value), None) => match rest.next() {
                    Some(value) => value.clone(),
                    None => return Err(format!("flag needs an argument: --{name}")),
                },
            };
            flags.values.entry(name.to_owned()).or_default().push(value);
        }
        Ok(flags)
    }

    /// The last value of a flag; an empty one counts as none.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        debug_assert!(USED.iter().any(|(used, _, _)| *used == name), "{name} is not in the table");
        self.all(name).last().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All values of a flag.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The values of a flag that takes lists separated by commas.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let values = self.all(name).iter().flat_map(|value| value.split(','));
        values.map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    /// Whether a boolean flag is set.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.last(name) == Some("true")
    }

    /// Given flags that have no effect.
    pub(super) fn ignored(&self) -> Vec<&str> {
        let names = self.values.keys().map(String::as_str);
        names.filter(|name| USED.iter().all(|(used, _, _)| used != name)).collect()
    }
}

/// Name and value of an argument.
fn split<'a>(
    argument: &'a str,
    arguments: &[String],
) -> Result<(&'a str, Option<&'a str>), String> {
    let (text, is_short) = match (argument.strip_prefix("--"), argument.strip_prefix('-')) {
        (Some(text), _) => (text, false),
        (None, Some(text)) if !text.is_empty() => (text, true),
        _ => {
            let given = arguments.join(" ");
            return Err(format!("\"kube-apiserver\" does not take any arguments, got [{given}]"));
        }
    };
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if !is_short {
        return Ok((name, value));
    }
    match SHORT.iter().find(|(short, _)| *short == name) {
        Some((_, long)) => Ok((long, value)),
        None => Err(format!("unknown shorthand flag: '{name}' in {argument}")),
    }
}

fn takes(name: &str) -> Option<Takes> {
    let listed = |list: &str| list.split_whitespace().any(|known| known == name);
    let used = USED.iter().find(|(used, _, _)| *used == name).map(|(_, takes, _)| *takes);
    used.or_else(|| listed(IGNORED_BOOL).then_some(Takes::Bool))
        .or_else(|| listed(IGNORED_VALUE).then_some(Takes::Value))
}

/// A truth value as Go's strconv.ParseBool reads it.
fn truth(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "invalid argument \"{text}\" for \"--{name}\" flag: strconv.ParseBool: parsing \
             \"{text}\": invalid syntax"
        )),
    }
}

/// The text of `--help`; programs look for flags at the beginnings of its lines.
pub(super) fn help() -> String {
    let mut text = String::from(
        "An API server in the place of kube-apiserver: no etcd, no files, no controllers.\n\n\
         Usage:\n  kube-apiserver [flags]\n  capim apiserver [flags] [-- CMD [ARGUMENTS]]\n\nFlags:\n",
    );
    for (name, takes, what) in USED {
        let shown = match takes {
            Takes::Bool => (*name).to_owned(),
            Takes::Value => format!("{name} string"),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "      --{shown:<42} {what}");
    }
    text.push_str("\nAccepted without effect:\n");
    let mut ignored: Vec<_> = IGNORED_BOOL.split_whitespace().collect();
    ignored.extend(IGNORED_VALUE.split_whitespace());
    ignored.sort_unstable();
    for name in ignored {
        let _ = writeln!(text, "      --{name}");
    }
    text
}
