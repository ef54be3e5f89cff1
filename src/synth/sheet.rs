//! A piece of a frame to paint on, in linear light, and the shapes and blurs to paint with.

use super::noise::mix;

pub(super) type Colour = [f32; 3];

pub(super) struct Ellipse {
    pub(super) at: [f32; 2],
    axis: [f32; 2],
    pub(super) a: f32,
    pub(super) b: f32,
}

impl Ellipse {
    pub(super) fn new(at: [f64; 2], front: [f64; 2], turn: f64, radii: (f64, f64), scale: f32) -> Self {
        // A positive turn goes to the animal's left.
        let (s, c) = (-turn).sin_cos();
        let axis = [(front[0] * c - front[1] * s) as f32, (front[0] * s + front[1] * c) as f32];
        let at = at.map(|v| v as f32);
        Self { at, axis, a: radii.0 as f32 * scale, b: radii.1 as f32 * scale }
    }

    pub(super) fn reach(&self) -> f32 {
        self.a.max(self.b) + 1.0
    }

    /// 0 at the centre, 1 on the outline.
    #[inline]
    pub(super) fn level(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.at[0], y - self.at[1]);
        let u = (dx * self.axis[0] + dy * self.axis[1]) / self.a;
        let v = (dy * self.axis[0] - dx * self.axis[1]) / self.b;
        (u * u + v * v).sqrt()
    }
}

/// A cut-out of the frame in linear light.
pub(super) struct Sheet {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) rgb: Vec<f32>,
}

impl Sheet {
    /// The box of `all` points and `margin` pixels around it, within the frame.
    pub(super) fn around(
        all: impl Iterator<Item = [f64; 2]>,
        margin: f32,
        width: usize,
        height: usize,
    ) -> Self {
        let mut low = [f64::INFINITY; 2];
        let mut high = [f64::NEG_INFINITY; 2];
        for p in all {
            for k in 0..2 {
                low[k] = low[k].min(p[k]);
                high[k] = high[k].max(p[k]);
            }
        }
        let start = |v: f64, limit: usize| (v - f64::from(margin)).floor().clamp(0.0, limit as f64) as usize;
        let end = |v: f64, limit: usize| (v + f64::from(margin)).ceil().clamp(0.0, limit as f64) as usize;
        let (x, y) = (start(low[0], width), start(low[1], height));
        let (w, h) = (end(high[0], width).saturating_sub(x), end(high[1], height).saturating_sub(y));
        Self { x, y, width: w, height: h, rgb: vec![0.0; w * h * 3] }
    }

    pub(super) fn take(&mut self, ground: &[f32], width: usize) {
        for (j, row) in self.rgb.chunks_exact_mut((self.width * 3).max(1)).enumerate() {
            let from = ((self.y + j) * width + self.x) * 3;
            row.copy_from_slice(&ground[from..from + row.len()]);
        }
    }

    /// Calls `f(x, y, index)` with the centre of every pixel within `reach` of the box of two points.
    #[inline]
    pub(super) fn each(
        &mut self,
        p: [f32; 2],
        q: [f32; 2],
        reach: f32,
        mut f: impl FnMut(f32, f32, usize, &mut Self),
    ) {
        let span = |a: f32, b: f32, from: usize, size: usize| {
            let low = (a.min(b) - reach - from as f32).floor().clamp(0.0, size as f32) as usize;
            let high = (a.max(b) + reach - from as f32).ceil().clamp(0.0, size as f32) as usize;
            low..high.max(low)
        };
        let columns = span(p[0], q[0], self.x, self.width);
        for j in span(p[1], q[1], self.y, self.height) {
            for i in columns.clone() {
                let (x, y) = ((self.x + i) as f32 + 0.5, (self.y + j) as f32 + 0.5);
                f(x, y, j * self.width + i, self);
            }
        }
    }

    #[inline]
    pub(super) fn blend(&mut self, at: usize, colour: Colour, cover: f32) {
        for (v, c) in self.rgb[at * 3..at * 3 + 3].iter_mut().zip(colour) {
            *v += (c - *v) * cover;
        }
    }

    #[inline]
    pub(super) fn add(&mut self, at: usize, light: f32) {
        self.rgb[at * 3..at * 3 + 3].iter_mut().for_each(|v| *v += light);
    }

