//! What a request asks for: resource, verb, name and query, read from its path by hand.

use http::{Method, Uri};
use percent::decode;

/// A request's attributes, as authorization and storage both see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// Whether the path names a resource; otherwise only `path`, `verb` and `query` matter.
    pub is_resource: bool,
    /// Path, not decoded.
    pub path: String,
    /// Kubernetes verb (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`); of non-resource requests the HTTP method in lower case.
    pub verb: &'static str,
    /// API group, `""` for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource such as `status`, or empty.
    pub subresource: String,
    /// Namespace, or empty. Of the resource `namespaces`, the object's own name.
    pub namespace: String,
    /// Object name, or empty.
    pub name: String,
    /// Decoded query parameters, in order.
    pub query: Vec<(String, String)>,
    /// Whether a client in this process sends it; see [`InProcess`].
    pub is_in_process: bool,
}

/// Put into the extensions of requests that never leave the process. Their watches hear of
/// progress at once instead of every minute, and they are not measured.
#[derive(Clone, Copy, Debug)]
pub struct InProcess;

impl RequestInfo {
    /// Reads method and URI. `None` for a path that can name nothing (bad escapes), which is
    /// answered with 404.
    pub fn parse(method: &Method, uri: &Uri) -> Option<Self> {
        let mut info = Self {
            path: uri.path().to_owned(),
            verb: non_resource_verb(method),
            query: parse_query(uri.query().unwrap_or_default()),
            ..Self::default()
        };
        // Like kube-apiserver, this sees no difference between a slash and an encoded one.
        let decoded = decode(uri.path(), false)?;
        let segments = decoded.strip_prefix('/')?.trim_matches('/').split('/');
        let segments: Vec<String> = segments.map(str::to_owned).collect();
        let rest = match segments.first().map(String::as_str) {
            Some("api") if segments.len() > 2 => {
                info.version = segments[1].clone();
                &segments[2..]
            }
            Some("apis") if segments.len() > 3 => {
                info.group = segments[1].clone();
                info.version = segments[2].clone();
                &segments[3..]
            }
            _ => return Some(info),
        };
        info.read_resource(rest);
        if info.is_resource {
            info.verb = info.resource_verb(method, rest.first().is_some_and(|it| it == "watch"));
        }
        Some(info)
    }

    /// Reads what follows the version: `[watch/][namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]]`.
    fn read_resource(&mut self, segments: &[String]) {
        let segments = match segments {
            [watch, rest @ ..] if watch == "watch" => rest,
            other => other,
        };
        let place = match segments {
            [namespaces, namespace, resource, rest @ ..]
                if namespaces == "namespaces"
                    && !matches!(resource.as_str(), "status" | "finalize") =>
            {
                self.namespace.clone_from(namespace);
                self.resource.clone_from(resource);
                rest
            }
            [resource, rest @ ..] => {
                self.resource.clone_from(resource);
                if resource == "namespaces" {
                    self.namespace = rest.first().cloned().unwrap_or_default();
                }
                rest
            }
            [] => return,
        };
        self.is_resource = true;
        if let Some(name) = place.first() {
            self.name.clone_from(name);
        }
        self.subresource = match place.get(1..).unwrap_or_default() {
            // What follows is the path of whoever is behind the proxy.
            [proxy, ..] if proxy == "proxy" => proxy.clone(),
            rest => rest.join("/"),
        };
    }

    fn resource_verb(&self, method: &Method, watch_path: bool) -> &'static str {
        let collection = self.name.is_empty();
        match *method {
            Method::POST => "create",
            Method::GET | Method::HEAD if self.wants_watch(watch_path) => "watch",
            Method::GET | Method::HEAD if collection => "list",
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if collection => "deletecollection",
            Method::DELETE => "delete",
            _ => "",
        }
    }

    fn wants_watch(&self, watch_path: bool) -> bool {
        let asked = || self.parameter("watch").is_some_and(is_true);
        watch_path || (self.subresource.is_empty() && asked() && self.name.is_empty())
    }

    /// First value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// First value of a query parameter, `""` if absent.
    pub fn text(&self, name: &str) -> &str {
        self.parameter(name).unwrap_or_default()
    }

    /// Whether a boolean query parameter is set.
    pub fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(is_true)
    }
}

