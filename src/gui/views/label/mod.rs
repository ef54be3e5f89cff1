//! Labeling: a picture, the marks on it, and lists of frames and body parts beside it.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | the view: what is in front, and the picture |
//! | `actions.rs` | what keys, the palette and buttons ask for |
//! | `edits.rs` | what a click or a key does to labels |
//! | `panels.rs` | the bars and lists around the picture |
//! | `scene.rs` | marks, lines and ghosts of a frame |
//! | `steps.rs` | the three modes: which body part and frame comes next (no egui) |
//! | `aid.rs` | what other cameras of the same moment say |
//! | `frames.rs` | all frames with what is done (no egui) |
//!
//! Every edit goes through [`crate::labeling::Session`], one call for one step of undo. A drag or a run of nudges is
//! only shown here until it ends, and then becomes one step.

mod actions;
mod aid;
mod edits;
mod frames;
mod panels;
mod scene;
mod steps;

use crate::gui::keys::Action;
use crate::gui::pictures::{Look, Pictures};
use crate::gui::widgets::canvas::{Canvas, CanvasResponse, Content, Phase};
use crate::gui::widgets::words::counted;
use crate::gui::{Desk, Place};
use crate::labeling::{Session, State};
use crate::pose::{FrameKey, Keypoint};
use crate::project::{Mark, PointEdit};
use eframe::egui::{self, PointerButton};
use frames::{Filter, Frames, Row};
use scene::Sheet;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steps::Mode;

/// A run of nudges ends when none came for so long.
const PAUSE: Duration = Duration::from_millis(400);

/// What is shown on the picture besides the labels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tools {
    skeleton: bool,
    names: bool,
    ghosts: bool,
    /// Radius of a mark in points.
    radius: f32,
}

impl Default for Tools {
    fn default() -> Self {
        Self { skeleton: true, names: false, ghosts: false, radius: 5.0 }
    }
}

/// A point that is being moved and not yet edited.
#[derive(Debug, Clone, PartialEq)]
struct Moving {
    key: FrameKey,
    point: usize,
    to: Keypoint,
    /// The last nudge; `None` for a drag.
    nudged: Option<Instant>,
}

/// The view Label.
#[derive(Default)]
pub struct LabelView {
    frames: Frames,
    /// What `frames` was listed and counted from.
    listed: Option<(u64, usize)>,
    counted: Option<u64>,
    rows: Vec<Row>,
    rows_of: Option<(Option<u64>, Filter, usize)>,
    filter: Filter,
    folded: HashSet<String>,
    sheet: Arc<Sheet>,
    /// The frame in front, and its number while it is listed.
    key: Option<FrameKey>,
    frame: usize,
    /// Width and height of the picture in front, once it is there.
    size: Option<[usize; 2]>,
    group: usize,
    /// The point that a click places.
    part: usize,
    /// The point that keys move and remove.
    selected: Option<usize>,
    mode: Mode,
    tools: Tools,
    canvas: Canvas,
    pictures: Option<Pictures>,
    moving: Option<Moving>,
    aid: aid::Aid,
    /// Where the pointer is on the picture.
    pointer: Option<Keypoint>,
    queued: Vec<Action>,
    hint: String,
    /// Whether the list is to show the frame in front, and how far it is scrolled.
    scroll: bool,
    list_offset: f32,
    /// The frame that was chosen in the list.
    wanted: Option<usize>,
}

