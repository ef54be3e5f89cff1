//! The bars and lists around the picture.

use super::frames::{Filter, Progress, Row};
use super::steps::Mode;
use super::{LabelView, Tools};
use crate::gui::keys::Action;
use crate::gui::pictures::{Pictures, THUMBNAIL, Thumbnail};
use crate::gui::theme::Theme;
use crate::gui::widgets::canvas::Tone;
use crate::gui::widgets::words::counted;
use crate::gui::{Desk, Place};
use crate::labeling::State;
use crate::project::Mark;
use eframe::egui::{
    self, Align, Align2, Color32, Panel, Rect, Response, RichText, Role, ScrollArea, Sense, Stroke,
    StrokeKind, TextStyle, Ui, Vec2, WidgetInfo, pos2, vec2,
};

/// The actions that choose an individual, first to ninth.
pub(super) const ANIMALS: [Action; 9] = [
    Action::Animal1,
    Action::Animal2,
    Action::Animal3,
    Action::Animal4,
    Action::Animal5,
    Action::Animal6,
    Action::Animal7,
    Action::Animal8,
    Action::Animal9,
];

/// Height of a line in the list of frames, and width of its picture.
const LINE: f32 = 34.0;
const SMALL: f32 = 44.0;

impl LabelView {
    /// Above the picture: the way through the frames, the mode, undo and redo, zoom.
    pub(super) fn toolbar(&mut self, ui: &mut Ui, desk: &Desk<'_>) {
        let keys = &desk.prefs.keys;
        Panel::top("label tools").resizable(false).show(ui, |ui| {
            ui.add_space(4.0);
            ui.horizontal_wrapped(|ui| {
                let queued = &mut self.queued;
                let mut button = |ui: &mut Ui, enabled: bool, words: &str, action: Action| {
                    let tip = keys.tip(ui.ctx(), action);
                    let button = ui.add_enabled(enabled, egui::Button::new(words));
                    if button.on_hover_text(&tip).on_disabled_hover_text(tip).clicked() {
                        queued.push(action);
                    }
                };
                button(ui, true, "Previous", Action::PreviousPicture);
                button(ui, true, "Next", Action::NextPicture);
                button(ui, true, "Next unlabeled", Action::NextUnlabeled);
                button(ui, true, "Copy previous", Action::CopyPrevious);
                ui.separator();
                let labels = &desk.open.labels;
                button(ui, labels.can_undo().is_some(), "Undo", Action::Undo);
                button(ui, labels.can_redo().is_some(), "Redo", Action::Redo);
                ui.separator();
                ui.label("Mode");
                for mode in Mode::ALL {
                    let tip = format!("{} ({})", mode.words(), keys.words(ui.ctx(), Action::LabelMode));
                    if ui.selectable_label(self.mode == mode, mode.name()).on_hover_text(tip).clicked() {
                        self.mode = mode;
                    }
                }
                ui.separator();
                button(ui, true, "Fit", Action::FitPicture);
                button(ui, true, "1:1", Action::ActualSize);
                button(ui, true, "Zoom out", Action::Farther);
                button(ui, true, "Zoom in", Action::Closer);
                if let Some(zoom) = self.canvas.magnification() {
                    ui.weak(format!("{:.0} %", zoom * 100.0));
                }
            });
            if let Some((words, colour)) = standing(ui, desk) {
                ui.label(RichText::new(words).color(colour));
            }
            ui.add_space(2.0);
        });
    }

