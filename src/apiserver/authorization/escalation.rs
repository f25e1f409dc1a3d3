//! Nobody grants what he does not have: checks of writes of roles and bindings. (kubernetes 1.36:
//! pkg/registry/rbac/{escalation_check.go,*/policybased/storage.go})

use serde_json::Value;

use super::bindings::RoleRef;
use super::index::GROUP;
use super::rules::Rule;
use super::{Attributes, aggregate, coverage, decide, is_superuser, rules_for};
use crate::apiserver::ApiServer;
use crate::apiserver::authentication::Identity;
use crate::apiserver::profile::Resource;
use crate::machinery::gvk::GroupResource;
use crate::machinery::status::{Status, quote};

/// A write of an object of the RBAC kinds.
struct Grant<'a> {
    server: &'a ApiServer,
    identity: &'a Identity,
    resource: &'a Resource,
    new: &'a Value,
    old: Option<&'a Value>,
    /// Namespace of the request; empty for cluster-wide kinds.
    namespace: &'a str,
    name: &'a str,
}

/// Decides whether `identity` may give away what an object gives. `name` is the object's name as
/// the request's path has it. Objects of other kinds, and changes of nothing but metadata, pass.
///
/// # Errors
/// 403 with what is missing, 404 for a binding to a role that is not there.
pub(in crate::apiserver) fn check(
    server: &ApiServer,
    identity: &Identity,
    resource: &Resource,
    (new, old): (&Value, Option<&Value>),
    name: &str,
) -> Result<(), Box<Status>> {
    if *resource.key.group != *GROUP || is_superuser(server, identity) {
        return Ok(());
    }
    let namespace = new["metadata"]["namespace"].as_str().unwrap_or_default();
    let grant = Grant { server, identity, resource, new, old, namespace, name };
    if old.is_some_and(|old| grant.is_same_as(old)) {
        return Ok(());
    }
    if new.get("roleRef").is_some() { grant.check_binding() } else { grant.check_role() }
}

impl Grant<'_> {
    /// Whether nothing is granted that was not before: the garbage collector writes so.
    fn is_same_as(&self, old: &Value) -> bool {
        ["rules", "aggregationRule", "roleRef", "subjects"]
            .iter()
            .all(|field| self.new.get(field) == old.get(field))
            && self.new["metadata"]["labels"] == old["metadata"]["labels"]
    }

    fn check_role(&self) -> Result<(), Box<Status>> {
        if self.may("escalate", &self.resource.key.plural, self.name) {
            return Ok(());
        }
        let rules = serde_json::from_value::<Option<Vec<Rule>>>(self.new["rules"].clone());
        self.check_rules(&rules.ok().flatten().unwrap_or_default())?;
        let aggregates = |role: &Value| role["aggregationRule"].is_object();
        if aggregates(self.new) || self.old.is_some_and(aggregates) {
            // What it will gather is unknown, so everything is needed.
            let why = "must have cluster-admin privileges to use an aggregationRule";
            return self.missing(&everything()).map_err(|_| self.forbidden(why));
        }
        Ok(())
    }

    fn check_binding(&self) -> Result<(), Box<Status>> {
        let role = serde_json::from_value::<RoleRef>(self.new["roleRef"].clone());
        let role = role.unwrap_or_default();
        let plural = match &*role.kind {
            "Role" => "roles",
            "ClusterRole" => "clusterroles",
            // Validation refuses it.
            _ => return Ok(()),
        };
        if self.may("bind", plural, &role.name) {
            return Ok(());
        }
        let rules = self.server.policy().with(self.server.store(), |index| {
            index.rules_of(&role, self.namespace).map(<[Rule]>::to_vec)
        });
        match rules {
            Ok(rules) => self.check_rules(&rules),
            Err(_) => Err(Status::not_found(&GroupResource::new(GROUP, plural), &role.name)),
        }
    }

    fn may(&self, verb: &str, resource: &str, name: &str) -> bool {
        let (namespace, group) = (self.namespace, GROUP);
        let attributes = Attributes {
            is_resource: true,
            verb,
            group,
            resource,
            name,
            namespace,
            ..Attributes::default()
        };
        decide(self.server, &attributes, self.identity).is_allowed
    }

    fn check_rules(&self, rules: &[Rule]) -> Result<(), Box<Status>> {
        self.missing(rules).map_err(|why| self.forbidden(&why))
    }

    /// The rights among `rules` that the writer lacks, as an error.
    fn missing(&self, rules: &[Rule]) -> Result<(), String> {
        let (owned, errors) = rules_for(self.server, self.identity, self.namespace);
        let missing = coverage::missing(&owned, rules);
        if missing.is_empty() {
            return Ok(());
        }
        let groups: Vec<String> = self.identity.groups.iter().map(|group| quote(group)).collect();
        let mut message = format!(
            "user {} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&self.identity.user),
            groups.join(" "),
            missing.join("\n")
        );
        if !errors.is_empty() {
            message.push_str(&format!("; resolution errors: [{}]", aggregate(errors)));
        }
        Err(message)
    }

    fn forbidden(&self, why: &str) -> Box<Status> {
        let key = &self.resource.key;
        let name = self.new["metadata"]["name"].as_str().unwrap_or_default();
        Status::forbidden(&GroupResource::new(&key.group, &key.plural), name, why)
    }
}

/// What `cluster-admin` may.
fn everything() -> Vec<Rule> {
    let all = || vec![Box::from("*")];
    let resources = Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() };
    vec![resources, Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() }]
}
