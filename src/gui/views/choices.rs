//! Choices that training and analysis have in common.

use crate::net::{Precision, device};
use crate::train::ModelFacts;
use eframe::egui;

/// The devices of this machine: what `--device` calls them, and what they are in words.
pub(super) fn devices() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for wish in ["auto", "cpu"] {
        if let Ok((_, words)) = device::choose(wish) {
            let words = if wish == "auto" { format!("The best there is: {words}") } else { words };
            all.push((wish.to_owned(), words));
        }
    }
    all.extend(device::facts().gpus.into_iter().enumerate().map(|(i, words)| (format!("cuda:{i}"), words)));
    all
}

/// A line with a list of number formats; `None` for the device's best.
pub(super) fn precision_choice(ui: &mut egui::Ui, precision: &mut Option<Precision>) {
    let label = ui.label("Number format");
    let words = |p: Option<Precision>| match p {
        None => "The fastest good one of the device".to_owned(),
        Some(Precision::Fp32) => "fp32 (the reference)".to_owned(),
        Some(Precision::Bf16) => "bf16".to_owned(),
        Some(Precision::Fp16) => "fp16 (GPU only)".to_owned(),
    };
    let combo = egui::ComboBox::from_id_salt("precision").width(240.0).selected_text(words(*precision));
    let combo = combo.show_ui(ui, |ui| {
        for p in [None, Some(Precision::Fp32), Some(Precision::Bf16), Some(Precision::Fp16)] {
            ui.selectable_value(precision, p, words(p));
        }
    });
    combo.response.labelled_by(label.id);
}

/// A line with a list of the machine's devices.
pub(super) fn device_choice(ui: &mut egui::Ui, devices: &[(String, String)], chosen: &mut String) {
    let label = ui.label("Device");
    let words = |wish: &str| {
        devices
            .iter()
            .find(|(w, _)| w == wish)
            .map_or_else(|| format!("{wish} (not on this machine)"), |(_, words)| words.clone())
    };
    let combo = egui::ComboBox::from_id_salt("device").width(290.0).truncate().selected_text(words(chosen));
    let combo = combo.show_ui(ui, |ui| {
        for (wish, words) in devices {
            ui.selectable_value(chosen, wish.clone(), words);
        }
    });
    combo.response.labelled_by(label.id);
}

/// A shuffle in a list.
pub(super) fn shuffle_title(m: &ModelFacts) -> String {
    let (train, test) = m.frames;
    let how = if m.by_video { ", whole videos" } else { "" };
    let model = match (&m.net, m.test_px) {
        (Some(net), Some(px)) => format!(": {net}, {px:.1} px"),
        (Some(net), None) => format!(": {net}"),
        (None, _) => String::new(),
    };
    format!("Shuffle {}, {train} + {test} frames{how}{model}", m.shuffle)
}