impl LabelView {
    /// Takes what threads have brought, and ends a run of nudges.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        self.aid.poll(desk);
        if self.moving.as_ref().and_then(|m| m.nudged).is_some_and(|last| last.elapsed() >= PAUSE) {
            self.settle(&mut desk.open.labels);
        }
    }

    /// Makes an edit of what is being nudged, if anything is: before the project closes, and before anything else
    /// is edited.
    pub fn settle(&mut self, labels: &mut Session) {
        // A drag goes on until the button is let go; a nudge waits until the labels can be edited again.
        if !matches!(labels.state(), State::Editing)
            || self.moving.as_ref().is_none_or(|m| m.nudged.is_none())
        {
            return;
        }
        if let Some(Moving { key, point, to, .. }) = self.moving.take() {
            labels.edit(&format!("nudge {}", self.sheet.name(point)), vec![PointEdit::new(key, point, to)]);
        }
    }

    /// Whether something on the screen is not yet an edit: a point that is being dragged or nudged.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// The frame in front.
    #[must_use]
    pub fn frame(&self) -> Option<&FrameKey> {
        self.key.as_ref()
    }

    /// Whether the picture in front is there, and nothing is being loaded: for tests and pictures of the window.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.size.is_some() && self.pictures.as_ref().is_some_and(Pictures::is_idle)
    }

    /// Where a position of the frame in front lies on the screen, as of the last pass.
    #[must_use]
    pub fn on_screen(&self, at: Keypoint) -> Option<egui::Pos2> {
        self.canvas.on_screen(at)
    }

    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        self.refresh(desk);
        if self.nothing_to_label(ui, desk) {
            return;
        }
        let wake = Arc::clone(desk.wake);
        let mut pictures = self.pictures.take().unwrap_or_else(|| Pictures::new(wake));
        pictures.begin_pass(ui.ctx());
        self.toolbar(ui, desk);
        self.foot(ui, desk, &mut pictures);
        self.frame_list(ui, desk, &mut pictures);
        self.part_list(ui, desk, &mut pictures);
        let canvas = egui::CentralPanel::default().frame(egui::Frame::NONE);
        let answer = canvas.show(ui, |ui| self.picture(ui, desk, &mut pictures)).inner;
        self.pictures = Some(pictures);
        // First what was done on the picture that was seen, then the keys, which may bring another.
        self.pointer =
            answer.pointer.filter(|p| self.size.is_some_and(|[w, h]| p.inside(w as f64, h as f64)));
        self.pointed(&answer, desk);
        self.act(ui.ctx(), desk);
    }

    /// Follows changes of the project and of the labels.
    fn refresh(&mut self, desk: &Desk<'_>) {
        let labels = &desk.open.labels;
        let all = labels.labels();
        if !self.sheet.fits(desk.open.project(), &all.skeleton) {
            self.sheet = Arc::new(Sheet::of(desk.open.project(), &all.skeleton));
            self.group = self.group.min(self.sheet.groups.len().saturating_sub(1));
            (self.part, self.selected, self.counted) = (self.points().start, None, None);
            self.moving = None; // its point may be another one now
        }
        let listed = (desk.open.revision, all.frames.len());
        if self.listed != Some(listed) {
            if self.listed.is_some_and(|(revision, _)| revision != listed.0)
                && let Some(pictures) = &mut self.pictures
            {
                pictures.forget_failures();
            }
            self.frames.list(&desk.open.contents.pictures, all);
            (self.listed, self.counted) = (Some(listed), None);
            let found = self.key.as_ref().and_then(|k| self.frames.index_of(k));
            match found {
                Some(frame) => self.frame = frame,
                None => self.key = None,
            }
        }
        if self.counted != Some(labels.version()) {
            self.frames.count(all, labels.hidden());
            self.counted = Some(labels.version());
        }
        let rows_of = (self.counted, self.filter, self.folded.len());
        if self.rows_of != Some(rows_of) {
            self.rows = self.frames.rows(self.filter, &self.folded);
            self.rows_of = Some(rows_of);
        }
        if self.key.is_none() && !self.frames.keys().is_empty() && !matches!(labels.state(), State::Opening) {
            // Where the work goes on.
            let last = self.frames.keys().len() - 1;
            self.go_to(self.frames.next_unlabeled(last).unwrap_or(0), labels);
        }
    }

    /// The current individual's points.
    fn points(&self) -> std::ops::Range<usize> {
        self.sheet.groups.get(self.group).map_or(0..0, |g| g.points.clone())
    }

    /// What is said of a point of the frame in front, with what is being moved.
    fn said(&self, labels: &Session, point: usize) -> Mark {
        let Some(key) = &self.key else { return Mark::Unlabeled };
        match &self.moving {
            Some(m) if m.point == point && m.key == *key => Mark::At(m.to),
            _ => labels.mark(key, point),
        }
    }

    fn go_to(&mut self, frame: usize, labels: &Session) {
        let Some(key) = self.frames.keys().get(frame) else { return };
        if self.key.as_ref() != Some(key) {
            self.size = None;
        }
        self.key = Some(key.clone());
        (self.frame, self.scroll, self.selected) = (frame, true, None);
        self.part = steps::begin(self.mode, self.part, &self.points(), |p| self.said(labels, p));
        if self.filter != Filter::All || !self.folded.is_empty() {
            self.folded.remove(&self.key.as_ref().map(|k| k.video.clone()).unwrap_or_default());
            self.rows_of = None;
        }
    }

    fn choose_part(&mut self, part: usize, labels: &Session) {
        self.part = part;
        self.selected = self.said(labels, part).place().map(|_| part);
        if let Some(group) = self.sheet.groups.iter().position(|g| g.points.contains(&part)) {
            self.group = group;
        }
    }

    /// Whether edits are taken; says why not.
    fn may_edit(&mut self, labels: &Session) -> bool {
        self.hint = match labels.state() {
            State::Editing => return true,
            State::Opening => "The labels are still being read.".into(),
            State::ReadOnly { why } => format!("Nothing can be changed here: {why}"),
            State::Failed(e) => format!("Nothing can be changed here: {}", e.what()),
        };
        false
    }

    fn edit(&mut self, labels: &mut Session, what: &str, edits: Vec<PointEdit>) -> bool {
        self.settle(labels);
        self.hint.clear();
        let may = self.may_edit(labels);
        if may {
            labels.edit(what, edits);
        }
        may
    }

    fn picture(&mut self, ui: &mut egui::Ui, desk: &Desk<'_>, pictures: &mut Pictures) -> CanvasResponse {
        let labels = &desk.open.labels;
        let Some(key) = self.key.clone() else {
            return self.canvas.show(ui, Content::new("No frame"));
        };
        let project = desk.open.project();
        // Neighbours in the order of the work, so that going on never waits.
        for by in [1, -1, 2] {
            let near = self.frames.step(self.frame, by, self.filter);
            if let Some(key) = self.frames.keys().get(near).filter(|_| near != self.frame) {
                pictures.prefetch(&project.image_path(key));
            }
        }
        let path = project.image_path(&key);
        let known = self.size.unwrap_or([0, 0]);
        let (image, words) = match pictures.picture(&path) {
            Look::Loading => (None, Some("Loading the picture…".to_owned())),
            Look::Ready(image) => (Some(image), None),
            Look::Failed(words) => {
                let kept = "Its labels are kept, and all other frames can be labeled.";
                (None, Some(format!("This picture cannot be shown.\n{words}\n\n{kept}")))
            }
        };
        self.size = image.as_ref().map(|i| i.size());
        let sheet = Arc::clone(&self.sheet);
        let neighbours = [-1, 1].map(|way| {
            let frame = self.frames.labeled_neighbour(self.frame, way, labels.labels());
            frame.filter(|_| self.tools.ghosts).and_then(|f| self.frames.keys().get(f))
        });
        self.aid.look(&key, labels);
        let said = |point| self.said(labels, point);
        let free = |point| said(point) == Mark::Unlabeled;
        let mut marks =
            scene::marks(&sheet, labels.labels(), &said, neighbours, self.selected, self.tools.radius);
        let mut lines = if self.tools.skeleton { scene::lines(&sheet, &said) } else { Vec::new() };
        if free(self.part) {
            lines.extend(self.aid.lines(self.part, sheet.colour(self.part)));
        }
        let look = |point| (sheet.colour(point), sheet.name(point));
        let own = marks.marks.len();
        marks.marks.extend(self.aid.marks(&free, look, self.tools.radius));
        let proposed = marks.marks.len() - own;
        marks.points.resize(marks.marks.len(), None);
        let more =
            if proposed > 0 { format!(", {} proposed", counted(proposed, "point")) } else { String::new() };
        let name = format!("Picture {} of {}{more}", key.image, key.video);
        let answer = self.canvas.show(
            ui,
            Content {
                size: self.size.unwrap_or(known),
                image,
                words: words.as_deref(),
                lines: &lines,
                marks: &marks.marks,
                names: self.tools.names,
                ..Content::new(&name)
            },
        );
        // From marks to points of the skeleton; ghosts are none.
        let point = |mark: usize| marks.points.get(mark).copied().flatten();
        CanvasResponse {
            hovered: answer.hovered.and_then(point),
            clicks: answer.clicks.into_iter().map(|c| c.with_mark(c.mark.and_then(point))).collect(),
            // What a drag began with it goes on with, whatever becomes of the marks meanwhile.
            dragged: answer.dragged.and_then(|d| {
                let begun = self.moving.as_ref().filter(|m| m.nudged.is_none()).map(|m| m.point);
                Some(d.with_mark(begun.or_else(|| point(d.mark))?))
            }),
            ..answer
        }
    }

    /// What clicks and drags on the picture do; `answer` holds points instead of marks.
    fn pointed(&mut self, answer: &CanvasResponse, desk: &mut Desk<'_>) {
        let labels = &mut desk.open.labels;
        if let Some(drag) = answer.dragged
            && let (Some(key), Some(size)) = (self.key.clone(), self.size)
        {
            let elsewhere = self.moving.as_ref().is_some_and(|m| m.nudged.is_none() && m.key != key);
            if drag.phase == Phase::GivenUp || elsewhere || !self.may_edit(labels) {
                self.moving = None;
            } else {
                self.settle(labels);
                let to = steps::held_inside(drag.to, size);
                self.choose_part(drag.mark, labels);
                self.selected = Some(drag.mark);
                if drag.phase == Phase::Ended {
                    self.moving = None;
                    let what = format!("move {}", self.sheet.name(drag.mark));
                    self.edit(labels, &what, vec![PointEdit::new(key, drag.mark, to)]);
                    self.go_on_after_move(drag.mark, labels);
                } else {
                    self.moving = Some(Moving { key, point: drag.mark, to, nudged: None });
                }
            }
        }
        for click in &answer.clicks {
            match click.button {
                PointerButton::Primary => {
                    if click.mark.is_none() && self.accept_under(answer, click.at, labels) {
                        continue;
                    }
                    let choose = click.modifiers.command || click.double;
                    self.clicked(click.at, click.mark, choose, labels);
                }
                PointerButton::Secondary => {
                    if let Some(point) = click.mark {
                        self.remove(point, labels);
                    }
                }
                _ => {}
            }
        }
        if !answer.clicks.is_empty() || answer.dragged.is_some() {
            answer.response.ctx.request_repaint();
        }
    }

    /// What to do first, when there is nothing to label.
    fn nothing_to_label(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) -> bool {
        let opening = matches!(desk.open.labels.state(), State::Opening);
        let (head, words, button, place) = if self.sheet.names.is_empty() && !opening {
            (
                "No body parts yet",
                "Say what to label first: add body parts to the project.",
                "Go to Project",
                Place::Project,
            )
        } else if self.frames.keys().is_empty() && opening {
            ("Reading the labels…", "", "", Place::Label)
        } else if self.frames.keys().is_empty() {
            (
                "No frames yet",
                "Choose a video and extract some frames of it; they come here to be labeled.",
                "Go to Videos",
                Place::Videos,
            )
        } else {
            return false;
        };
        egui::CentralPanel::default().show(ui, |ui| {
            ui.vertical_centered(|ui| {
                ui.add_space(ui.available_height() * 0.3);
                ui.heading(head);
                ui.label(words);
                ui.add_space(8.0);
                if !button.is_empty() && crate::gui::theme::primary(ui, button).clicked() {
                    *desk.go = Some(place);
                }
            });
        });
        true
    }
}
