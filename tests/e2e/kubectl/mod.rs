//! A tour of kubectl's verbs with the kubectl on the PATH; what it prints is what it prints against
//! kube-apiserver, save for names and times.

mod access;
mod apply;
mod change;
mod create;
mod discover;
mod read;
mod remove;

/// A Deployment; `IMAGE` stands for its image.
const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: IMAGE}]}
";

/// Two ConfigMaps.
const CONFIG_MAPS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {set: one}}
data: {k: va}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, labels: {set: one}}
data: {k: vb}
";
