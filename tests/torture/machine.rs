//! The directory as a loss of power leaves it.
//!
//! What a sync covered that returned before the power went is there: a file's bytes and size by a sync of the file, a name
//! by a sync of its directory. Of everything else any part is there: each page or sector of a file as it was after any of
//! the writes to it, any size that the file had meanwhile, any of the changes to names. A sync that failed makes nothing
//! durable, and no later sync makes up for it: the kernel takes the pages for clean (Rebello et al., USENIX ATC 2020).
//! Only a page that is written again goes to the disk, with all that it holds.
//!
//! The page cache outlives a process that is killed: what the next one finds there is on the disk no more than it was.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::dice::Dice;
use crate::inode::{Inode, Loss};
use crate::trace::{Change, Instant, Trace};

/// The files and directories below the watched directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub directories: Vec<PathBuf>,
}

impl Image {
    pub fn read(directory: &Path) -> Self {
        let mut image = Self::default();
        image.read_below(directory, Path::new(""));
        image.directories.sort();
        image
    }

    fn read_below(&mut self, root: &Path, below: &Path) {
        for entry in fs::read_dir(root.join(below)).expect("a directory") {
            let entry = entry.expect("an entry");
            let path = below.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                self.read_below(root, &path);
                self.directories.push(path);
            } else {
                self.files.insert(path, fs::read(entry.path()).expect("a file"));
            }
        }
    }

    /// Writes all of it below an empty directory.
    pub fn write(&self, root: &Path) {
        for path in &self.directories {
            DirBuilder::new().recursive(true).mode(0o700).create(root.join(path)).expect("a directory");
        }
        for (path, bytes) in &self.files {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create_new(true).mode(0o600).open(root.join(path)).expect("a file");
            file.write_all(bytes).expect("it is written");
        }
    }

    /// The first difference from what is there.
    pub fn difference(&self, there: &Self) -> Option<String> {
        if self.directories != there.directories {
            return Some(format!("directories are {:?} and not {:?}", there.directories, self.directories));
        }
        let (ours, theirs) = (self.files.keys(), there.files.keys());
        if !ours.clone().eq(theirs.clone()) {
            return Some(format!(
                "files are {:?} and not {:?}",
                theirs.collect::<Vec<_>>(),
                ours.collect::<Vec<_>>()
            ));
        }
        let mut pairs = self.files.iter().zip(there.files.values());
        let ((path, ours), theirs) = pairs.find(|((_, ours), theirs)| ours != theirs)?;
        let at = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs);
        let (expected, length) = (ours.len(), theirs.len());
        Some(format!("{} has {length} bytes and not {expected}, and differs at {at:?}", path.display()))
    }

    /// Keeps what was found wrong for whoever mends it; where.
    pub fn keep(&self, name: &str) -> String {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("torture-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        self.write(&path);
        path.display().to_string()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory,
    File(u64),
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone)]
enum NameChange {
    Added(PathBuf, Node),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

impl NameChange {
    fn of(change: &Change) -> Option<Self> {
        match change {
            Change::Create(file, path) => Some(Self::Added(path.clone(), Node::File(*file))),
            Change::MakeDirectory(path) => Some(Self::Added(path.clone(), Node::Directory)),
            Change::Rename(from, to) => Some(Self::Renamed(from.clone(), to.clone())),
            Change::Remove(path) => Some(Self::Removed(path.clone())),
            _ => None,
        }
    }

