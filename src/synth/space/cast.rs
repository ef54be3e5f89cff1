//! The animal's picture: a ray for each sample of a pixel, the nearest part it meets, and its light.

use super::body::{Body, Stuff};
use super::room::{Room, View};
use crate::camera::Camera;
use crate::synth::animal::Animal;
use crate::synth::noise::{Noise, mix, smoothstep};
use crate::synth::sheet::{Sheet, bilinear, soften};
use nalgebra::{Matrix3, Vector3};

/// Samples of a pixel in x and in y.
const FINE: usize = 2;
/// What no ray has met.
const NOTHING: u16 = u16::MAX;

/// How the lens spreads a point to either neighbour.
const LEAK: f32 = 0.09;

/// The piece of the picture with the animal and its shadow, in linear light.
pub(super) fn paint(body: &Body, animal: &Animal, camera: &Camera, view: &View, room: &Room) -> Sheet {
    let [width, height] = camera.size;
    let shadow = Shadow::new(body, room);
    let spots = body.blobs.iter().map(|b| b.at).chain(shadow.corners());
    let seen = spots.filter_map(|p| camera.project(&p)).map(|p| [p.x, p.y]);
    let focal = camera.lens.focal[0] as f32;
    let margin = 0.025 * focal;
    let mut sheet = Sheet::around(seen, margin, width, height);
    sheet.take(&view.ground, width);
    if sheet.width == 0 || sheet.height == 0 {
        return sheet;
    }
    let hits = Hits::find(body, camera, view, &sheet);
    let painter = Painter { body, animal, room, from: view.from };
    let shade = animal.coat.shading;
    for j in 0..sheet.height {
        for i in 0..sheet.width {
            let (x, y) = (sheet.x + i, sheet.y + j);
            let at = (j * sheet.width + i) * 3;
            let d = view.ray(x, y, 0.5, 0.5);
            if d.z < 0.0 && shade > 0.0 {
                let p = view.from + d * (-view.from.z / d.z);
                let dark = shadow.at(p.x, p.y);
                for (k, v) in sheet.rgb[at..at + 3].iter_mut().enumerate() {
                    *v *= 1.0 - dark * (1.0 - 0.02 * k as f32);
                }
            }
            let mut sum = [0.0f32; 3];
            let mut met = 0;
            for v in 0..FINE {
                for u in 0..FINE {
                    let sample = (j * FINE + v) * hits.width + i * FINE + u;
                    let (far, which) = (hits.far[sample], hits.which[sample]);
                    if which == NOTHING {
                        continue;
                    }
                    met += 1;
                    let part = |k: usize| (k as f64 + 0.5) / FINE as f64;
                    let ray = view.ray(x, y, part(u), part(v));
                    let colour = painter.colour(ray, f64::from(far), usize::from(which));
                    sum.iter_mut().zip(colour).for_each(|(s, c)| *s += c);
                }
            }
            if met > 0 {
                let all = (FINE * FINE) as f32;
                let dim = view.falloff(x, y, height);
                for (v, s) in sheet.rgb[at..at + 3].iter_mut().zip(sum) {
                    *v = *v * (1.0 - met as f32 / all) + s * dim / all;
                }
            }
        }
    }
    sheet.defocus(if shade > 0.0 { LEAK } else { 0.0 });
    sheet
}

/// The nearest part at every sample.
struct Hits {
    width: usize,
    /// How many lengths of the ray away.
    far: Vec<f32>,
    which: Vec<u16>,
}

impl Hits {
    fn find(body: &Body, camera: &Camera, view: &View, sheet: &Sheet) -> Self {
        let (width, height) = (sheet.width * FINE, sheet.height * FINE);
        let mut hits =
            Self { width, far: vec![f32::INFINITY; width * height], which: vec![NOTHING; width * height] };
        let mut rays = Vec::with_capacity(width * height);
        for j in 0..height {
            for i in 0..width {
                let part = |k: usize| ((k % FINE) as f64 + 0.5) / FINE as f64;
                rays.push(view.ray(sheet.x + i / FINE, sheet.y + j / FINE, part(i), part(j)));
            }
        }
        for (k, blob) in body.blobs.iter().enumerate() {
            let Some(middle) = camera.project(&blob.at) else { continue };
            let away = (blob.at - view.from).norm();
            // Lenses here magnify by less than a fifth at the edge.
            let reach = 1.2 * blob.reach * camera.lens.focal[0] / (away - blob.reach).max(1.0) + 1.0;
            let span = |at: f64, start: usize, size: usize| {
                let to = |v: f64| ((v - start as f64) * FINE as f64).clamp(0.0, size as f64) as usize;
                to(at - reach)..to(at + reach + 1.0)
            };
            let o = blob.into * (view.from - blob.at);
            let c = o.norm_squared() - 1.0;
            for j in span(middle.y, sheet.y, height) {
                for i in span(middle.x, sheet.x, width) {
                    let at = j * width + i;
                    let d = blob.into * rays[at];
                    let (a, b) = (d.norm_squared(), o.dot(&d));
                    let inside = b * b - a * c;
                    if inside > 0.0 {
                        let t = ((-b - inside.sqrt()) / a) as f32;
                        if t > 0.0 && t < hits.far[at] {
                            (hits.far[at], hits.which[at]) = (t, k as u16);
                        }
                    }
                }
            }
        }
        hits
    }
}

