//! The columns of a file: by its header line, by `?columns=`, or the order that files without a header have.

use std::sync::Arc;

use super::split::{Found, MAX_COLUMNS, Record, Splitter};
use super::{Begin, Kind, RowReader};

/// The most columns that are read of a row.
pub(super) const MOST_NEEDED: usize = 6;

/// Says that an optional column is not there.
const ABSENT: usize = usize::MAX;

impl Kind {
    /// The columns that are read, in the order that files without a header have; their names as a header has them.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Plays => &["event_id", "customer_id", "track_id", "time", "mobile", "zip"],
            Self::Clicks => &["event_id", "customer_id", "ad", "time"],
            Self::Customers => &["CustID", "SignDate", "Level"],
            Self::Tracks => &["TrackId", "Title", "Artist", "Length"],
            Self::Impressions => &["event_id", "customer_id", "ad", "time", "clicked"],
        }
    }

    /// How many of [`Kind::columns`] a header must name.
    fn needed(self) -> usize {
        match self {
            Self::Plays | Self::Impressions => 5,
            Self::Clicks | Self::Tracks => 4,
            Self::Customers => 3,
        }
    }

    /// Whether the columns of a file without a header are known.
    fn has_order(self) -> bool {
        matches!(self, Self::Plays | Self::Clicks | Self::Impressions)
    }
}

/// The columns that a header line or `?columns=` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    names: Vec<Box<[u8]>>,
    at: [usize; MOST_NEEDED],
}

impl Header {
    /// Reads the names of columns, separated by commas as in a header line.
    ///
    /// # Errors
    /// A column that is needed is missing or named twice, or there are too many.
    pub fn parse(kind: Kind, names: &str) -> Result<Self, String> {
        let mut splitter = Splitter::default();
        match splitter.split(names.as_bytes(), true) {
            Found::Row { length } if length == names.len() => {
                Self::read(kind, splitter.record(names.as_bytes()))
            }
            Found::Refused { fault, .. } => Err(fault.to_string()),
            _ => Err("the names of columns are one line".to_owned()),
        }
    }

    /// Reads a header line.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub(super) fn read(kind: Kind, record: Record<'_>) -> Result<Self, String> {
        if record.columns() > MAX_COLUMNS {
            return Err(format!("{} columns are named; at most {MAX_COLUMNS} are read", record.columns()));
        }
        let names: Vec<Box<[u8]>> = (0..record.columns())
            .filter_map(|index| record.get(index))
            .map(|name| name.trim_ascii().into())
            .collect();
        let mut at = [ABSENT; MOST_NEEDED];
        for (wanted, at) in kind.columns().iter().zip(&mut at) {
            let mut places = (0..names.len()).filter(|index| *names[*index] == *wanted.as_bytes());
            *at = places.next().unwrap_or(ABSENT);
            if let Some(second) = places.next() {
                return Err(format!(
                    "{wanted} is the name of columns {} and {}; leave one out",
                    *at + 1,
                    second + 1
                ));
            }
        }
        if let Some(missing) = at[..kind.needed()].iter().position(|at| *at == ABSENT) {
            return Err(format!(
                "the column {} is not named; the columns {} are needed",
                kind.columns()[missing],
                kind.columns()[..kind.needed()].join(", ")
            ));
        }
        Ok(Self { names, at })
    }

    /// Whether a row is the header line again.
    pub(super) fn is_repeated_by(&self, record: Record<'_>) -> bool {
        record.columns() == self.names.len()
            && self
                .names
                .iter()
                .enumerate()
                .all(|(index, name)| record.get(index).is_some_and(|field| field.trim_ascii() == &**name))
    }
}

/// Which columns the rows of a file have.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(super) kind: Kind,
    header: Option<Arc<Header>>,
    /// Whether the file has a header line that cannot be read. Its rows may have any order, so none is read.
    has_faulty_header: bool,
}

