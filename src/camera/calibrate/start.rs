//! Where bundle adjustment begins: each lens by itself, then the cameras against each other along shared views.

use super::bundle::{self, Scene};
use super::{HUBER, Sight};
use crate::camera::{Board, Camera, Lens, LensModel};
use crate::error::{Error, Kind, Result};
use crate::pose::Keypoint;
use crate::watch::Watch;
use nalgebra::{Isometry3, Rotation3, Translation3, UnitQuaternion, Vector3};
use opencv::calib3d;
use opencv::core::{Mat, Point2d, Point2f, Point3d, Point3f, Size, TermCriteria, Vector};
use opencv::prelude::*;
use std::collections::BTreeMap;

const FILM_AGAIN: &str = "check that `board` in rig.yaml is the one filmed, its numbers across and down too; else film it again with \
                          this camera: nearer, in all parts of the picture, turned and tilted";
/// Views of one camera that OpenCV begins with: its method takes time with the square of them.
const FIRST_VIEWS: usize = 30;

/// The lens of one camera and where the board was in each shot, from the board to the camera; sights whose board cannot be
/// placed are left out.
pub(super) struct Single {
    pub lens: Lens,
    pub boards: BTreeMap<usize, Isometry3<f64>>,
    pub rms: f64,
}

/// Calibrates one camera by its own `sights`.
pub(super) fn single(
    name: &str,
    model: LensModel,
    size: [usize; 2],
    board: &Board,
    sights: &[&Sight],
    watch: &dyn Watch,
) -> Result<Single> {
    let failed = |e: opencv::Error| {
        Error::new(Kind::Compute, format!("the lens of camera `{name}` cannot be calibrated: {}", e.message))
            .mend(FILM_AGAIN)
            .because(e)
    };
    let few = spread_out(sights, FIRST_VIEWS);
    let starts: Vec<Lens> = match model {
        LensModel::Pinhole => vec![pinhole(size, board, &few).map_err(failed)?],
        LensModel::Fisheye => [0.25, 0.32, 0.4, 0.5, 0.65, 0.85, 1.2]
            .map(|f| Lens { model, ..Lens::plain(f * size[0] as f64, size) })
            .to_vec(),
    };
    // Of several starts the one that fits best; each view places the board by itself.
    let mut best: Option<Single> = None;
    for lens in starts {
        let place = |sights: &[&Sight]| -> BTreeMap<usize, Isometry3<f64>> {
            sights.iter().filter_map(|s| Some((s.shot, placed(&lens, board, s).ok().flatten()?))).collect()
        };
        let boards = place(&few);
        let single = fit(name, size, board, &few, lens, boards, watch);
        if let Ok(single) = single
            && best.as_ref().is_none_or(|b| single.rms < b.rms)
        {
            best = Some(single);
        }
    }
    let best = best.ok_or_else(|| {
        Error::new(Kind::Compute, format!("the lens of camera `{name}` cannot be calibrated"))
            .mend(FILM_AGAIN)
    })?;
    let all: BTreeMap<usize, Isometry3<f64>> =
        sights.iter().filter_map(|s| Some((s.shot, placed(&best.lens, board, s).ok().flatten()?))).collect();
    fit(name, size, board, sights, best.lens, all, watch)
}

/// Improves a lens and its boards together.
fn fit(
    name: &str,
    size: [usize; 2],
    board: &Board,
    sights: &[&Sight],
    lens: Lens,
    boards: BTreeMap<usize, Isometry3<f64>>,
    watch: &dyn Watch,
) -> Result<Single> {
    let shots: Vec<usize> = boards.keys().copied().collect();
    let own: Vec<Sight> = sights
        .iter()
        .filter_map(|s| {
            let shot = shots.binary_search(&s.shot).ok()?;
            Some(Sight { camera: 0, shot, corners: s.corners.clone() })
        })
        .collect();
    let mut scene =
        Scene { cameras: vec![Camera::new(name, size, lens)], boards: boards.into_values().collect() };
    let options = bundle::Options { lenses: true, huber: HUBER, steps: 60 };
    let fit = bundle::adjust(&mut scene, board, &own, &options, watch)?;
    let lens = scene.cameras.first().map_or(lens, |c| c.lens);
    Ok(Single { lens, boards: shots.into_iter().zip(scene.boards).collect(), rms: fit.rms })
}

