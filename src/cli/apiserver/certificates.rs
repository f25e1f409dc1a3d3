//! The files that kube-apiserver's flags name.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::flags::Flags;
use crate::embed::{CertifiedKey, Credentials};

/// The serving certificate that the flags ask for; `None` leaves the choice to the server.
///
/// As kube-apiserver does, `--tls-cert-file` and its key win; then come `apiserver.crt` and
/// `apiserver.key` of `--cert-dir`, which are made and written if they are not there.
/// (kubernetes 1.36: apiserver/pkg/server/options/serving.go, MaybeDefaultWithSelfSignedCerts)
///
/// # Errors
/// What is wrong, when a file cannot be read or written.
pub(super) fn serving(flags: &Flags, address: IpAddr) -> Result<Option<CertifiedKey>, String> {
    match (flags.last("tls-cert-file"), flags.last("tls-private-key-file")) {
        (Some(certificate), Some(key)) => {
            return Ok(Some(CertifiedKey {
                certificate_pem: read(certificate)?,
                key_pem: read(key)?,
            }));
        }
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => {
            return Err("--tls-cert-file and --tls-private-key-file go together".to_owned());
        }
    }
    let Some(directory) = flags.last("cert-dir").map(Path::new) else { return Ok(None) };
    let (certificate, key) = (directory.join("apiserver.crt"), directory.join("apiserver.key"));
    if certificate.exists() && key.exists() {
        return Ok(Some(CertifiedKey {
            certificate_pem: read(&certificate)?,
            key_pem: read(&key)?,
        }));
    }
    let made = Credentials::generate(address).map_err(|error| error.to_string())?;
    // The authority stands behind the certificate, so that the file can serve as a trust root.
    let chain = format!("{}{}", made.serving().certificate_pem, made.authority_pem());
    let made = CertifiedKey { certificate_pem: chain, key_pem: made.serving().key_pem.clone() };
    fs::create_dir_all(directory).map_err(|error| failed("make", directory, &error))?;
    write(&certificate, &made.certificate_pem, 0o644)?;
    write(&key, &made.key_pem, 0o600)?;
    Ok(Some(made))
}

/// The text of a file.
pub(super) fn read(path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(|error| failed("read", path, &error))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), String> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failed("write", path, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("failed to {what} {}: {error}", path.display())
}
