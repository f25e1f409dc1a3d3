//! Kinds that the server knows, by any of their names, and objects as typed: `machine/a`.

use kube::core::ApiResource;
use serde_json::Value;

use super::error::{Exit, Failure};
use crate::client::{Client, ObjectKey};
use crate::machinery::nearest::near;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A served kind, in its preferred version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) singular: String,
    pub(crate) short: Vec<String>,
    pub(crate) namespaced: bool,
}

impl Kind {
    /// Path of the objects of a namespace, of all if it is empty.
    pub(crate) fn path(&self, namespace: &str) -> String {
        let root = match self.resource.group.as_str() {
            "" => format!("/api/{}", self.resource.version),
            group => format!("/apis/{group}/{}", self.resource.version),
        };
        let plural = &self.resource.plural;
        match namespace {
            namespace if !namespace.is_empty() && self.namespaced => {
                format!("{root}/namespaces/{}/{plural}", encoded(namespace))
            }
            _ => format!("{root}/{plural}"),
        }
    }

    /// Path of an object.
    pub(crate) fn object_path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.path(namespace), encoded(name))
    }

    /// The singular, with the group unless the kind is built in or of Cluster API: every command
    /// takes it.
    pub(crate) fn full_name(&self) -> String {
        match self.resource.group.as_str() {
            group if group.is_empty() || group.ends_with("cluster.x-k8s.io") => {
                self.singular.clone()
            }
            group => format!("{}.{group}", self.singular),
        }
    }

    /// Reads an object of a namespace.
    pub(crate) async fn get(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, Failure> {
        let namespace = if self.namespaced { namespace } else { "" };
        let key = ObjectKey::new(namespace, name);
        let object = client.get_dynamic(&self.resource, &key).await;
        object
            .map_err(|error| Failure::request(&format!("read {} {name:?}", self.singular), &error))
    }

    /// Reads an object that must exist; an error names the nearest names.
    pub(crate) async fn require(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Value, Failure> {
        match self.get(client, namespace, name).await? {
            Some(object) => Ok(object),
            None => Err(self.not_found(client, namespace, name).await),
        }
    }

    /// All objects of a namespace (all if empty) with a selector (all if empty).
    pub(crate) async fn list(
        &self,
        client: &Client,
        namespace: &str,
        selector: &str,
    ) -> Result<Vec<Value>, Failure> {
        let query = match selector {
            "" => String::new(),
            selector => format!("?labelSelector={}", encoded(selector)),
        };
        let list = client.get_json(&format!("{}{query}", self.path(namespace))).await;
        let what = format!("list {}", self.resource.plural);
        let mut list = list.map_err(|error| Failure::request(&what, &error))?;
        let items = match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        Ok(items.into_iter().map(|item| self.typed(item)).collect())
    }

    /// The object with apiVersion and kind, which items of lists may lack.
    pub(crate) fn typed(&self, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut() {
            for (field, value) in
                [("kind", &self.resource.kind), ("apiVersion", &self.resource.api_version)]
            {
                fields.entry(field).or_insert_with(|| value.as_str().into());
            }
        }
        object
    }

    /// Says that an object does not exist, with the nearest names of those that do.
    pub(crate) async fn not_found(&self, client: &Client, namespace: &str, name: &str) -> Failure {
        let (singular, place) = match self.namespaced {
            true => (&self.singular, format!(" in namespace {namespace:?}")),
            false => (&self.singular, String::new()),
        };
        let error =
            Failure::new("E030", Exit::NotFound, format!("{singular} {name:?} not found{place}"));
        let all = self.list(client, "", "").await.unwrap_or_default();
        let text = |object: &Value, field: &str| {
            object["metadata"][field].as_str().unwrap_or_default().to_owned()
        };
        let (here, elsewhere): (Vec<&Value>, Vec<&Value>) = all
            .iter()
            .partition(|object| !self.namespaced || text(object, "namespace") == namespace);
        if let Some(object) = elsewhere.iter().find(|object| text(object, "name") == name) {
            let namespace = text(object, "namespace");
            return error.hint(format!("it is in namespace {namespace:?}: -n {namespace}"));
        }
        let names = here.iter().map(|object| text(object, "name"));
        match near(name, names) {
            Some(similar) => error.help(format!("did you mean {similar:?}?")),
            None => error.hint(format!("capim get {} -A", self.resource.plural)),
        }
    }
}

/// Text for a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    crate::client::percent_encode(text).into_owned()
}

/// Everything that a server serves.
pub(crate) struct Served {
    kinds: Vec<Kind>,
}

impl Served {
    /// Asks the server: two requests.
    pub(crate) async fn discover(client: &Client) -> Result<Self, Failure> {
        let mut kinds = Vec::new();
        for path in ["/api", "/apis"] {
            let list = client
                .get_json_as(path, AGGREGATED)
                .await
                .map_err(|error| Failure::request("discover the served kinds", &error))?;
            for group in list["items"].as_array().into_iter().flatten() {
                kinds_of(group, &mut kinds);
            }
        }
        Ok(Self { kinds })
    }

    /// All kinds, in the server's order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }

