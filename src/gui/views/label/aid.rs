//! Help from other cameras: points that two views show, and lines of sight of one; never saved by themselves.

use crate::camera::Rig;
use crate::camera::labels::{Help, LabelViews};
use crate::gui::Desk;
use crate::gui::widgets::canvas::{Line, Mark, Place, Shape};
use crate::jobs::Handle;
use crate::labeling::Session;
use crate::pose::{FrameKey, Keypoint};
use eframe::egui::Color32;

/// How near, in points, a click must be to a proposal to take it.
const REACH: f32 = 8.0;

/// What is known of the other cameras.
#[derive(Default)]
pub(super) struct Aid {
    reading: Option<Handle<Option<Rig>>>,
    /// The reading of the project that the rig was read for.
    read: Option<u64>,
    rig: Option<Rig>,
    views: Option<LabelViews>,
    of: Option<(FrameKey, u64)>,
    help: Help,
}

impl Aid {
    /// Reads the project's rig, again whenever the project was read again.
    pub fn poll(&mut self, desk: &mut Desk<'_>) {
        if self.read != Some(desk.open.revision) {
            self.read = Some(desk.open.revision);
            let (path, named) = desk.open.project().rig_path();
            self.reading = Some(desk.jobs.start_quiet("Reading the rig", move |_| {
                if named || path.is_file() { Rig::read(&path).map(Some) } else { Ok(None) }
            }));
        }
        if let Some(result) = self.reading.as_mut().and_then(Handle::poll) {
            self.reading = None;
            self.rig = result.ok().flatten();
            let mut folders: Vec<&str> =
                desk.open.contents.pictures.iter().map(|k| k.video.as_str()).collect();
            folders.dedup();
            // A rig that is not calibrated yet gives no help; the view 3D says what is missing.
            self.views = self.rig.as_ref().and_then(|rig| LabelViews::of(rig, folders).ok());
            self.of = None;
        }
    }

    /// Looks at what other views say of a picture, when that may have changed.
    pub fn look(&mut self, key: &FrameKey, labels: &Session) {
        let Some(views) = &self.views else { return };
        if self.of.as_ref().is_none_or(|(k, version)| k != key || *version != labels.version()) {
            self.help = views.help(labels.labels(), key);
            self.of = Some((key.clone(), labels.version()));
        }
    }

    /// The proposals for points that nothing is said of.
    pub fn proposals<'a>(
        &'a self,
        free: &'a dyn Fn(usize) -> bool,
    ) -> impl Iterator<Item = (usize, Keypoint)> + 'a {
        self.help.proposals.iter().filter(|p| free(p.point)).map(|p| (p.point, p.at))
    }

    /// Hollow marks for the proposals, with the colours and names that `look` gives.
    pub fn marks<'s>(
        &self,
        free: &dyn Fn(usize) -> bool,
        look: impl Fn(usize) -> (Color32, &'s str),
        radius: f32,
    ) -> Vec<Mark<'s>> {
        let mark = |(point, at): (usize, Keypoint)| {
            let (colour, name) = look(point);
            Mark { shape: Shape::Ring, radius: radius + 2.0, grip: false, ..Mark::new(at, colour) }
                .named(name)
        };
        self.proposals(free).map(mark).collect()
    }

    /// The line of sight of a point.
    pub fn lines(&self, point: usize, colour: Color32) -> Vec<Line> {
        let line = self.help.lines.iter().find(|l| l.point == point);
        let pairs = line.map(|l| l.line.windows(2)).into_iter().flatten();
        pairs.map(|p| Line { ends: [p[0], p[1]], colour, width: 1.5 }).collect()
    }

    /// The proposal under a click.
    pub fn under(&self, place: &Place, at: Keypoint, free: &dyn Fn(usize) -> bool) -> Option<usize> {
        let on = place.to_screen(at);
        let near = |(_, p): &(usize, Keypoint)| place.to_screen(*p).distance(on) <= REACH;
        self.proposals(free).find(near).map(|(point, _)| point)
    }
}
