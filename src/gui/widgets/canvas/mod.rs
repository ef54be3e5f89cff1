//! One picture with marks on it: zoom, pan, magnifier, and what the pointer did.
//!
//! [`Canvas`] keeps what the user chose to see ([`View`]) and the pointer's press; everything else comes in anew each
//! pass as [`Content`] and goes out as [`CanvasResponse`]. It knows nothing of labels, videos or tracks: the labeler,
//! the video player and the results player all use it.
//!
//! Coordinates are full-frame pixels with the centre of the top-left pixel at (0.5, 0.5), also where the picture had
//! to be scaled down for the graphics card. The pointer:
//!
//! | gesture | does |
//! |---|---|
//! | wheel, pinch, Ctrl+wheel | zoom at the pointer |
//! | middle drag, Space+drag | pan |
//! | drag on a mark | [`CanvasResponse::dragged`], unless marks are [fixed](Content::fixed); Escape gives it up |
//! | drag on nothing | pan, or [`CanvasResponse::stretched`]: see [`Content::empty_drag`] |
//! | press and release | [`CanvasResponse::clicks`], at the place of the press |
//! | double click on nothing | the whole picture |
//!
//! ```
//! use eframe::egui;
//! use limn::gui::widgets::canvas::{Canvas, Content, Mark};
//! use limn::pose::Keypoint;
//! let mut canvas = Canvas::default();
//! egui::__run_test_ui(|ui| {
//!     let mark = Mark::new(Keypoint::new(212.4, 96.0), egui::Color32::RED).named("snout");
//!     let seen = canvas.show(ui, Content { size: [640, 480], marks: &[mark], ..Content::new("Frame 17") });
//!     for click in &seen.clicks {
//!         let _ = (click.at, click.button, click.mark);
//!     }
//! });
//! ```

mod image;
mod paint;
mod view;

pub use image::{CanvasImage, Tone, colour_image};
pub use view::{Place, View};

use crate::pose::Keypoint;
use eframe::egui::{
    Color32, CursorIcon, Event, Key, Modifiers, PointerButton, Pos2, Response, Role, Sense, Ui, Vec2,
    WidgetInfo,
};
use view::Room;

/// How far, in points, a press may stray and still be a click.
const STRAY: f32 = 4.0;
/// How close together, in seconds, two clicks are a double click.
const DOUBLE: f64 = 0.35;
/// How far beside a mark's rim, in points, the pointer still takes it.
const REACH: f32 = 3.0;

/// The form of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// A filled disc.
    #[default]
    Disc,
    /// Only its rim, so that what is under it can be seen.
    Ring,
    /// A diagonal cross.
    Cross,
    /// A filled square.
    Square,
}

/// A point on the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark<'a> {
    /// Where, in frame pixels.
    pub at: Keypoint,
    /// Its colour; let it be see-through for a ghost.
    pub colour: Color32,
    /// Its form.
    pub shape: Shape,
    /// Its radius in points: it does not grow with the zoom.
    pub radius: f32,
    /// Written beside it where [`Content::names`] asks for it, and when the pointer is on it.
    pub name: &'a str,
    /// Drawn with a ring.
    pub selected: bool,
    /// Whether the pointer can take it; ghosts cannot be taken.
    pub grip: bool,
}

impl<'a> Mark<'a> {
    /// A disc of 5 points that can be taken.
    #[must_use]
    pub fn new(at: Keypoint, colour: Color32) -> Self {
        Self { at, colour, shape: Shape::Disc, radius: 5.0, name: "", selected: false, grip: true }
    }

    /// With this name.
    #[must_use]
    pub fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// A faint ring that cannot be taken, such as the point of a neighbouring frame.
    #[must_use]
    pub fn ghost(at: Keypoint, colour: Color32) -> Self {
        Self { shape: Shape::Ring, grip: false, ..Self::new(at, colour.gamma_multiply(0.45)) }
    }
}

