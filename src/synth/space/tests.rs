use super::body::Stuff;
use super::*;

fn small(cameras: usize, seed: u64) -> RigSpec {
    let board = Board::Checkerboard { columns: 6, rows: 4, square: 30.0 };
    RigSpec { width: 320, height: 240, frames: 120, board, ..RigSpec::new(cameras, seed) }
}

/// A scene without floor and light, whose named parts shine.
fn bare(seed: u64) -> RigScene {
    let mut s = RigScene::new(small(3, seed)).unwrap();
    let coat = &mut s.animal.coat;
    (coat.shading, coat.fur, coat.tail, coat.skin) = (0.0, [0.0; 3], [0.0; 3], [0.0; 3]);
    coat.ears = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    (coat.nose, coat.mark) = ([0.0, 0.0, 1.0], [1.0, 1.0, 0.0]);
    for (cell, camera) in s.views.iter_mut().zip(&s.cameras) {
        cell.get_or_init(|| View::new(camera, &s.room));
        cell.get_mut().unwrap().ground.fill(0.0);
    }
    s
}

#[test]
fn truth_is_where_the_parts_are_painted() {
    for seed in 0..2 {
        let s = bare(seed);
        for (frame, camera) in (0..120).step_by(12).flat_map(|f| [(f, 0), (f, 1), (f, 2)]) {
            let mut body = s.body(frame);
            body.blobs.retain(|b| matches!(b.stuff, Stuff::Ear | Stuff::Nose));
            let (at, view) = (&s.cameras[camera], s.view(camera));
            let sheet = cast::paint(&body, &s.animal, at, view, &s.room);
            let truth: Vec<_> = s.truth3d(frame).iter().map(|p| at.project(p).unwrap()).collect();
            for (channel, point) in [(0, 1), (1, 2), (2, 0)] {
                let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
                for (i, px) in sheet.rgb.chunks_exact(3).enumerate() {
                    let v = f64::from(px[channel]);
                    sum += v;
                    x += v * ((sheet.x + i % sheet.width) as f64 + 0.5);
                    y += v * ((sheet.y + i / sheet.width) as f64 + 0.5);
                }
                // An ear behind the other one, or cut off by the frame, has its middle elsewhere.
                let apart = truth[1].distance(truth[2]) > 9.0;
                if !truth[point].inside(312.0, 232.0) || !truth[point].inside(320.0, 240.0) || !apart {
                    continue;
                }
                let off = Keypoint::new(x / sum, y / sum).distance(truth[point]);
                assert!(off < 0.3, "part {point} of frame {frame}, camera {camera}, is {off:.2} px off");
            }
        }
    }
}

#[test]
fn what_is_said_to_be_seen_is_in_the_picture() {
    let s = bare(2);
    let (mut right, mut wrong, mut gone) = (0, 0, 0);
    for (frame, camera) in (0..120).step_by(4).flat_map(|f| [(f, 0), (f, 1), (f, 2)]) {
        let body = s.body(frame);
        let sheet = cast::paint(&body, &s.animal, &s.cameras[camera], s.view(camera), &s.room);
        let (seen, truth) = (s.seen(camera, frame), s.truth2d(camera, frame));
        assert!(seen.iter().zip(&truth).all(|(s, t)| s.is_none() || s == t));
        for (channel, point) in [(0, 1), (1, 2), (2, 0)] {
            let Some(t) = truth[point] else { continue };
            let near = |x: f64, y: f64| (t.x - x).abs() < 2.0 && (t.y - y).abs() < 2.0;
            let light = sheet.rgb.chunks_exact(3).enumerate().any(|(i, px)| {
                let (x, y) = (sheet.x + i % sheet.width, sheet.y + i / sheet.width);
                // Yellow is the dot on the back.
                let own = px[channel] > 0.2 && px[(channel + 1) % 3] < 0.1;
                near(x as f64 + 0.5, y as f64 + 0.5) && own
            });
            match (seen[point].is_some(), light) {
                (true, true) => right += 1,
                (true, false) => wrong += 1,
                (false, _) => gone += 1,
            }
        }
    }
    assert!(wrong * 50 <= right, "{wrong} of {right} are not to be seen");
    assert!(gone > 10 && right > 100, "{gone} hidden, {right} seen");
}

