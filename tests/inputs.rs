//! Files that a command names: plain or compressed, and a sentence for what is not text.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// 3,000 plays of 30 customers, of whom every third clicked.
fn history() -> (String, String) {
    let play = |number: u32| {
        let (customer, day, hour) = (number % 30, 1 + number % 28, number % 24);
        let mobile = u32::from(customer.is_multiple_of(3) || number.is_multiple_of(5));
        format!("{number},{customer},{},2014-10-{day:02} {hour:02}:26:20,{mobile},72132\n", number % 97)
    };
    let click = |customer: u32| format!("{customer},{customer},ADV_REDUCED_1DAY,2014-10-28 12:00:00\n");
    ((0..3000).map(play).collect(), (0..30).step_by(3).map(click).collect())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    // A skippable frame first, as pzstd writes it.
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    [&skippable[..], &compress_to_vec(bytes, CompressionLevel::Fastest)].concat()
}

fn upbeat(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_upbeat")).args(arguments).output().expect("the binary runs")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn features(tracks: &Path, clicks: &Path) -> Output {
    upbeat(&["features".as_ref(), "--ids".as_ref(), "--tracks".as_ref(), tracks, "--clicks".as_ref(), clicks])
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("a file");
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn compressed_file_gives_every_command_what_the_plain_one_gives() {
    let (tracks, clicks) = history();
    let folder = Folder::with(&[
        ("tracks.csv", tracks.as_bytes()),
        ("tracks.csv.gz", &gzip(tracks.as_bytes())),
        ("tracks.csv.zst", &zstd(tracks.as_bytes())),
        ("clicks.csv", clicks.as_bytes()),
        ("clicks.csv.gz", &gzip(clicks.as_bytes())),
        ("clicks.csv.zst", &zstd(clicks.as_bytes())),
    ]);
    let rows = text(&features(&folder.path("tracks.csv"), &folder.path("clicks.csv")));
    assert_eq!(rows.lines().count(), 30);
    for ending in ["gz", "zst"] {
        let compressed =
            [format!("tracks.csv.{ending}"), format!("clicks.csv.{ending}")].map(|name| folder.path(&name));
        assert_eq!(text(&features(&compressed[0], &compressed[1])), rows, "{ending}");
    }

    let files = [
        ("rows", rows.as_bytes().to_vec()),
        ("rows.gz", gzip(rows.as_bytes())),
        ("rows.zst", zstd(rows.as_bytes())),
    ];
    let folder = Folder::with(&files.each_ref().map(|(name, bytes)| (*name, &bytes[..])));
    let (mut models, mut predictions, mut evaluations) = (Vec::new(), Vec::new(), Vec::new());
    for (name, _) in &files {
        let (rows, model) = (folder.path(name), folder.path(&format!("{name}.model")));
        text(&upbeat(&["train".as_ref(), &rows, "-o".as_ref(), &model]));
        models.push(std::fs::read_to_string(&model).expect("a model"));
        predictions.push(text(&upbeat(&["predict".as_ref(), &rows, "--model".as_ref(), &model])));
        evaluations.push(text(&upbeat(&[
            "evaluate".as_ref(),
            &rows,
            "--model".as_ref(),
            &model,
            "--json".as_ref(),
        ])));
    }
    assert_eq!(predictions[0].lines().count(), 30);
    for made in [models, predictions, evaluations] {
        assert!(made.iter().all(|other| *other == made[0]), "{made:#?}");
    }
}

#[test]
fn folder_and_utf16_file_are_refused_with_the_cure() {
    let (tracks, clicks) = history();
    let utf16: Vec<u8> = tracks.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark = [&[0xff, 0xfe][..], &utf16].concat();
    let folder = Folder::with(&[
        ("utf16.csv", &utf16),
        ("marked.csv", &with_mark),
        ("utf16.csv.gz", &gzip(&utf16)),
        ("cut.csv.gz", &gzip(tracks.as_bytes())[..500]),
        ("clicks.csv", clicks.as_bytes()),
    ]);
    std::fs::create_dir(folder.path("a-folder")).expect("a folder");
    for (name, cure) in [
        ("utf16.csv", "iconv -f UTF-16"),
        ("marked.csv", "iconv -f UTF-16"),
        ("utf16.csv.gz", "iconv -f UTF-16"),
        ("a-folder", "name a file in it"),
        ("cut.csv.gz", "the gzip data ends too early; send it whole"),
    ] {
        let (file, clicks, model) = (folder.path(name), folder.path("clicks.csv"), folder.path("model.json"));
        let mut outputs = vec![features(&file, &clicks), features(&clicks, &file)];
        if name != "cut.csv.gz" {
            outputs.push(upbeat(&["train".as_ref(), &file, "-o".as_ref(), &model]));
        }
        for output in outputs {
            let said = String::from_utf8(output.stderr).expect("text");
            assert_eq!(output.status.code(), Some(1), "{name}: {said}");
            assert!(said.contains(name) && said.contains(cure), "{name}: {said}");
        }
        assert!(!model.exists());
    }
}

#[test]
fn control_bytes_of_files_and_names_are_escaped_in_messages() {
    let hostile = "\u{1b}[31mred\u{7}\u{9b}2J\rgone";
    let tracks = [
        format!("1,48,1,{hostile},0,1\n"),
        format!("1,48,1,2014-10-23 03:26:20,{hostile},1\n"),
        format!("1,{hostile},1,2014-10-23 03:26:20,0,1\n"),
    ];
    let name = "\u{1b}]0;title\u{7}.csv";
    let folder = Folder::with(&[(name, tracks.concat().as_bytes()), ("clicks.csv", b"")]);
    let (file, model) = (folder.path(name), folder.path("model.json"));
    for output in [
        features(&file, &folder.path("clicks.csv")),
        upbeat(&["train".as_ref(), &file, "-o".as_ref(), &model]),
        upbeat(&["evaluate".as_ref(), &file, "--model".as_ref(), &file]),
        features(&folder.path("\u{1b}[2Jmissing"), &file),
    ] {
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{said:?}");
        assert!(said.contains("\\u{1b}"), "{said:?}");
        assert!(!said.trim_end().replace('\n', "").contains(char::is_control), "{said:?}");
    }
}

#[test]
fn small_number_keeps_its_digits_and_zero_has_no_sign() {
    let (tracks, clicks) = history();
    let folder = Folder::with(&[("tracks.csv", tracks.as_bytes()), ("clicks.csv", clicks.as_bytes())]);
    let rows = text(&features(&folder.path("tracks.csv"), &folder.path("clicks.csv")));
    let (rows_file, model_file) = (folder.path("rows"), folder.path("model.json"));
    std::fs::write(&rows_file, rows).expect("a file");
    text(&upbeat(&[
        "train".as_ref(),
        &rows_file,
        "-o".as_ref(),
        &model_file,
        "--kernel".as_ref(),
        "linear".as_ref(),
    ]));
    let mut model: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&model_file).expect("a model")).expect("JSON");
    let weights = model["weights"].as_array_mut().expect("a linear model");
    (weights[0], weights[1]) = (serde_json::json!(-1e-9), serde_json::json!(-0.0));
    std::fs::write(&model_file, model.to_string()).expect("a file");
    let shown = text(&upbeat(&["model".as_ref(), "show".as_ref(), &model_file]));
    let weight = |name: &str| {
        let mut lines = shown.lines().map(str::split_whitespace);
        lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next())).flatten()
    };
    assert_eq!((weight("morning"), weight("afternoon")), (Some("-1e-9"), Some("0")), "{shown}");
    let explained = text(&upbeat(&[
        "predict".as_ref(),
        &rows_file,
        "--model".as_ref(),
        &model_file,
        "--explain".as_ref(),
    ]));
    assert!(explained.contains(" 2:0 ") && !explained.contains(":-0 "), "{explained}");
}