struct Painter<'a> {
    body: &'a Body,
    animal: &'a Animal,
    room: &'a Room,
    from: Vector3<f64>,
}

impl Painter<'_> {
    /// The light of a part at `far` lengths of a ray.
    fn colour(&self, ray: Vector3<f64>, far: f64, which: usize) -> [f32; 3] {
        let blob = &self.body.blobs[which];
        let coat = &self.animal.coat;
        let point = self.from + ray * far;
        let on = blob.into * (point - blob.at);
        let flat = coat.shading <= 0.0;
        let base = match blob.stuff {
            Stuff::Fur | Stuff::Eye => coat.fur,
            Stuff::Ear if flat => coat.ears[usize::from(which_side(self.body, point))],
            Stuff::Ear => coat.ears[0],
            Stuff::Skin => coat.skin,
            Stuff::Nose => coat.nose,
            Stuff::Tail => coat.tail,
        };
        let l = self.animal.size.body;
        let mark = (point - self.body.points[3]).norm() / l;
        if flat {
            return if blob.stuff == Stuff::Fur && mark < 0.035 { coat.mark } else { base };
        }
        let noise = &self.animal.noise;
        let mut normal = (blob.into.transpose() * on).normalize();
        let size = (l / 88.0) as f32;
        let s = blob.along.0 - blob.along.1 * on.x as f32;
        let mut tone = 1.0;
        let mut sheen = 0.0;
        let mut base = base;
        match blob.stuff {
            Stuff::Fur => {
                let around = on.y.atan2(on.z) as f32;
                normal = ruffle(noise, normal, s, around);
                let strand =
                    noise.at(s * 46.0, around * 13.0) + 0.7 * noise.at(s * 90.0 + 7.0, around * 27.0);
                tone = 1.0 + 0.26 * strand + 0.16 * noise.octaves(s * 9.0, around * 2.5, 2, 0.6);
                sheen = coat.sheen * (1.0 + 0.5 * strand).max(0.0);
                let rag = 0.008 * noise.at(point.x as f32 * 0.9, (point.y + point.z) as f32 * 0.9);
                let cover = 1.0 - smoothstep(0.026, 0.040, mark as f32 + rag);
                base = [0, 1, 2].map(|k| mix(base[k], coat.mark[k], cover));
            }
            Stuff::Ear => {
                // The inside is pink, the rim and the back are furred a little.
                let rim = (on.x.hypot(on.y)) as f32;
                let back = if on.z < 0.0 { 0.60 } else { 1.0 };
                tone = back * (1.06 - 0.34 * smoothstep(0.72, 1.0, rim) - 0.20 * smoothstep(0.5, 0.0, rim));
                tone *= 1.0 + 0.10 * noise.at(point.x as f32 * 0.5, point.y as f32 * 0.5);
            }
            Stuff::Tail => {
                tone = 1.0 + 0.14 * noise.at(s * 70.0, 3.0) + 0.08 * noise.at(s * 9.0, 8.0);
                tone *= mix(0.78, 1.08, smoothstep(0.0, 0.7, s));
            }
            Stuff::Skin => {
                tone = 0.85 + 0.2 * noise.at(point.x as f32 * 0.8 / size, point.y as f32 * 0.8 / size);
            }
            Stuff::Eye => {
                base = [0.006; 3];
                sheen = 0.0;
            }
            Stuff::Nose => {}
        }
        let towards = &self.room.towards;
        let back = -ray.normalize();
        let half = (towards + back).normalize();
        let lit = normal.dot(towards).max(0.0) as f32;
        let sky = 0.5 + 0.5 * normal.z as f32;
        // Under the belly it is dark.
        let low = smoothstep(-2.0, 14.0, point.z as f32);
        let open = mix(1.0, mix(0.45, 1.0, low), 1.0 - sky);
        let shine = normal.dot(&half).max(0.0) as f32;
        let shine = match blob.stuff {
            Stuff::Eye => 0.9 * shine.powi(60),
            Stuff::Nose => 0.10 * shine.powi(12),
            _ => sheen * shine.powi(6) * 0.9,
        };
        // Fur is lighter where one looks along it.
        let rim = (1.0 - normal.dot(&back).clamp(0.0, 1.0) as f32).powi(3);
        let rim = if blob.stuff == Stuff::Fur { 0.35 * coat.sheen * rim } else { 0.0 };
        let lamp = self.room.lamp(point.x as f32, point.y as f32);
        let light = (0.42 * sky + 0.16 + 0.62 * lit) * open * tone.max(0.2);
        base.map(|c| (c * light + (shine + rim) * open) * lamp)
    }
}

