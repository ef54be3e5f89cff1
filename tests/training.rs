//! Training as a whole: it learns what it should, gives the same again, and goes on where it was stopped.
#![cfg(all(feature = "torch", feature = "vision"))]
#![allow(clippy::unwrap_used)] // in the helpers of tests too

use limn::net::{Bundle, Card, Device, HeadSpec, Net, NetSpec, Precision};
use limn::picture::Picture;
use limn::pose::{FrameKey, Keypoint, LabeledFrame, Skeleton};
use limn::train::{
    BeganSeen, Dataset, Example, MeasuredSeen, Observer, Outcome, Plan, Recipe, State, StepSeen, Summary,
    Trainer, judge, random_for, snapshot_folder,
};
use limn::watch::{Quiet, Watch};
use limn::{Error, Kind};
use rand::Rng;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const SIDE: usize = 96;

/// A bright disc of about 7 px on dark noise, somewhere, with its centre as the label.
fn discs(dir: &Path, seed: u64, count: usize) -> Dataset {
    let examples = (0..count)
        .map(|n| {
            let mut random = random_for(seed, n as u64, 0);
            let at = Keypoint::new(random.random_range(12.0..84.0), random.random_range(12.0..84.0));
            let mut picture = Picture::new(SIDE, SIDE);
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let away = at.distance(Keypoint::new(x as f64 + 0.5, y as f64 + 0.5));
                    let light = 200.0 * (7.5 - away).clamp(0.0, 1.0) + random.random_range(0.0..40.0);
                    picture.set(x, y, [light as u8; 3]);
                }
            }
            let name = format!("img{n:03}.png");
            let path = dir.join(format!("{seed}-{name}"));
            picture.save_png(&path).unwrap();
            Example::new(FrameKey::new("discs", name), path, &LabeledFrame { points: vec![Some(at)] })
        })
        .collect();
    Dataset::load(examples, &Quiet::default()).unwrap()
}

/// One run: what it is told, on which data, in which folder.
struct Run<'a> {
    net: &'a str,
    recipe: Recipe,
    plan: Plan,
    train: &'a Dataset,
    test: &'a Dataset,
}

impl<'a> Run<'a> {
    fn new(folder: &Path, net: &'a str, recipe: Recipe, train: &'a Dataset, test: &'a Dataset) -> Self {
        let plan = Plan {
            folder: folder.to_owned(),
            seed: 1,
            steps: None,
            max_minutes: None,
            resume: false,
            precision: Precision::Fp32,
            pretrained: false,
            data: "discs".into(),
        };
        std::fs::create_dir_all(folder).unwrap();
        Self { net, recipe, plan, train, test }
    }

    fn go(&self, watch: &dyn Watch) -> Result<Outcome, Error> {
        self.go_seen(watch, None)
    }

    fn go_seen(&self, watch: &dyn Watch, observer: Option<&dyn Observer>) -> Result<Outcome, Error> {
        let spec = NetSpec {
            net: self.net.into(),
            backbone_stride: self.recipe.head.backbone_stride,
            output_stride: self.recipe.head.output_stride,
            points: 1,
            head: HeadSpec { width: self.recipe.head.width, ..HeadSpec::default() },
        };
        let net = Net::new(&spec, Device::Cpu, self.plan.seed)?;
        let card = Card::new(&spec, &Skeleton::single(["disc"]))?;
        let naming = |uid: &str| format!("disc_{uid}");
        Trainer::new(&net, card, &naming, &self.recipe, &self.plan, self.recipe.crop)?.seen_by(observer).run(
            self.train,
            Some(self.test),
            &[],
            watch,
        )
    }

    fn weights(&self, name: &str) -> Vec<u8> {
        std::fs::read(snapshot_folder(&self.plan.folder, name).join("weights.safetensors")).unwrap()
    }

    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.plan.folder.join("learning_stats.csv")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn state(&self) -> State {
        State::load(&self.plan.folder).unwrap().unwrap().0
    }
}

/// A run of seconds: 9 steps of 2 crops, 3 measurements.
fn tiny() -> Recipe {
    let mut recipe = Recipe::for_net("efficientnet_lite0").unwrap();
    (recipe.steps, recipe.batch, recipe.crop, recipe.warmup, recipe.evaluations) = (9, 2, 64, 2, 3);
    recipe.head.width = 16;
    recipe
}

/// Asks to stop after so many steps.
struct StopAfter {
    steps: AtomicU64,
    at: u64,
}

impl StopAfter {
    fn new(at: u64) -> Self {
        Self { steps: AtomicU64::new(0), at }
    }
}