/// Some of the sights, evenly through time.
fn spread_out<'a>(sights: &[&'a Sight], most: usize) -> Vec<&'a Sight> {
    let step = (sights.len() as f64 / most as f64).max(1.0);
    let picked = (0..most).map(|i| (i as f64 * step) as usize).take_while(|i| *i < sights.len());
    picked.map(|i| sights[i]).collect()
}

/// OpenCV's own calibration, of which only the lens is kept.
fn pinhole(size: [usize; 2], board: &Board, sights: &[&Sight]) -> opencv::Result<Lens> {
    let (mut objects, mut images) = (Vector::<Vector<Point3f>>::new(), Vector::<Vector<Point2f>>::new());
    for sight in sights {
        #[allow(clippy::cast_possible_truncation)]
        let object = sight.corners.iter().map(|c| {
            let at = board.corner(c.index);
            Point3f::new(at.x as f32, at.y as f32, at.z as f32)
        });
        #[allow(clippy::cast_possible_truncation)]
        let image = sight.corners.iter().map(|c| Point2f::new(c.at.x as f32, c.at.y as f32));
        objects.push(object.collect());
        images.push(image.collect());
    }
    let as_i32 = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let mut matrix = Mat::default();
    let mut distortion = Mat::default();
    let (mut turns, mut shifts) = (Vector::<Mat>::new(), Vector::<Mat>::new());
    let stop = TermCriteria::new(3, 30, 1e-9)?;
    calib3d::calibrate_camera(
        &objects,
        &images,
        Size::new(as_i32(size[0]), as_i32(size[1])),
        &mut matrix,
        &mut distortion,
        &mut turns,
        &mut shifts,
        // The third coefficient runs away on few views; bundle adjustment finds it.
        calib3d::CALIB_FIX_K3,
        stop,
    )?;
    let m = |r: i32, c: i32| matrix.at_2d::<f64>(r, c).copied();
    let mut bend = [0.0; 5];
    for (i, b) in bend.iter_mut().enumerate().take(4) {
        *b = *distortion.at::<f64>(as_i32(i))?;
    }
    Ok(Lens {
        model: LensModel::Pinhole,
        focal: [m(0, 0)?, m(1, 1)?],
        centre: [m(0, 2)?, m(1, 2)?],
        distortion: bend,
    })
}

/// Where the board is in the camera's frame; `None` where it cannot be told.
fn placed(lens: &Lens, board: &Board, sight: &Sight) -> opencv::Result<Option<Isometry3<f64>>> {
    let seen: Vec<(usize, nalgebra::Vector2<f64>)> =
        sight.corners.iter().filter_map(|c| Some((c.index, lens.ray(c.at)?))).collect();
    if seen.len() < 4 {
        return Ok(None);
    }
    let object: Vector<Point3d> =
        seen.iter().map(|(i, _)| board.corner(*i)).map(|p| Point3d::new(p.x, p.y, p.z)).collect();
    let image: Vector<Point2d> = seen.iter().map(|(_, p)| Point2d::new(p.x, p.y)).collect();
    let eye = Mat::from_slice_2d(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])?;
    let (mut turn, mut shift) = (Mat::default(), Mat::default());
    let none = Mat::default();
    if !calib3d::solve_pnp(
        &object,
        &image,
        &eye,
        &none,
        &mut turn,
        &mut shift,
        false,
        calib3d::SOLVEPNP_IPPE,
    )? {
        return Ok(None);
    }
    let read = |m: &Mat| -> opencv::Result<Vector3<f64>> {
        Ok(Vector3::new(*m.at::<f64>(0)?, *m.at::<f64>(1)?, *m.at::<f64>(2)?))
    };
    let pose = Isometry3::from_parts(
        Translation3::from(read(&shift)?),
        UnitQuaternion::from_rotation_matrix(&Rotation3::new(read(&turn)?)),
    );
    let finite = pose.to_matrix().iter().all(|v| v.is_finite());
    Ok((finite && pose.translation.z > 0.0).then_some(pose))
}

