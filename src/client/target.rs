//! Names of a resource and the paths of its objects.

use std::borrow::Cow;
use std::fmt::Write as _;

use kube::core::ApiResource;

use super::ObjectKey;

/// Group, version, kind and plural name of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) group: Cow<'a, str>,
    pub(crate) version: Cow<'a, str>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) plural: Cow<'a, str>,
}

impl<'a> Target<'a> {
    /// Names of a typed resource.
    pub(crate) fn of<K: kube::Resource>(dynamic: &'a K::DynamicType) -> Self {
        Self {
            group: K::group(dynamic),
            version: K::version(dynamic),
            kind: K::kind(dynamic),
            plural: K::plural(dynamic),
        }
    }

    /// Names of a resource known at run time.
    pub(crate) fn from_resource(resource: &'a ApiResource) -> Self {
        Self {
            group: Cow::Borrowed(&resource.group),
            version: Cow::Borrowed(&resource.version),
            kind: Cow::Borrowed(&resource.kind),
            plural: Cow::Borrowed(&resource.plural),
        }
    }

    /// The same names, on their own.
    pub(crate) fn into_owned(self) -> Target<'static> {
        Target {
            group: Cow::Owned(self.group.into_owned()),
            version: Cow::Owned(self.version.into_owned()),
            kind: Cow::Owned(self.kind.into_owned()),
            plural: Cow::Owned(self.plural.into_owned()),
        }
    }

    /// Value of `apiVersion`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone().into_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// What an error message calls an object.
    pub(crate) fn describe(&self, key: &ObjectKey) -> String {
        format!("{} {key}", self.kind)
    }

    /// Path of the collection in a namespace; of all objects if it is empty.
    pub(crate) fn collection_path(&self, namespace: &str) -> String {
        let mut path = String::with_capacity(128);
        if self.group.is_empty() {
            path.push_str("/api/");
        } else {
            path.push_str("/apis/");
            path.push_str(&self.group);
            path.push('/');
        }
        path.push_str(&self.version);
        if !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&percent_encode(namespace));
        }
        path.push('/');
        path.push_str(&self.plural);
        path
    }

    /// Path of an object, or of a subresource of it if that is not empty.
    pub(crate) fn object_path(&self, key: &ObjectKey, subresource: &str) -> String {
        let mut path = self.collection_path(&key.namespace);
        path.push('/');
        path.push_str(&percent_encode(&key.name));
        if !subresource.is_empty() {
            path.push('/');
            path.push_str(subresource);
        }
        path
    }
}

/// Encodes what may not stand in a path segment or a query value.
pub(crate) fn percent_encode(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Node, Secret};

    #[test]
    fn paths_follow_the_scope_of_the_key() {
        let secret = Target::of::<Secret>(&());
        let key = ObjectKey::new("ns", "a b");
        assert_eq!(secret.object_path(&key, ""), "/api/v1/namespaces/ns/secrets/a%20b");
        assert_eq!(secret.collection_path(""), "/api/v1/secrets");
        let node = Target::of::<Node>(&());
        let key = ObjectKey::new("", "n");
        assert_eq!(node.object_path(&key, "status"), "/api/v1/nodes/n/status");
    }
}
