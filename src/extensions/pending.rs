//! The annotation that remembers hooks between reconciles. (CAPI v1.14: internal/hooks/tracking.go)

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::hook::Hook;
use crate::api::runtime::PENDING_HOOKS;
use crate::contract::labels;

/// Notes that hooks are to be called later.
pub fn mark(metadata: &mut ObjectMeta, hooks: &[Hook]) {
    let mut pending = listed(metadata);
    pending.extend(hooks.iter().map(|hook| hook.name().to_owned()));
    write(metadata, pending);
}

/// Whether a hook is to be called.
pub fn is_pending(metadata: &ObjectMeta, hook: Hook) -> bool {
    let annotations = metadata.annotations.as_ref();
    let list = annotations.and_then(|annotations| annotations.get(PENDING_HOOKS));
    list.is_some_and(|list| list.split(',').any(|name| name == hook.name()))
}

/// Whether an update in place goes on, is about to start or about to end.
/// (CAPI v1.14: internal/util/inplace)
pub fn is_update_in_progress(metadata: &ObjectMeta) -> bool {
    labels::has_annotation(metadata, labels::UPDATE_IN_PROGRESS)
        || is_pending(metadata, Hook::UpdateMachine)
}

/// Notes that a hook has been called.
pub fn mark_done(metadata: &mut ObjectMeta, hook: Hook) {
    if is_pending(metadata, hook) {
        let mut pending = listed(metadata);
        pending.remove(hook.name());
        write(metadata, pending);
    }
}

fn listed(metadata: &ObjectMeta) -> BTreeSet<String> {
    let annotations = metadata.annotations.as_ref();
    let list = annotations.and_then(|annotations| annotations.get(PENDING_HOOKS));
    let names = list.map(String::as_str).unwrap_or_default().split(',');
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn write(metadata: &mut ObjectMeta, pending: BTreeSet<String>) {
    let annotations = metadata.annotations.get_or_insert_with(Default::default);
    if pending.is_empty() {
        annotations.remove(PENDING_HOOKS);
    } else {
        let list: Vec<String> = pending.into_iter().collect();
        annotations.insert(PENDING_HOOKS.to_owned(), list.join(","));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pending_hooks_are_a_sorted_list_without_repetition() {
        let mut metadata = ObjectMeta::default();
        mark(&mut metadata, &[Hook::AfterWorkersUpgrade, Hook::AfterClusterUpgrade]);
        mark(&mut metadata, &[Hook::AfterWorkersUpgrade]);
        let annotations = metadata.annotations.clone().unwrap();
        assert_eq!(annotations[PENDING_HOOKS], "AfterClusterUpgrade,AfterWorkersUpgrade");
        assert!(is_pending(&metadata, Hook::AfterClusterUpgrade));
        assert!(!is_pending(&metadata, Hook::AfterControlPlaneUpgrade));
        mark_done(&mut metadata, Hook::AfterWorkersUpgrade);
        mark_done(&mut metadata, Hook::AfterClusterUpgrade);
        assert_eq!(metadata.annotations, Some([].into()));
    }
}
