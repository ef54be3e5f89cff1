//! A model measured on every frame of its split, by body part.

use crate::error::Result;
use crate::gui::Desk;
use crate::jobs::Handle;
use crate::net::Precision;
use crate::project::Project;
use crate::show;
use crate::train::session::{self, EvaluateOptions};
use crate::train::{ModelFacts, Report, Summary};
use crate::watch::Watch;
use eframe::egui::{self, Button, Grid, Label, RichText, ScrollArea};
use std::path::{Path, PathBuf};

/// What came of an evaluation.
struct Evaluation {
    shuffle: u32,
    scorer: String,
    device: String,
    verdict: String,
    report: Report,
    folder: PathBuf,
}

/// The evaluation that runs, and what came of the last.
#[derive(Default)]
pub(super) struct Evaluating {
    job: Option<Handle<Evaluation>>,
    last: Option<Evaluation>,
}

impl Evaluating {
    /// Takes what the job has brought.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        if let Some(result) = self.job.as_mut().and_then(Handle::poll) {
            self.job = None;
            if let Ok(evaluation) = result {
                desk.notices.note(format!("Evaluated shuffle {}.", evaluation.shuffle));
                self.last = Some(evaluation);
            }
        }
    }

    /// Forgets what came of the last: its model is not that any more.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Shows it for a shuffle and its model, if there is one; none begins while one is `training`.
    pub fn ui(
        &mut self,
        ui: &mut egui::Ui,
        desk: &mut Desk<'_>,
        shuffle: u32,
        model: Option<&ModelFacts>,
        training: bool,
    ) {
        let model = model.filter(|m| m.model.is_some());
        ui.horizontal(|ui| {
            let good = self.job.is_none() && model.is_some() && !training;
            let tip = "Measures every frame of the split, by body part, and draws label against prediction";
            if ui.add_enabled(good, Button::new("Evaluate")).on_hover_text(tip).clicked()
                && let Some(model) = model
            {
                let root = desk.open.project().root().to_path_buf();
                let (shuffle, device) = (model.shuffle, desk.prefs.device.clone());
                let title = format!("Evaluating shuffle {shuffle}");
                self.job = Some(desk.jobs.start(title, move |watch| evaluate(&root, shuffle, device, watch)));
            }
            if let Some(job) = &self.job {
                let p = job.progress();
                ui.spinner();
                ui.label(
                    p.total.map_or_else(|| "evaluating…".to_owned(), |t| format!("{} of {t} frames", p.done)),
                );
            } else if model.is_none() {
                ui.weak("Train a network first.");
            }
        });
        if let Some(e) = self.last.as_ref().filter(|e| e.shuffle == shuffle) {
            ui.add(Label::new(RichText::new(&e.verdict).size(15.0)).wrap());
            ui.weak(format!("{} on {}", e.scorer, e.device));
            table(ui, &e.report);
            ui.horizontal_wrapped(|ui| {
                let page = e.folder.join("report.html");
                let open = ui.button("Open the report").on_hover_text("A page to read, print and pass on");
                if open.clicked()
                    && let Err(problem) = open::that_detached(&page)
                {
                    let words = format!("{} could not be opened: {problem}", page.display());
                    desk.notices.warn("The report", words);
                }
                ui.weak(format!("Tables and pictures are in {}", e.folder.display()));
            });
        }
    }
}

/// The table of an evaluation, by body part.
fn table(ui: &mut egui::Ui, report: &Report) {
    let px = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let row = |ui: &mut egui::Ui, name: &str, s: &Summary, strong: bool| {
        let text = |words: String| if strong { RichText::new(words).strong() } else { RichText::new(words) };
        ui.label(text(name.to_owned()));
        for cell in [
            s.n_points.to_string(),
            px(s.mean_error_px),
            px(s.median_error_px),
            px(s.p95_error_px),
            px(s.mean_error_px_pcutoff),
        ] {
            ui.label(text(cell));
        }
        ui.end_row();
    };
    ScrollArea::horizontal().id_salt("evaluation").show(ui, |ui| {
        Grid::new("errors by body part").num_columns(6).striped(true).spacing([18.0, 4.0]).show(ui, |ui| {
            for head in [
                "Body part",
                "Points",
                "Mean (px)",
                "Half within (px)",
                "95 % within (px)",
                "Mean of sure points (px)",
            ] {
                ui.weak(head);
            }
            ui.end_row();
            row(ui, "All, test frames", &report.test, true);
            row(ui, "All, training frames", &report.train, true);
            for (name, summary) in &report.per_bodypart {
                row(ui, name, summary, false);
            }
        });
    });
}

fn evaluate(root: &Path, shuffle: u32, device: String, watch: &dyn Watch) -> Result<Evaluation> {
    let project = Project::open(root, watch)?;
    let options = EvaluateOptions {
        shuffle,
        snapshot: "auto".into(),
        device,
        precision: Precision::Fp32,
        cutoff: None,
    };
    let done = session::evaluate(&project, &options, watch)?;
    show::evaluation_pictures(&project, &done, watch)?;
    Ok(Evaluation {
        shuffle,
        scorer: done.scorer,
        device: done.device,
        verdict: done.verdict,
        report: done.report,
        folder: done.folder,
    })
}
