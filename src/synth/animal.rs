//! The animal's picture: a height field over its spine, lit and furred, with ears, feet, tail and shadow.

use super::motion::{Posture, SPINE, Size, TAIL, Vertebra, half_width};
use super::noise::{Noise, mix, smoothstep};
use super::sheet::{Colour, Ellipse, Sheet, bilinear, dot, smooth_min, soften, unit3};
use crate::pose::Keypoint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Colours of one animal, as linear reflectance.
pub(super) struct Coat {
    pub(super) fur: Colour,
    /// What the fur's strands mirror of the lamp.
    pub(super) sheen: f32,
    pub(super) ears: [Colour; 2],
    pub(super) skin: Colour,
    pub(super) nose: Colour,
    pub(super) tail: Colour,
    pub(super) mark: Colour,
    /// 1: lit as in life; 0: flat colours and no shadow, for tests of the geometry.
    pub(super) shading: f32,
}

pub(super) struct Animal {
    pub(super) size: Size,
    pub(super) coat: Coat,
    pub(super) noise: Noise,
}

/// Where the parts are in one frame.
pub(super) struct Anatomy {
    spine: [Vertebra; SPINE + 1],
    tail: Vec<[f64; 2]>,
    /// snout, leftear, rightear, spine, lefthip, righthip, tailbase, tailtip.
    pub(super) points: [[f64; 2]; 8],
    pub(super) tip_hidden: bool,
}

// Along the body, and to the side, in body lengths.
const EAR: (f64, f64) = (0.255, 0.098);
const EAR_RADII: (f64, f64) = (0.066, 0.052);
const HIP: (f64, f64) = (0.775, 0.115);
const HIP_RADII: (f64, f64) = (0.115, 0.078);
const SHOULDER: f64 = 0.43;
/// How far the fur reaches over the root of the tail.
pub(super) const RUMP: f64 = 0.034;

