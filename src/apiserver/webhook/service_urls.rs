//! Where the webhooks of Services listen that run outside, as the user says it.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

/// Namespace and name of a Service.
type Service = (String, String);
/// Host and port.
type Address = (String, u16);

/// Addresses of Services, by namespace and name; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceUrls {
    /// Set once, when the server is configured; read by calls to webhooks.
    by_service: Option<Arc<BTreeMap<Service, Address>>>,
    /// PEM of the authority whose certificates these Services may present where a configuration
    /// says nothing about it; empty for none. Set with the addresses.
    authority: Arc<[u8]>,
}

/// What is wrong with `NAMESPACE/NAME=URL`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceUrlsError {
    /// The text has another form.
    #[error("expected NAMESPACE/NAME=https://HOST[:PORT], not {0:?}")]
    Form(String),
    /// Webhooks are called by https only.
    #[error("the URL of {0} must begin with https://")]
    Scheme(String),
}

/// One address, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUrl {
    namespace: String,
    name: String,
    host: String,
    port: u16,
}

impl ServiceUrl {
    /// Namespace of the Service.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Name of the Service.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is instead: a host name or an address.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl std::fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}=https://{}:{}", self.namespace, self.name, self.host, self.port)
    }
}

impl FromStr for ServiceUrl {
    type Err = ServiceUrlsError;

    /// Reads `NAMESPACE/NAME=https://HOST[:PORT]`; the port is 443 if there is none. Paths come
    /// from the webhook's configuration.
    fn from_str(text: &str) -> Result<Self, ServiceUrlsError> {
        let malformed = || ServiceUrlsError::Form(text.to_owned());
        let (service, url) = text.split_once('=').ok_or_else(malformed)?;
        let (namespace, name) = service.split_once('/').ok_or_else(malformed)?;
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(malformed());
        }
        let url: http::Uri = url.parse().map_err(|_| malformed())?;
        if url.scheme_str() != Some("https") {
            return Err(ServiceUrlsError::Scheme(service.to_owned()));
        }
        let host = url.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(malformed());
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(443),
        })
    }
}

impl FromIterator<ServiceUrl> for ServiceUrls {
    /// The last address of a Service wins.
    fn from_iter<I: IntoIterator<Item = ServiceUrl>>(urls: I) -> Self {
        let by_service: BTreeMap<_, _> =
            urls.into_iter().map(|url| ((url.namespace, url.name), (url.host, url.port))).collect();
        Self {
            by_service: (!by_service.is_empty()).then(|| Arc::new(by_service)),
            authority: Arc::default(),
        }
    }
}

impl ServiceUrls {
    /// The same addresses, whose servers may present certificates of this authority (PEM) wherever
    /// a `clientConfig` has no `caBundle`.
    #[must_use]
    pub fn with_authority(self, pem: &str) -> Self {
        Self { authority: pem.as_bytes().into(), ..self }
    }

    /// The authority to believe where a configuration names none.
    pub(super) fn authority(&self) -> &Arc<[u8]> {
        &self.authority
    }

    /// Host and port of a Service.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Address> {
        // A map of pairs cannot be asked with borrowed halves; calls to webhooks are slow anyway.
        self.by_service.as_ref()?.get(&(namespace.to_owned(), name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_typed() {
        let urls: ServiceUrls =
            ["a/b=https://127.0.0.1:9443", "a/c=https://hook", "a/d=https://[::1]:1/"]
                .iter()
                .map(|text| text.parse::<ServiceUrl>().unwrap())
                .collect();
        assert_eq!(urls.get("a", "b"), Some(&("127.0.0.1".to_owned(), 9443)));
        assert_eq!(urls.get("a", "c"), Some(&("hook".to_owned(), 443)));
        assert_eq!(urls.get("a", "d"), Some(&("::1".to_owned(), 1)));
        assert_eq!(urls.get("b", "b"), None);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a=https://b", "a/b", "/b=https://c", "a/b/c=https://d", "a/b=https://c/d"]
        {
            let error = text.parse::<ServiceUrl>().unwrap_err();
            assert_eq!(error, ServiceUrlsError::Form(text.to_owned()), "{text}");
        }
        let error = "a/b=http://c".parse::<ServiceUrl>().unwrap_err();
        assert_eq!(error, ServiceUrlsError::Scheme("a/b".to_owned()));
    }
}
