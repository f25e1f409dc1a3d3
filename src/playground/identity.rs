//! Certificates that outlive a playground: its authority and the administrator's, so that what was
//! exported once stays valid. Objects do not outlive it, nor do tokens.

use std::io::ErrorKind;
use std::path::Path;

use super::config::PlaygroundError;
use super::kubeconfig::write_private;
use crate::embed::{Credentials, KeptCredentials};
use crate::pki::CertifiedKey;

/// The credentials kept in a directory with a serving certificate for these names; new ones, kept
/// from now on, if there are none.
///
/// # Errors
/// [`PlaygroundError::Identity`] when files cannot be read, written or understood.
pub(super) fn keep(directory: &Path, names: &[String]) -> Result<Credentials, PlaygroundError> {
    let failed = |detail: String| PlaygroundError::Identity { path: directory.into(), detail };
    let read = |name: &str| match std::fs::read_to_string(directory.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(format!("{name}: {error}"))),
    };
    let [ca, ca_key, client, client_key] = FILES;
    if let (Some(authority_pem), Some(authority_key_pem)) = (read(ca)?, read(ca_key)?) {
        let administrator = read(client)?
            .zip(read(client_key)?)
            .map(|(certificate_pem, key_pem)| CertifiedKey { certificate_pem, key_pem });
        let kept = KeptCredentials { authority_pem, authority_key_pem, administrator };
        let credentials = Credentials::from_kept(&kept, names)
            .map_err(|error| failed(format!("{error}; without {ca} new ones are made")))?;
        if credentials.to_keep() != kept {
            save(directory, &credentials).map_err(failed)?;
        }
        return Ok(credentials);
    }
    let credentials = Credentials::generate_for(names)?;
    save(directory, &credentials).map_err(failed)?;
    Ok(credentials)
}

/// Certificate and key of the authority, then the administrator's.
const FILES: [&str; 4] = ["ca.crt", "ca.key", "admin.crt", "admin.key"];

fn save(directory: &Path, credentials: &Credentials) -> Result<(), String> {
    let kept = credentials.to_keep();
    let administrator = kept.administrator.unwrap_or_else(|| credentials.serving().clone());
    let texts = [
        kept.authority_pem,
        kept.authority_key_pem,
        administrator.certificate_pem,
        administrator.key_pem,
    ];
    for (name, text) in FILES.into_iter().zip(texts) {
        let path = directory.join(name);
        write_private(&path, &text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_directory_gives_the_same_kubeconfig() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["127.0.0.1".to_owned()];
        let kubeconfig = |directory: &Path| {
            let credentials = keep(directory, &names).unwrap();
            credentials.kubeconfig("https://127.0.0.1:1", credentials.authority_pem())
        };
        let first = kubeconfig(directory.path());
        assert_eq!(first, kubeconfig(directory.path()));
        let other = tempfile::tempdir().unwrap();
        assert_ne!(first, kubeconfig(other.path()));
    }

    #[test]
    fn a_broken_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["127.0.0.1".to_owned()];
        keep(directory.path(), &names).unwrap();
        std::fs::write(directory.path().join("ca.key"), "junk").unwrap();
        let error = keep(directory.path(), &names).err().unwrap().to_string();
        assert!(error.contains("without ca.crt new ones are made"), "{error}");
    }
}