/// Decodes percent escapes; `None` if they are malformed.
pub(super) fn unescape(text: &str) -> Option<String> {
    decode(text, false)
}

/// How query parameters spell a boolean: everything but `0` and `false` is true.
fn is_true(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "0" | "false")
}

fn non_resource_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name, true)?, decode(value, true)?))
        })
        .collect()
}

mod percent {
    //! Percent decoding.

    /// Decodes `%XX`, and `+` as a space where a query has it; `None` if malformed.
    pub(super) fn decode(text: &str, plus_is_space: bool) -> Option<String> {
        if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
            return Some(text.to_owned());
        }
        let mut bytes = text.bytes();
        let mut decoded = Vec::with_capacity(text.len());
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'%' => (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?,
                b'+' if plus_is_space => b' ',
                other => other,
            });
        }
        String::from_utf8(decoded).ok()
    }

    fn digit(byte: u8) -> Option<u8> {
        (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, uri: &str) -> RequestInfo {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        RequestInfo::parse(&method, &uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn paths_name_resources_as_upstream_reads_them() {
        let check = |method: &str, uri: &str, verb, namespace, resource, name, subresource| {
            let info = parse(method, uri);
            assert!(info.is_resource, "{uri}");
            assert_eq!(
                (info.verb, &*info.namespace, &*info.resource, &*info.name, &*info.subresource),
                (verb, namespace, resource, name, subresource),
                "{method} {uri}"
            );
        };
        check("GET", "/api/v1/pods", "list", "", "pods", "", "");
        check("GET", "/api/v1/pods?watch=1", "watch", "", "pods", "", "");
        check("GET", "/api/v1/watch/namespaces/a/pods", "watch", "a", "pods", "", "");
        check("GET", "/api/v1/namespaces", "list", "", "namespaces", "", "");
        check("GET", "/api/v1/namespaces/a", "get", "a", "namespaces", "a", "");
        check("GET", "/api/v1/namespaces/a/namespaces/b", "get", "a", "namespaces", "b", "");
        check("PUT", "/api/v1/namespaces/a/finalize", "update", "a", "namespaces", "a", "finalize");
        check("PATCH", "/apis/g/v1/namespaces/a/ws/w/status", "patch", "a", "ws", "w", "status");
        check("DELETE", "/apis/g/v1/namespaces/a/ws", "deletecollection", "a", "ws", "", "");
        check("DELETE", "/apis/g/v1/ws/x%2Ey", "delete", "", "ws", "x.y", "");
        check("POST", "/api/v1/nodes/n/proxy/run/a", "create", "", "nodes", "n", "proxy");
        check("GET", "/api/v1/pods/", "list", "", "pods", "", "");
        check("GET", "/api/v1/namespaces/a/ws/..%2f..%2fx", "get", "a", "ws", "..", "../x");
        check("GET", "/api//v1//namespaces", "list", "", "v1", "", "namespaces");
    }

    #[test]
    fn other_paths_are_no_resources() {
        for uri in ["/", "/api", "/api/v1", "/apis", "/apis/g", "/apis/g/v1", "/healthz", "/x/y"] {
            assert!(!parse("GET", uri).is_resource, "{uri}");
        }
    }

    #[test]
    fn bad_escapes_name_nothing() {
        for uri in ["/api/v1/pods/%zz", "/api/v1/pods/%ff"] {
            assert_eq!(RequestInfo::parse(&Method::GET, &uri.parse().unwrap()), None, "{uri}");
        }
    }

    #[test]
    fn query_values_are_decoded() {
        let info = parse("GET", "/api/v1/pods?labelSelector=a%3Db%2Cc+in+(d)&limit=5");
        assert_eq!(info.text("labelSelector"), "a=b,c in (d)");
        assert_eq!(info.parameter("limit"), Some("5"));
        assert_eq!(info.parameter("continue"), None);
    }
}