impl Watch for StopAfter {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, units: u64) {
        self.steps.fetch_add(units, Ordering::Relaxed);
    }
    fn status(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn warn(&self, text: &str) {
        eprintln!("{text}");
    }
    fn end(&self) {}
    fn stopped(&self) -> bool {
        self.steps.load(Ordering::Relaxed) >= self.at
    }
}

/// Keeps what it sees.
#[derive(Default)]
struct Eyes {
    steps: Mutex<Vec<StepSeen>>,
    measured: Mutex<Vec<MeasuredSeen>>,
}

impl Observer for Eyes {
    fn began(&self, _: &BeganSeen) {}
    fn step(&self, seen: &StepSeen) {
        self.steps.lock().unwrap().push(*seen);
    }
    fn measured(&self, seen: &MeasuredSeen) {
        self.measured.lock().unwrap().push(seen.clone());
    }
}

impl Eyes {
    fn saw_all_of(&self, run: &Run) {
        let steps = self.steps.lock().unwrap();
        assert_eq!((steps[0].step, steps[0].total), (1, 9));
        assert!(steps.iter().all(|s| s.loss.is_finite() && s.images_per_s > 0.0), "{steps:?}");
        assert!(steps.windows(2).all(|s| s[0].step < s[1].step && s[0].seconds <= s[1].seconds));
        let measured = self.measured.lock().unwrap();
        let rows = limn::train::history(&run.plan.folder).unwrap();
        assert_eq!(rows.len(), run.state().log.len());
        for (seen, row) in measured.iter().zip(rows.iter().filter(|r| r.test_px.is_some())) {
            assert_eq!(seen.step, row.step);
            for (seen, row) in [(seen.test_px, row.test_px), (seen.train_px, row.train_px)] {
                assert!((seen.unwrap() - row.unwrap()).abs() < 1e-3);
            }
            // Both test frames are among the worst; none is shown twice.
            assert_eq!(seen.examples.len(), 2);
            assert!(seen.examples.iter().all(|e| e.held_out && e.worst && e.path.is_file()));
            assert!(seen.examples[0].error_px >= seen.examples[1].error_px);
            let mean = seen.examples.iter().filter_map(|e| e.error_px).sum::<f64>() / 2.0;
            assert!((mean - seen.test_px.unwrap()).abs() < 1e-9);
        }
        assert_eq!(measured.len(), 3);
    }
}

/// Crops, targets, loss, optimizer, average and decoding must agree in geometry for this.
#[test]
fn it_learns_to_find_a_disc() {
    let dir = tempfile::tempdir().unwrap();
    let (train, test) = (discs(dir.path(), 1, 24), discs(dir.path(), 2, 12));
    let mut recipe = Recipe::for_net("resnet_18").unwrap();
    (recipe.steps, recipe.batch, recipe.crop, recipe.warmup) = (60, 8, 96, 5);
    (recipe.evaluations, recipe.ema, recipe.sigma, recipe.head.width) = (1, 0.8, 6.0, 32);
    let run = Run::new(&dir.path().join("run"), "resnet_18", recipe, &train, &test);
    let outcome = run.go(&Quiet::default()).unwrap();
    assert!(outcome.complete);

    let labels: Vec<Keypoint> = test.examples().iter().filter_map(|e| e.points[0]).collect();
    let chance =
        labels.iter().map(|l| l.distance(Keypoint::new(48.0, 48.0))).sum::<f64>() / labels.len() as f64;
    let Bundle { net, card, .. } =
        Bundle::load(&snapshot_folder(&run.plan.folder, "last"), Device::Cpu).unwrap();
    let predictor = limn::net::Predictor::new(net, Precision::Fp32).unwrap();
    let judged = judge(&predictor, &test, &Quiet::default()).unwrap();
    let found = Summary::of(&judged, &[0.5], None);
    let error = found.mean_error_px.unwrap();
    eprintln!("mean error {error:.2} px, in the middle of the picture {chance:.1} px; {found:?}");
    assert!(chance > 20.0 && error < 3.0, "{error} px, chance {chance} px");
    assert!((error - outcome.last_error_px.unwrap()).abs() < 1e-3, "as measured in training");
    assert!((card.metrics["test_mean_error_px"] - error).abs() < 1e-3);
    // A systematic shift of a whole pixel, as from a slip of half a cell, would show in the mean of signed errors.
    let shift = |of: fn(&Keypoint) -> f64| {
        let all: Vec<f64> =
            judged.iter().map(|j| of(&j.prediction[0].0) - of(&j.label[0].unwrap())).collect();
        all.iter().sum::<f64>() / all.len() as f64
    };
    assert!(shift(|p| p.x).abs() < 1.5 && shift(|p| p.y).abs() < 1.5);
}