impl Animal {
    pub(super) fn new(seed: u64, small_side: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x00F0_0D1E);
        let body = 0.245 * small_side * rng.random_range(0.93..1.07);
        // Black, agouti, chocolate, grey: the coats that are darker than the floors.
        const FURS: [(Colour, f32); 4] = [
            ([0.017, 0.0155, 0.0150], 0.055),
            ([0.062, 0.044, 0.028], 0.050),
            ([0.045, 0.027, 0.019], 0.050),
            ([0.048, 0.047, 0.048], 0.055),
        ];
        let (fur, sheen) = FURS[[0, 0, 1, 2, 3][rng.random_range(0..5)]];
        let tone: f32 = rng.random_range(0.85..1.2);
        let pink: f32 = rng.random_range(0.85..1.15);
        let ear = [0.265 * pink, 0.180 * pink, 0.165 * pink];
        let coat = Coat {
            fur: fur.map(|c| c * tone),
            sheen,
            ears: [ear, ear],
            skin: [0.42, 0.27, 0.24],
            nose: [0.36, 0.20, 0.18],
            tail: [0.205 * pink, 0.150 * pink, 0.140 * pink],
            mark: [0.300, 0.245, 0.180],
            shading: 1.0,
        };
        let size =
            Size { body, tail: body * rng.random_range(0.86..1.0), stout: rng.random_range(0.94..1.07) };
        Self { size, coat, noise: Noise::new(&mut rng) }
    }

    fn along(&self, spine: &[Vertebra; SPINE + 1], s: f64) -> Vertebra {
        let t = (s * SPINE as f64).clamp(0.0, SPINE as f64);
        let i = (t as usize).min(SPINE - 1);
        let f = t - i as f64;
        let (a, b) = (spine[i], spine[i + 1]);
        let blend = |k: usize, u: [f64; 2], v: [f64; 2]| u[k] + (v[k] - u[k]) * f;
        let front = [blend(0, a.front, b.front), blend(1, a.front, b.front)];
        let n = front[0].hypot(front[1]).max(1e-9);
        Vertebra { at: [blend(0, a.at, b.at), blend(1, a.at, b.at)], front: [front[0] / n, front[1] / n] }
    }

    pub(super) fn anatomy(&self, posture: &Posture) -> Anatomy {
        let spine = posture.spine(&self.size);
        let (l, w) = (self.size.body, self.size.body * self.size.stout);
        let tail = smooth_line(&posture.tail);
        let beside = |(s, side): (f64, f64), sign: f64| self.along(&spine, s).offset(sign * side * w, 0.0);
        let points = [
            spine[0].at,
            beside(EAR, 1.0),
            beside(EAR, -1.0),
            self.along(&spine, SHOULDER).at,
            beside(HIP, 1.0),
            beside(HIP, -1.0),
            spine[SPINE].offset(0.0, -RUMP * l),
            posture.tail[TAIL],
        ];
        let tip = posture.tail[TAIL];
        let tip_hidden = spine.iter().enumerate().any(|(i, v)| {
            let r = f64::from(half_width(i as f32 / SPINE as f32)) * w;
            (tip[0] - v.at[0]).hypot(tip[1] - v.at[1]) < r - 0.005 * l
        });
        Anatomy { spine, tail, points, tip_hidden }
    }

    pub(super) fn truth(&self, posture: &Posture) -> Vec<Option<Keypoint>> {
        let a = self.anatomy(posture);
        a.points
            .iter()
            .enumerate()
            .map(|(i, p)| (i != 7 || !a.tip_hidden).then(|| Keypoint::new(p[0], p[1])))
            .collect()
    }

    /// The part of the picture with the animal and its shadow, before the lamp: linear reflectance.
    pub(super) fn paint(
        &self,
        posture: &Posture,
        towards: [f32; 3],
        ground: &[f32],
        width: usize,
        height: usize,
    ) -> Sheet {
        let a = self.anatomy(posture);
        let l = self.size.body as f32;
        let unit = l / 88.0; // the look was tuned on an animal of 88 pixels
        let w = l * self.size.stout as f32;
        let soft = 0.62 + 0.5 * posture.smear as f32;
        let mut sheet = Sheet::around(
            a.spine.iter().map(|v| v.at).chain(a.tail.iter().copied()),
            0.36 * l,
            width,
            height,
        );
        sheet.take(ground, width);
        let (cols, rows) = (sheet.width, sheet.height);
        let n = cols * rows;

        // Body: for every pixel the nearest piece of the spine.
        let mut form = vec![Form { d: 1e9, s: 0.0, side: 0.0, front: [1.0, 0.0] }; n];
        for i in 0..SPINE {
            let (p, q) = (a.spine[i].at.map(|v| v as f32), a.spine[i + 1].at.map(|v| v as f32));
            let (s0, s1) = (i as f32 / SPINE as f32, (i + 1) as f32 / SPINE as f32);
            let r0 = half_width(s0) * w;
            let r1 = half_width(s1) * w;
            let (f0, f1) = (a.spine[i].front.map(|v| v as f32), a.spine[i + 1].front.map(|v| v as f32));
            let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
            let inverse = 1.0 / (dx * dx + dy * dy).max(1e-9);
            let reach = r0.max(r1) + 4.0;
            sheet.each(p, q, reach, |x, y, at, _| {
                let (ex, ey) = (x - p[0], y - p[1]);
                let t = ((ex * dx + ey * dy) * inverse).clamp(0.0, 1.0);
                let (ox, oy) = (ex - t * dx, ey - t * dy);
                let far = (ox * ox + oy * oy).sqrt();
                let d = far - mix(r0, r1, t);
                if d < form[at].d {
                    let front = [mix(f0[0], f1[0], t), mix(f0[1], f1[1], t)];
                    let left = ox * front[1] - oy * front[0];
                    form[at] =
                        Form { d, s: mix(s0, s1, t), side: if left < 0.0 { -far } else { far }, front };
                }
            });
        }

        // Heights: a round back, then haunches and shoulder blades on it.
        let mut high = vec![0.0f32; n];
        for (h, f) in high.iter_mut().zip(&form) {
            if f.d < 0.0 {
                let r = half_width(f.s) * w;
                let u = (f.side / r).clamp(-1.0, 1.0);
                *h = 0.88 * r * (1.0 - u * u).max(0.0).sqrt();
            }
        }
        let swing = posture.gait.sin() as f32;
        let pace = posture.speed.min(1.0) as f32;
        for sign in [1.0f64, -1.0] {
            let hip = self.along(&a.spine, HIP.0);
            let at = hip.offset(sign * HIP.1 * f64::from(w), 0.0);
            let out = Ellipse::new(at, hip.front, -0.18 * sign, HIP_RADII, w);
            sheet.each(out.at, out.at, out.reach() + 3.0, |x, y, at, _| {
                let q = out.level(x, y);
                let d = (q - 1.0) * out.b;
                let k = 0.03 * w; // a smooth union of outlines and of heights
                let f = &mut form[at];
                f.d = smooth_min(f.d, d, k);
                let bump = 0.158 * w * (1.0 - q * q).max(0.0).sqrt();
                if bump > 0.0 {
                    high[at] = -smooth_min(-high[at], -bump, 0.018 * w);
                }
            });
            let blade = self.along(&a.spine, SHOULDER);
            let forward = f64::from(0.02 * l * swing * pace) * sign;
            let at = blade.offset(sign * 0.062 * f64::from(w), forward);
            let out = Ellipse::new(at, blade.front, 0.35 * sign, (0.072, 0.036), w);
            sheet.each(out.at, out.at, out.reach(), |x, y, at, _| {
                let q = out.level(x, y);
                let bump = (1.0 - q * q).max(0.0);
                high[at] += 0.020 * w * bump * bump;
            });
        }
        soften(&mut high, cols, rows, unit);
        // Hollows get less light than what stands out.
        let mut open = high.clone();
        soften(&mut open, cols, rows, 3.6 * unit);
        for (o, h) in open.iter_mut().zip(&high) {
            *o = ((h - *o) / (0.030 * w)).clamp(-1.0, 1.0);
        }

        // Outlines: fur makes them ragged.
        let mut body = vec![0.0f32; n];
        let (scale, noise) = (1.0 / unit, &self.noise);
        for (c, f) in body.iter_mut().zip(&form) {
            if f.d < 3.0 {
                let rag = noise.at(f.s * l * 0.55 * scale, f.side.signum() * 9.0) * 0.45 * unit;
                let rag = rag * self.coat.shading * smoothstep(0.1, 0.3, f.s);
                *c = (0.5 - (f.d + rag) / (2.0 * soft)).clamp(0.0, 1.0);
            }
        }
        let mut tail = vec![(1e9f32, 0.0f32, 0.0f32); n]; // distance, along, across
        let pieces = a.tail.len() - 1;
        for i in 0..pieces {
            let (p, q) = (a.tail[i].map(|v| v as f32), a.tail[i + 1].map(|v| v as f32));
            let (t0, t1) = (i as f32 / pieces as f32, (i + 1) as f32 / pieces as f32);
            let thick = |t: f32| w * (0.0285 * (1.0 - t).powf(0.8) + 0.0105 + 0.012 * (-t * 22.0).exp());
            let (r0, r1) = (thick(t0), thick(t1));
            let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
            let inverse = 1.0 / (dx * dx + dy * dy).max(1e-9);
            sheet.each(p, q, r0 + 3.0, |x, y, at, _| {
                let (ex, ey) = (x - p[0], y - p[1]);
                let t = ((ex * dx + ey * dy) * inverse).clamp(0.0, 1.0);
                let (ox, oy) = (ex - t * dx, ey - t * dy);
                let (far, r) = ((ox * ox + oy * oy).sqrt(), mix(r0, r1, t));
                if far - r < tail[at].0 {
                    let lit = (ox * towards[0] + oy * towards[1]) / r;
                    tail[at] = (far - r, mix(t0, t1, t), lit);
                }
            });
        }
        let tail_cover: Vec<f32> =
            tail.iter().map(|t| (0.5 - t.0 / (2.0 * soft.min(1.1))).clamp(0.0, 1.0)).collect();

        self.shadow(&mut sheet, &body, &tail_cover, towards, posture, unit);
        self.feet(&mut sheet, &a, posture, soft);

        // Tail: a ringed cylinder.
        let shade = self.coat.shading;
        for (at, cover) in tail_cover.iter().enumerate().filter(|(_, c)| **c > 0.0) {
            let (_, t, lit) = tail[at];
            let rings = 1.0 + 0.16 * noise.at(t * 70.0, 3.0) + 0.10 * noise.at(t * 9.0, 8.0);
            let lit = 0.80 + 0.42 * lit.clamp(-1.0, 1.0);
            let dark = mix(0.72, 1.06, smoothstep(0.0, 0.75, t));
            let f = mix(1.0, rings * lit * dark, shade);
            sheet.blend(at, self.coat.tail.map(|c| c * f), *cover);
        }

        self.fur(&mut sheet, &a, &form, [&body, &high, &open], towards, unit);
        self.face(&mut sheet, &a, towards, soft, unit);
        sheet.defocus(if shade > 0.0 { 0.11 } else { 0.0 });
        sheet
    }

    fn shadow(
        &self,
        sheet: &mut Sheet,
        body: &[f32],
        tail: &[f32],
        towards: [f32; 3],
        posture: &Posture,
        unit: f32,
    ) {
        let shade = self.coat.shading;
        if shade <= 0.0 {
            return;
        }
        let (cols, rows) = (sheet.width, sheet.height);
        let flat = [-towards[0] / towards[2], -towards[1] / towards[2]];
        let tall = (13.0 + 16.0 * (1.0 - posture.stretch as f32)) * unit;
        let mut near = body.to_vec();
        soften(&mut near, cols, rows, 1.6 * unit);
        let mut far = near.clone();
        soften(&mut far, cols, rows, 3.0 * unit);
        let mut thin = tail.to_vec();
        soften(&mut thin, cols, rows, 1.3 * unit);
        for y in 0..rows {
            for x in 0..cols {
                let take = |from: &[f32], by: f32| {
                    let (sx, sy) = (x as f32 - flat[0] * by, y as f32 - flat[1] * by);
                    bilinear(from, cols, rows, sx, sy)
                };
                let cast = take(&near, 0.45 * tall).max(take(&far, tall));
                let contact = take(&far, 0.0);
                let under = take(&thin, 4.5 * unit).max(0.8 * take(&thin, 1.2 * unit));
                let f = (1.0 - 0.46 * cast * shade) * (1.0 - 0.34 * contact * shade) * (1.0 - 0.30 * under);
                let i = (y * cols + x) * 3;
                for (k, v) in sheet.rgb[i..i + 3].iter_mut().enumerate() {
                    *v *= mix(f, 1.0, 0.03 * (k as f32)); // shadows are a little blue
                }
            }
        }
    }

    fn feet(&self, sheet: &mut Sheet, a: &Anatomy, posture: &Posture, soft: f32) {
        if self.coat.shading <= 0.0 {
            return;
        }
        let w = self.size.body * self.size.stout;
        let pace = posture.speed.min(1.0);
        for (s, side, radii, phase) in
            [(0.70, 0.172, (0.062, 0.022), 0.0), (0.345, 0.118, (0.034, 0.018), std::f64::consts::PI)]
        {
            let v = self.along(&a.spine, s);
            for sign in [1.0, -1.0] {
                let step = (posture.gait + phase + if sign > 0.0 { 0.0 } else { std::f64::consts::PI }).sin();
                let at = v.offset(sign * side * w, 0.075 * w * step * pace);
                let foot = Ellipse::new(at, v.front, -0.3 * sign, radii, w as f32);
                sheet.each(foot.at, foot.at, foot.reach() + 2.0, |x, y, at, sheet| {
                    let d = (foot.level(x, y) - 1.0) * foot.b;
                    let cover = (0.5 - d / (2.0 * soft)).clamp(0.0, 1.0);
                    let f =
                        0.62 + 0.25 * self.noise.at(x * 0.9 - foot.at[0] * 0.9, y * 0.9 - foot.at[1] * 0.9);
                    sheet.blend(at, self.coat.skin.map(|c| c * f), cover * 0.9);
                });
            }
        }
    }

    fn fur(
        &self,
        sheet: &mut Sheet,
        a: &Anatomy,
        form: &[Form],
        [body, high, open]: [&[f32]; 3],
        towards: [f32; 3],
        unit: f32,
    ) {
        let (cols, rows) = (sheet.width, sheet.height);
        let (l, w) = (self.size.body as f32, (self.size.body * self.size.stout) as f32);
        let shade = self.coat.shading;
        let half = unit3([towards[0], towards[1], towards[2] + 1.0]);
        let (scale, noise) = (1.0 / unit, &self.noise);
        let hips = [a.points[4], a.points[5]].map(|p| p.map(|v| v as f32));
        for y in 0..rows {
            for x in 0..cols {
                let at = y * cols + x;
                if body[at] <= 0.0 {
                    continue;
                }
                let f = &form[at];
                let get = |x: usize, y: usize| high[y.min(rows - 1) * cols + x.min(cols - 1)];
                let hx = 0.5 * (get(x + 1, y) - get(x.saturating_sub(1), y));
                let hy = 0.5 * (get(x, y + 1) - get(x, y.saturating_sub(1)));
                // Strands lie along the body, swept back and outwards.
                let (long, side) = (f.s * l * scale, f.side * scale);
                let swept = long - 0.55 * side.abs();
                let tuft = noise.octaves(swept * 0.10, side * 0.22, 2, 0.6);
                let strand =
                    noise.at(swept * 0.24, side * 0.85 + 40.0) + 0.6 * noise.at(swept * 0.5, side * 1.7);
                let rough = 0.10 * strand * shade;
                let normal = unit3([-hx - rough * f.front[1], -hy + rough * f.front[0], 0.62]);
                let lit = dot(normal, towards).max(0.0);
                let sky = 0.22 + 0.22 * normal[2];
                let fan = 0.5 * (f.side / (0.16 * w)).clamp(-1.0, 1.0);
                let strands = unit3([
                    -f.front[0] + fan * f.front[1],
                    -f.front[1] - fan * f.front[0],
                    0.2 - 0.2 * strand,
                ]);
                let along = dot(strands, half);
                let sheen = (1.0 - along * along).max(0.0).powi(6) * lit * lit;
                // The back is darker than the flanks, the crest darkest.
                let u = (f.side / (half_width(f.s) * w)).abs().min(1.0);
                let back = mix(0.80, 1.30, smoothstep(0.05, 0.95, u));
                let ridge = 1.0 - 0.20 * (-(side / 3.0).powi(2)).exp() * smoothstep(0.92, 0.75, f.s);
                let hollow = 1.0 + 0.42 * open[at];
                // Fur is stretched thin over the haunches.
                let place = [(sheet.x + x) as f32 + 0.5, (sheet.y + y) as f32 + 0.5];
                let thin = hips.map(|h| (place[0] - h[0]).powi(2) + (place[1] - h[1]).powi(2));
                let thin = (-thin[0].min(thin[1]) / (0.0028 * w * w)).exp();
                let albedo = (1.0 + 0.20 * strand + 0.22 * tuft) * back * (1.0 + 0.75 * thin);
                let gloss = self.coat.sheen * sheen * (0.8 + 0.34 * strand + 0.30 * tuft).max(0.0);
                let light = (1.15 * lit + sky) * hollow * ridge;
                let gloss = gloss * hollow * ridge;
                // Labs bleach a dot of fur to tell cage mates apart; this one sits between the shoulder blades.
                let (da, ds) = (long - SHOULDER as f32 * l * scale, side);
                let mark = 0.70 * (-(da * da + ds * ds) / 8.0).exp() * (1.0 + 0.3 * strand);
                let fur: Colour = std::array::from_fn(|k| mix(self.coat.fur[k], self.coat.mark[k], mark));
                let colour = fur.map(|c| mix(c, (c * albedo * light + gloss).max(0.004), shade));
                sheet.blend(at, colour, body[at]);
            }
        }
    }

    fn face(&self, sheet: &mut Sheet, a: &Anatomy, towards: [f32; 3], soft: f32, unit: f32) {
        let w = self.size.body * self.size.stout;
        let shade = self.coat.shading;
        let ear_at = self.along(&a.spine, EAR.0);
        for (i, sign) in [1.0f64, -1.0].into_iter().enumerate() {
            let ear = Ellipse::new(a.points[1 + i], ear_at.front, 0.75 * sign, EAR_RADII, w as f32);
            // The ear's hollow looks forwards and outwards.
            let hollow = ear_at.offset(sign * 0.72, 0.7);
            let open = [(hollow[0] - ear_at.at[0]) as f32, (hollow[1] - ear_at.at[1]) as f32];
            let facing = open[0] * towards[0] + open[1] * towards[1];
            sheet.each(ear.at, ear.at, ear.reach() + 5.0 * unit, |x, y, at, sheet| {
                let q = ear.level(x, y);
                let d = (q - 1.0) * ear.b;
                if shade > 0.0 {
                    // The ear's own soft shadow on the head.
                    let (sx, sy) = (x + 2.0 * unit * towards[0], y + 2.0 * unit * towards[1]);
                    let s = (ear.level(sx, sy) - 1.0) * ear.b;
                    let dark = 0.42 * (0.5 - s / (3.0 * unit)).clamp(0.0, 1.0);
                    let i = at * 3;
                    sheet.rgb[i..i + 3].iter_mut().for_each(|v| *v *= 1.0 - dark);
                }
                let cover = (0.5 - d / (2.0 * soft)).clamp(0.0, 1.0);
                if cover <= 0.0 {
                    return;
                }
                let (ox, oy) = ((x - ear.at[0]) / ear.a, (y - ear.at[1]) / ear.a);
                let across = ox * open[0] + oy * open[1];
                let rim = smoothstep(0.62, 0.92, q);
                // Deepest, and haired, towards the head.
                let deep = mix(0.80, 0.50, smoothstep(0.15, -0.75, across));
                let lit = 0.95 + 0.25 * facing + 0.22 * (ox * towards[0] + oy * towards[1]);
                let veins = 1.0 + 0.12 * self.noise.at(ox * 2.2 + 50.0, oy * 2.2 + 9.0 * sign as f32);
                let f = mix(1.0, mix(deep, 1.02, rim) * lit * veins, shade);
                sheet.blend(at, self.coat.ears[i].map(|c| c * f), cover);
            });
        }
        if shade > 0.0 {
            for sign in [1.0, -1.0] {
                // Eyes: black beads with a spark.
                let v = self.along(&a.spine, 0.135);
                let eye = Ellipse::new(
                    v.offset(sign * 0.062 * w, 0.0),
                    v.front,
                    0.4 * sign,
                    (0.021, 0.017),
                    w as f32,
                );
                sheet.each(eye.at, eye.at, eye.reach() + 2.0, |x, y, at, sheet| {
                    let d = (eye.level(x, y) - 1.0) * eye.b;
                    let cover = (0.5 - d / (2.0 * soft)).clamp(0.0, 1.0);
                    sheet.blend(at, [0.004, 0.004, 0.005], cover);
                    let (sx, sy) =
                        (x - eye.at[0] - 0.5 * unit * towards[0], y - eye.at[1] - 0.5 * unit * towards[1]);
                    sheet.add(at, 0.22 * (-(sx * sx + sy * sy) / (0.55 * unit * unit)).exp());
                });
                // Whiskers, finer than a pixel.
                let root = self.along(&a.spine, 0.055).offset(sign * 0.030 * w, 0.0);
                for (side, forward) in [(0.15, 0.055), (0.165, 0.0), (0.15, -0.05)] {
                    let end = self.along(&a.spine, 0.06).offset(sign * side * w, forward * w);
                    sheet.hair(root, end, [0.06, 0.057, 0.055], 0.30);
                }
            }
        }
        // The nose ends the snout.
        let nose = Ellipse::new(a.points[0], a.spine[0].front, 0.0, (0.021, 0.021), w as f32);
        sheet.each(nose.at, nose.at, nose.reach() + 2.0, |x, y, at, sheet| {
            let d = (nose.level(x, y) - 1.0) * nose.b;
            let cover = (0.5 - d / (2.0 * soft)).clamp(0.0, 1.0);
            let lit = (x - nose.at[0]) * towards[0] + (y - nose.at[1]) * towards[1];
            let f = mix(1.0, 0.85 + 0.12 * lit, shade);
            sheet.blend(at, self.coat.nose.map(|c| c * f), cover * mix(1.0, 0.85, shade));
        });
    }
}

/// What a pixel knows of the body's geometry.
#[derive(Clone)]
struct Form {
    d: f32,
    s: f32,
    side: f32,
    front: [f32; 2],
}

/// A curve through all nodes, four pieces between each two.
pub(super) fn smooth_line(nodes: &[[f64; 2]; TAIL + 1]) -> Vec<[f64; 2]> {
    let mut out = Vec::with_capacity(TAIL * 4 + 1);
    for i in 0..TAIL {
        let (b, c) = (nodes[i], nodes[i + 1]);
        let a = if i > 0 { nodes[i - 1] } else { [2.0 * b[0] - c[0], 2.0 * b[1] - c[1]] };
        let d = if i + 2 <= TAIL { nodes[i + 2] } else { [2.0 * c[0] - b[0], 2.0 * c[1] - b[1]] };
        for j in 0..4 {
            let t = f64::from(j) / 4.0;
            out.push(std::array::from_fn(|k| {
                let (a, b, c, d) = (a[k], b[k], c[k], d[k]);
                b + 0.5 * t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + t * (3.0 * (b - c) + d - a)))
            }));
        }
    }
    out.push(nodes[TAIL]);
    out
}
