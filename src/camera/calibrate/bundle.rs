//! Bundle adjustment: lenses, camera poses and board poses that fit all corners best (Triggs et al. 2000).
//!
//! Levenberg and Marquardt's method on the normal equations. Every board pose touches only its own corners, so it is
//! eliminated block by block (Schur's complement), and what is solved at once has 15 numbers for each camera. All
//! derivatives are analytic; the factorisations are nalgebra's.

use super::Sight;
use crate::camera::{Board, Camera, LENS_NUMBERS, LensModel};
use crate::error::{Error, Kind, Result};
use crate::watch::Watch;
use nalgebra::{
    DMatrix, DVector, Isometry3, Matrix3, Point3, SMatrix, SVector, Translation3, UnitQuaternion, Vector3,
};
use rayon::prelude::*;

/// Numbers of one camera: its lens, then the turn and the shift of its pose.
const CAMERA: usize = LENS_NUMBERS + 6;
type CameraBlock = SMatrix<f64, CAMERA, CAMERA>;
type BoardBlock = SMatrix<f64, 6, 6>;
type Cross = SMatrix<f64, CAMERA, 6>;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The cameras. The first one's pose is the world's and stays.
    pub cameras: Vec<Camera>,
    /// From the board into the world, one for each shot.
    pub boards: Vec<Isometry3<f64>>,
}

/// What may change, and how errors count.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether the lenses may change.
    pub lenses: bool,
    /// Errors above this many pixels count linearly, not squared (Huber 1964).
    pub huber: f64,
    /// Most steps.
    pub steps: usize,
}

/// How well it fits.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Root mean square distance between seen and projected corners, in pixels, over all corners.
    pub rms: f64,
    /// Steps taken.
    pub steps: usize,
    /// Standard deviations of each camera's numbers: focal lengths, principal point, distortion (zero where fixed), then turn
    /// in radians and shift in millimetres; from the errors' size and the normal equations.
    pub deviations: Vec<SVector<f64, CAMERA>>,
}

/// Weak knowledge of any lens, so that few pictures of a board do not make up a wild one: distortion is of the order of one,
/// and the axis goes through the middle third of the picture. It weighs as one corner does.
struct Prior {
    middle: SVector<f64, LENS_NUMBERS>,
    weight: SVector<f64, LENS_NUMBERS>,
}

impl Prior {
    fn of(camera: &Camera) -> Self {
        const PIXEL: f64 = 0.3;
        let [w, h] = camera.size.map(|s| s as f64);
        let mut middle = SVector::zeros();
        (middle[2], middle[3]) = (w / 2.0, h / 2.0);
        let spread = [f64::INFINITY, f64::INFINITY, w / 6.0, h / 6.0, 1.0, 1.0, 0.02, 0.02, 1.0];
        let spread = match camera.lens.model {
            LensModel::Pinhole => spread,
            LensModel::Fisheye => [f64::INFINITY, f64::INFINITY, w / 6.0, h / 6.0, 0.5, 0.5, 0.5, 0.5, 1.0],
        };
        Self { middle, weight: SVector::from(spread).map(|s: f64| (PIXEL / s).powi(2)) }
    }

    fn cost(&self, camera: &Camera) -> f64 {
        let off = SVector::from(camera.lens.numbers()) - self.middle;
        off.component_mul(&off).dot(&self.weight)
    }
}

/// The normal equations of one shot.
struct Part {
    shot: usize,
    board: BoardBlock,
    board_side: SVector<f64, 6>,
    cameras: Vec<(usize, CameraBlock, SVector<f64, CAMERA>, Cross)>,
}

/// The turn and shift `by` applied after a pose.
fn moved(pose: &Isometry3<f64>, by: &SVector<f64, 6>) -> Isometry3<f64> {
    let turn = UnitQuaternion::from_scaled_axis(Vector3::new(by[0], by[1], by[2]));
    let shift = Translation3::new(by[3], by[4], by[5]);
    // `p -> p + w x p + v` to first order, as the derivatives have it.
    Isometry3::from_parts(
        Translation3::from(turn * pose.translation.vector + shift.vector),
        turn * pose.rotation,
    )
}