#[test]
fn a_seed_gives_the_same_weights_and_a_stop_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (train, test) = (discs(dir.path(), 1, 6), discs(dir.path(), 2, 2));
    for precision in [Precision::Fp32, Precision::Bf16] {
        let run = |name: &str, seed: u64| {
            let at = dir.path().join(format!("{name}-{precision}"));
            let mut run = Run::new(&at, "efficientnet_lite0", tiny(), &train, &test);
            (run.plan.seed, run.plan.precision) = (seed, precision);
            run
        };
        let whole = run("whole", 1);
        let outcome = whole.go(&Quiet::default()).unwrap();
        assert_eq!((outcome.steps, outcome.complete), (9, true));
        let other = run("other", 2);
        other.go(&Quiet::default()).unwrap();
        assert!(whole.weights("last") != other.weights("last"), "another seed, other weights");

        // Stopped in the first epoch, and in the last; after each stop all is there to look at.
        let mut parts = run("parts", 1);
        for at in [2, 7] {
            let e = parts.go(&StopAfter::new(at)).unwrap_err();
            assert_eq!(e.kind(), Kind::Cancelled);
            assert!(e.how_to_mend().unwrap().contains("--resume"));
            assert_eq!(parts.state().step, at);
            assert!(!parts.state().complete);
            Bundle::load(&snapshot_folder(&parts.plan.folder, "last"), Device::Cpu).unwrap();
            parts.plan.resume = true;
        }
        let outcome = parts.go(&Quiet::default()).unwrap();
        assert_eq!((outcome.steps, outcome.complete), (9, true));
        assert!(whole.weights("last") == parts.weights("last"), "{precision}: the stops left a trace");
        assert_eq!(whole.state().best_px, parts.state().best_px);
        assert!(whole.weights("best") == parts.weights("best"));

        // A row an epoch (3 steps each), and a measurement at each of them; seconds and speed differ, of course.
        let (a, b) = (whole.log(), parts.log());
        assert_eq!(a.len(), 1 + 3);
        assert_eq!(b.len(), a.len());
        assert!(a[0].starts_with("step,epoch,learning_rate,loss"));
        for (n, (a, b)) in a.iter().zip(&b).enumerate().skip(1) {
            let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
            let (a, b) = (cells(a), cells(b));
            assert_eq!(a[..3], b[..3]);
            assert_eq!(a[0], (3 * n).to_string());
            assert_eq!(a[1], n.to_string());
            assert!(a[6].parse::<f64>().unwrap() > 0.0);
            assert_eq!(a[6], b[6], "test error");
        }
        if precision == Precision::Fp32 {
            // The same once more, from the start.
            let again = run("again", 1);
            again.go(&Quiet::default()).unwrap();
            assert!(again.weights("last") == whole.weights("last"));
            // And with somebody who looks on.
            let (seen, eyes) = (run("seen", 1), Eyes::default());
            seen.go_seen(&Quiet::default(), Some(&eyes)).unwrap();
            assert!(seen.weights("last") == whole.weights("last"), "looking on changes nothing");
            eyes.saw_all_of(&seen);
            // A finished run has nothing more to do, and stays as it is.
            parts.go(&Quiet::default()).unwrap();
            assert!(whole.weights("last") == parts.weights("last"));
        }
    }
}

#[test]
fn a_stop_while_measuring_does_not_lose_the_measurement() {
    let dir = tempfile::tempdir().unwrap();
    let (train, test) = (discs(dir.path(), 1, 6), discs(dir.path(), 2, 2));
    // The stop comes with the very step after which it measures, the last one at that.
    let mut run = Run::new(&dir.path().join("run"), "efficientnet_lite0", tiny(), &train, &test);
    assert_eq!(run.go(&StopAfter::new(9)).unwrap_err().kind(), Kind::Cancelled);
    assert!(!run.state().complete);
    run.plan.resume = true;
    let outcome = run.go(&Quiet::default()).unwrap();
    assert!(outcome.complete && outcome.steps == 9);
    assert_eq!(run.state().log.iter().filter(|r| r.test_px.is_some()).count(), 3);
    let card = Card::read(&snapshot_folder(&run.plan.folder, "last")).unwrap();
    assert!(card.training.complete && card.training.steps == 9);
    assert!(card.created.ends_with('Z'), "{}", card.created);
}

