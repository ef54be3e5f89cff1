use crate::gui::OpenProject;
use crate::gui::theme::modal;
use crate::labeling::{Mark, Resolution};
use eframe::egui;

/// Asks what to do when the same point was changed here and by another program, or when its files cannot be taken in.
/// Nothing is overwritten until then. Whether the project is to be closed, so that theirs can be looked at.
pub(in crate::gui) fn conflict(ctx: &egui::Context, open: &mut OpenProject) -> bool {
    let Some(conflict) = open.labels.conflict() else { return false };
    let (mut choice, mut close) = (None, false);
    modal(ctx, "conflict", |ui| {
        ui.set_width(560.0);
        if conflict.points.is_empty() {
            ui.heading("Label files were changed elsewhere");
            ui.label(
                "Another program left label files that cannot be taken in. Your labels are safe in the journal. Write \
                 yours over them, or close the project, put the files or config.yaml right, and open it again: your \
                 edits are then put on top.",
            );
        } else {
            ui.heading("The same points were changed elsewhere");
            ui.label(
            "Another program wrote the label files while you were labeling, and changed points that you changed too. \
             Both are safe: yours in the journal, theirs in the files. Which shall stay?",
        );
        }
        ui.add_space(6.0);
        if !conflict.points.is_empty() {
            egui::ScrollArea::vertical().max_height(280.0).show(ui, |ui| {
                egui::Grid::new("conflicting points").striped(true).num_columns(4).spacing([18.0, 4.0]).show(
                    ui,
                    |ui| {
                        for head in ["Picture", "Point", "Yours", "Theirs"] {
                            ui.strong(head);
                        }
                        ui.end_row();
                        for p in conflict.points.iter().take(SHOWN) {
                            ui.label(p.key.to_string());
                            ui.label(&p.name);
                            ui.label(said(p.mine));
                            ui.label(said(p.theirs));
                            ui.end_row();
                        }
                    },
                );
            });
        }
        if conflict.points.len() > SHOWN {
            ui.label(format!("… and {} more", conflict.points.len() - SHOWN));
        }
        for (folder, why) in &conflict.unreadable {
            ui.label(format!("labeled-data/{folder}: {why}."));
        }
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            if conflict.points.is_empty() {
                if ui.button("Write mine over them").clicked() {
                    choice = Some(Resolution::Mine);
                }
                close = ui.button("Close the project").clicked();
                return;
            }
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
    close
}

/// Points that are listed.
const SHOWN: usize = 200;

/// A mark in words.
fn said(mark: Mark) -> String {
    match mark {
        Mark::At(p) => format!("{:.1}, {:.1} px", p.x, p.y),
        Mark::Hidden => "not visible".into(),
        Mark::Unlabeled => "no label".into(),
    }
}
