//! Templates of Machines' names. (CAPI v1.14: core/webhooks/admission/machinedeployment.go,
//! controlplane/kubeadm/webhooks/admission/kubeadmcontrolplane.go)

use serde_json::{Value, json};

use super::bootstrap::invalid;
use crate::machinery::status::Cause;
use crate::machinery::{name_template, names};

/// Stands for what is drawn when a name is made.
const RANDOM: &str = "bcdfg";

/// Checks the template of Machines' names at `path`, with an owner (`machineSet` or
/// `kubeadmControlPlane`) and a cluster of its own.
pub(super) fn validate_machine_naming(template: &Value, path: &str, owner: &str) -> Vec<Cause> {
    let Some(text) = template.as_str().filter(|text| !text.is_empty()) else { return Vec::new() };
    let mut causes = Vec::new();
    let mut refuse = |detail: &str| {
        let detail = format!("invalid template{detail}");
        causes.push(invalid(path.to_owned(), template, &detail));
    };
    if !text.contains("{{ .random }}") {
        refuse(", {{ .random }} is missing");
    }
    let mut data = json!({"cluster": {"name": "cluster"}, "random": RANDOM});
    data[owner] = json!({"name": owner.to_lowercase()});
    match name_template::render(text, &data, RANDOM) {
        Err(error) => refuse(&format!(": {error}")),
        Ok(name) => {
            for error in names::check_subdomain(&name) {
                refuse(&format!(
                    ", generated names would not be valid Kubernetes object names: {error}"
                ));
            }
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(template: &str) -> Vec<String> {
        let causes = validate_machine_naming(&json!(template), "t", "machineSet");
        causes.into_iter().map(|cause| cause.message).collect()
    }

    #[test]
    fn templates_are_executed() {
        let good = [
            "",
            "{{ .machineSet.name }}-{{ .random }}",
            "{{.cluster.name}}-{{ .random }}",
            "{{ printf \"%.3s\" .cluster.name }}-{{ .random }}",
        ];
        for template in good {
            assert_eq!(refused(template), [""; 0], "{template}");
        }
        let unknown = refused("{{ .kubeadmControlPlane.name }}-{{ .random }}");
        assert_eq!(unknown.len(), 1);
        assert!(unknown[0].contains("invalid template: rendering template: "), "{unknown:?}");
        let [missing] = &refused("{{ .cluster.name }}")[..] else { panic!("one cause") };
        assert!(missing.ends_with("invalid template, {{ .random }} is missing"), "{missing}");
        let [open] = &refused("{{ .random }}{{")[..] else { panic!("one cause") };
        assert!(open.contains("invalid template: parsing template "), "{open}");
        assert!(refused("A_{{ .random }}")[0].contains("generated names would not be valid"));
    }
}
