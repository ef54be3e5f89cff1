use super::Tracks;
use std::ops::Range;

/// Values in one block of the finest level.
const BLOCK: usize = 8;
/// Blocks of a level in one of the next.
const FAN: usize = 4;

/// Smallest and largest value of any stretch of a long series, without looking at all of it: what drawing a trace of a
/// million frames on a thousand pixels needs.
///
/// Over the values stand levels of blocks, each with its smallest and largest value; NaN is a gap and counts for
/// nothing. The levels take a third of the memory of the values, which stay where they are.
///
/// ```
/// use limn::pose::Pyramid;
/// let values = [3.0, f32::NAN, 1.0, 2.0];
/// let pyramid = Pyramid::new(values.len(), |i| values[i]);
/// assert_eq!(pyramid.range(0..4, |i| values[i]), Some([1.0, 3.0]));
/// assert_eq!(pyramid.range(1..2, |i| values[i]), None); // a gap
/// ```
#[derive(Debug, Clone, Default)]
pub struct Pyramid {
    len: usize,
    /// From the finest; `[NaN, NaN]` for a block of gaps alone.
    levels: Vec<Vec<[f32; 2]>>,
}

impl Pyramid {
    /// The levels over `len` values, which `at` gives by their index.
    pub fn new(len: usize, at: impl Fn(usize) -> f32) -> Self {
        let finest: Vec<[f32; 2]> = (0..len.div_ceil(BLOCK))
            .map(|b| over(b * BLOCK..((b + 1) * BLOCK).min(len), &|i| [at(i); 2]))
            .collect();
        Self::above(len, finest)
    }

    fn above(len: usize, finest: Vec<[f32; 2]>) -> Self {
        let mut levels = vec![finest];
        while let Some(below) = levels.last().filter(|l| l.len() > FAN) {
            let n = below.len();
            let next =
                (0..n.div_ceil(FAN)).map(|b| over(b * FAN..((b + 1) * FAN).min(n), &|i| below[i])).collect();
            levels.push(next);
        }
        Self { len, levels }
    }

    /// How many values it stands on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all levels.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(|l| size_of_val(l.as_slice())).sum()
    }

    /// Smallest and largest value in `places`, as far as they exist; `None` when there is nothing but gaps. `at` gives
    /// the values, as it did to [`Pyramid::new`]. Takes steps with the logarithm of the stretch.
    pub fn range(&self, places: Range<usize>, at: impl Fn(usize) -> f32) -> Option<[f32; 2]> {
        let (mut from, mut to) = (places.start, places.end.min(self.len));
        let mut found = [f32::NAN; 2];
        let mut add = |places: Range<usize>, level: Option<&Vec<[f32; 2]>>| {
            let of = match level {
                Some(level) => over(places, &|i| level.get(i).copied().unwrap_or([f32::NAN; 2])),
                None => over(places, &|i| [at(i); 2]),
            };
            found = join(found, of);
        };
        // From the values upwards: what sticks out of whole blocks at either end is taken, the rest goes one level up.
        let mut below: Option<&Vec<[f32; 2]>> = None;
        for (fan, level) in std::iter::once(BLOCK).chain(std::iter::repeat(FAN)).zip(&self.levels) {
            let (first, last) = (from.div_ceil(fan), to / fan);
            if first >= last {
                break;
            }
            add(from..first * fan, below);
            add(last * fan..to, below);
            (from, to) = (first, last);
            below = Some(level);
        }
        add(from..to.max(from), below);
        (!found[0].is_nan()).then_some(found)
    }

    /// `columns` stretches of equal width that cover `places`, one for each pixel of a drawing, each with its smallest
    /// and largest value. Every stretch has at least one value, so that columns narrower than a value repeat it. Wide
    /// stretches are rounded outwards to whole blocks, by less than half on either side: no value is lost, and a
    /// million of them take no longer than a thousand.
    pub fn columns(
        &self,
        places: Range<usize>,
        columns: usize,
        at: impl Fn(usize) -> f32,
    ) -> Vec<Option<[f32; 2]>> {
        let places = places.start.min(self.len)..places.end.min(self.len);
        let n = places.len();
        let blocks = self.blocks_for(n / columns.max(1));
        (0..columns)
            .map(|c| {
                let from = places.start + n * c / columns;
                let to = (places.start + n * (c + 1) / columns).max(from + 1).min(places.end);
                let Some((size, level)) = blocks else { return self.range(from..to, &at) };
                let found = level.get(from / size..to.div_ceil(size)).unwrap_or_default();
                let found = found.iter().fold([f32::NAN; 2], |all, block| join(all, *block));
                (!found[0].is_nan()).then_some(found)
            })
            .collect()
    }

    /// The coarsest level, with the values in a block of it, of which two blocks fit into `width` values.
    fn blocks_for(&self, width: usize) -> Option<(usize, &[[f32; 2]])> {
        let sizes = std::iter::successors(Some(BLOCK), |size| size.checked_mul(FAN));
        sizes
            .zip(&self.levels)
            .take_while(|(size, _)| size * 2 <= width)
            .last()
            .map(|(s, l)| (s, l.as_slice()))
    }
}

fn over(places: Range<usize>, at: &impl Fn(usize) -> [f32; 2]) -> [f32; 2] {
    places.fold([f32::NAN; 2], |found, i| join(found, at(i)))
}

/// `f32::min` and `max` take the number where the other is NaN.
fn join(a: [f32; 2], b: [f32; 2]) -> [f32; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

/// Pyramids over every column of tracks: x, y and likelihood of every point.
#[derive(Debug, Clone, Default)]
pub struct TrackPyramids {
    /// `[point][x, y, likelihood]`, row-major.
    columns: Vec<Pyramid>,
}

/// What a trace shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Pixels from the left edge.
    X,
    /// Pixels from the top edge.
    Y,
    /// 0 to 1.
    Likelihood,
}

