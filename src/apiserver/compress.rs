//! Compression of large answers for clients that ask for it.
//! (kubernetes 1.36: endpoints/handlers/responsewriters/writers.go)

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, VARY,
};
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Answers up to this size are sent as they are.
const THRESHOLD: u64 = 128 * 1024;
/// Bytes that are compressed in one go, before other tasks get their turn.
const PIECE: usize = 128 * 1024;

/// Whether a client takes compressed answers.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let header = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    header.is_some_and(|text| text.split(',').any(|token| token.trim() == "gzip"))
}

/// The answer, compressed if it is large and in memory.
pub(super) fn response(response: Response<Body>) -> Response<Body> {
    let size = response.body().size_hint();
    let compressible = response.status() == StatusCode::OK
        && size.exact().is_some_and(|size| size > THRESHOLD)
        && !response.headers().contains_key(CONTENT_ENCODING);
    if !compressible {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::new(Gzip::new(body)))
}

/// A body that is compressed while it is read.
struct Gzip {
    source: Body,
    /// Read from the source and not compressed yet.
    pending: Bytes,
    /// `None` once the last piece was handed out.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Gzip {
    fn new(source: Body) -> Self {
        // Level 1, as upstream: most of the gain at a fraction of the cost.
        let encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
        Self { source, pending: Bytes::new(), encoder }
    }

    /// Compresses a piece of what is pending.
    fn step(&mut self) -> Vec<u8> {
        let Some(encoder) = &mut self.encoder else { return Vec::new() };
        let piece = self.pending.len().min(PIECE);
        encoder.write_all(&self.pending[..piece]).expect("memory takes all that is written");
        self.pending.advance(piece);
        std::mem::take(encoder.get_mut())
    }
}

impl HttpBody for Gzip {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        loop {
            if this.encoder.is_none() {
                return Poll::Ready(None);
            }
            if !this.pending.is_empty() {
                let compressed = this.step();
                if compressed.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(Frame::data(compressed.into()))));
            }
            match Pin::new(&mut this.source).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => {
                    this.pending = frame.into_data().unwrap_or_default();
                }
                Poll::Ready(None) => {
                    let Some(encoder) = this.encoder.take() else { return Poll::Ready(None) };
                    let rest = encoder.finish().expect("memory takes all that is written");
                    return Poll::Ready(Some(Ok(Frame::data(rest.into()))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn large_answers_come_out_as_they_went_in() {
        for size in [THRESHOLD as usize + 1, 3 * PIECE + 17] {
            let text: Vec<u8> = (0..size).map(|n| (n * n % 251) as u8).collect();
            let compressed = response(Response::new(Body::from(text.clone())));
            assert_eq!(compressed.headers()[CONTENT_ENCODING], "gzip");
            assert_eq!(compressed.headers()[VARY], "Accept-Encoding");
            let bytes = compressed.into_body().collect().await.unwrap().to_bytes();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn small_answers_and_refusals_stay_as_they_are() {
        let small = response(Response::new(Body::from(vec![b'x'; THRESHOLD as usize])));
        assert!(!small.headers().contains_key(CONTENT_ENCODING));
        let mut refusal = Response::new(Body::from(vec![b'x'; 2 * THRESHOLD as usize]));
        *refusal.status_mut() = StatusCode::CONFLICT;
        assert!(!response(refusal).headers().contains_key(CONTENT_ENCODING));
    }
}
