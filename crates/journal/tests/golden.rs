//! Directories of every released version of the format are read by this one, and this one writes its own as it did before.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use upbeat_journal::disk::RealDisk;
use upbeat_journal::snapshot::{Check, SnapshotWriter, VERSION, find};
use upbeat_journal::{Memory, Opened, Options, Record, Start, check, open, read};

const OPTIONS: Options = Options { segment_bytes: 20 << 10, group_bytes: 4 << 10, sync: true };

/// Every form of the directory that was ever written, the present one last. `1b` is version 1 too, and programs of before read it:
/// a word of a segment's head that was 0 says how the segment's process began.
const FORMS: [&str; 2] = ["1", "1b"];

fn golden(form: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(form)
}

fn random() -> Box<dyn FnMut() -> u64 + Send> {
    let mut last = 1_u64;
    Box::new(move || {
        last = last.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        last
    })
}

/// Two processes: records of two lanes, a unit, one that is not committed, a snapshot, several segments.
fn write(directory: &Path) {
    for life in 0..2_u8 {
        let disk = Arc::new(RealDisk::new(directory));
        let found = find(Arc::clone(&disk)).expect("the directory can be read");
        let start = found.newest.as_ref().map_or(Start::BEGINNING, |newest| newest.start());
        let memories = (0..2).map(|_| Memory::anonymous(4096 + (16 << 10))).collect();
        let mut nobody = |_: Record<'_>| Ok(());
        let mut random = random();
        for _ in 0..life * 10 {
            random();
        }
        let opened = open(Arc::clone(&disk), OPTIONS, start, memories, random, &mut nobody);
        let Opened { mut writer, mut lanes, positions, .. } = opened.expect("the log goes on");
        for group in 0..4_u8 {
            for lane in [1, 0] {
                let length = usize::from(group) * 40 + lane;
                assert!(lanes[lane].has_room(1, length));
                lanes[lane].publish(u16::from(group), 0, length, |into| into.fill(life * 16 + group));
            }
            writer.step().expect("a group");
        }
        let unit = positions.begin_unit().expect("the first one");
        for lane in &mut lanes {
            lane.publish(7, unit.number(), 5, |into| into.copy_from_slice(b"whole"));
        }
        unit.commit(&mut lanes[1]);
        writer.step().expect("a group");
        let from = positions.next();
        let mut snapshot =
            SnapshotWriter::create(Arc::clone(&disk), from, u64::from(life), 0).expect("space");
        snapshot.block(b"a state").expect("a block");
        let Ok(Check::Done(checked)) = snapshot.finish(from).and_then(|checking| checking.step(1)) else {
            panic!("one block")
        };
        let mut snapshots = found.snapshots;
        assert!(snapshots.publish(checked, positions.durable()).expect("a name").is_none());
        let open_still = positions.begin_unit().expect("another");
        lanes[0].publish(8, open_still.number(), 4, |into| into.copy_from_slice(b"half"));
        lanes[1].publish(9, 0, 3, |into| into.copy_from_slice(b"end"));
        writer.step().expect("a group");
        std::mem::forget(open_still);
    }
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a name of ours");
        (name, fs::read(entry.path()).expect("a file"))
    };
    entries.map(|entry| file(entry.expect("an entry"))).collect()
}

/// To make the directory of a new form: `UPBEAT_WRITE_GOLDEN=1 cargo test -p upbeat-journal --test golden`.
#[test]
fn this_version_writes_what_its_golden_directory_holds() {
    let directory = tempfile::tempdir().expect("a folder");
    write(directory.path());
    let present = FORMS[FORMS.len() - 1];
    assert!(present.starts_with(&VERSION.to_string()));
    let golden = golden(present);
    if std::env::var_os("UPBEAT_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(&golden).expect("the golden directory can be made");
        for (name, bytes) in files(directory.path()) {
            fs::write(golden.join(name), bytes).expect("a golden file");
        }
    }
    let (ours, kept) = (files(directory.path()), files(&golden));
    assert_eq!(ours.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    for (name, bytes) in &kept {
        let differs = bytes.iter().zip(&ours[name]).position(|(kept, ours)| kept != ours);
        assert!(
            differs.is_none() && bytes.len() == ours[name].len(),
            "{name} differs at {differs:?}: the format has changed, and needs a golden directory of its own, and a version unless programs of before can read it"
        );
    }
}

#[test]
fn golden_directories_of_all_forms_are_read() {
    for form in FORMS {
        // A copy: reading needs files that can be written.
        let directory = tempfile::tempdir().expect("a folder");
        for (name, bytes) in files(&golden(form)) {
            fs::write(directory.path().join(name), bytes).expect("a copy");
        }
        let disk = Arc::new(RealDisk::new(directory.path()));
        assert!(check(&disk).expect("it can be read").is_sound());
        let mut seen = Vec::new();
        let mut collect = |record: Record<'_>| {
            seen.push((record.kind, record.payload.len()));
            Ok(())
        };
        let recovered = read(&*disk, Start::BEGINNING, &mut collect).expect("all of the log is there");
        let life =
            [(0, 1), (0, 0), (1, 41), (1, 40), (2, 81), (2, 80), (3, 121), (3, 120), (7, 5), (7, 5), (9, 3)];
        assert_eq!(seen, life.repeat(2));
        assert_eq!((recovered.replayed.dropped, recovered.lives.len()), (2, 2));
        let found = find(Arc::clone(&disk)).expect("snapshots can be read");
        let newest = found.newest.expect("there is one");
        let mut block = Vec::new();
        newest.block(0, &mut block).expect("its block");
        assert_eq!((block.as_slice(), newest.blocks()), (&b"a state"[..], 1));
        let mut after = 0;
        let start = newest.start();
        let mut count = |_: Record<'_>| {
            after += 1;
            Ok(())
        };
        read(&*disk, start, &mut count).expect("the log from the snapshot on");
        assert_eq!(after, 1, "what came after the snapshot");
    }
}
