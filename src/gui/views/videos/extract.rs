//! Frames for labeling: one by hand, or many by method, which the gallery shows before anything is written.

use super::crop::Crop;
use super::gallery::{Asked, Gallery, Tile, frames, small};
use crate::gui::keys::Action;
use crate::gui::theme::{Theme, card, primary_if};
use crate::gui::widgets::controls::named_small;
use crate::gui::widgets::player::Player;
use crate::gui::{Desk, Place, lock};
use crate::jobs::Handle;
use crate::picture::Picture;
use crate::project::{Choice, Extracted, Extraction, Method, Project, ProjectVideo, choose, take};
use crate::video::Reader;
use crate::watch::Watch;
use eframe::egui::{self, ColorImage, ComboBox, DragValue, RichText, ScrollArea};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Which videos a method looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Which {
    #[default]
    All,
    This,
    Some,
}

/// What the choosing thread has brought so far.
#[derive(Default)]
struct Brought {
    choices: Option<Vec<Choice>>,
    pictures: Vec<(Tile, Result<ColorImage, String>)>,
}

/// Taking frames.
#[derive(Default)]
pub(super) struct Extract {
    method: Option<Method>,
    count: Option<usize>,
    seed: u64,
    which: Which,
    ticked: HashSet<String>,
    /// Cut pictures to the crop; as the project has it until it is said here.
    cut: Option<bool>,
    choosing: Option<Handle<()>>,
    brought: Arc<Mutex<Brought>>,
    gallery: Option<Gallery>,
    taking: Option<Handle<Vec<Extracted>>>,
    by_hand: Vec<(String, usize, Handle<Vec<Extracted>>)>,
    /// What came of the last time.
    said: String,
}

