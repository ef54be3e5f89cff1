//! The assistant for a rig: cameras, their lenses and frame offsets, and the calibration board.

use crate::camera::{Board, LensModel, Mount, Rig, suggest_cameras};
use crate::error::{Error, Kind, Result};
use crate::gui::Desk;
use crate::gui::theme::{Theme, modal, primary_if};
use crate::gui::widgets::controls::named_small;
use crate::jobs::Handle;
use eframe::egui::{self, ComboBox, DragValue, Grid, TextEdit, Ui};
use std::path::{Path, PathBuf};

/// Markers' dictionaries that boards are usually printed with.
const DICTIONARIES: [&str; 6] =
    ["DICT_4X4_50", "DICT_4X4_100", "DICT_5X5_50", "DICT_5X5_100", "DICT_6X6_250", "DICT_ARUCO_ORIGINAL"];

/// A rig that is being written.
#[derive(Default)]
pub(super) struct Assistant {
    /// The rig as it stands, while the assistant is open, and its file.
    rig: Option<(Rig, PathBuf)>,
    /// Whether the file is there already, and was read.
    known: bool,
    writing: Option<Handle<PathBuf>>,
}

impl Assistant {
    /// Begins a rig in the project's folder, with the cameras that its videos' names suggest.
    pub fn begin(&mut self, desk: &Desk<'_>) {
        let stems: Vec<&str> = desk.open.contents.videos.iter().map(|v| v.stem.as_str()).collect();
        let mut names = suggest_cameras(&stems);
        if names.is_empty() {
            names = ["cam1", "cam2"].map(str::to_owned).to_vec();
        }
        let cameras = names.into_iter().map(|name| Mount { name, ..Mount::default() }).collect();
        let board = Some(Board::Checkerboard { columns: 9, rows: 6, square: 30.0 });
        let rig = Rig { cameras, board, ..Rig::default() };
        (self.rig, self.known) = (Some((rig, desk.open.project().rig_path().0)), false);
    }

    /// Changes a rig that was read.
    pub fn change(&mut self, rig: Rig, path: &Path) {
        (self.rig, self.known) = (Some((rig, path.to_path_buf())), true);
    }

    /// The file, once it was written.
    pub fn poll(&mut self) -> Option<PathBuf> {
        let result = self.writing.as_mut().and_then(Handle::poll)?;
        self.writing = None;
        // What went wrong is told as that of every job, and the assistant stays open.
        let path = result.ok()?;
        self.rig = None;
        Some(path)
    }

    /// Shows it, while it is open.
    pub fn ui(&mut self, ctx: &egui::Context, desk: &mut Desk<'_>) {
        let Some((rig, path)) = &mut self.rig else { return };
        let mut close = false;
        let shown = modal(ctx, "rig assistant", |ui| {
            ui.set_width(520.0);
            ui.heading(if self.known { "Change the rig" } else { "New rig" });
            ui.weak("Each camera's name stands in the names of its videos.");
            ui.add_space(6.0);
            cameras(ui, rig);
            ui.add_space(6.0);
            board(ui, rig);
            ui.add_space(6.0);
            let fault = rig.check().err();
            if let Some(fault) = &fault {
                ui.colored_label(Theme::of(ui).warn, fault.what());
            }
            ui.weak(path.display().to_string());
            ui.horizontal(|ui| {
                let idle = self.writing.is_none();
                if primary_if(ui, fault.is_none() && idle, "Write rig.yaml").clicked() {
                    let (rig, path, known) = (fitted(rig), path.clone(), self.known);
                    self.writing =
                        Some(desk.jobs.start_quiet("Writing the rig", move |_| write(&rig, path, known)));
                }
                close = ui.button("Cancel").clicked();
            });
        });
        if close || shown.should_close() {
            self.rig = None;
        }
    }
}

/// Writes the rig, never over one that was not read.
fn write(rig: &Rig, path: PathBuf, known: bool) -> Result<PathBuf> {
    if !known && path.exists() {
        return Err(Error::new(Kind::Exists, "there is a rig already")
            .at(path.display())
            .mend("open it to change it, or move it away"));
    }
    if known { rig.replace(&path) } else { rig.write(&path) }.map(|()| path)
}

/// With names and lenses as they now are; a calibration for another lens model is none.
fn fitted(rig: &Rig) -> Rig {
    let mut rig = rig.clone();
    for mount in &mut rig.cameras {
        mount.camera = mount.camera.take().filter(|c| c.lens.model == mount.model);
        if let Some(camera) = &mut mount.camera {
            camera.name.clone_from(&mount.name);
        }
    }
    rig
}

