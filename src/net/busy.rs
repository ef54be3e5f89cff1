use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tch::Device;

/// The driver is asked so often; it gives the mean of the last sixth of a second to a second.
const ASK: Duration = Duration::from_millis(100);

/// Watches how much of the time a GPU works, as its driver tells it: the share in which any kernel ran.
#[derive(Debug)]
pub struct Busy {
    over: Arc<AtomicBool>,
    asking: Option<JoinHandle<Option<f64>>>,
}

impl Busy {
    /// Begins to watch; on a CPU there is nothing to ask.
    #[must_use]
    pub fn watch(device: Device) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let asking = match device {
            Device::Cuda(index) => {
                let over = Arc::clone(&over);
                Some(std::thread::spawn(move || mean(index, &over)))
            }
            _ => None,
        };
        Self { over, asking }
    }

    /// The mean since the begin, 0 to 1; `None` when the driver does not tell.
    #[must_use]
    pub fn end(mut self) -> Option<f64> {
        self.over.store(true, Ordering::Relaxed);
        self.asking.take()?.join().ok()?
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn mean(index: usize, over: &AtomicBool) -> Option<f64> {
    let gpu = nvml::Gpu::open(index)?;
    let (mut sum, mut asked) = (0.0, 0.0);
    while !over.load(Ordering::Relaxed) {
        sum += f64::from(gpu.percent()?) / 100.0;
        asked += 1.0;
        std::thread::sleep(ASK);
    }
    (asked > 0.0).then(|| sum / asked)
}

/// The part of NVIDIA's management library that is needed, opened where it is there.
mod nvml {
    use libloading::Library;
    use std::ffi::{c_char, c_int, c_uint, c_void};

    pub struct Gpu {
        library: Library,
        handle: *mut c_void,
    }

    impl Gpu {
        /// GPU `index` as CUDA counts them: both libraries know it by its place on the bus.
        #[allow(unsafe_code)] // C libraries; signatures as in NVIDIA's CUDA driver API and NVML reference
        pub fn open(index: usize) -> Option<Self> {
            let index = c_int::try_from(index).ok()?;
            let mut place: [c_char; 64] = [0; 64];
            let mut device: c_int = 0;
            let mut handle = std::ptr::null_mut();
            unsafe {
                let cuda = Library::new(if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" }).ok()?;
                let init = cuda.get::<unsafe extern "C" fn(c_uint) -> c_int>(b"cuInit\0").ok()?;
                let get =
                    cuda.get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>(b"cuDeviceGet\0").ok()?;
                let bus = cuda
                    .get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>(b"cuDeviceGetPCIBusId\0")
                    .ok()?;
                let found = init(0) == 0
                    && get(&raw mut device, index) == 0
                    && bus(place.as_mut_ptr(), 63, device) == 0;
                std::mem::forget(cuda); // libtorch uses it too
                let library =
                    Library::new(if cfg!(windows) { "nvml.dll" } else { "libnvidia-ml.so.1" }).ok()?;
                let init = library.get::<unsafe extern "C" fn() -> c_int>(b"nvmlInit_v2\0").ok()?;
                let by_place = library
                    .get::<unsafe extern "C" fn(*const c_char, *mut *mut c_void) -> c_int>(
                        b"nvmlDeviceGetHandleByPciBusId_v2\0",
                    )
                    .ok()?;
                let ok = found && init() == 0 && by_place(place.as_ptr(), &raw mut handle) == 0;
                ok.then_some(Self { library, handle })
            }
        }

        /// Per cent of the last moments in which a kernel ran.
        #[allow(unsafe_code)] // as above; `nvmlUtilization_t` is two unsigned numbers, GPU and memory
        pub fn percent(&self) -> Option<c_uint> {
            let mut rates = [0 as c_uint; 2];
            unsafe {
                let ask = self
                    .library
                    .get::<unsafe extern "C" fn(*mut c_void, *mut [c_uint; 2]) -> c_int>(
                        b"nvmlDeviceGetUtilizationRates\0",
                    )
                    .ok()?;
                (ask(self.handle, &raw mut rates) == 0).then_some(rates[0])
            }
        }
    }

    impl Drop for Gpu {
        #[allow(unsafe_code)] // as above
        fn drop(&mut self) {
            unsafe {
                if let Ok(end) = self.library.get::<unsafe extern "C" fn() -> c_int>(b"nvmlShutdown\0") {
                    let _ = end();
                }
            }
        }
    }
}
