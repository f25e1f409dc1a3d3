//! Whether some rules grant all that others do. (kubernetes 1.36:
//! component-helpers/auth/rbac/validation/policy_comparator.go, pkg/registry/rbac/validation)

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{Rule, covers_url};

/// What `wanted` grants and `owned` does not, one description a rule, sorted.
pub(super) fn missing(owned: &[Rule], wanted: &[Rule]) -> Vec<String> {
    let single = wanted.iter().flat_map(break_down);
    let missing = single.filter(|rule| !owned.iter().any(|owned| covers(owned, rule))).collect();
    let described: BTreeSet<String> = compact(missing).iter().map(Rule::describe).collect();
    described.into_iter().collect()
}

/// A rule as rules of one verb on one thing each.
fn break_down(rule: &Rule) -> Vec<Rule> {
    let one = |text: &str| vec![text.into()];
    let mut single = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let plain = Rule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    single.push(plain);
                    continue;
                }
                single.extend(
                    rule.resource_names
                        .iter()
                        .map(|name| Rule { resource_names: one(name), ..plain.clone() }),
                );
            }
        }
    }
    for url in &rule.non_resource_urls {
        for verb in &rule.verbs {
            let (verbs, non_resource_urls) = (one(verb), one(url));
            single.push(Rule { verbs, non_resource_urls, ..Rule::default() });
        }
    }
    single
}

/// Whether `owner` allows what a rule on one thing does.
fn covers(owner: &Rule, rule: &Rule) -> bool {
    let has = |list: &[Box<str>], name: &str| list.iter().any(|own| **own == *name);
    let all = |own: &[Box<str>], wanted: &[Box<str>]| {
        has(own, "*") || wanted.iter().all(|name| has(own, name))
    };
    let resource = |name: &str| {
        has(&owner.resources, "*")
            || has(&owner.resources, name)
            || name
                .split_once('/')
                .is_some_and(|(_, sub)| has(&owner.resources, &format!("*/{sub}")))
    };
    let resource_names = if rule.resource_names.is_empty() {
        owner.resource_names.is_empty()
    } else {
        owner.resource_names.is_empty()
            || rule.resource_names.iter().all(|name| has(&owner.resource_names, name))
    };
    let url = |wanted: &str| owner.non_resource_urls.iter().any(|own| covers_url(own, wanted));
    all(&owner.verbs, &rule.verbs)
        && all(&owner.api_groups, &rule.api_groups)
        && rule.resources.iter().all(|name| resource(name))
        && resource_names
        && rule.non_resource_urls.iter().all(|wanted| url(wanted))
}

/// Puts the verbs of rules on the same thing together.
fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut compacted = Vec::new();
    let mut by_thing = BTreeMap::<Rule, Vec<Box<str>>>::new();
    for rule in rules {
        if rule.non_resource_urls.is_empty() {
            let verbs = rule.verbs;
            by_thing.entry(Rule { verbs: Vec::new(), ..rule }).or_default().extend(verbs);
        } else {
            compacted.push(rule);
        }
    }
    compacted.extend(by_thing.into_iter().map(|(thing, verbs)| Rule { verbs, ..thing }));
    compacted
}
