//! Finding the corners of a board in a picture, with OpenCV.

use super::Corner;
use crate::camera::Board;
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::Keypoint;
use opencv::core::{self, Mat, Point2f, Ptr, Size, TermCriteria, Vec3b, Vector};
use opencv::prelude::*;
use opencv::{aruco, calib3d, imgproc};

/// Corners of a ChArUco board below which a picture says nothing about where the board is.
const FEWEST: usize = 6;

/// The dictionaries that OpenCV knows, by its own names and numbers.
const DICTIONARIES: [(&str, i32); 21] = [
    ("DICT_4X4_50", 0),
    ("DICT_4X4_100", 1),
    ("DICT_4X4_250", 2),
    ("DICT_4X4_1000", 3),
    ("DICT_5X5_50", 4),
    ("DICT_5X5_100", 5),
    ("DICT_5X5_250", 6),
    ("DICT_5X5_1000", 7),
    ("DICT_6X6_50", 8),
    ("DICT_6X6_100", 9),
    ("DICT_6X6_250", 10),
    ("DICT_6X6_1000", 11),
    ("DICT_7X7_50", 12),
    ("DICT_7X7_100", 13),
    ("DICT_7X7_250", 14),
    ("DICT_7X7_1000", 15),
    ("DICT_ARUCO_ORIGINAL", 16),
    ("DICT_APRILTAG_16h5", 17),
    ("DICT_APRILTAG_25h9", 18),
    ("DICT_APRILTAG_36h10", 19),
    ("DICT_APRILTAG_36h11", 20),
];

/// OpenCV's names of dictionaries, for choices.
pub fn dictionaries() -> impl Iterator<Item = &'static str> {
    DICTIONARIES.iter().map(|d| d.0)
}

fn dictionary(name: &str) -> Result<i32> {
    DICTIONARIES.iter().find(|d| d.0.eq_ignore_ascii_case(name)).map(|d| d.1).ok_or_else(|| {
        let known: Vec<&str> = dictionaries().collect();
        Error::new(Kind::Config, format!("there is no dictionary of markers called `{name}`"))
            .mend(format!("use one of {}", known.join(", ")))
    })
}

/// The corners of `board` in a picture, by their index on the board; empty where it is not seen (or, of a checkerboard, not
/// whole). Positions are pixels with the centre of the top-left pixel at (0.5, 0.5).
///
/// A checkerboard whose numbers of corners are one odd and one even has one right way round: the square between its first four
/// corners is black. Others may come back turned by half a turn.
///
/// # Errors
/// When the dictionary is unknown, or OpenCV fails.
pub fn corners(board: &Board, picture: &Picture) -> Result<Vec<Corner>> {
    let opencv = |e: opencv::Error| {
        Error::new(Kind::Compute, format!("OpenCV cannot look for the board: {}", e.message)).because(e)
    };
    let grey = grey(picture).map_err(opencv)?;
    match board {
        Board::Checkerboard { .. } => checkerboard(&grey, board.corners()).map_err(opencv),
        Board::Charuco { columns, rows, square, marker, dictionary: name } => {
            let number = dictionary(name)?;
            charuco(&grey, [*columns, *rows], [*square, *marker], number).map_err(opencv)
        }
    }
}

fn grey(picture: &Picture) -> opencv::Result<Mat> {
    let rows = Mat::new_rows_cols_with_bytes::<Vec3b>(
        as_i32(picture.height()),
        as_i32(picture.width()),
        picture.rgb(),
    )?;
    let mut grey = Mat::default();
    imgproc::cvt_color_def(&rows, &mut grey, imgproc::COLOR_RGB2GRAY)?;
    Ok(grey)
}

fn checkerboard(grey: &Mat, [across, down]: [usize; 2]) -> opencv::Result<Vec<Corner>> {
    let mut found = Vector::<Point2f>::new();
    let size = Size::new(as_i32(across), as_i32(down));
    // The fast check refuses pictures without a board in a tenth of the time.
    let flags =
        calib3d::CALIB_CB_ADAPTIVE_THRESH | calib3d::CALIB_CB_NORMALIZE_IMAGE | calib3d::CALIB_CB_FAST_CHECK;
    if !calib3d::find_chessboard_corners(grey, size, &mut found, flags)? || found.len() != across * down {
        return Ok(Vec::new());
    }
    refine(grey, &mut found, across)?;
    let at: Vec<Keypoint> = found.iter().map(point).collect();
    let turned = !(across + down).is_multiple_of(2) && bright_first(grey, &at, across)?;
    let last = at.len() - 1;
    Ok(at
        .into_iter()
        .enumerate()
        .map(|(i, at)| Corner { index: if turned { last - i } else { i }, at })
        .collect())
}

