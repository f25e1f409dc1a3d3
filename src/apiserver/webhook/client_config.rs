//! A webhook's `clientConfig`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde_json::Value;

/// Port of a Service reference that names none.
const PORT_DEFAULT: u16 = 443;

/// Where a webhook is, and which certificates it may present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientConfig {
    pub(super) place: Place,
    /// Path without a trailing slash, `/` if there is none.
    path: String,
    /// PEM; empty for the system's roots.
    pub(super) ca_bundle: Arc<[u8]>,
}

/// Host and port, or a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Url { host: String, port: u16, authority: String },
    Service { namespace: String, name: String, port: u16 },
}

impl ClientConfig {
    /// Reads `{url | service, caBundle}`, as webhook configurations and CustomResourceDefinitions
    /// have it.
    ///
    /// # Errors
    /// What is wrong, in upstream's words. Validation leaves little to find.
    pub(crate) fn parse(config: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ca_bundle = STANDARD.decode(text(&config["caBundle"])).unwrap_or_default().into();
        let service = &config["service"];
        if service.is_object() {
            let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            let place = Place::Service {
                namespace: text(&service["namespace"]),
                name: text(&service["name"]),
                port: port.unwrap_or(PORT_DEFAULT),
            };
            return Ok(Self { place, path: clean_path(&text(&service["path"])), ca_bundle });
        }
        let url = text(&config["url"]);
        if url.is_empty() {
            return Err("webhook configuration must have either service or URL".to_owned());
        }
        let uri: Uri = url.parse().map_err(|error| format!("Unparsable URL: {error}"))?;
        if uri.scheme_str() != Some("https") {
            return Err(format!("Unparsable URL: {url} does not begin with https://"));
        }
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
            return Err(format!("Unparsable URL: {url} names no host"));
        };
        let place = Place::Url {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(PORT_DEFAULT),
            authority: authority.to_string(),
        };
        Ok(Self { place, path: clean_path(uri.path()), ca_bundle })
    }

    /// The same place, with a path below its own.
    pub(super) fn below(&self, path: &str) -> Self {
        Self { path: clean_path(&format!("{}/{path}", self.path)), ..self.clone() }
    }

    /// Host and, if it is given, port, as URL and `Host` header show them.
    pub(super) fn authority(&self) -> String {
        match &self.place {
            Place::Url { authority, .. } => authority.clone(),
            Place::Service { namespace, name, port } => format!("{name}.{namespace}.svc:{port}"),
        }
    }

    /// The request target. The time that the webhook has is rounded up to seconds.
    pub(super) fn path_and_query(&self, timeout: Duration) -> String {
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        format!("{}?timeout={seconds}s", self.path)
    }

    /// The URL that errors show.
    pub(super) fn url(&self, timeout: Duration) -> String {
        format!("https://{}{}", self.authority(), self.path_and_query(timeout))
    }
}

/// Go's `path.Join("/", path)`: single slashes, none at the end.
fn clean_path(path: &str) -> String {
    let mut clean = String::from("/");
    for segment in path.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
        if clean.len() > 1 {
            clean.push('/');
        }
        clean.push_str(segment);
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(config: Value, url: &str) {
        let parsed = ClientConfig::parse(&config).unwrap();
        assert_eq!(parsed.url(Duration::from_secs(10)), url, "{config}");
    }

    #[test]
    fn urls_look_as_upstream_shows_them() {
        check(json!({"url": "https://a.b"}), "https://a.b/?timeout=10s");
        check(json!({"url": "https://[::1]:8443/x/"}), "https://[::1]:8443/x?timeout=10s");
        let service =
            |path: &str| json!({"service": {"name": "s", "namespace": "n", "path": path}});
        check(service(""), "https://s.n.svc:443/?timeout=10s");
        check(service("/a//b/"), "https://s.n.svc:443/a/b?timeout=10s");
    }

    #[test]
    fn timeouts_are_rounded_up() {
        let config = ClientConfig::parse(&json!({"url": "https://a"})).unwrap();
        assert_eq!(config.path_and_query(Duration::from_millis(1001)), "/?timeout=2s");
    }

    #[test]
    fn plain_http_and_nothing_are_refused() {
        let error = |config: Value| ClientConfig::parse(&config).unwrap_err();
        assert!(error(json!({"url": "http://a"})).starts_with("Unparsable URL"));
        assert_eq!(error(json!({})), "webhook configuration must have either service or URL");
    }
}
