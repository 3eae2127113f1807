//! The zoo: sets of every kind × losses × kernels × C, solved by the library and by libSVM's and LIBLINEAR's own
//! solvers side by side, judged by one objective function.
//!
//! `zoo run [--sets A,B] [--machines PART] [--limit SECONDS] [--seed N] [--jobs N] [--resume true]` solves, and keeps what came of each set under
//! target/zoo; `--machines linear` runs those whose name has that part;
//! `zoo peers` with the same options has only the peers solve, whose results are kept too and do not depend on the
//! library; `--jobs 2` runs two sets at a time, and `--resume true` leaves out those that this executable has run already; `zoo table FILE` writes the page of what is kept; `zoo quick` solves a few small cases and fails on a wrong one.

mod case;
mod data;
mod objective;
mod ours;
mod peers;
mod run;
mod sets;
mod table;
mod verdict;

use std::process::ExitCode;

const USAGE: &str = "usage: zoo run|peers [--sets A,B] [--machines PART] [--limit SECONDS] [--seed N] [--jobs N] [--resume true] | zoo table FILE | zoo quick";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["case", spec] => case::child(spec).map(|()| true),
        ["run", options @ ..] => run::Options::read(options).and_then(|options| run::run(&options)),
        ["peers", options @ ..] => run::Options::read(options).and_then(|options| run::peers(&options)),
        ["table", file] => table::write(file).map(|()| true),
        ["quick"] => run::quick(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}