impl Extract {
    /// Takes what jobs have brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        {
            let mut brought = lock(&self.brought);
            if let Some(choices) = brought.choices.take() {
                self.gallery = Some(Gallery::new(choices));
            }
            if let Some(gallery) = &mut self.gallery {
                for (tile, picture) in brought.pictures.drain(..) {
                    gallery.put(tile, picture);
                }
            }
        }
        if self.choosing.as_mut().and_then(Handle::poll).is_some() {
            self.choosing = None;
        }
        if let Some(result) = self.taking.as_mut().and_then(Handle::poll) {
            self.taking = None;
            if let Ok(taken) = &result {
                let new: usize = taken.iter().map(|e| e.new).sum();
                self.said = format!("{} extracted.", frames(new));
                desk.notices.note(self.said.clone());
                self.gallery = None;
            }
            // Also after a failure: what was written before it is there.
            desk.open.refresh(desk.jobs);
        }
        let mut read = false;
        self.by_hand.retain_mut(|(video, n, handle)| match handle.poll() {
            None => true,
            Some(result) => {
                if let Ok(taken) = result {
                    let new = taken.iter().any(|e| e.new > 0);
                    let there = taken.iter().any(|e| e.frames.contains(n));
                    self.said = match (new, there) {
                        (true, _) => format!("Frame {n} of {video} was extracted."),
                        (_, true) => format!("Frame {n} of {video} had been extracted before."),
                        _ => format!("Frame {n} of {video} cannot be decoded and was not extracted."),
                    };
                    desk.notices.note(self.said.clone());
                    read |= new;
                }
                false
            }
        });
        if read {
            desk.open.refresh(desk.jobs);
        }
    }

    /// Whether no work is under way and every picture of the gallery is there.
    pub fn is_settled(&self) -> bool {
        let idle = self.choosing.is_none() && self.taking.is_none() && self.by_hand.is_empty();
        idle && self.gallery.as_ref().is_none_or(Gallery::is_settled)
    }

    /// Whether the gallery is in front.
    pub fn gallery_is_open(&self) -> bool {
        self.gallery.is_some()
    }

    fn cuts(&self, desk: &Desk<'_>) -> bool {
        self.cut.unwrap_or(desk.open.project().config.cropping)
    }

    /// Takes the player's frame.
    pub fn this_frame(&mut self, desk: &mut Desk<'_>, video: &ProjectVideo, player: &Player, crop: &Crop) {
        let (Some(index), Some(path)) = (player.index(), video.path.clone()) else { return };
        let (n, total, stem) = (player.frame(), index.len(), video.stem.clone());
        let area = if self.cuts(desk) { crop.area() } else { None };
        let root = desk.open.project().root().to_path_buf();
        let handle = desk.jobs.start_quiet(format!("Extracting frame {n} of {stem}"), move |watch| {
            let project = Project::open(&root, watch)?;
            let choice = Choice::by_hand(&project, &stem, &path, total, &[n], area)?;
            take(&project, &[choice], watch)
        });
        self.by_hand.push((video.stem.clone(), n, handle));
    }

    /// The card for single frames.
    pub fn by_hand(
        &mut self,
        ui: &mut egui::Ui,
        desk: &mut Desk<'_>,
        video: &ProjectVideo,
        player: &Player,
        crop: &Crop,
    ) {
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("By hand").size(16.0));
            let tip = desk.prefs.keys.tip(ui.ctx(), Action::ExtractFrame);
            let button = ui.add_enabled(player.index().is_some(), egui::Button::new("Extract this frame"));
            if button.on_hover_text(tip).clicked() {
                self.this_frame(desk, video, player, crop);
            }
            let mut cut = self.cuts(desk);
            if ui
                .checkbox(&mut cut, "Cut pictures to the crop")
                .on_hover_text("Labels are then in pixels of the cut, as in DeepLabCut")
                .changed()
            {
                self.cut = Some(cut);
            }
            if !self.said.is_empty() {
                ui.colored_label(Theme::of(ui).good, &self.said);
                if ui.button("Go to labeling").clicked() {
                    *desk.go = Some(Place::Label);
                }
            }
        });
    }

    /// The card for many frames.
    pub fn by_method(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>, video: &ProjectVideo) {
        let contents = Arc::clone(&desk.open.contents);
        let there: Vec<&str> =
            contents.videos.iter().filter(|v| v.path.is_some()).map(|v| v.stem.as_str()).collect();
        card(ui).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(RichText::new("Automatically").size(16.0));
            let usual = if cfg!(feature = "vision") { Method::Kmeans } else { Method::Uniform };
            let mut method = self.method.unwrap_or(usual);
            ComboBox::from_label("Method").width(150.0).selected_text(method_name(method)).show_ui(
                ui,
                |ui| {
                    for m in [Method::Kmeans, Method::Uniform] {
                        ui.selectable_value(&mut method, m, method_name(m));
                    }
                },
            );
            self.method = Some(method);
            ui.weak(match method {
                Method::Kmeans => "Looks at the frames and takes those that differ most. Slower.",
                Method::Uniform => "At random, evenly over the video.",
            });
            let usual = usize::try_from(desk.open.project().config.numframes2pick).unwrap_or(20).max(1);
            let mut count = self.count.unwrap_or(usual);
            ui.horizontal(|ui| {
                let label = ui.label("Frames from each video");
                ui.add(DragValue::new(&mut count).range(1..=5000)).labelled_by(label.id);
            });
            self.count = Some(count);
            ui.horizontal(|ui| {
                let label = ui.label("Seed").on_hover_text("The same seed chooses the same frames again");
                ui.add(DragValue::new(&mut self.seed)).labelled_by(label.id);
            });
            let all = if there.len() == 1 {
                "All videos".to_owned()
            } else {
                format!("All {} videos", there.len())
            };
            ui.radio_value(&mut self.which, Which::All, all);
            ui.radio_value(&mut self.which, Which::This, format!("Only {}", video.stem));
            ui.radio_value(&mut self.which, Which::Some, "Some videos");
            if self.which == Which::Some {
                ScrollArea::vertical().max_height(140.0).id_salt("which videos").show(ui, |ui| {
                    for stem in &there {
                        let mut on = self.ticked.contains(*stem);
                        if ui.checkbox(&mut on, *stem).changed() {
                            if on {
                                self.ticked.insert((*stem).to_owned());
                            } else {
                                self.ticked.remove(*stem);
                            }
                        }
                    }
                });
            }
            let videos: Vec<String> = match self.which {
                Which::All => there.iter().map(|s| (*s).to_owned()).collect(),
                Which::This => vec![video.stem.clone()],
                Which::Some => {
                    there.iter().filter(|s| self.ticked.contains(**s)).map(|s| (*s).to_owned()).collect()
                }
            };
            let busy = self.choosing.is_some();
            let good = !busy && !videos.is_empty();
            let preview = primary_if(ui, good, "Preview frames").clicked();
            if preview || good && desk.fired.has(Action::MainStep) {
                let crop = self.cuts(desk);
                self.choose(desk, Extraction { method, count, seed: self.seed, videos, crop });
            }
            self.progress(ui);
        });
    }

    fn progress(&self, ui: &mut egui::Ui) {
        let Some(handle) = &self.choosing else { return };
        let progress = handle.progress();
        if let Some(part) = progress.fraction() {
            ui.add(egui::ProgressBar::new(part).desired_height(8.0));
        }
        ui.horizontal(|ui| {
            ui.spinner();
            ui.weak(if progress.stage.is_empty() { "Choosing frames".to_owned() } else { progress.stage });
            if named_small(ui, "Stop", "Stop choosing frames").clicked() {
                handle.stop();
            }
        });
    }

    /// Chooses on a thread, and makes the gallery's pictures there.
    fn choose(&mut self, desk: &mut Desk<'_>, wish: Extraction) {
        self.said.clear();
        // What an earlier choice still brings goes nowhere.
        self.brought = Arc::default();
        let (brought, wake) = (Arc::clone(&self.brought), Arc::clone(desk.wake));
        let root = desk.open.project().root().to_path_buf();
        self.choosing = Some(desk.jobs.start("Choosing frames", move |watch: &dyn Watch| {
            let project = Project::open(&root, watch)?;
            let choices = choose(&project, &wish, watch)?;
            lock(&brought).choices = Some(choices.clone());
            wake();
            for (c, choice) in choices.iter().enumerate() {
                let mut reader = Reader::open(&choice.path, watch)?;
                let mut picture = Picture::new(reader.index().width(), reader.index().height());
                watch.begin("pictures", Some(choice.frames.len() as u64));
                for n in &choice.frames {
                    watch.check()?;
                    let made = match reader.frame_into(*n, &mut picture)? {
                        None => Ok(small(&picture, choice.crop)),
                        Some(why) => Err(why),
                    };
                    lock(&brought).pictures.push(((c, *n), made));
                    watch.advance(1);
                    wake();
                }
                watch.end();
            }
            Ok(())
        }));
    }

    /// The frames that would be taken, each with a tick; does what is asked for there.
    pub fn gallery(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let Some(gallery) = &mut self.gallery else { return };
        match gallery.ui(ui, self.taking.is_some()) {
            Some(Asked::Extract(wanted)) => {
                let root = desk.open.project().root().to_path_buf();
                let title = format!("Extracting {}", frames(wanted.iter().map(|c| c.frames.len()).sum()));
                self.taking = Some(
                    desk.jobs.start(title, move |watch| take(&Project::open(&root, watch)?, &wanted, watch)),
                );
            }
            Some(Asked::Back) => {
                if let Some(choosing) = &self.choosing {
                    choosing.stop();
                }
                self.brought = Arc::default();
                self.gallery = None;
            }
            None => {}
        }
    }
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Kmeans => "k-means",
        Method::Uniform => "Uniform",
    }
}
