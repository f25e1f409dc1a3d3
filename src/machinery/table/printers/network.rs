//! Services, endpoints, ingresses and network policies.

use serde_json::Value;

use super::{fields, integer, items, labels, some_of, text, text_or};
use crate::machinery::selector::format_label_selector;

/// How many of many are shown.
const SHOWN_MAX: usize = 3;

pub(in super::super) fn service_type(service: &Value, _: i64) -> Value {
    text(service, "/spec/type").into()
}

pub(in super::super) fn cluster_ip(service: &Value, _: i64) -> Value {
    match text(service, "/spec/clusterIPs/0") {
        "" => text_or(service, "/spec/clusterIP", "<none>"),
        ip => ip.into(),
    }
}

pub(in super::super) fn external_ip(service: &Value, _: i64) -> Value {
    let external: Vec<&str> =
        items(service, "/spec/externalIPs").iter().filter_map(Value::as_str).collect();
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".into(),
        "ClusterIP" | "NodePort" => external.join(",").into(),
        "LoadBalancer" => {
            let mut all = load_balancer(service);
            all.extend(external.into_iter().map(str::to_owned));
            if all.is_empty() { "<pending>".into() } else { all.join(",").into() }
        }
        "ExternalName" => text(service, "/spec/externalName").into(),
        _ => "<unknown>".into(),
    }
}

fn load_balancer(object: &Value) -> Vec<String> {
    let ingress = items(object, "/status/loadBalancer/ingress").iter();
    let mut names: Vec<String> = ingress
        .map(|point| match text(point, "/ip") {
            "" => text(point, "/hostname").to_owned(),
            ip => ip.to_owned(),
        })
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(in super::super) fn service_ports(service: &Value, _: i64) -> Value {
    let ports: Vec<String> = items(service, "/spec/ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (integer(port, "/port"), text(port, "/protocol"));
            match integer(port, "/nodePort") {
                0 => format!("{number}/{protocol}"),
                node_port => format!("{number}:{node_port}/{protocol}"),
            }
        })
        .collect();
    if ports.is_empty() { "<none>".into() } else { ports.join(",").into() }
}

pub(in super::super) fn service_selector(service: &Value, _: i64) -> Value {
    labels(fields(service, "/spec/selector")).into()
}

pub(in super::super) fn endpoints(endpoints: &Value, _: i64) -> Value {
    let subsets = items(endpoints, "/subsets");
    if subsets.is_empty() {
        return "<none>".into();
    }
    let (mut shown, mut count) = (Vec::new(), 0);
    for subset in subsets {
        let addresses = items(subset, "/addresses");
        let ports = items(subset, "/ports");
        // An address without ports is shown all the same.
        let ports: Vec<Option<i64>> = if ports.is_empty() {
            vec![None]
        } else {
            ports.iter().map(|port| Some(integer(port, "/port"))).collect()
        };
        for (port, address) in
            ports.iter().flat_map(|port| addresses.iter().map(move |a| (port, a)))
        {
            count += 1;
            if shown.len() < SHOWN_MAX {
                let ip = text(address, "/ip");
                shown.push(match port {
                    None => ip.to_owned(),
                    Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
                    Some(port) => format!("{ip}:{port}"),
                });
            }
        }
    }
    some_of(&shown, count).into()
}

pub(in super::super) fn address_type(slice: &Value, _: i64) -> Value {
    text(slice, "/addressType").into()
}

pub(in super::super) fn slice_ports(slice: &Value, _: i64) -> Value {
    let ports = items(slice, "/ports");
    let show = |port: &Value| match (port.get("port").and_then(Value::as_i64), text(port, "/name"))
    {
        (Some(number), _) => number.to_string(),
        (None, "") => "*".to_owned(),
        (None, name) => name.to_owned(),
    };
    let shown: Vec<String> = ports.iter().take(SHOWN_MAX).map(show).collect();
    or_unset(some_of(&shown, ports.len()))
}

pub(in super::super) fn slice_endpoints(slice: &Value, _: i64) -> Value {
    let endpoints = items(slice, "/endpoints").iter();
    let addresses: Vec<&str> = endpoints
        .flat_map(|endpoint| items(endpoint, "/addresses"))
        .filter_map(Value::as_str)
        .collect();
    let shown: Vec<String> =
        addresses.iter().take(SHOWN_MAX).map(|address| (*address).to_owned()).collect();
    or_unset(some_of(&shown, addresses.len()))
}

fn or_unset(text: String) -> Value {
    if text.is_empty() { "<unset>".into() } else { text.into() }
}

pub(in super::super) fn ingress_class(ingress: &Value, _: i64) -> Value {
    text_or(ingress, "/spec/ingressClassName", "<none>")
}

pub(in super::super) fn ingress_hosts(ingress: &Value, _: i64) -> Value {
    let rules = items(ingress, "/spec/rules");
    let hosts: Vec<String> = rules
        .iter()
        .map(|rule| text(rule, "/host").to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    match hosts.len() {
        0 => "*".into(),
        1..=SHOWN_MAX => hosts.join(",").into(),
        _ => some_of(&hosts[..SHOWN_MAX], rules.len()).into(),
    }
}

pub(in super::super) fn ingress_address(ingress: &Value, _: i64) -> Value {
    load_balancer(ingress).join(",").into()
}

pub(in super::super) fn ingress_ports(ingress: &Value, _: i64) -> Value {
    if items(ingress, "/spec/tls").is_empty() { "80".into() } else { "80, 443".into() }
}

pub(in super::super) fn class_controller(class: &Value, _: i64) -> Value {
    text(class, "/spec/controller").into()
}

pub(in super::super) fn class_parameters(class: &Value, _: i64) -> Value {
    let Some(parameters) = class.pointer("/spec/parameters") else { return "<none>".into() };
    let group = text(parameters, "/apiGroup");
    let dot = if group.is_empty() { "" } else { "." };
    format!("{}{dot}{group}/{}", text(parameters, "/kind"), text(parameters, "/name")).into()
}

pub(in super::super) fn policy_selector(policy: &Value, _: i64) -> Value {
    format_label_selector(policy.pointer("/spec/podSelector").unwrap_or(&Value::Null)).into()
}
