//! What must hold of any bytes in the place of a packed record, for `fuzz/targets/packed.rs`.

use crate::pack::{PACKED, Packer, unpack};
use crate::record::{self, Record, records, stored};

/// Bytes before the packed record's payload in an input: its position.
const POSITION: usize = 8;

/// Reads `bytes` as the position and the payload of a packed record, and gives the kind and the payload of each record in it to
/// `each`.
///
/// # Panics
/// More is read than is there, the ways to read it differ, or what is read whole is another once it is packed and read again.
pub fn check_packed(bytes: &[u8], each: &mut dyn FnMut(u16, &[u8])) {
    let Some((position, payload)) = bytes.split_first_chunk::<POSITION>() else { return };
    let whole = Record { position: u64::from_le_bytes(*position), kind: PACKED, unit: 0, payload };
    let Some((kind, mut unpacked)) = unpack(&whole) else { return };
    let read: Vec<_> = unpacked.by_ref().collect();
    // Each takes two numbers of a byte at least.
    let least: usize = read.iter().map(|record| record.payload.len() + 2).sum();
    assert!(least <= payload.len(), "{least} bytes of {}", payload.len());
    assert!(read.iter().all(|record| record.kind == kind && record.unit == 0));
    assert!(
        read.is_sorted_by_key(|record| record.position)
            && !read.iter().any(|of| of.position < whole.position)
    );

    // As it lies in a group, what is not readable follows what is.
    let group = written(&whole);
    let unreadable = unpacked.is_bad().then_some(whole);
    let expected: Vec<_> = read.iter().copied().chain(unreadable).collect();
    assert_eq!(records(&group).collect::<Vec<_>>(), expected);
    let counted: Vec<_> = stored(&group).map(|of| (of.kind, of.records, of.bytes)).collect();
    assert_eq!(counted, [(kind, read.len() as u64, group.len())]);
    read.iter().for_each(|record| each(record.kind, record.payload));

    // A packed record in another is nothing that is ever written: read, it is a record of an unknown kind.
    if kind == PACKED {
        return;
    }
    let (mut packer, mut again) = (Packer::of(kind), Vec::new());
    read.iter().for_each(|record| packer.append(&mut again, record, &written(record)));
    packer.end_run(&mut again);
    assert_eq!(records(&again).collect::<Vec<_>>(), read);
    // None is larger than two records by themselves.
    assert!(
        again.len()
            <= read.iter().map(|record| record::size(record.payload.len())).sum::<usize>() + record::HEAD
    );
}

/// A record as it lies in a group.
fn written(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = vec![0; record::size(record.payload.len())];
    record::write_head(&mut bytes, record.position, record.kind, record.unit, record.payload.len() as u32);
    bytes[record::HEAD..record::HEAD + record.payload.len()].copy_from_slice(record.payload);
    bytes
}
