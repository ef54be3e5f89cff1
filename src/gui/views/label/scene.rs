//! Marks, lines and ghosts of a frame, for the canvas.

use super::steps::{Group, groups};
use crate::draw::ColourMap;
use crate::gui::widgets::canvas::{Line, Mark as Dot, Shape};
use crate::pose::{FrameKey, Labels, Skeleton};
use crate::project::{Mark, Project};
use eframe::egui::Color32;

/// What there is to label, and how it looks: made anew when the project's body parts change.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    skeleton: Skeleton,
    colormap: String,
    /// The individuals, and the body parts that exist once.
    pub groups: Vec<Group>,
    /// The body part of each point.
    pub names: Vec<String>,
    /// The same with the individual where there are several ("mouse1 snout").
    full_names: Vec<String>,
    /// The colour of each point.
    pub colours: Vec<Color32>,
    /// Pairs of points that are joined.
    edges: Vec<[usize; 2]>,
}

impl Sheet {
    pub fn of(project: &Project, skeleton: &Skeleton) -> Self {
        let colormap = project.config.colormap.clone();
        let map = ColourMap::named(&colormap).unwrap_or_default();
        let groups = groups(skeleton);
        let several = groups.len() > 1;
        let names: Vec<String> = skeleton.names().map(|n| n.bodypart.to_owned()).collect();
        let of = |point: usize| groups.iter().position(|g| g.points.contains(&point)).unwrap_or(0);
        let full_names = names
            .iter()
            .enumerate()
            .map(|(i, name)| match groups.get(of(i)) {
                Some(group) if several => format!("{} {name}", group.name),
                _ => name.clone(),
            })
            .collect();
        // Several animals are told apart by colour, the body parts of one animal too.
        let colours = (0..names.len())
            .map(|i| {
                let [r, g, b] =
                    if several { map.pick(of(i), groups.len()) } else { map.pick(i, names.len()) };
                Color32::from_rgb(r, g, b)
            })
            .collect();
        let per = skeleton.bodyparts.len();
        let joined = skeleton.edge_indices();
        let edges = (0..skeleton.individuals.len())
            .flat_map(|animal| joined.iter().map(move |e| e.map(|part| animal * per + part)))
            .collect();
        Self { skeleton: skeleton.clone(), colormap, groups, names, full_names, colours, edges }
    }

    /// Whether it still holds.
    pub fn fits(&self, project: &Project, skeleton: &Skeleton) -> bool {
        self.skeleton == *skeleton && self.colormap == project.config.colormap
    }

    /// A point in words.
    pub fn name(&self, point: usize) -> &str {
        self.full_names.get(point).map_or("point", String::as_str)
    }

    pub fn colour(&self, point: usize) -> Color32 {
        self.colours.get(point).copied().unwrap_or(Color32::WHITE)
    }
}

/// The canvas's marks, and the point of the skeleton that each is; ghosts are none.
pub(super) struct Dots<'a> {
    pub marks: Vec<Dot<'a>>,
    pub points: Vec<Option<usize>>,
}

/// All marks of a frame: ghosts of the frame before (rings) and after (crosses) below, its own points on top.
pub(super) fn marks<'a>(
    sheet: &'a Sheet,
    labels: &Labels,
    said: &dyn Fn(usize) -> Mark,
    neighbours: [Option<&FrameKey>; 2],
    selected: Option<usize>,
    radius: f32,
) -> Dots<'a> {
    let mut dots = Dots { marks: Vec::new(), points: Vec::new() };
    for (key, shape) in neighbours.into_iter().zip([Shape::Ring, Shape::Cross]) {
        let frame = key.and_then(|k| labels.frames.get(k));
        for (point, at) in frame.iter().flat_map(|f| f.points.iter().enumerate()) {
            if let Some(at) = at {
                let name = sheet.name(point);
                let ghost = Dot { shape, radius, ..Dot::ghost(*at, sheet.colour(point)) };
                dots.marks.push(ghost.named(name));
                dots.points.push(None);
            }
        }
    }
    for point in 0..sheet.names.len() {
        if let Some(at) = said(point).place() {
            let dot = Dot::new(at, sheet.colour(point)).named(sheet.name(point));
            dots.marks.push(Dot { radius, selected: selected == Some(point), ..dot });
            dots.points.push(Some(point));
        }
    }
    dots
}

/// The skeleton's lines between placed points.
pub(super) fn lines(sheet: &Sheet, said: &dyn Fn(usize) -> Mark) -> Vec<Line> {
    let line = |[a, b]: &[usize; 2]| {
        let ends = [said(*a).place()?, said(*b).place()?];
        Some(Line { ends, colour: Color32::from_white_alpha(150), width: 1.5 })
    };
    sheet.edges.iter().filter_map(line).collect()
}
