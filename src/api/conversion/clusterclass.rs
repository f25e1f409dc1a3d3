//! ClusterClasses.
//! (CAPI v1.14: api/core/v1beta1/conversion.go, core/webhooks/conversion/clusterclass.go)

use serde_json::{Value, json};

use super::convert::Converter;
use super::fields::{
    Fields, always, drop_blank, each, get, items, object, shift, shift_set, take, text,
};
use super::status::CONDITIONS;
use super::topology::{health_check_down, health_check_up, strategy_down, strategy_up};
use super::values::{
    Outcome, intend_bool, naming, template_down, template_up, timeouts_down, timeouts_up,
};

pub(super) const CLUSTER_CLASS: Converter =
    Converter { up: class_up, down: class_down, keeps: true };

/// Booleans of a schema that are pointers in the hub.
const SCHEMA_FLAGS: [&str; 5] = [
    "uniqueItems",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
];

fn class_up(class: &mut Fields, restored: Option<&Value>) -> Outcome {
    if let Some(spec) = object(class, "spec") {
        template_up(spec, "infrastructure.ref", "infrastructure.templateRef");
        naming(spec, "infrastructureNamingStrategy", "infrastructure.naming");
        if let Some(control_plane) = object(spec, "controlPlane") {
            template_up(control_plane, "ref", "templateRef");
            let (from, to) = ("machineInfrastructure.ref", "machineInfrastructure.templateRef");
            template_up(control_plane, from, to);
            timeouts_up(control_plane, "")?;
            health_check_up(control_plane)?;
            naming(control_plane, "namingStrategy", "naming");
        }
        for machines in items(spec, "workers.machineDeployments") {
            workers_up(machines)?;
            strategy_up(machines, "healthCheck.remediation.maxInFlight");
            health_check_up(machines)?;
        }
        for machines in items(spec, "workers.machinePools") {
            workers_up(machines)?;
        }
        patches_up(spec, restored.and_then(|it| it.pointer("/spec/patches")));
        for variable in items(spec, "variables") {
            let name = text(variable, "name").to_owned();
            let known = named(restored, "/spec/variables", "name", &name);
            variable_up(variable, known.and_then(|it| it.pointer("/schema/openAPIV3Schema")));
        }
    }
    if let Some(status) = object(class, "status") {
        for variable in items(status, "variables") {
            status_variable_up(variable, restored);
        }
    }
    CONDITIONS.up(class);
    Ok(())
}

fn class_down(class: &mut Fields) {
    let namespace = text(class, "metadata.namespace").to_owned();
    if let Some(spec) = object(class, "spec") {
        template_down(spec, "infrastructure.templateRef", "infrastructure.ref", &namespace);
        naming(spec, "infrastructure.naming", "infrastructureNamingStrategy");
        if let Some(control_plane) = object(spec, "controlPlane") {
            template_down(control_plane, "templateRef", "ref", &namespace);
            let (from, to) = ("machineInfrastructure.templateRef", "machineInfrastructure.ref");
            template_down(control_plane, from, to, &namespace);
            timeouts_down(control_plane, "");
            health_check_down(control_plane, &namespace);
            naming(control_plane, "naming", "namingStrategy");
        }
        each(spec, "workers.machineDeployments", |machines| {
            workers_down(machines, &namespace);
            strategy_down(machines, "healthCheck.remediation.maxInFlight");
            health_check_down(machines, &namespace);
        });
        each(spec, "workers.machinePools", |machines| workers_down(machines, &namespace));
        each(spec, "patches", patch_down);
        each(spec, "variables", variable_down);
    }
    if let Some(status) = object(class, "status") {
        each(status, "variables", |variable| {
            always(variable, &["definitionsConflict"], &json!(false));
            each(variable, "definitions", variable_down);
        });
    }
    CONDITIONS.down(class);
}

/// What classes of MachineDeployments and MachinePools have in common.
fn workers_up(machines: &mut Fields) -> Outcome {
    shift(machines, "template.metadata", "metadata");
    drop_blank(machines, "metadata");
    template_up(machines, "template.bootstrap.ref", "bootstrap.templateRef");
    template_up(machines, "template.infrastructure.ref", "infrastructure.templateRef");
    take(machines, "template");
    naming(machines, "namingStrategy", "naming");
    timeouts_up(machines, "")
}

fn workers_down(machines: &mut Fields, namespace: &str) {
    shift(machines, "metadata", "template.metadata");
    template_down(machines, "bootstrap.templateRef", "template.bootstrap.ref", namespace);
    let (from, to) = ("infrastructure.templateRef", "template.infrastructure.ref");
    template_down(machines, from, to, namespace);
    take(machines, "bootstrap");
    take(machines, "infrastructure");
    naming(machines, "naming", "namingStrategy");
    timeouts_down(machines, "");
}

