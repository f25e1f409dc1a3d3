//! The `authorizer` variable (kubernetes 1.36: apiserver/pkg/cel/library/authz.go).

use super::{Builtin, Called, unfit};
use crate::machinery::cel::error::EvalError;
use crate::machinery::cel::library::{Check, Object};
use crate::machinery::cel::value::Val;

pub(super) const FUNCTIONS: &[(&str, Builtin)] = &[
    ("path", start),
    ("group", start),
    ("serviceAccount", start),
    ("resource", refine),
    ("subresource", refine),
    ("namespace", refine),
    ("name", refine),
    ("fieldSelector", refine),
    ("labelSelector", refine),
    ("check", check),
    ("errored", decided),
    ("error", decided),
    ("allowed", decided),
    ("reason", decided),
];

fn start<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let Some(Val::Object(object)) = args.first() else { return unfit() };
    let Object::Authorizer(authorizer, account) = &**object else { return unfit() };
    let asked = Check { service_account: account.clone(), ..Check::default() };
    match (name, &args[1..]) {
        ("serviceAccount", [Val::String(namespace), Val::String(account)]) => {
            let names = crate::machinery::names::check_label(namespace).is_empty()
                && crate::machinery::names::check_subdomain(account).is_empty();
            if !names {
                return Err(EvalError::new("Invalid service account name"));
            }
            let account = Some((namespace.to_string(), account.to_string()));
            Ok(Val::object(Object::Authorizer(authorizer.clone(), account)))
        }
        ("path", [Val::String(path)]) if path.is_empty() => {
            Err(EvalError::new("path must not be empty"))
        }
        ("path", [Val::String(path)]) => {
            let asked = Check { path: Some(path.to_string()), ..asked };
            Ok(Val::object(Object::Check(authorizer.clone(), asked)))
        }
        ("group", [Val::String(group)]) => {
            let asked = Check { group: group.to_string(), ..asked };
            Ok(Val::object(Object::Check(authorizer.clone(), asked)))
        }
        _ => unfit(),
    }
}

fn refine<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object), Val::String(text)] = args else { return unfit() };
    let Object::Check(authorizer, asked) = &**object else { return unfit() };
    let mut asked = asked.clone();
    let text = text.to_string();
    match name {
        "resource" if text.is_empty() => return Err(EvalError::new("resource must not be empty")),
        "resource" => asked.resource = text,
        "subresource" => asked.subresource = text,
        "namespace" => asked.namespace = text,
        "name" => asked.name = text,
        "fieldSelector" => asked.field_selector = Some(text),
        _ => asked.label_selector = Some(text),
    }
    Ok(Val::object(Object::Check(authorizer.clone(), asked)))
}

fn check<'a>(_: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object), Val::String(verb)] = args else { return unfit() };
    let Object::Check(authorizer, asked) = &**object else { return unfit() };
    let asked = Check { verb: verb.to_string(), ..asked.clone() };
    Ok(Val::object(Object::Decision(authorizer.decide(&asked))))
}

fn decided<'a>(name: &'static str, args: &mut [Val<'a>]) -> Called<'a> {
    let [Val::Object(object)] = args else { return unfit() };
    let Object::Decision(decision) = &**object else { return unfit() };
    Ok(match name {
        "allowed" => Val::Bool(decision.allowed),
        "errored" => Val::Bool(decision.error.is_some()),
        "reason" => Val::text(&decision.reason),
        _ => Val::text(decision.error.as_deref().unwrap_or_default()),
    })
}
