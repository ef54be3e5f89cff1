//! Several calibrated cameras round an open field, with a calibration board and a mouse, rendered with the exact truth.
//!
//! The world is right-handed and in millimetres: the floor is z = 0, its middle the origin, z is up. Every picture is a pure
//! function of the [`RigSpec`], the camera and the frame, so they can be rendered in any order and on all cores. Cameras are
//! true ones: each has its own focal lengths, principal point and distortion ([`crate::camera::Camera`]), and every pixel
//! is the ray of its lens. A camera or a frame beyond the last is the last.
//!
//! ```
//! use limn::camera::Board;
//! use limn::synth::space::{RigScene, RigSpec};
//! let board = Board::Checkerboard { columns: 7, rows: 5, square: 24.0 };
//! let spec = RigSpec { width: 160, height: 120, frames: 10, board, ..RigSpec::new(3, 1) };
//! let scene = RigScene::new(spec)?;
//! // Where the snout is in space, and where the first camera sees it.
//! let snout = scene.truth3d(7)[0];
//! let seen = scene.cameras()[0].project(&snout);
//! assert!(seen.is_some());
//! let picture = scene.render_animal(0, 7);
//! assert_eq!((picture.width(), picture.height()), (160, 120));
//! // The board in another recording of the same cameras.
//! let picture = scene.render_board(2, 7);
//! let corner = scene.board_corner(7, 0);
//! assert!(corner.z > 0.0);
//! # Ok::<(), limn::Error>(())
//! ```

mod board;
mod body;
mod cast;
mod rig;
mod room;