    /// A kind by its plural, singular, short name or kind, with or without its group. Kinds of
    /// Cluster API come before others of the same name.
    pub(crate) fn find(&self, word: &str) -> Result<&Kind, Failure> {
        let word = word.to_ascii_lowercase();
        let (bare, group) = word.split_once('.').unwrap_or((&word, ""));
        let fits = |kind: &&Kind| {
            let resource = &kind.resource;
            let named = resource.plural == bare
                || kind.singular == bare
                || resource.kind.eq_ignore_ascii_case(bare)
                || kind.short.iter().any(|short| short == bare);
            named && (group.is_empty() || resource.group == group)
        };
        let found = self.kinds.iter().filter(fits);
        let rank = |kind: &&Kind| match kind.resource.group.as_str() {
            "" => 0,
            group if group.ends_with("cluster.x-k8s.io") => 1,
            _ => 2,
        };
        found.min_by_key(rank).ok_or_else(|| self.unknown(&word))
    }

    fn unknown(&self, word: &str) -> Failure {
        let message = format!("the server has no kind {word:?}");
        let error = Failure::new("E032", Exit::NotFound, message);
        let names = self
            .kinds
            .iter()
            .flat_map(|kind| [kind.resource.plural.clone(), kind.singular.clone()]);
        match near(word, names) {
            Some(similar) => error.help(format!("did you mean {similar:?}?")),
            None => error.hint("kubectl api-resources     lists them"),
        }
    }

    /// A kind and a name from `KIND/NAME`.
    pub(crate) fn object<'a>(&self, typed: &'a str) -> Result<(&Kind, &'a str), Failure> {
        match typed.split_once('/') {
            Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok((self.find(kind)?, name))
            }
            _ => Err(Failure::new(
                "E002",
                Exit::Usage,
                format!("expected KIND/NAME, e.g. machine/demo-cp-x7k2p, but got {typed:?}"),
            )),
        }
    }
}

/// Kinds of one group of aggregated discovery, each in the first version that serves it.
fn kinds_of(group: &Value, kinds: &mut Vec<Kind>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&group["metadata"]["name"]);
    let first = kinds.len();
    for version in group["versions"].as_array().into_iter().flatten() {
        let number = text(&version["version"]);
        for resource in version["resources"].as_array().into_iter().flatten() {
            let plural = text(&resource["resource"]);
            let listed = resource["verbs"]
                .as_array()
                .is_some_and(|verbs| verbs.iter().any(|verb| verb == "list"));
            if !listed || kinds[first..].iter().any(|kind| kind.resource.plural == plural) {
                continue;
            }
            let api_version = match name.as_str() {
                "" => number.clone(),
                name => format!("{name}/{number}"),
            };
            let short = resource["shortNames"].as_array().into_iter().flatten().map(text);
            let kind = text(&resource["responseKind"]["kind"]);
            let singular = match text(&resource["singularResource"]) {
                singular if singular.is_empty() => kind.to_ascii_lowercase(),
                singular => singular,
            };
            kinds.push(Kind {
                singular,
                short: short.collect(),
                namespaced: resource["scope"] == "Namespaced",
                resource: ApiResource {
                    group: name.clone(),
                    version: number.clone(),
                    api_version,
                    kind,
                    plural,
                },
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn served() -> Served {
        let resource = |plural: &str, kind: &str, short: &str| {
            json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced",
                "singularResource": kind.to_lowercase(), "shortNames": [short], "verbs": ["list"]})
        };
        let mut kinds = Vec::new();
        kinds_of(
            &json!({"metadata": {"name": "cluster.x-k8s.io"}, "versions": [
                {"version": "v1beta2", "resources": [resource("machines", "Machine", "ma"),
                    resource("clusters", "Cluster", "cl")]},
                {"version": "v1beta1", "resources": [resource("machines", "Machine", "ma")]}]}),
            &mut kinds,
        );
        kinds_of(
            &json!({"metadata": {}, "versions": [{"version": "v1", "resources": [
                resource("pods", "Pod", "po"), {"resource": "bindings", "verbs": ["create"]}, 3]}]}),
            &mut kinds,
        );
        Served { kinds }
    }

    #[test]
    fn kinds_are_found_by_any_of_their_names() {
        let served = served();
        for word in ["machines", "machine", "Machine", "MA", "machines.cluster.x-k8s.io"] {
            let kind = served.find(word).unwrap();
            assert_eq!(
                kind.path("a b"),
                "/apis/cluster.x-k8s.io/v1beta2/namespaces/a%20b/machines"
            );
        }
        assert_eq!(served.find("po").unwrap().object_path("", "x"), "/api/v1/pods/x");
        let error = served.find("machnes").unwrap_err();
        assert_eq!(
            error.to_string(),
            "error[E032]: the server has no kind \"machnes\"\n  help: did you mean \"machines\"?"
        );
        assert!(served.find("bindings").is_err());
    }

    #[test]
    fn objects_are_typed_as_kind_and_name() {
        let served = served();
        assert_eq!(served.object("ma/x").unwrap().1, "x");
        for bad in ["ma", "ma/", "/x", "ma/x/y", ""] {
            assert_eq!(served.object(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
