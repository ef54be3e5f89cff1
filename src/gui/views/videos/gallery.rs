//! The gallery of frames that a method chose: a picture and a tick for each, before anything is written.

use crate::gui::theme::{Theme, primary_if};
use crate::gui::widgets::canvas::{Tone, colour_image};
use crate::gui::widgets::words::counted;
use crate::picture::Picture;
use crate::project::Choice;
use eframe::egui::{
    self, Color32, ColorImage, Rect, RichText, Role, ScrollArea, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, UiBuilder, WidgetInfo, pos2, vec2,
};
use std::collections::{HashMap, HashSet};

/// Width of a picture in the gallery, in points; its height goes by the video's shape.
const WIDE: f32 = 176.0;
/// Longest side of such a picture in pixels, for screens of double scale.
const PIXELS: usize = 352;
/// Pictures handed to the graphics card in one pass.
const UPLOADS: usize = 6;

/// A chosen frame: place in the choices, frame number.
pub(super) type Tile = (usize, usize);

/// What is asked for in the gallery.
pub(super) enum Asked {
    /// To write these.
    Extract(Vec<Choice>),
    /// To write nothing.
    Back,
}

/// The frames that would be taken.
pub(super) struct Gallery {
    choices: Vec<Choice>,
    unticked: HashSet<Tile>,
    waiting: Vec<(Tile, ColorImage)>,
    textures: HashMap<Tile, TextureHandle>,
    failed: HashMap<Tile, String>,
}

impl Gallery {
    /// Of these choices, all ticked; the pictures come later.
    pub fn new(choices: Vec<Choice>) -> Self {
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

    /// Takes a picture, or why there is none.
    pub fn put(&mut self, tile: Tile, picture: Result<ColorImage, String>) {
        match picture {
            Ok(picture) => self.waiting.push((tile, picture)),
            Err(why) => drop(self.failed.insert(tile, why)),
        }
    }

    /// Whether every picture that came is on the graphics card.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Shows it; nothing can be changed while frames are being extracted (`busy`).
    pub fn ui(&mut self, ui: &mut egui::Ui, busy: bool) -> Option<Asked> {
        let mut asked = None;
        for _ in 0..UPLOADS {
            let Some((tile, picture)) = self.waiting.pop() else { break };
            let texture = ui.ctx().load_texture("chosen frame", picture, TextureOptions::LINEAR);
            self.textures.insert(tile, texture);
        }
        if !self.waiting.is_empty() {
            ui.ctx().request_repaint();
        }
        let all: usize = self.choices.iter().map(|c| c.frames.len()).sum();
        let there: usize = self.choices.iter().map(|c| c.there.len()).sum();
        let wanted = self.wanted();
        let count: usize = wanted.iter().map(|c| c.frames.len()).sum();
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
        ui.horizontal_wrapped(|ui| {
            ui.add_enabled_ui(!busy, |ui| {
                if primary_if(ui, count > 0 && !busy, &format!("Extract {}", frames(count))).clicked() {
                    asked = Some(Asked::Extract(wanted));
                }
                if ui.button("Back without extracting").clicked() {
                    asked = Some(Asked::Back);
                }
                if ui.button("Tick all").clicked() {
                    self.unticked.clear();
                }
                if ui.button("Untick all").clicked() {
                    let tiles = self.choices.iter().enumerate();
                    self.unticked = tiles.flat_map(|(c, v)| v.frames.iter().map(move |n| (c, *n))).collect();
                }
            });
            if busy {
                ui.spinner();
                ui.label("Extracting…");
            }
        });
        ui.separator();
        ScrollArea::vertical().auto_shrink(false).id_salt("gallery").show(ui, |ui| {
            for c in 0..self.choices.len() {
                section(ui, self, c, busy);
            }
        });
        asked
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

/// Such as "1 frame" and "12 frames".
pub(super) fn frames(n: usize) -> String {
    counted(n, "frame")
}

/// A picture for the gallery, of the part that would be written.
pub(super) fn small(picture: &Picture, crop: Option<[usize; 4]>) -> ColorImage {
    let Some([x1, x2, y1, y2]) = crop.filter(|c| c[0] < c[1] && c[2] < c[3]) else {
        return colour_image(picture, Tone::default(), PIXELS);
    };
    let mut part = Picture::new(x2 - x1, y2 - y1);
    for (y, x) in (y1..y2).flat_map(|y| (x1..x2).map(move |x| (y, x))) {
        part.set(x - x1, y - y1, picture.get(x, y));
    }
    colour_image(&part, Tone::default(), PIXELS)
}
