//! The stores.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use fjall::{KeyspaceCreateOptions, PersistMode};
use upbeat_journal::disk::RealDisk;
use upbeat_journal::{Memory, Opened, Options, Record, Start, Step};

use crate::{Candidate, PAYLOAD};

/// All of them, each in a directory of its own.
pub fn all(directory: &Path) -> Vec<Box<dyn Candidate>> {
    let own = |name: &str| {
        let own = directory.join(name);
        std::fs::create_dir(&own).expect("a directory of the candidate's own");
        own
    };
    vec![
        Box::new(Bare::new(&own("bare"))),
        Box::new(Ours::new(&own("upbeat"))),
        Box::new(Sqlite::new(&own("sqlite"))),
        Box::new(Redb::new(&own("redb"))),
        Box::new(Fjall::new(&own("fjall"))),
    ]
}

/// The disk's own: as many bytes written over zeros, and synced.
struct Bare {
    file: File,
    at: u64,
}

const BARE_BYTES: u64 = 64 << 20;

impl Bare {
    fn new(directory: &Path) -> Self {
        let file = OpenOptions::new().create_new(true).write(true).open(directory.join("file")).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..BARE_BYTES >> 20).for_each(|at| file.write_all_at(&zeros, at << 20).unwrap());
        file.sync_all().unwrap();
        Self { file, at: 0 }
    }
}

impl Candidate for Bare {
    fn name(&self) -> &'static str {
        "write over zeros, fdatasync"
    }

    fn commit(&mut self, records: &[[u8; PAYLOAD]]) {
        let mut bytes = records.as_flattened().to_vec();
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        self.at = if self.at + bytes.len() as u64 > BARE_BYTES { 0 } else { self.at };
        self.file.write_all_at(&bytes, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at += bytes.len() as u64;
    }
}

struct Ours(Opened<RealDisk>);

impl Ours {
    fn new(directory: &Path) -> Self {
        let options = Options { segment_bytes: 64 << 20, group_bytes: 8 << 20, sync: true };
        let mut random = 1_u64;
        let random = Box::new(move || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            random
        });
        let memories = vec![Memory::anonymous(4096 + (1 << 20))];
        let mut nobody = |_: Record<'_>| Ok(());
        let disk = RealDisk::new(directory);
        Self(upbeat_journal::open(disk, options, Start::BEGINNING, memories, random, &mut nobody).unwrap())
    }
}

impl Candidate for Ours {
    fn name(&self) -> &'static str {
        "crates/journal"
    }

    fn commit(&mut self, records: &[[u8; PAYLOAD]]) {
        let lane = &mut self.0.lanes[0];
        assert!(lane.has_room(records.len(), records.len() * PAYLOAD));
        for record in records {
            lane.publish(1, 0, PAYLOAD, |into| into.copy_from_slice(record));
        }
        let barrier = self.0.positions.next();
        while self.0.positions.durable() < barrier {
            let step = self.0.writer.step().unwrap();
            assert!(step != Step::Idle || self.0.positions.durable() >= barrier);
        }
    }
}

struct Sqlite(rusqlite::Connection);

impl Sqlite {
    fn new(directory: &Path) -> Self {
        let connection = rusqlite::Connection::open(directory.join("log.sqlite")).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection
            .execute(
                "CREATE TABLE log (position INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB NOT NULL)",
                [],
            )
            .unwrap();
        Self(connection)
    }
}

impl Candidate for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite, WAL, synchronous=FULL"
    }

    fn commit(&mut self, records: &[[u8; PAYLOAD]]) {
        let transaction = self.0.transaction().unwrap();
        {
            let mut insert = transaction.prepare_cached("INSERT INTO log (record) VALUES (?1)").unwrap();
            for record in records {
                insert.execute([&record[..]]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

struct Redb {
    database: redb::Database,
    position: u64,
}

const LOG: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("log");

impl Redb {
    fn new(directory: &Path) -> Self {
        Self { database: redb::Database::create(directory.join("log.redb")).unwrap(), position: 0 }
    }
}

impl Candidate for Redb {
    fn name(&self) -> &'static str {
        "redb, Immediate"
    }

    fn commit(&mut self, records: &[[u8; PAYLOAD]]) {
        let mut transaction = self.database.begin_write().unwrap();
        transaction.set_durability(redb::Durability::Immediate).unwrap();
        {
            let mut table = transaction.open_table(LOG).unwrap();
            for record in records {
                self.position += 1;
                table.insert(self.position, &record[..]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

struct Fjall {
    database: fjall::Database,
    log: fjall::Keyspace,
    position: u64,
}

impl Fjall {
    fn new(directory: &Path) -> Self {
        let database = fjall::Database::builder(directory).open().unwrap();
        let log = database.keyspace("log", KeyspaceCreateOptions::default).unwrap();
        Self { database, log, position: 0 }
    }
}

impl Candidate for Fjall {
    fn name(&self) -> &'static str {
        "fjall, SyncData"
    }

    fn commit(&mut self, records: &[[u8; PAYLOAD]]) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for record in records {
            self.position += 1;
            batch.insert(&self.log, self.position.to_be_bytes(), &record[..]);
        }
        batch.commit().unwrap();
    }
}
