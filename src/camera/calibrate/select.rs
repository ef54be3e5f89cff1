use super::{Seen, Sight};
use crate::camera::Rig;
use crate::error::Result;
use std::collections::{BTreeMap, HashMap};

/// Cells across and down a picture that should all have seen corners.
pub(super) const CELLS: [usize; 2] = [8, 6];

/// What a sight tells of: a part of a camera's picture, a way the board was held, or that with another camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Aspect {
    Cell(usize, usize),
    Held(usize, [i8; 5]),
    Together(usize, usize, [i8; 5]),
}

/// Keeps at most `most` shots: those that together show the board in all parts of every camera's picture, near and far, in
/// many tilts, and to pairs of cameras. Boards held still count once.
///
/// # Errors
/// When the rig has no board.
pub fn choose(rig: &Rig, seen: Seen, most: usize) -> Result<Seen> {
    let across = rig.board()?.corners()[0];
    if seen.shots.len() <= most {
        return Ok(seen);
    }
    let mut by_shot: BTreeMap<usize, Vec<&Sight>> = BTreeMap::new();
    seen.sights.iter().for_each(|s| by_shot.entry(s.shot).or_default().push(s));
    let mut left: Vec<(usize, Vec<Aspect>)> =
        by_shot.iter().map(|(shot, sights)| (*shot, aspects(&seen, sights, across))).collect();
    let mut counts: HashMap<Aspect, u32> = HashMap::new();
    let mut picked = Vec::new();
    while picked.len() < most && !left.is_empty() {
        // Each time an aspect is there already, one more of it is worth less.
        let worth = |aspects: &[Aspect]| -> f64 {
            aspects.iter().map(|a| 1.0 / f64::from(1 + counts.get(a).copied().unwrap_or(0)).powi(2)).sum()
        };
        let best = left
            .iter()
            .enumerate()
            .map(|(i, (_, aspects))| (worth(aspects), i))
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        let Some((_, i)) = best else { break };
        let (shot, aspects) = left.swap_remove(i);
        aspects.into_iter().for_each(|a| *counts.entry(a).or_default() += 1);
        picked.push(shot);
    }
    picked.sort_unstable();
    let sights = seen
        .sights
        .iter()
        .filter_map(|s| Some(Sight { shot: picked.binary_search(&s.shot).ok()?, ..s.clone() }))
        .collect();
    let shots = picked.iter().map(|s| seen.shots[*s].clone()).collect();
    Ok(Seen { shots, sights, ..seen })
}

fn aspects(seen: &Seen, sights: &[&Sight], across: usize) -> Vec<Aspect> {
    let mut all = Vec::new();
    for sight in sights {
        let size = seen.sizes.get(sight.camera).copied().flatten().unwrap_or([640, 480]);
        let mut cells: Vec<usize> = sight.corners.iter().map(|c| cell(size, c.at)).collect();
        cells.sort_unstable();
        cells.dedup();
        all.extend(cells.into_iter().map(|c| Aspect::Cell(sight.camera, c)));
        let held = held(size, sight, across);
        all.push(Aspect::Held(sight.camera, held));
        all.extend(
            sights
                .iter()
                .filter(|o| o.camera > sight.camera)
                .map(|o| Aspect::Together(sight.camera, o.camera, held)),
        );
    }
    all
}

/// The cell of a picture that a place lies in.
pub(super) fn cell(size: [usize; 2], at: crate::pose::Keypoint) -> usize {
    let part = |v: f64, whole: usize, cells: usize| {
        ((v / whole.max(1) as f64 * cells as f64).max(0.0) as usize).min(cells - 1)
    };
    part(at.y, size[1], CELLS[1]) * CELLS[0] + part(at.x, size[0], CELLS[0])
}

/// How the board was held, in steps: place, size, and the two ways its rows and columns run (which tilts change).
fn held(size: [usize; 2], sight: &Sight, across: usize) -> [i8; 5] {
    let n = sight.corners.len().max(1) as f64;
    let mean = |of: &dyn Fn(&super::Corner) -> f64| sight.corners.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(&|c| c.at.x), mean(&|c| c.at.y));
    let (i, j) = (mean(&|c| (c.index % across) as f64), mean(&|c| (c.index / across) as f64));
    // The affine map from board to picture by its moments, good enough for bins.
    let slope = |along: &dyn Fn(&super::Corner) -> f64, of: &dyn Fn(&super::Corner) -> f64| {
        let (mut up, mut down) = (0.0, 1e-9);
        for c in &sight.corners {
            up += along(c) * of(c);
            down += along(c) * along(c);
        }
        up / down
    };
    let column = |c: &super::Corner| (c.index % across) as f64 - i;
    let row = |c: &super::Corner| (c.index / across) as f64 - j;
    let (dx, dy) = (|c: &super::Corner| c.at.x - x, |c: &super::Corner| c.at.y - y);
    let (a, b) = ([slope(&column, &dx), slope(&column, &dy)], [slope(&row, &dx), slope(&row, &dy)]);
    let (long_a, long_b) = (a[0].hypot(a[1]).max(1e-6), b[0].hypot(b[1]).max(1e-6));
    #[allow(clippy::cast_possible_truncation)] // some few steps
    let bin = |v: f64| v.round().clamp(-100.0, 100.0) as i8;
    [
        bin(4.0 * x / size[0].max(1) as f64),
        bin(4.0 * y / size[1].max(1) as f64),
        bin((long_a * long_b).sqrt().log2() * 1.5),
        bin((long_a / long_b).log2() * 4.0),
        bin(a[1].atan2(a[0]) * 4.0 / std::f64::consts::PI),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{Corner, Shot};
    use super::*;
    use crate::camera::{Board, Mount};
    use crate::pose::Keypoint;

    /// A board of 4 x 3 corners, 20 px a square, at a place.
    fn sight(shot: usize, x: f64, y: f64) -> Sight {
        let corners = (0..12)
            .map(|i| Corner {
                index: i,
                at: Keypoint::new(x + 20.0 * (i % 4) as f64, y + 20.0 * (i / 4) as f64),
            })
            .collect();
        Sight { camera: 0, shot, corners }
    }

    #[test]
    fn a_board_held_still_counts_once_and_corners_of_the_picture_come_first() {
        let mut sights: Vec<Sight> = (0..50).map(|s| sight(s, 300.0 + 0.1 * s as f64, 200.0)).collect();
        for (s, (x, y)) in [(5.0, 5.0), (560.0, 5.0), (5.0, 420.0), (560.0, 420.0)].into_iter().enumerate() {
            sights.push(sight(50 + s, x, y));
        }
        let shots = (0..54).map(|f| Shot { session: "s".into(), frame: Some(f) }).collect();
        let seen = Seen { sizes: vec![Some([640, 480])], shots, sights, ..Seen::default() };
        let board = Some(Board::Checkerboard { columns: 4, rows: 3, square: 1.0 });
        let rig =
            Rig { cameras: vec![Mount { name: "a".into(), ..Mount::default() }], board, ..Rig::default() };
        let few = choose(&rig, seen.clone(), 5).unwrap();
        let frames: Vec<_> = few.shots.iter().filter_map(|s| s.frame).collect();
        assert_eq!(frames.len(), 5);
        assert_eq!(frames[1..], [50, 51, 52, 53]);
        assert!(few.sights.iter().all(|s| s.shot < 5));
        assert_eq!(choose(&rig, seen.clone(), 54).unwrap(), seen);
    }
}
