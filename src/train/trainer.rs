use super::augment::Crop;
use super::checkpoint::{Row, State};
use super::dataset::Dataset;
use super::evaluate::{Summary, judge};
use super::loader::Loader;
use super::loss;
use super::optimizer::AdamW;
use super::recipe::Recipe;
use crate::error::{Error, Kind, Result};
use crate::net::{Bundle, Card, Mode, Net, Precision, Predictor};
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::{Tensor, no_grad};

/// So many steps in a row may have no finite gradient before training gives up.
const BAD_STEPS: u32 = 5;

/// What a run is asked for, apart from the recipe.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where snapshots, checkpoint and log go.
    pub folder: PathBuf,
    /// Seed of everything random.
    pub seed: u64,
    /// Steps of the whole schedule.
    pub steps: u64,
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
    /// Whether the whole schedule was run (or stopped early because nothing improved).
    pub complete: bool,
    /// Why it ended, in words.
    pub ended: String,
    /// Crops per second, evaluation apart.
    pub images_per_s: f64,
}

/// The learning: network, optimizer, moving average and where the run stands.
pub struct Trainer<'a> {
    net: &'a Net,
    card: Card,
    naming: &'a dyn Fn(&str) -> String,
    recipe: &'a Recipe,
    plan: &'a Plan,
    optimizer: AdamW,
    average: BTreeMap<String, Tensor>,
    state: State,
    began: Instant,
    before: f64,
    per_epoch: u64,
    last_px: Option<f64>,
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
        card: Card,
        naming: &'a dyn Fn(&str) -> String,
        recipe: &'a Recipe,
        plan: &'a Plan,
        side: usize,
    ) -> Result<Self> {
        let mut optimizer = AdamW::new(net.params(), recipe.weight_decay)?;
        let mut state = State {
            schema: State::schema(),
            program: crate::VERSION.to_owned(),
            tensors: String::new(),
            step: 0,
            optimizer_steps: 0,
            seconds: 0.0,
            best_px: None,
            stale: 0,
            evaluations: 0,
            complete: false,
            seed: plan.seed,
            max_minutes: plan.max_minutes,
            total_steps: plan.steps,
            side,
            precision: plan.precision.to_string(),
            pretrained: plan.pretrained,
            data: plan.data.clone(),
            net: net.spec().clone(),
            recipe: recipe.clone(),
            log: Vec::new(),
        };
        let copy = |t: &Tensor| no_grad(|| t.f_detach_copy());
        let mut average = net
            .params()
            .iter()
            .map(|p| Ok((p.name.clone(), copy(&p.tensor)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        if plan.resume {
            let (saved, tensors) = State::load(&plan.folder)?.ok_or_else(|| {
                Error::new(Kind::NotFound, "there is no checkpoint to resume from")
                    .at(plan.folder.display())
                    .mend("train without --resume")
            })?;
            fits(&saved, &state)?;
            let part = |prefix: &str| -> BTreeMap<String, Tensor> {
                tensors
                    .iter()
                    .filter_map(|(n, t)| Some((n.strip_prefix(prefix)?.to_owned(), t.shallow_clone())))
                    .collect()
            };
            net.params().restore(&part("weight/"))?;
            for (name, value) in part("average/") {
                if let Some(a) = average.get_mut(&name) {
                    no_grad(|| a.f_copy_(&value))?;
                }
            }
            optimizer.restore(&tensors, saved.optimizer_steps)?;
            state = State { max_minutes: plan.max_minutes.or(saved.max_minutes), ..saved };
        }
        let before = state.seconds;
        Ok(Self {
            net,
            card,
            naming,
            recipe,
            plan,
            optimizer,
            average,
            state,
            began: Instant::now(),
            before,
            per_epoch: 1,
            last_px: None,
        })
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
        watch.begin("train", Some(self.state.total_steps));
        watch.advance(first);
        let result = loader.run(first, |batches| self.learn(batches, test, watch));
        watch.end();
        let ended = match result {
            Ok(ended) => ended,
            Err(e) if e.kind() == Kind::Cancelled => {
                self.save_checkpoint()?;
                self.save_snapshot("last")?;
                return Err(e.mend("continue with `limn train --resume`"));
            }
            Err(e) => return Err(e),
        };
        let last_error_px = self.state.log.iter().rev().find_map(|r| r.test_px);
        let log = &self.state.log;
        #[allow(clippy::cast_precision_loss)]
        let images_per_s = log.iter().map(|r| r.images_per_s).sum::<f64>() / log.len().max(1) as f64;
        Ok(Outcome {
            steps: self.state.step,
            seconds: self.state.seconds,
            best_error_px: self.state.best_px,
            last_error_px,
            complete: self.state.complete,
            ended,
            images_per_s,
        })
    }

    fn learn(
        &mut self,
        batches: &std::sync::mpsc::Receiver<Result<Vec<Crop>>>,
        test: Option<&Dataset>,
        watch: &dyn Watch,
    ) -> Result<String> {
        let mut epoch = Epoch::default();
        let mut bad = 0;
        while self.progress() < 1.0 {
            watch.check()?;
            let crops =
                batches.recv().map_err(|_| Error::new(Kind::Compute, "the batch loader stopped"))??;
            let clock = Instant::now();
            let finite = self.step(&crops, &mut epoch)?;
            epoch.seconds += clock.elapsed().as_secs_f64();
            self.state.step += 1;
            watch.advance(1);
            bad = if finite { 0 } else { bad + 1 };
            if bad > 0 {
                watch.warn(&format!(
                    "step {}: the gradient is no finite number; the step was skipped",
                    self.state.step
                ));
            }
            if bad >= BAD_STEPS {
                return Err(Error::new(Kind::Compute, format!("training diverged at step {}", self.state.step))
                    .mend("lower the learning rates in the recipe, or use --precision fp32; the last snapshots are kept"));
            }
            let done = self.progress();
            #[allow(clippy::cast_precision_loss)]
            let due = done >= 1.0
                || done * self.recipe.evaluations.max(1) as f64 >= (self.state.evaluations + 1) as f64;
            if due || self.state.step.is_multiple_of(self.per_epoch) {
                let test_px = if due { self.evaluate(test, watch)? } else { None };
                self.log(&mut epoch, test_px, watch)?;
            }
            if due {
                self.state.complete = done >= 1.0;
                let stop = self.recipe.patience > 0 && self.state.stale >= self.recipe.patience && done < 1.0;
                self.save_snapshot("last")?;
                self.save_checkpoint()?;
                if stop {
                    return Ok(format!(
                        "stopped early: {} evaluations without improvement",
                        self.state.stale
                    ));
                }
            }
        }
        Ok("the whole schedule was run".to_owned())
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

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn rate(&self) -> f64 {
        let virtual_step = (self.progress() * self.state.total_steps as f64) as u64;
        let warm = ((self.state.step + 1) as f64 / self.recipe.warmup.max(1) as f64).min(1.0);
        warm * self.recipe.rate_at(virtual_step.max(self.recipe.warmup), self.state.total_steps)
    }

    /// One gradient step; whether the gradient was finite.
    fn step(&mut self, crops: &[Crop], epoch: &mut Epoch) -> Result<bool> {
        let recipe = self.recipe;
        let pretrained = self.state.pretrained;
        let mode = Mode {
            frozen_bn: recipe.frozen_norm && pretrained,
            frozen_stages: if pretrained { recipe.frozen_stages } else { 0 },
            ..Mode::train(self.plan.precision.kind())
        };
        let maps = self.net.forward(&self.net.normalise(&loss::pixels(crops)?)?, mode)?;
        let loss = loss::compare(&maps, crops, recipe.sigma, recipe.offset_weight)?;
        self.net.params().zero_grad();
        loss.total.f_backward()?;
        let share = self.rate();
        let (head, backbone) = if pretrained {
            (recipe.head_rate, recipe.backbone_rate)
        } else {
            (recipe.random_rate, recipe.random_rate)
        };
        epoch.rate = share * head;
        let norm = self.optimizer.step(self.net.params(), recipe.clip, |p| {
            share * if p.is_backbone() { backbone } else { head }
        })?;
        if !norm.is_finite() {
            return Ok(false);
        }
        self.follow()?;
        epoch.add(&loss)?;
        epoch.crops += crops.len();
        Ok(true)
    }

    /// Moves the average of the weights a little towards the weights; faster at the start, when they run away.
    fn follow(&mut self) -> Result<()> {
        let taken = f64::from(self.optimizer.steps());
        let share = 1.0 - self.recipe.ema.min((1.0 + taken) / (10.0 + taken));
        no_grad(|| {
            for p in self.net.params().iter() {
                if let Some(a) = self.average.get_mut(&p.name) {
                    let _ = a.f_lerp_(&p.tensor.f_detach()?, share)?;
                }
            }
            Ok(())
        })
    }

    /// Mean error of the averaged weights on the test frames; keeps them as `best` when it is the smallest so far.
    fn evaluate(&mut self, test: Option<&Dataset>, watch: &dyn Watch) -> Result<Option<f64>> {
        self.state.evaluations += 1;
        let Some(test) = test else { return Ok(None) };
        let average = self.averaged_net()?;
        let predictor = Predictor::new(average, self.plan.precision)?;
        let judged = judge(&predictor, test, &Silent(watch))?;
        let error = Summary::of(&judged, &[], None).mean_error_px;
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
        Ok(error)
    }

    fn averaged_net(&self) -> Result<Net> {
        let net = Net::blank(self.net.spec(), self.net.device())?;
        net.params().restore(&self.average)?;
        Ok(net)
    }

    fn log(&mut self, epoch: &mut Epoch, test_px: Option<f64>, watch: &dyn Watch) -> Result<()> {
        self.state.seconds = self.seconds();
        let row =
            epoch.row(self.state.step, self.state.step / self.per_epoch, test_px, self.state.seconds)?;
        *epoch = Epoch { rate: epoch.rate, ..Epoch::default() };
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
        self.card.metrics.clear();
        if let Some(px) = self.last_px {
            self.card.metrics.insert("test_mean_error_px".to_owned(), px);
        }
        Bundle::save(&self.card, &self.averaged_net()?, &snapshot_folder(&self.plan.folder, name), true)
    }

    fn save_checkpoint(&mut self) -> Result<()> {
        self.state.seconds = self.seconds();
        self.state.optimizer_steps = self.optimizer.steps();
        let mut tensors = self.optimizer.state();
        for p in self.net.params().iter() {
            tensors.push((format!("weight/{}", p.name), p.tensor.f_detach()?));
        }
        tensors.extend(self.average.iter().map(|(n, t)| (format!("average/{n}"), t.shallow_clone())));
        self.state.save(&self.plan.folder, &tensors)
    }
}

/// The folder of a snapshot, `best` or `last`, in a training folder.
#[must_use]
pub fn snapshot_folder(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("snapshot-{name}"))
}

/// Whether a saved run can go on under this plan.
fn fits(saved: &State, now: &State) -> Result<()> {
    let differs = |what: &str| {
        Err(Error::new(Kind::Usage, format!("the checkpoint was trained with another {what}"))
            .mend("resume with the same settings, or train again without --resume"))
    };
    if saved.net != now.net {
        return differs("network");
    }
    if saved.data != now.data {
        return differs("set of labels or split");
    }
    if saved.seed != now.seed {
        return differs("seed");
    }
    if saved.precision != now.precision {
        return differs("precision");
    }
    if saved.recipe != now.recipe || saved.side != now.side {
        return differs("recipe");
    }
    Ok(())
}

/// Sums over an epoch, kept on the device until its end.
#[derive(Debug, Default)]
struct Epoch {
    sums: Option<[Tensor; 3]>,
    steps: u32,
    crops: usize,
    rate: f64,
    seconds: f64,
}

impl Epoch {
    fn add(&mut self, loss: &loss::Loss) -> Result<()> {
        let parts = [&loss.total, &loss.heatmap, &loss.offset];
        let mut sums = Vec::with_capacity(3);
        for (i, part) in parts.into_iter().enumerate() {
            let part = part.f_detach()?;
            sums.push(match &self.sums {
                Some(s) => s[i].f_add(&part)?,
                None => part,
            });
        }
        self.sums = sums.try_into().ok();
        self.steps += 1;
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    fn row(&self, step: u64, epoch: u64, test_px: Option<f64>, seconds: f64) -> Result<Row> {
        let mut means = [f64::NAN; 3];
        if let Some(sums) = &self.sums {
            for (mean, sum) in means.iter_mut().zip(sums) {
                *mean = sum.f_double_value(&[])? / f64::from(self.steps.max(1));
            }
        }
        let images_per_s = self.crops as f64 / self.seconds.max(1e-9);
        let [loss, heatmap_loss, offset_loss] = means;
        Ok(Row {
            step,
            epoch,
            rate: self.rate,
            loss,
            heatmap_loss,
            offset_loss,
            test_px,
            images_per_s,
            seconds,
        })
    }
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
