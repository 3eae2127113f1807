//! The one door of both listeners: whatever the event loops answer themselves, and whatever the router answers, was
//! admitted here by its head.
//!
//! The fast path and the router's dispatch ask for a [`Principal`], which only a gate makes, so neither can be reached
//! around it.
//!
//! Neither listener asks for credentials, and a browser on the same machine or network reaches both. Two rules keep pages
//! of other sites from using it: the admin listener answers only to addresses and to names that are known to be its own
//! (a name that a hostile DNS server points at it, which makes the page of the same origin, is not), and no listener
//! answers what a page of another site has a browser ask.

mod host;

#[cfg(test)]
mod tests;

use std::time::Instant;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};

use self::host::Host;
use crate::api::{Kind, Problem};
use crate::config::Config;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal(());

impl Principal {
    /// Anybody: nothing is known of the caller, and nothing asked.
    const ANYONE: Self = Self(());
}

/// A socket that the server listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Decisions, events, health.
    Data,
    /// Metrics, profiles, models.
    Admin,
}

impl Listener {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Data, Self::Admin];

    /// The metric label, and its name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Admin => "admin",
        }
    }
}

/// What a gate decides by: the head of a request, without its body.
#[derive(Debug, Clone, Copy)]
pub struct HeadFacts<'a> {
    /// Where the request arrived.
    pub listener: Listener,
    /// The method, as in `GET`.
    pub method: &'a str,
    /// Path and query as sent.
    pub target: &'a str,
    /// Whether the request is HTTP/1.0, which needs no `Host`.
    pub is_http_10: bool,
    /// Name and port of a target in absolute form, which count in place of `Host` (RFC 9112, section 3.2.2).
    pub authority: Option<&'a str>,
    /// The lines of `Host`.
    pub host: HostLines<'a>,
    /// Whether the browser says that a page of another site asks.
    pub is_cross_site: bool,
    /// The header fields.
    pub headers: Headers<'a>,
}

impl<'a> HeadFacts<'a> {
    /// The facts of a request in the router's form.
    pub(super) fn of<B>(listener: Listener, request: &'a Request<B>) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        let mut host = HostLines::default();
        headers.get_all(header::HOST).iter().for_each(|line| host.add(line.as_bytes()));
        let fetch_sites = headers.get_all(SEC_FETCH_SITE);
        Self {
            listener,
            method: request.method().as_str(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()),
            is_http_10: request.version() == Version::HTTP_10,
            authority: uri.authority().map(|authority| authority.as_str()),
            host,
            is_cross_site: fetch_sites.iter().any(|line| is_cross_site(line.as_bytes())),
            headers: Headers::Map(headers),
        }
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the value of a `Sec-Fetch-Site` line says that a page of another site asks. A page cannot set the field.
pub(super) fn is_cross_site(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"cross-site")
}

/// The `Host` lines of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HostLines<'a> {
    /// There is none.
    #[default]
    Missing,
    /// The value of the one that there is.
    One(&'a [u8]),
    /// One on the data listener whose value was admitted before: callers send the same one with every request.
    Known,
    /// There are several.
    Several,
}

impl<'a> HostLines<'a> {
    /// Notes a line.
    #[inline]
    pub(super) fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Missing => Self::One(value),
            _ => Self::Several,
        };
    }
}

/// Header fields, in whichever form they were parsed.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'a> {
    /// As they stand in the bytes that arrived.
    Parsed(&'a [httparse::Header<'a>]),
    /// In a map.
    Map(&'a HeaderMap),
}

impl<'a> Headers<'a> {
    /// The value of the first field of this name, which is given in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Parsed(fields) => {
                fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
            }
            Self::Map(map) => map.get(name).map(HeaderValue::as_bytes),
        }
    }
}

/// Says whether a request that the gate's own rules allow is admitted.
pub type Admit = fn(&HeadFacts<'_>) -> Result<Principal, Problem>;

/// Admits a request, or says why not.
pub(super) struct Gate {
    admin_hosts: Box<[String]>,
    allow_cross_site: bool,
    admit: Admit,
}

impl Gate {
    /// The gate of a configuration, which admits everybody that its rules allow.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            admin_hosts: config.admin_hosts.clone().into(),
            allow_cross_site: config.allow_cross_site,
            admit: |_| Ok(Principal::ANYONE),
        }
    }

    /// The same rules, and another opinion on whom they allow.
    pub(super) fn with_admit(self, admit: Admit) -> Self {
        Self { admit, ..self }
    }

    /// Admits a request. It is called on the threads that answer decisions: it must not wait.
    ///
    /// # Errors
    /// The request is refused: the problem to answer with.
    #[inline]
    pub(super) fn admit(&self, head: &HeadFacts<'_>) -> Result<Principal, Problem> {
        match head.host {
            HostLines::Known => {}
            HostLines::One(value) if host::is_valid(value) => {}
            HostLines::Missing if head.is_http_10 => {}
            lines => return Err(invalid_host(lines)),
        }
        if head.listener == Listener::Admin {
            self.check_name(head)?;
        }
        if head.is_cross_site && !self.allow_cross_site {
            let detail = "a page of another site had a browser send this (Sec-Fetch-Site: cross-site); ask from a \
                          server, or set allow_cross_site = true";
            return Err(Problem::new(Kind::CrossSite, detail));
        }
        (self.admit)(head)
    }

    /// Checks that the admin listener is asked by a name of its own. A client without `Host`, which only HTTP/1.0 may
    /// be, is no browser.
    fn check_name(&self, head: &HeadFacts<'_>) -> Result<(), Problem> {
        let value = match (head.authority, head.host) {
            (Some(authority), _) => authority.as_bytes(),
            (None, HostLines::One(value)) => value,
            (None, _) => return Ok(()),
        };
        let name = match host::read(value) {
            Some(Host::Address) => return Ok(()),
            Some(Host::Name(name)) => name,
            None => "",
        };
        let mut own = std::iter::once("localhost").chain(self.admin_hosts.iter().map(String::as_str));
        if own.any(|own| own.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let detail = format!(
            "the admin listener is not known by the name {name:.64?}; ask by an IP address or as localhost, or put the \
             name into admin_hosts"
        );
        Err(Problem::new(Kind::MisdirectedRequest, detail))
    }
}

/// Whether a configured name is one that DNS or a container engine may have: no port, no pattern, and no address, which
/// needs no configuration.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_plain) && host::read(name.as_bytes()) == Some(Host::Name(name))
}

fn invalid_host(lines: HostLines<'_>) -> Problem {
    let detail = match lines {
        HostLines::Missing => "there is no Host header, which HTTP/1.1 requires; send one",
        HostLines::One(_) | HostLines::Known => {
            "the Host header is not a name or an address with an optional port; send one that is"
        }
        HostLines::Several => "there are several Host headers; send one",
    };
    Problem::new(Kind::InvalidHost, detail)
}

/// A request that the gate let pass, or did not, on its way to the router.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    /// What the gate said.
    pub(super) admitted: Result<Principal, Problem>,
    /// When its head was read.
    pub(super) since: Instant,
}

/// Whether bytes are a request id that is taken over from the caller: 1–64 of `A-Z a-z 0-9 . _ : -`.
pub(super) fn is_request_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(is_plain)
}

/// For tests: refuses whoever sends `x-refuse`.
#[cfg(test)]
pub(super) fn refuse_marked(head: &HeadFacts<'_>) -> Result<Principal, Problem> {
    match head.headers.get("x-refuse") {
        Some(_) => Err(Problem::new(Kind::NotReady, "refused at the gate")),
        None => Ok(Principal::ANYONE),
    }
}
