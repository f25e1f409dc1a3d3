//! `spec.files` and `spec.users` with their references resolved.

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use super::cloud_init::File;
use crate::client::{Client, ObjectKey};
use crate::machinery::kubeadm::is_empty;

/// Resolves files; `control_plane_version` (empty if unknown) feeds contents of format `Template`.
///
/// # Errors
/// A message that names what is missing.
pub(super) async fn resolve_files(
    client: &Client,
    namespace: &str,
    files: &[Value],
    control_plane_version: &str,
) -> Result<Vec<File>, String> {
    let mut resolved = Vec::with_capacity(files.len());
    for file in files {
        let text = |field: &str| file[field].as_str().unwrap_or_default().to_owned();
        let mut content = text("content");
        if !is_empty(&file["contentFrom"]) {
            content = from_secret(client, namespace, &file["contentFrom"]["secret"])
                .await
                .map_err(|error| format!("failed to resolve file source: {error}"))?;
        }
        if file["contentFormat"] == "Template" {
            content = expand(&content, control_plane_version).map_err(|error| {
                format!(
                    "failed to render templates: failed to parse template for file {:?}: {error}",
                    text("path")
                )
            })?;
        }
        resolved.push(File {
            path: text("path"),
            owner: text("owner"),
            permissions: text("permissions"),
            encoding: text("encoding"),
            append: file["append"].as_bool(),
            content,
        });
    }
    Ok(resolved)
}

/// Resolves the passwords of users.
///
/// # Errors
/// A message that names what is missing.
pub(super) async fn resolve_users(
    client: &Client,
    namespace: &str,
    users: &[Value],
) -> Result<Vec<Value>, String> {
    let mut resolved = users.to_vec();
    for user in &mut resolved {
        if !is_empty(&user["passwdFrom"]) {
            let password = from_secret(client, namespace, &user["passwdFrom"]["secret"])
                .await
                .map_err(|error| format!("failed to resolve passwd source: {error}"))?;
            user["passwd"] = password.into();
        }
    }
    Ok(resolved)
}

async fn from_secret(client: &Client, namespace: &str, source: &Value) -> Result<String, String> {
    let field = source["key"].as_str().unwrap_or_default();
    let key = ObjectKey::new(namespace, source["name"].as_str().unwrap_or_default());
    let secret = client
        .get::<Secret>(&key)
        .await
        .map_err(|error| format!("failed to retrieve Secret {:?}: {error}", key.to_string()))?
        .ok_or_else(|| format!("secret not found: {key}"))?;
    let bytes = secret
        .data
        .as_ref()
        .and_then(|data| data.get(field))
        .ok_or_else(|| format!("secret references non-existent secret key: {field:?}"))?;
    Ok(String::from_utf8_lossy(&bytes.0).into_owned())
}

/// Expands `{{ .controlPlane.version }}`, the one value that upstream offers. Other actions of
/// Go's template language are refused.
fn expand(content: &str, control_plane_version: &str) -> Result<String, String> {
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, tail) = after.split_once("}}").ok_or("unclosed action")?;
        if action.trim() != ".controlPlane.version" {
            return Err(format!(
                "{:?} is not supported, only .controlPlane.version is",
                action.trim()
            ));
        }
        out.push_str(before);
        out.push_str(if control_plane_version.is_empty() {
            "<no value>"
        } else {
            control_plane_version
        });
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_control_plane_version_is_expanded() {
        assert_eq!(expand("a {{ .controlPlane.version }} b", "v1.34.0").unwrap(), "a v1.34.0 b");
        assert_eq!(expand("plain", "").unwrap(), "plain");
        assert!(expand("{{ if .x }}", "v1").unwrap_err().contains("not supported"));
        assert!(expand("{{ .controlPlane", "v1").is_err());
    }
}
