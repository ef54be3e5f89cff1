//! The `limn` program; everything it does lives in the library.

fn main() -> std::process::ExitCode {
    limn::cli::run()
}
