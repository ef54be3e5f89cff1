//! All frames at once.

use super::chain::{Chain, Factor};
use super::learn::{Limb, Movement, limbs, movements, without_jumps};
use super::noise::Noise;
use super::scene::Scene;
use super::{Observation, Options};
use crate::error::Result;
use crate::pose::{Spot, Tracks3d};
use crate::watch::Watch;
use nalgebra::{DMatrix, DVector, Matrix3, Vector2, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::ops::Range;

/// Frames of a window that are kept, and those before and after that are computed with them, so that no seam is seen.
const CORE: usize = 400;
const OVERLAP: usize = 40;
/// Where Cauchy's weight is a half, in standard deviations.
const CAUCHY: f64 = 3.0;
/// Candidates less likely are not looked at.
const LEAST_LIKELY: f64 = 0.1;
/// Noise that is alike over so many frames is taken to stay.
const LONG: i32 = 8;
/// Keeps points that nothing tells of from being anywhere: 30 m, per square millimetre.
const ANYWHERE: f64 = 1e-9;

/// What a window is solved with.
struct Model<'a> {
    scene: &'a Scene<'a>,
    noise: &'a Noise,
    thresholds: &'a [f64],
    movements: Vec<Movement>,
    limbs: Vec<Limb>,
    /// `[frame][point]`: where to begin.
    start: Vec<Vector3<f64>>,
}

/// Points found by minimising, over all frames: robust reprojection errors (Cauchy's loss by reweighting), changes of velocity,
/// and deviations of limbs from their usual lengths; all in units of their standard deviations, as Karashchuk et al.
/// (2021) do. `first` are the points of single frames.
///
/// Gauss-Newton; the equations of two frames make one block, and a block touches only its neighbours, so that they are solved by
/// one pass forth and one back, which also gives each point's covariance. After the robust rounds, observations further away than
/// the threshold are dropped, as are those of a point in a frame where no other camera agrees, and the rest counts in full.
pub(super) fn smooth(
    scene: &Scene,
    noise: &Noise,
    thresholds: &[f64],
    options: &Options,
    mut first: Tracks3d,
    watch: &dyn Watch,
) -> Result<Tracks3d> {
    let (frames, points) = (scene.frames(), scene.points());
    without_jumps(&mut first);
    let limbs = limbs(&first);
    let mut movements = movements(&first, &noise.lasting);
    if let Some(given) = options.acceleration {
        movements.iter_mut().for_each(|m| m.change = given);
    }
    let mut out = Tracks3d::new(scene.skeleton.clone(), frames);
    let (start, known) = starts(&first);
    drop(first);
    let model = Model { scene, noise, thresholds, movements, limbs, start };
    let groups = groups(points, &model.limbs, &known);
    let tasks: Vec<(usize, &Vec<usize>)> =
        (0..frames).step_by(CORE).flat_map(|from| groups.iter().map(move |g| (from, g))).collect();
    watch.begin("smoothing", Some(tasks.len() as u64));
    let mut done = Ok(());
    for some in tasks.chunks(16 * groups.len().max(1)) {
        done = watch.check();
        if done.is_err() {
            break;
        }
        let solved: Vec<_> = some.par_iter().map(|(from, group)| model.window(*from, group)).collect();
        for ((from, group), spots) in some.iter().zip(solved) {
            for (i, spot) in spots.into_iter().enumerate() {
                if let Some(point) = group.get(i % group.len().max(1)) {
                    out.set(from + i / group.len().max(1), *point, spot);
                }
            }
        }
        watch.advance(some.len() as u64);
    }
    watch.end();
    done?;
    clear_gaps(&mut out, options.gap);
    Ok(out)
}

/// Where each point is to begin with, `[frame][point]`: gaps are bridged straight. And which points are known at all.
fn starts(first: &Tracks3d) -> (Vec<Vector3<f64>>, Vec<bool>) {
    let (frames, points) = (first.frames(), first.skeleton.points());
    let mut start = vec![Vector3::zeros(); frames * points];
    let mut known = vec![false; points];
    for (point, known) in known.iter_mut().enumerate() {
        let mut before: Option<(usize, Vector3<f64>)> = None;
        let mut fill = |range: Range<usize>, at: &dyn Fn(usize) -> Vector3<f64>| {
            for frame in range {
                if let Some(s) = start.get_mut(frame * points + point) {
                    *s = at(frame);
                }
            }
        };
        for frame in 0..frames {
            let Some(here) = first.get(frame, point).map(|s| Vector3::from(s.at)) else { continue };
            match before {
                None => fill(0..frame, &|_| here),
                Some((then, there)) => {
                    fill(then..frame, &|f| there.lerp(&here, (f - then) as f64 / (frame - then) as f64));
                }
            }
            before = Some((frame, here));
        }
        if let Some((then, there)) = before {
            fill(then..frames, &|_| there);
            *known = true;
        }
    }
    (start, known)
}

