//! Looking only where the animal is.
//!
//! The network sees a window around the points it found last, and the whole frame again when it loses them. Windows
//! lie on a grid of the network's own cells, so that it computes what it would compute in the whole frame but for the
//! window's rim.

use crate::error::Result;
use crate::net::{Frames, Peaks, Window};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Windows begin and end at multiples of this many pixels: the coarsest cell of any network here.
const GRID: usize = 32;
/// A point nearer to the window's rim than this may belong outside.
const RIM: f64 = 16.0;
/// The least margin: windows lie on the grid, so up to half a cell beside where they should.
const LEAST_MARGIN: usize = GRID / 2 + 16;

/// How the animal is followed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Follow {
    /// Points count as seen from this likelihood on.
    pub threshold: f64,
    /// Pixels of surroundings kept around the points, for the network to see them in and the animal to move in.
    pub margin: usize,
}

impl Default for Follow {
    fn default() -> Self {
        Self { threshold: 0.6, margin: 48 }
    }
}

/// A point that was seen counts as such until its likelihood falls below this share of the threshold: one that only
/// dims is still where the window is.
const DIM: f64 = 1.0 / 3.0;
/// Follows one animal, or all as one, from batch to batch.
#[derive(Debug)]
pub(super) struct Follower {
    how: Follow,
    /// Where to look next; the whole frame when `None`.
    window: Option<Window>,
    /// Which points were seen last.
    seen: Vec<bool>,
    /// The largest distance between two seen points, in pixels: how far away one that is not seen may be.
    reach: Option<f64>,
}

/// What frames and windows the network shall look at; gives their peaks.
type Network<'a> = dyn FnMut(Range<usize>, &[Window]) -> Result<Vec<Peaks>> + 'a;

/// Where a point is in one frame, and its likelihood.
type Place = ([f64; 2], f64);

impl Follower {
    pub fn new(how: Follow) -> Self {
        Self { how, window: None, seen: Vec::new(), reach: None }
    }

    /// Begins anew with the whole frame, as if nothing had been seen before.
    pub fn forget(&mut self) {
        *self = Self::new(self.how);
    }

