//! The value of a `Host` field: a name or an address, and a port (RFC 9110, section 7.2).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a request says that it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// A literal address. A page whose name a hostile DNS server answers with loopback cannot send one.
    Address,
    /// A name without its port, as sent; it may be empty.
    Name(&'a str),
}

/// The bytes that a name is made of, but for percent-encoded ones (RFC 3986, section 3.2.2). A table, since the value of
/// every request on the fast path is looked through.
const IS_NAME_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~'
                | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        );
        byte += 1;
    }
    table
};

/// Whether a value has the form `uri-host [ ":" port ]`. It may be empty, as it is for targets without an authority.
pub(super) fn is_valid(value: &[u8]) -> bool {
    split(value).is_some()
}

/// Reads a value; `None` if it is malformed.
pub(super) fn read(value: &[u8]) -> Option<Host<'_>> {
    let (host, is_bracketed) = split(value)?;
    let host = std::str::from_utf8(host).ok()?;
    let is_address = is_bracketed || host.parse::<Ipv4Addr>().is_ok();
    Some(if is_address { Host::Address } else { Host::Name(host) })
}

/// The host without its port, and whether it stood in brackets.
fn split(value: &[u8]) -> Option<(&[u8], bool)> {
    let is_bracketed = value.first() == Some(&b'[');
    let length = if is_bracketed { bracketed(value)? } else { name_length(value)? };
    let (host, port) = value.split_at(length);
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_port.then_some((host, is_bracketed))
}

/// How many bytes belong to the name at the front.
fn name_length(value: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &value[at..];
        at += rest.iter().position(|byte| !IS_NAME_BYTE[usize::from(*byte)]).unwrap_or(rest.len());
        if value.get(at) != Some(&b'%') {
            return Some(at);
        }
        let digits = value.get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        at += 3;
    }
}

/// How many bytes the IPv6 address at the front takes with its brackets.
fn bracketed(value: &[u8]) -> Option<usize> {
    let end = value.iter().position(|byte| *byte == b']')?;
    let address = std::str::from_utf8(&value[1..end]).ok()?;
    address.parse::<Ipv6Addr>().ok().map(|_| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_a_name_or_an_address_with_an_optional_port() {
        for (value, expected) in [
            ("localhost", Host::Name("localhost")),
            ("LocalHost:8081", Host::Name("LocalHost")),
            ("upbeat.example:", Host::Name("upbeat.example")),
            ("a_b.c-d", Host::Name("a_b.c-d")),
            ("b%C3%BCcher.example:80", Host::Name("b%C3%BCcher.example")),
            ("", Host::Name("")),
            (":80", Host::Name("")),
            ("127.0.0.1", Host::Address),
            ("10.1.2.3:8081", Host::Address),
            ("[::1]:8081", Host::Address),
            ("[2001:db8::1]", Host::Address),
            // Names that only look like addresses: a resolver may answer anything for them.
            ("127.0.0.1.example", Host::Name("127.0.0.1.example")),
            ("127.0.1", Host::Name("127.0.1")),
            ("1.2.3.4.5", Host::Name("1.2.3.4.5")),
        ] {
            assert_eq!(read(value.as_bytes()), Some(expected), "{value}");
        }
        for value in [
            "a b", "a/b", "a@b", "a:80:80", "a:8o", "::1", "[::1", "[::1]x", "[]", "[a]", "é", "a%", "a%4",
            "a%zz", "a\tb", "http://a", "a?b", "a#b", "a\\b", "\"a\"", "<a>",
        ] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
            assert!(!is_valid(value.as_bytes()), "{value}");
        }
        assert!(!is_valid(b"a\0b") && !is_valid(b"a\xffb"));
    }
}
