//! Whether a definition in one of Kubernetes' own groups may be there.
//!
//! (kubernetes 1.36: apiextensions-apiserver pkg/apihelpers/helpers.go)

use serde_json::Value;

/// The annotation that says who approved.
pub const ANNOTATION: &str = "api-approved.kubernetes.io";
const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation says; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Neither a URL nor a reason.
    Invalid(String),
    /// A URL.
    Approved(String),
    /// A text that begins with `unapproved`.
    Bypassed(String),
    /// Nothing.
    Missing(String),
}

/// Whether definitions of a group need an approval.
pub fn is_protected_group(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Reads the approval among a definition's annotations.
pub fn approval(annotations: &Value) -> Approval {
    let text = annotations[ANNOTATION].as_str().unwrap_or_default();
    let wanted = format!("protected groups must have approval annotation \"{ANNOTATION}\"");
    if text.is_empty() {
        return Approval::Missing(format!("{wanted}, {SEE}"));
    }
    if text.starts_with("unapproved") {
        return Approval::Bypassed(format!("not approved: {}", Value::from(text)));
    }
    let uri = text.parse::<http::Uri>();
    if uri.is_ok_and(|uri| uri.scheme().is_some() && uri.host().is_some()) {
        return Approval::Approved(format!("approved in {text}"));
    }
    Approval::Invalid(format!(
        "{wanted} with either a URL or a reason starting with \"unapproved\", {SEE}"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_of_kubernetes_are_protected() {
        for (group, protected) in [
            ("k8s.io", true),
            ("sigs.k8s.io", true),
            ("a.kubernetes.io", true),
            ("cluster.x-k8s.io", false),
            ("example.com", false),
        ] {
            assert_eq!(is_protected_group(group), protected, "{group}");
        }
    }

    #[test]
    fn urls_approve_and_reasons_bypass() {
        let of = |text: &str| approval(&json!({ ANNOTATION: text }));
        assert!(matches!(of("https://github.com/kubernetes/x/pull/1"), Approval::Approved(_)));
        assert!(matches!(of("unapproved, experimental"), Approval::Bypassed(_)));
        assert!(matches!(of("pending"), Approval::Invalid(_)));
        assert!(matches!(approval(&Value::Null), Approval::Missing(_)));
    }
}
