//! What keys, the palette and buttons ask for.

use super::{LabelView, PAUSE, panels, steps};
use crate::gui::Desk;
use crate::gui::keys::Action;
use crate::labeling::Session;
use crate::project::Mark;
use eframe::egui;

impl LabelView {
    /// Does what keys, the palette and buttons ask for.
    pub(super) fn act(&mut self, ctx: &egui::Context, desk: &mut Desk<'_>) {
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

    pub(super) fn choose_group(&mut self, group: usize, labels: &mut Session) {
        if group < self.sheet.groups.len() {
            self.settle(labels);
            (self.group, self.selected) = (group, None);
            self.part = steps::begin(self.mode, self.part, &self.points(), |p| self.said(labels, p));
        }
    }
}
