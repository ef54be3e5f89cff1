//! Frames for labeling: one by hand, or many by method, shown in a gallery before anything is written.

use super::crop::Crop;
use crate::gui::keys::Action;
use crate::gui::theme::{Theme, card, primary_if};
use crate::gui::widgets::canvas::{Tone, colour_image};
use crate::gui::widgets::controls::named_small;
use crate::gui::widgets::player::Player;
use crate::gui::widgets::words::counted;
use crate::gui::{Desk, Place, lock};
use crate::jobs::Handle;
use crate::picture::Picture;
use crate::project::{Choice, Extracted, Extraction, Method, Project, ProjectVideo, choose, take};
use crate::video::Reader;
use crate::watch::Watch;
use eframe::egui::{
    self, Color32, ColorImage, ComboBox, DragValue, Rect, RichText, Role, ScrollArea, Sense, Stroke,
    StrokeKind, TextureHandle, TextureOptions, UiBuilder, WidgetInfo, pos2, vec2,
};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

/// Width of a picture in the gallery, in points; its height goes by the video's shape.
const WIDE: f32 = 176.0;
/// Longest side of such a picture in pixels, for screens of double scale.
const PIXELS: usize = 352;
/// Pictures handed to the graphics card in one pass.
const UPLOADS: usize = 6;

/// Which videos a method looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Which {
    #[default]
    All,
    This,
    Some,
}

/// A chosen frame: place in the choices, frame number.
type Tile = (usize, usize);

/// What the choosing thread has brought so far.
#[derive(Default)]
struct Brought {
    choices: Option<Vec<Choice>>,
    pictures: Vec<(Tile, Result<ColorImage, String>)>,
}

/// The frames that would be taken.
struct Gallery {
    choices: Vec<Choice>,
    unticked: HashSet<Tile>,
    waiting: Vec<(Tile, ColorImage)>,
    textures: HashMap<Tile, TextureHandle>,
    failed: HashMap<Tile, String>,
}

impl Gallery {
    fn new(choices: Vec<Choice>) -> Self {
        Self {
            choices,
            unticked: HashSet::new(),
            waiting: Vec::new(),
            textures: HashMap::new(),
            failed: HashMap::new(),
        }
    }

    /// What would be written: ticked, and not there yet.
    fn wanted(&self) -> Vec<Choice> {
        let choices = self.choices.iter().enumerate().map(|(c, choice)| {
            let mut choice = choice.clone();
            choice.frames.retain(|n| !self.unticked.contains(&(c, *n)) && !choice.there.contains(n));
            choice
        });
        choices.filter(|c| !c.frames.is_empty()).collect()
    }
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
                    match picture {
                        Ok(picture) => gallery.waiting.push((tile, picture)),
                        Err(why) => drop(gallery.failed.insert(tile, why)),
                    }
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
        idle && self.gallery.as_ref().is_none_or(|g| g.waiting.is_empty())
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

    /// The frames that would be taken, each with a tick.
    pub fn gallery(&mut self, ui: &mut egui::Ui, desk: &mut Desk<'_>) {
        let Some(gallery) = &mut self.gallery else { return };
        for _ in 0..UPLOADS {
            let Some((tile, picture)) = gallery.waiting.pop() else { break };
            let texture = ui.ctx().load_texture("chosen frame", picture, TextureOptions::LINEAR);
            gallery.textures.insert(tile, texture);
        }
        if !gallery.waiting.is_empty() {
            ui.ctx().request_repaint();
        }
        let all: usize = gallery.choices.iter().map(|c| c.frames.len()).sum();
        let there: usize = gallery.choices.iter().map(|c| c.there.len()).sum();
        let wanted = gallery.wanted();
        let count: usize = wanted.iter().map(|c| c.frames.len()).sum();
        let mut close = false;
        ui.add_space(6.0);
        ui.heading("These frames would be extracted");
        let old = if there > 0 {
            format!(" {} are extracted already and stay as they are.", there)
        } else {
            String::new()
        };
        ui.weak(format!(
            "{} chosen.{old} Untick what you do not want; nothing is written before you say so.",
            frames(all)
        ));
        let busy = self.taking.is_some();
        ui.horizontal_wrapped(|ui| {
            ui.add_enabled_ui(!busy, |ui| {
                if primary_if(ui, count > 0 && !busy, &format!("Extract {}", frames(count))).clicked() {
                    let root = desk.open.project().root().to_path_buf();
                    self.taking =
                        Some(desk.jobs.start(format!("Extracting {}", frames(count)), move |watch| {
                            take(&Project::open(&root, watch)?, &wanted, watch)
                        }));
                }
                if ui.button("Back without extracting").clicked() {
                    close = true;
                }
                if ui.button("Tick all").clicked() {
                    gallery.unticked.clear();
                }
                if ui.button("Untick all").clicked() {
                    let tiles = gallery.choices.iter().enumerate();
                    gallery.unticked =
                        tiles.flat_map(|(c, v)| v.frames.iter().map(move |n| (c, *n))).collect();
                }
            });
            if busy {
                ui.spinner();
                ui.label("Extracting…");
            }
        });
        ui.separator();
        ScrollArea::vertical().auto_shrink(false).id_salt("gallery").show(ui, |ui| {
            for c in 0..gallery.choices.len() {
                section(ui, gallery, c, busy);
            }
        });
        if close {
            if let Some(choosing) = &self.choosing {
                choosing.stop();
            }
            self.brought = Arc::default();
            self.gallery = None;
        }
    }
}

