//! The assistant for a new project.

use super::skeleton_editor::SkeletonEditor;
use crate::gui::dialogs::{Ask, Dialogs};
use crate::gui::notices::Notices;
use crate::gui::prefs::Prefs;
use crate::gui::theme::{Theme, card, primary_if};
use crate::gui::widgets::controls::{Entry, named_small};
use crate::jobs::{Handle, Jobs};
use crate::pose::Skeleton;
use crate::project::{NewProject, Project, VideoMode, is_video, today};
use eframe::egui::{self, RichText};
use std::path::{Path, PathBuf};

/// What the assistant ended with.
pub enum NewWish {
    /// Nothing was made.
    Cancel,
    /// A project, in this folder.
    Made(PathBuf),
}

/// The assistant for a new project: one page, filled in from top to bottom.
#[derive(Default)]
pub struct NewProjectView {
    name: String,
    scorer: Option<String>,
    folder: Option<String>,
    videos: Vec<PathBuf>,
    typed_video: String,
    copy: bool,
    parts: Vec<String>,
    typed_part: String,
    individuals: Vec<String>,
    typed_individual: String,
    edges: Vec<[String; 2]>,
    editor: SkeletonEditor,
    making: Option<Handle<PathBuf>>,
    /// Whether the keyboard has been put into the first field.
    begun: bool,
}

