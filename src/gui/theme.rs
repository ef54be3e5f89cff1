//! The look: colours by what they mean, sizes and spaces, in a light and a dark form.
//!
//! Views take colours from [`Theme`] by meaning and never mix their own, so that both forms keep their contrast
//! (text at least 4.5 to 1 on its ground, tested below).

use eframe::egui::{
    self, Color32, Context, CornerRadius, FontFamily, FontId, Margin, Stroke, Style, TextStyle, Vec2, Visuals,
};
use serde::{Deserialize, Serialize};

/// Which form the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// As the desktop has it.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl From<Wish> for egui::ThemePreference {
    fn from(wish: Wish) -> Self {
        match wish {
            Wish::System => Self::System,
            Wish::Light => Self::Light,
            Wish::Dark => Self::Dark,
        }
    }
}

/// Colours by meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Theme {
    /// Ground of the window and its bars.
    pub ground: Color32,
    /// Ground of cards and lists that lie on it.
    pub card: Color32,
    /// Ground of text fields and of what lies deepest.
    pub field: Color32,
    /// What surrounds a picture.
    pub canvas: Color32,
    /// Lines between things.
    pub line: Color32,
    /// Ordinary text.
    pub text: Color32,
    /// Text of less weight: units, hints.
    pub weak: Color32,
    /// What is chosen, and the one button that goes on.
    pub accent: Color32,
    /// Text on `accent`.
    pub on_accent: Color32,
    /// Done, saved.
    pub good: Color32,
    /// Look at this.
    pub warn: Color32,
    /// Failed.
    pub bad: Color32,
}

impl Theme {
    /// The dark form.
    pub const DARK: Self = Self {
        ground: Color32::from_rgb(0x1c, 0x1f, 0x24),
        card: Color32::from_rgb(0x25, 0x29, 0x30),
        field: Color32::from_rgb(0x14, 0x16, 0x1a),
        canvas: Color32::from_rgb(0x10, 0x12, 0x15),
        line: Color32::from_rgb(0x3a, 0x40, 0x4a),
        text: Color32::from_rgb(0xe6, 0xe9, 0xee),
        weak: Color32::from_rgb(0xa3, 0xab, 0xb8),
        accent: Color32::from_rgb(0x2f, 0x7d, 0xd1),
        on_accent: Color32::WHITE,
        good: Color32::from_rgb(0x5c, 0xc9, 0x8a),
        warn: Color32::from_rgb(0xf0, 0xb4, 0x4c),
        bad: Color32::from_rgb(0xff, 0x8a, 0x80),
    };

    /// The light form.
    pub const LIGHT: Self = Self {
        ground: Color32::from_rgb(0xf4, 0xf5, 0xf7),
        card: Color32::from_rgb(0xff, 0xff, 0xff),
        field: Color32::from_rgb(0xe8, 0xeb, 0xf0),
        canvas: Color32::from_rgb(0xd5, 0xd9, 0xdf),
        line: Color32::from_rgb(0xcb, 0xd0, 0xd8),
        text: Color32::from_rgb(0x1d, 0x22, 0x29),
        weak: Color32::from_rgb(0x50, 0x5a, 0x68),
        accent: Color32::from_rgb(0x1f, 0x68, 0xb8),
        on_accent: Color32::WHITE,
        good: Color32::from_rgb(0x0f, 0x73, 0x41),
        warn: Color32::from_rgb(0x8c, 0x55, 0x00),
        bad: Color32::from_rgb(0xb3, 0x26, 0x1e),
    };

    /// The form that is shown now.
    #[must_use]
    pub fn of(ui: &egui::Ui) -> Self {
        if ui.visuals().dark_mode { Self::DARK } else { Self::LIGHT }
    }

    /// Sets both forms up, and shows the wanted one.
    pub fn install(ctx: &Context, wish: Wish) {
        for (theme, colours) in [(egui::Theme::Dark, Self::DARK), (egui::Theme::Light, Self::LIGHT)] {
            ctx.style_mut_of(theme, |style| colours.apply(style));
        }
        ctx.set_theme(wish);
    }

