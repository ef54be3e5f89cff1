//! Which processor the network runs on, and what it can do there.
//!
//! One binary serves machines with and without an NVIDIA GPU: it is linked to libtorch's CPU half alone, and
//! [`choose`] opens the CUDA half (`libtorch_cuda.so`) when that lies beside it.
//!
//! ```
//! let (device, words) = limn::net::device::choose("cpu")?;
//! assert_eq!(device, limn::net::Device::Cpu);
//! assert!(words.starts_with("CPU"));
//! # Ok::<(), limn::Error>(())
//! ```

use crate::error::{Error, Kind as ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tch::{Device, Kind};

/// The device that `wish` names, and what it is in words (`"CPU, 2 threads, bf16 native"`).
///
/// `wish` is `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`crate::Kind::Device`] when CUDA is asked for and cannot be had, [`crate::Kind::Usage`] for another word.
pub fn choose(wish: &str) -> Result<(Device, String)> {
    crate::watch::may_wait("looking for a device");
    let device = match wish {
        "cpu" => Device::Cpu,
        "auto" => match cuda(0) {
            Ok(device) => device,
            Err(_) => Device::Cpu,
        },
        "cuda" => cuda(0).map_err(|e| e.at("--device cuda"))?,
        other => match other.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
            Some(index) => cuda(index).map_err(|e| e.at(format!("--device {other}")))?,
            None => {
                return Err(Error::new(ErrorKind::Usage, format!("`{other}` is no device"))
                    .mend("say auto, cpu, cuda or cuda:0"));
            }
        },
    };
    keep_memory();
    Ok((device, words(device)))
}

/// Lets the C library keep large freed blocks for the next tensor of that size.
///
/// By default glibc gives every block above 32 MiB back to the system at once, and the next one is faulted in page by
/// page: activations of a training batch then cost four times their arithmetic (measured: a 3x3 depthwise
/// convolution of 49 MB, 28 ms against 6 ms).
fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        #[allow(unsafe_code)] // glibc's own tuning call, with its constants from malloc.h
        unsafe extern "C" {
            safe fn mallopt(what: c_int, value: c_int) -> c_int;
        }
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // The user's own settings (MALLOC_..._ variables) come first.
            if std::env::var_os("MALLOC_MMAP_THRESHOLD_").is_none() {
                mallopt(M_MMAP_THRESHOLD, 1 << 30);
                mallopt(M_TRIM_THRESHOLD, c_int::MAX);
            }
        });
    }
}

/// The number format that is fastest on `device` and as good as fp32 for poses: bf16 where the processor has it.
#[must_use]
pub fn best_compute(device: Device) -> Kind {
    match device {
        Device::Cpu if cpu_has_bf16() => Kind::BFloat16,
        Device::Cuda(index) => match driver::describe(index) {
            Some(gpu) if gpu.capability.0 >= 8 => Kind::BFloat16,
            Some(gpu) if gpu.capability.0 >= 7 => Kind::Half,
            _ => Kind::Float,
        },
        _ => Kind::Float,
    }
}

/// Whether this CPU multiplies bf16 in hardware (AVX512-BF16, which every AMX processor also has; or Arm's BF16).
#[must_use]
pub fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::is_x86_feature_detected!("avx512bf16") && std::is_x86_feature_detected!("avx512vl");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}

/// Threads that libtorch uses on the CPU.
#[must_use]
pub fn threads() -> i32 {
    tch::get_num_threads()
}

/// Bytes of memory of a GPU, when its driver tells.
#[must_use]
pub fn memory(device: Device) -> Option<usize> {
    match device {
        Device::Cuda(index) => driver::describe(index).map(|gpu| gpu.bytes),
        _ => None,
    }
}

/// The devices that a list such as `cuda:0,cuda:1` or `cuda:all` names, for one worker each.
///
/// # Errors
/// As [`choose`], when `cuda:all` is asked for and there is none.
pub fn several(wish: &str) -> Result<Vec<String>> {
    if wish == "cuda:all" {
        cuda(0).map_err(|e| e.at("--device cuda:all"))?;
        return Ok((0..gpu_count()).map(|i| format!("cuda:{i}")).collect());
    }
    Ok(wish.split(',').map(|w| w.trim().to_owned()).collect())
}

