//! Videos whose files have moved: searched for in a folder, or named, and linked into the project again.

use crate::gui::Desk;
use crate::gui::dialogs::Ask;
use crate::gui::theme::{Theme, card, primary, primary_if};
use crate::gui::widgets::controls::{Entry, named_small};
use crate::jobs::Handle;
use crate::project::{Moved, Project, ProjectVideo, VideoMode, find_moved};
use crate::video::Glance;
use crate::watch::Watch;
use eframe::egui::{self, RichText};
use std::path::PathBuf;

/// The search for them.
#[derive(Default)]
pub(super) struct Missing {
    typed: String,
    searching: Option<Handle<Vec<Moved>>>,
    found: Option<Vec<Moved>>,
    linking: Option<Handle<()>>,
}

impl Missing {
    /// Takes what jobs have brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        if let Some(result) = self.searching.as_mut().and_then(Handle::poll) {
            self.searching = None;
            self.found = result.ok();
        }
        if let Some(result) = self.linking.as_mut().and_then(Handle::poll) {
            self.linking = None;
            if result.is_ok() {
                self.found = None;
            }
            // Also after a failure: those before it are linked.
            desk.open.refresh(desk.jobs);
        }
    }

    /// Shows it for one video; the search is for all that are gone.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>, video: &ProjectVideo) {
        if let Some(path) = desk.dialogs.take("videos: search").and_then(|p| p.into_iter().next()) {
            self.search(desk, path);
        }
        if let Some(path) = desk.dialogs.take("videos: file").and_then(|p| p.into_iter().next()) {
            self.link(desk, vec![(video.stem.clone(), path)]);
        }
        ui.set_max_width(720.0);
        ui.add_space(16.0);
        ui.heading(format!("The file of {} was not found", video.stem));
        let set = desk.open.project().config.video_sets.iter().find(|s| s.stem() == video.stem);
        if let Some(set) = set {
            ui.weak(format!("The project knows it as {}", set.path));
        }
        ui.label("Its labels and extracted frames are kept. Show limn where the file is now; the project then links to it.");
        ui.add_space(8.0);
        let busy = self.searching.is_some() || self.linking.is_some();
        ui.add_enabled_ui(!busy, |ui| {
            ui.horizontal(|ui| {
                if primary_if(ui, !busy, "Search a folder…").clicked() {
                    desk.dialogs.ask("videos: search", Ask::Folder, "Where to search for the videos");
                }
                if ui.button("Choose the file…").clicked() {
                    desk.dialogs.ask("videos: file", Ask::Videos, &format!("The file of {}", video.stem));
                }
            });
            ui.horizontal(|ui| {
                let label = "Folder or file";
                let path = Entry { label, width: 380.0, button: "Find", ..Entry::default() };
                if path.show(ui, &mut self.typed) {
                    let path = PathBuf::from(self.typed.trim());
                    if crate::project::is_video(&path) {
                        self.link(desk, vec![(video.stem.clone(), path)]);
                    } else {
                        self.search(desk, path);
                    }
                }
            });
        });
        if busy {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(if self.searching.is_some() { "Searching…" } else { "Linking…" });
            });
        }
        self.answers(ui, desk, busy);
    }

    fn answers(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>, busy: bool) {
        let Some(found) = self.found.clone() else { return };
        let theme = Theme::of(ui);
        let best: Vec<(String, PathBuf)> =
            found.iter().filter_map(|m| Some((m.video.clone(), m.found.first()?.clone()))).collect();
        ui.add_space(10.0);
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(
                RichText::new(format!("Found {} of {} missing videos", best.len(), found.len())).size(16.0),
            );
            ui.add_enabled_ui(!busy, |ui| {
                for moved in &found {
                    ui.label(RichText::new(&moved.video).strong());
                    if moved.found.is_empty() {
                        ui.colored_label(theme.warn, "No file of this name is in that folder.");
                    }
                    for path in moved.found.iter().take(5) {
                        ui.horizontal_wrapped(|ui| {
                            if named_small(ui, "Use", &format!("Use {}", path.display())).clicked() {
                                self.link(desk, vec![(moved.video.clone(), path.clone())]);
                            }
                            ui.label(path.display().to_string());
                        });
                    }
                }
                if best.len() > 1 && primary(ui, &format!("Link all {} found", best.len())).clicked() {
                    self.link(desk, best);
                }
            });
        });
    }

    fn search(&mut self, desk: &mut Desk<'_>, folder: PathBuf) {
        let root = desk.open.project().root().to_path_buf();
        self.searching = Some(desk.jobs.start("Searching for videos", move |watch: &dyn Watch| {
            let project = Project::open(&root, watch)?;
            find_moved(&project, &folder, &size, watch)
        }));
    }

    fn link(&mut self, desk: &mut Desk<'_>, videos: Vec<(String, PathBuf)>) {
        let root = desk.open.project().root().to_path_buf();
        self.linking = Some(desk.jobs.start("Linking videos", move |watch: &dyn Watch| {
            let project = Project::open(&root, watch)?;
            for (video, file) in videos {
                watch.check()?;
                project.relink(&video, &file, VideoMode::Link, &size, watch)?;
            }
            Ok(())
        }));
    }
}

/// The size of a video's frames, from its head.
fn size(path: &std::path::Path) -> crate::Result<(usize, usize)> {
    Glance::at(path).map(|g| (g.width, g.height))
}