#[test]
fn a_checkpoint_survives_a_crash_between_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (train, test) = (discs(dir.path(), 1, 6), discs(dir.path(), 2, 2));
    let mut run = Run::new(&dir.path().join("run"), "efficientnet_lite0", tiny(), &train, &test);
    run.go(&StopAfter::new(4)).unwrap_err();
    let state = run.state();
    let tensors = run.plan.folder.join(&state.tensors);
    // Killed while the tensors of a later state were written, and after: the old state is the one in force.
    for later in ["checkpoint-0000006-0.safetensors", "checkpoint-0000004-1.safetensors"] {
        std::fs::write(run.plan.folder.join(later), b"\x10\0\0\0").unwrap();
    }
    std::fs::write(run.plan.folder.join(".limn-half"), b"half").unwrap();
    assert_eq!(run.state(), state);
    run.plan.resume = true;
    run.go(&Quiet::default()).unwrap();
    assert!(!tensors.exists(), "old tensors are cleared away");
    let left = std::fs::read_dir(&run.plan.folder).unwrap().flatten().map(|e| e.file_name());
    assert_eq!(left.filter(|n| n.to_string_lossy().starts_with("checkpoint-")).count(), 1);

    // A state whose tensors are cut off says so, and how to go on.
    let tensors = run.plan.folder.join(run.state().tensors);
    let whole = std::fs::read(&tensors).unwrap();
    std::fs::write(&tensors, &whole[..whole.len() / 2]).unwrap();
    let e = run.go(&Quiet::default()).unwrap_err();
    assert_eq!(e.kind(), Kind::Weights);
    assert!(e.to_string().contains("checkpoint-"), "{e}");
}

#[test]
fn resuming_under_other_terms_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (train, test) = (discs(dir.path(), 1, 6), discs(dir.path(), 2, 2));
    let mut run = Run::new(&dir.path().join("run"), "efficientnet_lite0", tiny(), &train, &test);
    run.plan.resume = true;
    assert_eq!(run.go(&Quiet::default()).unwrap_err().kind(), Kind::NotFound);
    run.plan.resume = false;
    // Stopped before the first step: nothing was made, so nothing is left.
    run.go(&StopAfter::new(0)).unwrap_err();
    assert_eq!(std::fs::read_dir(&run.plan.folder).unwrap().count(), 0);
    run.go(&StopAfter::new(1)).unwrap_err();
    let refused = |change: &dyn Fn(&mut Run), what: &str| {
        let mut run = Run::new(&dir.path().join("run"), "efficientnet_lite0", tiny(), &train, &test);
        run.plan.resume = true;
        change(&mut run);
        let e = run.go(&Quiet::default()).unwrap_err();
        assert_eq!(e.kind(), Kind::Usage, "{e}");
        assert!(e.to_string().contains(what), "{e}");
    };
    refused(&|r| r.plan.seed = 5, "seed");
    refused(&|r| r.plan.steps = Some(50), "9 steps, not 50");
    refused(&|r| r.plan.data = "others".into(), "labels");
    refused(&|r| r.plan.precision = Precision::Bf16, "precision");
    refused(&|r| r.recipe.sigma = 3.0, "recipe");
    refused(&|r| r.net = "efficientnet_lite1", "network");
}

#[test]
fn it_stops_early_when_nothing_improves_and_forgets_an_earlier_best() {
    let dir = tempfile::tempdir().unwrap();
    let (train, test) = (discs(dir.path(), 1, 2), discs(dir.path(), 2, 2));
    // Without any learning rate the first measurement is the best for ever.
    let recipe = Recipe { random_rate: 0.0, ema: 0.0, evaluations: 9, patience: 1, ..tiny() };
    let run = Run::new(&dir.path().join("run"), "efficientnet_lite0", recipe, &train, &test);
    let outcome = run.go(&Quiet::default()).unwrap();
    assert!(outcome.steps < 9 && !outcome.complete, "{outcome:?}");
    assert!(outcome.ended.contains("stopped early"), "{outcome:?}");
    for name in ["best", "last"] {
        let bundle = Bundle::load(&snapshot_folder(&run.plan.folder, name), Device::Cpu).unwrap();
        assert!(!bundle.card.training.complete);
    }
    // A new run over it that has measured nothing yet must not offer the old one's best as its own.
    let next = Run::new(&run.plan.folder, "efficientnet_lite0", tiny(), &train, &test);
    next.go(&StopAfter::new(1)).unwrap_err();
    assert!(!snapshot_folder(&run.plan.folder, "best").exists());
    assert_eq!(Card::read(&snapshot_folder(&run.plan.folder, "last")).unwrap().training.steps, 1);
}