/// What `limn doctor` tells about computing.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Facts {
    /// Threads that libtorch uses on the CPU.
    pub cpu_threads: i32,
    /// Whether the CPU multiplies bf16 in hardware.
    pub cpu_bf16: bool,
    /// The libtorch that is loaded, when its path is known.
    pub libtorch: Option<PathBuf>,
    /// The CUDA half of libtorch that was opened.
    pub libtorch_cuda: Option<PathBuf>,
    /// The GPUs, in words, by index.
    pub gpus: Vec<String>,
    /// Why there is no CUDA, when there is none.
    pub no_cuda: Option<String>,
}

/// Looks at this machine.
#[must_use]
pub fn facts() -> Facts {
    let cuda = cuda(0);
    let gpus =
        if cuda.is_ok() { (0..gpu_count()).map(|i| words(Device::Cuda(i))).collect() } else { Vec::new() };
    Facts {
        cpu_threads: tch::get_num_threads(),
        cpu_bf16: cpu_has_bf16(),
        libtorch: loaded("libtorch_cpu.so"),
        libtorch_cuda: open_cuda_half().as_ref().ok().cloned(),
        gpus,
        no_cuda: cuda.err().map(|e| e.what().to_owned()),
    }
}

fn words(device: Device) -> String {
    match device {
        Device::Cuda(index) => {
            let gpu = driver::describe(index).map_or_else(|| "NVIDIA GPU".to_owned(), |g| g.words());
            format!("{gpu} (cuda:{index})")
        }
        _ => {
            let threads = tch::get_num_threads();
            let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
            format!("CPU, {threads}, {}", if cpu_has_bf16() { "bf16 native" } else { "no bf16" })
        }
    }
}

fn gpu_count() -> usize {
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

fn cuda(index: usize) -> Result<Device> {
    // Must come before the first CUDA query: libtorch remembers a "no".
    if let Err(why) = open_cuda_half() {
        return Err(Error::new(ErrorKind::Device, format!("CUDA is not available: {why}"))
            .mend("put libtorch's CUDA libraries beside its CPU ones, or use --device cpu"));
    }
    let count = gpu_count();
    if count == 0 || !tch::Cuda::is_available() {
        return Err(Error::new(
            ErrorKind::Device,
            "CUDA is not available: libtorch finds no NVIDIA GPU or driver",
        )
        .mend("run nvidia-smi to see whether the driver works, or use --device cpu"));
    }
    if index >= count {
        return Err(Error::new(ErrorKind::Device, format!("there is no cuda:{index}, only {count} GPU(s)"))
            .mend(format!("use cuda:0 to cuda:{}", count - 1)));
    }
    Ok(Device::Cuda(index))
}

/// Opens `libtorch_cuda.so`, once; its path, or why not.
fn open_cuda_half() -> &'static std::result::Result<PathBuf, String> {
    static OPENED: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    OPENED.get_or_init(|| {
        let name = if cfg!(windows) { "torch_cuda.dll" } else { "libtorch_cuda.so" };
        let mut places: Vec<PathBuf> = Vec::new();
        places.extend(loaded("libtorch_cpu.so").and_then(|p| Some(p.parent()?.join(name))));
        places.extend(std::env::current_exe().ok().and_then(|p| Some(p.parent()?.join("lib").join(name))));
        places.retain(|p| p.is_file());
        places.push(PathBuf::from(name)); // the loader's own search: rpath, LD_LIBRARY_PATH, system folders
        let mut why = format!("{name} was not found");
        for place in places {
            // Its dependencies (cuDNN, NCCL, ...) come by its own run path: beside it, or as the wheels lay them out.
            match open_for_all(&place) {
                Ok(()) => return Ok(loaded(name).unwrap_or(place)),
                Err(e) if place.is_absolute() => return Err(e),
                // Said of the library itself it means "not found"; of one it needs, the user must hear which.
                Err(e) if !e.contains(&format!("{name}: ")) => why = e,
                Err(_) => {}
            }
        }
        Err(why)
    })
}