use super::animal::Animal;
use super::arena::Floor;
use super::film::Film;
use super::motion::{self, Posture};
use super::sheet::Sheet;
use crate::camera::{Board, Camera};
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::{Keypoint, Skeleton, Tracks};
use body::Body;
use nalgebra::{Isometry3, Point3, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use room::{Room, View};
use std::sync::OnceLock;

/// Half the side of the square floor, in millimetres.
const HALF: f64 = 200.0;
/// Snout to root of the tail of a usual mouse, in millimetres.
const BODY: f64 = 86.0;

/// The share of walks after which the animal rears: often, for a third dimension that is worth measuring.
const REARING: f64 = 0.44;

/// The place of the tail's base in the skeleton.
const TAIL_BASE: usize = 6;

/// What is to be filmed.
#[derive(Debug, Clone, PartialEq)]
pub struct RigSpec {
    /// How many cameras, 2 to 64: two stand side by side, more on a ring at two heights.
    pub cameras: usize,
    /// Width of the pictures in pixels, 64 to 8192.
    pub width: usize,
    /// Height of the pictures in pixels, 64 to 8192.
    pub height: usize,
    /// Cameras, animal, path and board's path. Another [`visit`](Self::visit) keeps the cameras.
    pub seed: u64,
    /// Which animal comes before these cameras, and how it and the board move.
    pub visit: u64,
    /// Frames a second, 1 to 1000.
    pub fps: f64,
    /// How many frames, 1 to 10 million.
    pub frames: usize,
    /// The calibration board.
    pub board: Board,
}

impl RigSpec {
    /// Pictures of 640 x 480 pixels, 300 frames, 30 a second, and a ChArUco board of 7 x 5 squares of 30 mm.
    #[must_use]
    pub fn new(cameras: usize, seed: u64) -> Self {
        let dictionary = "DICT_4X4_50".to_owned();
        let board = Board::Charuco { columns: 7, rows: 5, square: 30.0, marker: 23.0, dictionary };
        Self { cameras, width: 640, height: 480, seed, visit: 0, fps: 30.0, frames: 300, board }
    }

    fn check(&self) -> Result<()> {
        let sizes = 64..=8192;
        let wrong = if !(2..=64).contains(&self.cameras) {
            Some(("number of cameras", "choose 2 to 64 cameras"))
        } else if !sizes.contains(&self.width) || !sizes.contains(&self.height) {
            Some(("size", "choose a width and a height from 64 to 8192 pixels"))
        } else if !(1.0..=1000.0).contains(&self.fps) {
            Some(("frame rate", "choose 1 to 1000 frames a second"))
        } else if !(1..=10_000_000).contains(&self.frames) {
            Some(("number of frames", "choose 1 to 10 million frames"))
        } else {
            None
        };
        let Some((what, mend)) = wrong else { return self.board.check() };
        let at = format!(
            "{} cameras, {} x {}, {} fps, {} frames",
            self.cameras, self.width, self.height, self.fps, self.frames
        );
        Err(Error::new(Kind::Usage, format!("a rig of this {what} cannot be filmed")).at(at).mend(mend))
    }
}

/// A filmed rig: pictures of the animal and of the board, and where everything is.
pub struct RigScene {
    spec: RigSpec,
    cameras: Vec<Camera>,
    /// Rays and empty room of each camera, made when first asked for.
    views: Vec<OnceLock<View>>,
    room: Room,
    animal: Animal,
    postures: Vec<Posture>,
    print: board::Print,
    path: board::Path,
    film: Film,
}

impl RigScene {
    /// Prepares cameras, animal and paths (milliseconds per thousand frames); a camera's first picture takes longer.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a number of `spec` is outside its range, [`Kind::Config`] when the board cannot be made (a
    /// ChArUco board needs the feature `vision`, and as many markers as its dictionary has).
    pub fn new(spec: RigSpec) -> Result<Self> {
        spec.check()?;
        let cameras = rig::cameras(&spec);
        let who = spec.seed.rotate_left(17) ^ spec.visit.wrapping_mul(0x9E37_79B9);
        let animal = Animal::new(who, BODY / 0.245);
        // The paws stay off the edge.
        let floor = Floor::square(HALF - 12.0);
        let postures = motion::wander(who, &floor, &animal.size, REARING, spec.fps, spec.frames);
        let print = board::Print::new(&spec.board)?;
        let path = board::Path::new(who, &cameras, &spec);
        let views = cameras.iter().map(|_| OnceLock::new()).collect();
        let (room, film) = (Room::new(spec.seed), Film::new(who ^ 0x6A1B));
        Ok(Self { spec, cameras, views, room, animal, postures, print, path, film })
    }

    /// What the scene was made from.
    #[must_use]
    pub fn spec(&self) -> &RigSpec {
        &self.spec
    }

    /// The true cameras, named `cam1`, `cam2`, ...
    #[must_use]
    pub fn cameras(&self) -> &[Camera] {
        &self.cameras
    }

    /// The body parts of [`super::Scene::skeleton`], here in space: `snout` is the middle of the nose, ears the middle of the
    /// ear's disc, `spine` the bleached dot on the back, hips the outside of the haunch, `tailbase` where the tail leaves the fur,
    /// `tailtip` its end.
    #[must_use]
    pub fn skeleton(&self) -> Skeleton {
        super::mouse()
    }

    /// Where the body parts are, in skeleton order, in millimetres of the world. Nothing is hidden here.
    #[must_use]
    pub fn truth3d(&self, frame: usize) -> Vec<Vector3<f64>> {
        self.body(frame).points.to_vec()
    }

    /// Where a camera would see the body parts if nothing hid them, in pixels; `None` outside of its frame.
    #[must_use]
    pub fn truth2d(&self, camera: usize, frame: usize) -> Vec<Option<Keypoint>> {
        let camera = self.camera(camera);
        self.body(frame).points.iter().map(|p| within(camera, p)).collect()
    }

    /// As [`truth2d`](Self::truth2d), `None` also where the animal's own body hides the part: what a person would label.
    #[must_use]
    pub fn seen(&self, camera: usize, frame: usize) -> Vec<Option<Keypoint>> {
        let (camera, body) = (self.camera(camera), self.body(frame));
        let from = camera.position();
        // The base of the tail lies inside of the tail, deeper than other parts lie under their surface.
        let share = |part: usize| if part == TAIL_BASE { 0.10 } else { 0.035 };
        let deep = |part: usize| share(part) * self.animal.size.body;
        let open = |part: usize, p: &Vector3<f64>| !body.hides(from, p, deep(part));
        let each = body.points.iter().enumerate();
        each.map(|(i, p)| within(camera, p).filter(|_| open(i, p))).collect()
    }

    /// What a network of some quality would say of a frame, without any picture: the truth with Gaussian noise of standard
    /// deviation `noise_px` in x and in y, and likelihoods. Hidden parts are ten times as noisy and half as likely; a share
    /// `outlier_share` of all points lies anywhere in the frame, most of them with a low likelihood. `None` outside of
    /// the frame.
    pub fn detections(
        &self,
        camera: usize,
        frame: usize,
        noise_px: f64,
        outlier_share: f64,
        rng: &mut impl Rng,
    ) -> Vec<Option<(Keypoint, f64)>> {
        let (width, height) = (self.spec.width as f64, self.spec.height as f64);
        let mut one = |truth: Option<Keypoint>, seen: Option<Keypoint>| {
            // The same draws for every point, so that one hidden point changes no other.
            let [dx, dy] = [0; 2].map(|_| rng.sample::<f64, _>(StandardNormal));
            let [lot, sure, x, y] = [0; 4].map(|_| rng.random::<f64>());
            let truth = truth?;
            if lot < outlier_share {
                let likelihood = if sure < 0.8 { 0.05 + 0.5 * sure } else { 0.9 };
                return Some((Keypoint::new(x * width, y * height), likelihood));
            }
            let (by, likelihood) = if seen.is_some() { (1.0, 0.9 + 0.1 * sure) } else { (10.0, 0.5 * sure) };
            let at = Keypoint::new(truth.x + by * noise_px * dx, truth.y + by * noise_px * dy);
            Some((at, likelihood))
        };
        let (truth, seen) = (self.truth2d(camera, frame), self.seen(camera, frame));
        truth.into_iter().zip(seen).map(|(t, s)| one(t, s)).collect()
    }

    /// [`detections`](Self::detections) of all frames of a camera; the same `seed` gives the same tracks.
    #[must_use]
    pub fn tracks(&self, camera: usize, noise_px: f64, outlier_share: f64, seed: u64) -> Tracks {
        let mut tracks = Tracks::new(self.skeleton(), self.spec.frames);
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (camera as u64).rotate_left(40));
        for frame in 0..self.spec.frames {
            let found = self.detections(camera, frame, noise_px, outlier_share, &mut rng);
            for (point, (at, likelihood)) in found.iter().enumerate().filter_map(|(i, f)| f.map(|f| (i, f))) {
                tracks.set(frame, point, at, likelihood);
            }
        }
        tracks
    }

    /// From the board ([`Board::corner`]: x across, y down, z away from who looks at it) into the world, in the board's
    /// recording. The board rests for half a second, moves on, rests again.
    #[must_use]
    pub fn board_pose(&self, frame: usize) -> Isometry3<f64> {
        self.path.pose(frame.min(self.spec.frames - 1))
    }

    /// Where corner `index` of the board is, in millimetres of the world.
    #[must_use]
    pub fn board_corner(&self, frame: usize, index: usize) -> Vector3<f64> {
        (self.board_pose(frame) * Point3::from(self.spec.board.corner(index))).coords
    }

    /// Where a camera sees corner `index`; `None` outside of its frame, or when it looks at the board's back.
    #[must_use]
    pub fn board_seen(&self, camera: usize, frame: usize, index: usize) -> Option<Keypoint> {
        let (camera, corner) = (self.camera(camera), self.board_corner(frame, index));
        let back = self.board_pose(frame).rotation * Vector3::z();
        (back.dot(&(corner - camera.position())) > 0.0).then(|| within(camera, &corner)).flatten()
    }

    /// The picture of the board's recording.
    #[must_use]
    pub fn render_board(&self, camera: usize, frame: usize) -> Picture {
        let frame = frame.min(self.spec.frames - 1);
        let (view, camera) = (self.view(camera), self.camera(camera));
        let mut picture = self.develop(view, None);
        let pose = self.board_pose(frame);
        let sheet = self.print.paint(&pose, camera, view, &self.room, &picture);
        picture.put(&sheet);
        picture.finish(&self.film, self.grain_place(camera, frame, 1))
    }

    /// The picture of the animal's recording.
    #[must_use]
    pub fn render_animal(&self, camera: usize, frame: usize) -> Picture {
        let frame = frame.min(self.spec.frames - 1);
        let (view, camera) = (self.view(camera), self.camera(camera));
        let sheet = cast::paint(&self.body(frame), &self.animal, camera, view, &self.room);
        self.develop(view, Some(&sheet)).finish(&self.film, self.grain_place(camera, frame, 0))
    }

    fn body(&self, frame: usize) -> Body {
        Body::new(&self.animal, &self.postures[frame.min(self.postures.len() - 1)])
    }

    fn camera(&self, index: usize) -> &Camera {
        &self.cameras[index.min(self.cameras.len() - 1)]
    }

    fn view(&self, index: usize) -> &View {
        let index = index.min(self.cameras.len() - 1);
        self.views[index].get_or_init(|| View::new(&self.cameras[index], &self.room))
    }

    fn grain_place(&self, camera: &Camera, frame: usize, what: u64) -> u64 {
        let which = camera.position().x.to_bits() ^ what.rotate_left(50);
        which ^ ((frame as u64) << 20)
    }

    /// The room with a sheet on it, in display values.
    fn develop(&self, view: &View, sheet: Option<&Sheet>) -> Exposure {
        let (width, height) = (self.spec.width, self.spec.height);
        let mut values = view.display(&self.film).to_vec();
        if let Some(s) = sheet.filter(|s| s.width > 0) {
            for (j, row) in s.rgb.chunks_exact(s.width * 3).enumerate() {
                let at = ((s.y + j) * width + s.x) * 3;
                for (to, light) in values[at..at + row.len()].iter_mut().zip(row) {
                    *to = self.film.display(light * Film::SCALE);
                }
            }
        }
        Exposure { width, height, values }
    }
}

/// A picture before its noise, in display values.
struct Exposure {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Exposure {
    fn put(&mut self, sheet: &Sheet) {
        for (j, row) in sheet.rgb.chunks_exact((sheet.width * 3).max(1)).enumerate() {
            let at = ((sheet.y + j) * self.width + sheet.x) * 3;
            self.values[at..at + row.len()].copy_from_slice(row);
        }
    }

    fn finish(self, film: &Film, place: u64) -> Picture {
        let mut picture = Picture::new(self.width, self.height);
        let row = self.width * 3;
        let rows = picture.rgb_mut().chunks_exact_mut(row).zip(self.values.chunks_exact(row));
        for (y, (out, values)) in rows.enumerate() {
            for ((to, v), grain) in out.iter_mut().zip(values).zip(film.grain(place ^ y as u64, row)) {
                // Casts saturate, which is what a sensor does.
                *to = (v + grain + 0.5) as u8;
            }
        }
        picture
    }
}

fn within(camera: &Camera, world: &Vector3<f64>) -> Option<Keypoint> {
    camera.project(world).filter(|p| p.inside(camera.size[0] as f64, camera.size[1] as f64))
}

#[cfg(test)]
mod tests;
