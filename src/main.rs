//! Arguments in, exit code out.

/// The desk, the store and the senders take and give back memory of each other all the time: with the system's allocator
/// they wait for its locks (`cargo bench --bench delivery`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    shiftbell::cli::main()
}
