//! The keys that sign a server's tokens.

use std::sync::{Arc, OnceLock};

use crate::apiserver::access::Access;
use crate::pki::{PkiError, PublicKey, SigningKey};

/// The signing key of one server: the configured one, or one that is made when it is first needed.
/// Without any token there is none, so that idle servers cost nothing.
#[derive(Debug, Default)]
pub(crate) struct TokenKeys {
    made: OnceLock<Arc<SigningKey>>,
}

impl TokenKeys {
    /// The key that signs new tokens.
    ///
    /// # Errors
    /// [`PkiError`] when no key can be made.
    pub(super) fn signing(&self, access: &Access) -> Result<Arc<SigningKey>, PkiError> {
        if let Some(key) = access.signing_key.as_ref().or_else(|| self.made.get()) {
            return Ok(key.clone());
        }
        let key = Arc::new(SigningKey::generate()?);
        Ok(self.made.get_or_init(|| key).clone())
    }

    /// The keys whose tokens hold.
    pub(super) fn verifying<'a>(
        &'a self,
        access: &'a Access,
    ) -> impl Iterator<Item = &'a PublicKey> {
        let own = access.signing_key.as_ref().or_else(|| self.made.get());
        own.map(|key| key.public()).into_iter().chain(&access.token_keys)
    }
}
