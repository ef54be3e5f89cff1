use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Smooth random texture: a square table of random values that repeats, read between its entries.
pub(super) struct Noise(Vec<f32>);

const SIDE: usize = 256;

impl Noise {
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        Self((0..SIDE * SIDE).map(|_| rng.random_range(-1.0..1.0)).collect())
    }

    /// The value at (x, y), -1 to 1; entries lie one unit apart.
    #[inline]
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (x.floor(), y.floor());
        let (u, v) = (x - fx, y - fy);
        let (u, v) = (u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v));
        // Casts of floats saturate and the mask keeps every index in the table.
        let (ix, iy) = (fx as i64 as usize, fy as i64 as usize);
        let get = |x: usize, y: usize| self.0[(y & (SIDE - 1)) * SIDE + (x & (SIDE - 1))];
        let top = get(ix, iy) + (get(ix.wrapping_add(1), iy) - get(ix, iy)) * u;
        let (a, b) = (get(ix, iy.wrapping_add(1)), get(ix.wrapping_add(1), iy.wrapping_add(1)));
        top + (a + (b - a) * u - top) * v
    }

    /// Several octaves, each twice as fine and `fall` times as strong; about -1 to 1.
    pub(super) fn octaves(&self, mut x: f32, mut y: f32, count: usize, fall: f32) -> f32 {
        let (mut sum, mut weight, mut total) = (0.0, 1.0, 0.0);
        for _ in 0..count {
            sum += self.at(x, y) * weight;
            total += weight;
            weight *= fall;
            // Turned a little each time, so that the lattices do not line up.
            (x, y) = (1.6 * x - 1.2 * y + 17.3, 1.2 * x + 1.6 * y + 5.1);
        }
        sum / total.max(1e-6)
    }
}

/// 0 at `a` and before it, 1 at `b` and beyond it, smooth between.
#[inline]
pub(super) fn smoothstep(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[inline]
pub(super) fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}