#[test]
fn the_animal_walks_on_the_floor_and_rears() {
    let mut highest: f64 = 0.0;
    for seed in 0..4 {
        let s = RigScene::new(RigSpec { frames: 900, ..small(2, seed) }).unwrap();
        let body = s.animal.size.body;
        let mut before: Option<Vec<Vector3<f64>>> = None;
        for frame in 0..900 {
            let t = s.truth3d(frame);
            highest = highest.max(t[0].z / body);
            for (i, p) in t.iter().enumerate() {
                assert!(p.z > 0.0 && p.z < 1.1 * body, "part {i} at {p}");
                assert!(p.x.abs().max(p.y.abs()) < HALF + 0.15 * body, "part {i} at {p}");
                if let Some(was) = before.as_ref().map(|b| b[i]) {
                    let most = if i == 7 { 0.6 } else { 0.35 };
                    assert!((p - was).norm() < most * body, "seed {seed}, frame {frame}: part {i} jumps");
                }
            }
            // Seen from above, the left ear is to the left of the way from back to nose.
            let (ahead, across) = (t[0] - t[3], t[1] - t[2]);
            assert!(ahead.cross(&across).z > 0.0);
            // Ears, hips and nose belong to one body.
            assert!((t[1] - t[2]).norm() < 0.4 * body && (t[4] - t[5]).norm() < 0.6 * body);
            before = Some(t);
        }
    }
    assert!(highest > 0.6, "no animal rears: {highest}");
}

#[test]
fn the_same_spec_gives_the_same_pictures_in_any_order() {
    let (a, b) = (RigScene::new(small(2, 4)).unwrap(), RigScene::new(small(2, 4)).unwrap());
    let (late, board) = (a.render_animal(1, 33), a.render_board(0, 33));
    assert!(a.render_animal(1, 2) != late && a.render_animal(0, 33) != late);
    assert!(b.render_board(0, 33) == board && b.render_animal(1, 33) == late);
    assert!(a.render_animal(1, 5000) == a.render_animal(7, 119), "beyond the end the last stays");
    let other = RigScene::new(RigSpec { visit: 1, ..small(2, 4) }).unwrap();
    assert_eq!(other.cameras(), a.cameras());
    assert!(other.truth3d(33) != a.truth3d(33) && other.board_pose(33) != a.board_pose(33));
}

#[test]
fn cameras_differ_and_see_the_floor() {
    for n in [2, 3, 6, 12] {
        let s = RigScene::new(RigSpec { cameras: n, ..RigSpec::new(n, n as u64) }).unwrap();
        assert_eq!(s.cameras().len(), n);
        for c in s.cameras() {
            c.lens.check().unwrap();
            let (x, y) = (0.8 * HALF, 0.8 * HALF);
            let corners = [[x, y], [-x, y], [x, -y], [-x, -y], [0.0, 0.0]];
            let seen = corners.iter().filter(|p| c.sees(&Vector3::new(p[0], p[1], 10.0))).count();
            assert!(seen >= 4, "{} of {n} sees {seen}", c.name);
            let middle = c.project(&Vector3::zeros()).unwrap();
            assert!(middle.distance(Keypoint::new(320.0, 240.0)) < 60.0);
        }
        for pair in s.cameras().windows(2) {
            assert!(pair[0].lens != pair[1].lens);
            let apart = (pair[0].position() - pair[1].position()).norm();
            assert!(apart > 150.0, "{apart} mm apart");
        }
    }
}

#[test]
fn squares_are_black_and_white_where_the_truth_says() {
    let s = RigScene::new(small(3, 8)).unwrap();
    let square = s.spec.board.square();
    let (mut looked, mut corners) = (0, 0);
    for (frame, camera) in (0..120).step_by(30).flat_map(|f| [(f, 0), (f, 1), (f, 2)]) {
        let picture = s.render_board(camera, frame);
        let pose = s.board_pose(frame);
        corners += (0..s.spec.board.count()).filter(|i| s.board_seen(camera, frame, *i).is_some()).count();
        for (i, j) in (0..7).flat_map(|i| (0..5).map(move |j| (i, j))) {
            let (u, v) = (f64::from(i) - 0.5, f64::from(j) - 0.5);
            let middle = (pose * Point3::new(u * square, v * square, 0.0)).coords;
            let back = pose.rotation * Vector3::z();
            let facing = back.dot(&(middle - s.cameras[camera].position()).normalize());
            let Some(p) = within(&s.cameras[camera], &middle).filter(|_| facing > 0.4) else { continue };
            let grey = picture.get(p.x as usize, p.y as usize)[1];
            assert_eq!(grey < 90, (i + j) % 2 == 0, "square {i}, {j} of frame {frame}, camera {camera}");
            looked += 1;
        }
    }
    assert!(looked > 100 && corners > 60, "{looked} squares, {corners} corners");
}

