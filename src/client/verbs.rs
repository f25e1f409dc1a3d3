//! The verbs of [`Client`]: get, list, create, patch, apply, delete.

use std::fmt;

use bytes::Bytes;
use http::Method;
use kube::core::ApiResource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::target::{Target, percent_encode};
use super::transport::Call;
use super::{Client, ClientError, ObjectKey, written};

/// How dependants are treated on deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Server's choice.
    Default,
    /// Dependants go later.
    Background,
    /// Dependants go first.
    Foreground,
    /// Dependants stay.
    Orphan,
}

/// How a patch is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatchType {
    Merge,
    Strategic,
}

impl Client {
    /// Reads an object; `None` if it does not exist.
    ///
    /// # Errors
    /// [`ClientError`], other than not found.
    pub async fn get<K>(&self, key: &ObjectKey) -> Result<Option<K>, ClientError>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        let target = Target::of::<K>(&());
        self.read(&target, key).await?.map(|bytes| decode(&target, key, &bytes)).transpose()
    }

    /// Reads an object of a kind known only at run time; `None` if it does not exist.
    ///
    /// # Errors
    /// [`ClientError`], other than not found.
    pub async fn get_dynamic(
        &self,
        resource: &ApiResource,
        key: &ObjectKey,
    ) -> Result<Option<Value>, ClientError> {
        let target = Target::from_resource(resource);
        self.read(&target, key).await?.map(|bytes| decode(&target, key, &bytes)).transpose()
    }

    /// Reads an object of a kind known only at run time as `K`; `None` if it does not exist.
    ///
    /// # Errors
    /// [`ClientError`], other than not found.
    pub async fn get_as<K: DeserializeOwned>(
        &self,
        resource: &ApiResource,
        key: &ObjectKey,
    ) -> Result<Option<K>, ClientError> {
        let target = Target::from_resource(resource);
        self.read(&target, key).await?.map(|bytes| decode(&target, key, &bytes)).transpose()
    }

    /// Lists objects of a namespace (all if empty) with a label selector (all if empty).
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn list<K>(
        &self,
        namespace: &str,
        label_selector: &str,
    ) -> Result<Vec<K>, ClientError>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + fmt::Debug,
    {
        let target = Target::of::<K>(&());
        let mut uri = target.collection_path(namespace);
        if !label_selector.is_empty() {
            uri.push_str("?labelSelector=");
            uri.push_str(&percent_encode(label_selector));
        }
        let bytes = self.send(Call::read(uri)).await?;
        let list: List<K> = decode(&target, &ObjectKey::new(namespace, "list"), &bytes)?;
        Ok(list.items)
    }

    /// Lists objects of a kind known only at run time, as [`Client::list`].
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn list_dynamic(
        &self,
        resource: &ApiResource,
        namespace: &str,
        label_selector: &str,
    ) -> Result<Vec<Value>, ClientError> {
        let target = Target::from_resource(resource);
        let mut uri = target.collection_path(namespace);
        if !label_selector.is_empty() {
            uri.push_str("?labelSelector=");
            uri.push_str(&percent_encode(label_selector));
        }
        let bytes = self.send(Call::read(uri)).await?;
        let list: List<Value> = decode(&target, &ObjectKey::new(namespace, "list"), &bytes)?;
        Ok(list.items)
    }

    /// Creates an object. apiVersion and kind are filled in from the type.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn create<K>(&self, object: &K) -> Result<K, ClientError>
    where
        K: kube::Resource<DynamicType = ()> + Serialize + DeserializeOwned,
    {
        let target = Target::of::<K>(&());
        let key = ObjectKey::of(object);
        let value = serde_json::to_value(object).map_err(|source| codec(&target, &key, source))?;
        let bytes = self.post(&target, &key, value).await?;
        self.decode_written(&target, &key, &bytes)
    }

    /// Creates an object given as JSON (with apiVersion and kind); answers what was stored.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn create_dynamic(
        &self,
        resource: &ApiResource,
        object: &Value,
    ) -> Result<Value, ClientError> {
        let target = Target::from_resource(resource);
        let key = key_of_value(object);
        let bytes = self.post(&target, &key, object.clone()).await?;
        decode_recorded(&target, &key, &bytes)
    }

    /// JSON merge patch of an object (`subresource` empty) or of a subresource such as `status`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn merge_patch<K>(
        &self,
        key: &ObjectKey,
        subresource: &str,
        patch: &Value,
    ) -> Result<K, ClientError>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        let target = Target::of::<K>(&());
        let bytes = self.patch(&target, key, subresource, patch, PatchType::Merge).await?;
        self.decode_written(&target, key, &bytes)
    }

    /// The same for a kind known only at run time.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn merge_patch_dynamic(
        &self,
        resource: &ApiResource,
        key: &ObjectKey,
        subresource: &str,
        patch: &Value,
    ) -> Result<Value, ClientError> {
        self.merge_patch_value(&Target::from_resource(resource), key, subresource, patch).await
    }

    /// Strategic merge patch (built-in kinds only).
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn strategic_patch<K>(
        &self,
        key: &ObjectKey,
        subresource: &str,
        patch: &Value,
    ) -> Result<K, ClientError>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        let target = Target::of::<K>(&());
        let bytes = self.patch(&target, key, subresource, patch, PatchType::Strategic).await?;
        self.decode_written(&target, key, &bytes)
    }

    /// Server-side apply with force, as this client's field manager.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn apply(
        &self,
        resource: &ApiResource,
        object: &Value,
    ) -> Result<Value, ClientError> {
        let target = Target::from_resource(resource);
        let key = key_of_value(object);
        let path = target.object_path(&key, "");
        let call = Call {
            method: Method::PATCH,
            uri: format!("{path}?force=true&{}", self.field_manager_parameter()),
            content_type: Some("application/apply-patch+yaml"),
            body: encode(&target, &key, object)?,
        };
        let bytes = self.send(call).await?;
        decode_recorded(&target, &key, &bytes)
    }

    /// Deletes an object; an absent one is no error.
    ///
    /// # Errors
    /// [`ClientError`], other than not found.
    pub async fn delete<K>(
        &self,
        key: &ObjectKey,
        propagation: Propagation,
    ) -> Result<(), ClientError>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned + Clone + fmt::Debug,
    {
        self.remove(&Target::of::<K>(&()), key, propagation).await
    }

    /// The same for a kind known only at run time.
    ///
    /// # Errors
    /// [`ClientError`], other than not found.
    pub async fn delete_dynamic(
        &self,
        resource: &ApiResource,
        key: &ObjectKey,
        propagation: Propagation,
    ) -> Result<(), ClientError> {
        self.remove(&Target::from_resource(resource), key, propagation).await
    }

    /// Reads an object as JSON.
    pub(crate) async fn get_value(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
    ) -> Result<Option<Value>, ClientError> {
        self.read(target, key).await?.map(|bytes| decode(target, key, &bytes)).transpose()
    }

    /// Merge patch that answers JSON.
    pub(crate) async fn merge_patch_value(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
        subresource: &str,
        patch: &Value,
    ) -> Result<Value, ClientError> {
        let bytes = self.patch(target, key, subresource, patch, PatchType::Merge).await?;
        decode_recorded(target, key, &bytes)
    }

    /// Merge patch that answers the object's text.
    pub(crate) async fn merge_patch_text(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
        subresource: &str,
        patch: &Value,
    ) -> Result<Bytes, ClientError> {
        let bytes = self.patch(target, key, subresource, patch, PatchType::Merge).await?;
        record_text(target, key, &bytes)?;
        Ok(bytes)
    }

    async fn read(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
    ) -> Result<Option<Bytes>, ClientError> {
        match self.send(Call::read(target.object_path(key, ""))).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn post(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
        mut object: Value,
    ) -> Result<Bytes, ClientError> {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), target.api_version().into());
            fields.insert("kind".to_owned(), target.kind.as_ref().into());
        }
        let path = target.collection_path(&key.namespace);
        let call = Call {
            method: Method::POST,
            uri: format!("{path}?{}", self.field_manager_parameter()),
            content_type: Some("application/json"),
            body: encode(target, key, &object)?,
        };
        self.send(call).await
    }

    async fn patch(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
        subresource: &str,
        patch: &Value,
        patch_type: PatchType,
    ) -> Result<Bytes, ClientError> {
        let path = target.object_path(key, subresource);
        let call = Call {
            method: Method::PATCH,
            uri: format!("{path}?{}", self.field_manager_parameter()),
            content_type: Some(match patch_type {
                PatchType::Merge => "application/merge-patch+json",
                PatchType::Strategic => "application/strategic-merge-patch+json",
            }),
            body: encode(target, key, patch)?,
        };
        self.send(call).await
    }

    async fn remove(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
        propagation: Propagation,
    ) -> Result<(), ClientError> {
        let policy = match propagation {
            Propagation::Default => "",
            Propagation::Background => "?propagationPolicy=Background",
            Propagation::Foreground => "?propagationPolicy=Foreground",
            Propagation::Orphan => "?propagationPolicy=Orphan",
        };
        let call = Call {
            method: Method::DELETE,
            uri: format!("{}{policy}", target.object_path(key, "")),
            content_type: None,
            body: Bytes::new(),
        };
        match self.send(call).await {
            Ok(bytes) => record_remains(target, key, &bytes),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn decode_written<K>(
        &self,
        target: &Target<'_>,
        key: &ObjectKey,
        bytes: &[u8],
    ) -> Result<K, ClientError>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        let object: K = decode(target, key, bytes)?;
        let meta = object.meta();
        record(target, meta.uid.as_deref(), meta.resource_version.as_deref());
        Ok(object)
    }
}

