use super::accuracy::accuracy;
use super::calibration::{calibrate, within_px};
use super::checkpoint::State;
use super::crop::Crop;
use super::dataset::Dataset;
use super::epoch::{Epoch, Told, rising};
use super::evaluate::{Judged, Report, Summary, judge, judge_some};
use super::loader::Loader;
use super::observer::{ExampleSeen, MeasuredSeen, Observer};
use super::recipe::Recipe;
use super::step::Learner;
use crate::error::{Error, Kind, Result};
use crate::net::{Bundle, Card, Net, Precision, Predictor};
use crate::watch::Watch;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So many steps in a row may have no finite gradient before training gives up.
const BAD_STEPS: u32 = 5;

/// A checkpoint is written at every measurement, and when none was due for so long.
const CHECKPOINT: Duration = Duration::from_secs(120);

/// So many training frames are measured beside the test frames: enough to see a gap between the two.
const TRAIN_SAMPLE: usize = 12;
/// So many of the worst frames, and so many that are always the same, are shown to an observer.
const SHOWN: usize = 3;

/// What a run is asked for, apart from the recipe.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where snapshots, checkpoint and log go.
    pub folder: PathBuf,
    /// Seed of everything random.
    pub seed: u64,
    /// Steps of the whole schedule; the recipe's, or those of the run that is resumed, when not given.
    pub steps: Option<u64>,
    /// When given, the schedule goes by the clock if the steps would take longer.
    pub max_minutes: Option<f64>,
    /// Go on from the folder's checkpoint.
    pub resume: bool,
    /// Number format of the activations.
    pub precision: Precision,
    /// Whether the network begins from pretrained weights.
    pub pretrained: bool,
    /// Hash of the labels.
    pub data: String,
}

/// How a run ended.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    /// Steps done in all.
    pub steps: u64,
    /// Seconds of training in all.
    pub seconds: f64,
    /// Smallest mean test error on the way, in pixels.
    pub best_error_px: Option<f64>,
    /// Mean test error at the end, in pixels.
    pub last_error_px: Option<f64>,
    /// Whether the whole schedule was run; it was not when nothing improved and it ended early.
    pub complete: bool,
    /// Why it ended, in words.
    pub ended: String,
    /// Crops per second, evaluation apart.
    pub images_per_s: f64,
    /// The last measurement in full: all test frames, and a sample of the training frames.
    #[serde(skip)]
    pub report: Option<Report>,
}

/// The learning: network, optimizer, moving average and where the run stands.
pub struct Trainer<'a> {
    learner: Learner<'a>,
    card: Card,
    naming: &'a dyn Fn(&str) -> String,
    recipe: &'a Recipe,
    plan: &'a Plan,
    state: State,
    began: Instant,
    before: f64,
    per_epoch: u64,
    last_px: Option<f64>,
    judged: [Vec<Judged>; 2],
    observer: Option<&'a dyn Observer>,
}

