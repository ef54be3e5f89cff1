//! The pictures of every camera at the same moment, with what is known of it drawn on them.

use super::correct::Hand;
use crate::gui::theme::Theme;
use crate::gui::widgets::canvas::{CanvasResponse, Content, Line, Mark, Shape};
use crate::gui::widgets::player::{Player, Timeline};
use crate::jobs::Wake;
use crate::pose::Keypoint;
use crate::show::scene3d::Scene;
use eframe::egui::{self, Color32};
use nalgebra::Vector3;

/// Memory for decoded frames of one camera.
const MEMORY: usize = 128 << 20;

/// What is drawn on the pictures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    /// 2D tracks of at least this likelihood; none above 1.
    pub tracks: bool,
    pub cutoff: f64,
    /// Points in space as each camera would see them.
    pub reprojected: bool,
    pub names: bool,
}

/// One player for each camera, all led by the rig's frame.
#[derive(Default)]
pub(super) struct Films {
    players: Vec<Player>,
    /// How many frames of the rig there are, as the players know it.
    frames: usize,
}

impl Films {
    /// Opens the videos of a scene when they are not open, leads them to `frame`, and takes what their threads brought.
    pub fn lead(&mut self, scene: &Scene, frame: usize, wake: &Wake, ctx: &egui::Context) {
        if self.players.len() != scene.cameras.len() {
            self.players = scene.cameras.iter().map(|_| Player::with_memory(MEMORY)).collect();
            self.frames = 0;
        }
        let frames = self.frames(scene);
        for (camera, player) in self.players.iter_mut().enumerate() {
            if let Some(video) = scene.session.videos.get(camera).and_then(Option::as_ref) {
                player.open(video, wake, ctx);
            }
            let end = scene.camera_frame(camera, frames).unwrap_or(0);
            if frames != self.frames || !player.has_timeline() {
                player.set_timeline(Timeline::new(end, None));
            }
            if let Some(to) = scene.camera_frame(camera, frame)
                && player.frame() != to
            {
                player.go_to(to);
            }
            player.tick(ctx);
        }
        self.frames = frames;
    }

    /// How many frames of the rig there are in tracks and videos.
    pub fn frames(&self, scene: &Scene) -> usize {
        let of = |(camera, player): (usize, &Player)| scene.rig_frame(camera, player.index()?.len());
        self.players.iter().enumerate().filter_map(of).max().unwrap_or(0).max(scene.frames())
    }

    /// Times of the rig's frames in seconds, where a video says them from the first to the last.
    pub fn times(&self, scene: &Scene) -> Option<std::sync::Arc<[f64]>> {
        let frames = self.frames(scene);
        self.players.iter().enumerate().find_map(|(camera, player)| {
            let index = player.index()?;
            let first = index.time(scene.camera_frame(camera, 0)?)?;
            (0..frames).map(|f| Some(index.time(scene.camera_frame(camera, f)?)? - first)).collect()
        })
    }

    /// Whether a camera shows this frame of the rig itself, so that clicks may be taken: the picture of another frame, or a
    /// lossy preview, is not it.
    pub fn shows(&self, scene: &Scene, camera: usize, frame: usize) -> bool {
        let Some(player) = self.players.get(camera) else { return false };
        scene.camera_frame(camera, frame) == Some(player.drawn())
            && (player.path().is_none() || player.is_exact())
    }

    /// Whether every picture is there: for tests and pictures of the window.
    pub fn is_settled(&self) -> bool {
        !self.players.is_empty() && self.players.iter().all(Player::is_settled)
    }

    /// Where a place on a camera's picture lies on the screen, as of the last pass.
    pub fn on_screen(&self, camera: usize, at: Keypoint) -> Option<egui::Pos2> {
        self.players.get(camera)?.canvas.on_screen(at)
    }

    /// Shows one camera's picture in all the room that is left.
    pub fn ui(
        &mut self,
        ui: &mut egui::Ui,
        scene: &Scene,
        camera: usize,
        frame: usize,
        shown: (&Marks, &Hand, &[Color32], &[String]),
    ) -> Option<CanvasResponse> {
        let (what, hand, colours, titles) = shown;
        let player = self.players.get_mut(camera)?;
        let own = scene.cameras.get(camera)?;
        let theme = Theme::of(ui);
        if scene.camera_frame(camera, frame).is_none() {
            let name = format!("Camera {}, no frame yet", own.name);
            let words = Some("This recording begins later.");
            return Some(player.canvas.show(ui, Content { size: own.size, words, ..Content::new(&name) }));
        }
        // What is drawn belongs to the picture on the screen, which may be a moment behind.
        let drawn = scene.rig_frame(camera, player.drawn()).unwrap_or(frame);
        let mut marks: Vec<Mark<'_>> = Vec::new();
        let mut lines = Vec::new();
        for (point, title) in titles.iter().enumerate() {
            let colour = colours.get(point).copied().unwrap_or(theme.text);
            let seen = scene.seen(camera, drawn, point).filter(|(_, l)| what.tracks && *l >= what.cutoff);
            if let Some((at, _)) = seen {
                marks.push(Mark { radius: 3.5, ..Mark::new(at, colour).named(title) });
            }
            let chosen = hand.on && hand.part == point;
            if let Some(at) = scene.spot(drawn, point).filter(|_| what.reprojected || chosen)
                && let Some(at) = own.project(&Vector3::from(at.at))
            {
                let cross =
                    Mark { shape: Shape::Cross, radius: 5.0, selected: chosen, ..Mark::new(at, colour) };
                marks.push(cross.named(title));
            }
        }
        if hand.on && drawn == frame {
            let colour = colours.get(hand.part).copied().unwrap_or(theme.warn);
            if let Some(at) = hand.click(camera) {
                let square = Mark { shape: Shape::Square, radius: 4.5, ..Mark::new(at, colour) };
                marks.push(square.named("clicked"));
            }
            for pair in hand.curve(camera).windows(2) {
                lines.push(Line { ends: [pair[0], pair[1]], colour: theme.warn, width: 1.5 });
            }
        }
        let mut name = format!("Camera {}, frame {}", own.name, player.drawn());
        if !lines.is_empty() {
            name += ", with a line of sight";
        }
        let size = player.index().map(|i| [i.width(), i.height()]);
        let note = match size {
            None if player.path().is_none() => Some("No video of this camera was found.".to_owned()),
            Some([w, h]) if [w, h] != own.size => Some(format!(
                "The video is {w} x {h}, and was calibrated at {} x {}: points do not fit",
                own.size[0], own.size[1]
            )),
            _ => None,
        };
        let content = Content {
            size: own.size,
            lines: &lines,
            marks: &marks,
            names: what.names,
            fixed: true,
            note: note.as_deref(),
            ..Content::new(&name)
        };
        Some(player.picture(ui, content))
    }
}
