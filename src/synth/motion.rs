//! How the animal moves: bouts of walking along the walls and across, pauses with a scanning head, rearing.

use super::arena::Floor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{PI, TAU};
use std::sync::LazyLock;

/// Links of the tail.
pub(super) const TAIL: usize = 12;
/// Pieces of the spine from the snout to the root of the tail.
pub(super) const SPINE: usize = 24;
/// Where along the body `Posture::at` lies, 0 snout, 1 root of the tail.
const ANCHOR: f64 = 0.6;

/// Sizes in pixels.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// Snout to root of the tail, standing normally.
    pub(super) body: f64,
    pub(super) tail: f64,
    /// Width against a usual mouse.
    pub(super) stout: f64,
}

/// Everything that shapes the animal in one frame.
#[derive(Clone)]
pub(super) struct Posture {
    at: [f64; 2],
    heading: f64,
    /// Turn of the whole back, radians from pelvis to shoulders.
    bend: f64,
    /// Turn of the head against the shoulders.
    pub(super) head: f64,
    /// Length against standing normally; short when rearing.
    pub(super) stretch: f64,
    /// Phase of the stride.
    pub(super) gait: f64,
    /// Body lengths a second.
    pub(super) speed: f64,
    /// Pixels the body moves while the shutter is open.
    pub(super) smear: f64,
    pub(super) tail: [[f64; 2]; TAIL + 1],
}

/// A place on the spine and the direction to the front there.
#[derive(Clone, Copy)]
pub(super) struct Vertebra {
    pub(super) at: [f64; 2],
    pub(super) front: [f64; 2],
}

impl Vertebra {
    /// `side` pixels to the animal's left (negative: right), `forward` pixels ahead. In an image whose y goes down,
    /// the left of somebody facing +x lies at smaller y.
    pub(super) fn offset(self, side: f64, forward: f64) -> [f64; 2] {
        let [c, s] = self.front;
        [self.at[0] + s * side + c * forward, self.at[1] - c * side + s * forward]
    }
}

/// Half the body's width at `s` along it (0 snout, 1 root of the tail), in body lengths.
pub(super) fn half_width(s: f32) -> f32 {
    const PROFILE: [(f32, f32); 16] = [
        (0.0, 0.020),
        (0.04, 0.041),
        (0.09, 0.064),
        (0.16, 0.090),
        (0.23, 0.105),
        (0.30, 0.113),
        (0.37, 0.124),
        (0.46, 0.147),
        (0.56, 0.170),
        (0.66, 0.184),
        (0.75, 0.186),
        (0.83, 0.169),
        (0.90, 0.131),
        (0.95, 0.084),
        (0.98, 0.050),
        (1.0, 0.032),
    ];
    const FINE: usize = 128;
    static TABLE: LazyLock<[f32; FINE + 2]> = LazyLock::new(|| {
        std::array::from_fn(|k| {
            let s = (k as f32 / FINE as f32).min(1.0);
            let i = PROFILE.iter().skip(1).position(|p| s <= p.0).unwrap_or(PROFILE.len() - 2);
            // A cubic through the points with the slopes of their neighbours.
            let slope = |j: usize| {
                let (a, b) = (PROFILE[j.saturating_sub(1)], PROFILE[(j + 1).min(PROFILE.len() - 1)]);
                (b.1 - a.1) / (b.0 - a.0)
            };
            let ((s0, w0), (s1, w1)) = (PROFILE[i], PROFILE[i + 1]);
            let (h, t) = (s1 - s0, (s - s0) / (s1 - s0));
            let (t2, t3) = (t * t, t * t * t);
            w0 * (2.0 * t3 - 3.0 * t2 + 1.0)
                + h * slope(i) * (t3 - 2.0 * t2 + t)
                + w1 * (3.0 * t2 - 2.0 * t3)
                + h * slope(i + 1) * (t3 - t2)
        })
    });
    let x = s.clamp(0.0, 1.0) * FINE as f32;
    let i = x as usize; // the clamp keeps NaN at 0 after the cast
    TABLE[i] + (TABLE[i + 1] - TABLE[i]) * (x - i as f32)
}

