use super::*;
use crate::camera::{Lens, LensModel, Mount};
use crate::watch::Quiet;
use nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Cameras on a ring that look at the middle, each with a lens of its own; the first is the world.
fn ring(count: usize, model: LensModel) -> Vec<Camera> {
    let size = [640, 480];
    let cameras: Vec<Camera> = (0..count)
        .map(|i| {
            let angle = i as f64 * 1.1;
            let lens = Lens {
                model,
                focal: [560.0 + 9.0 * i as f64, 563.0 + 8.0 * i as f64],
                centre: [322.0 + i as f64, 236.5 - i as f64],
                distortion: match model {
                    LensModel::Pinhole => [-0.21 + 0.02 * i as f64, 0.07, 3e-4, -4e-4, 0.0],
                    LensModel::Fisheye => [0.03, -0.01, 0.004, 0.0, 0.0],
                },
            };
            let from = Vector3::new(600.0 * angle.sin(), -600.0 * angle.cos(), 450.0 + 40.0 * i as f64);
            Camera::new(format!("cam{i}"), size, lens).looking(from, Vector3::zeros(), Vector3::z())
        })
        .collect();
    let first = cameras[0].pose;
    cameras.into_iter().map(|c| Camera { pose: c.pose * first.inverse(), ..c }).collect()
}

fn rig(cameras: &[Camera], board: Board) -> Rig {
    let mount = |c: &Camera| Mount { name: c.name.clone(), model: c.lens.model, ..Mount::default() };
    Rig { cameras: cameras.iter().map(mount).collect(), board: Some(board), ..Rig::default() }
}

fn board() -> Board {
    Board::Charuco { columns: 8, rows: 6, square: 30.0, marker: 22.0, dictionary: "DICT_4X4_50".into() }
}

/// Boards held at random near the middle, as all cameras see them, with noise of `noise` pixels in x and y.
fn film(cameras: &[Camera], board: &Board, shots: usize, noise: f64, seed: u64) -> Seen {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let middle = cameras[0].pose * Point3::from(Vector3::zeros());
    // The ring's middle, in the first camera's frame: 600 mm away and 450 mm up.
    let middle = Point3::new(middle.x, middle.y, middle.z + (600.0_f64.powi(2) + 450.0_f64.powi(2)).sqrt());
    let mut seen = Seen { sizes: cameras.iter().map(|c| Some(c.size)).collect(), ..Seen::default() };
    for shot in 0..shots {
        let mut any = |reach: f64| rng.random_range(-reach..reach);
        // Facing the first camera, more or less, so that most of the ring sees it from some side.
        let turn = UnitQuaternion::from_euler_angles(any(0.7), any(0.7), any(3.0));
        let place = Translation3::new(middle.x + any(150.0), middle.y + any(110.0), middle.z + any(150.0));
        let centre = Translation3::new(-105.0, -75.0, 0.0);
        let pose = Isometry3::from_parts(place, turn) * centre;
        seen.shots.push(Shot { session: "s".into(), frame: Some(shot) });
        for (c, camera) in cameras.iter().enumerate() {
            let corners: Vec<Corner> = (0..board.count())
                .filter_map(|index| {
                    let world = (pose * Point3::from(board.corner(index))).coords;
                    let at = camera.project(&world).filter(|_| camera.sees(&world))?;
                    let [dx, dy]: [f64; 2] = std::array::from_fn(|_| rng.sample(StandardNormal));
                    Some(Corner { index, at: Keypoint::new(at.x + noise * dx, at.y + noise * dy) })
                })
                .collect();
            if corners.len() > 10 {
                seen.sights.push(Sight { camera: c, shot, corners });
            }
        }
    }
    seen
}

fn check(found: &[Camera], truth: &[Camera], share: f64) {
    let size = truth.iter().map(|c| c.position().norm()).fold(1.0, f64::max);
    for (f, t) in found.iter().zip(truth) {
        let off = (f.position() - t.position()).norm();
        assert!(off < share * size, "{}: {off} mm off of {size}", t.name);
        for k in 0..2 {
            let off = (f.lens.focal[k] / t.lens.focal[k] - 1.0).abs();
            assert!(off < share, "{}: focal length {} for {}", t.name, f.lens.focal[k], t.lens.focal[k]);
        }
    }
}