/// A straight line on the picture, below all marks: skeletons, trails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Both ends, in frame pixels.
    pub ends: [Keypoint; 2],
    /// Its colour.
    pub colour: Color32,
    /// Its width in points.
    pub width: f32,
}

/// What a drag with the first button does where no mark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmptyDrag {
    /// Moves the picture.
    #[default]
    Pan,
    /// Spans a rectangle: see [`CanvasResponse::stretched`].
    Stretch,
    /// Nothing.
    Nothing,
}

/// What is to be seen in this pass.
#[derive(Debug)]
pub struct Content<'a> {
    /// The view's name for screen readers and tests ("Frame 17 of m1").
    pub name: &'a str,
    /// Width and height of the full frame in pixels, also while the picture itself is not there yet; zeros when
    /// nothing is known.
    pub size: [usize; 2],
    /// The picture, when it is there.
    pub image: Option<&'a mut CanvasImage>,
    /// Written in the middle: that it is being loaded, or why it cannot be shown.
    pub words: Option<&'a str>,
    /// Lines, drawn first.
    pub lines: &'a [Line],
    /// Marks, drawn in this order, the selected last.
    pub marks: &'a [Mark<'a>],
    /// Whether all names are written.
    pub names: bool,
    /// What a drag on nothing does.
    pub empty_drag: EmptyDrag,
    /// Whether marks stay where they are: they can be pointed at and clicked, but a drag on one is a drag on nothing.
    pub fixed: bool,
    /// Written in the lower left corner, where it hides little: what is to be known of the picture.
    pub note: Option<&'a str>,
}

impl<'a> Content<'a> {
    /// Nothing but the view's name.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            size: [0, 0],
            image: None,
            words: None,
            lines: &[],
            marks: &[],
            names: false,
            empty_drag: EmptyDrag::Pan,
            fixed: false,
            note: None,
        }
    }
}

/// A press and release that did not stray.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Click {
    /// Where it was pressed, in frame pixels; may lie beside the picture.
    pub at: Keypoint,
    /// With which button.
    pub button: PointerButton,
    /// With which keys held.
    pub modifiers: Modifiers,
    /// The mark under it.
    pub mark: Option<usize>,
    /// The second of two at one place.
    pub double: bool,
}

impl Click {
    /// The same, of another mark: for views whose marks stand for something else.
    #[must_use]
    pub fn with_mark(self, mark: Option<usize>) -> Self {
        Self { mark, ..self }
    }
}

/// How far a drag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Under way.
    Moving,
    /// The button was let go.
    Ended,
    /// Escape was pressed: everything stays as it was.
    GivenUp,
}

/// A mark is being dragged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drag {
    /// Which.
    pub mark: usize,
    /// Where it is now, in frame pixels; may lie beside the picture.
    pub to: Keypoint,
    /// How far it is.
    pub phase: Phase,
}

impl Drag {
    /// The same, of another mark: for views whose marks stand for something else.
    #[must_use]
    pub fn with_mark(self, mark: usize) -> Self {
        Self { mark, ..self }
    }
}

/// A rectangle is being spanned ([`EmptyDrag::Stretch`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// The corner where it began, in frame pixels.
    pub from: Keypoint,
    /// The opposite corner.
    pub to: Keypoint,
    /// How far it is.
    pub phase: Phase,
}

/// What happened on the canvas in this pass.
#[derive(Debug)]
pub struct CanvasResponse {
    /// egui's own answer for the view, for tooltips, focus and menus.
    pub response: Response,
    /// How the picture lies on the screen, to draw more on it.
    pub place: Place,
    /// Where the pointer is, in frame pixels; `None` when it is elsewhere.
    pub pointer: Option<Keypoint>,
    /// The mark under the pointer.
    pub hovered: Option<usize>,
    /// Clicks in order; rarely more than one in a pass.
    pub clicks: Vec<Click>,
    /// The mark that is dragged.
    pub dragged: Option<Drag>,
    /// The rectangle that is spanned.
    pub stretched: Option<Stretch>,
}