impl NewProjectView {
    /// Shows it.
    pub fn ui(
        &mut self,
        ui: &mut egui::Ui,
        jobs: &mut Jobs,
        dialogs: &mut Dialogs,
        prefs: &mut Prefs,
        notices: &mut Notices,
    ) -> Option<NewWish> {
        let scorer = self.scorer.get_or_insert_with(|| prefs.scorer.clone()).clone();
        let folder = self.folder.get_or_insert_with(|| home(&prefs.folder)).clone();
        if let Some(result) = self.making.as_mut().and_then(Handle::poll) {
            self.making = None;
            if let Ok(root) = result {
                prefs.scorer = scorer.trim().to_owned();
                prefs.folder = PathBuf::from(folder.trim());
                return Some(NewWish::Made(root));
            }
        }
        self.gather(ui, dialogs, notices);
        let mut wish = None;
        let making = self.making.is_some();
        egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(760.0);
            ui.add_space(8.0);
            ui.heading("New project");
            ui.add_space(8.0);
            ui.add_enabled_ui(!making, |ui| {
                self.who(ui, dialogs);
                ui.add_space(8.0);
                self.which_videos(ui, dialogs);
                ui.add_space(8.0);
                self.what(ui);
            });
            ui.add_space(10.0);
            let lacking = self.lacking();
            ui.horizontal(|ui| {
                if primary_if(ui, lacking.is_none() && !making, "Make the project").clicked() {
                    self.make(jobs);
                }
                if ui.button("Cancel").clicked() {
                    wish = Some(NewWish::Cancel);
                }
                if making {
                    ui.spinner();
                    ui.label("Making the project…");
                } else if let Some(lacking) = lacking {
                    ui.weak(lacking);
                }
            });
            ui.add_space(16.0);
        });
        wish
    }

    fn who(&mut self, ui: &mut egui::Ui, dialogs: &mut Dialogs) {
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            egui::Grid::new("who").num_columns(2).spacing([14.0, 8.0]).show(ui, |ui| {
                let label = ui.label("Name of the project");
                let name = ui
                    .add(egui::TextEdit::singleline(&mut self.name).hint_text("openfield"))
                    .labelled_by(label.id);
                if !std::mem::replace(&mut self.begun, true) {
                    name.request_focus();
                }
                ui.end_row();
                let label = ui.label("Who labels (scorer)");
                let scorer = self.scorer.get_or_insert_default();
                ui.add(egui::TextEdit::singleline(scorer).hint_text("Ada")).labelled_by(label.id);
                ui.end_row();
                let label = ui.label("Make it in");
                ui.horizontal(|ui| {
                    let folder = self.folder.get_or_insert_default();
                    ui.add(egui::TextEdit::singleline(folder).desired_width(380.0)).labelled_by(label.id);
                    if ui.button("Choose folder…").clicked() {
                        dialogs.ask("new: folder", Ask::Folder, "Where to make the project");
                    }
                });
                ui.end_row();
            });
            if let (Some(scorer), Some(folder)) = (&self.scorer, &self.folder)
                && !self.name.trim().is_empty()
                && !scorer.trim().is_empty()
            {
                let new = NewProject::single(self.name.trim(), scorer.trim(), [""; 0]);
                let path = Path::new(folder.trim()).join(new.folder_name());
                ui.weak(format!("It will be {}", path.display()));
            }
        });
    }

    fn which_videos(&mut self, ui: &mut egui::Ui, dialogs: &mut Dialogs) {
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("Videos").size(16.0));
            ui.weak("Drop videos here, choose them, or type a path (a folder takes all its videos). More can be added later.");
            ui.horizontal(|ui| {
                if ui.button("Choose videos…").clicked() {
                    dialogs.ask("new: videos", Ask::Videos, "Videos of the new project");
                }
                let path = Entry { label: "Path", width: 320.0, button: "Add video", ..Entry::default() };
                if path.show(ui, &mut self.typed_video) {
                    let path = std::mem::take(&mut self.typed_video);
                    self.add_videos(vec![PathBuf::from(path.trim())]);
                }
            });
            let mut gone = None;
            for (i, video) in self.videos.iter().enumerate() {
                ui.horizontal(|ui| {
                    let name = format!("Take {} away", video.display());
                    if named_small(ui, "×", &name).clicked() {
                        gone = Some(i);
                    }
                    ui.label(video.display().to_string());
                });
            }
            if let Some(i) = gone {
                self.videos.remove(i);
            }
            ui.checkbox(&mut self.copy, "Copy the videos into the project (otherwise it links to them)");
        });
    }

    fn what(&mut self, ui: &mut egui::Ui) {
        let theme = Theme::of(ui);
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("Body parts").size(16.0));
            ui.weak("Name left and right ones alike (leftear, rightear): limn then knows that they swap in a mirror.");
            if let Some(added) = entry(ui, "Body part", "snout, leftear, rightear, tailbase", &mut self.typed_part) {
                for name in added {
                    if !self.parts.contains(&name) {
                        self.parts.push(name);
                    }
                }
            }
            let skeleton = Skeleton::single(self.parts.iter().cloned());
            let pairs = skeleton.mirror_pairs();
            if let Some(gone) = chips(ui, &self.parts) {
                let name = self.parts.remove(gone);
                self.edges.retain(|e| !e.contains(&name));
            }
            if !pairs.is_empty() {
                let words: Vec<String> = pairs
                    .iter()
                    .filter_map(|[a, b]| Some(format!("{} / {}", skeleton.bodyparts.get(*a)?, skeleton.bodyparts.get(*b)?)))
                    .collect();
                ui.label(RichText::new(format!("Left and right: {}", words.join(", "))).color(theme.good));
            }
            ui.add_space(6.0);
            ui.label(RichText::new("Several animals").size(16.0));
            ui.weak("Name each animal if a video shows more than one; leave it empty for one.");
            if let Some(added) = entry(ui, "Individual", "mouse1, mouse2", &mut self.typed_individual) {
                for name in added {
                    if !self.individuals.contains(&name) {
                        self.individuals.push(name);
                    }
                }
            }
            if let Some(gone) = chips(ui, &self.individuals) {
                self.individuals.remove(gone);
            }
            if self.parts.len() > 1 {
                ui.add_space(6.0);
                ui.label(RichText::new("Skeleton").size(16.0));
                ui.weak("Drag from one body part to another to join them, again to part them. Only for drawing.");
                self.editor.ui(ui, &self.parts, &mut self.edges, &skeleton.mirror_pairs());
            }
        });
    }

    /// Videos from the dialog and from the desktop.
    fn gather(&mut self, ui: &egui::Ui, dialogs: &mut Dialogs, notices: &mut Notices) {
        if let Some(paths) = dialogs.take("new: videos") {
            self.add_videos(paths);
        }
        if let Some(path) = dialogs.take("new: folder").and_then(|p| p.into_iter().next()) {
            self.folder = Some(path.display().to_string());
        }
        let dropped: Vec<PathBuf> =
            ui.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect());
        let (videos, others): (Vec<_>, Vec<_>) =
            dropped.into_iter().partition(|p| is_video(p) || p.extension().is_none());
        for path in others {
            notices
                .warn("Not a video", format!("{} was left out: its name is not a video's", path.display()));
        }
        self.add_videos(videos);
    }

    fn add_videos(&mut self, paths: Vec<PathBuf>) {
        for path in paths {
            if !self.videos.contains(&path) {
                self.videos.push(path);
            }
        }
    }

    /// What has still to be filled in.
    fn lacking(&self) -> Option<&'static str> {
        let blank = |text: &Option<String>| text.as_ref().is_none_or(|t| t.trim().is_empty());
        if self.name.trim().is_empty() {
            Some("Give the project a name.")
        } else if blank(&self.scorer) {
            Some("Say who labels.")
        } else if blank(&self.folder) {
            Some("Choose the folder to make it in.")
        } else if self.parts.is_empty() {
            Some("Name at least one body part.")
        } else {
            None
        }
    }

    fn make(&mut self, jobs: &mut Jobs) {
        let text = |t: &Option<String>| t.as_deref().unwrap_or_default().trim().to_owned();
        let new = NewProject {
            task: self.name.trim().to_owned(),
            scorer: text(&self.scorer),
            bodyparts: self.parts.clone(),
            individuals: self.individuals.clone(),
            unique_bodyparts: Vec::new(),
            skeleton: self.edges.clone(),
            date: today(),
        };
        let folder = PathBuf::from(text(&self.folder));
        let videos = self.videos.clone();
        let mode = if self.copy { VideoMode::Copy } else { VideoMode::Link };
        self.making = Some(jobs.start(format!("Making {}", new.folder_name()), move |watch| {
            let project = Project::create(&folder, &new, &videos, mode, &|p| probe(p, watch), watch)?;
            Ok(project.root().to_path_buf())
        }));
    }
}