fn cross(p: &Vector3<f64>) -> Matrix3<f64> {
    p.cross_matrix()
}

/// Errors of one sight: sum of squares, corners, and the largest.
fn seen_errors(scene: &Scene, board: &Board, sight: &Sight) -> impl Iterator<Item = f64> {
    let camera = scene.cameras.get(sight.camera).cloned();
    let pose = scene.boards.get(sight.shot).copied();
    sight.corners.iter().map(move |c| {
        let at = pose.map(|p| (p * Point3::from(board.corner(c.index))).coords);
        let seen = at.zip(camera.as_ref()).and_then(|(at, camera)| camera.project(&at));
        seen.map_or(f64::INFINITY, |p| p.distance(c.at))
    })
}

/// Distances between seen and projected corners of a sight, in pixels; infinite behind the camera.
#[must_use]
pub fn errors(scene: &Scene, board: &Board, sight: &Sight) -> Vec<f64> {
    seen_errors(scene, board, sight).collect()
}

/// Root mean square error of some sights, in pixels; NaN of none.
#[must_use]
pub fn rms<'a>(scene: &Scene, board: &Board, sights: impl IntoIterator<Item = &'a Sight>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for error in sights.into_iter().flat_map(|s| errors(scene, board, s)) {
        sum += error * error;
        count += 1.0;
    }
    (sum / count).sqrt()
}

fn cost(scene: &Scene, board: &Board, shots: &[Vec<&Sight>], options: &Options) -> f64 {
    let corners: f64 = shots
        .par_iter()
        .map(|sights| {
            sights
                .iter()
                .flat_map(|s| seen_errors(scene, board, s))
                .map(|e| huber(e, options.huber))
                .sum::<f64>()
        })
        .collect::<Vec<_>>()
        .iter()
        .sum();
    let priors: f64 =
        if options.lenses { scene.cameras.iter().map(|c| Prior::of(c).cost(c)).sum() } else { 0.0 };
    corners + priors
}

fn huber(e: f64, limit: f64) -> f64 {
    if e <= limit { e * e } else { 2.0 * limit * e - limit * limit }
}

fn part(scene: &Scene, board: &Board, shot: usize, sights: &[&Sight], options: &Options) -> Part {
    let mut part = Part {
        shot,
        board: BoardBlock::zeros(),
        board_side: SVector::zeros(),
        cameras: Vec::with_capacity(sights.len()),
    };
    let pose = scene.boards[shot];
    for sight in sights {
        let camera = &scene.cameras[sight.camera];
        let turn = camera.pose.rotation.to_rotation_matrix();
        let (mut a, mut side, mut c) =
            (CameraBlock::zeros(), SVector::<f64, CAMERA>::zeros(), Cross::zeros());
        for corner in &sight.corners {
            let world = (pose * Point3::from(board.corner(corner.index))).coords;
            let inside = (camera.pose * Point3::from(world)).coords;
            let Some(found) = camera.lens.project_with(&inside) else { continue };
            let off = SVector::<f64, 2>::new(found.at.x - corner.at.x, found.at.y - corner.at.y);
            let far = off.norm();
            let weight = if far > options.huber { options.huber / far } else { 1.0 };
            let mut by_camera = SMatrix::<f64, 2, CAMERA>::zeros();
            by_camera.fixed_view_mut::<2, LENS_NUMBERS>(0, 0).copy_from(&found.by_lens);
            by_camera.fixed_view_mut::<2, 3>(0, 9).copy_from(&(-found.by_point * cross(&inside)));
            by_camera.fixed_view_mut::<2, 3>(0, 12).copy_from(&found.by_point);
            let by_world = found.by_point * turn.matrix();
            let mut by_board = SMatrix::<f64, 2, 6>::zeros();
            by_board.fixed_view_mut::<2, 3>(0, 0).copy_from(&(-by_world * cross(&world)));
            by_board.fixed_view_mut::<2, 3>(0, 3).copy_from(&by_world);
            a += by_camera.transpose() * by_camera * weight;
            side += by_camera.transpose() * off * weight;
            c += by_camera.transpose() * by_board * weight;
            part.board += by_board.transpose() * by_board * weight;
            part.board_side += by_board.transpose() * off * weight;
        }
        part.cameras.push((sight.camera, a, side, c));
    }
    part
}

