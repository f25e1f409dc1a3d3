//! The parameters of a binding.
//! (kubernetes 1.36: apiserver/pkg/admission/plugin/policy/generic/policy_dispatcher.go)

use std::sync::Arc;

use serde_json::Value;

use super::compiled::{Binding, Policy};
use crate::apiserver::ApiServer;
use crate::apiserver::admission::attributes::Attributes;
use crate::apiserver::conversion;
use crate::apiserver::profile::Resource;
use crate::machinery::selector::LabelSelector;
use crate::store::{Entry, RangeQuery};

/// What is said of a kind of parameters that is not served.
pub(super) fn unknown_kind(server: &ApiServer, policy: &Policy) -> Option<String> {
    let (api_version, kind) = policy.param_kind.as_ref()?;
    if resource(server, api_version, kind).is_some() {
        return None;
    }
    Some(format!("failed to find resource referenced by paramKind: '{api_version}, Kind={kind}'"))
}

fn resource(server: &ApiServer, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
    let resources = server.resources();
    let mut all = resources.iter();
    all.find(|it| *it.api_version == *api_version && *it.definition.kind == *kind).cloned()
}

/// The parameters that a policy is evaluated with, one after the other; `None` for none.
///
/// # Errors
/// What is wrong with the reference, or that nothing was found where something must be.
pub(super) async fn collect(
    attributes: &Attributes<'_>,
    policy: &Policy,
    binding: &Binding,
) -> Result<Vec<Option<Value>>, String> {
    let reference = &binding.param_ref;
    let Some((api_version, kind)) = &policy.param_kind else { return Ok(vec![None]) };
    if reference.is_null() {
        return Ok(vec![None]);
    }
    let server = attributes.call.server;
    let resource = resource(server, api_version, kind).ok_or_else(|| {
        format!("paramKind kind `&ParamKind{{APIVersion:{api_version},Kind:{kind},}}` not known")
    })?;
    let given = reference["namespace"].as_str().unwrap_or_default();
    let namespace = match (resource.definition.namespaced, given) {
        (false, "") => "",
        (false, _) => {
            let why = "paramRef.namespace must not be provided for a cluster-scoped `paramKind`";
            return Err(why.to_owned());
        }
        (true, "") if attributes.namespace.is_empty() => {
            let why = "cannot use namespaced paramRef in policy binding that matches \
                       cluster-scoped resources";
            return Err(why.to_owned());
        }
        (true, "") => &attributes.namespace,
        (true, given) => given,
    };
    let entries = find(server, &resource, namespace, reference)?;
    if entries.is_empty() && reference["parameterNotFoundAction"] == "Deny" {
        let why = "no params found for policy binding with `Deny` parameterNotFoundAction";
        return Err(why.to_owned());
    }
    let mut params = Vec::with_capacity(entries.len());
    for entry in entries {
        let object = conversion::tree(server, &resource, &entry).await;
        params.push(Some(object.map_err(|status| status.message)?));
    }
    Ok(params)
}

fn find(
    server: &ApiServer,
    resource: &Resource,
    namespace: &str,
    reference: &Value,
) -> Result<Vec<Arc<Entry>>, String> {
    let store = server.store();
    if let Some(name) = reference["name"].as_str().filter(|name| !name.is_empty()) {
        return Ok(store.get(&resource.key, namespace, name).into_iter().collect());
    }
    let selector = LabelSelector::from_label_selector(&reference["selector"])?;
    let query = RangeQuery {
        resource: &resource.key,
        namespace: resource.definition.namespaced.then_some(namespace),
        after: None,
        at: None,
        limit: 0,
    };
    let selected = |entry: &Entry| selector.matches_by(|key| entry.meta.labels.get(key));
    store.range(query, selected).map(|page| page.entries).map_err(|error| error.to_string())
}
