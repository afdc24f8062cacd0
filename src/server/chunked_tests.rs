//! AWS's published chunked uploads, whole, in every piece size, cut short at every byte and
//! changed in every byte.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Deframer, Frames, TrailingChecksum};
use crate::checksum::{Algorithm, Hasher};
use crate::iam::SecretKey;
use crate::server::body::BodyError;
use crate::server::sigv4::ChunkSigner;
use crate::server::sigv4::example::signer_of_examples;

const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
const TRAILER_SEED: &str = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";

fn signer(seed: &str) -> ChunkSigner {
    let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into());
    signer_of_examples(&secret, hex::decode(seed).unwrap().try_into().unwrap())
}

fn trailing(algorithm: Algorithm) -> TrailingChecksum {
    TrailingChecksum { algorithm, slot: Arc::new(OnceLock::new()) }
}

fn digest(algorithm: Algorithm, data: &[u8]) -> String {
    use base64::Engine as _;
    let mut hasher = Hasher::new(algorithm);
    hasher.update(data);
    base64::engine::general_purpose::STANDARD.encode(hasher.finish())
}

/// A body with what it promises.
struct Sample {
    wire: Vec<u8>,
    data: Vec<u8>,
    frames: fn(u64) -> Frames,
}

impl Sample {
    /// Runs the body through in pieces of `piece` bytes.
    fn run(&self, wire: &[u8], piece: usize) -> Result<Vec<u8>, BodyError> {
        let mut deframer = Deframer::new((self.frames)(self.data.len() as u64));
        let mut data = Vec::new();
        for piece in wire.chunks(piece) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(piece) = deframer.next(&mut input)? {
                assert!(!piece.is_empty());
                data.extend_from_slice(&piece);
            }
        }
        deframer.finish()?;
        assert_eq!(deframer.remaining(), 0);
        Ok(data)
    }

    fn code(&self, wire: &[u8]) -> &'static str {
        self.run(wire, 1000).err().map_or("none", |error| error.code)
    }
}

fn replace(wire: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = wire.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    [&wire[..at], to.as_bytes(), &wire[at + from.len()..]].concat()
}

