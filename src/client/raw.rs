//! Requests by path, and trying an apply: for callers that meet kinds only at run time.

use bytes::BytesMut;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use kube::client::Body;
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

    /// GET of any path that answers text, e.g. `/metrics`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn get_text(&self, path: &str) -> Result<String, ClientError> {
        let bytes = self.send(Call::read(path.to_owned())).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
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

    /// GET of any path in a representation of one's choice, e.g. a Table.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn get_json_as(&self, path: &str, accept: &str) -> Result<Value, ClientError> {
        let body = self.open_as(path, accept).await?;
        decode(path, &body.collect().await?.to_bytes())
    }

    /// Opens a watch; `path` carries `watch=1` and the rest of the question.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn watch_as(&self, path: &str, accept: &str) -> Result<WatchEvents, ClientError> {
        let body = self.open_as(path, accept).await?;
        Ok(WatchEvents { path: path.to_owned(), body, buffer: BytesMut::new() })
    }

    async fn open_as(&self, path: &str, accept: &str) -> Result<Body, ClientError> {
        let mut request = Request::get(path).header(header::ACCEPT, accept);
        if let Some(agent) = self.agent() {
            request = request.header(header::USER_AGENT, agent);
        }
        let request = request
            .body(Body::empty())
            .map_err(|error| ClientError::Transport(Box::new(kube::Error::HttpError(error))))?;
        let (parts, body) = self.kube().send(request).await?.into_parts();
        if parts.status.is_client_error() || parts.status.is_server_error() {
            return Err(ClientError::from_answer(parts.status, &body.collect().await?.to_bytes()));
        }
        Ok(body)
    }

    /// JSON merge patch of any path.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn merge_patch_json(&self, path: &str, patch: &Value) -> Result<Value, ClientError> {
        let call = Call {
            method: Method::PATCH,
            uri: format!("{path}?{}", self.field_manager_parameter()),
            content_type: Some("application/merge-patch+json"),
            body: encode(path, patch)?,
        };
        let bytes = self.send(call).await?;
        decode(path, &bytes)
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

/// The longest event that a watch accepts, well above the largest object.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Events of a watch, one JSON object each, with `type` and `object`.
pub struct WatchEvents {
    path: String,
    body: Body,
    /// What has arrived of the next event.
    buffer: BytesMut,
}

impl WatchEvents {
    /// The next event; `None` when the server ends the watch.
    ///
    /// # Errors
    /// When the connection breaks or what arrives is no event.
    pub async fn next(&mut self) -> Option<Result<Value, ClientError>> {
        let mut scanned = 0;
        loop {
            if let Some(end) = self.buffer[scanned..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(scanned + end + 1);
                return Some(decode(&self.path, &line));
            }
            scanned = self.buffer.len();
            if scanned > EVENT_BYTES_MAX {
                return Some(Err(ClientError::transport("an event of the watch is too long")));
            }
            match self.body.frame().await? {
                Ok(frame) => self.buffer.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(error) => return Some(Err(error.into())),
            }
        }
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