    pub(super) fn hair(&mut self, from: [f64; 2], to: [f64; 2], colour: Colour, strength: f32) {
        let (p, q) = (from.map(|v| v as f32), to.map(|v| v as f32));
        let (dx, dy) = (q[0] - p[0], q[1] - p[1]);
        let inverse = 1.0 / (dx * dx + dy * dy).max(1e-9);
        self.each(p, q, 2.0, |x, y, at, sheet| {
            let (ex, ey) = (x - p[0], y - p[1]);
            let t = ((ex * dx + ey * dy) * inverse).clamp(0.0, 1.0);
            let d = (ex - t * dx).hypot(ey - t * dy);
            sheet.blend(at, colour, strength * (1.0 - 0.8 * t) * (1.0 - d).max(0.0));
        });
    }

    /// The lens is not quite sharp: each pixel leaks `leak` to either neighbour.
    pub(super) fn defocus(&mut self, leak: f32) {
        if leak <= 0.0 || self.width < 3 || self.height < 3 {
            return;
        }
        let row = self.width * 3;
        let keep = 1.0 - 2.0 * leak;
        let source = self.rgb.clone();
        for (to, from) in self.rgb.chunks_exact_mut(row).zip(source.chunks_exact(row)) {
            for i in 3..row - 3 {
                to[i] = keep * from[i] + leak * (from[i - 3] + from[i + 3]);
            }
        }
        let source = self.rgb.clone();
        for j in 1..self.height - 1 {
            for i in j * row..(j + 1) * row {
                self.rgb[i] = keep * source[i] + leak * (source[i - row] + source[i + row]);
            }
        }
    }
}

pub(super) fn smooth_min(a: f32, b: f32, k: f32) -> f32 {
    let h = (0.5 + 0.5 * (b - a) / k).clamp(0.0, 1.0);
    mix(b, a, h) - k * h * (1.0 - h)
}

/// Two box blurs of about `radius` pixels in each direction.
pub(super) fn soften(field: &mut [f32], cols: usize, rows: usize, radius: f32) {
    let r = radius.round().max(1.0) as usize;
    let mut line = vec![0.0f32; cols.max(rows)];
    for _ in 0..2 {
        for j in 0..rows {
            box_blur(&mut field[j * cols..(j + 1) * cols], &mut line, r);
        }
        // Down the columns a whole row at a time, which the cache likes.
        let source = field.to_vec();
        let mut sum = vec![0.0f32; cols];
        let share = 1.0 / (2 * r + 1) as f32;
        for j in 0..rows + r {
            if j < rows {
                for (s, v) in sum.iter_mut().zip(&source[j * cols..]) {
                    *s += v;
                }
            }
            if j > 2 * r {
                for (s, v) in sum.iter_mut().zip(&source[(j - 2 * r - 1) * cols..]) {
                    *s -= v;
                }
            }
            if j >= r {
                for (f, s) in field[(j - r) * cols..(j - r + 1) * cols].iter_mut().zip(&sum) {
                    *f = (s * share).max(0.0);
                }
            }
        }
    }
}

pub(super) fn box_blur(values: &mut [f32], copy: &mut [f32], r: usize) {
    let n = values.len();
    copy[..n].copy_from_slice(values);
    let share = 1.0 / (2 * r + 1) as f32;
    let mut sum = 0.0;
    for i in 0..n + r {
        if i < n {
            sum += copy[i];
        }
        if i > 2 * r {
            sum -= copy[i - 2 * r - 1];
        }
        if i >= r {
            values[i - r] = (sum * share).max(0.0);
        }
    }
}

pub(super) fn bilinear(field: &[f32], cols: usize, rows: usize, x: f32, y: f32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    if fx < 0.0 || fy < 0.0 || fx as usize + 1 >= cols || fy as usize + 1 >= rows {
        return 0.0;
    }
    let (u, v, at) = (x - fx, y - fy, fy as usize * cols + fx as usize);
    let top = mix(field[at], field[at + 1], u);
    mix(top, mix(field[at + cols], field[at + cols + 1], u), v)
}

pub(super) fn unit3(v: [f32; 3]) -> [f32; 3] {
    let n = dot(v, v).sqrt().max(1e-9);
    v.map(|c| c / n)
}

pub(super) fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
