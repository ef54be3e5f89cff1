//! What a click or a key does to labels.

use super::LabelView;
use super::Moving;
use super::steps::{self, Deed, Mode, Step};
use crate::gui::widgets::canvas::CanvasResponse;
use crate::gui::widgets::words::counted;
use crate::labeling::Session;
use crate::pose::Keypoint;
use crate::project::{Mark, PointEdit};
use std::time::Instant;

impl LabelView {
    pub(super) fn clicked(&mut self, at: Keypoint, hit: Option<usize>, choose: bool, labels: &mut Session) {
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
    pub(super) fn accept(&mut self, point: Option<usize>, labels: &mut Session) -> bool {
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
    pub(super) fn accept_under(
        &mut self,
        answer: &CanvasResponse,
        at: Keypoint,
        labels: &mut Session,
    ) -> bool {
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
    pub(super) fn go_on_after_move(&mut self, point: usize, labels: &Session) {
        if self.mode != Mode::Loop {
            let next = steps::next_to_do(point, &self.points(), |p| self.said(labels, p));
            self.part = next.unwrap_or(point);
        }
    }

    pub(super) fn remove(&mut self, point: usize, labels: &mut Session) {
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

    pub(super) fn nudge(&mut self, x: f64, y: f64, labels: &Session) {
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

    pub(super) fn copy_previous(&mut self, all: bool, labels: &mut Session) {
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

    pub(super) fn hide(&mut self, points: &[usize], what: &str, labels: &mut Session) {
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
    pub(super) fn turn_back(&mut self, redo: bool, labels: &mut Session) {
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
}
