//! Impersonation: who may do everything may speak as somebody else.
//! (kubernetes 1.36: apiserver/pkg/endpoints/filters/impersonation)

use std::sync::Arc;

use http::HeaderMap;

use super::Identity;
use super::authentication::AUTHENTICATED;
use super::authorization::MASTERS;
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::{Access, Status};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The identity that a request is to be judged by: the sender's, or the one that its headers name.
///
/// # Errors
/// 400 for groups without a user, 403 for senders that may not impersonate.
pub(super) fn effective(headers: &HeaderMap, sender: Identity) -> Result<Identity, Box<Status>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (user, uid) = (text(USER).unwrap_or_default(), text(UID).unwrap_or_default());
    let groups = headers.get_all(GROUP).iter().filter_map(|value| value.to_str().ok());
    let mut groups: Vec<Arc<str>> = groups.map(Arc::from).collect();
    if user.is_empty() {
        if groups.is_empty() && uid.is_empty() {
            return Ok(sender);
        }
        let shown: Vec<String> = groups.iter().map(|group| format!("{group:?}")).collect();
        let shown = match shown.len() {
            0 => "(nil)".to_owned(),
            _ => format!("{{{}}}", shown.join(", ")),
        };
        return Err(Status::bad_request(format!(
            "requested &user.DefaultInfo{{Name:\"\", UID:{uid:?}, Groups:[]string{shown}, \
             Extra:map[string][]string(nil)}} without impersonating a user name"
        )));
    }
    if !sender.groups.iter().any(|group| &**group == MASTERS) {
        return Err(Status::forbidden_access(Access {
            user: &sender.user,
            verb: "impersonate",
            resource: &GroupResource::new("", "users"),
            subresource: "",
            name: user,
            namespace: "",
        }));
    }
    let account = user.strip_prefix(SERVICE_ACCOUNT).and_then(|name| name.split_once(':'));
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        groups.push("system:serviceaccounts".into());
        groups.push(format!("system:serviceaccounts:{namespace}").into());
    }
    let everyone = if user == "system:anonymous" { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| &**group == everyone) {
        groups.push(everyone.into());
    }
    Ok(Identity { user: user.into(), groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], sender: Identity) -> Result<Identity, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        effective(&map, sender).map_err(|status| status.code)
    }

    #[test]
    fn administrators_speak_as_others() {
        let admin = || Identity::administrator("admin");
        let bob = check(&[(USER, "bob"), (GROUP, "g1")], admin()).unwrap();
        assert_eq!((&*bob.user, bob.groups), ("bob", vec!["g1".into(), AUTHENTICATED.into()]));
        let account = check(&[(USER, "system:serviceaccount:ns1:sa1")], admin()).unwrap();
        assert_eq!(account.groups.len(), 3);
        let anonymous = check(&[(USER, "system:anonymous")], admin()).unwrap();
        assert_eq!(anonymous, Identity::anonymous());
        assert_eq!(check(&[(GROUP, "g")], admin()), Err(400));
        assert_eq!(check(&[], admin()), Ok(admin()));
    }

    #[test]
    fn others_speak_as_themselves() {
        assert_eq!(check(&[(USER, "admin")], Identity::anonymous()), Err(403));
    }
}