    /// The directory whose sync makes it durable.
    fn directory(&self) -> &Path {
        let path = match self {
            Self::Added(path, _) | Self::Removed(path) => path,
            Self::Renamed(from, to) => {
                assert_eq!(from.parent(), to.parent(), "a file is renamed within its directory");
                from
            }
        };
        path.parent().expect("a file is below the directory")
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Added(path, node) => drop(names.insert(path.clone(), node.clone())),
            Self::Removed(path) => drop(names.remove(path)),
            Self::Renamed(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

/// A machine that does again what programs did, one after the other, up to an instant.
#[derive(Debug)]
pub struct Machine<'a> {
    trace: &'a Trace,
    done: usize,
    inodes: BTreeMap<u64, Inode>,
    /// The numbers that later programs have for files of earlier ones.
    same: BTreeMap<u64, u64>,
    platter: Names,
    /// As the running system sees them.
    cached: Names,
    pending: Vec<(Instant, NameChange)>,
    /// The files that a program which has just begun has found.
    found: Names,
}

impl<'a> Machine<'a> {
    /// A machine that begins with the files of `base`, all of them durable.
    pub fn new(trace: &'a Trace, base: &Image) -> Self {
        let mut platter: Names =
            base.directories.iter().map(|path| (path.clone(), Node::Directory)).collect();
        let mut inodes = BTreeMap::new();
        for ((path, bytes), number) in base.files.iter().zip(1..) {
            platter.insert(path.clone(), Node::File(number));
            inodes.insert(number, Inode::durable(bytes.clone()));
        }
        let (same, pending, found) = (BTreeMap::new(), Vec::new(), Names::new());
        Self { trace, done: 0, inodes, same, cached: platter.clone(), platter, pending, found }
    }

    fn number(&self, file: u64) -> u64 {
        self.same.get(&file).copied().unwrap_or(file)
    }

    fn inode(&mut self, file: u64) -> &mut Inode {
        let number = self.number(file);
        self.inodes.entry(number).or_default()
    }

    fn change_names(&mut self, at: Instant, change: NameChange) {
        change.apply(&mut self.cached);
        self.pending.push((at, change));
    }

    /// Does all that had returned at `at`, which is not before the last call of this function.
    pub fn advance(&mut self, at: Instant) {
        while let Some(call) = self.trace.calls.get(self.done).filter(|call| call.end <= at) {
            self.done += 1;
            match &call.change {
                Change::Exists(file, path, bytes) => self.find(call.end, *file, path, bytes),
                Change::Begun => self.begin(call.end),
                Change::Sync(file) => self.inode(*file).synced(call.start, call.failed),
                Change::SyncNames(directory) if !call.failed => {
                    let platter = &mut self.platter;
                    self.pending.retain(|(end, change)| {
                        let durable = change.directory() == directory && *end <= call.start;
                        if durable {
                            change.apply(platter);
                        }
                        !durable
                    });
                }
                Change::SyncNames(_) => {}
                Change::Write { file, .. } | Change::Size(file, _) | Change::Allocate(file, _) => {
                    let trace = self.trace;
                    self.inode(*file).change(trace, call.end, &call.change);
                }
                // Told again by a later program.
                Change::MakeDirectory(path) if self.cached.contains_key(path) => {}
                named => {
                    if let Some(change) = NameChange::of(named) {
                        self.change_names(call.end, change);
                    }
                }
            }
        }
    }

    /// A program has begun and found a file. Where it was killed amid a call, the trace does not tell of that call.
    fn find(&mut self, at: Instant, file: u64, path: &Path, bytes: &Range<usize>) {
        let known = self.cached.get(path).cloned();
        if let Some(Node::File(number)) = known {
            self.same.insert(file, number);
        } else {
            self.change_names(at, NameChange::Added(path.to_owned(), Node::File(file)));
        }
        self.found.insert(path.to_owned(), Node::File(self.number(file)));
        let cached = self.contents(file, &[], Loss::Nothing, &mut Dice::new(0));
        if cached != self.trace.bytes(bytes) {
            let (trace, length) = (self.trace, bytes.len() as u64);
            let inode = self.inode(file);
            inode.change(trace, at, &Change::Size(file, length));
            inode.change(trace, at, &Change::Write { file, at: 0, bytes: bytes.clone() });
        }
    }

    /// Files that a program did not find were removed or renamed by a call of which the trace does not tell.
    fn begin(&mut self, at: Instant) {
        let found = std::mem::take(&mut self.found);
        let is_gone =
            |(path, node): &(&PathBuf, &Node)| **node != Node::Directory && !found.contains_key(*path);
        let gone: Vec<PathBuf> = self.cached.iter().filter(is_gone).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.change_names(at, NameChange::Removed(path));
        }
    }

    /// What a loss of power at `at` leaves, where all that returned by then is done.
    pub fn lose_power(&self, at: Instant, dice: &mut Dice) -> Image {
        let loss = Loss::drawn(dice);
        self.image(at, loss, dice)
    }

    /// What is left after all has been done and nothing lost.
    pub fn finish(&mut self) -> Image {
        self.advance(Instant::MAX);
        self.image(Instant::MAX, Loss::Nothing, &mut Dice::new(0))
    }

    fn image(&self, at: Instant, names: Loss, dice: &mut Dice) -> Image {
        let under_way = self.trace.calls[self.done..].iter().filter(|call| call.start < at);
        let mut under_way: Vec<&Change> = under_way.map(|call| &call.change).collect();
        // None has returned, so that each may have had its effect or not.
        under_way.retain(|_| dice.one_in(2));

        let mut left = self.platter.clone();
        let changes = self.pending.iter().map(|(_, change)| change.clone());
        let changes: Vec<NameChange> =
            changes.chain(under_way.iter().filter_map(|change| NameChange::of(change))).collect();
        let kept = dice.place(changes.len() + 1);
        for (index, change) in changes.iter().enumerate() {
            let is_left = match names {
                Loss::Nothing => true,
                Loss::Everything => false,
                Loss::Tail => index < kept,
                Loss::Any => dice.one_in(2),
            };
            if is_left {
                change.apply(&mut left);
            }
        }

        let mut image = Image::default();
        for (path, node) in &left {
            // A file is gone with its directory.
            let mut parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
            if !parents.all(|parent| left.get(parent) == Some(&Node::Directory)) {
                continue;
            }
            match node {
                Node::Directory => image.directories.push(path.clone()),
                Node::File(file) => {
                    // With nothing lost of the names, nothing is lost at all if the test asks for that.
                    let loss = if at == Instant::MAX { names } else { Loss::drawn(dice) };
                    let bytes = self.contents(*file, &under_way, loss, dice);
                    image.files.insert(path.clone(), bytes);
                }
            }
        }
        image
    }

    fn contents(&self, file: u64, under_way: &[&Change], loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let Some(inode) = self.inodes.get(&self.number(file)) else {
            return Vec::new();
        };
        let is_of_this = |change: &&&Change| match change {
            Change::Write { file: of, .. } | Change::Size(of, _) | Change::Allocate(of, _) => {
                self.number(*of) == self.number(file)
            }
            _ => false,
        };
        let under_way: Vec<&Change> = under_way.iter().filter(is_of_this).copied().collect();
        inode.left(self.trace, &under_way, loss, dice)
    }
}