    /// Below the picture: what comes next, where the pointer is, and whether all is safe.
    pub(super) fn foot(&mut self, ui: &mut Ui, desk: &Desk<'_>, pictures: &mut Pictures) {
        let theme = Theme::of(ui);
        Panel::bottom("label foot").resizable(false).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.set_min_height(22.0);
                ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
                    if let Some(words) = unsaved(desk) {
                        ui.label(RichText::new(words).color(theme.warn));
                        ui.separator();
                    }
                    if let Some(at) = self.pointer {
                        ui.weak(format!("x {:.1} px, y {:.1} px", at.x, at.y));
                    }
                    let path = self.key.as_ref().map(|k| desk.open.project().image_path(k));
                    if let Some(path) = path.filter(|p| pictures.failure(p).is_some())
                        && ui.button("Try the picture again").clicked()
                    {
                        pictures.forget(&path);
                    }
                    ui.with_layout(egui::Layout::left_to_right(Align::Center), |ui| {
                        let words =
                            if self.hint.is_empty() { self.next_words(desk) } else { self.hint.clone() };
                        ui.add(egui::Label::new(words).truncate());
                    });
                });
            });
        });
    }

    /// What a click does now.
    fn next_words(&self, desk: &Desk<'_>) -> String {
        let name = self.sheet.name(self.part);
        match desk.open.labels.state() {
            State::Editing => {}
            State::Opening => return "Reading the labels…".into(),
            State::ReadOnly { .. } => {
                return "These labels can only be looked at; the bar below says why.".into();
            }
            State::Failed(_) => return "The labels could not be read; the bar below says why.".into(),
        }
        match self.said(&desk.open.labels, self.part) {
            Mark::Unlabeled => format!("Click to place {name}."),
            Mark::Hidden => format!("{name} is not visible. Click to place it all the same."),
            Mark::At(_) if self.mode == Mode::Quick => format!("Click to move {name}."),
            Mark::At(_) => format!("{name} is placed. Drag it to move it."),
        }
    }

    /// Left: all frames by video, with what is done.
    pub(super) fn frame_list(&mut self, ui: &mut Ui, desk: &Desk<'_>, pictures: &mut Pictures) {
        Panel::left("frames").resizable(true).default_size(236.0).size_range(170.0..=420.0).show(ui, |ui| {
            ui.add_space(4.0);
            ui.label(RichText::new("Frames").strong());
            ui.weak(self.frames.words());
            ui.horizontal(|ui| {
                for (filter, name) in Filter::ALL {
                    if ui.selectable_label(self.filter == filter, name).clicked() {
                        self.filter = filter;
                    }
                }
            });
            ui.separator();
            let mut area = ScrollArea::vertical().auto_shrink(false).id_salt("frame list");
            if std::mem::take(&mut self.scroll)
                && let Some(at) = self.rows.iter().position(|r| *r == Row::Frame(self.frame))
            {
                // Into the middle, unless it is in sight already.
                let pitch = LINE + ui.spacing().item_spacing.y;
                let (top, room) = (at as f32 * pitch, ui.available_height());
                let seen = self.list_offset..self.list_offset + room - pitch;
                if !seen.contains(&top) {
                    area = area.vertical_scroll_offset((top - room / 2.0).max(0.0));
                }
            }
            let mut go = None;
            let out = area.show_rows(ui, LINE, self.rows.len(), |ui, shown| {
                for number in shown {
                    match self.rows.get(number) {
                        Some(Row::Video(video)) => self.video_line(ui, *video),
                        Some(Row::Frame(frame)) => {
                            let chosen = self.frame_line(ui, *frame, desk, pictures);
                            go = if chosen { Some(*frame) } else { go };
                        }
                        None => {}
                    }
                }
            });
            self.list_offset = out.state.clamped_offset().y;
            if let Some(frame) = go {
                self.wanted = Some(frame);
                ui.ctx().request_repaint();
            }
        });
    }

    fn video_line(&mut self, ui: &mut Ui, video: usize) {
        let Some(video) = self.frames.videos().get(video) else { return };
        let theme = Theme::of(ui);
        let folded = self.folded.contains(&video.name);
        let state = if folded { "folded" } else { "unfolded" };
        let name = format!("{}, {}, {state}", video.name, video.words());
        let (response, rect) = line(ui, LINE, false, &name);
        if ui.is_rect_visible(rect) {
            let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
            let body = TextStyle::Body.resolve(ui.style());
            let small = TextStyle::Small.resolve(ui.style());
            fold_sign(&painter, rect.left_center() + vec2(10.0, 0.0), folded, theme.weak);
            let text = rect.left_top() + vec2(22.0, 1.0);
            painter.text(text, Align2::LEFT_TOP, &video.name, body, theme.text);
            let below = rect.left_bottom() + vec2(22.0, -4.0);
            painter.text(below, Align2::LEFT_BOTTOM, video.words(), small, theme.weak);
            let share = video.done as f32 / video.frames.len().max(1) as f32;
            let bar = Rect::from_min_max(pos2(rect.left(), rect.bottom() - 2.0), rect.right_bottom());
            painter.rect_filled(bar, 0, theme.line);
            painter.rect_filled(bar.with_max_x(rect.left() + rect.width() * share), 0, theme.good);
        }
        if response.clicked() {
            let name = video.name.clone();
            if !self.folded.remove(&name) {
                self.folded.insert(name);
            }
            self.rows_of = None;
        }
    }

    /// One frame; whether it was chosen.
    fn frame_line(&self, ui: &mut Ui, frame: usize, desk: &Desk<'_>, pictures: &mut Pictures) -> bool {
        let Some(key) = self.frames.keys().get(frame) else { return false };
        let theme = Theme::of(ui);
        let progress = self.frames.progress(frame);
        let here = self.key.as_ref() == Some(key);
        let name = format!("{} of {}, {}", key.image, key.video, progress.words());
        let (response, rect) = line(ui, LINE, here, &name);
        if ui.is_rect_visible(rect) {
            let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
            let room = Rect::from_min_size(rect.min + vec2(14.0, 1.0), vec2(SMALL, LINE - 2.0));
            let path = desk.open.project().image_path(key);
            let failed = match pictures.thumbnail(&path) {
                Thumbnail::Ready(texture) => {
                    let size = texture.size_vec2() / THUMBNAIL as f32;
                    let size = size * (room.width() / size.x).min(room.height() / size.y);
                    let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
                    painter.image(
                        texture.id(),
                        Rect::from_center_size(room.center(), size),
                        uv,
                        Color32::WHITE,
                    );
                    false
                }
                Thumbnail::Loading => {
                    painter.rect_filled(room, 2, theme.line.gamma_multiply(0.5));
                    false
                }
                Thumbnail::Failed(_) => true,
            };
            let body = TextStyle::Body.resolve(ui.style());
            if failed {
                painter.text(room.center(), Align2::CENTER_CENTER, "!", body.clone(), theme.warn);
            }
            let colour = if here { theme.on_accent } else { theme.text };
            let at = room.right_center() + vec2(8.0, 0.0);
            painter.text(at, Align2::LEFT_CENTER, &key.image, body, colour);
            let spot = rect.right_center() - vec2(12.0, 0.0);
            sign(&painter, spot, progress, if here { theme.on_accent } else { theme.good }, theme.weak);
        }
        response.clicked()
    }

    /// Right: individuals, body parts, and how the picture is shown.
    pub(super) fn part_list(&mut self, ui: &mut Ui, desk: &mut Desk<'_>, pictures: &mut Pictures) {
        Panel::right("body parts").resizable(true).default_size(232.0).size_range(180.0..=400.0).show(
            ui,
            |ui| {
                ui.add_space(4.0);
                let sheet = std::sync::Arc::clone(&self.sheet);
                if sheet.groups.len() > 1 {
                    ui.label(RichText::new("Individual").strong());
                    ui.horizontal_wrapped(|ui| {
                        for (number, group) in sheet.groups.iter().enumerate() {
                            let words = match ANIMALS.get(number) {
                                Some(_) => format!("{} {}", number + 1, group.name),
                                None => group.name.clone(),
                            };
                            let colour = sheet.colour(group.points.start);
                            dot(ui, colour);
                            if ui.selectable_label(self.group == number, words).clicked() {
                                self.choose_group(number, &mut desk.open.labels);
                            }
                        }
                    });
                    ui.separator();
                }
                ui.horizontal(|ui| {
                    ui.label(RichText::new("Body parts").strong());
                    ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
                        let tip = "Rename, add or remove body parts, with the labels carried along";
                        if ui.small_button("Edit body parts").on_hover_text(tip).clicked() {
                            *desk.go = Some(Place::Project);
                        }
                    });
                });
                let points = self.points();
                let tall = 24.0;
                let room = (ui.available_height() - 330.0).max(5.0 * tall);
                let list =
                    ScrollArea::vertical().max_height(room).id_salt("part list").auto_shrink([false, true]);
                list.show_rows(ui, tall, points.len(), |ui, shown| {
                    for point in shown.filter_map(|i| points.clone().nth(i)) {
                        if self.part_line(ui, tall, point, desk) {
                            self.settle(&mut desk.open.labels);
                            self.choose_part(point, &desk.open.labels);
                        }
                    }
                });
                ui.separator();
                self.position(ui, desk);
                ui.separator();
                ScrollArea::vertical().id_salt("looks").auto_shrink(false).show(ui, |ui| {
                    self.looks(ui, desk, pictures);
                });
            },
        );
    }

    /// One body part; whether it was chosen.
    fn part_line(&self, ui: &mut Ui, tall: f32, point: usize, desk: &Desk<'_>) -> bool {
        let theme = Theme::of(ui);
        let Some(name) = self.sheet.names.get(point) else { return false };
        let state = match self.said(&desk.open.labels, point) {
            Mark::At(_) => "placed",
            Mark::Hidden => "not visible",
            Mark::Unlabeled => "to do",
        };
        let here = self.part == point;
        let (response, rect) = line(ui, tall, here, &format!("{name}, {state}"));
        if ui.is_rect_visible(rect) {
            let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
            let (text, weak) =
                if here { (theme.on_accent, theme.on_accent) } else { (theme.text, theme.weak) };
            let spot = rect.left_center() + vec2(12.0, 0.0);
            let colour = self.sheet.colour(point);
            match state {
                "placed" => painter.circle_filled(spot, 5.0, colour),
                _ => painter.circle_stroke(spot, 4.5, Stroke::new(1.5, colour)),
            };
            let body = TextStyle::Body.resolve(ui.style());
            let small = TextStyle::Small.resolve(ui.style());
            let right =
                painter.text(rect.right_center() - vec2(6.0, 0.0), Align2::RIGHT_CENTER, state, small, weak);
            let room = rect.with_max_x(right.left() - 4.0);
            painter.with_clip_rect(room.intersect(painter.clip_rect())).text(
                rect.left_center() + vec2(24.0, 0.0),
                Align2::LEFT_CENTER,
                name,
                body,
                text,
            );
        }
        response.clicked()
    }

    fn position(&mut self, ui: &mut Ui, desk: &Desk<'_>) {
        let keys = &desk.prefs.keys;
        let point = self.selected.unwrap_or(self.part);
        let words = match self.said(&desk.open.labels, point) {
            Mark::At(p) => format!("{}: x {:.1} px, y {:.1} px", self.sheet.name(point), p.x, p.y),
            Mark::Hidden => format!("{}: not visible", self.sheet.name(point)),
            Mark::Unlabeled => format!("{}: to do", self.sheet.name(point)),
        };
        ui.label(words);
        ui.horizontal_wrapped(|ui| {
            for (words, action) in [("Not visible", Action::NotVisible), ("Remove", Action::RemovePoint)] {
                if ui.button(words).on_hover_text(keys.tip(ui.ctx(), action)).clicked() {
                    self.queued.push(action);
                }
            }
        });
    }

    /// How the picture and the marks are shown.
    fn looks(&mut self, ui: &mut Ui, desk: &Desk<'_>, pictures: &mut Pictures) {
        let keys = &desk.prefs.keys;
        let Tools { skeleton, names, ghosts, radius } = &mut self.tools;
        ui.horizontal_wrapped(|ui| {
            for (on, words, action) in [
                (skeleton, "Skeleton", Action::ShowSkeleton),
                (names, "Names", Action::ShowNames),
                (ghosts, "Ghosts", Action::ShowGhosts),
                (&mut self.canvas.magnifier, "Magnifier", Action::Magnifier),
            ] {
                ui.checkbox(on, words).on_hover_text(keys.tip(ui.ctx(), action));
            }
        });
        let mut tone = pictures.tone();
        egui::Grid::new("looks").num_columns(2).show(ui, |ui| {
            for (words, value) in [("Brightness", &mut tone.brightness), ("Contrast", &mut tone.contrast)] {
                let label = ui.label(words);
                ui.add(egui::Slider::new(value, -1.0..=1.0).fixed_decimals(2)).labelled_by(label.id);
                ui.end_row();
            }
            let label = ui.label("Point size");
            ui.add(egui::Slider::new(radius, 1.0..=16.0).suffix(" pt").fixed_decimals(0))
                .labelled_by(label.id);
            ui.end_row();
        });
        if tone != Tone::default() && ui.button("Picture as it is").clicked() {
            tone = Tone::default();
        }
        pictures.set_tone(tone);
    }
}

