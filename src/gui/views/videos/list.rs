//! The project's videos with what is known of them, and adding more.

use crate::gui::dialogs::Ask;
use crate::gui::theme::Theme;
use crate::gui::views::new_project::probe;
use crate::gui::widgets::controls::{Entry, named_small};
use crate::gui::widgets::words::{clock, count, counted, file_name};
use crate::gui::{Contents, Desk, lock};
use crate::jobs::Handle;
use crate::project::{Project, VideoMode, is_video};
use crate::video::Glance;
use crate::watch::Watch;
use eframe::egui::{self, RichText, ScrollArea};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What the heads of files say, or why they cannot be read; by path, as a thread finds out.
type Glances = Arc<Mutex<HashMap<PathBuf, Result<Glance, String>>>>;

/// The list.
#[derive(Default)]
pub(super) struct List {
    glances: Glances,
    looking: Option<Handle<()>>,
    /// The reading of the project, and the version of the labels, that the counts are of.
    counted: Option<(u64, u64)>,
    extracted: HashMap<String, Vec<usize>>,
    labeled: HashMap<String, usize>,
    typed: String,
    copy: bool,
    adding: Option<Handle<()>>,
}

impl List {
    /// Takes what jobs have brought, and looks at videos that are new.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        let now = (desk.open.revision, desk.open.labels.version());
        if self.counted != Some(now) {
            let read = self.counted.is_none_or(|(revision, _)| revision != now.0);
            self.counted = Some(now);
            self.count(desk);
            if read {
                self.look(desk);
            }
        }
        if self.looking.as_mut().and_then(Handle::poll).is_some() {
            self.looking = None;
        }
        if let Some(result) = self.adding.as_mut().and_then(Handle::poll) {
            self.adding = None;
            if result.is_ok() {
                desk.open.refresh(desk.jobs);
            }
        }
    }

    fn count(&mut self, desk: &Desk<'_>) {
        self.extracted.clear();
        self.labeled.clear();
        let Contents { pictures, .. } = &*desk.open.contents;
        for key in pictures {
            let frames = self.extracted.entry(key.video.clone()).or_default();
            frames.extend(key.frame_number().and_then(|n| usize::try_from(n).ok()));
        }
        self.extracted.values_mut().for_each(|f| f.sort_unstable());
        for (key, frame) in &desk.open.labels.labels().frames {
            if frame.labeled() > 0 {
                *self.labeled.entry(key.video.clone()).or_default() += 1;
            }
        }
    }

    /// Reads the heads of files that were not read yet, on a thread.
    fn look(&mut self, desk: &mut Desk<'_>) {
        let glances = Arc::clone(&self.glances);
        let known: HashSet<PathBuf> = lock(&glances).keys().cloned().collect();
        let new: Vec<PathBuf> = desk
            .open
            .contents
            .videos
            .iter()
            .filter_map(|v| v.path.clone())
            .filter(|p| !known.contains(p))
            .collect();
        if new.is_empty() {
            return;
        }
        let wake = Arc::clone(desk.wake);
        self.looking = Some(desk.jobs.start_quiet("Looking at the videos", move |watch| {
            for path in new {
                watch.check()?;
                let seen = Glance::at(&path).map_err(|e| e.what().to_owned());
                lock(&glances).insert(path, seen);
                wake();
            }
            Ok(())
        }));
    }

    /// The frames of a video whose pictures are in the project.
    pub fn extracted(&self, video: &str) -> &[usize] {
        self.extracted.get(video).map_or(&[], Vec::as_slice)
    }

    /// Whether all heads were read.
    pub fn is_settled(&self) -> bool {
        self.looking.is_none() && self.adding.is_none()
    }

    /// Videos from the dialog and from the desktop.
    pub fn gather(&mut self, ui: &egui::Ui, desk: &mut Desk<'_>) {
        if let Some(paths) = desk.dialogs.take("videos: add") {
            self.add(desk, paths);
        }
        let dropped: Vec<PathBuf> =
            ui.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect());
        let (videos, others): (Vec<_>, Vec<_>) =
            dropped.into_iter().partition(|p| is_video(p) || p.extension().is_none());
        for path in others.iter().filter(|p| p.extension().is_none_or(|e| e != "yaml")) {
            let words = format!("{} was left out: its name is not a video's", path.display());
            desk.notices.warn("Not a video", words);
        }
        self.add(desk, videos);
    }

    fn add(&mut self, desk: &mut Desk<'_>, videos: Vec<PathBuf>) {
        if videos.is_empty() || self.adding.is_some() {
            return;
        }
        let root = desk.open.project().root().to_path_buf();
        let mode = if self.copy { VideoMode::Copy } else { VideoMode::Link };
        let title = match videos.as_slice() {
            [one] => format!("Adding {}", file_name(one)),
            all => format!("Adding {}", counted(all.len(), "video")),
        };
        self.adding = Some(desk.jobs.start(title, move |watch: &dyn Watch| {
            let mut project = Project::open(&root, watch)?;
            project.add_videos(&videos, mode, &|p| probe(p, watch), watch).map(drop)
        }));
    }

    /// Shows it; a click chooses a video.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>, chosen: &mut Option<String>) {
        ui.add_space(6.0);
        let videos = Arc::clone(&desk.open.contents);
        let videos = &videos.videos;
        ui.horizontal(|ui| {
            ui.label(RichText::new("Videos").strong());
            ui.weak(count(videos.len()));
        });
        let foot = 124.0;
        let height = (ui.available_height() - foot).max(60.0);
        let glances = lock(&self.glances).clone();
        ScrollArea::vertical().auto_shrink(false).max_height(height).id_salt("video list").show(ui, |ui| {
            let theme = Theme::of(ui);
            for video in videos {
                let here = chosen.as_ref() == Some(&video.stem);
                let row = ui.selectable_label(here, RichText::new(&video.stem).strong());
                let row = match &video.path {
                    Some(path) => row.on_hover_text(path.display().to_string()),
                    None => row,
                };
                if row.clicked() {
                    *chosen = Some(video.stem.clone());
                }
                ui.indent(&video.stem, |ui| {
                    match video.path.as_ref().map(|p| glances.get(p)) {
                        None => {
                            let found = ui.colored_label(theme.warn, "The file was not found");
                            found.on_hover_text("Choose it to search for the file");
                            if named_small(ui, "Find…", &format!("Find {}…", video.stem)).clicked() {
                                *chosen = Some(video.stem.clone());
                            }
                        }
                        Some(None) => drop(ui.weak("…")),
                        Some(Some(Ok(glance))) => {
                            facts(glance).into_iter().for_each(|line| drop(ui.weak(line)));
                        }
                        Some(Some(Err(why))) => drop(ui.colored_label(theme.bad, why)),
                    }
                    let (taken, labeled) = (
                        self.extracted(&video.stem).len(),
                        self.labeled.get(&video.stem).copied().unwrap_or(0),
                    );
                    ui.weak(format!("{} extracted, {} labeled", count(taken), count(labeled)));
                });
                ui.add_space(4.0);
            }
            if videos.is_empty() {
                ui.weak("The project has no videos yet.");
            }
        });
        ui.separator();
        let adding = self.adding.is_some();
        ui.add_enabled_ui(!adding, |ui| {
            ui.horizontal(|ui| {
                if ui.button("Add videos…").clicked() {
                    desk.dialogs.ask("videos: add", Ask::Videos, "Videos to add to the project");
                }
                if adding {
                    ui.spinner();
                }
            });
            ui.horizontal(|ui| {
                let path = Entry {
                    label: "Path",
                    name: "Path of a video to add",
                    width: (ui.available_width() - 100.0).max(60.0),
                    button: "Add",
                    button_name: "Add the typed video",
                    ..Entry::default()
                };
                if path.show(ui, &mut self.typed) {
                    let path = PathBuf::from(std::mem::take(&mut self.typed).trim());
                    self.add(desk, vec![path]);
                }
            });
            ui.checkbox(&mut self.copy, "Copy into the project")
                .on_hover_text("Otherwise the project links to them");
        });
    }
}

/// What the head of a file says, in lines.
fn facts(glance: &Glance) -> Vec<String> {
    let frames = glance.frames.map(|n| counted(n, "frame"));
    let fps = glance.fps.map(|f| format!("{} fps", (f * 100.0).round() / 100.0));
    let long = glance.duration.map(|d| match clock(d).split_once('.') {
        Some((minutes, _)) if d >= 60.0 => format!("{minutes} min"),
        _ => format!("{d:.1} s"),
    });
    let first: Vec<String> = frames.into_iter().chain(long).collect();
    let second: Vec<String> =
        std::iter::once(format!("{} × {} px", glance.width, glance.height)).chain(fps).collect();
    [first, second].into_iter().filter(|l| !l.is_empty()).map(|l| l.join(", ")).collect()
}
