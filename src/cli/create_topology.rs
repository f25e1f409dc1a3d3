//! `capim create cluster --class`: a Cluster of a ClusterClass that the playground has.

use serde_json::{Map, Value, json};

use super::arguments::CreateCluster;
use super::error::{CliError, Exit};
use crate::acts::Served;
use crate::client::Client;
use crate::machinery::nearest::near;

/// The Clusters that were asked for, one of each name.
///
/// # Errors
/// `E030` if there is no such ClusterClass, variable or class of workers; `E002` for values that
/// are none.
pub(super) async fn clusters(
    client: &Client,
    create: &CreateCluster,
    class: &str,
    names: &[String],
) -> Result<Vec<Value>, CliError> {
    let served = Served::discover(client).await?;
    let kind = served.find("clusterclasses.cluster.x-k8s.io")?;
    let found = kind.require(client, &create.target.namespace, class).await?;
    let topology = topology(create, class, &found)?;
    let cluster = |name: &String| {
        json!({
            "apiVersion": "cluster.x-k8s.io/v1beta2",
            "kind": "Cluster",
            "metadata": {"name": name, "namespace": create.target.namespace},
            "spec": {
                "clusterNetwork": {
                    "pods": {"cidrBlocks": ["192.168.0.0/16"]},
                    "services": {"cidrBlocks": ["10.128.0.0/12"]},
                    "serviceDomain": "cluster.local",
                },
                "topology": topology,
            },
        })
    };
    Ok(names.iter().map(cluster).collect())
}

fn topology(create: &CreateCluster, class: &str, found: &Value) -> Result<Value, CliError> {
    let mut topology = json!({
        "classRef": {"name": class},
        "version": create.k8s_version,
        "controlPlane": {"replicas": create.cp},
    });
    let workers = found["spec"]["workers"]["machineDeployments"].as_array();
    let first = workers.and_then(|list| list.first()).and_then(|it| it["class"].as_str());
    match first {
        Some(worker) => {
            let deployment = json!({"class": worker, "name": "md-0", "replicas": create.workers});
            topology["workers"] = json!({"machineDeployments": [deployment]});
        }
        None if create.workers > 0 => {
            let message = format!("clusterclass {class:?} has no workers");
            return Err(CliError::new("E030", Exit::NotFound, message).hint("--workers 0"));
        }
        None => {}
    }
    let variables = variables(&create.set, found, class)?;
    if !variables.is_empty() {
        topology["variables"] = variables.into();
    }
    Ok(topology)
}

/// `--set name=value` and `--set name.field=value`; values are YAML.
fn variables(set: &[String], class: &Value, name: &str) -> Result<Vec<Value>, CliError> {
    let known: Vec<&str> = class["spec"]["variables"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|variable| variable["name"].as_str())
        .collect();
    let mut values: Map<String, Value> = Map::new();
    for typed in set {
        let usage = |why: &str| {
            let message = format!("--set {typed}: {why}");
            CliError::new("E002", Exit::Usage, message).hint("--set variable=value")
        };
        let (path, text) = typed.split_once('=').ok_or_else(|| usage("there is no ="))?;
        let mut fields = path.split('.');
        let variable = fields.next().unwrap_or_default();
        if !known.contains(&variable) {
            let message = format!("clusterclass {name:?} has no variable {variable:?}");
            let error = CliError::new("E030", Exit::NotFound, message);
            return Err(match near(variable, known.iter().map(|it| (*it).to_owned())) {
                Some(similar) => error.help(format!("did you mean {similar:?}?")),
                None => error.note(format!("it has: {}", known.join(", "))),
            });
        }
        let mut place = values.entry(variable).or_insert(Value::Null);
        for field in fields {
            if place.is_null() {
                *place = json!({});
            }
            let object = place.as_object_mut().ok_or_else(|| usage("that is no object"))?;
            place = object.entry(field).or_insert(Value::Null);
        }
        *place = serde_saphyr::from_str(text).map_err(|_| usage("the value is no YAML"))?;
    }
    Ok(values.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_yaml_and_have_to_exist() {
        let class = json!({"spec": {"variables": [{"name": "size"}, {"name": "proxy"}]}});
        let set = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            variables(&words, &class, "c").map_err(|error| error.to_string())
        };
        assert_eq!(
            set(&["size=3", "proxy.host=a=b", "proxy.port=\"80\""]).unwrap(),
            [
                json!({"name": "proxy", "value": {"host": "a=b", "port": "80"}}),
                json!({"name": "size", "value": 3})
            ]
        );
        assert!(set(&["size"]).unwrap_err().contains("there is no ="));
        assert!(set(&["size=1", "size.a=2"]).unwrap_err().contains("that is no object"));
        assert!(set(&["sice=3"]).unwrap_err().contains("did you mean \"size\"?"));
    }
}
