//! Pictures of every view in both themes, compared with those in `tests/gui/pictures`.
//!
//! `UPDATE_SNAPSHOTS=true cargo test --test gui pictures` makes them anew; then look at them. What differs from machine
//! to machine (the device's name, today's time) is masked.

use crate::common::*;
use eframe::egui::{Key, Modifiers, Pos2, Rect, Theme, Vec2};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, SnapshotOptions};
use limn::gui::prefs::Prefs;
use limn::gui::theme::Wish;
use limn::gui::{Place, Start, Window};
use limn::pose::{FrameKey, Tracks};
use limn::project::{LabelStore, NewProject, PointEdit, Project, VideoMode};
use limn::synth::{Scene, SceneSpec};
use limn::watch::Quiet;
use std::path::{Path, PathBuf};

const SIZE: Vec2 = Vec2::new(1040.0, 700.0);
const FRAMES: usize = 60;

/// A project whose every number is known: its path stands in the pictures, so it has a fixed one.
fn project(dir: &Path) -> PathBuf {
    let watch = Quiet::default();
    let spec = SceneSpec { width: 320, height: 240, seed: 5, arena: 2, fps: 25.0, frames: FRAMES };
    let scene = Scene::new(spec).unwrap();
    let film = dir.join("m1.mp4");
    let mut writer = limn::video::Writer::create(&film, 320, 240, 25.0).unwrap();
    for t in 0..FRAMES {
        writer.write(&scene.render(t)).unwrap();
    }
    writer.finish().unwrap();
    let new = NewProject {
        date: (2026, 1, 31),
        skeleton: scene.skeleton().edges,
        ..NewProject::single("openfield", "Ada", scene.skeleton().bodyparts)
    };
    let project = Project::create(dir, &new, &[film], VideoMode::Copy, &|_| Ok((320, 240)), &watch).unwrap();
    std::fs::create_dir_all(project.labeled_data("m1")).unwrap();
    let mut edits = Vec::new();
    for (n, frame) in (0..FRAMES).step_by(5).enumerate() {
        let key = FrameKey::new("m1", project.image_name("m1", frame as u64, FRAMES as u64));
        scene.render(frame).save_png(&project.image_path(&key)).unwrap();
        if n < 8 {
            for (point, at) in scene.truth(frame).into_iter().enumerate().filter(|(_, at)| at.is_some()) {
                edits.push(PointEdit::new(key.clone(), point, at));
            }
        }
    }
    let mut store = LabelStore::edit(&project, &watch).unwrap();
    store.set_all(&edits).unwrap();
    store.flush(&watch).unwrap();
    let mut tracks = Tracks::new(scene.skeleton(), FRAMES);
    for frame in 0..FRAMES {
        for (point, at) in scene.truth(frame).into_iter().enumerate() {
            if let Some(at) = at {
                tracks.set(frame, point, at, 0.55 + 0.4 * ((frame * (point + 3)) as f64 / 9.0).cos().abs());
            }
        }
    }
    let scorer = project.scorer_of_model("resnet_50", 1, "200");
    limn::formats::dlc_h5::write_tracks(
        &project.root().join(format!("videos/m1{scorer}.h5")),
        &scorer,
        &tracks,
    )
    .unwrap();
    project.root().to_path_buf()
}

fn shown(start: Start) -> Harnessed {
    let theme = if start.prefs.theme == Wish::Light { Theme::Light } else { Theme::Dark };
    let mut harness = Harness::builder()
        .with_size(SIZE)
        .with_theme(theme) // the harness sets its own, whatever the window wants
        .with_max_steps(64)
        .wgpu()
        .build_eframe(move |cc| Window::new(&cc.egui_ctx, start));
    harness.step();
    harness
}

struct Album {
    options: SnapshotOptions,
    theme: &'static str,
    failed: Vec<String>,
}

impl Album {
    fn take(&mut self, w: &mut Harnessed, name: &str) {
        settled(w);
        w.run_steps(30); // what fades and slides has come to rest
        w.remove_cursor();
        w.run_steps(3);
        // The device's name.
        w.mask(Rect::from_min_size(Pos2::new(0.0, SIZE.y - 30.0), Vec2::new(SIZE.x, 30.0)));
        let today = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
        for varying in [today.as_str(), "Device"] {
            let found: Vec<Rect> = w.query_all_by_label_contains(varying).map(|n| n.rect()).collect();
            found.into_iter().for_each(|r| w.mask(r));
        }
        // Half the size: enough to see a view fall apart, and small to keep.
        let full = w.render().unwrap();
        let (width, height) = (full.width() / 2, full.height() / 2);
        let half = image::imageops::resize(&full, width, height, image::imageops::FilterType::Triangle);
        let name = format!("{name}-{}", self.theme);
        if let Err(e) = egui_kittest::try_image_snapshot_options(&half, name, &self.options) {
            self.failed.push(e.to_string());
        }
        w.step();
    }
}

