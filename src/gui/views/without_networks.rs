//! What stands in place of training and analysis in a build without its native libraries.

use crate::gui::Desk;
use eframe::egui;

/// The view Train, which this build does not have.
#[derive(Default)]
pub struct TrainView {}

/// The view Analyze, which this build does not have.
#[derive(Default)]
pub struct AnalyzeView {}

impl TrainView {
    /// Nothing can have come.
    pub fn poll(&mut self, _desk: &mut Desk<'_>) {}

    /// Says so.
    pub fn ui(&mut self, ui: &mut egui::Ui, _desk: &mut Desk<'_>) {
        without(ui, "train");
    }
}

impl AnalyzeView {
    /// Nothing can have come.
    pub fn poll(&mut self, _desk: &mut Desk<'_>) {}

    /// Says so.
    pub fn ui(&mut self, ui: &mut egui::Ui, _desk: &mut Desk<'_>) {
        without(ui, "analyze videos");
    }
}

/// The view Videos, which a build without FFmpeg does not have.
#[cfg(not(feature = "video"))]
#[derive(Default)]
pub struct VideosView {}

#[cfg(not(feature = "video"))]
impl VideosView {
    /// Nothing can have come.
    pub fn poll(&mut self, _desk: &mut Desk<'_>) {}

    /// Says so.
    pub fn ui(&mut self, ui: &mut egui::Ui, _desk: &mut Desk<'_>) {
        without(ui, "open videos");
    }
}

fn without(ui: &mut egui::Ui, what: &str) {
    egui::CentralPanel::default().show(ui, |ui| {
        ui.label(format!(
            "This limn was built without the libraries it needs to {what}. Labels made here are used by any other limn."
        ));
    });
}