/// Corners to a fraction of a pixel, in a window that stays within half of the smallest square.
fn refine(grey: &Mat, corners: &mut Vector<Point2f>, across: usize) -> opencv::Result<()> {
    let at: Vec<Point2f> = corners.to_vec();
    let gap = |a: Point2f, b: Point2f| (a.x - b.x).hypot(a.y - b.y);
    let beside = at.windows(2).enumerate().filter(|(i, _)| !(i + 1).is_multiple_of(across));
    let below = at.iter().zip(at.iter().skip(across)).map(|(a, b)| gap(*a, *b));
    let smallest = beside.map(|(_, p)| gap(p[0], p[1])).chain(below).fold(f32::INFINITY, f32::min);
    #[allow(clippy::cast_possible_truncation)]
    let window = (smallest * 0.4).clamp(2.0, 11.0) as i32;
    let stop = TermCriteria::new(core::TermCriteria_COUNT + core::TermCriteria_EPS, 60, 1e-4)?;
    imgproc::corner_sub_pix(grey, corners, Size::new(window, window), Size::new(-1, -1), stop)
}

/// Whether the square between the first four corners is brighter than its neighbour, so that the board was found turned.
fn bright_first(grey: &Mat, at: &[Keypoint], across: usize) -> opencv::Result<bool> {
    let middle = |column: usize| -> opencv::Result<f64> {
        let four = [column, column + 1, across + column, across + column + 1];
        let [x, y] = four.iter().fold([0.0, 0.0], |[x, y], i| [x + at[*i].x / 4.0, y + at[*i].y / 4.0]);
        let mut sum = 0.0;
        for (dx, dy) in [(0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)] {
            #[allow(clippy::cast_possible_truncation)]
            let (x, y) = ((x + dx) as i32, (y + dy) as i32);
            sum += f64::from(*grey.at_2d::<u8>(y.clamp(0, grey.rows() - 1), x.clamp(0, grey.cols() - 1))?);
        }
        Ok(sum)
    };
    Ok(across > 2 && middle(0)? > middle(1)?)
}

fn charuco(
    grey: &Mat,
    [columns, rows]: [usize; 2],
    [square, marker]: [f64; 2],
    number: i32,
) -> opencv::Result<Vec<Corner>> {
    let dictionary = aruco::get_predefined_dictionary_i32(number)?;
    #[allow(clippy::cast_possible_truncation)]
    let board = aruco::CharucoBoard::create(
        as_i32(columns),
        as_i32(rows),
        square as f32,
        marker as f32,
        &dictionary,
    )?;
    let (markers, ids) = markers(grey, &dictionary)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let starts = between_markers(&board, &markers, &ids)?;
    let mut found = Vec::with_capacity(starts.len());
    for start in starts {
        found.extend(start.refined(grey, 0.5 * (1.0 - marker / square))?);
    }
    // In one line they do not say how the board is turned.
    let across = columns.saturating_sub(1).max(1);
    let lines = |of: &dyn Fn(usize) -> usize| found.iter().any(|c| of(c.index) != of(found[0].index));
    let flat = found.len() < FEWEST || !lines(&|i| i / across) || !lines(&|i| i % across);
    Ok(if flat { Vec::new() } else { found })
}

/// About where a corner is, as the markers beside it have it.
struct Start {
    index: usize,
    /// With the first pixel's centre at 0, as OpenCV counts.
    at: [f64; 2],
    /// The shortest side of a square there, in pixels.
    side: f64,
}