impl Layout {
    /// The columns that the file itself names in its header line; without one, those of [`Kind`].
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self { kind, header: None, has_faulty_header: false }
    }

    /// The columns that `header` names, which was read for this kind. A line that repeats it is skipped.
    #[must_use]
    pub fn with_header(kind: Kind, header: Arc<Header>) -> Self {
        Self { kind, header: Some(header), has_faulty_header: false }
    }

    /// The columns of a file that begins with `bytes`; none if its first row does not end in them.
    #[must_use]
    pub fn detect(kind: Kind, bytes: &[u8], last: bool) -> Option<Self> {
        let mut rows = RowReader::block(bytes, Self::of(kind), Begin::FILE, last);
        let is_seen = rows.row().is_some() || rows.layout().header.is_some();
        is_seen.then(|| rows.layout().clone())
    }

    /// The header as a line of CSV without its end, where one was read.
    #[must_use]
    pub fn header_line(&self) -> Option<Vec<u8>> {
        let names = &self.header.as_ref()?.names;
        let quoted = names.iter().map(|name| {
            let doubled = name.split(|byte| *byte == b'"').collect::<Vec<_>>().join(&b"\"\""[..]);
            [b"\"", &doubled[..], b"\""].concat()
        });
        Some(quoted.collect::<Vec<_>>().join(&b','))
    }

    /// How many columns the header names, if it is known.
    pub(super) fn named_columns(&self) -> Option<usize> {
        self.header.as_ref().map(|header| header.names.len())
    }

    /// Whether rows have the order of [`Kind::columns`], and no other columns.
    pub(super) fn is_plain(&self) -> bool {
        let columns = self.kind.columns().len();
        !self.has_faulty_header
            && self.header.as_ref().is_none_or(|header| {
                header.names.len() == columns && header.at[..columns].iter().copied().eq(0..columns)
            })
    }

    /// Whether a row is one of the file's, rather than its header. The `first` one becomes the header if it can be one
    /// and none is known.
    ///
    /// # Errors
    /// Without a header the columns are not known.
    pub(super) fn take(&mut self, row: Record<'_>, first: bool) -> Result<bool, String> {
        match &self.header {
            Some(header) => Ok(!header.is_repeated_by(row)),
            None if first => match Header::read(self.kind, row) {
                Ok(header) => {
                    self.header = Some(Arc::new(header));
                    Ok(false)
                }
                Err(reason) if self.kind.has_order() => {
                    let fields = (0..row.columns()).filter_map(|index| row.get(index));
                    self.has_faulty_header = self.resembles_header(fields);
                    if self.has_faulty_header { Err(format!("the header line: {reason}")) } else { Ok(true) }
                }
                Err(reason) => Err(format!(
                    "{reason}; send the file with its header, or name its columns with ?columns="
                )),
            },
            None if self.has_faulty_header => {
                Err("the columns are not known, because the header line cannot be read".to_owned())
            }
            None if self.kind.has_order() => match self.is_header(row) {
                false => Ok(true),
                true => Err("a header line that is not the first; send each file by itself".to_owned()),
            },
            None => Err("the columns are not known, because the first line is not the header".to_owned()),
        }
    }

    /// Notes that the first row was refused for its form: it may have been the header.
    pub(super) fn note_refused_first_row(&mut self, row: &[u8]) {
        let is_quoting = |byte: u8| byte == b'"' || byte.is_ascii_whitespace();
        let fields = row.split(|byte| matches!(byte, b',' | b'\r' | b'\n')).map(|field| {
            let start = field.iter().position(|byte| !is_quoting(*byte)).unwrap_or(field.len());
            let end = field.iter().rposition(|byte| !is_quoting(*byte)).map_or(start, |last| last + 1);
            &field[start..end]
        });
        self.has_faulty_header = self.header.is_none() && self.resembles_header(fields);
    }

    /// Whether fields are those of a header, although not all of them: no row of data has the names of two columns.
    fn resembles_header<'f>(&self, fields: impl Iterator<Item = &'f [u8]>) -> bool {
        let names = self.kind.columns();
        fields.filter(|field| names.iter().any(|name| name.as_bytes() == field.trim_ascii())).take(2).count()
            == 2
    }

    /// Whether a row names all columns that are needed.
    fn is_header(&self, row: Record<'_>) -> bool {
        let a_needed_name = self.kind.columns()[1].as_bytes();
        // Few rows pass the first check, so that the second one's cost does not matter.
        (0..row.columns())
            .any(|index| row.get(index).is_some_and(|field| field.trim_ascii() == a_needed_name))
            && Header::read(self.kind, row).is_ok()
    }

    /// Where the columns are.
    pub(super) fn columns(&self) -> Columns {
        Columns(self.header.as_ref().map_or([0, 1, 2, 3, 4, 5], |header| header.at))
    }

    /// The columns of a row, after a check of their number.
    ///
    /// # Errors
    /// There are more or fewer.
    pub(super) fn check(&self, row: Record<'_>) -> Result<Columns, String> {
        let (found, columns) = (row.columns(), self.kind.columns().len());
        match (self.named_columns(), self.kind) {
            (Some(named), _) if found != named => {
                Err(format!("{found} columns where the header names {named}"))
            }
            (None, Kind::Clicks) if found != columns => Err(format!(
                "{found} columns where a click has 4: event id, customer id, ad, time{}",
                if found == 6 { "; plays go with ?kind=plays" } else { "" }
            )),
            (None, Kind::Impressions) if found != columns => Err(format!(
                "{found} columns where an impression has 5: event id, customer id, ad, time, clicked 0 or 1"
            )),
            (None, _) if found != columns => Err(format!(
                "{found} columns where a play has 6: event id, customer id, track id, time, mobile 0 or 1, zip{}",
                if found == 4 { "; clicks go with ?kind=clicks" } else { "" }
            )),
            _ => Ok(self.columns()),
        }
    }
}

/// The places of [`Kind::columns`] in a row.
#[derive(Clone, Copy)]
pub(super) struct Columns([usize; MOST_NEEDED]);

impl Columns {
    /// The place of one of them; none for an optional one that is not there.
    pub(super) fn place(self, column: usize) -> Option<usize> {
        Some(self.0[column]).filter(|at| *at != ABSENT)
    }
}
