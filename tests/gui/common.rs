//! Opens windows and waits for them.
#![allow(dead_code)] // not every screen needs everything

use eframe::egui::Pos2;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use limn::gui::prefs::Prefs;
use limn::gui::theme::Wish;
use limn::gui::{Place, Start, Window};
use std::path::Path;
use std::time::{Duration, Instant};

/// A window under test.
pub type Harnessed = Harness<'static, Window>;

/// Waiting longer than this is a failure; nothing is timed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A window of 1280 x 820 points with usual preferences, on a project or on the start screen.
pub fn window(project: Option<&Path>, place: Option<Place>) -> Harnessed {
    with(start(project, place))
}

/// How such a window begins.
pub fn start(project: Option<&Path>, place: Option<Place>) -> Start {
    let prefs = Prefs { theme: Wish::Dark, ..Prefs::default() };
    Start { project: project.map(Path::to_path_buf), place, prefs, ..Start::default() }
}

/// A window that begins so.
pub fn with(start: Start) -> Harnessed {
    let mut harness = Harness::builder()
        .with_size([1280.0, 820.0])
        .with_max_steps(64)
        .build_eframe(move |cc| Window::new(&cc.egui_ctx, start));
    harness.step();
    harness
}

/// Lets passes go by until `done`, giving threads their time.
pub fn until(harness: &mut Harnessed, what: &str, mut done: impl FnMut(&mut Harnessed) -> bool) {
    let began = Instant::now();
    while !done(harness) {
        let told: Vec<String> =
            harness.state().notices().texts().map(|(s, t)| format!("{s:?}: {t}")).collect();
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}; the window said: {told:#?}");
        std::thread::sleep(Duration::from_millis(4));
        harness.step();
    }
}

/// Waits for a project to be open and its labels to be read.
pub fn opened(harness: &mut Harnessed) {
    until(harness, "the project", |h| {
        h.state().project().is_some_and(|p| !matches!(p.labels.state(), limn::labeling::State::Opening))
    });
    settled(harness);
}

/// Waits until no work runs and a few passes more.
pub fn settled(harness: &mut Harnessed) {
    until(harness, "work to end", |h| !h.state().is_busy());
    harness.run_steps(4);
}

/// Waits until every edit is in the label files.
pub fn saved(harness: &mut Harnessed) {
    until(harness, "the labels to be saved", |h| {
        h.state().project().is_some_and(|p| {
            let safety = p.labels.safety();
            safety.in_memory == 0 && safety.in_journal == 0
        })
    });
}

/// Clicks the control with this name, once it is there.
pub fn click(harness: &mut Harnessed, name: &str) {
    until(harness, &format!("the control `{name}`"), |h| h.query_by_label(name).is_some());
    harness.get_by_label(name).scroll_to_me();
    harness.run_steps(12); // scrolling takes its time
    harness.get_by_label(name).click();
    harness.run_steps(3);
}

/// Presses at one place of the screen, moves to another in a few steps, and lets go.
pub fn drag_on_screen(harness: &mut Harnessed, from: Pos2, to: Pos2) {
    harness.drag_at(from);
    harness.step();
    for i in 1..=8u8 {
        harness.hover_at(from + (to - from) * (f32::from(i) / 8.0));
        harness.step();
    }
    harness.drop_at(to);
    harness.run_steps(3);
}

/// Types into the text field with this name.
pub fn type_into(harness: &mut Harnessed, name: &str, text: &str) {
    let field = harness.get_all_by_label(name).find(|n| is_field(n)).expect("the text field");
    field.focus();
    harness.run_steps(2);
    let field = harness.get_all_by_label(name).find(|n| is_field(n)).expect("the text field");
    field.type_text(text);
    harness.run_steps(2);
}

fn is_field(node: &egui_kittest::Node<'_>) -> bool {
    use eframe::egui::accesskit::Role;
    matches!(
        node.accesskit_node().role(),
        Role::TextInput | Role::MultilineTextInput | Role::SpinButton | Role::PasswordInput
    )
}

/// Whether this text is on the screen anywhere.
pub fn says(harness: &Harnessed, part: &str) -> bool {
    harness.query_all_by_label_contains(part).next().is_some()
}

/// The window's thread has waited for nothing that may take long.
pub fn never_waited() {
    assert_eq!(limn::watch::waited(), Vec::<String>::new(), "the window's thread waited");
}

/// No pass of the window took 50 ms of its thread's processor time, but for the first few, which lay out every letter.
pub fn never_slow(harness: &mut Harnessed) {
    let slow: Vec<_> = harness.state_mut().passes().times().skip(8).filter(|t| t.as_millis() >= 50).collect();
    assert!(slow.is_empty(), "passes of the window took {slow:?}");
}

/// A short rendered video of a mouse.
pub fn video(path: &Path, seed: u64, frames: usize) {
    use limn::synth::{Scene, SceneSpec};
    let spec = SceneSpec { width: 160, height: 120, seed, arena: seed, fps: 25.0, frames };
    let scene = Scene::new(spec).unwrap();
    let mut writer = limn::video::Writer::create(path, 160, 120, 25.0).unwrap();
    for t in 0..frames {
        writer.write(&scene.render(t)).unwrap();
    }
    writer.finish().unwrap();
}
