//! Allocations of a request: a cost that does not depend on the load of the machine.
//!
//! Alone in its process, since the allocator counts the requests of every thread; the client allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use upbeat_core::event::{Time, Zone};
use upbeat_server::config::{self, Config};
use upbeat_server::runtime::{self, App, Listeners, Stopped, machine_clock};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: all is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The time limit of a read: far more than an answer takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Requests before the count begins, so that every buffer has grown; and requests that are counted.
const WARM_UP: usize = 200;
const COUNTED: usize = 500;

/// Sends one request and reads its answer, which must be 200, into a buffer on the stack.
fn ask(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).expect("the server reads");
    let mut buffer = [0; 2048];
    let mut length = 0;
    while !is_whole(&buffer[..length]) {
        let count = stream.read(&mut buffer[length..]).expect("an answer");
        assert!(count > 0, "closed");
        length += count;
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..length]));
}

/// Whether an answer with a JSON body is complete: it is the only one on the connection, and ends with a brace.
fn is_whole(answer: &[u8]) -> bool {
    answer.windows(4).any(|end| end == b"\r\n\r\n") && answer.ends_with(b"}")
}

/// Allocations of the whole process for each of `requests`, rounded up.
fn allocations_each(stream: &mut TcpStream, requests: &[Vec<u8>]) -> u64 {
    let (warm_up, counted) = requests.split_at(WARM_UP);
    warm_up.iter().for_each(|request| ask(stream, request));
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    counted.iter().for_each(|request| ask(stream, request));
    (ALLOCATIONS.load(Ordering::Relaxed) - before).div_ceil(counted.len() as u64)
}

/// Allocations of a decision for which the window is counted.
const FRESH_ALLOCATIONS: u64 = 0;

/// Customers who ask, and plays of each: enough for a score.
const CUSTOMERS: usize = 50;
const PLAYS: usize = 12;

fn decision(headers: &str) -> Vec<Vec<u8>> {
    let request =
        |customer| format!("GET /should-show-ad/{customer} HTTP/1.1\r\nhost: upbeat\r\n{headers}\r\n");
    (0..WARM_UP + COUNTED).map(|number| request(number % CUSTOMERS).into_bytes()).collect()
}

fn post(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /events HTTP/1.1\r\nhost: upbeat\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A play an hour or less ago, so that it counts for the decisions of the test.
fn play(number: usize) -> Vec<u8> {
    let customer = number % CUSTOMERS;
    let time = Time::from_unix_ms(machine_clock() - 3_600_000 + 1000 * number as i64);
    post(&format!(
        "{{\"type\":\"play\",\"event_id\":{number},\"customer_id\":{customer},\"track_id\":{},\
         \"time\":\"{time}\",\"mobile\":{},\"zip\":\"72132\"}}",
        number % 7,
        number.is_multiple_of(3)
    ))
}

/// The answer to a decision, which must be one that took a score.
fn assert_scored(stream: &mut TcpStream, customer: usize) {
    let request = format!("GET /should-show-ad/{customer} HTTP/1.1\r\nhost: upbeat\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    while !is_whole(answer.as_bytes()) {
        let mut buffer = [0; 2048];
        let count = stream.read(&mut buffer).expect("an answer");
        answer.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
    }
    let is_scored = answer.contains("\"reason\":\"unlikely_to_click\"") && answer.contains("\"score\":");
    assert!(is_scored && !answer.contains("\"score\":null"), "{answer}");
}

#[test]
fn decision_allocates_nothing_and_event_at_most_twelve_times() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    threads.expect("a runtime").block_on(async {
        let bind = async || tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let listeners = Listeners { data: bind().await.into(), admin: bind().await.into() };
        let address = listeners.data.socket.local_addr().expect("an address");
        let mut config = Config { workers: 1, ..Config::default() };
        config.shutdown.drain = config::Duration::from_secs(0);
        // Nobody is shown the ad: a decision that counts an impression may allocate.
        config.campaign.threshold = 1e6;
        let app = Arc::new(App::new(config, Zone::utc(), machine_clock));
        app.serve_configured_model().expect("the built-in model");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(runtime::run(listeners, app, async {
            let _ = stopped.await;
        }));
        let client = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
            let plays: Vec<_> = (0..WARM_UP + COUNTED).map(play).collect();
            assert!(plays.len() >= CUSTOMERS * PLAYS);
            let events = allocations_each(&mut stream, &plays);
            // The parser's, the table's, and the growth of the profile.
            assert!(events <= 12, "{events} allocations an event");
            (0..CUSTOMERS).for_each(|customer| assert_scored(&mut stream, customer));
            for headers in ["", "x-request-id: mine\r\naccept: */*\r\nuser-agent: test\r\n"] {
                assert_eq!(
                    allocations_each(&mut stream, &decision(headers)),
                    0,
                    "a decision with cached counts and {headers:?}"
                );
            }
            // Another play of everybody: no cached counts are valid, so each of these counts the window again.
            let fresh = decision("");
            (plays.len()..plays.len() + CUSTOMERS).map(play).for_each(|event| ask(&mut stream, &event));
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            fresh[..CUSTOMERS].iter().for_each(|request| ask(&mut stream, request));
            let scoring = ALLOCATIONS.load(Ordering::Relaxed) - before;
            assert!(
                scoring <= FRESH_ALLOCATIONS * CUSTOMERS as u64,
                "{scoring} for {CUSTOMERS} windows that are counted again"
            );
        });
        let outcome = client.await;
        drop(stop);
        assert_eq!(server.await.expect("no panic").expect("it ran"), Stopped::Clean);
        outcome.expect("no more allocations than asserted");
    });
}