/// Each corner from the two markers that touch its black squares: a homography of each marker reaches over to it.
///
/// OpenCV's own way from markers to corners also refines them, in windows that let markers draw corners of tilted boards
/// to themselves; so that is done here.
fn between_markers(
    board: &Ptr<aruco::CharucoBoard>,
    markers: &Vector<Vector<Point2f>>,
    ids: &Vector<i32>,
) -> opencv::Result<Vec<Start>> {
    let (objects, order) = (board.obj_points(), board.ids());
    let (chess, near) = (board.chessboard_corners(), board.nearest_marker_idx());
    // For each marker of the board its map from the board into the picture, and its shortest side.
    let mut maps: Vec<Option<(Mat, f64)>> = (0..objects.len()).map(|_| None).collect();
    for (id, seen) in ids.iter().zip(markers.iter()) {
        let Some(which) = order.iter().position(|o| o == id) else { continue };
        let object = objects.get(which)?;
        if seen.len() != 4 || object.len() != 4 {
            continue;
        }
        let flat: Vector<Point2f> = object.iter().map(|p| Point2f::new(p.x, p.y)).collect();
        let long = |v: &Vector<Point2f>| -> opencv::Result<Vec<f64>> {
            (0..4)
                .map(|k| {
                    let (a, b) = (v.get(k)?, v.get((k + 1) % 4)?);
                    Ok(f64::from(a.x - b.x).hypot(f64::from(a.y - b.y)))
                })
                .collect()
        };
        let (real, shown) = (long(&flat)?, long(&seen)?);
        let scale = real.iter().zip(&shown).map(|(r, s)| s / r).fold(f64::INFINITY, f64::min);
        maps[which] = Some((imgproc::get_perspective_transform_def(&flat, &seen)?, scale));
    }
    let square = board.get_square_length()?;
    let mut starts = Vec::new();
    for (index, corner) in chess.iter().enumerate() {
        let beside = near.get(index)?;
        let (mut sum, mut side) = ([0.0; 2], f64::INFINITY);
        let mut count = 0.0;
        for which in beside.iter().filter_map(|w| usize::try_from(w).ok()) {
            let Some(Some((map, scale))) = maps.get(which) else { continue };
            let m = |r: i32, c: i32| map.at_2d::<f64>(r, c).copied();
            let (x, y) = (f64::from(corner.x), f64::from(corner.y));
            let w = m(2, 0)? * x + m(2, 1)? * y + m(2, 2)?;
            sum[0] += (m(0, 0)? * x + m(0, 1)? * y + m(0, 2)?) / w;
            sum[1] += (m(1, 0)? * x + m(1, 1)? * y + m(1, 2)?) / w;
            side = side.min(scale * f64::from(square));
            count += 1.0;
        }
        if count > 1.5 && sum.iter().all(|v| v.is_finite()) {
            starts.push(Start { index, at: sum.map(|v| v / count), side });
        }
    }
    Ok(starts)
}

impl Start {
    /// The corner itself, in a window that ends before the nearest markers, `gap` of a square away; none where it is too small
    /// to be told from them, or something else draws it away.
    fn refined(&self, grey: &Mat, gap: f64) -> opencv::Result<Option<Corner>> {
        #[allow(clippy::cast_possible_truncation)]
        let window = (self.side * gap).round().clamp(2.0, 11.0) as i32;
        let inside = |v: f64, size: i32| v > 2.0 && v < f64::from(size) - 3.0;
        if self.side * gap < 1.0 || !inside(self.at[0], grey.cols()) || !inside(self.at[1], grey.rows()) {
            return Ok(None);
        }
        let stop = TermCriteria::new(core::TermCriteria_COUNT + core::TermCriteria_EPS, 40, 1e-3)?;
        #[allow(clippy::cast_possible_truncation)]
        let mut one = Vector::<Point2f>::from_iter([Point2f::new(self.at[0] as f32, self.at[1] as f32)]);
        imgproc::corner_sub_pix(grey, &mut one, Size::new(window, window), Size::new(-1, -1), stop)?;
        let after = one.get(0)?;
        let far = (f64::from(after.x) - self.at[0]).hypot(f64::from(after.y) - self.at[1]);
        Ok((far < f64::from(window).max(1.5)).then(|| Corner { index: self.index, at: point(after) }))
    }
}

type Markers = (Vector<Vector<Point2f>>, Vector<i32>);

fn markers(grey: &Mat, dictionary: &Ptr<aruco::Dictionary>) -> opencv::Result<Markers> {
    let (mut corners, mut ids) = (Vector::<Vector<Point2f>>::new(), Vector::<i32>::new());
    let settings = aruco::DetectorParameters::create()?;
    aruco::detect_markers(grey, dictionary, &mut corners, &mut ids, &settings, &mut core::no_array())?;
    Ok((corners, ids))
}

