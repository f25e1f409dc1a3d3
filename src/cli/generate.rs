//! `capim generate`: clusterctl's templates, filled without a network.
//! (CAPI v1.14: cmd/clusterctl/cmd/generate_cluster.go, cmd/clusterctl/client/config.go)

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::error::{CliError, Exit};
use super::output;
use crate::machinery::envsubst::Template;
use crate::machinery::names;
use crate::playground;

/// Longest template that is read.
const TEMPLATE_MAX: u64 = 16 << 20;
/// Kinds without a namespace. (CAPI v1.14: cmd/clusterctl/internal/util/objs.go; ExtensionConfig
/// besides)
const CLUSTER_WIDE: [&str; 17] = [
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "ExtensionConfig",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PodSecurityPolicy",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// `capim generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// What to generate.
    #[command(subcommand)]
    pub kind: GenerateKind,
}

/// What can be generated.
#[derive(Debug, Subcommand)]
pub enum GenerateKind {
    /// Fill a cluster template as `clusterctl generate cluster` does.
    Cluster(GenerateCluster),
}

/// `capim generate cluster`.
#[derive(Debug, Args)]
#[command(after_help = "\
Variables come from flags and from the environment.

Examples:
  capim generate cluster demo --from cluster-template.yaml --kubernetes-version v1.34.0
  capim generate cluster --from cluster-template.yaml --list-variables
  capim generate cluster demo --from - < cluster-template.yaml | kubectl apply -f -")]
pub struct GenerateCluster {
    /// Name of the cluster (CLUSTER_NAME).
    #[arg(required_unless_present = "list_variables")]
    pub name: Option<String>,
    /// The template: a file, or `-` for stdin.
    #[arg(long, value_name = "FILE|-")]
    pub from: PathBuf,
    /// Kubernetes version (KUBERNETES_VERSION).
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    /// Control plane machines (CONTROL_PLANE_MACHINE_COUNT); default 1.
    #[arg(long, value_name = "N")]
    pub control_plane_machine_count: Option<i64>,
    /// Worker machines (WORKER_MACHINE_COUNT); default 0.
    #[arg(long, value_name = "N")]
    pub worker_machine_count: Option<i64>,
    /// Namespace of the cluster (NAMESPACE).
    #[arg(
        short = 'n',
        long = "target-namespace",
        alias = "namespace",
        value_name = "NAMESPACE",
        default_value = "default"
    )]
    pub target_namespace: String,
    /// List the variables of the template instead of filling it.
    #[arg(long)]
    pub list_variables: bool,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub write_to: Option<PathBuf>,
}

