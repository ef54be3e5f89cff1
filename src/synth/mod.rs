//! A lifelike open-field experiment that never happened: a mouse in an arena filmed from above, with the exact truth.
//!
//! Every frame is a pure function of the [`SceneSpec`] and its number, so frames can be rendered in any order and on
//! all cores. `arena` chooses the floor, walls, dirt and lamp; `seed` chooses the animal and how it moves. The truth is
//! in pixels of the frame with the centre of the top-left pixel at (0.5, 0.5), as everywhere (see [`crate::pose`]).
//!
//! ```
//! use limn::synth::{Scene, SceneSpec};
//! let scene = Scene::new(SceneSpec { width: 160, height: 120, seed: 1, arena: 2, fps: 30.0, frames: 10 })?;
//! let picture = scene.render(7);
//! let truth = scene.truth(7);
//! assert_eq!((picture.width(), picture.height()), (160, 120));
//! assert_eq!(truth.len(), scene.skeleton().points());
//! assert!(truth[0].is_some_and(|snout| snout.inside(160.0, 120.0)));
//! # Ok::<(), limn::Error>(())
//! ```
//!
//! [`space`] films the same sort of animal in three dimensions, with several calibrated cameras, and a calibration board.

mod animal;
mod arena;
mod film;
mod motion;
mod noise;
mod sheet;
pub mod space;

use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::{Keypoint, Skeleton};
use film::Film;

/// What is to be filmed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SceneSpec {
    /// Width in pixels, 64 to 8192.
    pub width: usize,
    /// Height in pixels, 64 to 8192.
    pub height: usize,
    /// The animal (size, coat) and its path.
    pub seed: u64,
    /// The arena: floor, walls, dirt, lamp.
    pub arena: u64,
    /// Frames a second, 1 to 1000; how far the animal moves between two frames depends on it.
    pub fps: f64,
    /// How many frames, 1 to 10 million.
    pub frames: usize,
}

/// A filmed experiment: [`render`](Self::render) gives its frames, [`truth`](Self::truth) its keypoints.
pub struct Scene {
    spec: SceneSpec,
    arena: arena::Arena,
    animal: animal::Animal,
    postures: Vec<motion::Posture>,
    film: Film,
}

impl Scene {
    /// Prepares the arena, the animal and its whole path (milliseconds per thousand frames).
    ///
    /// # Errors
    /// [`Kind::Usage`] when a number of `spec` is outside its range.
    pub fn new(spec: SceneSpec) -> Result<Self> {
        let sizes = 64..=8192;
        let wrong = if !sizes.contains(&spec.width) || !sizes.contains(&spec.height) {
            Some(("size", "choose a width and a height from 64 to 8192 pixels"))
        } else if !(1.0..=1000.0).contains(&spec.fps) {
            Some(("frame rate", "choose 1 to 1000 frames a second"))
        } else if !(1..=10_000_000).contains(&spec.frames) {
            Some(("number of frames", "choose 1 to 10 million frames"))
        } else {
            None
        };
        if let Some((what, mend)) = wrong {
            return Err(Error::new(Kind::Usage, format!("a scene of this {what} cannot be made"))
                .at(format!("{} x {}, {} fps, {} frames", spec.width, spec.height, spec.fps, spec.frames))
                .mend(mend));
        }
        let arena = arena::Arena::new(spec.arena, spec.width, spec.height);
        // Limited by the floor too, so that the animal can turn in long narrow pictures.
        let animal = animal::Animal::new(
            spec.seed,
            (spec.width.min(spec.height) as f64).min(2.4 * arena.floor.reach()),
        );
        let postures =
            motion::wander(spec.seed, &arena.floor, &animal.size, motion::SOMETIMES, spec.fps, spec.frames);
        let film = Film::new(spec.seed ^ spec.arena.rotate_left(32) ^ 0x6A1B);
        Ok(Self { spec, arena, animal, postures, film })
    }

    /// What the scene was made from.
    #[must_use]
    pub fn spec(&self) -> &SceneSpec {
        &self.spec
    }

