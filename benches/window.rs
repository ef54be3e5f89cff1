//! Time of one pass of the window on the CPU, in every view, on a large project: 10,000 labelled frames of 50 videos
//! with 30 body parts. No GPU and no display are needed.
//!
//! `cargo bench --bench window`; the first run makes the project in `target/bench-window` (about a minute).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss)]

use eframe::egui::{self, Event, Key, Modifiers, Pos2, Rect, Vec2};
use limn::gui::{Place, Start, Window};
use limn::pose::{FrameKey, Keypoint, Labels, Skeleton};
use limn::project::{NewProject, Project, VideoMode};
use limn::watch::Quiet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const VIDEOS: usize = 50;
const FRAMES: usize = 200;
const PARTS: usize = 30;
const PASSES: usize = 600;

fn main() {
    let root = project();
    println!(
        "{VIDEOS} videos, {} labelled frames, {PARTS} body parts; {PASSES} passes each",
        VIDEOS * FRAMES
    );
    println!("{:<34} {:>10} {:>10} {:>10} {:>10}", "pass", "median ms", "p99 ms", "max ms", "tess. ms");
    let mut bench = Bench::new(&root);
    for place in Place::ALL {
        bench.go(place);
        bench.measure(place.name(), |_| Vec::new());
    }
    bench.go(Place::Label);
    bench.measure("Label, pointer over the picture", |i| {
        vec![Event::PointerMoved(Pos2::new(500.0 + (i % 100) as f32, 300.0 + (i % 70) as f32))]
    });
    bench.measure("Label, next frame every pass", |_| press(Key::D));
    bench.measure("Label, next body part every pass", |_| press(Key::S));
    bench.pass(press(Key::M)); // quick: a click moves a point that is placed already
    bench.measure("Label, a point moved every pass", |i| {
        let at = Pos2::new(500.0 + (i % 100) as f32, 300.0 + (i % 70) as f32);
        let button = |pressed| Event::PointerButton {
            pos: at,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        vec![Event::PointerMoved(at), button(true), button(false)]
    });
    bench.measure("Label, list scrolled every pass", |i| {
        vec![
            Event::PointerMoved(Pos2::new(120.0, 500.0)),
            Event::MouseWheel {
                unit: egui::MouseWheelUnit::Point,
                delta: Vec2::new(0.0, if i % 200 < 100 { -300.0 } else { 300.0 }),
                phase: egui::TouchPhase::Move,
                source: egui::MouseWheelSource::Unknown,
                modifiers: Modifiers::NONE,
            },
        ]
    });
    bench.window.finish();
}

fn press(key: Key) -> Vec<Event> {
    let event =
        |pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers: Modifiers::NONE };
    vec![event(true), event(false)]
}

struct Bench {
    ctx: egui::Context,
    window: Window,
    began: Instant,
}

impl Bench {
    fn new(root: &Path) -> Self {
        let ctx = egui::Context::default();
        let start = Start { project: Some(root.to_path_buf()), ..Start::default() };
        let window = Window::new(&ctx, start);
        let mut bench = Self { ctx, window, began: Instant::now() };
        while bench.window.is_busy()
            || bench
                .window
                .project()
                .is_none_or(|p| matches!(p.labels.state(), limn::labeling::State::Opening))
        {
            bench.pass(Vec::new());
            std::thread::sleep(Duration::from_millis(5));
        }
        bench
    }

    fn go(&mut self, place: Place) {
        let key = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5][place as usize];
        let press = Event::Key {
            key,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers: Modifiers::COMMAND,
        };
        self.pass(vec![press]);
        assert_eq!(self.window.place(), Some(place));
        // What the view fetches on its first showing is not what is measured.
        for _ in 0..100 {
            self.pass(Vec::new());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One pass; the time of the ui and of the tessellation after it.
    fn pass(&mut self, events: Vec<Event>) -> (Duration, Duration) {
        let input = egui::RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, Vec2::new(1600.0, 1000.0))),
            time: Some(self.began.elapsed().as_secs_f64()),
            events,
            ..egui::RawInput::default()
        };
        let began = Instant::now();
        let output = self.ctx.run_ui(input, |ui| self.window.ui(ui));
        let ui = began.elapsed();
        let began = Instant::now();
        let shapes = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        let tessellation = began.elapsed();
        drop(shapes);
        (ui, tessellation)
    }

    fn measure(&mut self, name: &str, events: impl Fn(usize) -> Vec<Event>) {
        for i in 0..20 {
            self.pass(events(i));
        }
        let (mut ui, mut tessellation): (Vec<Duration>, Vec<Duration>) =
            (0..PASSES).map(|i| self.pass(events(i))).unzip();
        ui.sort();
        tessellation.sort();
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let at = |part: f64| ms(ui[((ui.len() - 1) as f64 * part) as usize]);
        println!(
            "{name:<34} {:>10.2} {:>10.2} {:>10.2} {:>10.2}",
            at(0.5),
            at(0.99),
            at(1.0),
            ms(tessellation[PASSES / 2])
        );
    }
}

/// The large project, made once.
fn project() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-window");
    let parts: Vec<String> = (0..PARTS).map(|i| format!("part{i:02}")).collect();
    let new = NewProject { date: (2026, 1, 31), ..NewProject::single("large", "Ada", parts.clone()) };
    let root = dir.join(new.folder_name());
    if root.join("done").exists() {
        return root;
    }
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join("films")).unwrap();
    let scene = limn::synth::Scene::new(limn::synth::SceneSpec {
        width: 320,
        height: 240,
        seed: 1,
        arena: 1,
        fps: 25.0,
        frames: FRAMES,
    })
    .unwrap();
    let film = dir.join("film.mp4");
    let mut writer = limn::video::Writer::create(&film, 320, 240, 25.0).unwrap();
    for t in 0..FRAMES {
        writer.write(&scene.render(t)).unwrap();
    }
    writer.finish().unwrap();
    for v in 0..VIDEOS {
        std::fs::copy(&film, dir.join(format!("films/m{v:02}.mp4"))).unwrap();
    }
    let films = [dir.join("films")];
    let project =
        Project::create(&dir, &new, &films, VideoMode::Link, &|_| Ok((320, 240)), &Quiet::default()).unwrap();
    let picture = dir.join("frame.png");
    scene.render(0).save_png(&picture).unwrap();
    let bytes = std::fs::read(&picture).unwrap();
    for v in 0..VIDEOS {
        let video = format!("m{v:02}");
        let folder = project.labeled_data(&video);
        std::fs::create_dir_all(&folder).unwrap();
        let mut labels = Labels::new("Ada", Skeleton::single(parts.clone()));
        for f in 0..FRAMES {
            let key = FrameKey::new(video.clone(), format!("img{f:03}.png"));
            std::fs::write(folder.join(&key.image), &bytes).unwrap();
            for p in 0..PARTS {
                labels.set(&key, p, Some(Keypoint::new(10.0 + 9.0 * p as f64, 20.0 + f as f64)));
            }
        }
        limn::formats::dlc_labels_csv::write(&folder.join("CollectedData_Ada.csv"), &labels).unwrap();
        limn::formats::dlc_h5::write_labels(&folder.join("CollectedData_Ada.h5"), &labels).unwrap();
    }
    std::fs::write(root.join("done"), "").unwrap();
    root
}