/// Which numbers of camera `index` stay as they are.
fn fixed(index: usize, camera: &Camera, options: &Options) -> [bool; CAMERA] {
    let mut fixed = [false; CAMERA];
    for (k, f) in fixed.iter_mut().enumerate() {
        *f = if k < LENS_NUMBERS {
            !options.lenses || k >= 4 + camera.lens.model.coefficients()
        } else {
            index == 0
        };
    }
    fixed
}

/// The equations of all cameras, boards eliminated: the matrix and the right side, and what gives the boards back.
struct Reduced {
    matrix: DMatrix<f64>,
    side: DVector<f64>,
    /// For each part, the inverse of the board's block.
    inverses: Vec<BoardBlock>,
}

fn reduce(scene: &Scene, parts: &[Part], options: &Options, damping: f64) -> Option<Reduced> {
    let n = scene.cameras.len() * CAMERA;
    let (mut matrix, mut side) = (DMatrix::<f64>::zeros(n, n), DVector::<f64>::zeros(n));
    let mut inverses = Vec::with_capacity(parts.len());
    for part in parts {
        for (camera, a, b, _) in &part.cameras {
            let at = camera * CAMERA;
            let mut view = matrix.fixed_view_mut::<CAMERA, CAMERA>(at, at);
            view += a;
            let mut rows = side.fixed_rows_mut::<CAMERA>(at);
            rows += b;
        }
    }
    if options.lenses {
        for (i, camera) in scene.cameras.iter().enumerate() {
            let prior = Prior::of(camera);
            let off = SVector::from(camera.lens.numbers()) - prior.middle;
            for k in 0..LENS_NUMBERS {
                matrix[(i * CAMERA + k, i * CAMERA + k)] += prior.weight[k];
                side[i * CAMERA + k] += prior.weight[k] * off[k];
            }
        }
    }
    for k in 0..n {
        matrix[(k, k)] *= 1.0 + damping;
    }
    for part in parts {
        let mut block = part.board;
        for k in 0..6 {
            block[(k, k)] *= 1.0 + damping;
        }
        let inverse = block.cholesky()?.inverse();
        for (i, _, _, ci) in &part.cameras {
            let weighed = ci * inverse;
            let mut rows = side.fixed_rows_mut::<CAMERA>(i * CAMERA);
            rows -= weighed * part.board_side;
            for (j, _, _, cj) in &part.cameras {
                let mut view = matrix.fixed_view_mut::<CAMERA, CAMERA>(i * CAMERA, j * CAMERA);
                view -= weighed * cj.transpose();
            }
        }
        inverses.push(inverse);
    }
    for (i, camera) in scene.cameras.iter().enumerate() {
        for (k, _) in fixed(i, camera, options).iter().enumerate().filter(|(_, f)| **f) {
            let at = i * CAMERA + k;
            matrix.row_mut(at).fill(0.0);
            matrix.column_mut(at).fill(0.0);
            matrix[(at, at)] = 1.0;
            side[at] = 0.0;
        }
    }
    Some(Reduced { matrix, side, inverses })
}

/// The scene after a step of the damped equations; `None` where they cannot be solved.
fn step(scene: &Scene, parts: &[Part], options: &Options, damping: f64) -> Option<Scene> {
    let Reduced { matrix, side, inverses } = reduce(scene, parts, options, damping)?;
    let change = -matrix.cholesky()?.solve(&side);
    let mut next = scene.clone();
    for (i, camera) in next.cameras.iter_mut().enumerate() {
        let own = change.fixed_rows::<CAMERA>(i * CAMERA);
        let mut numbers = camera.lens.numbers();
        for (k, number) in numbers.iter_mut().enumerate() {
            *number += own[k];
        }
        camera.lens = camera.lens.with_numbers(numbers);
        camera.pose = moved(&camera.pose, &own.fixed_rows::<6>(LENS_NUMBERS).into_owned());
    }
    for (part, inverse) in parts.iter().zip(&inverses) {
        let mut side = part.board_side;
        for (camera, _, _, c) in &part.cameras {
            side += c.transpose() * change.fixed_rows::<CAMERA>(camera * CAMERA);
        }
        next.boards[part.shot] = moved(&next.boards[part.shot], &(-(inverse * side)));
    }
    Some(next)
}

