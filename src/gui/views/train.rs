use crate::gui::Desk;
use eframe::egui;

/// The view Train.
#[derive(Default)]
pub struct TrainView {}

impl TrainView {
    /// Takes what jobs and threads have brought.
    pub fn poll(&mut self, _desk: &mut Desk<'_>) {}

    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, _desk: &mut Desk<'_>) {
        egui::CentralPanel::default().show(ui, |ui| ui.heading("Train"));
    }
}
