//! PEM blocks of any kind, as Go's `encoding/pem` finds them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemBlock {
    /// What the lines around it name, e.g. `CERTIFICATE`.
    pub label: String,
    /// Whether there are headers before the data.
    pub has_headers: bool,
    /// The data.
    pub der: Vec<u8>,
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// The blocks of a text, in order; whatever is around or between them, or malformed, is skipped.
pub fn pem_blocks(text: &[u8]) -> Vec<PemBlock> {
    let text = String::from_utf8_lossy(text);
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let label = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES));
        let Some(label) = label else { continue };
        let end = format!("-----END {label}-----");
        let mut has_headers = false;
        let mut data = String::new();
        let mut is_closed = false;
        for line in lines.by_ref() {
            if line == end {
                is_closed = true;
                break;
            }
            if line.contains(':') {
                has_headers = true;
            } else {
                data.extend(line.chars().filter(|c| !c.is_whitespace()));
            }
        }
        if let (true, Ok(der)) = (is_closed, STANDARD.decode(&data)) {
            blocks.push(PemBlock { label: label.to_owned(), has_headers, der });
        }
    }
    blocks
}