/// Where the session stands, when that is not plain editing.
fn standing(ui: &Ui, desk: &Desk<'_>) -> Option<(String, Color32)> {
    let theme = Theme::of(ui);
    match desk.open.labels.state() {
        State::Editing => None,
        State::Opening => Some(("Reading the labels…".into(), theme.weak)),
        State::ReadOnly { why } => Some((format!("Only to look at: {why}"), theme.warn)),
        State::Failed(e) => Some((e.to_string(), theme.bad)),
    }
}

/// What is not safe yet, or why; the window's status bar says the rest.
fn unsaved(desk: &Desk<'_>) -> Option<String> {
    let safety = desk.open.labels.safety();
    let points = |n: usize| counted(n, "point");
    match (safety.trouble, safety.in_memory) {
        (Some(trouble), 0) => Some(trouble),
        (Some(trouble), n) => Some(format!("{} only in memory: {trouble}", points(n))),
        (None, 0) => None,
        (None, n) => Some(format!("{} not safe on disk yet", points(n))),
    }
}

/// A line of a list that can be chosen, with its name for screen readers. What is in it is painted by the caller.
fn line(ui: &mut Ui, tall: f32, chosen: bool, name: &str) -> (Response, Rect) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), tall), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, ui.is_enabled(), chosen, name));
    if ui.is_rect_visible(rect) {
        let theme = Theme::of(ui);
        if chosen {
            ui.painter().rect_filled(rect, 4, theme.accent);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, 4, ui.visuals().widgets.hovered.bg_fill);
        }
        if response.has_focus() {
            ui.painter().rect_stroke(rect, 4, Stroke::new(1.5, theme.text), StrokeKind::Inside);
        }
    }
    (response, rect)
}

/// A triangle that points down to what is unfolded.
fn fold_sign(painter: &egui::Painter, at: egui::Pos2, folded: bool, colour: Color32) {
    let corners = [vec2(-4.0, -2.5), vec2(4.0, -2.5), vec2(0.0, 3.5)];
    let turned = corners.map(|c| at + if folded { vec2(c.y, -c.x) } else { c });
    painter.add(egui::Shape::convex_polygon(turned.to_vec(), colour, Stroke::NONE));
}

/// What is done of a frame: a full, a half or an empty disc.
fn sign(painter: &egui::Painter, at: egui::Pos2, progress: Progress, full: Color32, weak: Color32) {
    match progress {
        Progress::Done => {
            painter.circle_filled(at, 5.0, full);
        }
        Progress::Begun => {
            painter.circle_stroke(at, 5.0, Stroke::new(1.5, full));
            painter.circle_filled(at, 2.5, full);
        }
        Progress::ToDo => {
            painter.circle_stroke(at, 5.0, Stroke::new(1.5, weak));
        }
    }
}

fn dot(ui: &mut Ui, colour: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(12.0), Sense::hover());
    ui.painter().circle_filled(rect.center(), 5.0, colour);
}
