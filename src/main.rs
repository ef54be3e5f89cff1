//! The `limn` program; everything it does lives in the library.

fn main() -> std::process::ExitCode {
    #[cfg(all(unix, feature = "torch"))]
    rest_while_waiting();
    limn::cli::run()
}

/// Starts the program anew with OpenMP's threads told to sleep, not spin, while they wait for each other for longer than
/// some microseconds.
///
/// Spinning makes everything many times slower as soon as another program, or limn's own decoder, wants a core too;
/// sleeping at once costs training of small networks, whose steps are hundreds of short pieces, a quarter of its speed.
/// libgomp reads the wish once, when it is loaded, so it has to be there before the program starts. A wish of the
/// user's own stays.
#[cfg(all(unix, feature = "torch"))]
fn rest_while_waiting() {
    use std::os::unix::process::CommandExt;
    const WISH: &str = "OMP_WAIT_POLICY";
    if std::env::var_os(WISH).is_some() {
        return;
    }
    if let Ok(program) = std::env::current_exe() {
        // Comes back only when it fails; then the program runs on as it is.
        let _ = {
            let mut again = std::process::Command::new(program);
            again.args(std::env::args_os().skip(1)).env(WISH, "passive");
            if std::env::var_os("GOMP_SPINCOUNT").is_none() {
                again.env("GOMP_SPINCOUNT", "1000");
            }
            // fp32 means fp32 on NVIDIA's cards too, not their shortened TF32.
            if std::env::var_os("NVIDIA_TF32_OVERRIDE").is_none() {
                again.env("NVIDIA_TF32_OVERRIDE", "0");
            }
            // Huge pages for large tensors, where the system lends them, and memory kept between batches instead of
            // given back and cleared again each time: some hundredths faster.
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            if std::env::var_os("GLIBC_TUNABLES").is_none() {
                again.env(
                    "GLIBC_TUNABLES",
                    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824",
                );
            }
            again.exec()
        };
    }
}