/// The published upload: 65,536 and 1,024 bytes of `a`.
fn published() -> Sample {
    let data = vec![b'a'; 66_560];
    let mut wire = Vec::new();
    for (size, signature) in [
        (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1_024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ] {
        wire.extend_from_slice(format!("{size:x};chunk-signature={signature}\r\n").as_bytes());
        wire.extend_from_slice(&data[..size]);
        wire.extend_from_slice(b"\r\n");
    }
    assert_eq!(wire.len(), 66_824);
    let frames = |len| Frames { signer: Some(signer(SEED)), decoded_len: len, trailer: None };
    Sample { wire, data, frames }
}

fn published_trailer() -> Sample {
    let data = vec![b'a'; 66_560];
    let mut wire = Vec::new();
    for (size, signature) in [
        (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (1_024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ] {
        wire.extend_from_slice(format!("{size:x};chunk-signature={signature}\r\n").as_bytes());
        wire.extend_from_slice(&data[..size]);
        if size > 0 {
            wire.extend_from_slice(b"\r\n");
        }
    }
    wire.extend_from_slice(
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n\
          x-amz-trailer-signature:\
          d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n",
    );
    let frames = |len| Frames {
        signer: Some(signer(TRAILER_SEED)),
        decoded_len: len,
        trailer: Some(trailing(Algorithm::Crc32c)),
    };
    Sample { wire, data, frames }
}

/// A small signed body in three chunks, with a trailer, signed here.
fn small_signed() -> Sample {
    let data = b"hello, chunked world".to_vec();
    let mut signer_here = signer(SEED);
    let mut wire = Vec::new();
    for chunk in data.chunks(8).chain([&[][..]]) {
        use sha2::Digest as _;
        let signature = signer_here.sign_chunk(sha2::Sha256::digest(chunk).into());
        let line = format!("{:x};chunk-signature={}\r\n", chunk.len(), hex::encode(signature));
        wire.extend_from_slice(line.as_bytes());
        wire.extend_from_slice(chunk);
        if !chunk.is_empty() {
            wire.extend_from_slice(b"\r\n");
        }
    }
    let line = format!("x-amz-checksum-sha256:{}", digest(Algorithm::Sha256, &data));
    let signature = signer_here.sign_trailer(format!("{line}\n").as_bytes());
    let text = format!("{line}\r\nx-amz-trailer-signature:{}\r\n\r\n", hex::encode(signature));
    wire.extend_from_slice(text.as_bytes());
    let frames = |len| Frames {
        signer: Some(signer(SEED)),
        decoded_len: len,
        trailer: Some(trailing(Algorithm::Sha256)),
    };
    Sample { wire, data, frames }
}

fn small_unsigned() -> Sample {
    let data = b"hello, chunked world".to_vec();
    let line = format!("x-amz-checksum-crc64nvme:{}", digest(Algorithm::Crc64Nvme, &data));
    let wire = format!("5\r\nhello\r\nF\r\n, chunked world\r\n0\r\n{line}\r\n\r\n").into_bytes();
    let frames = |len| Frames {
        signer: None,
        decoded_len: len,
        trailer: Some(trailing(Algorithm::Crc64Nvme)),
    };
    Sample { wire, data, frames }
}

fn samples() -> [Sample; 4] {
    [published(), published_trailer(), small_signed(), small_unsigned()]
}

#[test]
fn bodies_come_out_whole_in_every_piece_size() {
    for sample in samples() {
        for piece in [1, 2, 3, 7, 64, 87, 88, 89, 1_000, 65_536, 100_000] {
            assert_eq!(sample.run(&sample.wire, piece).unwrap(), sample.data);
        }
    }
}

#[test]
fn random_pieces_change_nothing() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for sample in samples() {
        for _ in 0..20 {
            let mut deframer = Deframer::new((sample.frames)(sample.data.len() as u64));
            let (mut data, mut rest) = (Vec::new(), Bytes::from(sample.wire.clone()));
            while !rest.is_empty() {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let len = (state % 300 + 1) as usize;
                let mut input = rest.split_to(len.min(rest.len()));
                while let Some(piece) = deframer.next(&mut input).unwrap() {
                    data.extend_from_slice(&piece);
                }
            }
            deframer.finish().unwrap();
            assert_eq!(data, sample.data);
        }
    }
}

#[test]
fn a_body_cut_short_anywhere_never_ends_cleanly() {
    for sample in [small_signed(), small_unsigned()] {
        for len in 0..sample.wire.len() {
            let error = sample.run(&sample.wire[..len], 1000).unwrap_err();
            assert_eq!(error.code, "IncompleteBody", "cut at {len}");
        }
    }
    let published = published();
    for len in [0, 10, 88, 65_625, 65_626, 65_627, 66_737, 66_738, 66_822, 66_823] {
        assert!(published.run(&published.wire[..len], 4096).is_err(), "cut at {len}");
    }
}

#[test]
fn a_changed_byte_is_found_or_changes_nothing() {
    for sample in [small_signed(), small_unsigned()] {
        for at in 0..sample.wire.len() {
            let mut wire = sample.wire.clone();
            wire[at] ^= 1;
            if let Ok(data) = sample.run(&wire, 1000) {
                assert_eq!(data, sample.data, "changed at {at}");
            }
        }
    }
}

#[test]
fn what_is_not_as_promised_has_its_error() {
    let signed = small_signed();
    let unsigned = small_unsigned();
    for (wire, code) in [
        (replace(&unsigned.wire, "hello", "jello"), "BadDigest"),
        (replace(&unsigned.wire, "crc64nvme", "crc32"), "MalformedTrailerError"),
        (replace(&unsigned.wire, "x-amz-checksum", "x-amz-chicksum"), "MalformedTrailerError"),
        (replace(&unsigned.wire, "crc64nvme:", "crc64nvme:A"), "InvalidRequest"),
        (replace(&unsigned.wire, "crc64nvme:", "crc64nvme"), "MalformedTrailerError"),
        (replace(&unsigned.wire, "0\r\nx", "0\r\n\r\nx"), "MalformedTrailerError"),
        (replace(&unsigned.wire, "\r\n\r\n", "\r\n\r\n\r\n"), "InvalidRequest"),
        (replace(&unsigned.wire, "\r\n\r\n", "\r\nx-a:1\r\n\r\n"), "MalformedTrailerError"),
        (replace(&unsigned.wire, "5\r\n", "6\r\n"), "InvalidRequest"),
        (replace(&unsigned.wire, "5\r\n", "ffffffffffffffff\r\n"), "IncompleteBody"),
        (replace(&unsigned.wire, "5\r\n", "10000000000000000\r\n"), "InvalidRequest"),
        (replace(&unsigned.wire, "5\r\n", "+5\r\n"), "InvalidRequest"),
        (replace(&unsigned.wire, "5\r\n", "5\n"), "InvalidRequest"),
        (replace(&unsigned.wire, "5\r\n", "\r\n"), "InvalidRequest"),
        (replace(&unsigned.wire, "5\r\nhello\r\n", ""), "IncompleteBody"),
        (
            replace(&unsigned.wire, "5\r\n", &format!("5;{}\r\n", "x".repeat(2000))),
            "InvalidRequest",
        ),
        (
            replace(&unsigned.wire, "x-amz", &format!("x-{}: 1\r\nx-amz", "x".repeat(9000))),
            "InvalidRequest",
        ),
    ] {
        assert_eq!(unsigned.code(&wire), code, "{}", String::from_utf8_lossy(&wire));
    }
    for (wire, code) in [
        (replace(&signed.wire, "hello", "jello"), "SignatureDoesNotMatch"),
        (replace(&signed.wire, ";chunk-signature=", ";chunk-signature=0"), "InvalidRequest"),
        (replace(&signed.wire, "chunk-signature", "signature"), "InvalidRequest"),
        (replace(&signed.wire, "x-amz-trailer-signature", "x-amz-other"), "MalformedTrailerError"),
        (replace(&signed.wire, "sha256:", "sha256:AA"), "InvalidRequest"),
    ] {
        assert_eq!(signed.code(&wire), code, "{}", String::from_utf8_lossy(&wire));
    }
}

#[test]
fn data_before_a_wrong_signature_may_come_but_never_a_clean_end() {
    let published = published();
    let mut wire = published.wire.clone();
    wire[66_000] = b'b';
    assert_eq!(published.code(&wire), "SignatureDoesNotMatch");
}

#[test]
fn the_trailing_value_is_shown_only_when_it_is_right() {
    let sample = small_unsigned();
    let promise = trailing(Algorithm::Crc64Nvme);
    let slot = Arc::clone(&promise.slot);
    let len = sample.data.len() as u64;
    let mut deframer =
        Deframer::new(Frames { signer: None, decoded_len: len, trailer: Some(promise) });
    let mut input = Bytes::from(sample.wire);
    while deframer.next(&mut input).unwrap().is_some() {
        assert!(slot.get().is_none());
    }
    assert_eq!(slot.get().map(Vec::len), Some(8));
}

#[test]
fn forms_of_trailer_ends_that_clients_send_are_taken() {
    let sample = small_unsigned();
    let bare = replace(&sample.wire, "\r\n\r\n", "\n\r\n");
    assert_eq!(sample.code(&bare), "none");
    let sample = small_signed();
    let split = replace(&sample.wire, "\r\nx-amz-trailer", "\n\r\nx-amz-trailer");
    assert_eq!(sample.code(&split), "none");
}