    /// Rows `[frame][point][candidate][3]` of all frames of a batch. `crop`: the part of the frames that counts.
    pub fn look(&mut self, frames: &Frames, crop: Option<Window>, network: &mut Network) -> Result<Vec<f32>> {
        let whole = crop.unwrap_or(Window { x: 0, y: 0, width: frames.width(), height: frames.height() });
        let mut values = Vec::new();
        let mut at = 0;
        while at < frames.len() {
            // Where the animal is searched for, one frame is enough to find it.
            let (window, to) = match self.window {
                Some(window) => (window, frames.len()),
                None => (whole, at + 1),
            };
            let searched = self.window.is_none();
            let peaks = network(at..to, &vec![window; to - at])?;
            'batch: for peaks in &peaks {
                for image in 0..peaks.images() {
                    let places: Vec<Place> = (0..peaks.points())
                        .filter_map(|p| peaks.get(image, p))
                        .map(|(at, likelihood)| ([at.x, at.y], likelihood))
                        .collect();
                    if searched {
                        self.seen = places.iter().map(|p| p.1 >= self.how.threshold).collect();
                    } else if self.lost(&places, window, whole) {
                        self.window = None;
                        break 'batch;
                    } else {
                        self.note(&places);
                    }
                    values.extend_from_slice(peaks.row(image));
                    at += 1;
                    let points = self.points(&places);
                    self.window = self.around(&points, whole);
                }
            }
        }
        Ok(values)
    }

    /// The seen points among places.
    fn points(&mut self, places: &[Place]) -> Vec<[f64; 2]> {
        let points: Vec<[f64; 2]> =
            places.iter().zip(&self.seen).filter(|(_, seen)| **seen).map(|(p, _)| p.0).collect();
        let apart = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let reach =
            points.iter().flat_map(|a| points.iter().map(move |b| apart(a, b))).max_by(f64::total_cmp);
        if points.len() > 1 {
            self.reach = self.reach.into_iter().chain(reach).max_by(f64::total_cmp);
        }
        points
    }

    /// Which points are seen now.
    fn note(&mut self, places: &[Place]) {
        let least = self.how.threshold;
        for (seen, (_, likelihood)) in self.seen.iter_mut().zip(places) {
            *seen = *likelihood >= if *seen { least * DIM } else { least };
        }
    }

    /// Whether the whole frame must be looked at: a seen point went missing, or one came so near to the rim that it may
    /// lie beyond it.
    fn lost(&self, places: &[Place], window: Window, whole: Window) -> bool {
        let near = |at: f64, from: usize, length: usize, least: usize, most: usize| {
            let (from_px, to_px) = (px(from), px(from + length));
            (from > least && at < from_px + RIM) || (from + length < most && at > to_px - RIM)
        };
        places.iter().zip(&self.seen).any(|(([x, y], likelihood), seen)| {
            let missing = *seen && *likelihood < self.how.threshold * DIM;
            let sighted = *seen || *likelihood >= self.how.threshold;
            missing
                || sighted
                    && (near(*x, window.x, window.width, whole.x, whole.x + whole.width)
                        || near(*y, window.y, window.height, whole.y, whole.y + whole.height))
        })
    }

    /// Pixels kept around the seen points: more while others are not seen, which may be as far away as any two ever
    /// were from each other.
    fn margin(&self) -> usize {
        // Less would only count as lost, over and over.
        let margin = self.how.margin.max(LEAST_MARGIN);
        if self.seen.iter().all(|s| *s) {
            return margin;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // pixels
        let reach = self.reach.map_or(2 * margin, |r| r.ceil() as usize + margin / 2);
        reach.max(margin)
    }

    /// The window to look through next, around the points, on the grid and inside `whole`. `None` without points, or when
    /// it would be nearly as large as the whole.
    fn around(&self, points: &[[f64; 2]], whole: Window) -> Option<Window> {
        let x = Span::of(points.iter().map(|p| p[0] - px(whole.x)))?;
        let y = Span::of(points.iter().map(|p| p[1] - px(whole.y)))?;
        let (mut width, mut height) =
            (x.size(self.margin(), whole.width), y.size(self.margin(), whole.height));
        // Other sizes cost the network's library preparation: one that is large enough is kept.
        if let Some(old) = self.window
            && width <= old.width
            && height <= old.height
            && old.width * old.height <= 2 * width * height
        {
            (width, height) = (old.width, old.height);
        }
        let ((left, width), (top, height)) = (x.place(width, whole.width), y.place(height, whole.height));
        let window = Window { x: whole.x + left, y: whole.y + top, width, height };
        (width * height * 4 < whole.width * whole.height * 3).then_some(window)
    }
}

/// From the least to the largest coordinate of the points along one axis, in pixels of the whole.
struct Span {
    least: f64,
    most: f64,
}

impl Span {
    fn of(seen: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        Some(Self { least: seen.clone().min_by(f64::total_cmp)?, most: seen.max_by(f64::total_cmp)? })
    }

    /// The length of a window with `margin` on both sides, of twice the grid's cells where there is room: few sizes cost
    /// less preparation.
    fn size(&self, margin: usize, length: usize) -> usize {
        let cells = cell(self.most - self.least + 2.0 * px(margin)) + 1;
        (cells.div_ceil(2) * 2 * GRID).min(length)
    }

    /// Begin and length of a window of this size with the points in its middle: on the grid that the network lays over
    /// the whole, as near as that comes, and up to the whole's end where that is near.
    fn place(&self, size: usize, length: usize) -> (usize, usize) {
        let middle = f64::midpoint(self.least, self.most) - px(size) / 2.0;
        let at = cell(middle + px(GRID) / 2.0) * GRID;
        if at + size <= length {
            return (at, size);
        }
        let at = (length - size) / GRID * GRID;
        (at, length - at)
    }
}

