//! The status bar and the jobs panel: which device computes, what runs, and when the labels were last saved.

use super::desk::OpenProject;
use super::theme::Theme;
use super::widgets::words;
use crate::jobs::{Jobs, Progress, State};
use crate::labeling;
use eframe::egui::{self, RichText};

/// What the user asked for in the status bar.
pub(super) enum Wish {
    Jobs,
    Messages,
}

pub(super) fn bar(
    ui: &mut egui::Ui,
    open: Option<&OpenProject>,
    moving: bool,
    jobs: &Jobs,
    device: Option<&str>,
    grave: usize,
) -> Option<Wish> {
    let mut wish = None;
    let theme = Theme::of(ui);
    ui.horizontal_centered(|ui| {
        ui.label(
            RichText::new(device.map_or("looking for a device…".to_owned(), |d| format!("Computes on {d}")))
                .size(12.5),
        )
        .on_hover_text("The device that training and analysis use");
        ui.separator();
        let running = jobs.running();
        let words = match running.as_slice() {
            [] => "Nothing runs".to_owned(),
            [one] => brief(one),
            [newest, ..] => format!("{} and {} more", brief(newest), running.len() - 1),
        };
        let button = ui.add(egui::Button::new(RichText::new(words).size(12.5)).frame_when_inactive(false));
        if button.on_hover_text("Show or hide the jobs").clicked() {
            wish = Some(Wish::Jobs);
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let words = match grave {
                0 => RichText::new("Messages").size(12.5),
                n => RichText::new(format!("Messages ({n})")).size(12.5).color(theme.warn),
            };
            let button = ui.add(egui::Button::new(words).frame_when_inactive(false));
            if button.on_hover_text("Show or hide all messages").clicked() {
                wish = Some(Wish::Messages);
            }
            if let Some(open) = open {
                ui.separator();
                let (words, colour, more) = saved(open, moving, &theme);
                ui.label(RichText::new(words).size(12.5).color(colour)).on_hover_text(more);
            }
        });
    });
    wish
}

/// How safe the labels are, in words; never better than the truth. `moving`: a point is being moved on the screen.
fn saved(open: &OpenProject, moving: bool, theme: &Theme) -> (String, egui::Color32, String) {
    match open.labels.state() {
        labeling::State::Opening => return ("Reading the labels…".into(), theme.weak, String::new()),
        labeling::State::ReadOnly { why } => {
            return ("Labels: to look at only".into(), theme.warn, why.clone());
        }
        labeling::State::Failed(error) => {
            return ("Labels could not be read".into(), theme.bad, error.to_string());
        }
        labeling::State::Editing => {}
    }
    let safety = open.labels.safety();
    let edits = |n: usize| words::counted(n, "edit");
    match &safety.trouble {
        Some(trouble) if safety.in_memory > 0 => {
            return (format!("{} in memory only", edits(safety.in_memory)), theme.bad, trouble.clone());
        }
        Some(trouble) => {
            let words = format!("{} in the journal only", edits(safety.in_journal));
            return (words, theme.warn, trouble.clone());
        }
        None if moving || safety.in_memory > 0 => {
            let words = format!("Saving {}…", edits(safety.in_memory + usize::from(moving)));
            return (words, theme.warn, String::new());
        }
        None => {}
    }
    let points = safety.labeled_points;
    let when = safety.last_saved.map(words::time_of_day);
    match (safety.in_journal, when) {
        (0, Some(when)) => (
            format!("Labels saved {when}, {points} points"),
            theme.good,
            "CSV and HDF5 hold every label".into(),
        ),
        (0, None) => (format!("Labels saved, {points} points"), theme.good, "no edits yet".into()),
        (n, _) => (
            format!("Edits safe in the journal, {points} points"),
            theme.good,
            format!("{n} edits are on disk in the journal; CSV and HDF5 follow within seconds"),
        ),
    }
}

fn brief(job: &Progress) -> String {
    match job.fraction() {
        Some(part) => format!("{}: {:.0} %", job.title, part * 100.0),
        None => job.title.clone(),
    }
}

/// The jobs panel.
pub(super) fn jobs(ui: &mut egui::Ui, jobs: &mut Jobs) {
    let theme = Theme::of(ui);
    let list = jobs.list();
    ui.horizontal(|ui| {
        ui.strong("Jobs");
        if list.iter().any(|p| p.state != State::Running) && ui.small_button("Clear ended jobs").clicked() {
            jobs.clear_ended();
        }
    });
    egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        for job in list.iter().rev() {
            ui.push_id(job.id, |ui| row(ui, job, jobs, &theme));
        }
    });
}

fn row(ui: &mut egui::Ui, job: &Progress, jobs: &Jobs, theme: &Theme) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(&job.title).strong());
        match &job.state {
            State::Running => {
                let bar = egui::ProgressBar::new(job.fraction().unwrap_or(0.0)).desired_width(180.0);
                let text = match job.total {
                    Some(total) => format!("{} of {total}", job.done),
                    None if job.done > 0 => job.done.to_string(),
                    None => String::new(),
                };
                ui.add(bar.text(RichText::new(text).size(11.5)).animate(job.fraction().is_none()));
                ui.label(&job.stage);
                if job.per_second > 0.0 {
                    ui.weak(format!("{:.1} per second", job.per_second));
                }
                if let Some(left) = words::left(job.seconds_left) {
                    ui.weak(left);
                }
                ui.weak(&job.status);
                let words = if job.stopping { "Stopping…" } else { "Stop" };
                let name = format!("Stop {}", job.title);
                let stop = ui.add_enabled(!job.stopping, egui::Button::new(words).small());
                let stop = stop.accessible_name(&name);
                if stop.on_hover_text("What is finished is kept").clicked() {
                    jobs.stop(job.id);
                }
            }
            State::Done => {
                ui.label(
                    RichText::new(format!("done in {}", words::lasting(job.elapsed.as_secs_f64())))
                        .color(theme.good),
                );
            }
            State::Stopped => {
                ui.label(RichText::new("stopped; what was finished is kept").color(theme.warn));
            }
            State::Failed(text) => {
                let first = text.lines().next().unwrap_or_default();
                ui.label(RichText::new(format!("failed: {first}")).color(theme.bad)).on_hover_text(text);
            }
        }
    });
}