/// What the pressed button is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    /// Nothing yet; may become a click.
    Press,
    Pan,
    /// Moves a mark; holds how far from the mark's centre it was taken, in frame pixels.
    Drag {
        mark: usize,
        off: [f64; 2],
    },
    Stretch,
    /// Strayed where a drag does nothing, or was given up.
    Idle,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    button: PointerButton,
    modifiers: Modifiers,
    /// On the screen and on the frame as it then lay.
    at: Pos2,
    frame: Keypoint,
    mark: Option<usize>,
    space: bool,
    last: Pos2,
    deed: Deed,
}

/// The state of one view of pictures; see the [module](self).
#[derive(Default)]
pub struct Canvas {
    /// What part of the picture is seen.
    pub view: View,
    /// Whether the magnifier is on.
    pub magnifier: bool,
    /// The view's room of the last pass, for commands that come by key.
    room: Option<Room>,
    press: Option<Press>,
    last_click: Option<(Pos2, f64)>,
    lens: paint::Lens,
}

impl Canvas {
    /// Shows the whole picture.
    pub fn fit(&mut self) {
        self.view = View::Fit;
    }

    /// One frame pixel for one pixel of the screen.
    pub fn actual_size(&mut self) {
        if let Some(room) = self.room {
            self.view.actual_size(&room);
        }
    }

    /// Zooms about the middle of the view: above 1 in, below 1 out.
    pub fn zoom(&mut self, factor: f64) {
        if let Some(room) = self.room {
            self.view.zoom(factor, room.area.center(), &room);
        }
    }

    /// Moves the picture by so many points, right and down.
    pub fn pan(&mut self, x: f64, y: f64) {
        if let Some(room) = self.room {
            self.view.pan([x, y], &room);
        }
    }

    /// Brings a frame position into sight.
    pub fn reveal(&mut self, at: Keypoint) {
        if let Some(room) = self.room {
            self.view.reveal(at, &room);
        }
    }

    /// The zoom in physical screen pixels for one frame pixel (1 is 100 %), when something was shown.
    #[must_use]
    pub fn magnification(&self) -> Option<f64> {
        self.room.map(|room| self.view.place(&room).scale * room.pixels_per_point)
    }

    /// Where a frame position lies on the screen, in points, as of the last pass.
    #[must_use]
    pub fn on_screen(&self, at: Keypoint) -> Option<Pos2> {
        self.room.map(|room| self.view.place(&room).to_screen(at))
    }

    /// Whether a mark is held by the pointer.
    #[must_use]
    pub fn is_dragging(&self) -> bool {
        self.press.is_some_and(|p| matches!(p.deed, Deed::Drag { .. }))
    }

