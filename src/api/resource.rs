//! Ties a struct to its group, version, kind and resource name.

/// Implements `kube::Resource` for a namespaced kind with a `metadata` field.
macro_rules! namespaced_kind {
    ($type:ident, $group:literal, $version:literal, $plural:literal) => {
        api_kind!($type, $group, $version, $plural, NamespaceResourceScope);
    };
}

/// The same for a kind of the whole cluster.
macro_rules! cluster_kind {
    ($type:ident, $group:literal, $version:literal, $plural:literal) => {
        api_kind!($type, $group, $version, $plural, ClusterResourceScope);
    };
}

macro_rules! api_kind {
    ($type:ident, $group:literal, $version:literal, $plural:literal, $scope:ident) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = kube::core::$scope;

            fn kind(_: &()) -> std::borrow::Cow<'_, str> {
                stringify!($type).into()
            }
            fn group(_: &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }
            fn version(_: &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }
            fn api_version(_: &()) -> std::borrow::Cow<'_, str> {
                concat!($group, "/", $version).into()
            }
            fn plural(_: &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }
            fn meta_mut(
                &mut self,
            ) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

/// Declares a struct that follows the API conventions: camelCase, absent when it
/// holds nothing (Go's `omitzero`).
macro_rules! api_struct {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                $(#[$fdoc])*
                #[serde(skip_serializing_if = "crate::api::conditions::is_absent")]
                pub $field: $type,
            )*
        }

        impl crate::api::conditions::Absent for $name {
            fn absent(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}
