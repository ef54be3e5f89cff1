//! The screens, one file or folder each.

mod analyze;
mod analyze_queue;
mod choices;
mod conflict;
mod label;
mod new_project;
mod project;
pub mod results;
mod skeleton_editor;
mod space;
mod start;
mod train;
mod videos;

pub use analyze::AnalyzeView;
pub(super) use conflict::conflict;
pub use label::LabelView;
pub use new_project::{NewProjectView, NewWish};
pub use project::ProjectView;
pub use space::SpaceView;
pub use start::{StartView, StartWish};
pub use train::TrainView;
pub use videos::VideosView;

use super::desk::{Desk, Place};
use eframe::egui;

/// The screens of an open project. They live as long as it is open, so that work in one goes on while another is in
/// front.
#[derive(Default)]
pub struct Views {
    /// What the project is.
    pub project: ProjectView,
    /// Videos, and choosing frames from them.
    pub videos: VideosView,
    /// Labeling.
    pub label: LabelView,
    /// Training and evaluation.
    pub train: TrainView,
    /// Analysis, and its results.
    pub analyze: AnalyzeView,
    /// Several cameras, and points in space.
    pub space: SpaceView,
}

impl Views {
    /// Takes what jobs and threads of every screen have brought, also of those not in front.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        self.videos.poll(desk);
        self.label.poll(desk);
        self.train.poll(desk);
        self.analyze.poll(desk);
        self.space.poll(desk);
    }

    /// Shows one screen, in all the room that is left.
    pub fn ui(&mut self, place: Place, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        match place {
            Place::Project => self.project.ui(ui, desk),
            Place::Videos => self.videos.ui(ui, desk),
            Place::Label => self.label.ui(ui, desk),
            Place::Train => self.train.ui(ui, desk),
            Place::Analyze => self.analyze.ui(ui, desk),
            Place::Space => self.space.ui(ui, desk),
        }
    }
}