impl Posture {
    /// The spine from the snout (first) to the root of the tail (last).
    pub(super) fn spine(&self, size: &Size) -> [Vertebra; SPINE + 1] {
        let direction = |s: f64| {
            let neck = ((0.40 - s) / 0.18).clamp(0.0, 1.0);
            let head = neck * neck * (3.0 - 2.0 * neck);
            let sway = 0.05 * self.speed.min(2.0) * (self.gait + 5.0 * s).sin();
            let a = self.heading + self.bend * (ANCHOR - s) / 0.7 + self.head * head + sway;
            [a.cos(), a.sin()]
        };
        let mut spine = [Vertebra { at: [0.0; 2], front: [1.0, 0.0] }; SPINE + 1];
        let mut at = [0.0; 2];
        let mut anchor = [0.0; 2];
        for (i, vertebra) in spine.iter_mut().enumerate() {
            let s = i as f64 / SPINE as f64;
            *vertebra = Vertebra { at, front: direction(s) };
            if (s - ANCHOR).abs() < 0.5 / SPINE as f64 {
                anchor = at;
            }
            let mid = s + 0.5 / SPINE as f64;
            let d = direction(mid);
            let stretch = if mid > 0.3 { self.stretch } else { 0.8 + 0.2 * self.stretch };
            let step = size.body * stretch / SPINE as f64;
            at = [at[0] - d[0] * step, at[1] - d[1] * step];
        }
        for v in &mut spine {
            v.at = [v.at[0] - anchor[0] + self.at[0], v.at[1] - anchor[1] + self.at[1]];
        }
        spine
    }
}

enum Mode {
    Walk { to: [f64; 2], speed: f64, left: f64 },
    Pause { left: f64 },
    Rear { left: f64 },
}

/// The share of walks after which an animal in the flat scene rears.
pub(super) const SOMETIMES: f64 = 0.14;

/// The postures of all frames; after a share `rearing` of its walks the animal rears.
pub(super) fn wander(
    seed: u64,
    floor: &Floor,
    size: &Size,
    rearing: f64,
    fps: f64,
    frames: usize,
) -> Vec<Posture> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0057_A1D5);
    let steps = (60.0 / fps).ceil().clamp(1.0, 600.0) as usize;
    let dt = 1.0 / (fps * steps as f64);
    let margin = 0.42 * size.body;
    let mut now = Posture {
        at: floor.random(&mut rng, margin, false),
        heading: rng.random_range(0.0..TAU),
        bend: 0.0,
        head: 0.0,
        stretch: 1.0,
        gait: 0.0,
        speed: 0.0,
        smear: 0.0,
        tail: [[0.0; 2]; TAIL + 1],
    };
    contain(&mut now, floor, size);
    let root = now.spine(size)[SPINE];
    for (i, t) in now.tail.iter_mut().enumerate() {
        *t = floor.hold(root.offset(0.0, -(i as f64) * size.tail / TAIL as f64), 2.0);
    }
    let mut mode = Mode::Pause { left: 0.3 };
    let (mut scan, mut scan_speed) = (0.0f64, 0.0f64);
    let mut flick = 0.0f64;
    let mut out = Vec::with_capacity(frames);
    let mut before = now.at;
    // A second or two first, so that the first frame is as lively as the others.
    let settle = (1.5 / dt / steps as f64) as usize;
    for frame in 0..settle + frames {
        for _ in 0..steps {
            let mut error = 0.0;
            let (mut speed, mut stretch) = (0.0, 0.97);
            let over = match &mut mode {
                Mode::Walk { to, speed: pace, left } => {
                    *left -= dt;
                    let d = [to[0] - now.at[0], to[1] - now.at[1]];
                    error = wrap(d[1].atan2(d[0]) - now.heading);
                    let far = d[0].hypot(d[1]) / size.body;
                    speed = *pace * error.cos().clamp(0.12, 1.0) * (far * 1.6).clamp(0.25, 1.0);
                    stretch = 1.0 + 0.02 * pace.min(2.5);
                    far < 0.45 || *left < 0.0
                }
                Mode::Pause { left } => {
                    *left -= dt;
                    *left < 0.0
                }
                Mode::Rear { left } => {
                    *left -= dt;
                    stretch = 0.76;
                    *left < 0.0
                }
            };
            if over {
                mode = next(&mut rng, &mode, &now, floor, size, rearing);
            }
            // The head looks around (a noisy spring) and leads into turns.
            let kick: f64 = rng.random_range(-1.0..1.0);
            scan_speed += (-18.0 * scan - 4.0 * scan_speed + 95.0 * kick * (0.016 / dt).sqrt()) * dt;
            scan += scan_speed * dt;
            flick += (-1.2 * flick + 5.0 * rng.random_range(-1.0..1.0) * (0.016 / dt).sqrt()) * dt;
            let follow =
                |value: &mut f64, to: f64, tau: f64| *value += (to - *value) * (1.0 - (-dt / tau).exp());
            follow(&mut now.speed, speed, 0.22);
            follow(&mut now.stretch, stretch, 0.28);
            follow(&mut now.head, (0.45 * error + 0.55 * scan).clamp(-0.8, 0.8), 0.13);
            follow(&mut now.bend, (0.75 * error + 0.25 * scan).clamp(-1.05, 1.05), 0.28);
            let turn = if speed > 0.0 { now.bend * (0.7 + 1.35 * now.speed) } else { 0.25 * now.bend };
            now.heading = wrap(now.heading + turn * dt);
            now.gait = (now.gait + TAU * now.speed / 0.65 * dt) % TAU;
            let ahead = now.heading + 0.2 * now.bend;
            let step = now.speed * size.body * dt;
            now.at = [now.at[0] + step * ahead.cos(), now.at[1] + step * ahead.sin()];
            contain(&mut now, floor, size);
            drag_tail(&mut now, floor, size, flick, dt);
        }
        let moved = (now.at[0] - before[0]).hypot(now.at[1] - before[1]);
        before = now.at;
        now.smear = (0.3 * moved).min(4.0); // shutter open for 30 % of the frame
        if frame >= settle {
            out.push(now.clone());
        }
    }
    out
}

