use super::*;
use eframe::egui::{
    self, Context, Event, MouseWheelUnit, RawInput, Rect, TouchPhase, ViewportId, pos2, vec2,
};

/// A canvas of 500 x 400 points over a frame of 640 x 480 pixels, driven by raw events.
struct Stage {
    ctx: Context,
    canvas: Canvas,
    marks: Vec<Mark<'static>>,
    empty: EmptyDrag,
    ppp: f32,
    time: f64,
}

/// What a pass answered, without egui's part.
#[derive(Debug, Default)]
struct Seen {
    clicks: Vec<Click>,
    dragged: Option<Drag>,
    stretched: Option<Stretch>,
    pointer: Option<Keypoint>,
    hovered: Option<usize>,
    place: Option<Place>,
}

impl Stage {
    fn new(ppp: f32) -> Self {
        let mut stage = Self {
            ctx: Context::default(),
            canvas: Canvas::default(),
            marks: Vec::new(),
            empty: EmptyDrag::Pan,
            ppp,
            time: 0.0,
        };
        stage.pass(&[]);
        stage.pass(&[]);
        stage
    }

    fn pass(&mut self, events: &[Event]) -> Seen {
        self.time += 0.1;
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(500.0, 400.0))),
            time: Some(self.time),
            events: events.to_vec(),
            ..RawInput::default()
        };
        input.viewports.entry(ViewportId::ROOT).or_default().native_pixels_per_point = Some(self.ppp);
        let mut seen = Seen::default();
        let (canvas, marks, empty) = (&mut self.canvas, &self.marks, self.empty);
        let mut out = self.ctx.run_ui(input, |ui| {
            let content = Content { size: [640, 480], marks, empty_drag: empty, ..Content::new("Frame") };
            let r = canvas.show(ui, content);
            seen = Seen {
                clicks: r.clicks,
                dragged: r.dragged,
                stretched: r.stretched,
                pointer: r.pointer,
                hovered: r.hovered,
                place: Some(r.place),
            };
        });
        out.textures_delta.clear();
        seen
    }

    fn place(&mut self) -> Place {
        self.pass(&[]).place.unwrap()
    }

    fn button(at: Pos2, button: PointerButton, pressed: bool) -> Event {
        Event::PointerButton { pos: at, button, pressed, modifiers: Modifiers::NONE }
    }

    fn click(&mut self, at: Pos2) -> Seen {
        self.time += 1.0;
        self.pass(&[
            Event::PointerMoved(at),
            Self::button(at, PointerButton::Primary, true),
            Self::button(at, PointerButton::Primary, false),
        ])
    }
}

#[test]
fn a_click_gives_the_exact_position_at_any_zoom_pan_and_display_scale() {
    for ppp in [1.0, 1.5, 2.0] {
        let mut stage = Stage::new(ppp);
        for (step, wanted) in
            [(320.5, 240.5), (212.4, 96.0), (100.25, 300.75), (17.125, 333.3), (600.0, 20.0)]
                .iter()
                .enumerate()
        {
            let wanted = Keypoint::new(wanted.0, wanted.1);
            // Zoom further in on the way, always about what is wanted.
            let at = stage.place().to_screen(wanted);
            for _ in 0..step {
                stage.pass(&[Event::PointerMoved(at), Event::Zoom(1.37)]);
            }
            let place = stage.place();
            let at = place.to_screen(wanted);
            let seen = stage.click(at);
            let [click] = seen.clicks[..] else { panic!("{seen:?}") };
            assert!(click.at.distance(wanted) * place.scale < 1e-3, "{ppp} {click:?} {wanted:?}");
            assert!(seen.pointer.unwrap().distance(wanted) * place.scale < 1e-3);
            stage.canvas.fit();
        }
    }
}

#[test]
fn a_long_press_and_several_clicks_in_one_pass_are_all_clicks() {
    let mut stage = Stage::new(1.0);
    let at = pos2(200.0, 200.0);
    stage.pass(&[Event::PointerMoved(at), Stage::button(at, PointerButton::Primary, true)]);
    stage.time += 5.0;
    stage.pass(&[Event::PointerMoved(at + vec2(2.0, 0.0))]);
    let seen = stage.pass(&[Stage::button(at + vec2(2.0, 0.0), PointerButton::Primary, false)]);
    assert_eq!(seen.clicks.len(), 1);
    let place = stage.place();
    assert_eq!(seen.clicks[0].at, place.to_frame(at), "where it was pressed");

    stage.time += 1.0;
    let events: Vec<_> = [pos2(100.0, 100.0), pos2(150.0, 120.0)]
        .into_iter()
        .flat_map(|p| [true, false].map(|pressed| Stage::button(p, PointerButton::Secondary, pressed)))
        .collect();
    let seen = stage.pass(&events);
    assert_eq!(seen.clicks.len(), 2);
    assert!(seen.clicks.iter().all(|c| c.button == PointerButton::Secondary && !c.double));
}

