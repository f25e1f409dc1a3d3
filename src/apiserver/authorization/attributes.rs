//! What a request is to those who decide about it.

use crate::apiserver::RequestInfo;
use crate::machinery::names;

/// The attributes of a request. (kubernetes 1.36: apiserver/pkg/authorization/authorizer)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes<'a> {
    /// Whether the request names a resource; otherwise only verb and path matter.
    pub(crate) is_resource: bool,
    /// Kubernetes' verb, or the HTTP method in lower case.
    pub(crate) verb: &'a str,
    /// API group, `""` for core.
    pub(crate) group: &'a str,
    /// Plural name.
    pub(crate) resource: &'a str,
    /// Subresource, or empty.
    pub(crate) subresource: &'a str,
    /// Object name, or empty.
    pub(crate) name: &'a str,
    /// Namespace, or empty.
    pub(crate) namespace: &'a str,
    /// Path of a request that names no resource.
    pub(crate) path: &'a str,
}

impl<'a> Attributes<'a> {
    /// The attributes of a request. A list or watch whose field selector picks one object by its
    /// name counts as a request for this object. (apiserver/pkg/endpoints/request/requestinfo.go)
    pub(crate) fn of(info: &'a RequestInfo) -> Self {
        let name = match info.verb {
            "list" | "watch" if info.name.is_empty() => selected_name(info).unwrap_or_default(),
            _ => &info.name,
        };
        Self {
            is_resource: info.is_resource,
            verb: info.verb,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            name,
            namespace: &info.namespace,
            path: &info.path,
        }
    }
}

/// The only name that a field selector lets pass.
fn selected_name(info: &RequestInfo) -> Option<&str> {
    info.text("fieldSelector")
        .split(',')
        .filter_map(|term| term.trim().strip_prefix("metadata.name="))
        .map(|value| value.strip_prefix('=').unwrap_or(value))
        .find(|name| !name.is_empty() && names::check_path_segment(name).is_empty())
}
