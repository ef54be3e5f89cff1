//! Closing the window while something would be lost by it.

use super::theme::modal;
use crate::jobs::Jobs;
use eframe::egui::{Context, ViewportCommand};

/// Asks before the window closes while work runs or edits are in memory only.
#[derive(Default)]
pub(super) struct Leaving {
    asking: bool,
    going: bool,
    /// The user knows that edits are lost.
    lose: bool,
}

impl Leaving {
    /// Looks whether the window is to close, and asks if need be. `unsafe_edits` are in memory only; with `trouble`
    /// because the disk takes no more.
    pub fn ui(&mut self, ctx: &Context, jobs: &Jobs, unsafe_edits: usize, trouble: bool) {
        let running = jobs.running();
        if ctx.input(|i| i.viewport().close_requested())
            && !self.going
            && (!running.is_empty() || unsafe_edits > 0)
        {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            // Edits on their way to the disk only want a moment.
            self.going = running.is_empty() && !trouble;
            self.asking = !self.going;
        }
        if self.going && trouble && !self.lose {
            (self.going, self.asking) = (false, true);
        }
        if self.going && running.is_empty() && (unsafe_edits == 0 || self.lose) {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        if !self.asking {
            return;
        }
        let lost = if trouble { unsafe_edits } else { 0 };
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
            if lost > 0 {
                ui.label(format!(
                    "{} in memory only, because the disk takes no more; closing loses them. Make room on the disk first: \
                     limn tries again every two seconds.",
                    if lost == 1 { "1 label edit is".to_owned() } else { format!("{lost} label edits are") }
                ));
            }
            if running.is_empty() && lost == 0 {
                ui.label("Everything is done and saved.");
            }
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                let leave = match (running.is_empty(), lost) {
                    (true, 0) => "Close",
                    (false, 0) => "Stop and close",
                    (true, _) => "Close and lose the edits",
                    (false, _) => "Stop, close and lose the edits",
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
                (self.asking, self.going, self.lose) = (false, true, lost > 0);
                ctx.request_repaint();
            }
            Some(false) => self.asking = false,
            None => {}
        }
    }
}