/// What the animal does next.
fn next(rng: &mut ChaCha8Rng, mode: &Mode, now: &Posture, floor: &Floor, size: &Size, rearing: f64) -> Mode {
    let walked = matches!(mode, Mode::Walk { .. });
    let choice: f64 = rng.random();
    if walked && choice < 0.36 {
        return Mode::Pause { left: rng.random_range(0.3..1.6) };
    }
    if walked && choice < 0.36 + rearing {
        return Mode::Rear { left: rng.random_range(0.6..1.6) };
    }
    let edge = rng.random_bool(0.62);
    let margin = size.body * rng.random_range(0.34..0.5);
    // Of some places, one that is not too near and asks for no full turn.
    let mut best = (f64::INFINITY, now.at);
    for _ in 0..5 {
        let to = floor.random(rng, margin.min(0.6 * floor.reach()), edge);
        let d = [to[0] - now.at[0], to[1] - now.at[1]];
        let turn = wrap(d[1].atan2(d[0]) - now.heading).abs();
        let far = d[0].hypot(d[1]) / size.body;
        let cost = turn + (1.3 - far).max(0.0) * 3.0;
        if cost < best.0 {
            best = (cost, to);
        }
    }
    Mode::Walk { to: best.1, speed: rng.random_range(0.6..2.4), left: 6.0 }
}

fn wrap(angle: f64) -> f64 {
    (angle + PI).rem_euclid(TAU) - PI
}

/// Pushes the body off the walls.
fn contain(now: &mut Posture, floor: &Floor, size: &Size) {
    for _ in 0..4 {
        let mut worst = ([0.0; 2], 0.0);
        for (i, v) in now.spine(size).iter().enumerate().step_by(2) {
            // Wider than the fur where ears and haunches stand out.
            let margin = match i {
                4..=8 => 0.165,
                16..=22 => 0.21,
                _ => f64::from(half_width(i as f32 / SPINE as f32)) + 0.01,
            } * size.body
                * size.stout;
            let held = floor.hold(v.at, margin);
            let push = [held[0] - v.at[0], held[1] - v.at[1]];
            let far = push[0].hypot(push[1]);
            if far > worst.1 {
                worst = (push, far);
            }
        }
        if worst.1 < 1e-3 {
            break;
        }
        now.at = [now.at[0] + worst.0[0], now.at[1] + worst.0[1]];
    }
}

/// The tail trails like a rope that is stiff at its root and sways with the stride.
fn drag_tail(now: &mut Posture, floor: &Floor, size: &Size, flick: f64, dt: f64) {
    let root = now.spine(size)[SPINE];
    let link = size.tail / TAIL as f64;
    let mut back = (-root.front[1]).atan2(-root.front[0]);
    now.tail[0] = root.at;
    for i in 1..=TAIL {
        let from = now.tail[i - 1];
        let old = now.tail[i];
        let (dx, dy) = (old[0] - from[0], old[1] - from[1]);
        let trailing = dy.atan2(dx);
        let along = i as f64 / TAIL as f64;
        let wave = 0.07 * now.speed.min(2.0) * (now.gait - 3.5 * along).sin() + 0.16 * flick * along;
        // It straightens by itself, quickly near the root, slowly at the tip.
        let stiff = 1.0 - (-dt / (0.06 + 0.9 * along)).exp();
        let bend = wrap(trailing - back);
        let limit = if i == 1 { 0.5 } else { 0.30 };
        let bend = (bend + (wave - bend) * stiff).clamp(-limit, limit);
        back += bend;
        let next = [from[0] + link * back.cos(), from[1] + link * back.sin()];
        now.tail[i] = floor.hold(next, 1.5 + 0.03 * size.body * (1.0 - along));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_is_left_when_seen_from_above() {
        let v = Vertebra { at: [10.0, 10.0], front: [1.0, 0.0] };
        assert_eq!(v.offset(2.0, 3.0), [13.0, 8.0]);
    }

    #[test]
    fn wrapped_angles_stay_near_zero() {
        assert!((wrap(3.0 * PI + 0.1) - (-PI + 0.1)).abs() < 1e-12);
    }
}
