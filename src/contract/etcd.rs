//! Annotations by which in-memory infrastructure providers keep etcd's membership on its Pods.
//! (CAPI v1.14: test/infrastructure/inmemory/pkg/cloud/api/v1alpha1/etcdcluster_annotations.go)

/// Id of a Pod's member.
pub const MEMBER_ID: &str = "etcd.inmemory.infrastructure.cluster.x-k8s.io/member-id";
/// Time at which a Pod's member took the lead.
pub const LEADER_FROM: &str = "etcd.inmemory.infrastructure.cluster.x-k8s.io/leader-from";
/// On Pods whose member was removed.
pub const MEMBER_REMOVED: &str = "etcd.inmemory.infrastructure.cluster.x-k8s.io/member-removed";
