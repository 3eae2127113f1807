//! The `upbeat` binary: parses the command line, one match over roles.

fn main() -> std::process::ExitCode {
    upbeat::cli::main()
}
