# Short names for what is done daily. `just` alone lists them.

[private]
default:
    @just --list

# Everything at once on simulated listeners
demo *arguments:
    cargo run --release -- demo {{arguments}}

# The server with the repository's configuration
serve *arguments:
    cargo run --release -- serve --config upbeat.toml {{arguments}}

# Every check
test:
    ./scripts/test

# Formatting, lints, cargo's tests
quick:
    ./scripts/test --quick

# Fuzz the readers of problems and models, so many seconds each
fuzz seconds="60":
    ./scripts/fuzz {{seconds}}

# Stop a busy server so many times and count the requests that http.client, node and wrk lose
stops count="50":
    cargo build --release
    tests/stops/run.py --stops {{count}}

# Restart a server so many times under load, half by SIGTERM and half by kill -9, on sockets that stay open
restarts count="100":
    RESTARTS={{count}} cargo test --release --locked --test server restarts_under_load -- --nocapture

# deploy/ and the operator's page on a machine of its own whose first process is systemd; as root
systemd:
    cargo test --test operator -- --nocapture

# Nothing acknowledged is lost, at length: a million histories of the log on a simulated disk, then the real binary
torture seeds="0..1000000" rounds="10" seed="1": (torture-log seeds) (torture-binary rounds seed)

# The policy of the engine against a plain model of it, 500 steps a seed
policy seeds="0..200":
    UPBEAT_SEEDS={{seeds}} cargo test --release --locked --test policy -- --nocapture

# How often the gate promotes: reigns of models that are no better, drifts, and the drifts by how many ads are held out
gate reigns="0..1000" drifts="0..200": (gate-promotes reigns "gate::tests::no_better") (gate-promotes drifts "gate::tests::better::") (gate-promotes drifts "gate::tests::plenty") (gate-promotes drifts "training::")

[private]
gate-promotes seeds part:
    UPBEAT_SEEDS={{seeds}} cargo test --release --locked -p upbeat-learn --lib {{part}} -- --ignored --nocapture

# What learning is worth, beside other policies: simulated listeners ask a real server; three worlds of 200,000 decisions
learning *arguments:
    benches/learning/run {{arguments}}

# A million histories of the log on a simulated disk
torture-log seeds="0..1000000":
    UPBEAT_SEEDS={{seeds}} cargo test --release --locked -p upbeat-journal torture -- --ignored --nocapture

# The power cut, the process killed, the disk full or failing under the real binary: 300 losses, 100 kills and 3 failures a round
torture-binary rounds="10" seed="1" *arguments:
    ROUNDS={{rounds}} SEED={{seed}} cargo test --release --locked --test torture -- --nocapture --test-threads 1 {{arguments}}

# Mixed load on one server for so many minutes; what it takes of memory, files and disk must stay as it is
soak minutes="10":
    MINUTES={{minutes}} cargo test --release --locked --test torture memory_files_and_disk -- --nocapture

# UPBEAT_OTHER_BINARY is another build of the version, which serves by turns with this one; SEED repeats a run.
# All that befalls a server in years, at random, with a ledger beside it: an hour, or MINUTES
chaos *arguments:
    MINUTES="${MINUTES:-60}" SEED="${SEED:-$(date +%s)}" \
        cargo test --release --locked --test torture whatever_befalls -- --nocapture {{arguments}}

# Every access of the unsafe code of profiles checked by miri; needs a nightly toolchain with miri, and installs it
miri:
    rustup toolchain install nightly --profile minimal --component miri --component rust-src
    MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=8 cargo +nightly miri test -p upbeat-core --lib -- \
        profile::words profile::packed profile::tests

# The same tests under the address sanitizer, on the stable toolchain: out of bounds, used after free, leaked
asan:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p upbeat-core --lib --target-dir target/asan \
        --target "$(rustc -vV | sed -n 's/^host: //p')" -- profile::

# Every export of 900 models of many kinds, scored by libSVM, LIBLINEAR and onnxruntime; some minutes
exports:
    cargo build --release
    UPBEAT_BINARY=target/release/upbeat target/venv/bin/python tests/peers/exports.py

# Format the sources
fmt:
    cargo fmt

# Measure everything (or the parts named), write docs/benchmarks.md
bench *arguments:
    ./scripts/bench {{arguments}}

# Training and scoring at length, beside libSVM, LIBLINEAR, smartcore, linfa-svm, scikit-learn and ffsvm
bench-svm *arguments:
    ./benches/svm/run {{arguments}}
    cargo bench --manifest-path benches/svm/Cargo.toml --target-dir target/benches --bench scorer

# Sets of every kind solved beside libSVM and LIBLINEAR, and the table of them; --sets and --limit for a part
zoo *arguments:
    cargo build --profile bench --manifest-path benches/svm/Cargo.toml --target-dir target/benches --bin zoo
    -target/benches/release/zoo run {{arguments}}
    target/benches/release/zoo table docs/svm-zoo.md

# The automatic choice of parameters beside scikit-learn's GridSearchCV; an hour of CPU the first time
bench-auto *arguments:
    ./benches/svm/auto-sets {{arguments}}

# Reported measures against fresh samples of the same source; `--page docs/decisions/reported-measures.md` writes it
fresh *arguments:
    cargo run --release --manifest-path benches/svm/Cargo.toml --target-dir target/benches --bin fresh -- {{arguments}}

# The library's documentation in a browser
doc:
    cargo doc --no-deps --open

# Licences, duplicate crates, sources, advisories
deny:
    cargo deny check

# Lint the contract
contract:
    cd tests/contract && npm ci --no-audit --no-fund && npx redocly lint --config redocly.yaml ../../openapi.yaml

# The container image, and run it
image:
    docker compose up --build