/// Points that limbs join, directly or not; they must be solved together.
fn groups(points: usize, limbs: &[Limb], known: &[bool]) -> Vec<Vec<usize>> {
    let mut of: Vec<usize> = (0..points).collect();
    for limb in limbs {
        let [a, b] = limb.ends.map(|e| of[e]);
        of.iter_mut().filter(|g| **g == a).for_each(|g| *g = b);
    }
    (0..points)
        .map(|g| (0..points).filter(|p| of[*p] == g && known[*p]).collect::<Vec<_>>())
        .filter(|g| !g.is_empty())
        .collect()
}

/// Clears what no camera saw, but for gaps of at most `most` frames between frames that were seen.
fn clear_gaps(tracks: &mut Tracks3d, most: usize) {
    for point in 0..tracks.skeleton.points() {
        let mut last: Option<usize> = None;
        let seen: Vec<usize> =
            (0..tracks.frames()).filter(|f| tracks.get(*f, point).is_some_and(|s| s.cameras > 0)).collect();
        for frame in seen.into_iter().chain([tracks.frames()]) {
            let gap = last.map_or(0, |l| l + 1)..frame;
            let between = last.is_some() && frame < tracks.frames();
            if !between || gap.len() > most {
                gap.for_each(|f| tracks.set(f, point, None));
            }
            last = Some(frame);
        }
    }
}

/// One observation of a window.
struct Sighting {
    /// Frame of the window.
    frame: usize,
    /// Point of the group.
    point: usize,
    camera: usize,
    seen: Observation,
}

/// What the cameras that agree on a point come to: sums over them.
#[derive(Clone, Copy, Default)]
struct Used {
    cameras: usize,
    error: f64,
    likelihood: f64,
    /// Millimetres.
    pixel: f64,
    /// The inverse of this frame's own covariance.
    normal: Matrix3<f64>,
}

/// A window in work.
struct Window<'a> {
    model: &'a Model<'a>,
    frames: Range<usize>,
    group: &'a [usize],
    sightings: Vec<Sighting>,
    /// `[frame][point]`.
    at: Vec<Vector3<f64>>,
}

impl Model<'_> {
    /// Solves a window and gives its core, `[frame][point]`.
    fn window(&self, from: usize, group: &[usize]) -> Vec<Option<Spot>> {
        let core = from..(from + CORE).min(self.scene.frames());
        let frames = from.saturating_sub(OVERLAP)..(core.end + OVERLAP).min(self.scene.frames());
        let points = self.scene.points();
        let at = frames
            .clone()
            .flat_map(|f| group.iter().filter_map(move |p| self.start.get(f * points + p)))
            .copied()
            .collect();
        let mut window = Window { model: self, frames, group, sightings: Vec::new(), at };
        window.choose();
        let nothing = vec![None; core.len() * group.len()];
        window.robust();
        window.settle(core).unwrap_or(nothing)
    }
}