/// The frames of one video.
fn section(ui: &mut egui::Ui, gallery: &mut Gallery, c: usize, busy: bool) {
    let Some(choice) = gallery.choices.get(c).cloned() else { return };
    ui.add_space(4.0);
    ui.label(RichText::new(format!("{}: {}", choice.video, frames(choice.frames.len()))).size(16.0));
    if choice.frames.is_empty() {
        ui.weak("No frame of this video could be chosen.");
    }
    let shape =
        choice.frames.iter().find_map(|n| gallery.textures.get(&(c, *n))).map(TextureHandle::size_vec2);
    let high = shape.map_or(WIDE * 0.75, |s| (WIDE * s.y / s.x.max(1.0)).clamp(24.0, WIDE * 1.5));
    ui.horizontal_wrapped(|ui| {
        for n in &choice.frames {
            let (room, _) = ui.allocate_exact_size(vec2(WIDE, high + 30.0), Sense::empty());
            // Of thousands only those in sight are laid out.
            if ui.is_rect_visible(room) {
                let salt = ("tile", c, *n);
                let down = egui::Layout::top_down(egui::Align::Min);
                let mut inner = ui.new_child(UiBuilder::new().max_rect(room).id_salt(salt).layout(down));
                if busy {
                    inner.disable();
                }
                tile(&mut inner, gallery, &choice, (c, *n), high);
            }
        }
    });
}

fn tile(ui: &mut egui::Ui, gallery: &mut Gallery, choice: &Choice, at: Tile, high: f32) {
    let theme = Theme::of(ui);
    let there = choice.there.contains(&at.1);
    let mut on = !there && !gallery.unticked.contains(&at);
    let was = on;
    let (rect, image) =
        ui.allocate_exact_size(vec2(WIDE, high), if there { Sense::empty() } else { Sense::CLICK });
    let name = format!("Picture of frame {} of {}", at.1, choice.video);
    image.widget_info(|| WidgetInfo::labeled(Role::Image, ui.is_enabled(), &name));
    ui.painter().rect_filled(rect, 4.0, theme.canvas);
    match (gallery.textures.get(&at), gallery.failed.get(&at)) {
        (Some(texture), _) => {
            let size = texture.size_vec2();
            let scale = (WIDE / size.x.max(1.0)).min(high / size.y.max(1.0));
            let inside = Rect::from_center_size(rect.center(), size * scale);
            let tint = if on { Color32::WHITE } else { Color32::from_gray(110) };
            ui.painter().image(
                texture.id(),
                inside,
                Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)),
                tint,
            );
        }
        (None, Some(_)) => {
            let font = egui::FontId::proportional(12.0);
            let words = "cannot be decoded";
            ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, words, font, theme.bad);
        }
        (None, None) => {}
    }
    if on {
        ui.painter().rect_stroke(rect, 4.0, Stroke::new(2.0, theme.accent), StrokeKind::Inside);
    }
    if image.clicked() {
        on = !on;
    }
    ui.horizontal(|ui| {
        let words = if there { format!("Frame {}, extracted", at.1) } else { format!("Frame {}", at.1) };
        let name = format!("{words} of {}", choice.video);
        ui.add_enabled(!there, egui::Checkbox::new(&mut on, words)).accessible_name(name);
    });
    if on != was {
        if on {
            gallery.unticked.remove(&at);
        } else {
            gallery.unticked.insert(at);
        }
    }
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Kmeans => "k-means",
        Method::Uniform => "Uniform",
    }
}

/// Such as "1 frame" and "12 frames".
fn frames(n: usize) -> String {
    counted(n, "frame")
}

/// A picture for the gallery, of the part that would be written.
fn small(picture: &Picture, crop: Option<[usize; 4]>) -> ColorImage {
    let Some([x1, x2, y1, y2]) = crop.filter(|c| c[0] < c[1] && c[2] < c[3]) else {
        return colour_image(picture, Tone::default(), PIXELS);
    };
    let mut part = Picture::new(x2 - x1, y2 - y1);
    for (y, x) in (y1..y2).flat_map(|y| (x1..x2).map(move |x| (y, x))) {
        part.set(x - x1, y - y1, picture.get(x, y));
    }
    colour_image(&part, Tone::default(), PIXELS)
}