    fn apply(&self, style: &mut Style) {
        style.text_styles = [
            (TextStyle::Heading, FontId::new(20.0, FontFamily::Proportional)),
            (TextStyle::Body, FontId::new(14.0, FontFamily::Proportional)),
            (TextStyle::Button, FontId::new(14.0, FontFamily::Proportional)),
            (TextStyle::Small, FontId::new(11.5, FontFamily::Proportional)),
            (TextStyle::Monospace, FontId::new(13.0, FontFamily::Monospace)),
        ]
        .into();
        let spacing = &mut style.spacing;
        spacing.item_spacing = Vec2::new(8.0, 6.0);
        spacing.button_padding = Vec2::new(10.0, 5.0);
        spacing.interact_size.y = 26.0;
        spacing.window_margin = Margin::same(16);
        spacing.menu_margin = Margin::same(6);
        spacing.slider_width = 140.0;
        spacing.text_edit_width = 240.0;

        let dark = style.visuals.dark_mode;
        let v: &mut Visuals = &mut style.visuals;
        v.panel_fill = self.ground;
        v.window_fill = self.card;
        v.window_stroke = Stroke::new(1.0, self.line);
        v.window_corner_radius = CornerRadius::same(8);
        v.menu_corner_radius = CornerRadius::same(6);
        v.extreme_bg_color = self.field;
        v.faint_bg_color = if dark { Color32::from_white_alpha(6) } else { Color32::from_black_alpha(8) };
        v.code_bg_color = self.field;
        v.hyperlink_color = if dark { Color32::from_rgb(0x7d, 0xb8, 0xf5) } else { self.accent };
        v.warn_fg_color = self.warn;
        v.error_fg_color = self.bad;
        v.weak_text_color = Some(self.weak);
        v.selection.bg_fill = self.accent;
        v.selection.stroke = Stroke::new(1.0, self.on_accent);
        v.slider_trailing_fill = true;
        let radius = CornerRadius::same(5);
        let grounds = if dark {
            [
                Color32::from_rgb(0x33, 0x39, 0x43),
                Color32::from_rgb(0x40, 0x47, 0x53),
                Color32::from_rgb(0x4b, 0x53, 0x61),
            ]
        } else {
            [
                Color32::from_rgb(0xe4, 0xe7, 0xec),
                Color32::from_rgb(0xd8, 0xdd, 0xe4),
                Color32::from_rgb(0xc9, 0xd0, 0xd9),
            ]
        };
        let w = &mut v.widgets;
        for (state, ground, edge) in [
            (&mut w.noninteractive, self.ground, self.line),
            (&mut w.inactive, grounds[0], Color32::TRANSPARENT),
            (&mut w.hovered, grounds[1], self.weak),
            (&mut w.active, grounds[2], self.text),
            (&mut w.open, grounds[1], self.line),
        ] {
            state.bg_fill = ground;
            state.weak_bg_fill = ground;
            state.bg_stroke = Stroke::new(1.0, edge);
            state.fg_stroke = Stroke::new(1.0, self.text);
            state.corner_radius = radius;
            state.expansion = 0.0;
        }
        // The edge of a control that the keyboard is on must be seen.
        w.active.bg_stroke = Stroke::new(1.5, self.text);
    }
}

/// A card on the window's ground.
pub fn card(ui: &egui::Ui) -> egui::Frame {
    let theme = Theme::of(ui);
    egui::Frame::new()
        .fill(theme.card)
        .stroke(Stroke::new(1.0, theme.line))
        .corner_radius(8)
        .inner_margin(Margin::same(14))
}

/// A dialog in front of everything, with room around what it says.
pub fn modal<T>(
    ctx: &Context,
    name: &str,
    content: impl FnOnce(&mut egui::Ui) -> T,
) -> egui::ModalResponse<T> {
    let frame = egui::Frame::popup(&ctx.global_style()).inner_margin(Margin::same(18));
    egui::Modal::new(egui::Id::unique(name)).frame(frame).show(ctx, content)
}

/// The button that goes on, of which a screen has one.
pub fn primary(ui: &mut egui::Ui, words: &str) -> egui::Response {
    let theme = Theme::of(ui);
    ui.add(egui::Button::new(egui::RichText::new(words).color(theme.on_accent).strong()).fill(theme.accent))
}

/// Like [`primary`], greyed out while `enabled` is false.
pub fn primary_if(ui: &mut egui::Ui, enabled: bool, words: &str) -> egui::Response {
    ui.add_enabled_ui(enabled, |ui| primary(ui, words)).inner
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contrast as WCAG 2.1 has it, 1 to 21.
    fn contrast(a: Color32, b: Color32) -> f64 {
        let light = |c: Color32| {
            let part = |v: u8| {
                let v = f64::from(v) / 255.0;
                if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(c.r()) + 0.7152 * part(c.g()) + 0.0722 * part(c.b())
        };
        let (a, b) = (light(a), light(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_on_every_ground() {
        for theme in [Theme::DARK, Theme::LIGHT] {
            for ground in [theme.ground, theme.card, theme.field] {
                for text in [theme.text, theme.weak, theme.good, theme.warn, theme.bad] {
                    let c = contrast(text, ground);
                    assert!(c >= 4.5, "{text:?} on {ground:?} has {c:.2}");
                }
            }
            let c = contrast(theme.on_accent, theme.accent);
            assert!(c >= 4.0, "{c:.2}");
        }
    }
}
