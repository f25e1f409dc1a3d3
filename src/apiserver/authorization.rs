//! Who may do what: members of `system:masters` everything, others what kube-apiserver's
//! bootstrap roles grant without any binding of the user's own.
//!
//! Role bindings are stored like other objects but not evaluated.

use super::authentication::AUTHENTICATED;
use super::{Identity, RequestInfo};
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::{Access, Status};

/// The group that bypasses authorization.
pub(super) const MASTERS: &str = "system:masters";
/// ClusterRole `system:public-info-viewer`, bound to everyone.
pub(super) const PUBLIC_PATHS: &[&str] =
    &["/healthz", "/livez", "/readyz", "/version", "/version/"];
/// ClusterRole `system:discovery`, bound to everyone with credentials.
pub(super) const DISCOVERY_PATHS: &[&str] = &["/api", "/apis", "/openapi"];
/// ClusterRole `system:basic-user`, bound to everyone with credentials: questions about oneself.
pub(super) const SELF_REVIEWS: &[(&str, &str)] = &[
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
];

/// Decides whether `identity` may send the request.
///
/// # Errors
/// 403, worded as kube-apiserver words it.
pub(crate) fn authorize(info: &RequestInfo, identity: &Identity) -> Result<(), Box<Status>> {
    let is_member = |name: &str| identity.groups.iter().any(|group| &**group == name);
    if is_member(MASTERS) {
        return Ok(());
    }
    let authenticated = is_member(AUTHENTICATED);
    if info.is_resource {
        if authenticated && is_self_review(info) {
            return Ok(());
        }
        return Err(Status::forbidden_access(Access {
            user: &identity.user,
            verb: info.verb,
            resource: &GroupResource::new(&info.group, &info.resource),
            subresource: &info.subresource,
            name: &info.name,
            namespace: &info.namespace,
        }));
    }
    let public = PUBLIC_PATHS.contains(&info.path.as_str());
    if info.verb == "get" && (public || (authenticated && is_discovery(&info.path))) {
        return Ok(());
    }
    Err(Status::forbidden_path(&identity.user, info.verb, &info.path))
}

fn is_self_review(info: &RequestInfo) -> bool {
    info.verb == "create" && SELF_REVIEWS.contains(&(info.group.as_str(), info.resource.as_str()))
}

/// Whether the path is one of the discovery paths or lies below one.
fn is_discovery(path: &str) -> bool {
    DISCOVERY_PATHS.iter().any(|root| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn check(identity: &Identity, method: Method, uri: &str, refusal: Option<&str>) {
        let info = RequestInfo::parse(&method, &uri.parse().unwrap()).unwrap();
        let actual = authorize(&info, identity).map_err(|status| status.message);
        assert_eq!(actual.err().as_deref(), refusal, "{method} {uri}");
    }

    #[test]
    fn masters_may_do_everything() {
        let admin = Identity::administrator("admin");
        check(&admin, Method::DELETE, "/api/v1/namespaces/a/pods/b", None);
        check(&admin, Method::GET, "/nope", None);
    }

    #[test]
    fn anonymous_sees_health_and_version_only() {
        let anonymous = Identity::anonymous();
        for path in ["/healthz", "/livez", "/readyz", "/version"] {
            check(&anonymous, Method::GET, path, None);
        }
        let refused = [
            ("/openapi/v2", "forbidden: User \"system:anonymous\" cannot get path \"/openapi/v2\""),
            ("/api", "forbidden: User \"system:anonymous\" cannot get path \"/api\""),
            ("/", "forbidden: User \"system:anonymous\" cannot get path \"/\""),
            (
                "/api/v1/secrets",
                "secrets is forbidden: User \"system:anonymous\" cannot list resource \"secrets\" \
                 in API group \"\" at the cluster scope",
            ),
        ];
        for (path, message) in refused {
            check(&anonymous, Method::GET, path, Some(message));
        }
    }

    #[test]
    fn users_without_roles_see_discovery_and_themselves() {
        let bob = Identity { user: "bob".into(), groups: vec!["system:authenticated".into()] };
        for path in ["/api", "/apis/apps/v1", "/openapi/v3", "/healthz"] {
            check(&bob, Method::GET, path, None);
        }
        let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        check(&bob, Method::POST, reviews, None);
        check(
            &bob,
            Method::GET,
            "/apisix",
            Some("forbidden: User \"bob\" cannot get path \"/apisix\""),
        );
        check(
            &bob,
            Method::POST,
            "/api/v1/namespaces/default/configmaps",
            Some(
                "configmaps is forbidden: User \"bob\" cannot create resource \"configmaps\" in \
                 API group \"\" in the namespace \"default\"",
            ),
        );
        check(
            &bob,
            Method::GET,
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            Some(
                "deployments.apps \"d\" is forbidden: User \"bob\" cannot get resource \
                 \"deployments/scale\" in API group \"apps\" in the namespace \"a\"",
            ),
        );
    }
}
