use super::crop::Crop;
use super::dataset::Dataset;
use super::loss;
use super::recipe::Recipe;
use super::step::Learner;
use crate::error::{Error, Kind, Result};
use crate::net::{Busy, Device, Net, NetSpec, Precision, Tensor, device};
use crate::picture::Picture;
use crate::pose::Keypoint;
use crate::watch::Watch;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Steps of weights that hardly move: rates do not change the speed, but weights that run away to no numbers do.
const SHARE: f64 = 0.01;
/// Batches are cut before the first step; so many steps later a loader that is too slow cannot hide behind them.
const WARM_STEPS: usize = 5;
/// The warm-up of a slow device is shorter.
const WARM: Duration = Duration::from_secs(3);
/// Where the device waits for more than this share of the time, loading sets the pace.
const WAITS: f64 = 0.05;
/// A GPU that works less than this share of the time is given its work too slowly.
const BUSY: f64 = 0.9;
/// Pictures that stand for a project's.
const PICTURES: usize = 32;
const PICTURE: (usize, usize) = (640, 480);

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Task {
    /// The network's name, such as `resnet_50`.
    pub net: String,
    /// Stride of the backbone: 8, 16 or 32.
    pub stride: usize,
    /// Side of the crops in pixels.
    pub crop: usize,
    /// Crops in a step.
    pub batch: usize,
    /// Points of the network; those of the dataset where there is one.
    pub points: usize,
    /// So many first stages of the backbone are frozen; with any, the backbone's norms are as the recipe has them.
    pub frozen_stages: usize,
    /// `auto`, `cpu`, `cuda`, `cuda:0`.
    pub device: String,
    /// Number format; the one that training takes on the device when not given.
    pub precision: Option<Precision>,
    /// At most so many steps.
    pub steps: usize,
    /// At most so many seconds of steps; the fixed batch takes up to half as long again, and two steps at least.
    pub seconds: f64,
}

/// How fast this machine trains.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Crops per second, loader and steps at work together.
    pub images_per_s: f64,
    /// Crops per second of the same steps on one batch that lies ready on the device: before and after the whole was
    /// measured, the better of the two.
    pub ceiling_images_per_s: f64,
    /// The first over the second.
    pub of_ceiling: f64,
    /// From the end of a step to the end of the next, in milliseconds.
    pub step_ms: Spread,
    /// Seconds for each step, on the whole.
    pub seconds_per_step: f64,
    /// `augmented` (crops are cut and varied as in training), or `none` (a build without OpenCV takes crops that were
    /// made before).
    pub loader: &'static str,
    /// Share of the time in which the loader worked.
    pub loader_busy: f64,
    /// Share of the time in which the device waited for the loader.
    pub waited: f64,
    /// Share of the time in which the device worked: on a CPU the steps', on a GPU what its driver says; `None` when it
    /// says nothing.
    pub device_busy: Option<f64>,
    /// `loading`, `computing`, or `launching` (a GPU is given its work too slowly).
    pub limit: &'static str,
    /// Device, in words.
    pub device: String,
    /// Threads that libtorch uses on the CPU.
    pub threads: i32,
    /// Number format.
    pub precision: String,
    /// The network's name.
    pub net: String,
    /// Stride of the backbone.
    pub stride: usize,
    /// Stride of the heatmaps.
    pub output_stride: usize,
    /// Side of the crops in pixels.
    pub crop: usize,
    /// Crops in a step.
    pub batch: usize,
    /// Points of the network.
    pub points: usize,
    /// First stages of the backbone that were not trained.
    pub frozen_stages: usize,
    /// Whether the backbone's norms kept their statistics.
    pub frozen_norm: bool,
    /// How many numbers the network learns.
    pub parameters: usize,
    /// Steps measured.
    pub steps: usize,
    /// Seconds they took.
    pub seconds: f64,
    /// Steps without a finite gradient, which change nothing and are a little faster.
    pub bad_steps: usize,
    /// `project` or `synthetic`.
    pub source: &'static str,
    /// Pictures that crops were cut from.
    pub pictures: usize,
}