/// Opens a library for the whole program and for as long as it runs.
#[allow(unsafe_code)] // running a library's initialisers cannot be checked; these are libtorch's own
fn open_for_all(path: &Path) -> std::result::Result<(), String> {
    #[cfg(unix)]
    {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        let library = unsafe { Library::open(Some(path), RTLD_GLOBAL | RTLD_NOW) };
        library.map(std::mem::forget).map_err(|e| e.to_string())
    }
    #[cfg(not(unix))]
    {
        let library = unsafe { libloading::Library::new(path) };
        library.map(std::mem::forget).map_err(|e| e.to_string())
    }
}

/// Where a library that this process runs on lies, on Linux.
fn loaded(name: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let path = Path::new(&line[line.find('/')?..]);
        (path.file_name()? == name).then(|| path.to_path_buf())
    })
}

/// The little that libtorch does not tell of a GPU, asked of NVIDIA's driver.
mod driver {
    use std::ffi::{c_char, c_int, c_uint};

    pub struct Gpu {
        name: String,
        pub bytes: usize,
        pub capability: (i32, i32),
    }

    impl Gpu {
        pub fn words(&self) -> String {
            #[allow(clippy::cast_precision_loss)] // for reading
            let gib = self.bytes as f64 / f64::from(1 << 30);
            format!("{}, {gib:.0} GiB, compute {}.{}", self.name, self.capability.0, self.capability.1)
        }
    }

    /// What the driver says of GPU `index`, in the order CUDA counts them.
    #[allow(unsafe_code)] // the driver is a C library; signatures as in NVIDIA's CUDA Driver API
    pub fn describe(index: usize) -> Option<Gpu> {
        let index = c_int::try_from(index).ok()?;
        let (mut device, mut bytes, mut major, mut minor) = (0, 0, 0, 0);
        let mut name = [0_u8; 128];
        unsafe {
            let lib =
                libloading::Library::new(if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" }).ok()?;
            let init = lib.get::<unsafe extern "C" fn(c_uint) -> c_int>(b"cuInit\0").ok()?;
            let get = lib.get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0").ok()?;
            let get_name = lib
                .get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(b"cuDeviceGetName\0")
                .ok()?;
            let total =
                lib.get::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>(b"cuDeviceTotalMem_v2\0").ok()?;
            let attribute = lib
                .get::<unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int>(b"cuDeviceGetAttribute\0")
                .ok()?;
            let ok = init(0) == 0
                && get(&raw mut device, index) == 0
                && get_name(name.as_mut_ptr().cast(), 127, device) == 0
                && total(&raw mut bytes, device) == 0
                && attribute(&raw mut major, 75, device) == 0 // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
                && attribute(&raw mut minor, 76, device) == 0; // ..._MINOR
            std::mem::forget(lib); // libtorch uses it too
            if !ok {
                return None;
            }
        }
        let name = std::ffi::CStr::from_bytes_until_nul(&name).ok()?.to_string_lossy().into_owned();
        Some(Gpu { name, bytes, capability: (major, minor) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_something_and_nonsense_is_refused() {
        let (device, words) = choose("auto").unwrap();
        assert!(matches!(device, Device::Cpu | Device::Cuda(0)), "{words}");
        for bad in ["", "gpu", "cuda:", "cuda:x", "cuda:-1"] {
            assert_eq!(choose(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad}");
        }
        if device == Device::Cpu {
            let e = choose("cuda").unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Device);
            assert!(e.how_to_mend().unwrap().contains("cpu"));
            assert!(facts().no_cuda.is_some());
        } else {
            assert_eq!(choose("cuda:99").unwrap_err().kind(), ErrorKind::Device);
        }
    }
}