/// Two cameras that saw the same boards.
#[derive(Debug, Clone)]
pub struct Link {
    /// The cameras, the smaller first.
    pub cameras: [usize; 2],
    /// Shots that both saw.
    pub shots: usize,
    /// From the second camera's frame into the first's.
    pub(super) pose: Isometry3<f64>,
    /// How far the shots disagree about that, as the median distance in pixels by which one camera's board misses what the
    /// other sees.
    pub disagreement: f64,
    /// Whether they agree once one of them is taken to have filmed a checkerboard through a mirror.
    pub mirrored: bool,
}

/// All pairs of cameras that share shots.
pub(super) fn links(board: &Board, singles: &[Option<Single>], sights: &[Sight]) -> Vec<Link> {
    let mut links = Vec::new();
    for (a, one) in singles.iter().enumerate() {
        for (b, other) in singles.iter().enumerate().skip(a + 1) {
            let (Some(one), Some(other)) = (one, other) else { continue };
            let seen: Vec<&Sight> =
                sights.iter().filter(|s| s.camera == b && other.boards.contains_key(&s.shot)).collect();
            let Some((pose, shots, disagreement)) = joined(board, &one.boards, other, &seen) else {
                continue;
            };
            let mirrored =
                disagreement > SUSPICIOUS && through_mirror(board, one, other, &seen, disagreement);
            links.push(Link { cameras: [a, b], shots, pose, disagreement, mirrored });
        }
    }
    links
}

/// Pairs that disagree by less, in pixels, are not asked whether one of them looks into a mirror.
const SUSPICIOUS: f64 = 4.0;

/// The second camera's pose that fits best what both saw, in how many shots, and by how many pixels it misses in the middle.
fn joined(
    board: &Board,
    boards: &BTreeMap<usize, Isometry3<f64>>,
    other: &Single,
    seen: &[&Sight],
) -> Option<(Isometry3<f64>, usize, f64)> {
    let relative: Vec<(&Sight, Isometry3<f64>, Isometry3<f64>)> = seen
        .iter()
        .filter_map(|s| {
            let place = boards.get(&s.shot)?;
            Some((*s, *place, place * other.boards.get(&s.shot)?.inverse()))
        })
        .collect();
    // How far the second camera's corners are off when its pose comes from another shot.
    let miss = |pose: &Isometry3<f64>| -> f64 {
        let mut errors: Vec<f64> = relative
            .iter()
            .flat_map(|(sight, place, _)| {
                let place = pose.inverse() * place;
                sight.corners.iter().map(move |c| {
                    let at = place * nalgebra::Point3::from(board.corner(c.index));
                    other.lens.project(&at.coords).map_or(1e6, |p: Keypoint| p.distance(c.at))
                })
            })
            .collect();
        median(&mut errors)
    };
    let step = (relative.len() / 40).max(1); // forty candidates are enough
    let tried = relative.iter().step_by(step).map(|(_, _, pose)| (miss(pose), pose));
    let (disagreement, pose) = tried.min_by(|x, y| x.0.total_cmp(&y.0))?;
    Some((*pose, relative.len(), disagreement))
}

