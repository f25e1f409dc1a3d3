//! What a server of this project tells of its clients.

use super::{Call, Client, ClientError};
use crate::apiserver::API_CLIENTS_PATH as PATH;
pub use crate::apiserver::{ClientRequests, ClientRequestsList};

impl Client {
    /// Who asks the server for what; `None` from a server that does not tell.
    ///
    /// # Errors
    /// [`ClientError`]; 403 if RBAC does not let one read it.
    pub async fn api_clients(&self) -> Result<Option<ClientRequestsList>, ClientError> {
        let bytes = match self.send(Call::read(PATH.to_owned())).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let list = serde_json::from_slice(&bytes);
        list.map(Some).map_err(|source| ClientError::Codec { what: PATH.to_owned(), source })
    }
}
