//! Whether files still hold the ids of customers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What all text ids begin with, and their length.
const TEXT: &str = "erase-me:";
const TEXT_BYTES: usize = TEXT.len() + 2 + 1 + 8;

/// The upper 23 bits of all decimal ids, which are of 63 bits: no count, time or random number of a run begins so.
const MARK: u64 = 0x5a_c3_96;
const MARK_SHIFT: u32 = 40;

/// Every other id is a text, the others are decimal; both are unmistakable among other bytes.
pub fn traceable_id(client: u64, number: u64) -> String {
    if number.is_multiple_of(2) {
        format!("{TEXT}{client:02}-{number:08}")
    } else {
        decimal_id(client, number).to_string()
    }
}

fn decimal_id(client: u64, number: u64) -> u64 {
    MARK << MARK_SHIFT | client << 32 | number
}

/// The ids in some bytes: as text, decimal or not, as LEB128, and in eight bytes of either order.
fn ids_in(bytes: &[u8]) -> BTreeSet<String> {
    let mark = MARK << MARK_SHIFT;
    let first_digits = &mark.to_string().into_bytes()[..6];
    // Bits 42 to 62, seven in each byte.
    let leb128 = [(mark >> 42) as u8 | 0x80, (mark >> 49) as u8 | 0x80, (mark >> 56) as u8 & 0x7f];
    let little: [u8; 3] = mark.to_le_bytes()[5..].try_into().expect("three bytes");
    let big: [u8; 3] = mark.to_be_bytes()[..3].try_into().expect("three bytes");
    let mut found = BTreeSet::new();
    let mut decimal = |id: u64| found.extend((id >> MARK_SHIFT == MARK).then(|| id.to_string()));
    let mut texts = BTreeSet::new();
    for at in 0..bytes.len() {
        let rest = &bytes[at..];
        let text = |length: usize| rest.get(..length).and_then(|text| std::str::from_utf8(text).ok());
        if rest.starts_with(&leb128) && at >= 6 {
            let parts = bytes[at - 6..at + 3].iter().zip(0..);
            decimal(parts.fold(0, |id, (byte, place)| id | u64::from(byte & 0x7f) << (7 * place)));
        }
        if rest.starts_with(&little) && at >= 5 {
            decimal(u64::from_le_bytes(bytes[at - 5..at + 3].try_into().expect("eight bytes")));
        }
        if rest.starts_with(&big) && rest.len() >= 8 {
            decimal(u64::from_be_bytes(rest[..8].try_into().expect("eight bytes")));
        }
        if rest.starts_with(first_digits) {
            text(19).and_then(|text| text.parse().ok()).into_iter().for_each(&mut decimal);
        }
        if rest.starts_with(TEXT.as_bytes()) {
            texts.extend(text(TEXT_BYTES).map(str::to_owned));
        }
    }
    found.append(&mut texts);
    found
}

/// The ids in all files below a directory, each with the name of a file.
pub fn ids_below(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(ids_below(&path));
            continue;
        }
        // Removed or renamed since, where it is not there: what is in its place is found by its own name, or in the next look.
        let Ok(bytes) = fs::read(&path) else { continue };
        let ids = ids_in(&bytes).into_iter();
        found.extend(ids.map(|id| (id, path.display().to_string())));
    }
    found
}

#[test]
fn ids_are_found_in_every_form_and_nowhere_else() {
    for number in [1, 2, 127, 128, 4095, 99_999_998, 99_999_999] {
        let id = traceable_id(7, number);
        let mut forms = vec![id.clone().into_bytes(), format!("\"{id}\"").into_bytes()];
        if let Ok(decimal) = id.parse::<u64>() {
            let mut leb128: Vec<u8> = (0..9).map(|place| (decimal >> (7 * place)) as u8 | 0x80).collect();
            leb128[8] &= 0x7f;
            forms.extend([leb128, decimal.to_le_bytes().to_vec(), decimal.to_be_bytes().to_vec()]);
        }
        for form in forms {
            for before in [0, 1, 9] {
                let bytes = [vec![0xff; before], form.clone(), vec![0x80; 3]].concat();
                assert_eq!(ids_in(&bytes), BTreeSet::from([id.clone()]), "{id} in {bytes:?}");
            }
            let mut cut = form.clone();
            cut.truncate(form.len().min(TEXT_BYTES) - 2);
            assert!(ids_in(&cut).is_empty(), "{id} in {cut:?}");
        }
    }
    let mut dice = crate::dice::Dice::new(1);
    let bytes: Vec<u8> = (0..100_000).flat_map(|_| dice.draw().to_le_bytes()).collect();
    assert!(ids_in(&bytes).len() < 2, "chance makes few");
}