/// Improves `scene` until it fits the `sights` of `board` best.
///
/// # Errors
/// [`Kind::Compute`] when there is nothing to fit or the equations have no solution; when stopped.
pub fn adjust(
    scene: &mut Scene,
    board: &Board,
    sights: &[Sight],
    options: &Options,
    watch: &dyn Watch,
) -> Result<Fit> {
    let unsolvable = || {
        Error::new(Kind::Compute, "the boards that were seen do not determine the cameras")
            .mend("film the board again: nearer, turned and tilted, and by two cameras at once")
    };
    let mut shots: Vec<Vec<&Sight>> = vec![Vec::new(); scene.boards.len()];
    for sight in sights.iter().filter(|s| s.camera < scene.cameras.len() && !s.corners.is_empty()) {
        shots.get_mut(sight.shot).ok_or_else(unsolvable)?.push(sight);
    }
    let used: Vec<usize> = (0..shots.len()).filter(|s| !shots[*s].is_empty()).collect();
    if used.is_empty() {
        return Err(unsolvable());
    }
    let parts_of = |scene: &Scene| -> Vec<Part> {
        used.par_iter().map(|s| part(scene, board, *s, &shots[*s], options)).collect()
    };
    let mut now = cost(scene, board, &shots, options);
    if !now.is_finite() {
        return Err(unsolvable());
    }
    let (mut damping, mut steps) = (1e-3, 0);
    let mut parts = parts_of(scene);
    while steps < options.steps {
        watch.check()?;
        steps += 1;
        let next = step(scene, &parts, options, damping);
        let after = next.as_ref().map_or(f64::INFINITY, |n| cost(n, board, &shots, options));
        match next {
            Some(next) if after < now => {
                let gain = (now - after) / now.max(1e-30);
                *scene = next;
                now = after;
                if gain < 1e-9 {
                    break;
                }
                damping = (damping * 0.1_f64).max(1e-12);
                parts = parts_of(scene);
            }
            _ => {
                damping *= 10.0;
                if damping > 1e8 {
                    break; // no direction leads further down
                }
            }
        }
    }
    let rms = rms(scene, board, shots.iter().flatten().copied());
    let deviations = deviations(scene, &parts_of(scene), board, &shots, options);
    Ok(Fit { rms, steps, deviations })
}

/// From the inverse of the reduced equations and the size of the errors.
fn deviations(
    scene: &Scene,
    parts: &[Part],
    board: &Board,
    shots: &[Vec<&Sight>],
    options: &Options,
) -> Vec<SVector<f64, CAMERA>> {
    let nothing = vec![SVector::repeat(f64::NAN); scene.cameras.len()];
    let Some(reduced) = reduce(scene, parts, options, 0.0) else { return nothing };
    let Some(factor) = reduced.matrix.cholesky() else { return nothing };
    let inverse = factor.inverse();
    let errors: Vec<f64> = shots.iter().flatten().flat_map(|s| seen_errors(scene, board, s)).collect();
    let free: usize = scene
        .cameras
        .iter()
        .enumerate()
        .map(|(i, c)| fixed(i, c, options).iter().filter(|f| !**f).count())
        .sum::<usize>()
        + 6 * parts.len();
    let left = (2 * errors.len()).saturating_sub(free).max(1) as f64;
    let variance = errors.iter().map(|e| huber(*e, options.huber)).sum::<f64>() / left;
    scene
        .cameras
        .iter()
        .enumerate()
        .map(|(i, camera)| {
            let fixed = fixed(i, camera, options);
            SVector::from_fn(|k, _| {
                let at = i * CAMERA + k;
                if fixed[k] { 0.0 } else { (variance * inverse[(at, at)]).max(0.0).sqrt() }
            })
        })
        .collect()
}