#[test]
fn exact_corners_give_the_exact_cameras() {
    for (model, count) in [(LensModel::Pinhole, 3), (LensModel::Fisheye, 2), (LensModel::Pinhole, 1)] {
        let truth = ring(count, model);
        let seen = film(&truth, &board(), 30, 0.0, 1);
        let done = calibrate(&rig(&truth, board()), &seen, &Options::default(), &Quiet::default()).unwrap();
        // The weak knowledge of lenses pulls a little.
        assert!(done.rms < 0.01, "{model:?}: {}", done.rms);
        check(&done.rig.calibrated().unwrap(), &truth, 5e-4);
        assert!(done.dropped.is_empty());
    }
}

#[test]
fn noise_and_outliers_are_borne_and_deviations_are_honest() {
    let truth = ring(3, LensModel::Pinhole);
    let mut seen = film(&truth, &board(), 60, 0.3, 2);
    // Two boards were found wrongly: shifted by one square.
    for s in [5, 17] {
        seen.sights[s].corners.iter_mut().for_each(|c| c.at.x += 25.0);
    }
    let done = calibrate(&rig(&truth, board()), &seen, &Options::default(), &Quiet::default()).unwrap();
    check(&done.rig.calibrated().unwrap(), &truth, 2e-3);
    assert_eq!(done.dropped.len(), 2, "{:?}", done.dropped);
    assert!((done.rms - 0.3 * 2.0_f64.sqrt()).abs() < 0.02, "{}", done.rms);
    assert!(done.rms <= done.rms_before);
    for (facts, t) in done.cameras.iter().zip(&truth) {
        for k in 0..2 {
            let z = (facts.focal_px[k] - t.lens.focal[k]) / facts.focal_deviation_px[k];
            assert!(z.abs() < 4.5, "{}: {z} deviations", facts.name);
        }
    }
}

#[test]
fn deviations_of_focal_lengths_cover() {
    // Over many draws two of three are within one deviation.
    let truth = ring(2, LensModel::Pinhole);
    let mut z = Vec::new();
    for seed in 0..16 {
        let seen = film(&truth, &board(), 20, 0.4, 100 + seed);
        let done = calibrate(&rig(&truth, board()), &seen, &Options::default(), &Quiet::default()).unwrap();
        for (facts, t) in done.cameras.iter().zip(&truth) {
            z.extend((0..2).map(|k| (facts.focal_px[k] - t.lens.focal[k]) / facts.focal_deviation_px[k]));
        }
    }
    let within = z.iter().filter(|z| z.abs() < 1.0).count() as f64 / z.len() as f64;
    assert!((0.5..0.85).contains(&within), "{within}");
    assert!(z.iter().all(|z| z.abs() < 5.0));
}

#[test]
fn cameras_that_share_no_view_are_named() {
    let truth = ring(3, LensModel::Pinhole);
    let mut seen = film(&truth, &board(), 40, 0.1, 3);
    // The third camera filmed at other moments.
    for s in seen.sights.iter_mut().filter(|s| s.camera == 2) {
        s.shot += 40;
    }
    seen.shots = (0..80).map(|f| Shot { session: "s".into(), frame: Some(f) }).collect();
    let e = calibrate(&rig(&truth, board()), &seen, &Options::default(), &Quiet::default()).unwrap_err();
    assert!(e.what().contains("`cam0`, `cam1` | `cam2`"), "{e}");
}

#[test]
fn recordings_of_other_moments_are_told() {
    let truth = ring(3, LensModel::Pinhole);
    let mut seen = film(&truth, &board(), 40, 0.1, 4);
    for s in seen.sights.iter_mut().filter(|s| s.camera == 1) {
        s.shot = (s.shot + 3) % 40;
    }
    let done = calibrate(&rig(&truth, board()), &seen, &Options::default(), &Quiet::default()).unwrap();
    assert_eq!(done.verdict.grade, Grade::Poor);
    let words = done.verdict.words();
    assert!(words.contains("`cam0` and `cam1`") && words.contains("frame_offset"), "{words}");
    assert!(!words.contains("`cam0` and `cam2` see different"), "{words}");
}

