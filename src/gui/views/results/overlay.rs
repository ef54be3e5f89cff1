//! What is drawn over the picture: trails, skeleton and points of one frame, as lines and marks of the canvas.

use crate::draw::Style;
use crate::gui::widgets::canvas::{Line, Mark};
use crate::pose::{Keypoint, Tracks};
use eframe::egui::Color32;

/// How tracks are drawn.
#[derive(Debug, Clone)]
pub(super) struct Overlay {
    /// Colours, as in labeled videos.
    pub style: Style,
    /// The least likelihood of what is drawn.
    pub cutoff: f64,
    /// How many frames back trails go.
    pub trail: usize,
    /// Whether the skeleton is drawn.
    pub edges: bool,
}

impl Overlay {
    /// A point's colour.
    pub fn colour(&self, tracks: &Tracks, point: usize) -> Color32 {
        let [r, g, b] = self.style.colour(&tracks.skeleton, point);
        Color32::from_rgb(r, g, b)
    }

    fn at(&self, tracks: &Tracks, frame: usize, point: usize) -> Option<Keypoint> {
        tracks.get(frame, point).filter(|(_, l)| *l >= self.cutoff).map(|(at, _)| at)
    }

    /// The points of a frame, named by `names`, which has one for each.
    pub fn marks<'a>(&self, tracks: &Tracks, frame: usize, names: &'a [String]) -> Vec<Mark<'a>> {
        let mark = |(point, name): (usize, &'a String)| {
            let at = self.at(tracks, frame, point)?;
            Some(Mark { radius: 4.5, ..Mark::new(at, self.colour(tracks, point)).named(name) })
        };
        names.iter().enumerate().filter_map(mark).collect()
    }

    /// Trails and skeleton of a frame.
    #[allow(clippy::cast_precision_loss)] // frames of a trail
    pub fn lines(&self, tracks: &Tracks, frame: usize) -> Vec<Line> {
        let skeleton = &tracks.skeleton;
        let mut lines = Vec::new();
        let first = frame.saturating_sub(self.trail);
        for point in 0..skeleton.points() {
            let colour = self.colour(tracks, point);
            for f in first..frame {
                if let (Some(a), Some(b)) = (self.at(tracks, f, point), self.at(tracks, f + 1, point)) {
                    let age = (f + 1 - first) as f32 / (frame - first) as f32;
                    let colour = colour.gamma_multiply(0.15 + 0.75 * age);
                    lines.push(Line { ends: [a, b], colour, width: 1.6 });
                }
            }
        }
        if self.edges {
            let parts = skeleton.bodyparts.len();
            let [r, g, b] = self.style.edge_colour;
            let pairs = skeleton.edge_indices();
            for individual in 0..skeleton.individuals.len() {
                let at = |part: usize| self.at(tracks, frame, individual * parts + part);
                for [from, to] in &pairs {
                    let (Some(from), Some(to)) = (at(*from), at(*to)) else { continue };
                    let line = |colour, width| Line { ends: [from, to], colour, width };
                    // A light rim, so that it is seen on dark pictures.
                    lines.push(line(Color32::from_white_alpha(120), 3.0));
                    lines.push(line(Color32::from_rgb(r, g, b), 1.5));
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::Skeleton;

    #[test]
    fn only_sure_points_of_this_frame_are_drawn_and_trails_lead_to_them() {
        let mut skeleton = Skeleton::single(["snout", "tail"]);
        skeleton.edges = vec![["snout".into(), "tail".into()]];
        let mut tracks = Tracks::new(skeleton, 4);
        for f in 0..4 {
            let x = 10.0 * f as f64;
            tracks.set(f, 0, Keypoint::new(x, 1.0), 0.9);
            tracks.set(f, 1, Keypoint::new(x, 50.0), if f == 2 { 0.1 } else { 0.9 });
        }
        let names = ["snout".to_owned(), "tail".to_owned()];
        let mut overlay = Overlay { style: Style::default(), cutoff: 0.5, trail: 0, edges: true };
        let marks = overlay.marks(&tracks, 3, &names);
        assert_eq!(
            marks.iter().map(|m| (m.name, m.at.x)).collect::<Vec<_>>(),
            [("snout", 30.0), ("tail", 30.0)]
        );
        assert_eq!(overlay.marks(&tracks, 2, &names).len(), 1);
        assert_eq!(overlay.lines(&tracks, 3).len(), 2, "the edge and its rim");
        assert!(overlay.lines(&tracks, 2).is_empty(), "an edge needs both ends");
        overlay.trail = 2;
        let lines = overlay.lines(&tracks, 3);
        // Of the snout from 1 to 2 and 2 to 3; the tail was not seen at 2.
        assert_eq!(lines.iter().filter(|l| l.width == 1.6).count(), 2);
        assert!(overlay.marks(&tracks, 4, &names).is_empty() && overlay.lines(&tracks, 40).is_empty());
    }
}
