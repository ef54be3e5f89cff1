//! Videos: the list of them, a player, a crop, and choosing frames to label.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | the view: which video is in front, what keys do |
//! | `list.rs` | the project's videos with what is known of them; adding more |
//! | `missing.rs` | finding files that have moved |
//! | `crop.rs` | the part of the frame that pictures are taken from |
//! | `extract.rs` | frames by hand and by method |
//! | `gallery.rs` | what a method chose, before it is taken |

mod crop;
mod extract;
mod gallery;
mod list;
mod missing;

use crate::gui::Desk;
use crate::gui::keys::Action;
use crate::gui::theme::Theme;
use crate::gui::widgets::canvas::{Content, EmptyDrag, Mark, Shape};
use crate::gui::widgets::player::Player;
use crate::project::ProjectVideo;
use eframe::egui::{self, Panel, ScrollArea};

/// The view Videos.
#[derive(Default)]
pub struct VideosView {
    list: list::List,
    missing: missing::Missing,
    crop: crop::Crop,
    extract: extract::Extract,
    player: Player,
    /// The video in front, by stem.
    chosen: Option<String>,
}

impl VideosView {
    /// Takes what jobs and threads have brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        self.list.poll(desk);
        self.missing.poll(desk);
        self.extract.poll(desk);
        let videos = &desk.open.contents.videos;
        let there = self.chosen.as_ref().is_some_and(|c| videos.iter().any(|v| v.stem == *c));
        if !there {
            let first = videos.iter().find(|v| v.path.is_some()).or(videos.first());
            self.chosen = first.map(|v| v.stem.clone());
        }
    }

    /// The player, for tests and pictures of the window.
    #[must_use]
    pub fn player(&self) -> &Player {
        &self.player
    }

    /// Whether everything that is shown has been loaded: for tests and pictures of the window.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.player.is_settled() && self.list.is_settled() && self.extract.is_settled()
    }

    /// Shows it.
    pub fn ui(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        self.list.gather(ui, desk);
        Panel::left("videos").resizable(true).default_size(270.0).size_range(200.0..=460.0).show(ui, |ui| {
            self.list.ui(ui, desk, &mut self.chosen);
        });
        let video = desk.open.contents.videos.iter().find(|v| Some(&v.stem) == self.chosen.as_ref()).cloned();
        if self.extract.gallery_is_open() {
            egui::CentralPanel::default().show(ui, |ui| self.extract.gallery(ui, desk));
            return;
        }
        let Some(video) = video else {
            egui::CentralPanel::default().show(ui, |ui| {
                ui.vertical_centered(|ui| {
                    ui.add_space(ui.available_height() * 0.3);
                    ui.heading("No videos yet");
                    ui.label("Add videos on the left, or drop them here.");
                });
            });
            return;
        };
        let Some(path) = video.path.clone() else {
            self.player.close();
            egui::CentralPanel::default().show(ui, |ui| {
                ScrollArea::vertical().show(ui, |ui| self.missing.ui(ui, desk, &video));
            });
            return;
        };
        self.player.open(&path, desk.wake, ui.ctx());
        self.player.tick(ui.ctx());
        self.crop.follow(&video, self.player.index().map(|i| [i.width(), i.height()]));
        // Under the picture and what stands beside it: the bar needs the width.
        let marks = self.list.extracted(&video.stem);
        Panel::bottom("player").resizable(false).show(ui, |ui| {
            ui.add_space(4.0);
            self.player.bar(ui, &desk.prefs.keys, desk.fired, marks);
            ui.add_space(4.0);
        });
        Panel::right("take frames").resizable(true).default_size(300.0).size_range(250.0..=440.0).show(
            ui,
            |ui| {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    ui.add_space(6.0);
                    self.extract.by_hand(ui, desk, &video, &self.player, &self.crop);
                    ui.add_space(8.0);
                    self.extract.by_method(ui, desk, &video);
                    ui.add_space(8.0);
                    self.crop.ui(ui, desk, &video);
                    ui.add_space(8.0);
                });
            },
        );
        if desk.fired.has(Action::ExtractFrame) {
            self.extract.this_frame(desk, &video, &self.player, &self.crop);
        }
        egui::CentralPanel::default().frame(egui::Frame::new().fill(Theme::of(ui).canvas)).show(ui, |ui| {
            self.picture(ui, &video);
        });
    }

    fn picture(&mut self, ui: &mut egui::Ui, video: &ProjectVideo) {
        let theme = Theme::of(ui);
        let name = match self.player.index() {
            Some(_) => format!("Frame {} of {}", self.player.frame(), video.stem),
            None => format!("The video {}", video.stem),
        };
        let (lines, grips) = match self.crop.shown() {
            Some(c) => {
                let colour = if self.crop.is_editing() { theme.warn } else { theme.warn.gamma_multiply(0.6) };
                (Some(crop::outline(c, colour, 2.0)), self.crop.grips())
            }
            None => (None, Vec::new()),
        };
        let marks: Vec<Mark<'_>> = grips
            .iter()
            .map(|(name, at)| Mark { shape: Shape::Square, ..Mark::new(*at, theme.warn).named(name) })
            .collect();
        let content = Content {
            lines: lines.as_ref().map_or(&[], |l| l.as_slice()),
            marks: &marks,
            empty_drag: if self.crop.is_editing() { EmptyDrag::Stretch } else { EmptyDrag::Pan },
            ..Content::new(&name)
        };
        let answer = self.player.picture(ui, content);
        self.crop.drag(&answer);
    }
}