#[test]
fn several_cameras_see_the_board_at_once() {
    for n in [2, 3, 6] {
        let s = RigScene::new(RigSpec { frames: 900, ..RigSpec::new(n, 3) }).unwrap();
        let count = s.spec.board.count();
        let mut shared = 0;
        for frame in (0..900).step_by(30) {
            let good = |c: &usize| (0..count).filter(|i| s.board_seen(*c, frame, *i).is_some()).count() > 7;
            shared += usize::from((0..n).filter(good).count() >= 2);
            assert!((0..count).all(|i| s.board_corner(frame, i).z > 0.0), "{n}, {frame}: through the floor");
            let still = (s.board_corner(frame, 0) - s.board_corner(frame + 10, 0)).norm();
            assert!(still < 1e-9, "moves {still} while it rests");
        }
        assert!(shared > 25, "{n} cameras share {shared} of 30 places");
    }
}

#[test]
fn detections_are_as_noisy_as_asked() {
    let s = RigScene::new(small(3, 1)).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut sum, mut n, mut far, mut all) = (0.0, 0.0, 0, 0);
    for (frame, camera) in (0..120).flat_map(|f| [(f, 0), (f, 1), (f, 2)]) {
        let found = s.detections(camera, frame, 0.5, 0.1, &mut rng);
        for (f, t) in found.iter().zip(s.seen(camera, frame)) {
            let (Some((at, likelihood)), Some(t)) = (f, t) else { continue };
            assert!((0.0..=1.0).contains(likelihood));
            all += 1;
            let off = at.distance(t);
            if off > 3.0 {
                far += 1;
            } else {
                sum += off * off;
                n += 2.0;
            }
        }
    }
    let deviation: f64 = f64::sqrt(sum / n);
    assert!((deviation - 0.5).abs() < 0.03, "{deviation}");
    let share = f64::from(far) / f64::from(all);
    assert!((0.06..0.14).contains(&share), "{share}");
    assert_eq!(s.tracks(1, 0.5, 0.1, 9).get(3, 0), s.tracks(1, 0.5, 0.1, 9).get(3, 0));
    assert!(s.tracks(1, 0.5, 0.1, 9).get(3, 0) != s.tracks(1, 0.5, 0.1, 8).get(3, 0));
}

#[test]
fn wrong_rigs_are_refused() {
    let good = small(2, 0);
    for bad in [
        RigSpec { cameras: 1, ..good.clone() },
        RigSpec { width: 10, ..good.clone() },
        RigSpec { fps: f64::NAN, ..good.clone() },
        RigSpec { frames: 0, ..good.clone() },
    ] {
        assert_eq!(RigScene::new(bad).err().map(|e| e.kind()), Some(Kind::Usage));
    }
    let board = |dictionary: &str, columns| Board::Charuco {
        columns,
        rows: 9,
        square: 20.0,
        marker: 15.0,
        dictionary: dictionary.into(),
    };
    for bad in [board("DICT_9X9", 5), board("DICT_4X4_50", 30)] {
        let refused = RigScene::new(RigSpec { board: bad, ..good.clone() }).err();
        assert_eq!(refused.map(|e| e.kind()), Some(Kind::Config));
    }
}

/// OpenCV finds the board's corners where they are, by the numbers they have.
#[cfg(feature = "vision")]
#[test]
fn the_boards_corners_are_found_where_they_are() {
    use opencv::aruco;
    use opencv::core::{Mat, Point2f, Vector};
    let dictionary = aruco::get_predefined_dictionary_i32(aruco::DICT_4X4_50).unwrap();
    let board = aruco::CharucoBoard::create(7, 5, 30.0, 23.0, &dictionary).unwrap();
    let s = RigScene::new(RigSpec { frames: 200, ..RigSpec::new(3, 5) }).unwrap();
    let (mut off, mut shift, mut visible) = (Vec::new(), Vector3::zeros(), 0);
    for (frame, camera) in (0..180).step_by(30).flat_map(|f| [(f, 0), (f, 1), (f, 2)]) {
        let picture = s.render_board(camera, frame);
        let grey: Vec<u8> = picture.rgb().chunks_exact(3).map(|p| p[1]).collect();
        let grey = Mat::new_rows_cols_with_data(480, 640, &grey).unwrap();
        let (mut quads, mut ids) = (Vector::<Vector<Point2f>>::new(), Vector::<i32>::new());
        aruco::detect_markers_def(&grey, &dictionary, &mut quads, &mut ids).unwrap();
        visible += (0..24).filter(|i| s.board_seen(camera, frame, *i).is_some()).count();
        if ids.is_empty() {
            continue;
        }
        let (mut corners, mut names) = (Vector::<Point2f>::new(), Vector::<i32>::new());
        aruco::interpolate_corners_charuco_def(&quads, &ids, &grey, &board, &mut corners, &mut names)
            .unwrap();
        for (p, id) in corners.iter().zip(names.iter()) {
            let truth = s.board_seen(camera, frame, id as usize).unwrap();
            // Unlike the rest of OpenCV this function already counts the middle of the first pixel as 0.5.
            let (dx, dy) = (f64::from(p.x) - truth.x, f64::from(p.y) - truth.y);
            off.push(dx.hypot(dy));
            if dx.hypot(dy) < 0.5 {
                shift += Vector3::new(dx, dy, 1.0);
            }
        }
    }
    off.sort_by(f64::total_cmp);
    let (found, median) = (off.len(), off[off.len() / 2]);
    let (dx, dy) = (shift.x / shift.z, shift.y / shift.z);
    eprintln!("{found} of {visible} corners, median {median:.3}, 90 % {:.3}", off[found * 9 / 10]);
    eprintln!("mean shift {dx:.4}, {dy:.4}");
    assert!(found > 150 && found * 2 > visible, "{found} of {visible} found");
    assert!(median < 0.1, "{median}");
    assert!(dx.abs() < 0.05 && dy.abs() < 0.05, "{dx} {dy}");
}

