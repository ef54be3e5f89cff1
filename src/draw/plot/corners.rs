//! What a calibration saw: where in a camera's picture the board's corners were, and how they miss.

use super::{DARK, PlotStyle, axes, canvas, failed, legend, number, rgb};
use crate::draw::ColourMap;
use crate::error::Result;
use crate::picture::Picture;
use crate::pose::Keypoint;
use plotters::prelude::*;

/// Cells across and down that should each have seen a corner.
const CELLS: [usize; 2] = [8, 6];

/// Where corners were seen in a picture of `size` (width, height): parts without any are red.
///
/// # Errors
/// As [`super::trajectory`].
pub fn coverage(size: [usize; 2], corners: &[Keypoint], style: &PlotStyle) -> Result<Picture> {
    let [w, h] = size.map(|s| s.max(1) as f64);
    let mut counts = [[0_usize; CELLS[0]]; CELLS[1]];
    for p in corners.iter().filter(|p| p.x.is_finite() && p.y.is_finite()) {
        let part = |v: f64, n: usize| ((v * n as f64).max(0.0) as usize).min(n - 1);
        counts[part(p.y / h, CELLS[1])][part(p.x / w, CELLS[0])] += 1;
    }
    canvas(style, |area| {
        let whole = |v: &f64| number(*v);
        let mut chart = axes(area, 0.0..w, h..0.0, "x (pixels)", "y (pixels)", &whole)?;
        let (cw, ch) = (w / CELLS[0] as f64, h / CELLS[1] as f64);
        for (j, row) in counts.iter().enumerate() {
            for (i, count) in row.iter().enumerate() {
                let (x, y) = (i as f64 * cw, j as f64 * ch);
                let colour = if *count == 0 { RGBColor(250, 214, 210) } else { RGBColor(222, 240, 224) };
                let cell = Rectangle::new([(x, y), (x + cw, y + ch)], colour.filled());
                let rim = Rectangle::new([(x, y), (x + cw, y + ch)], WHITE.stroke_width(2));
                chart.draw_series([cell, rim]).map_err(failed)?;
            }
        }
        let dots =
            corners.iter().map(|p| Circle::new((p.x, p.y), 2, RGBColor(31, 119, 180).mix(0.5).filled()));
        chart.draw_series(dots).map_err(failed)?;
        Ok(())
    })
}

/// How corners miss: from each place in a picture of `size` a line to where it would be projected, `times` as long, coloured by
/// its length in pixels.
///
/// # Errors
/// As [`super::trajectory`].
pub fn misses(
    size: [usize; 2],
    corners: &[(Keypoint, [f64; 2])],
    times: f64,
    style: &PlotStyle,
) -> Result<Picture> {
    let [w, h] = size.map(|s| s.max(1) as f64);
    let mut lengths: Vec<f64> = corners.iter().map(|(_, [x, y])| x.hypot(*y)).collect();
    lengths.sort_by(f64::total_cmp);
    let end = lengths.get(lengths.len() * 99 / 100).copied().unwrap_or(1.0).max(1e-6);
    let colours = ColourMap::named("plasma").unwrap_or_default();
    canvas(style, |area| {
        let steps = [0.0, 0.5, 1.0].map(|s| (format!("{:.2} px", s * end), rgb(colours.at(0.85 * s))));
        let area = legend(area, &steps)?;
        let whole = |v: &f64| number(*v);
        let mut chart = axes(&area, 0.0..w, h..0.0, "x (pixels)", "y (pixels)", &whole)?;
        let frame = Rectangle::new([(0.0, 0.0), (w, h)], DARK.mix(0.3).stroke_width(1));
        chart.draw_series([frame]).map_err(failed)?;
        for (p, [x, y]) in corners {
            let colour = rgb(colours.at(0.85 * (x.hypot(*y) / end).min(1.0)));
            let line = [(p.x, p.y), (p.x + times * x, p.y + times * y)];
            chart.draw_series(LineSeries::new(line, colour.stroke_width(1))).map_err(failed)?;
        }
        Ok(())
    })
}
