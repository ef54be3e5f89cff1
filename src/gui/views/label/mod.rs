//! Labeling: a picture, the marks on it, and lists of frames and body parts beside it.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | the view: what is in front, what each action and each click does |
//! | `panels.rs` | the bars and lists around the picture |
//! | `scene.rs` | marks, lines and ghosts of a frame |
//! | `steps.rs` | the three modes: which body part and frame comes next (no egui) |
//! | `aid.rs` | what other cameras of the same moment say |
//! | `frames.rs` | all frames with what is done (no egui) |
//!
//! Every edit goes through [`crate::labeling::Session`], one call for one step of undo. A drag or a run of nudges is
//! only shown here until it ends, and then becomes one step.

mod aid;
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
use steps::{Deed, Mode, Step};

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

    fn clicked(&mut self, at: Keypoint, hit: Option<usize>, choose: bool, labels: &mut Session) {
        // Before its picture is there nobody can mean a place on it.
        let (Some(key), Some([w, h])) = (self.key.clone(), self.size) else { return };
        let part = self.part;
        let name = self.sheet.name(part).to_owned();
        let deed = steps::click(self.mode, part, self.said(labels, part), hit, choose);
        match deed {
            Deed::Select(point) => {
                self.settle(labels);
                self.choose_part(point, labels);
            }
            Deed::AlreadyThere => {
                self.hint = format!(
                    "{name} is placed already: drag it to move it, or choose another body part or mode."
                );
            }
            Deed::Place | Deed::Move if !at.inside(w as f64, h as f64) => {
                self.hint = "A point can only be placed inside the picture.".into();
            }
            Deed::Place | Deed::Move => {
                let verb = if deed == Deed::Place { "place" } else { "move" };
                if self.edit(labels, &format!("{verb} {name}"), vec![PointEdit::new(key, part, at)]) {
                    self.go_on(part, labels);
                    self.selected = self.said(labels, part).place().map(|_| part);
                }
            }
        }
    }

    /// Makes labels of proposals: of one point, or of all; whether there were any.
    fn accept(&mut self, point: Option<usize>, labels: &mut Session) -> bool {
        let Some(key) = self.key.clone() else { return false };
        self.settle(labels);
        let free = |p| self.said(labels, p) == Mark::Unlabeled;
        let all = self.aid.proposals(&free).filter(|(p, _)| point.is_none_or(|one| one == *p));
        let all: Vec<(usize, Keypoint)> = all.collect();
        let Some((last, _)) = all.last().copied() else { return false };
        let what = if all.len() > 1 {
            "accept proposals".to_owned()
        } else {
            format!("accept {}", self.sheet.name(last))
        };
        let edits = all.into_iter().map(|(p, at)| PointEdit::new(key.clone(), p, at)).collect();
        if self.edit(labels, &what, edits) {
            self.go_on(last, labels);
        }
        true
    }

    /// Accepts the proposal that was clicked, if one was.
    fn accept_under(&mut self, answer: &CanvasResponse, at: Keypoint, labels: &mut Session) -> bool {
        let free = |p| self.said(labels, p) == Mark::Unlabeled;
        let under = self.aid.under(&answer.place, at, &free);
        under.is_some_and(|point| self.accept(Some(point), labels))
    }

    /// Goes on after `part` was said.
    fn go_on(&mut self, part: usize, labels: &Session) {
        let video = self.frames.video_of(self.frame).map_or(0..0, |v| v.frames.clone());
        let last = self.frame + 1 >= video.end;
        let onward = steps::onward(self.mode, part, &self.points(), |p| self.said(labels, p), last);
        self.part = onward.part;
        match onward.frame {
            Step::Stay => {}
            Step::Next => self.go_to(self.frame + 1, labels),
            Step::First => self.go_to(video.start, labels),
        }
    }

    /// A moved mark stays selected; in sequential and quick mode the next to do stays the next.
    fn go_on_after_move(&mut self, point: usize, labels: &Session) {
        if self.mode != Mode::Loop {
            let next = steps::next_to_do(point, &self.points(), |p| self.said(labels, p));
            self.part = next.unwrap_or(point);
        }
    }

    fn remove(&mut self, point: usize, labels: &mut Session) {
        let Some(key) = self.key.clone() else { return };
        self.settle(labels);
        if self.said(labels, point) == Mark::Unlabeled {
            return;
        }
        let what = format!("remove {}", self.sheet.name(point));
        if self.edit(labels, &what, vec![PointEdit::new(key, point, Mark::Unlabeled)]) {
            self.choose_part(point, labels);
        }
    }

    fn nudge(&mut self, x: f64, y: f64, labels: &Session) {
        let Some(point) = self.selected.or(Some(self.part)) else { return };
        let (Some(key), Some(size)) = (self.key.clone(), self.size) else { return };
        let Some(at) = self.said(labels, point).place() else {
            self.hint = "Select a placed point to move it with the arrow keys.".into();
            return;
        };
        if self.canvas.is_dragging() || !self.may_edit(labels) {
            return;
        }
        self.hint.clear();
        let to = steps::held_inside(Keypoint::new(at.x + x, at.y + y), size);
        self.selected = Some(point);
        self.canvas.reveal(to);
        self.moving = Some(Moving { key, point, to, nudged: Some(Instant::now()) });
    }

    fn copy_previous(&mut self, all: bool, labels: &mut Session) {
        let Some(key) = self.key.clone() else { return };
        self.settle(labels);
        let from = self.frames.labeled_neighbour(self.frame, -1, labels.labels());
        let Some(from) = from.and_then(|f| self.frames.keys().get(f)).cloned() else {
            self.hint = "No earlier frame of this video has labels to copy.".into();
            return;
        };
        let mut edits = Vec::new();
        for point in 0..labels.labels().skeleton.points() {
            let free = all || labels.mark(&key, point) == Mark::Unlabeled;
            if let Some(at) = labels.mark(&from, point).place().filter(|_| free) {
                let inside = self.size.is_none_or(|[w, h]| at.inside(w as f64, h as f64));
                if inside {
                    edits.push(PointEdit::new(key.clone(), point, at));
                }
            }
        }
        let count = edits.len();
        if self.edit(labels, &format!("copy points from {}", from.image), edits) {
            self.hint = format!("{} copied from {}.", counted(count, "point"), from.image);
            self.part = steps::begin(self.mode, self.part, &self.points(), |p| self.said(labels, p));
        }
    }

    fn hide(&mut self, points: &[usize], what: &str, labels: &mut Session) {
        let Some(key) = self.key.clone() else { return };
        let edits = points.iter().map(|p| PointEdit::new(key.clone(), *p, Mark::Hidden)).collect();
        if self.edit(labels, what, edits)
            && let Some(last) = points.last()
        {
            self.selected = None;
            self.go_on(*last, labels);
        }
    }

    /// Undoes or does again, and goes to the frame that changed.
    fn turn_back(&mut self, redo: bool, labels: &mut Session) {
        self.settle(labels);
        let step = if redo { labels.redo() } else { labels.undo() };
        let Some(step) = step else {
            let what = if redo { "do again" } else { "undo" };
            if self.may_edit(labels) {
                self.hint = format!("There is nothing to {what}.");
            }
            return;
        };
        let here = self.key.as_ref().is_some_and(|k| step.keys.contains(k));
        let there = step.keys.first().and_then(|k| self.frames.index_of(k));
        match there {
            Some(frame) if !here => self.go_to(frame, labels),
            _ => {
                self.selected = None;
                self.part = steps::begin(self.mode, self.part, &self.points(), |p| self.said(labels, p));
            }
        }
        self.hint = format!("{}: {}", if redo { "Done again" } else { "Undone" }, step.what);
    }

    /// Does what keys, the palette and buttons ask for.
    fn act(&mut self, ctx: &egui::Context, desk: &mut Desk<'_>) {
        if let Some(frame) = self.wanted.take() {
            self.settle(&mut desk.open.labels);
            self.hint.clear();
            self.go_to(frame, &desk.open.labels);
            self.scroll = false;
        }
        let queued = std::mem::take(&mut self.queued);
        // While a point hangs on the pointer, a key must not carry it to another frame or take it away.
        let held = self.canvas.is_pressed();
        for action in queued.into_iter().chain(desk.fired.iter()).filter(|_| !held).collect::<Vec<_>>() {
            self.one(action, desk);
            ctx.request_repaint();
        }
        if self.moving.as_ref().is_some_and(|m| m.nudged.is_some()) {
            if ctx.input(|i| i.viewport().close_requested()) {
                self.settle(&mut desk.open.labels);
            }
            ctx.request_repaint_after(PAUSE);
        }
    }

    fn one(&mut self, action: Action, desk: &mut Desk<'_>) {
        use Action as A;
        let labels = &mut desk.open.labels;
        let step = |by| self.frames.step(self.frame, by, self.filter);
        let go = match action {
            A::NextPicture => Some(step(1)),
            A::PreviousPicture => Some(step(-1)),
            A::FirstPicture => Some(0),
            A::LastPicture => Some(self.frames.keys().len().saturating_sub(1)),
            A::NextUnlabeled => {
                let next = self.frames.next_unlabeled(self.frame);
                if next.is_none() {
                    self.hint = "Every frame is labeled. Train a model next.".into();
                }
                next
            }
            _ => None,
        };
        if let Some(frame) = go {
            self.settle(labels);
            self.hint.clear();
            self.go_to(frame, labels);
            return;
        }
        match action {
            A::Undo => self.turn_back(false, labels),
            A::Redo => self.turn_back(true, labels),
            A::Save => self.settle(labels),
            A::NextPart | A::PreviousPart => {
                self.settle(labels);
                let by = if action == A::NextPart { 1 } else { -1 };
                self.choose_part(steps::turn(self.part, &self.points(), by), labels);
            }
            A::RemovePoint => self.remove(self.selected.unwrap_or(self.part), labels),
            A::NotVisible => {
                let point = self.part;
                let what = format!("{} is not visible", self.sheet.name(point));
                self.hide(&[point], &what, labels);
            }
            A::RestNotVisible => {
                self.settle(labels);
                let rest: Vec<usize> =
                    self.points().filter(|p| self.said(labels, *p) == Mark::Unlabeled).collect();
                self.hide(&rest, "all others are not visible", labels);
            }
            A::CopyPrevious => self.copy_previous(false, labels),
            A::CopyAllPrevious => self.copy_previous(true, labels),
            A::AcceptProposal | A::AcceptAllProposals => {
                let point = (action == A::AcceptProposal).then_some(self.part);
                if !self.accept(point, labels) {
                    self.hint =
                        "No other camera shows where to place it: label it in two of them first.".into();
                }
            }
            A::NudgeLeft => self.nudge(-1.0, 0.0, labels),
            A::NudgeRight => self.nudge(1.0, 0.0, labels),
            A::NudgeUp => self.nudge(0.0, -1.0, labels),
            A::NudgeDown => self.nudge(0.0, 1.0, labels),
            A::PushLeft => self.nudge(-10.0, 0.0, labels),
            A::PushRight => self.nudge(10.0, 0.0, labels),
            A::PushUp => self.nudge(0.0, -10.0, labels),
            A::PushDown => self.nudge(0.0, 10.0, labels),
            A::LabelMode => self.mode = self.mode.next(),
            A::FitPicture => self.canvas.fit(),
            A::ActualSize => self.canvas.actual_size(),
            A::Closer => self.canvas.zoom(1.25),
            A::Farther => self.canvas.zoom(0.8),
            A::Magnifier => self.canvas.magnifier = !self.canvas.magnifier,
            A::ShowSkeleton => self.tools.skeleton = !self.tools.skeleton,
            A::ShowNames => self.tools.names = !self.tools.names,
            A::ShowGhosts => self.tools.ghosts = !self.tools.ghosts,
            _ => {
                if let Some(group) = panels::ANIMALS.iter().position(|a| *a == action) {
                    self.choose_group(group, labels);
                }
            }
        }
    }

    fn choose_group(&mut self, group: usize, labels: &mut Session) {
        if group < self.sheet.groups.len() {
            self.settle(labels);
            (self.group, self.selected) = (group, None);
            self.part = steps::begin(self.mode, self.part, &self.points(), |p| self.said(labels, p));
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
