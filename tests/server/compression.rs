//! Compressed bodies: their content counts; corrupt bodies and decompression bombs are refused as a whole.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::listeners::likely;
use super::support::{Answer, CLOUD_EVENT, JSON, NDJSON, Server, upbeat};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

type Compress = fn(&[u8]) -> Vec<u8>;

const BOTH: [(&str, Compress); 2] = [("gzip", gzip), ("zstd", zstd)];

fn post(server: &Server, path: &str, content_type: &str, encoding: &str, body: &[u8]) -> Answer {
    let headers = [("content-type", content_type), ("content-encoding", encoding)];
    server.ask("POST", &server.data, path, &headers, body)
}

#[test]
fn compressed_body_counts_as_its_content() {
    let plays = likely("48");
    for (encoding, compress) in BOTH {
        for encoding in [encoding, &encoding.to_uppercase()] {
            let server = Server::start();
            let report = post(&server, "/events", NDJSON, encoding, &compress(plays.as_bytes())).ok();
            assert_eq!(report["accepted"], 24, "{encoding}");
            assert_eq!(server.reason("48"), "likely_to_click");
        }
    }
    let server = Server::start();
    assert_eq!(post(&server, "/events", NDJSON, "identity", plays.as_bytes()).ok()["accepted"], 24);
}

#[test]
fn concatenated_members_are_one_body() {
    let (first, second) = (likely("48"), likely("49"));
    for (encoding, compress) in BOTH {
        let server = Server::start();
        let body = [compress(first.as_bytes()), compress(second.as_bytes())].concat();
        assert_eq!(post(&server, "/events", NDJSON, encoding, &body).ok()["accepted"], 48, "{encoding}");
    }
}

#[test]
fn padding_and_skippable_frames_are_no_part_of_the_content() {
    let plays = likely("48");
    // As pzstd writes it: a skippable frame of four bytes before each frame; and as tapes and block devices pad.
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    let (half, rest) = plays.split_at(plays.len() / 2);
    let (first, second) = (zstd(half.as_bytes()), zstd(rest.as_bytes()));
    let pzstd = [&skippable[..], &first, &skippable, &second].concat();
    let padded = [&gzip(half.as_bytes())[..], &[0; 512], &gzip(rest.as_bytes()), &[0; 512]].concat();
    for (encoding, body) in [("zstd", pzstd), ("gzip", padded)] {
        let server = Server::start();
        assert_eq!(post(&server, "/events", NDJSON, encoding, &body).ok()["accepted"], 24, "{encoding}");
        assert_eq!(server.reason("48"), "likely_to_click");
    }
}

#[test]
fn replay_sends_what_compressed_files_hold_and_refuses_what_is_not_text() {
    let rows: String = (0..2000)
        .map(|number| format!("{number},{},{number},2014-10-23 03:26:20,0,1\n", number % 40))
        .collect();
    let folder = tempfile::tempdir().expect("a directory");
    let utf16: Vec<u8> = rows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files = [
        ("tracks.gz", gzip(rows.as_bytes()), "accepted 2000"),
        ("tracks.zst", zstd(rows.as_bytes()), "duplicates 2000"),
        ("tracks.csv", rows.into_bytes(), "duplicates 2000"),
        ("utf16.csv", utf16.clone(), "iconv -f UTF-16"),
        ("utf16.gz", gzip(&utf16), "iconv -f UTF-16"),
    ];
    let server = Server::by_event_clock();
    let replay = |path: &std::path::Path, stdin: std::process::Stdio| {
        let to = format!("http://{}", server.data);
        let mut command = upbeat();
        command.args(["replay", "--to", &to, "--tracks"]).arg(path).stdin(stdin);
        let output = command.output().expect("it runs");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        (output.status.code(), said)
    };
    for (name, bytes, said) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        let stdin = std::fs::File::open(&path).expect("a file");
        for (path, stdin) in
            [(&*path, std::process::Stdio::null()), (std::path::Path::new("-"), stdin.into())]
        {
            let (status, told) = replay(path, stdin);
            let is_text = !name.starts_with("utf16");
            assert_eq!(status, Some(i32::from(!is_text)), "{name}: {told}");
            // What the file brought is known when it comes from standard input.
            let again = said.replace("accepted 2000", "duplicates 2000");
            let expected = if path == std::path::Path::new("-") { &again } else { said };
            assert!(told.contains(expected), "{name}: {told}");
        }
    }
    let (status, told) = replay(folder.path(), std::process::Stdio::null());
    assert!(status == Some(1) && told.contains("name a file in it"), "{told}");
    assert_eq!(server.profiles(), 40);
}

#[test]
fn corrupt_body_is_refused_with_a_sentence() {
    let server = Server::start();
    for (encoding, compress) in BOTH {
        let whole = compress(likely("48").as_bytes());
        let trailing = [&whole[..], b"and more"].concat();
        for (body, said) in [
            (b"plain".to_vec(), format!("it does not begin as {encoding} data does")),
            (whole[..whole.len() - 2].to_vec(), format!("the {encoding} data ends too early; send it whole")),
            (trailing, format!("after 1 whole {encoding} parts come bytes that are not {encoding} data")),
        ] {
            let detail = post(&server, "/events", NDJSON, encoding, &body).problem(400, "malformed-body");
            assert_eq!(detail, format!("the body is not what Content-Encoding says: {said}"));
        }
    }
}

#[test]
fn corrupt_body_is_refused_as_a_whole() {
    let server = Server::start();
    let plays = likely("48");
    for (encoding, compress) in BOTH {
        let whole = compress(plays.as_bytes());
        let cuts = (0..whole.len()).step_by(whole.len() / 40).chain(whole.len() - 9..whole.len());
        for length in cuts.filter(|length| *length > 0) {
            let answer = post(&server, "/events", NDJSON, encoding, &whole[..length]);
            answer.problem(400, "malformed-body");
        }
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        post(&server, "/events", NDJSON, encoding, &flipped).problem(400, "malformed-body");
        post(&server, "/events", NDJSON, encoding, plays.as_bytes()).problem(400, "malformed-body");
        let trailing = [&whole[..], b"and more"].concat();
        post(&server, "/events", NDJSON, encoding, &trailing).problem(400, "malformed-body");
    }
    assert_eq!(server.profiles(), 0, "nothing of a broken body was applied");
}

#[test]
fn decompression_bomb_is_refused_at_the_limit() {
    let server = Server::start();
    for (encoding, compress) in BOTH {
        let bomb = compress(&vec![0; 10 << 20]);
        assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
        let detail = post(&server, "/events", NDJSON, encoding, &bomb).problem(413, "body-too-large");
        assert!(detail.contains("8388608"), "{detail}");
        // One event has its own, smaller limit.
        let spaces = compress(&vec![b' '; 100 << 10]);
        post(&server, "/events", CLOUD_EVENT, encoding, &spaces).problem(413, "body-too-large");
    }
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn unsupported_encodings_are_refused_with_the_supported_ones() {
    let server = Server::start();
    for encoding in ["br", "deflate", "gzip, gzip", "nonsense"] {
        let answer = post(&server, "/events", NDJSON, encoding, b"");
        answer.problem(415, "unsupported-encoding");
        assert_eq!(answer.header("accept-encoding"), "gzip, zstd, identity");
    }
    let answer = post(&server, "/decisions", JSON, "gzip", &gzip(b"{\"customers\":[]}"));
    answer.problem(415, "unsupported-encoding");
}
