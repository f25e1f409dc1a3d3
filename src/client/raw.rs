//! Requests by path, and trying an apply: for callers that meet kinds only at run time.

use http::Method;
use kube::core::ApiResource;
use serde_json::Value;

use super::verbs::key_of_value;
use super::{Call, Client, ClientError, Target};

impl Client {
    /// GET of any path that answers JSON, e.g. `/version` or `/apis`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn get_json(&self, path: &str) -> Result<Value, ClientError> {
        let bytes = self.send(Call::read(path.to_owned())).await?;
        decode(path, &bytes)
    }

    /// Opens a watch and counts its events until there are `limit` or the stream ends.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn count_watch_lines(&self, path: &str, limit: usize) -> Result<usize, ClientError> {
        let mut body = self.open(Call::read(path.to_owned())).await?;
        let mut lines = 0;
        while lines < limit {
            let Some(piece) = body.next().await else { break };
            lines += piece?.iter().filter(|byte| **byte == b'\n').count();
        }
        Ok(lines)
    }

    /// POST of an object to a collection's path.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn create_json(&self, path: &str, object: &Value) -> Result<Value, ClientError> {
        let call = Call {
            method: Method::POST,
            uri: format!("{path}?{}", self.field_manager_parameter()),
            content_type: Some("application/json"),
            body: encode(path, object)?,
        };
        let bytes = self.send(call).await?;
        decode(path, &bytes)
    }

    /// Tries a server-side apply (force, strict field validation) without writing.
    ///
    /// # Errors
    /// What the apply would be refused for.
    pub async fn apply_dry_run(
        &self,
        resource: &ApiResource,
        object: &Value,
    ) -> Result<Value, ClientError> {
        let path = Target::from_resource(resource).object_path(&key_of_value(object), "");
        let manager = self.field_manager_parameter();
        let call = Call {
            method: Method::PATCH,
            uri: format!("{path}?dryRun=All&fieldValidation=Strict&force=true&{manager}"),
            content_type: Some("application/apply-patch+yaml"),
            body: encode(&path, object)?,
        };
        let bytes = self.send(call).await?;
        decode(&path, &bytes)
    }
}

fn encode(path: &str, object: &Value) -> Result<bytes::Bytes, ClientError> {
    let bytes = serde_json::to_vec(object);
    bytes.map(Into::into).map_err(|source| ClientError::Codec { what: path.to_owned(), source })
}

fn decode(path: &str, bytes: &[u8]) -> Result<Value, ClientError> {
    serde_json::from_slice(bytes)
        .map_err(|source| ClientError::Codec { what: path.to_owned(), source })
}
