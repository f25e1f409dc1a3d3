//! SHA-256, of the TLS library, which the process has anyway.

use std::fmt::Write as _;

/// SHA-256 of the pieces one after the other, in hexadecimal.
pub fn sha256_hex<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let provider = suite.tls13().expect("the suite is one of TLS 1.3").common.hash_provider;
    let mut hash = provider.start();
    for piece in pieces {
        hash.update(piece);
    }
    let mut text = String::with_capacity(64);
    for byte in hash.finish().as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_the_known_one_however_the_text_is_cut() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex([&b"abc"[..]]), known);
        assert_eq!(sha256_hex([&b"a"[..], b"", b"bc"]), known);
    }
}
