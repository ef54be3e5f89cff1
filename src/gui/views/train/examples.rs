//! Example frames with prediction against label, cut out around the animal; their pictures come from a thread.

use crate::draw::Style;
use crate::gui::theme::Theme;
use crate::gui::widgets::words::point_title;
use crate::jobs::{Handle, Jobs};
use crate::picture::Picture;
use crate::pose::{FrameKey, Keypoint, Skeleton};
use crate::train::ExampleSeen;
use eframe::egui::{
    self, Align2, Color32, ColorImage, FontId, Rect, RichText, Sense, Stroke, TextureHandle, Vec2, pos2, vec2,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Example frames with their pictures, which come from a thread.
#[derive(Default)]
pub(super) struct Examples {
    list: Vec<ExampleSeen>,
    pictures: HashMap<FrameKey, Small>,
    reading: Option<Handle<Vec<(FrameKey, Read)>>>,
}

/// A picture of at most [`SIDE`] pixels with the size of the whole one, or why there is none.
type Read = Result<(ColorImage, Vec2), String>;

enum Small {
    /// A picture of at most [`SIDE`] pixels, and the size of the whole one.
    Read(ColorImage, Vec2),
    Shown(TextureHandle, Vec2),
    Failed(String),
}

/// Longest side of the pictures that are kept for the examples.
const SIDE: u32 = 960;
/// Side of an example on the screen.
const SHOWN: f32 = 210.0;
const KEPT: usize = 24;

impl Examples {
    pub fn set(&mut self, list: &[ExampleSeen]) {
        if self.list != list {
            self.list = list.to_vec();
            if self.pictures.len() > KEPT {
                let list = &self.list;
                self.pictures.retain(|key, _| list.iter().any(|e| e.key == *key));
            }
        }
    }

    pub fn poll(&mut self, jobs: &mut Jobs) {
        if let Some(result) = self.reading.as_mut().and_then(Handle::poll) {
            self.reading = None;
            for (key, read) in result.unwrap_or_default() {
                self.pictures.insert(
                    key,
                    match read {
                        Ok((image, size)) => Small::Read(image, size),
                        Err(e) => Small::Failed(e),
                    },
                );
            }
        }
        let wanted: Vec<(FrameKey, PathBuf)> = self
            .list
            .iter()
            .filter(|e| !self.pictures.contains_key(&e.key))
            .map(|e| (e.key.clone(), e.path.clone()))
            .collect();
        if self.reading.is_none() && !wanted.is_empty() {
            self.reading = Some(jobs.start_quiet("Reading example frames", move |_| {
                let read = |path: &Path| Picture::load(path).map(small).map_err(|e| e.what().to_owned());
                Ok(wanted.into_iter().map(|(key, path)| (key, read(&path))).collect())
            }));
        }
    }

    pub fn ui(&mut self, ui: &mut egui::Ui, skeleton: &Skeleton, style: &Style) {
        if self.list.is_empty() {
            return;
        }
        ui.add_space(8.0);
        let held_out = self.list.iter().any(|e| e.held_out);
        ui.label(RichText::new(if held_out { "Test frames" } else { "Training frames" }).strong());
        ui.weak("Rings are labels, crosses are what the network finds. The worst frames come first.");
        ui.horizontal_wrapped(|ui| {
            for e in &self.list {
                let picture = self.pictures.get_mut(&e.key);
                if let Some(Small::Read(image, size)) = picture {
                    let texture =
                        ui.ctx().load_texture(e.key.to_string(), image.clone(), egui::TextureOptions::LINEAR);
                    let shown = Small::Shown(texture, *size);
                    self.pictures.insert(e.key.clone(), shown);
                }
                example(ui, e, self.pictures.get(&e.key), skeleton, style);
            }
        });
    }
}

/// Shrinks a picture for the screen; with the size it had.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // pixels
fn small(picture: Picture) -> (ColorImage, Vec2) {
    let (w, h) = (picture.width(), picture.height());
    let size = vec2(w as f32, h as f32);
    let full = image::RgbImage::from_raw(w as u32, h as u32, picture.into_rgb()).unwrap_or_default();
    let longest = full.width().max(full.height()).max(1);
    if longest <= SIDE {
        return (ColorImage::from_rgb([full.width() as usize, full.height() as usize], full.as_raw()), size);
    }
    let to = |side: u32| (u64::from(side) * u64::from(SIDE) / u64::from(longest)).max(1) as u32;
    let less = image::imageops::thumbnail(&full, to(full.width()), to(full.height()));
    (ColorImage::from_rgb([less.width() as usize, less.height() as usize], less.as_raw()), size)
}

/// One frame, cut out around the animal.
#[allow(clippy::cast_possible_truncation)] // pixels
fn example(ui: &mut egui::Ui, e: &ExampleSeen, picture: Option<&Small>, skeleton: &Skeleton, style: &Style) {
    let theme = Theme::of(ui);
    ui.vertical(|ui| {
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(SHOWN), Sense::hover());
        let painter = ui.painter_at(rect);
        painter.rect_filled(rect, 4.0, theme.canvas);
        let error = e.error_px.map_or_else(|| "no label".to_owned(), |px| format!("{px:.1} px off"));
        let name = format!(
            "{}/{}: {error}{}",
            e.key.video,
            e.key.image,
            if e.worst { ", among the worst" } else { "" }
        );
        let message = |words: &str| {
            painter.text(rect.center(), Align2::CENTER_CENTER, words, FontId::proportional(12.0), theme.weak);
        };
        match picture {
            Some(Small::Shown(texture, size)) => {
                let view = around(e, *size);
                let scale = rect.width() / view.width().max(1.0);
                let there = view.intersect(Rect::from_min_size(pos2(0.0, 0.0), *size));
                let uv = Rect::from_min_max(
                    (there.min.to_vec2() / *size).to_pos2(),
                    (there.max.to_vec2() / *size).to_pos2(),
                );
                let place =
                    Rect::from_min_size(rect.min + (there.min - view.min) * scale, there.size() * scale);
                painter.image(texture.id(), place, uv, Color32::WHITE);
                let at = |p: Keypoint| rect.min + (pos2(p.x as f32, p.y as f32) - view.min) * scale;
                for (i, (label, found)) in e.label.iter().zip(&e.predicted).enumerate() {
                    let [r, g, b] = style.colour(skeleton, i);
                    let colour = Color32::from_rgb(r, g, b);
                    let label = label.map(at);
                    if let Some(at) = label {
                        painter.circle_stroke(at, 5.0, Stroke::new(3.0, Color32::from_black_alpha(140)));
                        painter.circle_stroke(at, 5.0, Stroke::new(1.6, colour));
                    }
                    let Some((found, _)) = found else { continue };
                    let found = at(*found);
                    if let Some(label) = label {
                        painter.line_segment([label, found], Stroke::new(1.0, colour));
                    }
                    for d in [vec2(4.0, 4.0), vec2(4.0, -4.0)] {
                        painter.line_segment(
                            [found - d, found + d],
                            Stroke::new(3.0, Color32::from_black_alpha(140)),
                        );
                        painter.line_segment([found - d, found + d], Stroke::new(1.6, colour));
                    }
                }
            }
            Some(Small::Failed(why)) => message(why),
            Some(Small::Read(..)) | None => message("Loading…"),
        }
        let response = response.accessible_name(name.clone());
        response.on_hover_ui(|ui| {
            ui.label(name);
            for (i, (label, found)) in e.label.iter().zip(&e.predicted).enumerate() {
                if let (Some(label), Some((found, likelihood)), Some(point)) =
                    (label, found, skeleton.point(i))
                {
                    ui.label(format!(
                        "{}: {:.1} px off, likelihood {likelihood:.2}",
                        point_title(point),
                        label.distance(*found)
                    ));
                }
            }
        });
        let words = format!("{} · {error}", e.key.image);
        let colour = if e.worst { theme.warn } else { theme.weak };
        ui.add(egui::Label::new(RichText::new(words).size(11.5).color(colour)).truncate());
    });
}

/// The square of the picture around labels and predictions, with room beside them; the whole where there are none.
#[allow(clippy::cast_possible_truncation)] // pixels
fn around(e: &ExampleSeen, size: Vec2) -> Rect {
    let mut seen = Rect::NOTHING;
    let labels: Vec<_> = e.label.iter().flatten().copied().collect();
    for p in &labels {
        seen.extend_with(pos2(p.x as f32, p.y as f32));
    }
    let reach = f64::from(seen.width().max(seen.height())).max(48.0);
    // A prediction far away would make the animal a dot; the line to it leaves the view then.
    for (p, _) in e.predicted.iter().flatten() {
        if labels.is_empty() || labels.iter().any(|l| l.distance(*p) < reach) {
            seen.extend_with(pos2(p.x as f32, p.y as f32));
        }
    }
    if !seen.is_finite() {
        seen = Rect::from_min_size(pos2(0.0, 0.0), size);
    }
    let side = (seen.width().max(seen.height()) * 1.4).clamp(64.0, size.x.max(size.y).max(64.0));
    Rect::from_center_size(seen.center(), Vec2::splat(side))
}
