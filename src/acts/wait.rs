//! Waiting until an object is as it should be, by a watch.

use std::time::Duration;

use serde_json::Value;

use super::error::{Exit, Failure};
use super::kinds::{Kind, encoded};
use crate::client::{Client, ClientError};
use crate::clock::Clock;

/// Between two watches of which the first told nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// One object that is waited for.
pub(crate) struct Awaited {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Awaited {
    /// Waits until a check passes, for as long as it takes.
    ///
    /// # Errors
    /// `E030` if the object does not exist, or goes, though it must exist.
    pub(crate) async fn until(
        &self,
        client: &Client,
        must_exist: bool,
        check: impl Fn(Option<&Value>) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let kind = &self.kind;
        let failed =
            |error: ClientError| Failure::request(&format!("watch {}", kind.singular), &error);
        let selector = encoded(&format!("metadata.name={}", self.name));
        let collection = format!("{}?fieldSelector={selector}", kind.path(&self.namespace));
        loop {
            let list = client.get_json(&collection).await.map_err(failed)?;
            let object = list["items"].get(0);
            if check(object).is_ok() {
                return Ok(());
            }
            if object.is_none() && must_exist {
                return Err(kind.not_found(client, &self.namespace, &self.name).await);
            }
            let version = encoded(list["metadata"]["resourceVersion"].as_str().unwrap_or_default());
            let path = format!("{collection}&watch=1&resourceVersion={version}");
            let mut events = client.watch_as(&path, "application/json").await.map_err(failed)?;
            let mut told = false;
            while let Some(event) = events.next().await {
                let event = event.map_err(failed)?;
                told |= event["type"] != "ERROR";
                match event["type"].as_str() {
                    Some("DELETED") if must_exist => {
                        let message =
                            format!("{} {:?} was deleted meanwhile", kind.singular, self.name);
                        return Err(Failure::new("E030", Exit::NotFound, message));
                    }
                    Some("DELETED") if check(None).is_ok() => return Ok(()),
                    Some("ADDED" | "MODIFIED") if check(Some(&event["object"])).is_ok() => {
                        return Ok(());
                    }
                    // The version is too old, or the server is stopping: from the start.
                    Some("ERROR") => break,
                    _ => {}
                }
            }
            if !told {
                Clock::wall().sleep(PAUSE).await;
            }
        }
    }
}
