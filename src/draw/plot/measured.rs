//! What was measured of a network: how many points lie how near, and what its likelihood is worth.

use super::{DARK, GRID, PlotStyle, axes, canvas, failed, legend, number};
use crate::error::Result;
use crate::picture::Picture;
use plotters::prelude::*;

const BLUE: RGBColor = RGBColor(31, 119, 180);
const GREY: RGBColor = RGBColor(165, 165, 172);

/// One line of a plot.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Its places, x rising.
    pub points: Vec<(f64, f64)>,
    /// Red, green, blue.
    pub colour: [u8; 3],
}

/// The share of points (0 to 1) within a distance in pixels: thin lines by body part, `all` as a thick dark one. `marks`
/// are dashed lines at distances that mean something, with a word.
///
/// # Errors
/// As [`super::trajectory`].
pub fn pck(
    all: &[(f64, f64)],
    parts: &[Curve],
    marks: &[(f64, String)],
    style: &PlotStyle,
) -> Result<Picture> {
    let end = all.last().map_or(1.0, |p| p.0).max(1e-3);
    canvas(style, |area| {
        let mut names = vec![("all points".to_owned(), DARK)];
        names.extend(parts.iter().map(|c| (c.name.clone(), super::rgb(c.colour))));
        let area = legend(area, &names)?;
        let percent = |v: &f64| format!("{:.0} %", 100.0 * v);
        let label = "distance from the label (pixels)";
        let mut chart = axes(&area, 0.0..end, 0.0..1.02, label, "points within it", &percent)?;
        for (i, (px, word)) in marks.iter().enumerate().filter(|(_, (px, _))| *px <= end) {
            let line = DashedLineSeries::new([(*px, 0.0), (*px, 1.02)], 5, 5, GREY.into());
            chart.draw_series(line).map_err(failed)?;
            let font = ("sans-serif", 15).into_font().color(&DARK);
            let at = EmptyElement::at((*px, 0.06 * (i + 1) as f64)) + Text::new(word.clone(), (5, 0), font);
            chart.draw_series([at]).map_err(failed)?;
        }
        for curve in parts {
            let stroke = super::rgb(curve.colour).mix(0.85).stroke_width(2);
            chart.draw_series(LineSeries::new(curve.points.iter().copied(), stroke)).map_err(failed)?;
        }
        chart.draw_series(LineSeries::new(all.iter().copied(), DARK.stroke_width(4))).map_err(failed)?;
        Ok(())
    })
}

/// One group of points in a [`reliability`] diagram, all 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Mean likelihood of its points.
    pub likelihood: f64,
    /// The share of them that is right.
    pub share: f64,
    /// The interval of that share.
    pub interval: [f64; 2],
}