#[test]
fn a_camera_that_films_through_a_mirror_is_named() {
    let board = Board::Checkerboard { columns: 9, rows: 6, square: 30.0 };
    let truth = ring(3, LensModel::Pinhole);
    let mut seen = film(&truth, &board, 40, 0.2, 8);
    for sight in seen.sights.iter_mut().filter(|s| s.camera == 2) {
        for c in &mut sight.corners {
            // Where the other side of the picture is, corners are counted from the board's other side.
            c.at.x = 639.0 - c.at.x;
            c.index = (5 - c.index / 9) * 9 + c.index % 9;
        }
    }
    let done = calibrate(&rig(&truth, board), &seen, &Options::default(), &Quiet::default()).unwrap();
    let words = done.verdict.words();
    assert!(done.verdict.grade == Grade::Poor && words.contains("`cam2` sees the board mirrored"), "{words}");
    assert!(!words.contains("different boards"), "{words}");
}

#[test]
fn too_few_boards_are_told_by_camera() {
    let truth = ring(2, LensModel::Pinhole);
    let mut seen = film(&truth, &board(), 12, 0.1, 5);
    let mut left = 3;
    seen.sights.retain(|s| {
        s.camera == 0 || {
            left -= 1;
            left >= 0
        }
    });
    let e = calibrate(&rig(&truth, board()), &seen, &Options::default(), &Quiet::default()).unwrap_err();
    assert!(e.what().contains("`cam1` (3 times)"), "{e}");
    let done = calibrate(
        &rig(&truth[..1], board()),
        &film(&truth[..1], &board(), 6, 0.1, 6),
        &Options::default(),
        &Quiet::default(),
    )
    .unwrap();
    assert!(done.verdict.words().contains("only 6 boards"), "{}", done.verdict.words());
}

/// DeepLabCut's stereo example with its published calibration: 9 x 6 corners, 30 mm.
#[test]
fn a_real_pair_of_cameras() {
    let folder = std::env::var_os("LIMN_SHARED_DATA")
        .map_or_else(|| std::path::PathBuf::from("../shared/data"), Into::into)
        .join("stereo");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not here", folder.display());
        return;
    }
    let mount = |name: &str| Mount { name: name.into(), ..Mount::default() };
    let rig = Rig {
        cameras: vec![mount("left"), mount("right")],
        board: Some(Board::Checkerboard { columns: 9, rows: 6, square: 30.0 }),
        ..Rig::default()
    };
    let seen = look(&rig, &[folder], 400, &Quiet::default()).unwrap();
    assert_eq!((seen.shots.len(), seen.sights.len()), (14, 28));
    let done = calibrate(&rig, &seen, &Options::default(), &Quiet::default()).unwrap();
    for c in &done.cameras {
        eprintln!(
            "{}: alone {:.4}, together {:.4} px, focal {:?} +- {:?}",
            c.name, c.rms_alone_px, c.rms_px, c.focal_px, c.focal_deviation_px
        );
    }
    let cameras = done.rig.calibrated().unwrap();
    let baseline = (cameras[0].position() - cameras[1].position()).norm();
    eprintln!(
        "stereo {:.4} before, {:.4} after; baseline {baseline:.3} mm; dropped {}",
        done.rms_before,
        done.rms,
        done.dropped.len()
    );
    eprintln!("{}", done.verdict.words());
    assert!(done.cameras.iter().all(|c| c.rms_alone_px <= 0.45));
    assert!(done.rms_before <= 0.44 && done.rms < done.rms_before);
    assert!((baseline - 100.0).abs() < 1.0, "{baseline}");
    // The published calibrations of the same pictures.
    for (camera, focal) in cameras.iter().zip([533.0, 537.0]) {
        assert!(camera.lens.focal.iter().all(|f| (f / focal - 1.0).abs() < 0.015));
    }
    // A board of another size is not found, and that is said.
    let wrong = Rig { board: Some(Board::Checkerboard { columns: 8, rows: 5, square: 30.0 }), ..rig };
    let folder = std::env::var_os("LIMN_SHARED_DATA")
        .map_or_else(|| "../shared/data".into(), std::path::PathBuf::from);
    let few = [folder.join("stereo/left01.jpg"), folder.join("stereo/right01.jpg")];
    if let Err(e) = look(&wrong, &few, 400, &Quiet::default()) {
        assert!(e.what().contains("9 x 6"), "{e}");
    } else {
        panic!("a board of 8 x 5 corners was found in one of 9 x 6");
    }
}