/// Corners of plain squares are where they are to some hundredths of a pixel, on both sides of the truth alike.
#[cfg(feature = "vision")]
#[test]
fn corners_are_unbiased() {
    use opencv::core::{Mat, Point2f, Size, TermCriteria, Vector};
    let board = Board::Checkerboard { columns: 6, rows: 4, square: 32.0 };
    let s = RigScene::new(RigSpec { frames: 300, board, ..RigSpec::new(2, 5) }).unwrap();
    let (mut off, mut shift) = (Vec::new(), Vector3::zeros());
    for (frame, camera) in (0..300).step_by(30).flat_map(|f| [(f, 0), (f, 1)]) {
        let picture = s.render_board(camera, frame);
        let grey: Vec<u8> = picture.rgb().chunks_exact(3).map(|p| p[1]).collect();
        let grey = Mat::new_rows_cols_with_data(480, 640, &grey).unwrap();
        let well_inside = |p: &Keypoint| p.x > 8.0 && p.y > 8.0 && p.inside(632.0, 472.0);
        let all = (0..24).filter_map(|i| s.board_seen(camera, frame, i));
        let truth: Vec<Keypoint> = all.filter(well_inside).collect();
        if truth.is_empty() {
            continue;
        }
        // Begun a pixel away; OpenCV counts the middle of the first pixel as 0.
        let near = |p: &Keypoint| Point2f::new((p.x - 0.5).round() as f32, (p.y - 0.5).round() as f32);
        let mut found: Vector<Point2f> = truth.iter().map(near).collect();
        let until = TermCriteria::new(3, 60, 1e-4).unwrap();
        opencv::imgproc::corner_sub_pix(&grey, &mut found, Size::new(4, 4), Size::new(-1, -1), until)
            .unwrap();
        for (p, t) in found.iter().zip(&truth) {
            let (dx, dy) = (f64::from(p.x) + 0.5 - t.x, f64::from(p.y) + 0.5 - t.y);
            off.push(dx.hypot(dy));
            shift += Vector3::new(dx, dy, 1.0);
        }
    }
    off.sort_by(f64::total_cmp);
    let (n, dx, dy) = (off.len(), shift.x / shift.z, shift.y / shift.z);
    eprintln!("{n} corners, median {:.3}, 90 % {:.3}, shift {dx:.4} {dy:.4}", off[n / 2], off[n * 9 / 10]);
    assert!(n > 200 && off[n / 2] < 0.05, "{n}: {}", off[n / 2]);
    assert!(dx.abs() < 0.01 && dy.abs() < 0.01, "{dx} {dy}");
}

#[test]
fn every_part_is_in_sight_often_enough_to_be_learnt() {
    let scene = RigScene::new(RigSpec { frames: 120, ..RigSpec::new(4, 2) }).unwrap();
    let mut seen = [0; 8];
    let views: Vec<(usize, usize)> = (0..4).flat_map(|c| (0..120).step_by(10).map(move |f| (c, f))).collect();
    for (camera, frame) in &views {
        let points = scene.seen(*camera, *frame);
        seen.iter_mut().zip(&points).for_each(|(n, p)| *n += usize::from(p.is_some()));
    }
    for (name, n) in scene.skeleton().bodyparts.iter().zip(seen) {
        assert!(n * 4 > views.len(), "{name} is seen in {n} of {} views", views.len());
    }
}