/// The middle and the upper end of several values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half of them are not above it.
    pub median: f64,
    /// 95 of 100 are not above it.
    pub p95: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: usize| {
            values.get((values.len() * share).div_ceil(100).saturating_sub(1)).copied().unwrap_or(f64::NAN)
        };
        Self { median: at(50), p95: at(95) }
    }
}

/// Measures steps of training, from random weights, on a project's labelled pictures or on made-up ones.
///
/// The loader's crops are as large as `task` says, whatever the pictures show.
///
/// # Errors
/// When there is no such network or device, memory is short, or somebody asked to stop.
#[allow(clippy::cast_precision_loss)] // counts
pub fn measure(task: &Task, data: Option<Dataset>, watch: &dyn Watch) -> Result<Measured> {
    let source = if data.is_some() { "project" } else { "synthetic" };
    let data = data.unwrap_or_else(|| synthetic(task.points));
    let points = data.examples().first().map_or(task.points, |e| e.points.len());
    let (on, words) = device::choose(&task.device)?;
    let precision = task.precision.unwrap_or_else(|| Precision::to_train(on)).check(on)?;
    let own = Recipe::for_net(&task.net)?;
    let recipe = Recipe {
        batch: task.batch,
        crop: task.crop,
        frozen_stages: task.frozen_stages,
        frozen_norm: task.frozen_stages > 0 && own.frozen_norm,
        ..own
    };
    recipe.check()?;
    let output_stride = recipe.head.output_stride.min(task.stride);
    let spec = NetSpec {
        net: task.net.clone(),
        backbone_stride: task.stride,
        output_stride,
        points,
        head: recipe.head.spec(),
    };
    let net = Net::new(&spec, on, 0)?;
    if task.frozen_stages > net.stages() {
        return Err(Error::new(Kind::Usage, format!("{} has {} stages", task.net, net.stages()))
            .mend("freeze no more than these"));
    }
    // As pretrained ones: only then does anything stay frozen.
    let mut learner = Learner::new(&net, &recipe, true, precision)?;
    let mut bench = Bench { learner: &mut learner, on, watch, steps: 0, bad: 0 };
    watch.begin("measure", None);
    let result = bench.all(task, &recipe, &data);
    watch.end();
    let (whole, ceiling) = result?;
    let images_per_s = (whole.steps() * task.batch) as f64 / whole.seconds;
    let gpu = on.is_cuda();
    Ok(Measured {
        images_per_s,
        ceiling_images_per_s: ceiling,
        of_ceiling: images_per_s / ceiling,
        seconds_per_step: whole.seconds / whole.steps().max(1) as f64,
        limit: match whole.device_busy {
            _ if whole.waited > WAITS => "loading",
            Some(busy) if gpu && busy < BUSY => "launching",
            _ => "computing",
        },
        loader: if cfg!(feature = "vision") { "augmented" } else { "none" },
        loader_busy: whole.loader_busy,
        waited: whole.waited,
        device_busy: whole.device_busy,
        device: words,
        threads: device::threads(),
        precision: precision.to_string(),
        net: task.net.clone(),
        stride: task.stride,
        output_stride,
        crop: task.crop,
        batch: task.batch,
        points,
        frozen_stages: recipe.frozen_stages,
        frozen_norm: recipe.frozen_norm,
        parameters: net.params().learnt_numbers(),
        steps: whole.steps(),
        seconds: whole.seconds,
        bad_steps: whole.bad,
        source,
        pictures: data.len(),
        step_ms: Spread::of(whole.step_ms),
    })
}

/// What the loader and the steps together gave.
#[derive(Default)]
struct Whole {
    step_ms: Vec<f64>,
    seconds: f64,
    waited: f64,
    loader_busy: f64,
    device_busy: Option<f64>,
    bad: usize,
}

impl Whole {
    fn steps(&self) -> usize {
        self.step_ms.len()
    }
}

/// A learner that is watched.
struct Bench<'a, 'b> {
    learner: &'a mut Learner<'b>,
    on: Device,
    watch: &'a dyn Watch,
    steps: u64,
    bad: usize,
}

