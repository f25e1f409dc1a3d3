//! Kubeconfig files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::CertifiedKey;

/// Renders a kubeconfig with one cluster, user and context.
pub struct Kubeconfig<'a> {
    /// Cluster name, e.g. `capim` or the Cluster's name.
    pub cluster: &'a str,
    /// User name, e.g. `<cluster>-admin`.
    pub user: &'a str,
    /// Context name, e.g. `<user>@<cluster>`.
    pub context: &'a str,
    /// Server URL.
    pub server: &'a str,
    /// CA certificate, PEM.
    pub certificate_authority_pem: &'a str,
    /// Client certificate and key.
    pub client: &'a CertifiedKey,
}

impl Kubeconfig<'_> {
    /// The file's YAML text, with all certificates embedded; keys in client-go's order.
    pub fn to_yaml(&self) -> String {
        let authority = STANDARD.encode(self.certificate_authority_pem);
        let certificate = STANDARD.encode(&self.client.certificate_pem);
        let key = STANDARD.encode(&self.client.key_pem);
        let (server, cluster) = (scalar(self.server), scalar(self.cluster));
        let (user, context) = (scalar(self.user), scalar(self.context));
        format!(
            "apiVersion: v1\n\
             clusters:\n\
             - cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n  name: {cluster}\n\
             contexts:\n\
             - context:\n    cluster: {cluster}\n    user: {user}\n  name: {context}\n\
             current-context: {context}\n\
             kind: Config\n\
             users:\n\
             - name: {user}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {key}\n"
        )
    }
}

/// A YAML scalar that reads back as this very string: plain where that is safe, else in quotes.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let starts_plain = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let stays_plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | ':'))
        && !text.ends_with(':');
    if starts_plain && stays_plain && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    // A JSON string is a YAML double-quoted scalar.
    serde_json::Value::from(text).to_string()
}
