//! What the steps since the last row of the log add up to, for the log and for somebody who looks on.

use super::checkpoint::{Row, State};
use super::loss;
use super::observer::{Observer, StepSeen};
use crate::error::Result;
use std::time::{Duration, Instant};
use tch::Tensor;

/// Reading the loss makes a GPU wait, so an observer hears of steps only so often.
const TELL: Duration = Duration::from_millis(100);

/// The lowest and the last loss of a run that goes wrong: for some epochs, and some time, the loss has been more than
/// twice what it was before, or than it was with the weights it began with.
pub(super) fn rising(first: Option<f64>, log: &[Row]) -> Option<[f64; 2]> {
    const TIMES: f64 = 2.0;
    const STEPS: u64 = 30;
    let last = log.last()?;
    let lowest = log.iter().map(|r| r.loss).chain(first).fold(f64::INFINITY, f64::min);
    let high = log.iter().rev().take_while(|r| r.loss.is_nan() || r.loss > TIMES * lowest).count();
    let since = match log.len().checked_sub(high + 1) {
        Some(before) => log[before].step,
        None => first.map(|_| 0)?,
    };
    (high >= 3 && last.step - since >= STEPS).then_some([lowest, last.loss])
}

/// Sums over an epoch, kept on the device until its end.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    sums: Option<[Tensor; 3]>,
    steps: u32,
    pub crops: usize,
    pub rate: f64,
    pub seconds: f64,
    /// The whole loss of the last good step.
    pub last: Option<Tensor>,
}

impl Epoch {
    /// Nothing summed yet, after an epoch that ended at this learning rate.
    pub fn starting_at(rate: f64) -> Self {
        Self { rate, ..Self::default() }
    }

    pub fn add(&mut self, loss: &loss::Loss) -> Result<()> {
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
        self.last = Some(loss.total.f_detach()?);
        self.steps += 1;
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)] // counts
    pub fn row(&self, step: u64, epoch: u64, measured: [Option<f64>; 2], seconds: f64) -> Result<Row> {
        let [test_px, train_px] = measured;
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
            train_px,
            images_per_s,
            seconds,
        })
    }
}

/// What the observer has not heard yet.
pub(super) struct Told {
    /// When it last heard.
    at: Option<Instant>,
    /// The step this sitting began with, and when.
    first: u64,
    began: Instant,
    loss: Option<Tensor>,
    losses: u32,
    crops: usize,
    working: Duration,
}

impl Told {
    pub fn new(first: u64) -> Self {
        Self {
            at: None,
            first,
            began: Instant::now(),
            loss: None,
            losses: 0,
            crops: 0,
            working: Duration::ZERO,
        }
    }

    /// Tells of the steps since the observer last heard, if it is time. A step of so many crops was just taken, `seconds`
    /// after the run began.
    #[allow(clippy::cast_precision_loss)] // counts
    pub fn tell(
        &mut self,
        observer: &dyn Observer,
        state: &State,
        seconds: f64,
        epoch: &Epoch,
        took: Duration,
        crops: usize,
    ) -> Result<()> {
        self.crops += crops;
        self.working += took;
        if let Some(last) = &epoch.last {
            self.loss = Some(match self.loss.take() {
                Some(sum) => sum.f_add(last)?,
                None => last.shallow_clone(),
            });
            self.losses += 1;
        }
        if self.at.is_some_and(|at| at.elapsed() < TELL) {
            return Ok(());
        }
        let loss = match self.loss.take() {
            Some(sum) => sum.f_double_value(&[])? / f64::from(self.losses.max(1)),
            None => f64::NAN,
        };
        let here = state.step - self.first;
        let by_steps = self.began.elapsed().as_secs_f64() / here as f64
            * state.total_steps.saturating_sub(state.step) as f64;
        let by_clock = state.max_minutes.map_or(f64::INFINITY, |m| m * 60.0 - seconds);
        observer.step(&StepSeen {
            step: state.step,
            total: state.total_steps,
            loss,
            images_per_s: self.crops as f64 / self.working.as_secs_f64().max(1e-9),
            seconds,
            // The first steps warm up caches and choose algorithms.
            seconds_left: (here > 3 || by_clock < by_steps).then(|| by_steps.min(by_clock).max(0.0)),
        });
        *self = Self { at: Some(Instant::now()), first: self.first, began: self.began, ..Self::new(0) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_rises_and_stays_is_noticed() {
        let log = |losses: &[f64]| {
            let row = |(i, loss): (usize, &f64)| {
                let mut epoch = Epoch { steps: 1, ..Epoch::default() };
                let one = Tensor::from_slice(&[*loss]).f_sum(None).unwrap();
                epoch.sums = Some([one.copy(), one.copy(), one]);
                epoch.row(10 * (i as u64 + 1), i as u64 + 1, [None, None], 0.0).unwrap()
            };
            losses.iter().enumerate().map(row).collect::<Vec<_>>()
        };
        assert_eq!(rising(None, &log(&[1.0, 0.5, 1.2, 1.3, 1.4])), Some([0.5, 1.4]));
        assert_eq!(rising(None, &log(&[1.0, 0.5, 1.2, 0.9, 1.4])), None, "it came back");
        assert_eq!(rising(None, &log(&[1.0, 0.5, 1.2, 1.3])), None, "too short a while");
        let worse_from_the_start = log(&[900.0, 80.0, 40.0, 30.0]);
        assert_eq!(rising(Some(0.7), &worse_from_the_start), Some([0.7, 30.0]));
        assert_eq!(rising(None, &worse_from_the_start), None);
        assert_eq!(rising(Some(f64::NAN), &[]), None);
    }
}