/// Whether two cameras agree far better once the second's pictures are flipped back. Squares of a checkerboard look the same in a
/// mirror, but for the side that corners are counted from, so that each camera by itself is fine; markers of a ChArUco
/// board are not found in a mirror at all.
fn through_mirror(board: &Board, one: &Single, other: &Single, seen: &[&Sight], now: f64) -> bool {
    let Board::Checkerboard { columns, rows, .. } = *board else { return false };
    // About x = 0, which lies outside of the picture then; that is all the same to a lens.
    let mut lens = other.lens;
    lens.centre[0] = -lens.centre[0];
    if lens.model == LensModel::Pinhole {
        lens.distortion[3] = -lens.distortion[3];
    }
    let turned = |flip: &dyn Fn(usize, usize) -> usize| -> Option<f64> {
        let sights: Vec<Sight> = seen
            .iter()
            .map(|s| {
                let mut sight = (*s).clone();
                for c in &mut sight.corners {
                    c.index = flip(c.index / columns, c.index % columns);
                    c.at.x = -c.at.x;
                }
                sight
            })
            .collect();
        let boards = sights.iter().filter_map(|s| Some((s.shot, placed(&lens, board, s).ok()??)));
        let other = Single { lens, boards: boards.collect(), rms: other.rms };
        Some(joined(board, &one.boards, &other, &sights.iter().collect::<Vec<_>>())?.2)
    };
    let by_rows = turned(&|r, c| (rows - 1 - r) * columns + c);
    let by_columns = turned(&|r, c| r * columns + columns - 1 - c);
    [by_rows, by_columns].into_iter().flatten().any(|then| then < 0.2 * now)
}

/// The middle value; 0 of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Poses of all cameras (from the first one's frame) along the links with most shots, and the groups of cameras that links
/// join; a camera beyond the first group has no pose.
pub(super) fn chained(cameras: usize, links: &[Link]) -> (Vec<Option<Isometry3<f64>>>, Vec<Vec<usize>>) {
    let mut poses: Vec<Option<Isometry3<f64>>> = vec![None; cameras];
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut placed = vec![false; cameras];
    while let Some(root) = placed.iter().position(|p| !p) {
        let mut group = BTreeMap::from([(root, Isometry3::identity())]);
        placed[root] = true;
        // The strongest link that leads out of the group: many shots that agree.
        let strength = |l: &Link| l.shots as f64 / (1.0 + l.disagreement);
        while let Some(link) = links
            .iter()
            .filter(|l| placed[l.cameras[0]] != placed[l.cameras[1]])
            .filter(|l| l.cameras.iter().any(|c| group.contains_key(c)))
            .max_by(|a, b| strength(a).total_cmp(&strength(b)))
        {
            let [a, b] = link.cameras;
            let (new, pose) = match (group.get(&a), group.get(&b)) {
                (Some(from), _) => (b, link.pose.inverse() * from),
                (None, Some(from)) => (a, link.pose * from),
                (None, None) => break,
            };
            group.insert(new, pose);
            placed[new] = true;
        }
        if groups.is_empty() {
            group.iter().for_each(|(camera, pose)| poses[*camera] = Some(*pose));
        }
        groups.push(group.into_keys().collect());
    }
    (poses, groups)
}

/// Where each board was in the world: of what its cameras say, what fits all of them best.
pub(super) fn boards_in_world(
    cameras: &[Camera],
    board: &Board,
    singles: &[Option<Single>],
    sights: &[Sight],
    shots: usize,
) -> Vec<Option<Isometry3<f64>>> {
    let mut by_shot: Vec<Vec<&Sight>> = vec![Vec::new(); shots];
    sights.iter().for_each(|s| by_shot[s.shot].push(s));
    by_shot
        .iter()
        .enumerate()
        .map(|(shot, sights)| {
            let said = sights.iter().filter_map(|s| {
                let single = singles.get(s.camera)?.as_ref()?;
                Some(cameras.get(s.camera)?.pose.inverse() * single.boards.get(&shot)?)
            });
            let scored = said.map(|pose| {
                let scene = Scene { cameras: cameras.to_vec(), boards: vec![pose] };
                let mut errors: Vec<f64> = sights
                    .iter()
                    .flat_map(|s| bundle::errors(&scene, board, &Sight { shot: 0, ..(*s).clone() }))
                    .collect();
                (median(&mut errors), pose)
            });
            scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, pose)| pose)
        })
        .collect()
}
