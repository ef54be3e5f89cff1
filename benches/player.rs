//! CPU time of the window's passes in the player of tracks, with a million frames of twelve body parts: at rest, while
//! it plays, and while the traces are zoomed and moved. `cargo bench --bench player`; it prints and asserts nothing.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use eframe::egui::{
    Event, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, TouchPhase, vec2,
};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use limn::gui::prefs::Prefs;
use limn::gui::{Place, Start, Window};
use limn::picture::Picture;
use limn::pose::{Keypoint, Skeleton, Tracks};
use limn::project::{NewProject, Project, VideoMode};
use limn::watch::Quiet;
use std::time::Duration;

const FRAMES: usize = 1_000_000;
const PARTS: usize = 12;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("m1.mp4");
    let mut writer = limn::video::Writer::create(&film, 640, 480, 30.0).unwrap();
    (0..30).try_for_each(|_| writer.write(&Picture::new(640, 480))).unwrap();
    writer.finish().unwrap();
    let parts: Vec<String> = (0..PARTS).map(|i| format!("part{i}")).collect();
    let new = NewProject::single("mouse", "Ada", parts.clone());
    let project =
        Project::create(dir.path(), &new, &[film], VideoMode::Copy, &|_| Ok((640, 480)), &Quiet::default())
            .unwrap();
    let mut tracks = Tracks::new(Skeleton::single(parts), FRAMES);
    for frame in 0..FRAMES {
        for point in 0..PARTS {
            let t = frame as f64 * 0.01 + point as f64;
            let at =
                Keypoint::new(320.0 + 200.0 * (t * 0.7).sin() + (t * 37.0).sin(), 240.0 + 180.0 * t.cos());
            tracks.set(frame, point, at, 0.5 + 0.5 * (t * 0.13).cos());
        }
    }
    let scorer = "DLC_bench";
    let file = project.root().join("videos").join(format!("m1{scorer}.h5"));
    limn::formats::dlc_h5::write_tracks(&file, scorer, &tracks).unwrap();
    drop(tracks);

    let start = Start {
        project: Some(project.root().to_path_buf()),
        place: Some(Place::Analyze),
        prefs: Prefs { jobs_shown: false, ..Prefs::default() },
        ..Start::default()
    };
    let mut w: Harness<'static, Window> = Harness::builder()
        .with_size([1600.0, 1000.0])
        .build_eframe(move |cc| Window::new(&cc.egui_ctx, start));
    let open = format!("Open m1 by {scorer}");
    wait(&mut w, |w| w.query_by_label(&open).is_some());
    w.get_by_label(&open).click();
    wait(&mut w, |w| w.state_mut().views().analyze.player().is_some_and(|p| p.is_ready()));
    w.get_by_label("Traces of all body parts").click();
    w.run_steps(4);

    measure(&mut w, "at rest", 300, |_, _| {});
    w.get_by_label("Play").click();
    w.run_steps(2);
    measure(&mut w, "playing", 600, |_, _| {});
    w.get_by_label("Pause").click();
    w.run_steps(2);
    let middle = w.query_all_by_label_contains("Traces of x, y").next().unwrap().rect().center();
    w.hover_at(middle);
    measure(&mut w, "zooming the traces", 300, |w, i| {
        let delta = vec2(0.0, if i % 100 < 50 { 8.0 } else { -8.0 });
        let (unit, phase, source) = (MouseWheelUnit::Point, TouchPhase::Move, MouseWheelSource::Unknown);
        w.event(Event::MouseWheel { unit, delta, phase, source, modifiers: Modifiers::NONE });
    });
    w.get_by_label("Whole video").click();
    w.run_steps(2);
    w.get_by_label("Zoom in").click();
    w.run_steps(2);
    let press = |w: &Harness<'static, Window>, pos: Pos2, pressed: bool| {
        w.event(Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
    };
    w.hover_at(middle);
    press(&w, middle, true);
    measure(&mut w, "dragging the traces", 300, |w, i| {
        w.hover_at(middle + vec2((i % 100) as f32 * 3.0, 0.0));
    });
    press(&w, middle, false);
}

fn wait(w: &mut Harness<'static, Window>, done: impl Fn(&mut Harness<'static, Window>) -> bool) {
    while !done(w) {
        std::thread::sleep(Duration::from_millis(5));
        w.step();
    }
}

fn measure(
    w: &mut Harness<'static, Window>,
    what: &str,
    passes: usize,
    mut act: impl FnMut(&mut Harness<'static, Window>, usize),
) {
    w.state_mut().passes().clear();
    for i in 0..passes {
        act(w, i);
        w.step();
    }
    let mut times: Vec<Duration> = w.state_mut().passes().times().collect();
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: {} passes, median {:.2} ms, 99 % {:.2} ms, most {:.2} ms",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