    /// The body parts: `snout, leftear, rightear, spine, lefthip, righthip, tailbase, tailtip`, and how they are joined.
    ///
    /// `snout` is the middle of the nose, ears and hips the middle of the ear's disc and of the haunch, `spine` the
    /// bleached dot of fur between the shoulder blades, `tailbase` where the tail leaves the body. Left is the animal's left.
    #[must_use]
    pub fn skeleton(&self) -> Skeleton {
        mouse()
    }

    /// The keypoints of a frame in skeleton order, in pixels; `None` where a part is hidden (the tip of the tail under
    /// the body). A frame beyond the last repeats the last.
    #[must_use]
    pub fn truth(&self, frame: usize) -> Vec<Option<Keypoint>> {
        self.animal.truth(self.posture(frame))
    }

    fn posture(&self, frame: usize) -> &motion::Posture {
        &self.postures[frame.min(self.postures.len() - 1)]
    }

    /// The picture of a frame. A frame beyond the last repeats the last.
    #[must_use]
    pub fn render(&self, frame: usize) -> Picture {
        let frame = frame.min(self.postures.len() - 1);
        let (width, height) = (self.spec.width, self.spec.height);
        let light = &self.arena.light;
        let sheet = self.animal.paint(self.posture(frame), light.towards, &self.arena.ground, width, height);
        let (columns, field) = light.field((frame as f64 / self.spec.fps) as f32, width, height);
        let mut picture = Picture::new(width, height);
        let mut gain = vec![0.0f32; width];
        let mut linear = vec![0.0f32; width * 3];
        for (y, out) in picture.rgb_mut().chunks_exact_mut(width * 3).enumerate() {
            linear.copy_from_slice(&self.arena.ground[y * width * 3..(y + 1) * width * 3]);
            if (sheet.y..sheet.y + sheet.height).contains(&y) && sheet.width > 0 {
                let row = sheet.width * 3;
                let from = (y - sheet.y) * row;
                linear[sheet.x * 3..sheet.x * 3 + row].copy_from_slice(&sheet.rgb[from..from + row]);
            }
            let (cell, part) = (y / arena::CELL, (y % arena::CELL) as f32 / arena::CELL as f32);
            let corner = |i: usize, j: usize| field[j * columns + i];
            for (i, piece) in gain.chunks_mut(arena::CELL).enumerate() {
                let left = noise::mix(corner(i, cell), corner(i, cell + 1), part);
                let right = noise::mix(corner(i + 1, cell), corner(i + 1, cell + 1), part);
                let step = (right - left) / arena::CELL as f32;
                for (k, g) in piece.iter_mut().enumerate() {
                    *g = (left + step * k as f32) * Film::SCALE;
                }
            }
            let grain = self.film.grain(self.spec.seed ^ ((frame as u64) << 20) ^ y as u64, width * 3);
            for (light, gain) in linear.chunks_exact_mut(3).zip(&gain) {
                light.iter_mut().for_each(|v| *v *= gain);
            }
            for ((to, light), grain) in out.iter_mut().zip(&linear).zip(grain) {
                // Casts saturate, which is what a sensor does.
                *to = (self.film.display(*light) + grain + 0.5) as u8;
            }
        }
        picture
    }
}

/// The skeleton of every animal here.
fn mouse() -> Skeleton {
    let edges = [
        ["snout", "leftear"],
        ["snout", "rightear"],
        ["leftear", "spine"],
        ["rightear", "spine"],
        ["spine", "lefthip"],
        ["spine", "righthip"],
        ["lefthip", "tailbase"],
        ["righthip", "tailbase"],
        ["tailbase", "tailtip"],
    ];
    let names = ["snout", "leftear", "rightear", "spine", "lefthip", "righthip", "tailbase", "tailtip"];
    let mut skeleton = Skeleton::single(names);
    skeleton.edges = edges.map(|e| e.map(String::from)).to_vec();
    skeleton
}

#[cfg(test)]
mod tests;
