//! Writes the run path into the binaries, so that they find libtorch with no environment variable set.
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if std::env::var_os("CARGO_FEATURE_TORCH").is_none() || target == "windows" {
        return;
    }
    let libtorch = std::env::var_os("LIBTORCH").map_or_else(|| PathBuf::from("libs/libtorch"), PathBuf::from);
    let lib = libtorch.join("lib");
    // It may not be there yet when this runs, and this does not run again for that.
    let lib = std::fs::canonicalize(&lib).or_else(|_| std::path::absolute(&lib)).unwrap_or(lib);
    if target == "macos" {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
        return;
    }
    // Beside the binary first (an unpacked release), then where it was built, then from `target/<profile>/` should the
    // whole repository have been moved.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/lib:{}:$ORIGIN/../../libs/libtorch/lib", lib.display());
    // DT_RPATH rather than DT_RUNPATH: it also serves the libraries that libtorch needs in its turn.
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
}