    /// Whether a button is held down on it.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.press.is_some()
    }

    /// Draws `content` into all the room that `ui` has left, and says what the pointer did.
    pub fn show(&mut self, ui: &mut Ui, content: Content<'_>) -> CanvasResponse {
        let area = ui.available_size().max(Vec2::splat(16.0));
        let (response, painter) = ui.allocate_painter(area, Sense::CLICK | Sense::DRAG);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, ui.is_enabled(), content.name));
        let room = Room {
            area: response.rect,
            size: content.size.map(|s| s.max(1) as f64),
            pixels_per_point: f64::from(ui.pixels_per_point()).max(0.1),
        };
        self.room = Some(room);
        self.wheel(ui, &response, &room);
        let mut answer = CanvasResponse {
            place: self.view.place(&room),
            pointer: None,
            hovered: None,
            clicks: Vec::new(),
            dragged: None,
            stretched: None,
            response,
        };
        if ui.is_enabled() {
            self.pointer(ui, &content, &room, &mut answer);
        } else {
            self.press = None;
        }
        let place = self.view.place(&room);
        answer.place = place;
        let pointer = ui.input(|i| i.pointer.hover_pos()).filter(|_| answer.response.contains_pointer());
        answer.pointer = pointer.map(|p| place.to_frame(p));
        answer.hovered = match self.press.map(|p| p.deed) {
            Some(Deed::Drag { mark, .. }) => Some(mark),
            Some(Deed::Pan | Deed::Stretch) => None,
            _ => pointer.and_then(|p| under(&place, content.marks, p)),
        };
        if let Some(icon) = self.cursor(ui, &content, &answer) {
            ui.ctx().set_cursor_icon(icon);
        }
        if self.magnifier {
            self.lens.look_at(content.image.as_deref(), content.marks);
        }
        paint::paint(ui, &painter, &place, content, &answer);
        if self.magnifier {
            self.lens.show(ui, &painter, &place, &answer);
        }
        answer
    }

    fn cursor(&self, ui: &Ui, content: &Content<'_>, answer: &CanvasResponse) -> Option<CursorIcon> {
        match self.press.map(|p| p.deed) {
            Some(Deed::Pan) => return Some(CursorIcon::Grabbing),
            Some(Deed::Drag { .. }) => return Some(CursorIcon::Crosshair),
            _ => {}
        }
        let at = answer.pointer?;
        let inside = at.inside(content.size[0] as f64, content.size[1] as f64);
        Some(if ui.input(|i| i.key_down(Key::Space)) {
            CursorIcon::Grab
        } else if inside {
            CursorIcon::Crosshair
        } else {
            return None;
        })
    }

    /// Zooms by wheel and pinch.
    fn wheel(&mut self, ui: &Ui, response: &Response, room: &Room) {
        let Some(at) = response.hover_pos().filter(|_| response.contains_pointer()) else { return };
        let (pinch, scroll) = ui.input(|i| (i.zoom_delta(), i.smooth_scroll_delta().y));
        let factor = f64::from(pinch) * (f64::from(scroll) / 200.0).exp();
        if (factor - 1.0).abs() > 1e-6 && factor.is_finite() {
            self.view.zoom(factor, at, room);
        }
    }

    /// Follows the raw events in their order, so that no click is lost in a slow pass, and a press that lasts long
    /// still is a click.
    fn pointer(&mut self, ui: &Ui, content: &Content<'_>, room: &Room, answer: &mut CanvasResponse) {
        let (events, space, now, down) =
            ui.input(|i| (i.events.clone(), i.key_down(Key::Space), i.time, i.pointer.any_down()));
        for event in events {
            match event {
                Event::PointerMoved(to) => self.moved(to, content, room, answer),
                Event::PointerButton { pos, button, pressed: true, modifiers }
                    if self.press.is_none() && self.is_ours(ui, room, pos) =>
                {
                    let place = self.view.place(room);
                    let_go(ui);
                    self.press = Some(Press {
                        button,
                        modifiers,
                        at: pos,
                        frame: place.to_frame(pos),
                        mark: under(&place, content.marks, pos),
                        space,
                        last: pos,
                        deed: if button == PointerButton::Middle { Deed::Pan } else { Deed::Press },
                    });
                }
                Event::PointerButton { pos, button, pressed: false, .. }
                    if self.press.is_some_and(|p| p.button == button) =>
                {
                    self.moved(pos, content, room, answer);
                    self.released(now, answer);
                }
                Event::Key { key: Key::Escape, pressed: true, .. } => self.give_up(answer),
                _ => {}
            }
        }
        // A release that happened where the window could not see it.
        if self.press.is_some() && !down {
            if self.press.is_some_and(|p| p.deed == Deed::Press) {
                self.press = None;
            }
            self.released(now, answer);
        }
    }

    /// Whether a press there is meant for this view and not for something on top of it.
    fn is_ours(&self, ui: &Ui, room: &Room, at: Pos2) -> bool {
        let top = ui.ctx().layer_id_at(at);
        room.area.contains(at)
            && ui.clip_rect().contains(at)
            && top.is_none_or(|layer| layer == ui.layer_id())
    }

    fn moved(&mut self, to: Pos2, content: &Content<'_>, room: &Room, answer: &mut CanvasResponse) {
        let Some(press) = &mut self.press else { return };
        if press.deed == Deed::Press && press.at.distance(to) > STRAY {
            press.deed = match (press.button, press.mark) {
                (PointerButton::Primary, _) if press.space => Deed::Pan,
                (PointerButton::Primary, Some(mark)) if !content.fixed => {
                    let at = content.marks.get(mark).map_or(press.frame, |m| m.at);
                    Deed::Drag { mark, off: [at.x - press.frame.x, at.y - press.frame.y] }
                }
                (PointerButton::Primary, _) => match content.empty_drag {
                    EmptyDrag::Pan => Deed::Pan,
                    EmptyDrag::Stretch => Deed::Stretch,
                    EmptyDrag::Nothing => Deed::Idle,
                },
                _ => Deed::Idle,
            };
        }
        let by = to - press.last;
        press.last = to;
        if press.deed == Deed::Pan {
            // The first step also makes up for what the press strayed.
            self.view.pan([f64::from(by.x), f64::from(by.y)], room);
        }
        let press = *press;
        self.tell(&press, Phase::Moving, room, answer);
    }

    /// Puts a drag or a stretch into the answer.
    fn tell(&self, press: &Press, phase: Phase, room: &Room, answer: &mut CanvasResponse) {
        let here = self.view.place(room).to_frame(press.last);
        match press.deed {
            Deed::Drag { mark, off } => {
                let to = Keypoint::new(here.x + off[0], here.y + off[1]);
                answer.dragged = Some(Drag { mark, to, phase });
            }
            Deed::Stretch => answer.stretched = Some(Stretch { from: press.frame, to: here, phase }),
            _ => {}
        }
    }

    fn released(&mut self, now: f64, answer: &mut CanvasResponse) {
        let Some(press) = self.press.take() else { return };
        match press.deed {
            Deed::Press => {
                let double = self
                    .last_click
                    .is_some_and(|(at, time)| now - time < DOUBLE && at.distance(press.at) <= STRAY);
                self.last_click = if double { None } else { Some((press.at, now)) };
                let Press { button, modifiers, mark, frame: at, .. } = press;
                if double && mark.is_none() && button == PointerButton::Primary {
                    self.view = View::Fit;
                }
                answer.clicks.push(Click { at, button, modifiers, mark, double });
            }
            _ => {
                if let Some(room) = self.room {
                    self.tell(&press, Phase::Ended, &room, answer);
                }
            }
        }
    }

    fn give_up(&mut self, answer: &mut CanvasResponse) {
        if let (Some(press), Some(room)) = (self.press, self.room) {
            self.tell(&press, Phase::GivenUp, &room, answer);
            if let Some(press) = &mut self.press {
                press.deed = Deed::Idle;
            }
        }
    }
}

impl std::fmt::Debug for Canvas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canvas").field("view", &self.view).field("press", &self.press).finish_non_exhaustive()
    }
}

/// Takes the keyboard from the control that has it: after a press on the picture, keys mean the picture.
fn let_go(ui: &Ui) {
    ui.memory_mut(|m| {
        if let Some(focused) = m.focused() {
            m.surrender_focus(focused);
        }
    });
}

/// The nearest mark that can be taken at this screen position.
fn under(place: &Place, marks: &[Mark<'_>], at: Pos2) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, mark) in marks.iter().enumerate().filter(|(_, m)| m.grip) {
        let distance = place.to_screen(mark.at).distance(at);
        if distance <= mark.radius.max(2.0) + REACH && best.is_none_or(|(_, d)| distance <= d) {
            best = Some((index, distance));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests;