#[allow(clippy::cast_precision_loss)] // pixels
fn px(n: usize) -> f64 {
    n as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // cells of a picture; below 0 is 0
fn cell(at: f64) -> usize {
    (at.max(0.0) / GRID as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Device;
    use proptest::prelude::*;

    const WHOLE: Window = Window { x: 0, y: 0, width: 640, height: 480 };

    /// An animal of two points that moves through 40 frames; the network sees a point only inside its window.
    fn follow(track: &dyn Fn(usize) -> [f64; 2], crop: Option<Window>) -> (Vec<f32>, usize) {
        let mut follower = Follower::new(Follow::default());
        let (mut values, mut area) = (Vec::new(), 0);
        for batch in 0..5 {
            let mut frames = Frames::new(8, 640, 480, Device::Cpu).unwrap();
            while frames.push().is_some() {}
            let got = follower.look(&frames, crop, &mut |which, windows| {
                assert_eq!(which.len(), windows.len());
                Ok(which
                    .zip(windows)
                    .map(|(i, w)| {
                        area += w.width * w.height;
                        let [x, y] = track(batch * 8 + i);
                        let (x1, y1) = ((w.x + w.width) as f64, (w.y + w.height) as f64);
                        let inside = |x: f64, y: f64| x >= w.x as f64 && x < x1 && y >= w.y as f64 && y < y1;
                        let row = [[x, y], [x + 60.0, y + 20.0]]
                            .map(|[x, y]| if inside(x, y) { [x, y, 0.9] } else { [0.0, 0.0, 0.1] });
                        Peaks::from_rows(2, 1, row.concat().iter().map(|v| *v as f32).collect())
                    })
                    .collect())
            });
            values.extend(got.unwrap());
        }
        (values, area)
    }

    #[test]
    fn a_walking_animal_is_never_lost_and_costs_little() {
        let walk = |n: usize| [100.0 + 9.0 * n as f64, 200.0 + 3.0 * n as f64];
        let (values, area) = follow(&walk, None);
        assert_eq!(values.len(), 40 * 2 * 3);
        for (n, row) in values.chunks_exact(6).enumerate() {
            let [x, y] = walk(n).map(|v| v as f32);
            assert_eq!(row, [x, y, 0.9, x + 60.0, y + 20.0, 0.9], "frame {n}");
        }
        assert!(area * 3 < 40 * 640 * 480, "{area} pixels were looked at");
    }

    #[test]
    fn a_jump_is_looked_for_in_the_whole_frame() {
        let jump = |n: usize| if n < 13 { [80.0, 90.0] } else { [500.0, 400.0] };
        let (values, _) = follow(&jump, None);
        assert!(values.chunks_exact(6).enumerate().all(|(n, row)| f64::from(row[0]) == jump(n)[0]));
        // An animal that is not there at all: every frame is searched, and a row comes for each.
        let (values, area) = follow(&|_| [-500.0, -500.0], None);
        assert_eq!((values.len(), area), (40 * 6, 40 * 640 * 480));
        // Outside the crop nothing is found.
        let crop = Window { x: 320, y: 0, width: 320, height: 480 };
        let (values, _) = follow(&|_| [80.0, 90.0], Some(crop));
        assert!(values.chunks_exact(3).all(|v| v[2] < 0.5));
    }

    proptest! {
        #[test]
        fn windows_lie_inside_on_the_grid_and_hold_the_points(
            points in prop::collection::vec((0.0..640.0_f64, 0.0..480.0_f64), 1..5),
            crop in (0_usize..200, 0_usize..200, 65_usize..400, 65_usize..280),
            margin in 0_usize..150,
        ) {
            let whole = Window { x: crop.0, y: crop.1, width: crop.2, height: crop.3 };
            let points: Vec<[f64; 2]> = points
                .into_iter()
                .map(|(x, y)| [x.clamp(px(whole.x), px(whole.x + whole.width)), y.clamp(px(whole.y), px(whole.y + whole.height))])
                .collect();
            let follower = Follower::new(Follow { margin, ..Follow::default() });
            for whole in [whole, WHOLE] {
                if let Some(w) = follower.around(&points, whole) {
                    prop_assert!(w.x >= whole.x && w.x + w.width <= whole.x + whole.width);
                    prop_assert!(w.y >= whole.y && w.y + w.height <= whole.y + whole.height);
                    prop_assert!((w.x - whole.x) % GRID == 0 && (w.y - whole.y) % GRID == 0);
                    let held = |p: &[f64; 2]| {
                        p[0] >= px(w.x) && p[0] <= px(w.x + w.width) && p[1] >= px(w.y) && p[1] <= px(w.y + w.height)
                    };
                    prop_assert!(points.iter().all(held), "{w:?} {points:?}");
                }
            }
        }
    }
}
