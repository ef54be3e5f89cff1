use super::*;

fn scene(seed: u64, arena: u64, frames: usize) -> Scene {
    Scene::new(SceneSpec { width: 320, height: 240, seed, arena, fps: 30.0, frames }).unwrap()
}

/// A scene without noise, shading and floor, whose named parts shine.
fn bare(seed: u64) -> Scene {
    let mut s =
        Scene::new(SceneSpec { width: 480, height: 360, seed, arena: 3, fps: 30.0, frames: 90 }).unwrap();
    s.arena.ground.fill(0.0);
    s.arena.light = arena::Light::even();
    let coat = &mut s.animal.coat;
    (coat.shading, coat.fur, coat.tail, coat.skin, coat.mark) = (0.0, [0.0; 3], [0.0; 3], [0.0; 3], [0.0; 3]);
    coat.ears = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    coat.nose = [0.0, 0.0, 1.0];
    s
}

fn sheet(s: &Scene, frame: usize) -> sheet::Sheet {
    s.animal.paint(s.posture(frame), s.arena.light.towards, &s.arena.ground, 480, 360)
}

#[test]
fn truth_is_where_the_parts_are_painted() {
    for seed in 0..3 {
        let s = bare(seed);
        for frame in (0..90).step_by(9) {
            let (sheet, truth) = (sheet(&s, frame), s.truth(frame));
            for (channel, point) in [(0, 1), (1, 2), (2, 0)] {
                let (mut sum, mut x, mut y) = (0.0, 0.0, 0.0);
                for (i, px) in sheet.rgb.chunks_exact(3).enumerate() {
                    let v = f64::from(px[channel]);
                    sum += v;
                    x += v * ((sheet.x + i % sheet.width) as f64 + 0.5);
                    y += v * ((sheet.y + i / sheet.width) as f64 + 0.5);
                }
                let found = Keypoint::new(x / sum, y / sum);
                let off = found.distance(truth[point].unwrap());
                assert!(off < 0.3, "part {point} of frame {frame} is {off:.2} px off");
            }
        }
    }
}

#[test]
fn the_tail_is_painted_from_its_root_to_its_tip() {
    let mut s = bare(5);
    s.animal.coat.ears = [[0.0; 3]; 2];
    s.animal.coat.nose = [0.0; 3];
    s.animal.coat.tail = [0.0, 1.0, 0.0];
    let mut seen = 0;
    for frame in (0..90).step_by(15) {
        let (sheet, truth) = (sheet(&s, frame), s.truth(frame));
        let (Some(base), Some(tip)) = (truth[6], truth[7]) else { continue };
        let mut nearest = [f64::INFINITY; 2];
        for (i, _) in sheet.rgb.chunks_exact(3).enumerate().filter(|(_, px)| px[1] > 0.5) {
            let p = Keypoint::new(
                (sheet.x + i % sheet.width) as f64 + 0.5,
                (sheet.y + i / sheet.width) as f64 + 0.5,
            );
            nearest[0] = nearest[0].min(p.distance(base));
            nearest[1] = nearest[1].min(p.distance(tip));
        }
        // The root lies where the tail comes out of the fur.
        assert!(nearest[0] < 1.5 && nearest[1] < 1.0, "{nearest:?}");
        seen += 1;
    }
    assert!(seen > 3);
}

#[test]
fn the_same_spec_gives_the_same_frames_in_any_order() {
    let (a, b) = (scene(4, 9, 40), scene(4, 9, 40));
    let late = a.render(33);
    assert!(a.render(2) != late);
    assert!(b.render(33) == late);
    assert!(a.render(33) == late);
    assert!(a.render(1000) == a.render(39), "beyond the end the last frame stays");
    assert!(scene(4, 10, 40).render(33) != late);
    assert!(scene(5, 9, 40).render(33) != late);
}

#[test]
fn the_animal_stays_in_the_arena_and_moves_as_animals_do() {
    for seed in 0..8 {
        let s = scene(seed, seed * 7, 600);
        let body = s.animal.size.body;
        let mut before: Option<Vec<Option<Keypoint>>> = None;
        let (mut far, mut hidden) = (0.0, 0);
        for frame in 0..600 {
            let truth = s.truth(frame);
            hidden += usize::from(truth[7].is_none());
            for (i, p) in truth.iter().enumerate() {
                let Some(p) = *p else { continue };
                let held = s.arena.floor.hold([p.x, p.y], 0.0);
                let over = p.distance(Keypoint::new(held[0], held[1]));
                assert!(over < 1.0, "seed {seed}, frame {frame}, part {i}: {over:.1} px into the wall");
                assert!(p.inside(320.0, 240.0));
                if let Some(Some(was)) = before.as_ref().map(|b| b[i]) {
                    let most = if i == 7 { 0.6 } else { 0.3 };
                    assert!(p.distance(was) < most * body, "seed {seed}, frame {frame}, part {i} jumps");
                }
            }
            if let (Some(Some(a)), Some(b)) = (before.as_ref().map(|b| b[3]), truth[3]) {
                far += b.distance(a);
            }
            before = Some(truth);
        }
        assert!(far > 4.0 * body, "seed {seed} hardly moves");
        assert!(hidden < 60, "seed {seed} hides its tail in {hidden} frames");
    }
}

#[test]
fn left_and_right_are_the_animals_own() {
    let s = scene(1, 1, 60);
    for frame in 0..60 {
        let t = s.truth(frame);
        let [nose, left, right, spine] = [0, 1, 2, 3].map(|i| t[i].unwrap());
        let (fx, fy) = (nose.x - spine.x, nose.y - spine.y);
        // y goes down: facing +x, the left ear has the smaller y.
        assert!(fx * (left.y - right.y) - fy * (left.x - right.x) < 0.0);
    }
}

#[test]
fn small_wide_and_wrong_scenes() {
    for (width, height) in [(64, 64), (64, 200), (500, 64)] {
        let s = Scene::new(SceneSpec { width, height, seed: 3, arena: 5, fps: 1.0, frames: 3 }).unwrap();
        assert_eq!((s.render(2).width(), s.render(2).height()), (width, height));
    }
    let good = SceneSpec { width: 64, height: 64, seed: 0, arena: 0, fps: 30.0, frames: 1 };
    for bad in [
        SceneSpec { width: 0, ..good },
        SceneSpec { height: usize::MAX, ..good },
        SceneSpec { fps: f64::NAN, ..good },
        SceneSpec { frames: 0, ..good },
    ] {
        assert_eq!(Scene::new(bad).err().map(|e| e.kind()), Some(Kind::Usage));
    }
}
