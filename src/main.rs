//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    shiftbell::cli::main()
}
