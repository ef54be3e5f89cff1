use crate::gui::OpenProject;
use crate::labeling::Resolution;
use eframe::egui::{self, Id, Modal};

/// Asks what to do when the same point was changed here and by another program. Nothing is overwritten until then.
pub(in crate::gui) fn conflict(ctx: &egui::Context, open: &mut OpenProject) {
    let Some(conflict) = open.labels.conflict() else { return };
    let mut choice = None;
    Modal::new(Id::unique("conflict")).show(ctx, |ui| {
        ui.set_width(560.0);
        ui.heading("The same points were changed elsewhere");
        ui.label(
            "Another program wrote the label files while you were labeling, and changed points that you changed too. \
             Both are safe: yours in the journal, theirs in the files. Which shall stay?",
        );
        ui.add_space(6.0);
        egui::ScrollArea::vertical().max_height(280.0).show(ui, |ui| {
            egui::Grid::new("conflicting points").striped(true).num_columns(4).spacing([18.0, 4.0]).show(ui, |ui| {
                for head in ["Picture", "Point", "Yours", "Theirs"] {
                    ui.strong(head);
                }
                ui.end_row();
                for line in conflict.lines() {
                    for cell in line {
                        ui.label(cell);
                    }
                    ui.end_row();
                }
            });
        });
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            if ui.button("Keep mine").clicked() {
                choice = Some(Resolution::Mine);
            }
            if ui.button("Take theirs").clicked() {
                choice = Some(Resolution::Theirs);
            }
        });
    });
    if let Some(choice) = choice {
        open.labels.resolve(choice);
    }
}