#[test]
fn every_view_in_both_themes() {
    if !cfg!(target_os = "linux") {
        println!("skipped: pictures of the window are compared on Linux only");
        return;
    }
    let drawn = std::panic::catch_unwind(|| shown(start(None, None)).render().is_ok());
    if !drawn.unwrap_or(false) {
        println!("skipped: no Vulkan driver to draw pictures of the window with (mesa-vulkan-drivers)");
        return;
    }
    // The folder's name stands in the pictures, so two runs on one machine take turns.
    let turn = std::fs::File::create("/tmp/limn-pictures.lock").unwrap();
    fs2::FileExt::lock_exclusive(&turn).unwrap();
    let dir = PathBuf::from("/tmp/limn-pictures");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let root = project(&dir);
    // Drivers round the edges of lines and the mixing of texels a little differently.
    let options =
        SnapshotOptions::new().threshold(1.2).max_failed_pixels(400).output_path("tests/gui/pictures");
    let mut failed = Vec::new();
    for (theme, wish) in [("dark", Wish::Dark), ("light", Wish::Light)] {
        let mut album = Album { options: options.clone(), theme, failed: Vec::new() };
        let prefs = Prefs { theme: wish, ..Prefs::default() };
        let begin = |project: Option<&Path>| Start {
            project: project.map(Path::to_path_buf),
            prefs: prefs.clone(),
            ..Start::default()
        };
        let mut w = shown(begin(None));
        album.take(&mut w, "start");
        w.key_press_modifiers(Modifiers::COMMAND, Key::N);
        w.run_steps(3);
        type_into(&mut w, "Name of the project", "openfield");
        type_into(&mut w, "Who labels (scorer)", "Ada");
        type_into(&mut w, "Body part", "snout, leftear, rightear, tailbase");
        click(&mut w, "Add body part");
        w.state_mut().dialogs().answer_next(vec!["/tmp/limn-pictures".into()]);
        click(&mut w, "Choose folder…");
        album.take(&mut w, "new");

        let mut w = shown(begin(Some(&root)));
        opened(&mut w);
        for (key, place) in
            [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6].into_iter().zip(Place::ALL)
        {
            w.key_press_modifiers(Modifiers::COMMAND, key);
            w.run_steps(8);
            if place == Place::Label {
                until(&mut w, "the picture", |h| h.state_mut().views().label.is_ready());
            }
            // Pictures and facts come from threads that no job stands for.
            for _ in 0..40 {
                std::thread::sleep(std::time::Duration::from_millis(25));
                w.step();
            }
            album.take(&mut w, &place.name().to_lowercase());
        }
        w.key_press_modifiers(Modifiers::COMMAND, Key::Num5);
        w.run_steps(3);
        open_result(&mut w);
        album.take(&mut w, "player");
        w.key_press_modifiers(Modifiers::COMMAND, Key::K);
        w.run_steps(3);
        album.take(&mut w, "commands");
        w.key_press(Key::Escape);
        w.run_steps(3);
        w.key_press(Key::F1);
        w.run_steps(3);
        album.take(&mut w, "shortcuts");
        w.state_mut().finish(); // the next window wants to edit the same labels
        failed.extend(album.failed);
    }
    let _ = std::fs::remove_dir_all(&dir);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Opens the tracks that lie beside the video.
fn open_result(w: &mut Harnessed) {
    until(w, "the result", |h| says(h, "Open m1 by "));
    let name = w.query_all_by_label_contains("Open m1 by ").find_map(|n| n.accesskit_node().label()).unwrap();
    click(w, &name);
    until(w, "the player", |h| h.state_mut().views().analyze.player().is_some_and(|p| p.is_ready()));
    w.state_mut().views().analyze.player().unwrap().set_cutoff(0.6);
    for _ in 0..40 {
        std::thread::sleep(std::time::Duration::from_millis(25));
        w.step();
    }
}