fn cameras(ui: &mut Ui, rig: &mut Rig) {
    let mut gone = None;
    let several = rig.cameras.len() > 1;
    Grid::new("rig cameras").num_columns(4).spacing([12.0, 6.0]).show(ui, |ui| {
        for words in ["Camera", "Lens", "Began earlier by", ""] {
            ui.strong(words);
        }
        ui.end_row();
        for (i, mount) in rig.cameras.iter_mut().enumerate() {
            let n = i + 1;
            ui.add_sized([150.0, 26.0], TextEdit::singleline(&mut mount.name))
                .accessible_name(format!("Name of camera {n}"));
            let words = |model| if model == LensModel::Fisheye { "fisheye" } else { "usual" };
            let combo = ComboBox::from_id_salt(("lens", i)).width(90.0).selected_text(words(mount.model));
            let combo = combo.show_ui(ui, |ui| {
                for model in [LensModel::Pinhole, LensModel::Fisheye] {
                    ui.selectable_value(&mut mount.model, model, words(model));
                }
            });
            combo.response.accessible_name(format!("Lens of camera {n}"));
            ui.add(DragValue::new(&mut mount.offset).suffix(" frames"))
                .on_hover_text("How many frames its recordings began before those of the others")
                .accessible_name(format!("Frame offset of camera {n}"));
            if several && named_small(ui, "Remove", &format!("Remove camera {n}")).clicked() {
                gone = Some(i);
            }
            ui.end_row();
        }
    });
    if let Some(i) = gone {
        rig.cameras.remove(i);
    }
    if ui.button("Add camera").clicked() {
        let name = (1..).map(|n| format!("cam{n}")).find(|n| rig.cameras.iter().all(|m| m.name != *n));
        rig.cameras.push(Mount { name: name.unwrap_or_default(), ..Mount::default() });
    }
}

fn board(ui: &mut Ui, rig: &mut Rig) {
    let kind = match &rig.board {
        None => 0,
        Some(Board::Checkerboard { .. }) => 1,
        Some(Board::Charuco { .. }) => 2,
    };
    let mut wanted = kind;
    ui.horizontal(|ui| {
        ui.strong("Calibration board");
        for (n, words) in ["None", "Checkerboard", "ChArUco"].into_iter().enumerate() {
            ui.radio_value(&mut wanted, n, words);
        }
    });
    if wanted != kind {
        let square = rig.board.as_ref().map_or(30.0, Board::square);
        rig.board = match wanted {
            1 => Some(Board::Checkerboard { columns: 9, rows: 6, square }),
            2 => Some(Board::Charuco {
                columns: 7,
                rows: 5,
                square,
                marker: square * 0.75,
                dictionary: DICTIONARIES[0].to_owned(),
            }),
            _ => None,
        };
    }
    let number = |ui: &mut Ui, words: &str, value: &mut usize| {
        let label = ui.label(words);
        ui.add(DragValue::new(value).range(2..=101)).labelled_by(label.id);
    };
    let length = |ui: &mut Ui, words: &str, value: &mut f64| {
        let label = ui.label(words);
        ui.add(DragValue::new(value).range(0.1..=1000.0).speed(0.1).suffix(" mm")).labelled_by(label.id);
    };
    match &mut rig.board {
        None => {}
        Some(Board::Checkerboard { columns, rows, square }) => {
            ui.horizontal_wrapped(|ui| {
                number(ui, "Inner corners across", columns);
                number(ui, "down", rows);
                length(ui, "Side of a square", square);
            });
        }
        Some(Board::Charuco { columns, rows, square, marker, dictionary }) => {
            ui.horizontal_wrapped(|ui| {
                number(ui, "Squares across", columns);
                number(ui, "down", rows);
                length(ui, "Side of a square", square);
            });
            ui.horizontal_wrapped(|ui| {
                length(ui, "Side of a marker", marker);
                let label = ui.label("Markers");
                let combo = ComboBox::from_id_salt("dictionary").selected_text(dictionary.as_str());
                let combo = combo.show_ui(ui, |ui| {
                    for name in DICTIONARIES {
                        ui.selectable_value(dictionary, name.to_owned(), name);
                    }
                });
                combo.response.labelled_by(label.id);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::{Camera, Lens};

    #[test]
    fn a_rig_is_never_written_over_one_that_was_not_read_and_calibrations_follow() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rig.yaml");
        let of = |name: &str, model| {
            let camera = Camera::new("old", [640, 480], Lens::plain(500.0, [640, 480]));
            Mount { name: name.into(), model, camera: Some(camera), ..Mount::default() }
        };
        let cameras = vec![of("a", LensModel::Pinhole), of("b", LensModel::Fisheye)];
        let rig = fitted(&Rig { cameras, ..Rig::default() });
        assert_eq!(rig.cameras[0].camera.as_ref().map(|c| c.name.as_str()), Some("a"));
        assert!(rig.cameras[1].camera.is_none(), "calibrated for another lens");
        assert!(write(&rig, path.clone(), false).is_ok());
        assert_eq!(write(&rig, path.clone(), false).unwrap_err().kind(), Kind::Exists);
        assert!(write(&rig, path, true).is_ok());
    }
}