impl Window<'_> {
    /// Takes what each camera saw; of several candidates the one that fits best where the point now is.
    fn choose(&mut self) {
        let scene = self.model.scene;
        self.sightings.clear();
        for (t, frame) in self.frames.clone().enumerate() {
            for (i, point) in self.group.iter().enumerate() {
                for camera in 0..scene.views.len() {
                    let best = scene.seen(camera, frame, *point);
                    let others =
                        || scene.choices(camera, frame, *point).filter(|o| o.likelihood >= LEAST_LIKELY);
                    let seen = if scene.has_choices() {
                        let noise = self.model.noise.points[*point];
                        let now = scene.views.project(camera, &self.at[t * self.group.len() + i]);
                        let worth = |o: &Observation| {
                            let far = now.map_or(0.0, |n| n.distance(o.pixel) / noise);
                            far * far - 2.0 * o.likelihood.max(1e-3).ln()
                        };
                        best.into_iter().chain(others()).min_by(|a, b| worth(a).total_cmp(&worth(b)))
                    } else {
                        best
                    };
                    if let Some(seen) = seen {
                        self.sightings.push(Sighting { frame: t, point: i, camera, seen });
                    }
                }
            }
        }
    }

    /// Where an unknown stands: its block and its first place in there. Two frames make a block.
    fn place(&self, frame: usize, point: usize) -> (usize, usize) {
        (frame / 2, (frame % 2 * self.group.len() + point) * 3)
    }

    /// The equations at the present points, and the cost. With `robust`, observations count less the less they fit.
    fn equations(&self, at: &[Vector3<f64>], robust: bool, chain: &mut Chain) -> f64 {
        let (model, n) = (self.model, self.group.len());
        let frames = self.frames.len();
        let mut cost = 0.0;
        chain.clear();
        for block in &mut chain.diagonal {
            for i in 0..block.nrows() {
                block[(i, i)] += ANYWHERE;
            }
        }
        // The second frame of the last block may not be there.
        if frames % 2 == 1
            && let Some(last) = chain.diagonal.last_mut()
        {
            (3 * n..6 * n).for_each(|i| last[(i, i)] += 1.0);
        }
        let mut add = |rows: (usize, usize), columns: (usize, usize), m: &Matrix3<f64>| {
            // Only the upper half between blocks; both halves within one.
            let block = if rows.0 == columns.0 {
                &mut chain.diagonal[rows.0]
            } else if rows.0 < columns.0 {
                &mut chain.upper[rows.0]
            } else {
                return;
            };
            let mut view = block.fixed_view_mut::<3, 3>(rows.1, columns.1);
            view += m;
        };
        let mut pushes: Vec<Vector3<f64>> = vec![Vector3::zeros(); at.len()];
        for s in &self.sightings {
            let i = s.frame * n + s.point;
            let Some((seen, slope)) = model.scene.views.project_with(s.camera, &at[i]) else {
                cost += 1e6; // behind a camera
                continue;
            };
            let noise = model.noise.points[self.group[s.point]];
            let wrong = Vector2::new(s.seen.pixel.x - seen.x, s.seen.pixel.y - seen.y) / noise;
            let slope = slope / noise;
            let far = wrong.norm_squared();
            let c = CAUCHY * CAUCHY;
            let weight = if robust { 1.0 / (1.0 + far / c) } else { 1.0 };
            cost += if robust { 0.5 * c * (far / c).ln_1p() } else { 0.5 * far };
            let place = self.place(s.frame, s.point);
            add(place, place, &(slope.transpose() * slope * weight));
            pushes[i] += slope.transpose() * wrong * weight;
        }
        for (point, index) in self.group.iter().enumerate() {
            let stiff = model.movements[*index].change.powi(-2);
            for t in 1..frames.saturating_sub(1) {
                let around = [(t - 1, 1.0), (t, -2.0), (t + 1, 1.0)];
                let change: Vector3<f64> = around.iter().map(|(f, c)| at[f * n + point] * *c).sum();
                cost += 0.5 * stiff * change.norm_squared();
                for (f, c) in around {
                    pushes[f * n + point] -= change * (c * stiff);
                    for (g, d) in around {
                        add(
                            self.place(f, point),
                            self.place(g, point),
                            &Matrix3::from_diagonal_element(c * d * stiff),
                        );
                    }
                }
            }
        }
        for limb in &model.limbs {
            let [Some(a), Some(b)] = limb.ends.map(|e| self.group.iter().position(|p| *p == e)) else {
                continue;
            };
            let stiff = limb.spread.powi(-2);
            for t in 0..frames {
                let along = at[t * n + a] - at[t * n + b];
                let Some(side) = along.try_normalize(1e-6) else { continue };
                let wrong = along.norm() - limb.length;
                cost += 0.5 * stiff * wrong * wrong;
                pushes[t * n + a] -= side * (wrong * stiff);
                pushes[t * n + b] += side * (wrong * stiff);
                let m = side * side.transpose() * stiff;
                let (a, b) = (self.place(t, a), self.place(t, b));
                for (rows, columns, m) in [(a, a, m), (b, b, m), (a, b, -m), (b, a, -m)] {
                    add(rows, columns, &m);
                }
            }
        }
        self.fill_right(&pushes, chain);
        cost
    }

    fn chain(&self) -> Chain {
        Chain::new(self.frames.len().div_ceil(2), 6 * self.group.len())
    }

    fn moved(&self, step: &[DVector<f64>]) -> Vec<Vector3<f64>> {
        let n = self.group.len();
        let at = |(i, at): (usize, &Vector3<f64>)| {
            let (block, row) = self.place(i / n, i % n);
            at + step[block].fixed_rows::<3>(row)
        };
        self.at.iter().enumerate().map(at).collect()
    }

    /// Levenberg-Marquardt with Cauchy's loss, until nothing moves.
    fn robust(&mut self) {
        let (mut chain, mut other) = (self.chain(), self.chain());
        let mut cost = self.equations(&self.at, true, &mut chain);
        let mut damping = 0.0;
        for _ in 0..25 {
            let Some(step) = chain.factor(damping).and_then(|f| f.solve(&chain.right)) else {
                damping = (10.0 * damping).max(1e-6);
                continue;
            };
            let next = self.moved(&step);
            let then = self.equations(&next, true, &mut other);
            if then.is_nan() || then > cost {
                damping = (10.0 * damping).max(1e-4);
                if damping > 1e3 {
                    break;
                }
                continue;
            }
            let still = (cost - then) < 1e-4 * (1.0 + cost / self.sightings.len().max(1) as f64);
            self.at = next;
            damping = if damping > 1e-6 { damping / 10.0 } else { 0.0 };
            if self.model.scene.has_choices() {
                self.choose();
                cost = self.equations(&self.at, true, &mut chain);
            } else {
                cost = then;
                std::mem::swap(&mut chain, &mut other);
            }
            if still {
                break;
            }
        }
    }

    /// Which part of each point's variance comes from the measurement, where it is seen, if each frame's noise were its own, and
    /// how large it is as the noise lasts: errors of the observations, drawn at random, are sent through the equations. The
    /// rest is what chance changes of velocity would add; where changes are steady, the solution follows them and nothing is added.
    fn measured(
        &self,
        factor: &Factor,
        covariances: &[DMatrix<f64>],
        agree: &[u32],
        chain: &mut Chain,
    ) -> Option<Vec<[f64; 2]>> {
        const DRAWS: usize = 12;
        let n = self.group.len();
        let mut rng = ChaCha8Rng::seed_from_u64(self.frames.start as u64);
        let lasting = &self.model.noise.lasting;
        let some_lasts = self.group.iter().any(|i| lasting[*i] > 0.0);
        let cameras = self.model.scene.views.len();
        let mut sums = vec![([0.0; 2], 0.0); n];
        for _ in 0..DRAWS {
            let mut rows = vec![Vector3::zeros(); self.at.len()];
            let mut rows_lasting = rows.clone();
            // The last error of each point in each camera, and its frame.
            let mut before: Vec<Option<(usize, Vector2<f64>)>> = vec![None; n * cameras];
            for s in &self.sightings {
                let (i, index) = (s.frame * n + s.point, self.group[s.point]);
                let (_, slope) = self.model.scene.views.project_with(s.camera, &self.at[i])?;
                let slope = slope.transpose() / self.model.noise.points[index];
                let fresh = Vector2::from_fn(|_, _| StandardNormal.sample(&mut rng));
                let last = &mut before[s.point * cameras + s.camera];
                let error = last.map_or(fresh, |(then, error)| {
                    let kept = lasting[index].powi(i32::try_from(s.frame - then).unwrap_or(i32::MAX));
                    error * kept + fresh * (1.0 - kept * kept).sqrt()
                });
                *last = Some((s.frame, error));
                rows[i] += slope * fresh;
                rows_lasting[i] += slope * error;
            }
            let mut add = |rows: &[Vector3<f64>], which: usize| -> Option<()> {
                self.fill_right(rows, chain);
                let drawn = factor.solve(&chain.right)?;
                for i in (0..self.at.len()).filter(|i| agree[*i] >= 2) {
                    let (block, row) = self.place(i / n, i % n);
                    sums[i % n].0[which] += drawn[block].fixed_rows::<3>(row).norm_squared();
                }
                Some(())
            };
            add(&rows, 0)?;
            if some_lasts {
                add(&rows_lasting, 1)?;
            }
        }
        for i in (0..self.at.len()).filter(|i| agree[*i] >= 2) {
            let (block, row) = self.place(i / n, i % n);
            sums[i % n].1 += DRAWS as f64 * (row..row + 3).map(|k| covariances[block][(k, k)]).sum::<f64>();
        }
        let part = |([own, lasting], all): ([f64; 2], f64)| {
            let own = if all > 0.0 { (own / all).clamp(0.0, 1.0) } else { 1.0 };
            [own, if some_lasts && all > 0.0 { lasting / all } else { own }]
        };
        Some(sums.into_iter().map(part).collect())
    }

    /// Puts a vector of each point, `[frame][point]`, on the equations' right side.
    fn fill_right(&self, rows: &[Vector3<f64>], chain: &mut Chain) {
        let n = self.group.len();
        chain.right.iter_mut().for_each(|v| v.fill(0.0));
        for (i, of) in rows.iter().enumerate() {
            let (block, row) = self.place(i / n, i % n);
            chain.right[block].fixed_rows_mut::<3>(row).copy_from(of);
        }
    }

    /// Drops what does not fit, solves with the rest in full, and gives the core with its deviations.
    fn settle(&mut self, core: Range<usize>) -> Option<Vec<Option<Spot>>> {
        let (model, n) = (self.model, self.group.len());
        let views = &model.scene.views;
        let mut agree = vec![0_u32; self.at.len()];
        let (at, group) = (&self.at, self.group);
        let far = |s: &Sighting, at: &[Vector3<f64>]| {
            Some(views.project(s.camera, &at[s.frame * n + s.point])?.distance(s.seen.pixel))
        };
        self.sightings.retain(|s| {
            let near = far(s, at).is_some_and(|d| d <= model.thresholds[group[s.point]]);
            agree[s.frame * n + s.point] += u32::from(near);
            near
        });
        // One camera alone may be wrong, and nothing would tell.
        self.sightings.retain(|s| agree[s.frame * n + s.point] >= 2);
        let mut chain = self.chain();
        for _ in 0..3 {
            self.equations(&self.at, false, &mut chain);
            let step = chain.factor(0.0)?.solve(&chain.right)?;
            self.at = self.moved(&step);
            if step.iter().all(|s| s.amax() < 1e-3) {
                break;
            }
        }
        self.equations(&self.at, false, &mut chain);
        let factor = chain.factor(0.0)?;
        let covariances = factor.covariances()?;
        let measured = self.measured(&factor, &covariances, &agree, &mut chain)?;
        let mut used = vec![Used::default(); self.at.len()];
        for s in &self.sightings {
            let i = s.frame * n + s.point;
            let (_, slope) = views.project_with(s.camera, &self.at[i])?;
            let used = &mut used[i];
            used.cameras += 1;
            used.error += far(s, &self.at)?;
            used.likelihood += s.seen.likelihood;
            used.pixel += views.pixel(s.camera, &self.at[i])?;
            used.normal += slope.transpose() * slope / model.noise.points[group[s.point]].powi(2);
        }
        let skip = core.start - self.frames.start;
        let spot = |i: usize| {
            let (block, row) = self.place(i / n, i % n);
            let Used { cameras, error, likelihood, pixel, normal } = used[i];
            let at = self.at[i];
            let count = cameras as f64;
            // In a gap all of it is what is not known of the movement.
            let steady = if cameras > 0 { model.movements[group[i % n]].steady } else { 0.0 };
            let [own, lasting] = measured[i % n];
            let part = (1.0 - steady) * (1.0 - own) + if cameras > 0 { lasting } else { own };
            // Other frames never make a point less certain than it is by itself, and what stays the same over many frames is
            // not averaged away by limbs either: it is of the body's posture, and wrong in all its points together.
            let alone = normal.try_inverse().filter(|_| cameras >= 2);
            let stays = model.noise.lasting[group[i % n]].powi(LONG);
            let common = model.noise.common[group[i % n]] * if cameras > 0 { pixel / count } else { 0.0 };
            let deviation = [0, 1, 2].map(|k| {
                let together = (part * covariances[block][(row + k, row + k)]).max(0.0);
                let alone = alone.map_or(together, |a| a[(k, k)].max(0.0));
                (stays * alone + (1.0 - stays) * together.min(alone)).sqrt().hypot(common)
            });
            at.iter().chain(&deviation).all(|v| v.is_finite()).then(|| Spot {
                at: at.into(),
                deviation,
                error: error / count, // NaN where no camera saw it
                cameras,
                likelihood: likelihood / count,
            })
        };
        Some((skip * n..(skip + core.len()) * n).map(spot).collect())
    }
}