impl Bench<'_, '_> {
    /// The fixed batch, the whole, the fixed batch again.
    fn all(&mut self, task: &Task, recipe: &Recipe, data: &Dataset) -> Result<(Whole, f64)> {
        let part = (task.seconds / 4.0).min(5.0);
        self.watch.status("steps on one batch");
        let crops = first_batch(recipe, data)?;
        let pixels = loss::pixels(&crops)?.f_to_device(self.on)?;
        self.warm_up(|bench| bench.step_on(&pixels, &crops))?;
        let before = self.ceiling(&pixels, &crops, part, task.steps)?;
        self.watch.status("steps with the loader");
        let whole = self.whole(task, recipe, data)?;
        self.watch.status("steps on one batch, again");
        let after = self.ceiling(&pixels, &crops, part, task.steps)?;
        Ok((whole, before.max(after)))
    }

    /// Crops per second of steps on one batch, for so many seconds, two steps at least.
    #[allow(clippy::cast_precision_loss)]
    fn ceiling(&mut self, pixels: &Tensor, crops: &[Crop], seconds: f64, most: usize) -> Result<f64> {
        let (began, mut steps) = (Instant::now(), 0_usize);
        while steps < 2 || (steps < most && began.elapsed().as_secs_f64() < seconds) {
            self.step_on(pixels, crops)?;
            steps += 1;
        }
        self.wait();
        Ok((steps * crops.len()) as f64 / began.elapsed().as_secs_f64())
    }

    #[cfg(feature = "vision")]
    fn whole(&mut self, task: &Task, recipe: &Recipe, data: &Dataset) -> Result<Whole> {
        use std::sync::atomic::{AtomicU64, Ordering};
        let busy = AtomicU64::new(0);
        let loader = super::loader::Loader { data, recipe, side: recipe.crop, pairs: &[], seed: 0 };
        loader.run_timed(1, &busy, |batches| {
            let next = || {
                batches.recv().map_err(|_| Error::new(Kind::Compute, "the batch loader stopped")).flatten()
            };
            #[allow(clippy::cast_precision_loss)]
            self.steps_of(task, next, || busy.load(Ordering::Relaxed) as f64 / 1e9)
        })
    }

    /// No OpenCV, no augmentation: crops of noise in turns.
    #[cfg(not(feature = "vision"))]
    fn whole(&mut self, task: &Task, recipe: &Recipe, data: &Dataset) -> Result<Whole> {
        let points = data.examples().first().map_or(0, |e| e.points.len());
        let made: Vec<_> = (0..4).map(|n| noise_crops(recipe, points, n)).collect();
        let mut turn = made.iter().cycle();
        self.steps_of(task, || Ok(turn.next().cloned().unwrap_or_default()), || 0.0)
    }

    /// Steps on what `next` gives; `loading` says how many seconds the loader has worked so far.
    fn steps_of(
        &mut self,
        task: &Task,
        mut next: impl FnMut() -> Result<Vec<Crop>>,
        loading: impl Fn() -> f64,
    ) -> Result<Whole> {
        self.warm_up(|bench| bench.step(&next()?))?;
        self.wait();
        let mut whole = Whole::default();
        let (bad, loaded) = (self.bad, loading());
        let driver = Busy::watch(self.on);
        let began = Instant::now();
        let (mut ended, mut waited) = (began, Duration::ZERO);
        while whole.steps() < task.steps.max(1)
            && (whole.step_ms.is_empty() || began.elapsed().as_secs_f64() < task.seconds)
        {
            let clock = Instant::now();
            let crops = next()?;
            waited += clock.elapsed();
            self.step(&crops)?;
            let now = Instant::now();
            whole.step_ms.push((now - ended).as_secs_f64() * 1e3);
            ended = now;
        }
        self.wait();
        whole.seconds = began.elapsed().as_secs_f64().max(1e-9);
        whole.waited = waited.as_secs_f64() / whole.seconds;
        whole.loader_busy = (loading() - loaded) / whole.seconds;
        whole.device_busy = if self.on.is_cuda() { driver.end() } else { Some(1.0 - whole.waited) };
        whole.bad = self.bad - bad;
        Ok(whole)
    }

    fn warm_up(&mut self, mut step: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let began = Instant::now();
        for _ in 0..WARM_STEPS {
            step(self)?;
            if began.elapsed() > WARM {
                break;
            }
        }
        Ok(())
    }

