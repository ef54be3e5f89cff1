use crate::error::{Error, Kind, Result};
use std::f64::consts::PI;

/// Colours for body parts, by the names that matplotlib (and so a project's `colormap`) uses; `_r` reverses.
///
/// ```
/// use limn::draw::ColourMap;
/// let map = ColourMap::named("rainbow")?;
/// assert_eq!(map.pick(0, 4), [128, 0, 255]);
/// assert_ne!(map.pick(3, 4), map.pick(0, 4));
/// assert!(ColourMap::named("rainbo").unwrap_err().to_string().contains("rainbow"));
/// # Ok::<(), limn::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColourMap {
    /// In `RULES`; the first, rainbow, is the default.
    entry: usize,
    reversed: bool,
}

#[derive(Clone, Copy)]
enum Rule {
    /// Red, green and blue 0 to 1 from 0 to 1.
    Formula(fn(f64) -> [f64; 3]),
    Smooth(colorous::Gradient),
    Listed(&'static [colorous::Color]),
}

const RULES: [(&str, Rule); 27] = [
    ("rainbow", Rule::Formula(|x| [(2.0 * x - 0.5).abs(), (PI * x).sin(), (PI * x / 2.0).cos()])),
    ("jet", Rule::Formula(jet)),
    ("hsv", Rule::Formula(hsv)),
    ("hot", Rule::Formula(|x| [0.0416 + x / 0.381, (x - 0.365) / 0.381, (x - 0.746) / 0.254])),
    ("cool", Rule::Formula(|x| [x, 1.0 - x, 1.0])),
    ("spring", Rule::Formula(|x| [1.0, x, 1.0 - x])),
    ("summer", Rule::Formula(|x| [x, 0.5 + 0.5 * x, 0.4])),
    ("autumn", Rule::Formula(|x| [1.0, x, 0.0])),
    ("winter", Rule::Formula(|x| [0.0, x, 1.0 - 0.5 * x])),
    ("gray", Rule::Formula(|x| [x; 3])),
    ("viridis", Rule::Smooth(colorous::VIRIDIS)),
    ("plasma", Rule::Smooth(colorous::PLASMA)),
    ("inferno", Rule::Smooth(colorous::INFERNO)),
    ("magma", Rule::Smooth(colorous::MAGMA)),
    ("cividis", Rule::Smooth(colorous::CIVIDIS)),
    ("turbo", Rule::Smooth(colorous::TURBO)),
    ("Spectral", Rule::Smooth(colorous::SPECTRAL)),
    ("RdYlBu", Rule::Smooth(colorous::RED_YELLOW_BLUE)),
    ("tab10", Rule::Listed(&colorous::CATEGORY10)),
    ("Set1", Rule::Listed(&colorous::SET1)),
    ("Set2", Rule::Listed(&colorous::SET2)),
    ("Set3", Rule::Listed(&colorous::SET3)),
    ("Paired", Rule::Listed(&colorous::PAIRED)),
    ("Dark2", Rule::Listed(&colorous::DARK2)),
    ("Accent", Rule::Listed(&colorous::ACCENT)),
    ("Pastel1", Rule::Listed(&colorous::PASTEL1)),
    ("Pastel2", Rule::Listed(&colorous::PASTEL2)),
];

/// Straight lines between `(x, value)` nodes.
fn between(nodes: &[(f64, f64)], x: f64) -> f64 {
    nodes.windows(2).find(|w| x <= w[1].0).map_or_else(
        || nodes.last().map_or(0.0, |n| n.1),
        |w| w[0].1 + (w[1].1 - w[0].1) * ((x - w[0].0) / (w[1].0 - w[0].0)).clamp(0.0, 1.0),
    )
}

fn jet(x: f64) -> [f64; 3] {
    [
        between(&[(0.35, 0.0), (0.66, 1.0), (0.89, 1.0), (1.0, 0.5)], x),
        between(&[(0.125, 0.0), (0.375, 1.0), (0.64, 1.0), (0.91, 0.0)], x),
        between(&[(0.0, 0.5), (0.11, 1.0), (0.34, 1.0), (0.65, 0.0)], x),
    ]
}

fn hsv(x: f64) -> [f64; 3] {
    [0.0, 2.0, 4.0].map(|shift| 2.0 - ((x * 6.0 - shift + 3.0).rem_euclid(6.0) - 3.0).abs())
}

impl ColourMap {
    /// The map of this name; upper and lower case do not matter.
    ///
    /// # Errors
    /// [`Kind::Config`] when there is none; the message lists all.
    pub fn named(name: &str) -> Result<Self> {
        let find = |n: &str| RULES.iter().position(|(m, _)| m.eq_ignore_ascii_case(n));
        let plain = find(name).map(|entry| Self { entry, reversed: false });
        plain
            .or_else(|| find(name.strip_suffix("_r")?).map(|entry| Self { entry, reversed: true }))
            .ok_or_else(|| {
                let all: Vec<_> = Self::names().collect();
                Error::new(Kind::Config, format!("there is no colormap {name:?}"))
                    .mend(format!("choose one of {} (add _r to reverse it)", all.join(", ")))
            })
    }