#[derive(Deserialize)]
struct List<K> {
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

/// A deletion answers a `Status` when the object is gone, and the object while finalizers hold it.
fn record_remains(target: &Target<'_>, key: &ObjectKey, bytes: &[u8]) -> Result<(), ClientError> {
    record_text(target, key, bytes)
}

/// Notes the write that an answer tells of, which is skimmed and not decoded.
fn record_text(target: &Target<'_>, key: &ObjectKey, bytes: &[u8]) -> Result<(), ClientError> {
    #[derive(Deserialize)]
    struct Outline {
        kind: Option<String>,
        metadata: Option<OutlineMeta>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OutlineMeta {
        uid: Option<String>,
        resource_version: Option<String>,
    }

    let outline: Outline = decode(target, key, bytes)?;
    if outline.kind.as_deref() != Some("Status")
        && let Some(meta) = outline.metadata
    {
        record(target, meta.uid.as_deref(), meta.resource_version.as_deref());
    }
    Ok(())
}

fn decode_recorded(
    target: &Target<'_>,
    key: &ObjectKey,
    bytes: &[u8],
) -> Result<Value, ClientError> {
    let object: Value = decode(target, key, bytes)?;
    let meta = &object["metadata"];
    record(target, meta["uid"].as_str(), meta["resourceVersion"].as_str());
    Ok(object)
}

fn record(target: &Target<'_>, uid: Option<&str>, resource_version: Option<&str>) {
    if let Some(version) = resource_version.and_then(|version| version.parse().ok()) {
        written::record(&target.group, &target.kind, uid.unwrap_or_default(), version);
    }
}

pub(super) fn key_of_value(object: &Value) -> ObjectKey {
    let meta = &object["metadata"];
    let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
    ObjectKey { namespace: text("namespace"), name: text("name") }
}

fn encode(target: &Target<'_>, key: &ObjectKey, value: &Value) -> Result<Bytes, ClientError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|source| codec(target, key, source))
}

fn decode<T: DeserializeOwned>(
    target: &Target<'_>,
    key: &ObjectKey,
    bytes: &[u8],
) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|source| codec(target, key, source))
}

