//! `spec.files` and `spec.users` with their references resolved.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::cloud_init::File;
use crate::client::{Client, ObjectKey};
use crate::machinery::gotemplate::Template;
use crate::machinery::kubeadm::is_empty;

/// Resolves files; `control_plane_version` (empty if unknown) feeds contents of format `Template`.
/// (CAPI v1.14: template.go)
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
            content = render(&text("path"), &content, control_plane_version)
                .map_err(|error| format!("failed to render templates: {error}"))?;
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

/// How long a rendered file may be.
const RENDERED_BYTES_MAX: usize = 1 << 20;

/// Renders a template. Its data has `controlPlane.version` where that is known, as upstream's.
fn render(path: &str, content: &str, control_plane_version: &str) -> Result<String, String> {
    let template = Template::parse(path, content)
        .map_err(|error| format!("failed to parse template for file {path:?}: {error}"))?;
    let data = match control_plane_version {
        "" => json!({}),
        version => json!({"controlPlane": {"version": normalised(version)}}),
    };
    let failed = |error: String| format!("failed to execute template for file {path:?}: {error}");
    let rendered = template.execute(&data).map_err(failed)?;
    if rendered.len() > RENDERED_BYTES_MAX {
        let error = format!("rendered output exceeds the {RENDERED_BYTES_MAX} byte limit");
        return Err(failed(error));
    }
    Ok(rendered)
}

/// A version as `vMAJOR.MINOR.PATCH`, whatever of that is missing.
fn normalised(version: &str) -> String {
    let bare = version.strip_prefix('v').unwrap_or(version);
    let end = bare.find(['-', '+']).unwrap_or(bare.len());
    let (core, rest) = bare.split_at(end);
    let missing = 2_usize.saturating_sub(core.matches('.').count());
    format!("v{core}{}{rest}", ".0".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_know_the_control_plane_version() {
        let render = |content: &str, version: &str| super::render("/a", content, version);
        assert_eq!(render("a {{ .controlPlane.version }} b", "v1.34.0").unwrap(), "a v1.34.0 b");
        assert_eq!(render("{{ .controlPlane.version }}", "1.35").unwrap(), "v1.35.0");
        assert_eq!(render("plain", "").unwrap(), "plain");
        let optional = "{{ if .controlPlane }}{{ .controlPlane.version }}{{ else }}none{{ end }}";
        assert_eq!(render(optional, "").unwrap(), "none");
        let error = render("{{ .controlPlane", "v1").unwrap_err();
        assert!(error.starts_with("failed to parse template for file \"/a\": template: /a:1"));
    }

    #[test]
    fn versions_are_whole() {
        for (version, whole) in
            [("1.35", "v1.35.0"), ("v1", "v1.0.0"), ("v1.34.1-rc.0", "v1.34.1-rc.0")]
        {
            assert_eq!(normalised(version), whole);
        }
    }
}
