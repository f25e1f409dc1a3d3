//! Header blocks: names with values, compressed.

use bytes::{Buf, BufMut, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

use super::dictionary::{DICTIONARY, DICTIONARY_ID};

/// Bytes of one header block after inflation.
pub(super) const BLOCK_MAX: usize = 8 * 1024;
/// Method and window of a zlib stream, and the flag that it begins with a dictionary's id.
const ZLIB_HEAD: [u8; 2] = [0x78, 0xbb];
/// Bytes of one stored block.
const STORED_MAX: usize = u16::MAX as usize;

/// Names, in lower case, with values. Values that a sender joined by NUL stay joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds a header; its name is written in lower case.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The first value of a header, whatever the case of `name`; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.split('\0').next()).unwrap_or_default()
    }

    /// Reads an inflated block.
    pub(super) fn parse(mut block: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "header block ends too early";
        let count = block.try_get_u32().map_err(|_| SHORT)?;
        let mut headers = Self::default();
        for _ in 0..count {
            let mut text = || {
                let length = block.try_get_u32().map_err(|_| SHORT)? as usize;
                let bytes = block.get(..length).ok_or(SHORT)?;
                block.advance(length);
                String::from_utf8(bytes.to_vec()).map_err(|_| "header is not text")
            };
            let (name, value) = (text()?, text()?);
            if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                return Err("header was not lowercased");
            }
            if headers.0.iter().any(|(known, _)| *known == name) {
                return Err("multiple headers with same name");
            }
            headers.0.push((name, value));
        }
        if block.is_empty() { Ok(headers) } else { Err("header block does not end") }
    }

    fn block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        put_length(&mut block, self.0.len());
        for (name, value) in &self.0 {
            for text in [name, value] {
                put_length(&mut block, text.len());
                block.put_slice(text.as_bytes());
            }
        }
        block
    }
}

fn put_length(block: &mut Vec<u8>, length: usize) {
    block.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// The header blocks that one side sends, as one zlib stream of stored blocks.
#[derive(Debug, Default)]
pub(super) struct Deflater {
    is_begun: bool,
}

impl Deflater {
    pub(super) fn put(&mut self, headers: &Headers, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.put_slice(&ZLIB_HEAD);
            out.put_u32(DICTIONARY_ID);
        }
        let block = headers.block();
        // An empty block at the end is what makes Go's inflater hand on what it has.
        for part in block.chunks(STORED_MAX).chain([&[][..]]) {
            let length = part.len() as u16;
            out.put_u8(0);
            out.put_u16_le(length);
            out.put_u16_le(!length);
            out.put_slice(part);
        }
    }
}

/// The header blocks that the other side sends.
#[derive(Debug)]
pub(super) struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

impl Inflater {
    /// Inflates one block. After an error the stream is of no further use.
    pub(super) fn inflate(&mut self, mut block: &[u8]) -> Result<Vec<u8>, &'static str> {
        let Self(zlib) = self;
        let mut inflated = Vec::new();
        let mut part = [0; 1024];
        loop {
            let (read, written) = (zlib.total_in(), zlib.total_out());
            let status = match zlib.decompress(block, &mut part, FlushDecompress::Sync) {
                Ok(status) => Some(status),
                Err(error) if error.needs_dictionary() == Some(DICTIONARY_ID) => {
                    zlib.set_dictionary(&DICTIONARY).map_err(|_| "unknown dictionary")?;
                    None
                }
                Err(_) => return Err("header block cannot be inflated"),
            };
            let read = (zlib.total_in() - read) as usize;
            let written = (zlib.total_out() - written) as usize;
            block = block.get(read..).unwrap_or_default();
            inflated.extend_from_slice(&part[..written]);
            if inflated.len() > BLOCK_MAX {
                return Err("header block is too large");
            }
            match status {
                None => {}
                Some(Status::StreamEnd) => return Err("header compression ends"),
                Some(Status::Ok | Status::BufError) if written == part.len() => {}
                Some(Status::Ok | Status::BufError) if block.is_empty() => return Ok(inflated),
                Some(Status::Ok) if read > 0 || written > 0 => {}
                Some(Status::Ok | Status::BufError) => {
                    return Err("header block cannot be inflated");
                }
            }
        }
    }
}
