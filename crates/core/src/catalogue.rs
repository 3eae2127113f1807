//! Entries of the track catalogue: titles and artists, for people to read. No decision uses them.

/// One track of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Track {
    /// The title, 1 to 512 bytes where it was read from a file.
    pub title: Box<str>,
    /// The artist, likewise.
    pub artist: Box<str>,
    /// The length in seconds.
    pub length_s: u32,
}