pub(super) fn run(generate: &GenerateCluster) -> Result<ExitCode, CliError> {
    let text = read(&generate.from)?;
    let template = Template::parse(&text).map_err(usage)?;
    if generate.list_variables {
        output::write(listed(&template.variables()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let own = variables(generate, &environment).map_err(usage)?;
    let value = |name: &str| own.get(name).cloned().or_else(|| environment(name));
    let filled = template.fill(&value).map_err(usage)?;
    let file = generate.from.display().to_string();
    let manifests = playground::parse_manifests(&file, &filled)
        .map_err(|error| usage(format!("failed to read the filled template: {error}")))?;
    let objects = manifests.into_iter().map(|manifest| manifest.object);
    let objects = objects.map(|object| in_namespace(object, &generate.target_namespace));
    let documents: Vec<String> = objects
        .map(|object| serde_saphyr::to_string(&object).map(|text| text.trim_end().to_owned()))
        .collect::<Result<_, _>>()
        .map_err(CliError::other)?;
    let written = documents.join("\n---\n") + "\n";
    match &generate.write_to {
        None => output::write(written)?,
        Some(path) => std::fs::write(path, written).map_err(|error| {
            CliError::other(format!("failed to write {}: {error}", path.display()))
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn usage(message: String) -> CliError {
    CliError::new("E001", Exit::Usage, message)
}

fn read(from: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let failed = |error: std::io::Error| {
        let message = format!("failed to read the template {}: {error}", from.display());
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Other,
        };
        CliError::new("E001", exit, message)
    };
    // One byte more tells a template that is too long.
    let read = if from.as_os_str() == "-" {
        std::io::stdin().lock().take(TEMPLATE_MAX + 1).read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(from).map_err(failed)?;
        file.take(TEMPLATE_MAX + 1).read_to_string(&mut text)
    };
    read.map_err(failed)?;
    if text.len() as u64 > TEMPLATE_MAX {
        return Err(usage(format!("the template {} is larger than 16 MiB", from.display())));
    }
    Ok(text)
}

/// The variables that flags set; counts have defaults.
fn variables(
    generate: &GenerateCluster,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<&'static str, String>, String> {
    let mut found = BTreeMap::new();
    let namespace = &generate.target_namespace;
    if let Some(error) = names::check_label(namespace).first() {
        return Err(format!("invalid target-namespace: {error}"));
    }
    found.insert("NAMESPACE", namespace.clone());
    let name = generate.name.clone().unwrap_or_default();
    if let Some(error) = names::check_subdomain(&name).first() {
        return Err(format!("invalid cluster name: {error}"));
    }
    found.insert("CLUSTER_NAME", name);
    if let Some(version) = &generate.kubernetes_version {
        let numbers = version.strip_prefix('v').unwrap_or(version);
        let end = numbers.find(['-', '+']).unwrap_or(numbers.len());
        let parts: Vec<&str> = numbers[..end].split('.').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.parse::<u32>().is_err()) {
            let error = "invalid KubernetesVersion. Please use a semantic version number";
            return Err(error.to_owned());
        }
        found.insert("KUBERNETES_VERSION", version.clone());
    }
    let counts = [
        ("CONTROL_PLANE_MACHINE_COUNT", "ControlPlaneMachineCount", 1),
        ("WORKER_MACHINE_COUNT", "WorkerMachineCount", 0),
    ];
    let given = [generate.control_plane_machine_count, generate.worker_machine_count];
    for ((variable, shown, least), given) in counts.into_iter().zip(given) {
        let count = match (given, environment(variable)) {
            (Some(count), _) => count,
            (None, None) => least,
            (None, Some(text)) => {
                text.parse().map_err(|_| format!("invalid value for {variable} set"))?
            }
        };
        if count < least {
            return Err(format!(
                "invalid {shown}. Please use a number greater than or equal to {least}"
            ));
        }
        found.insert(variable, count.to_string());
    }
    Ok(found)
}

/// Variables as clusterctl lists them.
fn listed(variables: &BTreeMap<String, Option<String>>) -> String {
    let mut text = String::new();
    let required: Vec<&String> =
        variables.iter().filter(|(_, default)| default.is_none()).map(|(name, _)| name).collect();
    if !required.is_empty() {
        text.push_str("Required Variables:\n");
        for name in required {
            text.push_str(&format!("  - {name}\n"));
        }
    }
    let optional: Vec<(&String, &String)> =
        variables.iter().filter_map(|(name, default)| Some((name, default.as_ref()?))).collect();
    if !optional.is_empty() {
        text.push_str("\nOptional Variables:\n");
        let width = optional.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, default) in optional {
            let space = " ".repeat(width - name.chars().count());
            text.push_str(&format!("  - {name}{space}  (defaults to {default})\n"));
        }
    }
    text.push('\n');
    text
}

/// Puts an object into the namespace of the cluster.
fn in_namespace(mut object: Value, namespace: &str) -> Value {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "ClusterRoleBinding" | "RoleBinding") {
        let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
        for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
            if subject.get("namespace").is_some_and(|held| held != "") {
                subject.insert("namespace".to_owned(), namespace.into());
            }
        }
    }
    let field = match kind.as_str() {
        "Namespace" => "name",
        kind if CLUSTER_WIDE.contains(&kind) => return object,
        _ => "namespace",
    };
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(field.to_owned(), namespace.into());
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn generate() -> GenerateCluster {
        GenerateCluster {
            name: Some("demo".into()),
            from: PathBuf::from("t.yaml"),
            kubernetes_version: Some("v1.34.0".into()),
            control_plane_machine_count: None,
            worker_machine_count: Some(2),
            target_namespace: "ns".into(),
            list_variables: false,
            write_to: None,
        }
    }

    #[test]
    fn flags_win_over_the_environment_and_counts_have_defaults() {
        let environment = |name: &str| {
            ["CONTROL_PLANE_MACHINE_COUNT", "WORKER_MACHINE_COUNT"]
                .contains(&name)
                .then(|| "3".to_owned())
        };
        let found = variables(&generate(), &environment).expect("valid");
        assert_eq!(found["CONTROL_PLANE_MACHINE_COUNT"], "3");
        assert_eq!(found["WORKER_MACHINE_COUNT"], "2");
        assert_eq!((&*found["NAMESPACE"], &*found["CLUSTER_NAME"]), ("ns", "demo"));
        let found = variables(&generate(), &|_| None).expect("valid");
        assert_eq!(found["CONTROL_PLANE_MACHINE_COUNT"], "1");
    }

    #[test]
    fn wrong_flags_are_refused_in_clusterctls_words() {
        let refused = |change: fn(&mut GenerateCluster)| {
            let mut changed = generate();
            change(&mut changed);
            variables(&changed, &|_| None).unwrap_err()
        };
        assert_eq!(
            refused(|it| it.kubernetes_version = Some("latest".into())),
            "invalid KubernetesVersion. Please use a semantic version number"
        );
        assert_eq!(
            refused(|it| it.control_plane_machine_count = Some(0)),
            "invalid ControlPlaneMachineCount. Please use a number greater than or equal to 1"
        );
        assert!(refused(|it| it.name = Some("A b".into())).starts_with("invalid cluster name: "));
    }

    #[test]
    fn variables_are_listed_as_clusterctl_lists_them() {
        let template = Template::parse("${B} ${A:=1} ${LONGER:=x}").expect("parses");
        assert_eq!(
            listed(&template.variables()),
            "Required Variables:\n  - B\n\nOptional Variables:\n  - A       (defaults to 1)\n  - \
             LONGER  (defaults to x)\n\n"
        );
    }

    #[test]
    fn objects_go_to_the_namespace() {
        let object = |kind: &str| json!({"kind": kind, "metadata": {"name": "n"}});
        assert_eq!(in_namespace(object("Cluster"), "ns")["metadata"]["namespace"], "ns");
        assert_eq!(in_namespace(object("Namespace"), "ns")["metadata"]["name"], "ns");
        assert_eq!(in_namespace(object("ClusterRole"), "ns"), object("ClusterRole"));
    }
}