    /// A step as training takes it.
    fn step(&mut self, crops: &[Crop]) -> Result<()> {
        self.watch.check()?;
        let loss = self.learner.step(crops, SHARE)?;
        self.note(loss.is_some());
        Ok(())
    }

    fn step_on(&mut self, pixels: &Tensor, crops: &[Crop]) -> Result<()> {
        self.watch.check()?;
        let loss = self.learner.step_on(pixels, crops, SHARE)?;
        self.note(loss.is_some());
        Ok(())
    }

    fn note(&mut self, finite: bool) {
        self.steps += 1;
        self.bad += usize::from(!finite);
        self.learner.rescale(finite, self.steps);
        self.watch.advance(1);
    }

    /// Until the device has done all it was given.
    fn wait(&self) {
        if let Device::Cuda(index) = self.on {
            tch::Cuda::synchronize(i64::try_from(index).unwrap_or(0));
        }
    }
}

#[cfg(feature = "vision")]
fn first_batch(recipe: &Recipe, data: &Dataset) -> Result<Vec<Crop>> {
    super::loader::Loader { data, recipe, side: recipe.crop, pairs: &[], seed: 0 }.batch(0)
}

#[cfg(not(feature = "vision"))]
fn first_batch(recipe: &Recipe, data: &Dataset) -> Result<Vec<Crop>> {
    Ok(noise_crops(recipe, data.examples().first().map_or(0, |e| e.points.len()), 0))
}

/// Pictures of noise with points anywhere: what pictures show is of no matter to the speed.
fn synthetic(points: usize) -> Dataset {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let (w, h) = PICTURE;
    let one = |n: usize| {
        let (picture, points) = noise((w, h), points, &mut random);
        let key = crate::pose::FrameKey::new("noise", format!("img{n:03}.png"));
        (super::dataset::Example { key, path: std::path::PathBuf::new(), points }, picture)
    };
    Dataset::of((0..PICTURES).map(one).collect())
}

#[cfg(not(feature = "vision"))]
fn noise_crops(recipe: &Recipe, points: usize, seed: u64) -> Vec<Crop> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut one = |_| {
        let (picture, points) = noise((recipe.crop, recipe.crop), points, &mut random);
        Crop { picture, points }
    };
    (0..recipe.batch).map(&mut one).collect()
}

#[allow(clippy::cast_precision_loss)] // pixels
fn noise((w, h): (usize, usize), points: usize, random: &mut ChaCha8Rng) -> (Picture, Vec<Option<Keypoint>>) {
    let mut picture = Picture::new(w, h);
    random.fill(picture.rgb_mut());
    let mut place = || Keypoint::new(random.random_range(0.0..w as f64), random.random_range(0.0..h as f64));
    (picture, (0..points).map(|_| Some(place())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Quiet;

    #[test]
    fn a_short_measurement_is_whole() {
        let task = Task {
            net: "efficientnet_lite0".into(),
            stride: 16,
            crop: 64,
            batch: 2,
            points: 3,
            frozen_stages: 0,
            device: "cpu".into(),
            precision: Some(Precision::Fp32),
            steps: 3,
            seconds: 60.0,
        };
        let all = measure(&task, None, &Quiet::default()).unwrap();
        assert_eq!((all.steps, all.bad_steps, all.points, all.source), (3, 0, 3, "synthetic"));
        assert!(all.images_per_s > 0.0 && all.ceiling_images_per_s > 0.0);
        assert!(all.step_ms.p95 >= all.step_ms.median && all.step_ms.median > 0.0);
        assert!((0.0..=1.0).contains(&all.waited) && all.device_busy.is_some());
        let frozen = Task { frozen_stages: 99, ..task };
        assert_eq!(measure(&frozen, None, &Quiet::default()).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn spreads() {
        let of = |n: usize| Spread::of((1..=n).rev().map(|v| v as f64).collect());
        assert_eq!(of(100), Spread { median: 50.0, p95: 95.0 });
        assert_eq!(of(1), Spread { median: 1.0, p95: 1.0 });
        assert!(of(0).median.is_nan());
    }
}