#[test]
fn marks_are_dragged_without_a_jump_and_escape_gives_up() {
    let mut stage = Stage::new(1.5);
    stage.marks = vec![
        Mark::new(Keypoint::new(100.0, 100.0), Color32::RED),
        Mark::ghost(Keypoint::new(300.0, 100.0), Color32::RED),
    ];
    let place = stage.place();
    let taken = place.to_screen(Keypoint::new(100.0, 100.0)) + vec2(3.0, 1.0);
    let seen = stage.pass(&[Event::PointerMoved(taken)]);
    assert_eq!(seen.hovered, Some(0));
    stage.pass(&[Stage::button(taken, PointerButton::Primary, true)]);
    let to = taken + vec2(39.0, 13.0);
    let seen = stage.pass(&[Event::PointerMoved(to)]);
    let drag = seen.dragged.unwrap();
    assert_eq!((drag.mark, drag.phase), (0, Phase::Moving));
    let by = Keypoint::new(39.0 / place.scale, 13.0 / place.scale);
    assert!(drag.to.distance(Keypoint::new(100.0 + by.x, 100.0 + by.y)) < 1e-3);
    let seen = stage.pass(&[Stage::button(to, PointerButton::Primary, false)]);
    assert_eq!(seen.dragged.unwrap().phase, Phase::Ended);
    assert!(seen.clicks.is_empty());

    stage.pass(&[Event::PointerMoved(taken), Stage::button(taken, PointerButton::Primary, true)]);
    stage.pass(&[Event::PointerMoved(to)]);
    let escape = Event::Key {
        key: Key::Escape,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::NONE,
    };
    assert_eq!(stage.pass(&[escape]).dragged.unwrap().phase, Phase::GivenUp);
    let seen = stage.pass(&[Event::PointerMoved(taken), Stage::button(taken, PointerButton::Primary, false)]);
    assert!(seen.dragged.is_none() && seen.clicks.is_empty());

    // A ghost is nothing to the pointer.
    let ghost = place.to_screen(Keypoint::new(300.0, 100.0));
    assert_eq!(stage.click(ghost).clicks[0].mark, None);
}

#[test]
fn empty_drags_pan_or_span_and_a_double_click_fits() {
    let mut stage = Stage::new(1.0);
    let at = pos2(250.0, 200.0);
    stage.pass(&[Event::PointerMoved(at), Event::Zoom(3.0)]);
    let before = stage.place();
    for button in [PointerButton::Primary, PointerButton::Middle] {
        let before = stage.place();
        stage.pass(&[Stage::button(at, button, true)]);
        stage.pass(&[Event::PointerMoved(at + vec2(20.0, 10.0))]);
        let seen = stage.pass(&[Stage::button(at + vec2(20.0, 10.0), button, false)]);
        assert!(seen.clicks.is_empty());
        let after = stage.place();
        assert!(before.to_frame(at).distance(after.to_frame(at + vec2(20.0, 10.0))) < 1e-3, "{button:?}");
    }
    assert!(stage.place().scale == before.scale);

    stage.empty = EmptyDrag::Stretch;
    stage.pass(&[Event::PointerMoved(at), Stage::button(at, PointerButton::Primary, true)]);
    let to = pos2(300.0, 260.0);
    stage.pass(&[Event::PointerMoved(to)]);
    let seen = stage.pass(&[Stage::button(to, PointerButton::Primary, false)]);
    let place = stage.place();
    let span = seen.stretched.unwrap();
    assert_eq!((span.from, span.to, span.phase), (place.to_frame(at), place.to_frame(to), Phase::Ended));

    let press = [true, false].map(|pressed| Stage::button(at, PointerButton::Primary, pressed));
    stage.time += 1.0;
    stage.pass(&press);
    assert!(stage.canvas.view != View::Fit);
    assert!(stage.pass(&press).clicks[0].double);
    assert_eq!(stage.canvas.view, View::Fit);
}

#[test]
fn the_wheel_zooms_about_the_pointer() {
    let mut stage = Stage::new(2.0);
    let at = pos2(200.0, 150.0);
    let seen = stage.pass(&[Event::PointerMoved(at)]);
    let wanted = seen.pointer.unwrap();
    let wheel = |y| Event::MouseWheel {
        unit: MouseWheelUnit::Line,
        delta: vec2(0.0, y),
        phase: TouchPhase::Move,
        modifiers: Modifiers::NONE,
        source: egui::MouseWheelSource::Unknown,
    };
    let before = stage.place().scale;
    stage.pass(&[wheel(5.0)]);
    for _ in 0..20 {
        stage.pass(&[]);
    }
    let place = stage.place();
    assert!(place.scale > before * 1.2, "{} {before}", place.scale);
    assert!(place.to_frame(at).distance(wanted) * place.scale < 1e-2);
}

#[test]
fn something_on_top_keeps_its_own_clicks() {
    let mut stage = Stage::new(1.0);
    let at = pos2(120.0, 120.0);
    let mut clicks = 0;
    for events in [
        vec![],
        vec![Event::PointerMoved(at)],
        vec![
            Stage::button(at, PointerButton::Primary, true),
            Stage::button(at, PointerButton::Primary, false),
        ],
    ] {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(500.0, 400.0))),
            events,
            ..RawInput::default()
        };
        let canvas = &mut stage.canvas;
        let mut out = stage.ctx.run_ui(input, |ui| {
            clicks += canvas.show(ui, Content { size: [64, 48], ..Content::new("Frame") }).clicks.len();
            egui::Window::new("On top")
                .fixed_rect(Rect::from_min_size(pos2(80.0, 80.0), vec2(100.0, 100.0)))
                .show(ui.ctx(), |ui| ui.allocate_space(vec2(90.0, 90.0)));
        });
        out.textures_delta.clear();
    }
    assert_eq!(clicks, 0);
}
