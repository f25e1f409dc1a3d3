//! How a server decides who may: the settings that flags of kube-apiserver make.

use std::sync::{Arc, LazyLock};

use super::authentication::StaticToken;
use crate::pki::{PublicKey, SigningKey};

/// Issuer of tokens where nothing else is configured, and their audience.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

static DEFAULT: LazyLock<Arc<Access>> = LazyLock::new(Arc::default);

/// What decides over requests that nobody in `system:masters` sends. (`--authorization-mode`)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthorizationMode {
    /// Roles and bindings.
    #[default]
    Rbac,
    /// Everybody may do everything.
    AlwaysAllow,
    /// Nobody may do anything.
    AlwaysDeny,
}

/// How a server decides who may. Servers that need nothing of their own share one.
#[derive(Clone, Debug)]
pub struct Access {
    /// What decides over requests.
    pub mode: AuthorizationMode,
    /// Issuer of service account tokens. (`--service-account-issuer`)
    pub issuer: String,
    /// Audiences that the API itself answers to. (`--api-audiences`)
    pub audiences: Vec<String>,
    /// Where the keys of tokens are published; the requested host if `None`.
    /// (`--service-account-jwks-uri`)
    pub jwks_uri: Option<String>,
    /// Signs tokens; made when the first one is asked for if `None`.
    /// (`--service-account-signing-key-file`)
    pub signing_key: Option<Arc<SigningKey>>,
    /// Further keys whose tokens hold. (`--service-account-key-file`)
    pub token_keys: Vec<PublicKey>,
    /// Tokens that are known from the start. (`--token-auth-file`)
    pub tokens: Vec<StaticToken>,
    /// Whether requests without credentials are answered as `system:anonymous`.
    /// (`--anonymous-auth`)
    pub anonymous: bool,
    /// Whether the tokens in Secrets of type `bootstrap.kubernetes.io/token` hold.
    /// (`--enable-bootstrap-token-auth`)
    pub bootstrap_tokens: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            mode: AuthorizationMode::default(),
            issuer: ISSUER.to_owned(),
            audiences: vec![ISSUER.to_owned()],
            jwks_uri: None,
            signing_key: None,
            token_keys: Vec::new(),
            tokens: Vec::new(),
            anonymous: true,
            bootstrap_tokens: true,
        }
    }
}

impl Access {
    /// The settings of servers without any of their own.
    pub(super) fn shared_default() -> Arc<Self> {
        DEFAULT.clone()
    }
}
