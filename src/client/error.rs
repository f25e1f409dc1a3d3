//! What can go wrong with a request.

use kube::core::Status;

/// Failure of a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused; `Status` tells why.
    #[error("{0}")]
    Status(Box<Status>),
    /// The server could not be reached or answered nonsense.
    #[error("{0}")]
    Transport(#[source] Box<kube::Error>),
    /// A foreign kubeconfig names something of this machine.
    #[error("the kubeconfig names a {0}, which is not used when it comes from elsewhere")]
    Reach(&'static str),
    /// An object could not be encoded or decoded.
    #[error("failed to encode or decode {what}: {source}")]
    Codec {
        /// Which object.
        what: String,
        /// Cause.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// 404.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// 409 AlreadyExists.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Status(status) if status.reason == "AlreadyExists")
    }

    /// 409 Conflict.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Status(status) if status.reason == "Conflict")
    }

    /// HTTP code of a refusal; `None` when the server did not answer one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.code),
            Self::Transport(_) | Self::Reach(_) | Self::Codec { .. } => None,
        }
    }

    /// What says it best: of a refusal the server's message, of a connection's failure the innermost
    /// cause, e.g. "Connection refused".
    pub fn reason(&self) -> String {
        match self {
            Self::Status(status) if !status.message.is_empty() => status.message.clone(),
            Self::Transport(source) => {
                let mut cause: &dyn std::error::Error = source.as_ref();
                while let Some(inner) = cause.source() {
                    cause = inner;
                }
                cause.to_string()
            }
            Self::Status(_) | Self::Reach(_) | Self::Codec { .. } => self.to_string(),
        }
    }

    /// A failure below HTTP.
    pub(crate) fn transport(source: impl Into<tower::BoxError>) -> Self {
        Self::Transport(Box::new(kube::Error::Service(source.into())))
    }

    /// The refusal in an answer's body; a body that is no `Status` becomes its message.
    pub(crate) fn from_answer(code: http::StatusCode, body: &[u8]) -> Self {
        let mut status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| {
            let reason = code.canonical_reason().unwrap_or_default();
            Status::failure(&String::from_utf8_lossy(body), reason)
        });
        status.code = code.as_u16();
        Self::Status(Box::new(status))
    }
}

impl From<kube::Error> for ClientError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status),
            other => Self::Transport(Box::new(other)),
        }
    }
}