const EXTENSIONS: [(&str, &str); 2] = [
    ("external.generateExtension", "external.generatePatchesExtension"),
    ("external.validateExtension", "external.validateTopologyExtension"),
];

fn patches_up(spec: &mut Fields, restored: Option<&Value>) {
    for patch in items(spec, "patches") {
        for (from, to) in EXTENSIONS {
            shift_set(patch, from, to);
        }
        let count = get(patch, "definitions").and_then(Value::as_array).map_or(0, Vec::len);
        let name = text(patch, "name").to_owned();
        let known = named(restored, "", "name", &name)
            .and_then(|patch| patch["definitions"].as_array())
            .filter(|definitions| definitions.len() == count);
        for (number, definition) in items(patch, "definitions").enumerate() {
            let known = known.and_then(|it| it[number].pointer("/selector/matchResources"));
            let Some(matched) = object(definition, "selector.matchResources") else { continue };
            for flag in ["infrastructureCluster", "controlPlane"] {
                intend_bool(matched, flag, known.and_then(|it| it.get(flag)));
            }
        }
    }
}

fn patch_down(patch: &mut Fields) {
    for (to, from) in EXTENSIONS {
        shift_set(patch, from, to);
    }
    each(patch, "definitions", |definition| {
        if let Some(matched) = object(definition, "selector.matchResources") {
            matched.retain(|_, value| *value != false);
        }
    });
}

/// A variable of the spec or one of the definitions of a variable in the status.
fn variable_up(variable: &mut Fields, restored: Option<&Value>) {
    shift(variable, "metadata", "deprecatedV1Beta1Metadata");
    drop_blank(variable, "deprecatedV1Beta1Metadata");
    always(variable, &["required"], &json!(false));
    if let Some(schema) = object(variable, "schema.openAPIV3Schema") {
        schema_up(schema, restored);
    }
}

fn variable_down(variable: &mut Fields) {
    shift(variable, "deprecatedV1Beta1Metadata", "metadata");
    always(variable, &["required"], &json!(false));
    if let Some(schema) = object(variable, "schema.openAPIV3Schema") {
        schema_down(schema);
    }
}

fn status_variable_up(variable: &mut Fields, restored: Option<&Value>) {
    let name = text(variable, "name").to_owned();
    let restored = named(restored, "/status/variables", "name", &name);
    let conflict = restored.and_then(|it| it.get("definitionsConflict"));
    intend_bool(variable, "definitionsConflict", conflict);
    for definition in items(variable, "definitions") {
        let from = text(definition, "from").to_owned();
        let known = named(restored, "/definitions", "from", &from);
        variable_up(definition, known.and_then(|it| it.pointer("/schema/openAPIV3Schema")));
    }
}

/// The item of a list below `restored` that has this name.
fn named<'a>(restored: Option<&'a Value>, list: &str, key: &str, name: &str) -> Option<&'a Value> {
    restored?.pointer(list)?.as_array()?.iter().find(|item| item[key] == name)
}

/// Schemas below a schema, each with the same one of another schema.
fn schema_up(schema: &mut Fields, restored: Option<&Value>) {
    for flag in SCHEMA_FLAGS {
        intend_bool(schema, flag, restored.and_then(|it| it.get(flag)));
    }
    for (keyword, value) in schema.iter_mut() {
        let restored = restored.and_then(|it| it.get(keyword));
        match (keyword.as_str(), value) {
            ("properties", Value::Object(all)) => {
                for (name, value) in all {
                    if let Value::Object(child) = value {
                        schema_up(child, restored.and_then(|it| it.get(name)));
                    }
                }
            }
            ("additionalProperties" | "items" | "not", Value::Object(child)) => {
                schema_up(child, restored);
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                for (number, value) in all.iter_mut().enumerate() {
                    if let Value::Object(child) = value {
                        schema_up(child, restored.and_then(|it| it.get(number)));
                    }
                }
            }
            _ => {}
        }
    }
}

fn schema_down(schema: &mut Fields) {
    schema.retain(|name, value| *value != false || !SCHEMA_FLAGS.contains(&name.as_str()));
    for (keyword, value) in schema.iter_mut() {
        let children: Vec<&mut Value> = match (keyword.as_str(), value) {
            ("properties", Value::Object(all)) => all.values_mut().collect(),
            ("additionalProperties" | "items" | "not", child) => vec![child],
            ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => all.iter_mut().collect(),
            _ => continue,
        };
        children.into_iter().filter_map(Value::as_object_mut).for_each(schema_down);
    }
}