    /// All names, without the reversed ones.
    pub fn names() -> impl Iterator<Item = &'static str> {
        RULES.iter().map(|(name, _)| *name)
    }

    /// This map's name.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}{}", RULES[self.entry].0, if self.reversed { "_r" } else { "" })
    }

    /// The colour at `x`, 0 to 1; the ends beyond that.
    #[must_use]
    pub fn at(self, x: f64) -> [u8; 3] {
        let x = if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) };
        let x = if self.reversed { 1.0 - x } else { x };
        // Matplotlib's tables have 256 entries.
        let fine = (x * 256.0).floor().min(255.0) / 255.0;
        let rgb = |c: colorous::Color| [c.r, c.g, c.b];
        match RULES[self.entry].1 {
            Rule::Formula(f) => f(fine).map(|v| (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8),
            Rule::Smooth(g) => rgb(g.eval_continuous(fine)),
            Rule::Listed(list) => list
                .get(((x * list.len() as f64) as usize).min(list.len().saturating_sub(1)))
                .map_or([0; 3], |c| rgb(*c)),
        }
    }

    /// The colour of item `index` of `count`, spread over the whole map as matplotlib's `get_cmap(name, count)` does.
    #[must_use]
    pub fn pick(self, index: usize, count: usize) -> [u8; 3] {
        self.at(index as f64 / count.saturating_sub(1).max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_agree_with_matplotlib() {
        // plt.get_cmap(name, count)(index), times 255, rounded
        for (name, index, count, want) in [
            ("rainbow", 1, 4, [43u8, 220, 221]),
            ("rainbow", 3, 4, [255, 0, 0]),
            ("jet", 1, 3, [124, 255, 121]),
            ("jet_r", 0, 3, [128, 0, 0]),
            ("viridis", 0, 2, [68, 1, 84]),
            ("plasma", 2, 3, [240, 249, 33]),
            ("cool", 1, 3, [128, 127, 255]),
            ("tab10", 3, 4, [23, 190, 207]),
            ("hsv", 0, 4, [255, 0, 0]),
        ] {
            let got = ColourMap::named(name).unwrap().pick(index, count);
            let off = got.iter().zip(want).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 3, "{name} {index}/{count}: {got:?}, want {want:?}");
        }
    }

    #[test]
    fn every_name_is_found_and_no_number_breaks_it() {
        for name in ColourMap::names() {
            let map = ColourMap::named(&format!("{name}_r")).unwrap();
            assert_eq!(map.name(), format!("{name}_r"));
            for x in [f64::NAN, -1.0, 0.0, 0.5, 1.0, 7.0, f64::INFINITY] {
                let _ = map.at(x);
            }
            let _ = (map.pick(0, 0), map.pick(9, 1));
        }
    }
}
