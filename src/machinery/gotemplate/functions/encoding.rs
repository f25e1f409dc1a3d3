//! sprig's encodings and checksums. (sprig v3.3: strings.go, crypto.go)

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Entry, Type, text};
use crate::machinery::gotemplate::data::Data;

const ONE: &[Type] = &[Type::Text];
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(super) const TABLE: &[Entry] = &[
    ("b64enc", ONE, None, |args| Ok(Data::text(STANDARD.encode(text(args, 0))))),
    ("b64dec", ONE, None, |args| Ok(Data::text(decode64(text(args, 0))))),
    ("b32enc", ONE, None, |args| Ok(Data::text(encode32(text(args, 0).as_bytes())))),
    ("b32dec", ONE, None, |args| Ok(Data::text(decode32(text(args, 0))))),
    ("sha1sum", ONE, None, |args| {
        Ok(Data::text(hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, text(args, 0))))
    }),
    ("sha256sum", ONE, None, |args| Ok(Data::text(hash(&digest::SHA256, text(args, 0))))),
    ("sha512sum", ONE, None, |args| Ok(Data::text(hash(&digest::SHA512, text(args, 0))))),
    ("adler32sum", ONE, None, |args| Ok(Data::text(adler32(text(args, 0)).to_string()))),
];

fn hash(algorithm: &'static digest::Algorithm, held: &str) -> String {
    let sum = digest::digest(algorithm, held.as_bytes());
    sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adler32(held: &str) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    for byte in held.bytes() {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

/// Go's decoder ignores line breaks; errors become the result.
fn decode64(held: &str) -> String {
    let clean: String = held.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&clean) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(base64::DecodeError::InvalidByte(at, _)) => {
            format!("illegal base64 data at input byte {at}")
        }
        Err(_) => format!("illegal base64 data at input byte {}", clean.len() / 4 * 4),
    }
}

fn encode32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut block = [0u8; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        let shown = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let digit = (bits >> (35 - 5 * at)) & 31;
            let letter = BASE32.get(usize::try_from(digit).unwrap_or_default());
            out.push(if at < shown { char::from(*letter.unwrap_or(&b'=')) } else { '=' });
        }
    }
    out
}

fn decode32(held: &str) -> String {
    let clean: String = held.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let digits = clean.trim_end_matches('=');
    let (mut bits, mut count) = (0u64, 0);
    let mut bytes = Vec::with_capacity(digits.len() * 5 / 8);
    for (at, c) in digits.bytes().enumerate() {
        let Some(value) = BASE32.iter().position(|letter| *letter == c) else {
            return format!("illegal base32 data at input byte {at}");
        };
        bits = (bits << 5 | u64::try_from(value).unwrap_or_default()) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    if !clean.len().is_multiple_of(8) {
        return format!("illegal base32 data at input byte {}", clean.len());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
