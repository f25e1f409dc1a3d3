use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::dictionary::DICTIONARY;
use super::*;

/// Feeds bytes in pieces of a size and collects frames until there are no more, or an error.
fn decode(bytes: &[u8], piece: usize) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::default();
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for part in bytes.chunks(piece.max(1)) {
        input.extend_from_slice(part);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn encode(frames: &[Frame]) -> BytesMut {
    let mut encoder = Encoder::default();
    let mut out = BytesMut::new();
    for frame in frames {
        encoder.put(frame, &mut out);
    }
    out
}

/// Joins neighbouring pieces of the same DATA frame.
fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut whole: Vec<Frame> = Vec::new();
    for frame in frames {
        match (whole.last_mut(), frame) {
            (
                Some(Frame::Data { stream, fin: fin @ false, data }),
                Frame::Data { stream: same, fin: last, data: more },
            ) if *stream == same => {
                *fin = last;
                *data = [data.as_ref(), &more].concat().into();
            }
            (_, frame) => whole.push(frame),
        }
    }
    whole
}

/// Header blocks as moby/spdystream sends them: one zlib stream with the dictionary, flushed after
/// each block.
struct GoDeflater(Compress);

impl GoDeflater {
    fn new() -> Self {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&DICTIONARY).unwrap();
        Self(zlib)
    }

    fn block(&mut self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        block.put_u32(headers.len() as u32);
        for (name, value) in headers {
            for text in [name, value] {
                block.put_u32(text.len() as u32);
                block.put_slice(text.as_bytes());
            }
        }
        self.deflate(&block)
    }

    fn deflate(&mut self, block: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(block.len() + 1024);
        self.0.compress_vec(block, &mut out, FlushCompress::Sync).unwrap();
        out
    }
}

fn syn_stream(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80, 3, 0, 1, 0];
    out.put_uint(block.len() as u64 + 10, 3);
    out.put_u32(stream);
    out.put_slice(&[0; 6]);
    out.put_slice(block);
    out
}

fn check_broken(bytes: &[u8], reason: &'static str) {
    for piece in [1, 7, bytes.len()] {
        let (frames, error) = decode(bytes, piece);
        assert_eq!(frames, [], "{reason}");
        assert_eq!(error, Some(DecodeError::Connection(reason)));
    }
}

#[test]
fn headers_compressed_as_go_does_are_read_with_one_context() {
    let mut go = GoDeflater::new();
    let mut bytes = Vec::new();
    for stream in [1, 3, 5] {
        let id = stream.to_string();
        let headers = [("port", "2379"), ("requestid", &*id), ("streamtype", "data")];
        bytes.extend(syn_stream(stream, &go.block(&headers)));
    }
    let (frames, error) = decode(&bytes, 5);
    assert_eq!((frames.len(), error), (3, None));
    for (frame, expected) in frames.iter().zip([1, 3, 5]) {
        let Frame::SynStream { stream, fin: false, unidirectional: false, headers } = frame else {
            panic!("{frame:?}");
        };
        assert_eq!(*stream, expected);
        assert_eq!(headers.get("requestID"), expected.to_string());
        assert_eq!((headers.get("streamType"), headers.get("port")), ("data", "2379"));
        assert_eq!(headers.get("absent"), "");
    }
}

#[test]
fn our_header_blocks_are_a_zlib_stream_with_the_dictionary() {
    let headers = Headers::default().with("streamType", "error").with("port", "1");
    let syn = |stream| Frame::SynStream {
        stream,
        fin: true,
        unidirectional: false,
        headers: headers.clone(),
    };
    let bytes = encode(&[syn(1), syn(3)]);
    // The head of a frame, ids, and then the zlib head with the dictionary's id.
    assert_eq!(bytes[18..24], [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]);
    assert_eq!(bytes[bytes.len() - 5..], [0, 0, 0, 0xff, 0xff], "flushed");
    assert_eq!(0x78bb % 31, 0, "zlib's check of its own head");
    assert_eq!(decode(&bytes, 3), (vec![syn(1), syn(3)], None));
}

#[test]
fn a_bomb_in_a_header_block_is_not_inflated() {
    let mut go = GoDeflater::new();
    let bomb = go.deflate(&vec![0; 4 << 20]);
    assert!(bomb.len() < 16 * 1024, "{} bytes", bomb.len());
    let (frames, error) = decode(&syn_stream(1, &bomb), 4096);
    assert_eq!(frames, []);
    assert_eq!(error, Some(DecodeError::Connection("header block is too large")));
}

#[test]
fn headers_that_break_the_rules_cost_their_stream_only() {
    let mut go = GoDeflater::new();
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[("Port", "1")], "header was not lowercased"),
        (&[("", "1")], "header was not lowercased"),
        (&[("port", "1"), ("port", "2")], "multiple headers with same name"),
    ];
    let mut decoder = Decoder::default();
    for (headers, reason) in cases {
        let mut input = BytesMut::from(&*syn_stream(7, &go.block(headers)));
        let error = decoder.decode(&mut input).unwrap_err();
        assert_eq!(error, DecodeError::Stream { stream: 7, reason });
    }
    for (block, reason) in [
        (&[0, 0, 0, 1][..], "header block ends too early"),
        (&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, b'a'], "header block ends too early"),
        (&[0xff, 0xff, 0xff, 0xff], "header block ends too early"),
        (&[0, 0, 0, 0, 9], "header block does not end"),
        (&[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0], "header is not text"),
    ] {
        let mut input = BytesMut::from(&*syn_stream(9, &go.deflate(block)));
        let error = decoder.decode(&mut input).unwrap_err();
        assert_eq!(error, DecodeError::Stream { stream: 9, reason });
    }
    let mut input = BytesMut::from(&*syn_stream(11, &go.block(&[("port", "1")])));
    let frame = decoder.decode(&mut input).unwrap();
    assert!(matches!(frame, Some(Frame::SynStream { stream: 11, .. })), "{frame:?}");
}

