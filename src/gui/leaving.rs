//! Closing the window while something would be lost by it.

use super::theme::modal;
use crate::jobs::Jobs;
use eframe::egui::{Context, ViewportCommand};

/// Asks before the window closes while work runs or edits are in memory only.
#[derive(Default)]
pub(super) struct Leaving {
    asking: bool,
    going: bool,
}

impl Leaving {
    /// Looks whether the window is to close, and asks if need be. `unsafe_edits` are in memory only, because the disk
    /// takes no more.
    pub fn ui(&mut self, ctx: &Context, jobs: &Jobs, unsafe_edits: usize) {
        let running = jobs.running();
        if ctx.input(|i| i.viewport().close_requested())
            && !self.going
            && (!running.is_empty() || unsafe_edits > 0)
        {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            self.asking = true;
        }
        if self.going && running.is_empty() {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        if !self.asking {
            return;
        }
        let mut answer = None;
        let asked = modal(ctx, "leaving", |ui| {
            ui.set_width(420.0);
            ui.heading("Close limn?");
            for job in &running {
                ui.label(format!(
                    "{} still runs. What it has finished is kept, and it can go on later.",
                    job.title
                ));
            }
            if unsafe_edits > 0 {
                ui.label(format!(
                    "{unsafe_edits} label edits are in memory only, because the disk takes no more; they would be lost. \
                     Make room on the disk first: limn tries again every two seconds."
                ));
            }
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                let leave = match (running.len(), unsafe_edits) {
                    (0, _) => "Close and lose them",
                    (1, _) => "Stop it and close",
                    _ => "Stop them and close",
                };
                if ui.button(leave).clicked() {
                    answer = Some(true);
                }
                if ui.button("Stay").clicked() {
                    answer = Some(false);
                }
            });
        });
        if asked.should_close() {
            answer = Some(false);
        }
        match answer {
            Some(true) => {
                jobs.stop_all();
                (self.asking, self.going) = (false, true);
                ctx.request_repaint();
            }
            Some(false) => self.asking = false,
            None => {}
        }
    }
}