impl<'a> Trainer<'a> {
    /// Begins a run, or takes up the one in the plan's folder.
    ///
    /// `card` describes the model and goes into its snapshots; `naming` makes the scorer's name of a snapshot from its
    /// epochs, such as `best-12`.
    ///
    /// # Errors
    /// When the checkpoint is of another network, recipe or set of labels.
    pub fn new(
        net: &'a Net,
        mut card: Card,
        naming: &'a dyn Fn(&str) -> String,
        recipe: &'a Recipe,
        plan: &'a Plan,
        side: usize,
    ) -> Result<Self> {
        let mut state = State {
            schema: State::schema(),
            program: crate::VERSION.to_owned(),
            tensors: String::new(),
            step: 0,
            optimizer_steps: 0,
            loss_scale: 1.0,
            first_loss: None,
            seconds: 0.0,
            best_px: None,
            stale: 0,
            evaluations: 0,
            complete: false,
            seed: plan.seed,
            start: card.training.start.clone(),
            init: card.training.settings.as_ref().map_or_else(String::new, |s| s.init.clone()),
            init_hash: card.training.settings.as_ref().map_or_else(String::new, |s| s.init_hash.clone()),
            max_minutes: plan.max_minutes,
            total_steps: plan.steps.unwrap_or(recipe.steps),
            side,
            precision: plan.precision.to_string(),
            pretrained: plan.pretrained,
            data: plan.data.clone(),
            net: net.spec().clone(),
            recipe: recipe.clone(),
            log: Vec::new(),
        };
        let mut resumed = None;
        if plan.resume {
            let (saved, tensors) = State::load(&plan.folder)?.ok_or_else(|| {
                Error::new(Kind::NotFound, "there is no checkpoint to resume from")
                    .at(plan.folder.display())
                    .mend("train without --resume")
            })?;
            saved.must_fit(&state, &plan.folder)?;
            if let Some(steps) = plan.steps.filter(|s| *s != saved.total_steps) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("the checkpoint's schedule has {} steps, not {steps}", saved.total_steps),
                )
                .at(plan.folder.display())
                .mend("resume without --epochs, or train again without --resume"));
            }
            if let Some(minutes) = plan
                .max_minutes
                .filter(|m| !saved.complete && saved.max_minutes != Some(*m) && saved.seconds >= m * 60.0)
            {
                let taken = saved.seconds / 60.0;
                return Err(Error::new(
                    Kind::Usage,
                    format!("the training took {taken:.1} minutes so far, so that {minutes} are over"),
                )
                .at(plan.folder.display())
                .mend("give --max-minutes more, or leave it out"));
            }
            resumed = Some(tensors);
            state = State { max_minutes: plan.max_minutes.or(saved.max_minutes), ..saved };
            // As last measured, should it be stopped before the next measurement.
            if let Ok(last) = Card::read(&snapshot_folder(&plan.folder, "last")) {
                (card.calibration, card.accuracy) = (last.calibration, last.accuracy);
            }
        }
        let mut learner = Learner::new(net, recipe, state.pretrained, plan.precision)?;
        match resumed {
            Some(tensors) => learner.restore(&tensors, state.optimizer_steps, state.loss_scale)?,
            None => state.loss_scale = learner.scale(),
        }
        let before = state.seconds;
        let last_px = state.log.iter().rev().find_map(|r| r.test_px);
        let mut trainer = Self {
            learner,
            card,
            naming,
            recipe,
            plan,
            state,
            began: Instant::now(),
            before,
            per_epoch: 1,
            last_px,
            judged: [Vec::new(), Vec::new()],
            observer: None,
        };
        // A finished run goes on when it is given more time.
        trainer.state.complete &= trainer.progress() >= 1.0;
        Ok(trainer)
    }

    /// Lets somebody look on.
    #[must_use]
    pub fn seen_by(mut self, observer: Option<&'a dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Where the run stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Trains to the end of the schedule, to early stop, or until somebody asks to stop; writes snapshots, checkpoint
    /// and log as it goes.
    ///
    /// # Errors
    /// [`Kind::Cancelled`] when stopped (all is kept), [`Kind::Compute`] when the loss is no number any more.
    pub fn run(
        mut self,
        train: &Dataset,
        test: Option<&Dataset>,
        pairs: &[[usize; 2]],
        watch: &dyn Watch,
    ) -> Result<Outcome> {
        let loader =
            Loader { data: train, recipe: self.recipe, side: self.state.side, pairs, seed: self.state.seed };
        self.per_epoch = (train.len() as u64).div_ceil(self.recipe.batch as u64).max(1);
        let first = self.state.step;
        if !self.plan.resume {
            // Whatever happens from here, `--resume` must not take up the run that was here before.
            State::remove(&self.plan.folder)?;
        }
        watch.begin("train", Some(self.state.total_steps));
        watch.advance(first);
        let result = loader.run(first, |batches| self.learn(batches, train, test, watch));
        watch.end();
        let ended = match result {
            Ok(ended) => ended,
            Err(e) if e.kind() == Kind::Cancelled => {
                // Before the first step there is nothing to keep, and maybe an earlier model to spare.
                if self.state.step > 0 {
                    self.save_checkpoint()?;
                    self.save_snapshot("last")?;
                }
                return Err(e.mend("go on with the same command and --resume"));
            }
            Err(e) => return Err(e),
        };
        let last_error_px = self.state.log.iter().rev().find_map(|r| r.test_px);
        let log = &self.state.log;
        #[allow(clippy::cast_precision_loss)]
        let images_per_s = log.iter().map(|r| r.images_per_s).sum::<f64>() / log.len().max(1) as f64;
        let [judged, sample] = &self.judged;
        let report = (!judged.is_empty() || !sample.is_empty())
            .then(|| Report::of(judged, sample, &self.card.skeleton(), &[]));
        Ok(Outcome {
            steps: self.state.step,
            seconds: self.state.seconds,
            best_error_px: self.state.best_px,
            last_error_px,
            complete: self.state.complete,
            ended,
            images_per_s,
            report,
        })
    }

    fn learn(
        &mut self,
        batches: &std::sync::mpsc::Receiver<Result<Vec<Crop>>>,
        train: &Dataset,
        test: Option<&Dataset>,
        watch: &dyn Watch,
    ) -> Result<String> {
        let mut epoch = Epoch::default();
        let mut bad = 0;
        let mut told = Told::new(self.state.step);
        let mut saved = Instant::now();
        // One that was killed after its end does not go on beyond it.
        if let Some(ended) = self.stale() {
            return Ok(ended);
        }
        // A run that was stopped while it measured takes that up first.
        if self.state.step > 0
            && self.due()
            && let Some(ended) = self.measure(&mut epoch, train, test, watch)?
        {
            return Ok(ended);
        }
        while !self.state.complete {
            watch.check()?;
            let crops =
                batches.recv().map_err(|_| Error::new(Kind::Compute, "the batch loader stopped"))??;
            let clock = Instant::now();
            let before = self.learner.at_once(crops.len());
            let finite = self.step(&crops, &mut epoch)?;
            let now = self.learner.at_once(crops.len());
            if now < before {
                watch.warn(&format!(
                    "the device's memory does not hold {before} crops at once: a batch is computed in parts of {now}, \
                     and their gradients are added"
                ));
            }
            let took = clock.elapsed();
            epoch.seconds += took.as_secs_f64();
            self.state.step += 1;
            watch.advance(1);
            if let Some(observer) = self.observer {
                told.tell(observer, &self.state, self.seconds(), &epoch, took, crops.len())?;
            }
            let scaled = self.learner.scale() > 1.0;
            // An overflow in fp16 asks for a smaller scale and is no fault of the data.
            bad = if finite || scaled { 0 } else { bad + 1 };
            self.learner.rescale(finite, self.state.step);
            if !finite && !scaled {
                self.name_culprit(&crops, train)?;
            }
            if bad > 0 {
                watch.warn(&format!(
                    "step {}: the gradient is no finite number; the step was skipped",
                    self.state.step
                ));
            }
            if bad >= BAD_STEPS {
                return Err(self.diverged("the gradient is no finite number any more"));
            }
            if self.due() {
                if let Some(ended) = self.measure(&mut epoch, train, test, watch)? {
                    return Ok(ended);
                }
                saved = Instant::now();
            } else if self.state.step.is_multiple_of(self.per_epoch) {
                self.log(&mut epoch, [None, None], watch)?;
            }
            if let Some([lowest, last]) = rising(self.state.first_loss, &self.state.log) {
                return Err(self.diverged(&format!("the loss rose from {lowest:.2} to {last:.2}")));
            }
            if saved.elapsed() > CHECKPOINT {
                self.save_snapshot("last")?;
                self.save_checkpoint()?;
                saved = Instant::now();
            }
        }
        Ok("the whole schedule was run".to_owned())
    }

    fn diverged(&self, how: &str) -> Error {
        let kept = if self.state.best_px.is_some() { "; the best state before it is kept" } else { "" };
        Error::new(Kind::Compute, format!("training diverged at step {}: {how}{kept}", self.state.step))
            .at(self.plan.folder.display())
            .mend("lower the learning rates in the recipe, or use --precision fp32")
    }

    /// When single frames of the batch give no finite loss while others do, the frames are at fault, not the weights.
    fn name_culprit(&self, crops: &[Crop], train: &Dataset) -> Result<()> {
        let sound = crops.iter().map(|c| self.learner.is_finite(c)).collect::<Result<Vec<_>>>()?;
        if sound.iter().all(|s| *s) || !sound.iter().any(|s| *s) {
            return Ok(());
        }
        let loader = self.loader(train, &[]);
        let names: Vec<String> = (0..crops.len())
            .filter(|slot| !sound[*slot])
            .filter_map(|slot| train.examples().get(loader.example(self.state.step - 1, slot)))
            .map(|e| e.key.to_string())
            .collect();
        Err(Error::new(Kind::Labels, "the network's loss on this frame is not a number, on others it is")
            .at(names.join(", "))
            .mend("look at the picture and its labels; relabel it or take it out"))
    }

    fn loader<'b>(&'b self, train: &'b Dataset, pairs: &'b [[usize; 2]]) -> Loader<'b> {
        Loader { data: train, recipe: self.recipe, side: self.state.side, pairs, seed: self.state.seed }
    }

    /// Whether the test error is to be measured now: at the end, and at about so many moments on the way as the
    /// recipe says, each at the end of an epoch unless epochs are longer than the way between two of them.
    #[allow(clippy::cast_precision_loss)]
    fn due(&self) -> bool {
        if self.state.complete {
            return false;
        }
        let done = self.progress();
        let wanted = self.recipe.evaluations.max(1) as f64;
        let epoch_share = done / self.state.step.max(1) as f64 * self.per_epoch as f64;
        let here = self.state.step.is_multiple_of(self.per_epoch) || epoch_share * wanted > 1.0;
        done >= 1.0 || (here && done * wanted >= (self.state.evaluations + 1) as f64)
    }

    /// Measures, logs and saves; why training ends, when it ends early.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn measure(
        &mut self,
        epoch: &mut Epoch,
        train: &Dataset,
        test: Option<&Dataset>,
        watch: &dyn Watch,
    ) -> Result<Option<String>> {
        let done = self.progress();
        let measured = self.evaluate(train, test, watch)?;
        // By the clock several moments may have passed at once; one measurement serves them all.
        let passed = (done * self.recipe.evaluations.max(1) as f64) as u64;
        self.state.evaluations = passed.max(self.state.evaluations + 1);
        self.log(epoch, measured, watch)?;
        self.state.complete = done >= 1.0;
        if let Some(observer) = self.observer {
            observer.measured(&self.seen(train, test));
        }
        self.save_snapshot("last")?;
        self.save_checkpoint()?;
        Ok(self.stale())
    }

    /// Why the run ends before its schedule does, if it does.
    fn stale(&self) -> Option<String> {
        let stop =
            self.recipe.patience > 0 && self.state.stale >= self.recipe.patience && self.progress() < 1.0;
        stop.then(|| format!("stopped early: {} evaluations without improvement", self.state.stale))
    }

    /// How much of the schedule is done, 0 to 1: by steps, or by the clock where that is further.
    #[allow(clippy::cast_precision_loss)]
    fn progress(&self) -> f64 {
        let steps = self.state.step as f64 / self.state.total_steps.max(1) as f64;
        let clock = self.state.max_minutes.map_or(0.0, |m| self.seconds() / (m * 60.0).max(1.0));
        steps.max(clock).min(1.0)
    }

    fn seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    fn rate(&self) -> f64 {
        self.recipe.rate_at(self.state.step, self.progress())
    }

    /// One gradient step; whether the gradient was finite.
    fn step(&mut self, crops: &[Crop], epoch: &mut Epoch) -> Result<bool> {
        let share = self.rate();
        let [head, _] = self.learner.rates();
        epoch.rate = share * head;
        let Some(loss) = self.learner.step(crops, share)? else {
            epoch.last = None;
            return Ok(false);
        };
        if self.state.first_loss.is_none() {
            self.state.first_loss = Some(loss.total.f_double_value(&[])?);
        }
        epoch.add(&loss)?;
        epoch.crops += crops.len();
        Ok(true)
    }

    /// Mean errors of the averaged weights on the test frames and on a few training frames, in pixels; keeps the
    /// weights as `best` when the first is the smallest so far.
    fn evaluate(
        &mut self,
        train: &Dataset,
        test: Option<&Dataset>,
        watch: &dyn Watch,
    ) -> Result<[Option<f64>; 2]> {
        let average = self.learner.averaged_net()?;
        let predictor = Predictor::new(average, self.plan.precision)?;
        let watch = Silent(watch);
        let judged = test.map_or_else(|| Ok(Vec::new()), |test| judge(&predictor, test, &watch))?;
        let sample = judge_some(&predictor, train, &spread(train.len(), TRAIN_SAMPLE), &watch)?;
        let [error, train_px] = [&judged, &sample].map(|j| Summary::mean(j));
        // Snapshots carry the map that makes chances of likelihoods, where there is enough to fit it on.
        let frame = test.map_or((0, 0), super::session::frame_size);
        self.card.calibration = calibrate(&judged, within_px(frame)).ok();
        self.card.accuracy = accuracy(&judged, self.card.calibration.as_ref());
        self.judged = [judged, sample];
        self.last_px = error;
        if let Some(px) = error {
            if self.state.best_px.is_none_or(|best| px < best) {
                self.state.best_px = Some(px);
                self.state.stale = 0;
                self.save_snapshot("best")?;
            } else {
                self.state.stale += 1;
            }
        }
        Ok([error, train_px])
    }

    /// The last measurement, for an observer.
    fn seen(&self, train: &Dataset, test: Option<&Dataset>) -> MeasuredSeen {
        let row = self.state.log.last();
        let [judged, sample] = &self.judged;
        // Without test frames the training frames must do.
        let (judged, data, held_out) = match test {
            Some(test) => (judged, test, true),
            None => (sample, train, false),
        };
        let mut worst: Vec<usize> = (0..judged.len()).filter(|i| judged[*i].mean().is_some()).collect();
        worst.sort_by(|a, b| judged[*b].mean().unwrap_or(0.0).total_cmp(&judged[*a].mean().unwrap_or(0.0)));
        worst.truncate(SHOWN);
        let fixed: Vec<usize> =
            spread(judged.len(), SHOWN * 2).into_iter().filter(|i| !worst.contains(i)).take(SHOWN).collect();
        let example = |(i, worst): (usize, bool)| {
            let j = &judged[i];
            let path = data.examples().iter().find(|e| e.key == j.key).map(|e| e.path.clone());
            ExampleSeen {
                key: j.key.clone(),
                path: path.unwrap_or_default(),
                predicted: j
                    .prediction
                    .iter()
                    .map(|(at, l)| (at.x.is_finite() && at.y.is_finite()).then_some((*at, *l)))
                    .collect(),
                label: j.label.clone(),
                error_px: j.mean(),
                held_out,
                worst,
            }
        };
        MeasuredSeen {
            step: self.state.step,
            seconds: self.state.seconds,
            train_px: row.and_then(|r| r.train_px),
            test_px: row.and_then(|r| r.test_px),
            loss: row.map_or(f64::NAN, |r| r.loss),
            examples: worst
                .into_iter()
                .map(|i| (i, true))
                .chain(fixed.into_iter().map(|i| (i, false)))
                .map(example)
                .collect(),
        }
    }

    /// A row of the log with the test and the training error, where they were measured.
    fn log(&mut self, epoch: &mut Epoch, measured: [Option<f64>; 2], watch: &dyn Watch) -> Result<()> {
        self.state.seconds = self.seconds();
        let row = epoch.row(
            self.state.step,
            self.state.step.div_ceil(self.per_epoch),
            measured,
            self.state.seconds,
        )?;
        *epoch = Epoch::starting_at(epoch.rate);
        let known = self.state.log.iter().rev().find_map(|r| r.test_px);
        let test = row.test_px.or(known).map(|t| format!(", test error {t:.2} px")).unwrap_or_default();
        watch.status(&format!(
            "epoch {}, loss {:.3}{test}, {:.1} images/s",
            row.epoch, row.loss, row.images_per_s
        ));
        self.state.log.push(row);
        Ok(())
    }

    fn save_snapshot(&mut self, name: &str) -> Result<()> {
        let epochs = self.state.step / self.per_epoch;
        self.card.scorer =
            (self.naming)(&if name == "best" { format!("best-{epochs}") } else { epochs.to_string() });
        self.card.training.steps = self.state.step;
        self.card.training.complete = self.state.complete;
        self.card.created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.card.metrics.clear();
        if let Some(px) = self.last_px {
            self.card.metrics.insert("test_mean_error_px".to_owned(), px);
        }
        Bundle::save(
            &self.card,
            &self.learner.averaged_net()?,
            &snapshot_folder(&self.plan.folder, name),
            true,
        )?;
        // The best of an earlier run must not pass for the best of this one.
        let best = snapshot_folder(&self.plan.folder, "best");
        if self.state.best_px.is_none() && best.join("model.yaml").is_file() {
            std::fs::remove_dir_all(&best).map_err(|e| Error::io("remove the earlier model", &best, e))?;
        }
        Ok(())
    }

    fn save_checkpoint(&mut self) -> Result<()> {
        self.state.seconds = self.seconds();
        self.state.optimizer_steps = self.learner.steps();
        self.state.loss_scale = self.learner.scale();
        self.state.save(&self.plan.folder, &self.learner.tensors()?)
    }
}