impl TrackPyramids {
    /// The pyramids of all columns; `None` when `stopped` says so on the way. A second or so for a million frames.
    pub fn of(tracks: &Tracks, stopped: impl Fn() -> bool) -> Option<Self> {
        let columns = tracks.skeleton.points() * 3;
        let (values, frames) = (tracks.values(), tracks.frames());
        // Row by row through memory; the finest levels of all columns grow together.
        let mut finest = vec![Vec::with_capacity(frames.div_ceil(BLOCK)); columns];
        for (b, block) in values.chunks(columns.max(1) * BLOCK).enumerate() {
            if b.is_multiple_of(4096) && stopped() {
                return None;
            }
            for (c, level) in finest.iter_mut().enumerate() {
                let column = block.iter().skip(c).step_by(columns);
                level.push(column.fold([f32::NAN; 2], |found, v| join(found, [*v; 2])));
            }
        }
        Some(Self { columns: finest.into_iter().map(|f| Pyramid::above(frames, f)).collect() })
    }

    /// Smallest and largest value of a point's quantity for each of `columns` equal stretches of `frames`; empty when
    /// there is no such point. `tracks` are those the pyramids were made of.
    #[must_use]
    pub fn columns(
        &self,
        tracks: &Tracks,
        point: usize,
        quantity: Quantity,
        frames: Range<usize>,
        columns: usize,
    ) -> Vec<Option<[f32; 2]>> {
        let (width, column) = (tracks.skeleton.points() * 3, point * 3 + quantity as usize);
        let values = tracks.values();
        self.columns.get(column).map_or_else(Vec::new, |p| {
            p.columns(frames, columns, |i| values.get(i * width + column).copied().unwrap_or(f32::NAN))
        })
    }

    /// Smallest and largest value of a point's quantity over the whole video.
    #[must_use]
    pub fn extent(&self, tracks: &Tracks, point: usize, quantity: Quantity) -> Option<[f32; 2]> {
        self.columns(tracks, point, quantity, 0..tracks.frames(), 1).into_iter().next().flatten()
    }

    /// Bytes of all pyramids.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Pyramid::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{Keypoint, Skeleton};
    use proptest::prelude::*;

    fn plain(values: &[f32]) -> Option<[f32; 2]> {
        let seen: Vec<f32> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        let low = seen.iter().copied().reduce(f32::min)?;
        Some([low, seen.iter().copied().reduce(f32::max)?])
    }

    proptest! {
        #[test]
        fn any_stretch_is_as_by_looking_at_all_values(
            values in proptest::collection::vec(prop_oneof![4 => -1e6_f32..1e6, 1 => Just(f32::NAN)], 0..700),
            ends in (0_usize..720, 0_usize..720),
            columns in 1_usize..40,
        ) {
            let n = values.len();
            let pyramid = Pyramid::new(n, |i| values[i]);
            prop_assert!(pyramid.bytes() <= n.div_ceil(BLOCK) * 8 * 4 / 3 + 64);
            let (a, b) = (ends.0.min(ends.1), ends.0.max(ends.1));
            let cut = |from: usize, to: usize| &values[from.min(n)..to.min(n).max(from.min(n))];
            prop_assert_eq!(pyramid.range(a..b, |i| values[i]), plain(cut(a, b)));
            let all = pyramid.columns(a..b, columns, |i| values[i]);
            prop_assert_eq!(all.len(), columns);
            let (a, b) = (a.min(n), b.min(n));
            let wide = (b - a) / columns;
            for (c, got) in all.into_iter().enumerate() {
                let from = a + (b - a) * c / columns;
                let to = (a + (b - a) * (c + 1) / columns).max(from + 1).min(b).max(from.min(b));
                // Rounded outwards to some block, by less than half; narrow columns not at all.
                let fits = std::iter::once(1)
                    .chain([8, 32, 128, 512])
                    .filter(|size| *size == 1 || size * 2 <= wide)
                    .any(|size| got == plain(cut(from / size * size, to.div_ceil(size) * size)));
                prop_assert!(fits, "column {c}: {from}..{to} gave {got:?}");
            }
        }
    }

    #[test]
    fn tracks_have_a_pyramid_for_every_column_and_few_look_ups_answer() {
        let frames = 100_004;
        let mut tracks = Tracks::new(Skeleton::single(["a", "b"]), frames);
        for f in (0..frames).filter(|f| f % 7 != 0) {
            tracks.set(f, 1, Keypoint::new(f as f64, -(f as f64)), 0.5);
        }
        let pyramids = TrackPyramids::of(&tracks, || false).unwrap();
        assert!(pyramids.bytes() * 2 < size_of_val(tracks.values()));
        assert_eq!(pyramids.extent(&tracks, 1, Quantity::X), Some([1.0, 100_003.0]));
        assert_eq!(pyramids.extent(&tracks, 1, Quantity::Y), Some([-100_003.0, -1.0]));
        assert_eq!(pyramids.extent(&tracks, 0, Quantity::Likelihood), None);
        assert!(pyramids.columns(&tracks, 2, Quantity::X, 0..9, 3).is_empty());
        let two = pyramids.columns(&tracks, 1, Quantity::X, 7..21, 2);
        assert_eq!(two, [Some([8.0, 13.0]), Some([15.0, 20.0])]);
        assert!(TrackPyramids::of(&tracks, || true).is_none());

        let looked = std::cell::Cell::new(0);
        let column = &pyramids.columns[3];
        column.range(3..frames - 3, |i| {
            looked.set(looked.get() + 1);
            tracks.row(i)[3]
        });
        assert!(looked.get() < 2 * BLOCK, "{} values looked at", looked.get());
    }
}