/// Likelihood against the share of points that came true: on the diagonal a likelihood means what it says. Each series
/// has a name; the first is drawn in grey, the second in blue.
///
/// # Errors
/// As [`super::trajectory`].
pub fn reliability(series: &[(String, Vec<Group>)], right: &str, style: &PlotStyle) -> Result<Picture> {
    canvas(style, |area| {
        let colours = || [GREY, BLUE].into_iter().cycle();
        let names: Vec<_> = series.iter().zip(colours()).map(|((n, _), c)| (n.clone(), c)).collect();
        let area = legend(area, &names)?;
        let tenth = |v: &f64| number(*v);
        let mut chart = axes(&area, 0.0..1.02, 0.0..1.02, "likelihood", right, &tenth)?;
        let diagonal = DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 6, 5, DARK.into());
        chart.draw_series(diagonal).map_err(failed)?;
        for ((_, groups), colour) in series.iter().zip(colours()) {
            for g in groups {
                let bar =
                    LineSeries::new(g.interval.map(|v| (g.likelihood, v)), colour.mix(0.7).stroke_width(2));
                chart.draw_series(bar).map_err(failed)?;
            }
            let line =
                LineSeries::new(groups.iter().map(|g| (g.likelihood, g.share)), colour.stroke_width(2));
            chart.draw_series(line).map_err(failed)?;
            let dots = groups.iter().map(|g| Circle::new((g.likelihood, g.share), 5, colour.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
        Ok(())
    })
}

/// How many points are off by how much, in pixels, up to `end`; all beyond are in the last bar, whose label says so.
///
/// # Errors
/// As [`super::trajectory`].
pub fn error_histogram(errors: &[f64], end: f64, style: &PlotStyle) -> Result<Picture> {
    const BARS: usize = 40;
    let end = if end.is_finite() && end > 0.0 { end } else { 1.0 };
    let mut counts = [0_usize; BARS + 1];
    for e in errors.iter().filter(|e| **e >= 0.0) {
        let bar = if *e >= end { BARS } else { ((e / end * BARS as f64) as usize).min(BARS - 1) };
        counts[bar] += 1;
    }
    let top = counts.iter().copied().max().unwrap_or(0).max(1) as f64 * 1.08;
    let width = end / BARS as f64;
    canvas(style, |area| {
        let whole = |v: &f64| if (v - v.round()).abs() < 1e-6 { number(*v) } else { String::new() };
        let label = "distance from the label (pixels)";
        let mut chart = axes(area, 0.0..end + 3.0 * width, 0.0..top, label, "labelled points", &whole)?;
        for (i, count) in counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            // What is beyond stands a little apart.
            let from = i as f64 * width + if i == BARS { width } else { 0.0 };
            let colour = if i == BARS { RGBColor(214, 39, 40) } else { BLUE };
            let bar = Rectangle::new([(from, 0.0), (from + 0.92 * width, *count as f64)], colour.filled());
            chart.draw_series([bar]).map_err(failed)?;
            if i == BARS {
                let font = ("sans-serif", 15).into_font().color(&DARK);
                let words = Text::new(format!("{count} beyond"), (-76, -18), font);
                chart.draw_series([EmptyElement::at((from, *count as f64)) + words]).map_err(failed)?;
            }
        }
        Ok(())
    })
}

/// A measured error: number of labelled frames, mean in pixels, and its interval where there is one.
pub type Measured = (f64, f64, Option<[f64; 2]>);

/// Error against the number of labelled frames: what was measured, the fitted curve, and what is to be expected of more
/// frames.
///
/// # Errors
/// As [`super::trajectory`].
pub fn error_by_labels(
    measured: &[Measured],
    fit: &[(f64, f64)],
    expected: Option<Measured>,
    style: &PlotStyle,
) -> Result<Picture> {
    let all = || measured.iter().chain(&expected);
    let highest = |m: &Measured| m.2.map_or(m.1, |[_, high]| high.max(m.1));
    let top =
        all().map(highest).chain(fit.iter().map(|p| p.1)).filter(|v| v.is_finite()).fold(1e-3, f64::max);
    let end = all().map(|m| m.0).fold(1.0, f64::max) * 1.06;
    canvas(style, |area| {
        let expected_colour = RGBColor(255, 127, 14);
        let mut names = vec![("measured".to_owned(), BLUE), ("fitted".to_owned(), GREY)];
        names.extend(expected.map(|_| ("to be expected".to_owned(), expected_colour)));
        let area = legend(area, &names)?;
        let label = "labelled frames to train on";
        let mut chart =
            axes(&area, 0.0..end, 0.0..top * 1.08, label, "mean test error (pixels)", &|v| number(*v))?;
        chart.draw_series(LineSeries::new(fit.iter().copied(), GREY.stroke_width(3))).map_err(failed)?;
        let series = measured.iter().map(|m| (m, BLUE)).chain(expected.iter().map(|m| (m, expected_colour)));
        for ((frames, px, interval), colour) in series {
            if let Some(interval) = interval {
                let bar = LineSeries::new(interval.map(|v| (*frames, v)), colour.stroke_width(2));
                chart.draw_series(bar).map_err(failed)?;
            }
            let font = ("sans-serif", 15).into_font().color(&DARK);
            let dot = EmptyElement::at((*frames, *px))
                + Circle::new((0, 0), 6, colour.filled())
                + Text::new(format!("{px:.2}"), (9, -18), font);
            chart.draw_series([dot]).map_err(failed)?;
        }
        let floor = PathElement::new([(0.0, 0.0), (end, 0.0)], GRID);
        chart.draw_series([floor]).map_err(failed)?;
        Ok(())
    })
}
