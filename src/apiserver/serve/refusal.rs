//! Go's words for heads that are refused before anybody sees a request: hyper answers those with an
//! empty body. (Go: net/http, conn.serve)

/// What hyper writes between the status line and the date.
const EMPTY: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\n";

/// Status lines of refusals, and the whole answers in their place.
const ANSWERS: [(&[u8], &[u8]); 3] = [
    (
        b"HTTP/1.1 400 Bad Request",
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request",
    ),
    (
        b"HTTP/1.1 414 URI Too Long",
        b"HTTP/1.1 414 URI Too Long\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n414 URI Too Long",
    ),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n431 Request Header Fields Too Large",
    ),
];

/// The answer in place of an empty refusal, if `written` is one from beginning to end.
pub(super) fn in_words(written: &[u8]) -> Option<&'static [u8]> {
    ANSWERS.iter().find_map(|(line, answer)| {
        let rest = written.strip_prefix(*line)?.strip_prefix(EMPTY)?;
        let is_whole =
            rest.len() < 64 && rest.starts_with(b"date: ") && rest.ends_with(b"\r\n\r\n");
        is_whole.then_some(*answer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_refusals_are_replaced() {
        let date = "date: Fri, 02 Jan 2026 03:04:05 GMT\r\n\r\n";
        let line = "HTTP/1.1 431 Request Header Fields Too Large";
        let whole = format!("{line}\r\nconnection: close\r\ncontent-length: 0\r\n{date}");
        let words = in_words(whole.as_bytes()).unwrap();
        assert!(words.ends_with(b"\r\n\r\n431 Request Header Fields Too Large"));
        assert_eq!(in_words(format!("{whole}x").as_bytes()), None);
        assert_eq!(in_words(&whole.as_bytes()[..whole.len() - 1]), None);
        let full = whole.replace("content-length: 0", "content-length: 1");
        assert_eq!(in_words(full.as_bytes()), None);
    }
}
