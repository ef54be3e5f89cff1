use super::augment::{crop, random_for};
use super::crop::Crop;
use super::dataset::Dataset;
use super::recipe::Recipe;
use crate::error::Result;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// So many batches wait ready while the device computes; more would only cost memory.
const AHEAD: usize = 3;

/// Cuts the batches of a run ahead of time on the thread pool, in order.
#[derive(Debug)]
pub struct Loader<'a> {
    /// The training examples.
    pub data: &'a Dataset,
    /// How to cut and vary them.
    pub recipe: &'a Recipe,
    /// Side of the crops in pixels.
    pub side: usize,
    /// Points that swap when mirrored.
    pub pairs: &'a [[usize; 2]],
    /// The run's seed.
    pub seed: u64,
}

impl Loader<'_> {
    /// Gives `consume` the batches from step `first` on; no more are cut once it returns.
    ///
    /// # Errors
    /// Those of `consume`. A failure to cut a batch reaches it through the channel.
    pub fn run<T>(
        &self,
        first: u64,
        consume: impl FnOnce(&Receiver<Result<Vec<Crop>>>) -> Result<T>,
    ) -> Result<T> {
        self.run_timed(first, &AtomicU64::new(0), consume)
    }

    /// As [`Loader::run`]; the nanoseconds spent on cutting are added to `busy` batch by batch.
    ///
    /// # Errors
    /// As [`Loader::run`].
    pub fn run_timed<T>(
        &self,
        first: u64,
        busy: &AtomicU64,
        consume: impl FnOnce(&Receiver<Result<Vec<Crop>>>) -> Result<T>,
    ) -> Result<T> {
        std::thread::scope(|scope| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move || {
                for step in first.. {
                    let clock = Instant::now();
                    let batch = self.batch(step);
                    let took = u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    busy.fetch_add(took, Ordering::Relaxed);
                    // The receiver is gone once training ends.
                    if send.send(batch).is_err() {
                        break;
                    }
                }
            });
            let result = consume(&receive);
            drop(receive);
            result
        })
    }

    /// The crops of one step, by itself: the same on any number of threads.
    ///
    /// # Errors
    /// When a picture that does not fit in memory is gone by now.
    pub fn batch(&self, step: u64) -> Result<Vec<Crop>> {
        (0..self.recipe.batch)
            .into_par_iter()
            .map(|slot| {
                let index = self.example(step, slot);
                let mut random = random_for(self.seed, step, slot as u64);
                let example = &self.data.examples()[index];
                let picture = self.data.picture(index)?;
                crop(&picture, &example.points, self.pairs, &self.recipe.augment, self.side, &mut random)
            })
            .collect()
    }

    /// Which example comes at this place of a step's batch.
    #[must_use]
    pub fn example(&self, step: u64, slot: usize) -> usize {
        self.example_at(step * self.recipe.batch as u64 + slot as u64)
    }

    /// Every example once per epoch, each epoch in its own order.
    #[allow(clippy::cast_possible_truncation)] // the remainder is below a usize
    fn example_at(&self, drawn: u64) -> usize {
        let n = self.data.len() as u64;
        let (epoch, place) = (drawn / n, (drawn % n) as usize);
        let mut order: Vec<usize> = (0..self.data.len()).collect();
        order.shuffle(&mut random_for(self.seed, epoch, u64::MAX));
        order[place]
    }
}