/// Why a board may not be found in pictures that show one: another size, other markers, a mirror. In words, with the mend.
#[must_use]
pub fn suspicion(board: &Board, pictures: &[Picture]) -> Option<(String, String)> {
    match board {
        Board::Checkerboard { columns, rows, square } => {
            // Larger boards first: a small one is found inside a large one.
            let mut sizes: Vec<[usize; 2]> = (3..=14)
                .flat_map(|a| (3..=a).map(move |b| [a, b]))
                .filter(|s| *s != [*columns, *rows])
                .collect();
            sizes.sort_by_key(|[a, b]| std::cmp::Reverse(a * b));
            let size = sizes.into_iter().find(|[columns, rows]| {
                let other = Board::Checkerboard { columns: *columns, rows: *rows, square: *square };
                pictures.iter().take(4).any(|p| corners(&other, p).is_ok_and(|c| !c.is_empty()))
            })?;
            Some((
                format!(
                    "a checkerboard of {} x {} inner corners is seen, not of {columns} x {rows}",
                    size[0], size[1]
                ),
                "count the inner corners, where four squares meet, and mend `board` in rig.yaml; if they are as it says, the \
                 board was not seen whole, near and sharp"
                    .into(),
            ))
        }
        Board::Charuco { columns, rows, dictionary: name, .. } => {
            let number = dictionary(name).ok()?;
            let seen = |pictures: &[Picture], number: i32| -> usize {
                let count = |p: &Picture| -> opencv::Result<usize> {
                    Ok(markers(&grey(p)?, &aruco::get_predefined_dictionary_i32(number)?)?.1.len())
                };
                pictures.iter().map(|p| count(p).unwrap_or(0)).sum()
            };
            let plain = seen(pictures, number);
            let mirrored: Vec<Picture> = pictures.iter().map(mirror).collect();
            if seen(&mirrored, number) > plain.max(3) {
                return Some((
                    "the board is seen mirrored".into(),
                    "film it directly, not in a mirror, and switch off mirroring in the camera's settings"
                        .into(),
                ));
            }
            // Dictionaries of one size share their first markers: those that find many at once are the right kind.
            let (other, count) = DICTIONARIES
                .iter()
                .filter(|d| d.1 != number)
                .map(|d| (d.0, seen(pictures, d.1)))
                .rev() // of equals the first, which is the smallest
                .max_by_key(|(_, n)| *n)?;
            if count > plain.max(3) * 2 {
                return Some((
                    format!("markers of {other} are seen, not of {name}"),
                    "mend `dictionary` under `board` in rig.yaml".into(),
                ));
            }
            (plain > 3).then(|| {
                (
                    format!("markers of {name} are seen, but no corners of a board of {columns} x {rows} squares"),
                    "count the squares across and down and mend `board` in rig.yaml; of an odd and an even number it \
                     matters which is which"
                        .into(),
                )
            })
        }
    }
}

/// Why corners may not fit a ChArUco board though its markers are found: it has more of them, or fewer, or is as many squares
/// across as it should be down.
#[must_use]
pub fn other_size(board: &Board, pictures: &[Picture]) -> Option<String> {
    let Board::Charuco { columns, rows, dictionary: name, .. } = board else { return None };
    let number = dictionary(name).ok()?;
    let ids = |p: &Picture| -> opencv::Result<Vec<i32>> {
        Ok(markers(&grey(p)?, &aruco::get_predefined_dictionary_i32(number)?)?.1.to_vec())
    };
    let mut all: Vec<i32> = pictures.iter().flat_map(|p| ids(p).unwrap_or_default()).collect();
    all.sort_unstable();
    // A single one may be a chance likeness.
    let highest = usize::try_from(all.windows(2).rev().find(|w| w[0] == w[1])?[0]).ok()?;
    let (there, here) = (highest + 1, columns * rows / 2);
    Some(if there == here {
        format!("its {here} markers are all seen; it may be {rows} squares across and {columns} down")
    } else {
        let seen = if there > here { "are seen" } else { "and no higher ones are seen" };
        format!(
            "markers of numbers up to {highest} {seen}, where a board of {columns} x {rows} squares has {here}"
        )
    })
}

fn mirror(picture: &Picture) -> Picture {
    let width = picture.width();
    let mut out = Picture::new(width, picture.height());
    for y in 0..picture.height() {
        for x in 0..width {
            out.set(x, y, picture.get(width - 1 - x, y));
        }
    }
    out
}

/// OpenCV counts the first pixel's centre as 0.
fn point(p: Point2f) -> Keypoint {
    Keypoint::new(f64::from(p.x) + 0.5, f64::from(p.y) + 0.5)
}

fn as_i32(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