fn codec(target: &Target<'_>, key: &ObjectKey, source: serde_json::Error) -> ClientError {
    ClientError::Codec { what: target.describe(key), source }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::client::recording;

    type Seen = Arc<Mutex<Vec<(Method, String, Value)>>>;

    /// A client of a server that always gives the same answer, and what that server was asked.
    fn client(code: u16, answer: Value) -> (Client, Seen) {
        let seen = Seen::default();
        let log = seen.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (log, answer) = (log.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                log.lock().unwrap().push((parts.method, parts.uri.to_string(), body));
                let answer = Response::builder()
                    .status(code)
                    .body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        (Client::new(kube::Client::new(service, "default"), "capim-test"), seen)
    }

    fn config_map(version: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": version}})
    }

    #[tokio::test]
    async fn create_names_kind_and_field_manager_and_is_recorded() {
        let (client, seen) = client(201, config_map("7"));
        let mut object = ConfigMap::default();
        object.metadata.name = Some("a".into());
        object.metadata.namespace = Some("ns".into());
        let (created, written) = recording(client.create(&object)).await;
        assert_eq!(created.unwrap().metadata.resource_version.as_deref(), Some("7"));
        assert_eq!((written[0].kind.as_str(), written[0].resource_version), ("ConfigMap", 7));
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0].1, "/api/v1/namespaces/ns/configmaps?fieldManager=capim-test");
        assert_eq!(seen[0].2["kind"], "ConfigMap");
        assert_eq!(seen[0].2["apiVersion"], "v1");
    }

    #[tokio::test]
    async fn deletion_is_recorded_only_while_the_object_remains() {
        let key = ObjectKey::new("ns", "a");
        let (remaining, _) = client(200, config_map("8"));
        let (done, written) =
            recording(remaining.delete::<ConfigMap>(&key, Propagation::Foreground)).await;
        done.unwrap();
        assert_eq!(written[0].resource_version, 8);
        let (gone, _) = client(200, json!({"kind": "Status", "metadata": {}, "status": "Success"}));
        let (done, written) = recording(gone.delete::<ConfigMap>(&key, Propagation::Default)).await;
        done.unwrap();
        assert!(written.is_empty());
    }

    #[tokio::test]
    async fn refusals_carry_the_servers_status() {
        let key = ObjectKey::new("ns", "a");
        let status = json!({"kind": "Status", "status": "Failure", "reason": "Conflict",
            "code": 409, "message": "the object has been modified"});
        let (client, _) = client(409, status);
        let error = client.merge_patch::<ConfigMap>(&key, "", &json!({})).await.unwrap_err();
        assert!(error.is_conflict() && !error.is_already_exists());
    }

    #[tokio::test]
    async fn an_absent_object_is_none_and_deletes_well() {
        let key = ObjectKey::new("ns", "a");
        let (client, _) = client(404, json!({"kind": "Status", "reason": "NotFound", "code": 404}));
        assert!(client.get::<ConfigMap>(&key).await.unwrap().is_none());
        client.delete::<ConfigMap>(&key, Propagation::Default).await.unwrap();
    }
}