#[test]
fn broken_frames_end_the_connection() {
    check_broken(&[0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1], "unsupported version");
    check_broken(&[0xff; 8], "unsupported version");
    check_broken(&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff], "control frame is too large");
    check_broken(&[0x80, 3, 0, 6, 0, 0, 0, 3, 1, 2, 3], "invalid control frame");
    check_broken(&[0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0], "invalid control frame");
    check_broken(&[0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 9], "invalid control frame");
    check_broken(&[0, 0, 0, 0, 0, 0, 0, 1, b'x'], "stream id zero is disallowed");
    check_broken(&syn_stream(1, b"not zlib"), "header block cannot be inflated");
    check_broken(&[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0], "invalid control frame");
}

#[test]
fn unknown_kinds_of_frames_are_passed_over() {
    let mut bytes = vec![0x80, 3, 0, 77, 0, 0xff, 0xff, 0xff];
    bytes.extend(vec![0; 0xff_ffff]);
    bytes.extend([0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]);
    assert_eq!(decode(&bytes, 1 << 20), (vec![Frame::Ping { id: 1 }], None));
}

#[test]
fn giant_frames_of_bytes_are_handed_on_as_they_come() {
    let mut decoder = Decoder::default();
    let mut input = BytesMut::from(&[0, 0, 0, 1, 1, 0xff, 0xff, 0xff, b'a', b'b'][..]);
    let piece = Frame::Data { stream: 1, fin: false, data: Bytes::from_static(b"ab") };
    assert_eq!(decoder.decode(&mut input), Ok(Some(piece)));
    assert_eq!(decoder.decode(&mut input), Ok(None));
    input.extend_from_slice(&vec![0; 0xff_ffff - 2]);
    let Ok(Some(Frame::Data { fin, data, .. })) = decoder.decode(&mut input) else {
        panic!("no data");
    };
    assert_eq!((fin, data.len()), (true, 0xff_ffff - 2));
}

#[test]
fn windows_may_be_overdrawn() {
    let mut window = SendWindow::new(10);
    assert_eq!(window.allows(20), 10);
    window.sent(30);
    assert_eq!(window.allows(1), 0);
    window.widen(21);
    assert_eq!(window.allows(20), 1);
}

fn any_headers() -> impl Strategy<Value = Headers> {
    proptest::collection::btree_map("[a-z-]{1,12}", ".{0,40}", 0..6).prop_map(|map| {
        map.iter().fold(Headers::default(), |headers, (name, value)| headers.with(name, value))
    })
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let stream = 1..=0x7fff_ffff_u32;
    let control = prop_oneof![
        (stream.clone(), any::<bool>(), any::<bool>(), any_headers()).prop_map(
            |(stream, fin, unidirectional, headers)| {
                Frame::SynStream { stream, fin, unidirectional, headers }
            }
        ),
        (stream.clone(), any::<bool>(), any_headers())
            .prop_map(|(stream, fin, headers)| Frame::SynReply { stream, fin, headers }),
        (stream.clone(), any::<bool>(), any_headers())
            .prop_map(|(stream, fin, headers)| Frame::Headers { stream, fin, headers }),
        (stream.clone(), 1..20_u32)
            .prop_map(|(stream, status)| Frame::Reset { stream, status: ResetStatus(status) }),
        proptest::option::of(stream.clone())
            .prop_map(|initial_window| Frame::Settings { initial_window }),
        any::<u32>().prop_map(|id| Frame::Ping { id }),
        (stream.clone(), any::<u32>()).prop_map(|(last_stream, status)| Frame::GoAway {
            last_stream,
            status: GoAwayStatus(status),
        }),
        (stream.clone(), stream.clone())
            .prop_map(|(stream, delta)| Frame::WindowUpdate { stream, delta }),
    ];
    let data = (stream, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300))
        .prop_map(|(stream, fin, data)| Frame::Data { stream, fin, data: data.into() });
    prop_oneof![2 => control, 1 => data]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_read_as_they_were_written(
        frames in proptest::collection::vec(any_frame(), 0..12),
        piece in 1..64_usize,
    ) {
        let (read, error) = decode(&encode(&frames), piece);
        prop_assert_eq!(error, None);
        prop_assert_eq!(joined(read), joined(frames));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_hoard(
        frames in proptest::collection::vec(any_frame(), 0..6),
        flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8),
        noise in proptest::collection::vec(any::<u8>(), 0..64),
        piece in 1..64_usize,
    ) {
        let mut bytes = encode(&frames);
        bytes.extend_from_slice(&noise);
        for (at, flip) in flips {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at as usize % length) {
                *byte ^= flip;
            }
        }
        let (frames, _) = decode(&bytes, piece);
        // Nothing comes out that did not go in: a frame takes eight bytes at least, or is a piece.
        prop_assert!(frames.len() <= bytes.len());
    }
}