/// The folder of a snapshot, `best` or `last`, in a training folder.
#[must_use]
pub fn snapshot_folder(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("snapshot-{name}"))
}

/// Up to `count` of `n` places, evenly spread, always the same ones.
fn spread(n: usize, count: usize) -> Vec<usize> {
    let count = count.min(n);
    (0..count).map(|i| i * n / count).collect()
}

/// Hears a stop, shows nothing: evaluation within training is no stage of its own.
struct Silent<'a>(&'a dyn Watch);

impl Watch for Silent<'_> {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn status(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn warn(&self, text: &str) {
        self.0.warn(text);
    }
    fn end(&self) {}
    fn stopped(&self) -> bool {
        self.0.stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Device, HeadSpec, NetSpec};
    use crate::pose::Skeleton;

    fn with_trainer(recipe: &Recipe, steps: u64, work: impl FnOnce(Trainer)) {
        let spec = NetSpec {
            net: "efficientnet_lite0".into(),
            backbone_stride: 16,
            output_stride: 8,
            points: 1,
            head: HeadSpec { width: 16, ..HeadSpec::default() },
        };
        let dir = tempfile::tempdir().unwrap();
        let net = Net::new(&spec, Device::Cpu, 1).unwrap();
        let plan = Plan {
            folder: dir.path().to_owned(),
            seed: 1,
            steps: Some(steps),
            max_minutes: None,
            resume: false,
            precision: Precision::Fp32,
            pretrained: false,
            data: String::new(),
        };
        let card = Card::new(&spec, &Skeleton::single(["a"])).unwrap();
        work(Trainer::new(&net, card, &|uid| uid.to_owned(), recipe, &plan, 64).unwrap());
    }

    #[test]
    fn rates_warm_up_and_a_short_run_reaches_the_top() {
        let recipe = Recipe { warmup: 30, ..Recipe::for_net("resnet_18").unwrap() };
        let rates = |steps: u64| {
            let mut rates = Vec::new();
            with_trainer(&recipe, steps, |mut t| {
                for step in 0..=steps {
                    t.state.step = step;
                    rates.push(t.rate());
                }
            });
            rates
        };
        let long = rates(1000);
        assert!((long[0] - 1.0 / 30.0).abs() < 1e-9);
        assert!((long[14] - 0.5).abs() < 0.001);
        assert!(long[30] > 0.99 && (long[1000] - 0.02).abs() < 1e-9);
        let short = rates(20);
        assert!(short.iter().any(|r| *r > 0.95), "{short:?}");
        assert!((short[20] - 0.02).abs() < 1e-9);
    }

    #[test]
    fn measurements_fall_on_ends_of_epochs() {
        let recipe = Recipe { evaluations: 4, ..Recipe::for_net("resnet_18").unwrap() };
        let due = |per_epoch: u64, steps: u64| {
            let mut at = Vec::new();
            with_trainer(&recipe, steps, |mut t| {
                t.per_epoch = per_epoch;
                for step in 1..=steps {
                    t.state.step = step;
                    if t.due() {
                        at.push(step);
                        t.state.evaluations += 1;
                    }
                }
            });
            at
        };
        assert_eq!(due(7, 100), [28, 56, 77, 100]);
        assert_eq!(due(60, 100), [25, 50, 75, 100], "epochs longer than the way between two measurements");
    }
}