/// Fur bends the light: the surface's direction wobbles.
fn ruffle(noise: &Noise, normal: Vector3<f64>, s: f32, around: f32) -> Vector3<f64> {
    let [a, b, c] = [0.0f32, 31.0, 57.0].map(|o| f64::from(noise.at(s * 30.0 + o, around * 8.0 + o)));
    (normal + 0.22 * Vector3::new(a, b, c)).normalize()
}

/// Whether a point is nearer to the right ear than to the left.
fn which_side(body: &Body, point: Vector3<f64>) -> bool {
    (point - body.points[2]).norm() < (point - body.points[1]).norm()
}

/// How dark the floor is under and beside the animal, on a grid of millimetres.
struct Shadow {
    dark: Vec<f32>,
    low: [f64; 2],
    cols: usize,
    rows: usize,
}

impl Shadow {
    fn new(body: &Body, room: &Room) -> Self {
        let slope = Vector3::new(room.towards.x, room.towards.y, 0.0) / room.towards.z;
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for b in &body.blobs {
            for p in [b.at, b.at - slope * b.at.z] {
                for k in 0..2 {
                    low[k] = low[k].min(p[k] - b.reach - 12.0);
                    high[k] = high[k].max(p[k] + b.reach + 12.0);
                }
            }
        }
        let size = |k: usize| (high[k] - low[k]).clamp(1.0, 4000.0).ceil() as usize;
        let (cols, rows) = (size(0), size(1));
        let mut cast = vec![0.0f32; cols * rows];
        let mut under = vec![0.0f32; cols * rows];
        for b in &body.blobs {
            // What the lamp does not reach: the ellipsoid along the lamp's ray, seen on the floor.
            stamp(
                &mut cast,
                [cols, rows],
                low,
                b.at - slope * b.at.z,
                &b.into,
                &room.towards,
                1.0,
                b.reach * 1.7,
            );
            let near = (1.0 - (b.at.z - b.reach) / 30.0).clamp(0.0, 1.0) as f32;
            stamp(
                &mut under,
                [cols, rows],
                low,
                Vector3::new(b.at.x, b.at.y, 0.0),
                &b.into,
                &Vector3::z(),
                near,
                b.reach,
            );
        }
        soften(&mut cast, cols, rows, 3.0);
        soften(&mut under, cols, rows, 2.0);
        for (c, u) in cast.iter_mut().zip(&under) {
            *c = 1.0 - (1.0 - 0.50 * *c) * (1.0 - 0.42 * u);
        }
        Self { dark: cast, low, cols, rows }
    }

    fn at(&self, x: f64, y: f64) -> f32 {
        let (u, v) = ((x - self.low[0] - 0.5) as f32, (y - self.low[1] - 0.5) as f32);
        bilinear(&self.dark, self.cols, self.rows, u, v)
    }

    fn corners(&self) -> impl Iterator<Item = Vector3<f64>> + use<> {
        let [x, y] = self.low;
        let (w, h) = (self.cols as f64, self.rows as f64);
        [(x, y), (x + w, y), (x, y + h), (x + w, y + h)].into_iter().map(|(x, y)| Vector3::new(x, y, 0.0))
    }
}

/// Marks the cells whose line along `way` meets an ellipsoid; `at` is where the line of its middle ends on the floor.
#[allow(clippy::too_many_arguments)]
fn stamp(
    grid: &mut [f32],
    [cols, rows]: [usize; 2],
    low: [f64; 2],
    at: Vector3<f64>,
    into: &Matrix3<f64>,
    way: &Vector3<f64>,
    dark: f32,
    reach: f64,
) {
    let d = into * way;
    let a = d.norm_squared();
    let span = |k: usize, size: usize| {
        let to = |v: f64| (v - low[k]).clamp(0.0, size as f64) as usize;
        to(at[k] - reach)..to(at[k] + reach + 1.0)
    };
    for j in span(1, rows) {
        for i in span(0, cols) {
            let p = Vector3::new(low[0] + i as f64 + 0.5 - at.x, low[1] + j as f64 + 0.5 - at.y, 0.0);
            let o = into * p;
            let b = o.dot(&d);
            if b * b > a * (o.norm_squared() - 1.0) {
                let cell = &mut grid[j * cols + i];
                *cell = cell.max(dark);
            }
        }
    }
}