/// Width and height of a video's frames.
pub(super) fn probe(path: &Path, watch: &dyn crate::watch::Watch) -> crate::Result<(usize, usize)> {
    let index = crate::video::Index::open(path, watch)?;
    Ok((index.width(), index.height()))
}

/// The folder to begin with: the last one, else the user's documents.
fn home(last: &Path) -> String {
    if !last.as_os_str().is_empty() {
        return last.display().to_string();
    }
    directories::UserDirs::new()
        .map(|d| d.document_dir().unwrap_or(d.home_dir()).display().to_string())
        .unwrap_or_default()
}

/// A field for names separated by commas; the names when they were entered.
fn entry(ui: &mut egui::Ui, what: &str, hint: &str, text: &mut String) -> Option<Vec<String>> {
    ui.horizontal(|ui| {
        let label = ui.label(what);
        let field = ui
            .add(egui::TextEdit::singleline(text).hint_text(hint).desired_width(320.0))
            .labelled_by(label.id);
        let enter = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        let add = ui.button(format!("Add {}", what.to_lowercase())).clicked();
        if enter {
            field.request_focus(); // for the next name
        }
        (add || enter).then(|| {
            let names: Vec<String> =
                text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect();
            text.clear();
            names
        })
    })
    .inner
}

/// Names with a button each to take them away; the index of the one taken away.
fn chips(ui: &mut egui::Ui, names: &[String]) -> Option<usize> {
    let mut gone = None;
    ui.horizontal_wrapped(|ui| {
        for (i, name) in names.iter().enumerate() {
            let words = format!("Take {name} away");
            let button = ui.button(format!("{name}  ×")).on_hover_text(&words);
            let button = button.accessible_name(&words);
            if button.clicked() {
                gone = Some(i);
            }
        }
    });
    gone
}
