//! Plots as pictures: tracks over time and space, learning curves, errors by body part.
//!
//! Every function returns a [`Picture`]; save it with [`Picture::save_png`]. Long tracks are thinned to what the eye can
//! tell apart: the lowest and highest value of each pixel column. Body parts have the colours of the overlays.
//!
//! ```
//! use limn::draw::plot::{self, PlotStyle};
//! use limn::pose::{Keypoint, Skeleton, Tracks};
//! let mut tracks = Tracks::new(Skeleton::single(["snout"]), 100);
//! for i in 0..100 {
//!     tracks.set(i, 0, Keypoint::new(i as f64, 50.0 + (i as f64 / 9.0).sin()), 0.99);
//! }
//! let picture = plot::traces(&tracks, &PlotStyle { fps: Some(30.0), ..PlotStyle::default() })?;
//! assert_eq!((picture.width(), picture.height()), (1200, 720));
//! # Ok::<(), limn::Error>(())
//! ```

mod corners;
mod curves;
mod measured;

pub use corners::{coverage, misses};
pub use curves::{PartError, Progress, learning_curve, part_errors};
pub use measured::{Curve, Group, Measured, error_by_labels, error_histogram, pck, reliability};

use super::overlay::Style;
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::{Keypoint, Skeleton, Tracks};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

/// How plots look.
#[derive(Debug, Clone, PartialEq)]
pub struct PlotStyle {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Cutoff and colours, shared with the overlays.
    pub marks: Style,
    /// Frames a second; with it time is in seconds, without it in frames.
    pub fps: Option<f64>,
    /// Size of the video in pixels; with it trajectories are drawn in the whole frame.
    pub frame: Option<(usize, usize)>,
    /// Written above the plot, such as the video's name.
    pub title: String,
}

impl Default for PlotStyle {
    fn default() -> Self {
        Self {
            width: 1200,
            height: 720,
            marks: Style::default(),
            fps: None,
            frame: None,
            title: String::new(),
        }
    }
}

/// One coordinate of a place.
type Pick = fn(Keypoint) -> f64;
type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const DARK: RGBColor = RGBColor(60, 60, 66);
const GRID: RGBColor = RGBColor(228, 228, 232);

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Format, format!("the plot cannot be drawn: {e}")).mend("choose a larger plot")
}

/// Sets up the picture and the title, and hands the rest to `draw`.
fn canvas(style: &PlotStyle, draw: impl FnOnce(&Area) -> Result<()>) -> Result<Picture> {
    static FONT: OnceLock<bool> = OnceLock::new();
    let known = FONT.get_or_init(|| {
        let bytes = epaint_default_fonts::UBUNTU_LIGHT;
        plotters::style::register_font("sans-serif", FontStyle::Normal, bytes).is_ok()
    });
    if !known {
        return Err(failed("its font cannot be read"));
    }
    if !(320..=16_384).contains(&style.width) || !(200..=16_384).contains(&style.height) {
        return Err(Error::new(Kind::Usage, format!("a plot of {} x {} pixels", style.width, style.height))
            .mend("choose a width from 320 and a height from 200 to 16384 pixels"));
    }
    let mut picture = Picture::new(style.width, style.height);
    {
        let size = (style.width as u32, style.height as u32);
        let root = BitMapBackend::with_buffer(picture.rgb_mut(), size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let rest = if style.title.is_empty() {
            root.margin(10, 6, 6, 10)
        } else {
            let (top, rest) = root.split_vertically(38);
            let words = Text::new(style.title.clone(), (18, 10), ("sans-serif", 22).into_font().color(&DARK));
            top.draw(&words).map_err(failed)?;
            rest.margin(2, 6, 6, 10)
        };
        draw(&rest)?;
        root.present().map_err(failed)?;
    }
    Ok(picture)
}

/// Splits off a column on the right that names the entries.
fn legend<'a>(area: &Area<'a>, entries: &[(String, RGBColor)]) -> Result<Area<'a>> {
    let (width, height) = area.dim_in_pixel();
    let longest = entries.iter().map(|(n, _)| crate::draw::text_width(n, 16.0)).fold(0.0, f64::max) as u32;
    let column = (longest + 46).min(width / 3);
    let (rest, side) = area.split_horizontally(width - column);
    let row = ((f64::from(height) - 30.0) / entries.len().max(1) as f64).clamp(6.0, 22.0);
    let size = (row * 0.8).clamp(5.0, 16.0);
    for (i, (name, colour)) in entries.iter().enumerate() {
        let y = (22.0 + row * i as f64) as i32;
        let half = (row * 0.22).max(1.5) as i32;
        side.draw(&Rectangle::new([(10, y - half), (26, y + half)], colour.filled())).map_err(failed)?;
        let words = Text::new(
            name.clone(),
            (33, y - (size * 0.5) as i32),
            ("sans-serif", size).into_font().color(&DARK),
        );
        side.draw(&words).map_err(failed)?;
    }
    Ok(rest)
}

/// Axes with labels and a light grid.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    x: Range<f64>,
    y: Range<f64>,
    x_label: &str,
    y_label: &str,
    y_format: &dyn Fn(&f64) -> String,
) -> Result<Chart<'a, 'b>> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(16)
        .x_label_area_size(48)
        .y_label_area_size(70)
        .build_cartesian_2d(x, y)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(RGBColor(150, 150, 155))
        .label_style(("sans-serif", 15).into_font().color(&DARK))
        .axis_desc_style(("sans-serif", 17).into_font().color(&DARK))
        .x_desc(x_label)
        .y_desc(y_label)
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&|v| number(*v))
        .y_label_formatter(y_format)
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

/// A tick's number without needless digits.
fn number(v: f64) -> String {
    let size = v.abs();
    if size < 1e-9 {
        "0".into()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{v:.1e}")
    } else {
        let text = format!("{v:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// A range with some room around the finite values, never empty.
fn span(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.04).max(low.abs().max(high.abs()) * 1e-6).max(0.5e-3);
    low - room..high + room
}

fn rgb(c: [u8; 3]) -> RGBColor {
    RGBColor(c[0], c[1], c[2])
}

fn entries(skeleton: &Skeleton, style: &PlotStyle) -> Vec<(String, RGBColor)> {
    skeleton
        .names()
        .enumerate()
        .map(|(i, n)| {
            let alone = n.individual.is_empty() || skeleton.individuals.len() < 2;
            let name = if alone { n.bodypart.to_owned() } else { format!("{} {}", n.individual, n.bodypart) };
            (name, rgb(style.marks.colour(skeleton, i)))
        })
        .collect()
}

/// The unit of time and its label: seconds when the frame rate is known.
fn clock(style: &PlotStyle) -> (f64, &'static str) {
    match style.fps.filter(|f| f.is_finite() && *f > 0.0) {
        Some(fps) => (1.0 / fps, "time (s)"),
        None => (1.0, "frame"),
    }
}

/// The point when it is found, at or above the cutoff, and finite.
fn sure(tracks: &Tracks, frame: usize, point: usize, style: &PlotStyle) -> Option<Keypoint> {
    let (p, likelihood) = tracks.get(frame, point)?;
    (likelihood >= style.marks.cutoff && p.x.is_finite() && p.y.is_finite()).then_some(p)
}

/// Runs of values without gaps; with more than four frames a column only the first, lowest, highest and last of each.
fn thin(count: usize, columns: usize, value: impl Fn(usize) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
    let per = (count / columns.max(1)).max(1);
    let mut runs = vec![Vec::new()];
    let mut bin: Vec<(usize, f64)> = Vec::with_capacity(per);
    let flush = |bin: &mut Vec<(usize, f64)>, runs: &mut Vec<Vec<(f64, f64)>>| {
        let mut keep: Vec<(usize, f64)> = if bin.len() <= 4 {
            bin.clone()
        } else {
            let by = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
            [bin.first(), bin.iter().min_by(by), bin.iter().max_by(by), bin.last()]
                .into_iter()
                .flatten()
                .copied()
                .collect()
        };
        keep.sort_by_key(|k| k.0);
        keep.dedup_by_key(|k| k.0);
        if let Some(run) = runs.last_mut() {
            run.extend(keep.into_iter().map(|(f, v)| (f as f64, v)));
        }
        bin.clear();
    };
    for frame in 0..count {
        match value(frame).filter(|v| v.is_finite()) {
            Some(v) => bin.push((frame, v)),
            None => {
                flush(&mut bin, &mut runs);
                if runs.last().is_some_and(|r| !r.is_empty()) {
                    runs.push(Vec::new());
                }
            }
        }
        if frame % per == per - 1 {
            flush(&mut bin, &mut runs);
        }
    }
    flush(&mut bin, &mut runs);
    runs.retain(|r| !r.is_empty());
    if runs.len() > columns {
        // More gaps than columns: dots say it as well as pieces of line, and one for each place is enough.
        let mut dots: Vec<(f64, f64)> = runs.into_iter().flatten().collect();
        let step = dots.len().div_ceil(8 * columns.max(1)).max(1);
        dots = dots.into_iter().step_by(step).collect();
        return dots.into_iter().map(|d| vec![d]).collect();
    }
    runs
}

fn draw_runs(chart: &mut Chart, runs: Vec<Vec<(f64, f64)>>, unit: f64, colour: RGBAColor) -> Result<()> {
    // Dense lines fill the plot anyway, and thin ones are quick.
    let width = if runs.iter().map(Vec::len).sum::<usize>() < 2000 { 2 } else { 1 };
    for run in runs {
        let run: Vec<_> = run.into_iter().map(|(f, v)| (f * unit, v)).collect();
        match run.as_slice() {
            [one] => chart.draw_series([Circle::new(*one, 1, colour.filled())]).map(|_| ()),
            _ => chart.draw_series(LineSeries::new(run, colour.stroke_width(width))).map(|_| ()),
        }
        .map_err(failed)?;
    }
    Ok(())
}

/// Where each body part went: x against y in the frame's orientation (y down), both in pixels.
///
/// # Errors
/// [`Kind::Usage`] when the plot is too small; as are those of all functions here.
pub fn trajectory(tracks: &Tracks, style: &PlotStyle) -> Result<Picture> {
    let parts = tracks.skeleton.points();
    let all = |pick: Pick| {
        span(
            (0..tracks.frames())
                .flat_map(move |f| (0..parts).filter_map(move |i| sure(tracks, f, i, style)).map(pick)),
        )
    };
    let (x, y) = match style.frame {
        Some((w, h)) if w > 0 && h > 0 => (0.0..w as f64, 0.0..h as f64),
        _ => (all(|p| p.x), all(|p| p.y)),
    };
    canvas(style, |area| {
        let area = legend(area, &entries(&tracks.skeleton, style))?;
        // Pixels are square: leave out what the frame's shape does not need. 94 and 64: the axes' own room.
        let (wide, high) = area.dim_in_pixel();
        let (inner_w, inner_h) = (f64::from(wide) - 94.0, f64::from(high) - 64.0);
        let scale = (inner_w / (x.end - x.start)).min(inner_h / (y.end - y.start));
        let spare = |inner: f64, r: &Range<f64>| (inner - scale * (r.end - r.start)).max(0.0) as u32;
        let area = area.margin(0, spare(inner_h, &y), 0, spare(inner_w, &x));
        let mut chart = axes(&area, x.clone(), y.end..y.start, "x (pixels)", "y (pixels)", &|v| number(*v))?;
        for i in 0..parts {
            let colour = rgb(style.marks.colour(&tracks.skeleton, i)).mix(0.55);
            draw_runs(&mut chart, paths(tracks, i, style, 0.7 / scale), 1.0, colour)?;
        }
        Ok(())
    })
}

/// Pieces of a point's way without gaps; steps shorter than `step` pixels are joined, and more than 40 000 places thinned.
fn paths(tracks: &Tracks, point: usize, style: &PlotStyle, step: f64) -> Vec<Vec<(f64, f64)>> {
    const MOST: usize = 40_000;
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for frame in 0..tracks.frames() {
        let Some(run) = runs.last_mut() else { break };
        match sure(tracks, frame, point, style) {
            Some(p) if run.last().is_none_or(|l| p.distance(Keypoint::new(l.0, l.1)) >= step) => {
                run.push((p.x, p.y));
            }
            None if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|r| !r.is_empty());
    let total: usize = runs.iter().map(Vec::len).sum();
    if total > MOST {
        let every = total.div_ceil(MOST);
        for run in &mut runs {
            *run = std::mem::take(run).into_iter().step_by(every).collect();
        }
        if runs.len() > MOST {
            runs = runs.into_iter().step_by(every).collect();
        }
    }
    runs
}

/// x and y of every body part against time, above each other, in pixels.
///
/// # Errors
/// As [`trajectory`].
pub fn traces(tracks: &Tracks, style: &PlotStyle) -> Result<Picture> {
    let (unit, label) = clock(style);
    canvas(style, |area| {
        let area = legend(area, &entries(&tracks.skeleton, style))?;
        let panels = area.split_evenly((2, 1));
        let (x, y): (Pick, Pick) = (|p| p.x, |p| p.y);
        for (panel, (pick, name)) in panels.iter().zip([(x, "x (pixels)"), (y, "y (pixels)")]) {
            let series =
                |i: usize| thin(tracks.frames(), style.width, |f| sure(tracks, f, i, style).map(pick));
            time_panel(panel, tracks, style, (unit, label), name, None, &series)?;
        }
        Ok(())
    })
}

/// Likelihood of every body part against time, with the cutoff as a dashed line.
///
/// # Errors
/// As [`trajectory`].
pub fn likelihood(tracks: &Tracks, style: &PlotStyle) -> Result<Picture> {
    canvas(style, |area| {
        let area = legend(area, &entries(&tracks.skeleton, style))?;
        let series = |i: usize| {
            thin(tracks.frames(), style.width, |f| tracks.get(f, i).map(|(_, likelihood)| likelihood))
        };
        time_panel(&area, tracks, style, clock(style), "likelihood", Some(-0.03..1.03), &series)
    })
}

fn time_panel(
    area: &Area,
    tracks: &Tracks,
    style: &PlotStyle,
    (unit, label): (f64, &str),
    name: &str,
    range: Option<Range<f64>>,
    series: &dyn Fn(usize) -> Vec<Vec<(f64, f64)>>,
) -> Result<()> {
    let all: Vec<_> = (0..tracks.skeleton.points()).map(series).collect();
    let unbounded = range.is_none();
    let y = range.unwrap_or_else(|| span(all.iter().flatten().flatten().map(|p| p.1)));
    let end = (tracks.frames().max(2) - 1) as f64 * unit;
    let mut chart = axes(area, 0.0..end, y, label, name, &|v| number(*v))?;
    if !unbounded {
        let dashes =
            DashedLineSeries::new([(0.0, style.marks.cutoff), (end, style.marks.cutoff)], 6, 5, DARK.into());
        chart.draw_series(dashes).map_err(failed)?;
    }
    for (i, runs) in all.into_iter().enumerate() {
        draw_runs(&mut chart, runs, unit, rgb(style.marks.colour(&tracks.skeleton, i)).mix(0.85))?;
    }
    Ok(())
}

/// How far every body part moves from one frame to the next, in pixels: how many frames for each distance, on a
/// logarithmic scale, so that rare jumps (mostly mistakes) are seen beside the many small steps.
///
/// # Errors
/// As [`trajectory`].
pub fn histogram(tracks: &Tracks, style: &PlotStyle) -> Result<Picture> {
    const BINS: usize = 80;
    let parts = tracks.skeleton.points();
    let moves = |i: usize| {
        (1..tracks.frames()).filter_map(move |f| {
            Some(sure(tracks, f, i, style)?.distance(sure(tracks, f - 1, i, style)?))
                .filter(|d| d.is_finite())
        })
    };
    let most = (0..parts).flat_map(moves).fold(0.0, f64::max).max(1.0);
    let counts: Vec<Vec<u64>> = (0..parts)
        .map(|i| {
            let mut bins = vec![0; BINS];
            for d in moves(i) {
                if let Some(b) = bins.get_mut(((d / most * BINS as f64) as usize).min(BINS - 1)) {
                    *b += 1;
                }
            }
            bins
        })
        .collect();
    let top = counts.iter().flatten().copied().max().unwrap_or(0).max(10) as f64;
    canvas(style, |area| {
        let area = legend(area, &entries(&tracks.skeleton, style))?;
        // Decades as plain numbers; a count of 0 lies on the floor, a little below 1.
        const FLOOR: f64 = -0.3;
        let decade =
            |v: &f64| if (v - v.round()).abs() < 1e-6 { number(10f64.powf(*v)) } else { String::new() };
        let x_label = "displacement from one frame to the next (pixels)";
        let mut chart = axes(&area, 0.0..most, FLOOR..top.log10() + 0.15, x_label, "frames", &decade)?;
        for (i, bins) in counts.iter().enumerate() {
            let colour = rgb(style.marks.colour(&tracks.skeleton, i)).mix(0.9);
            let mut steps = vec![(0.0, FLOOR)];
            for (b, count) in bins.iter().enumerate() {
                let v = if *count == 0 { FLOOR } else { (*count as f64).log10() };
                let edge = |k: usize| k as f64 * most / BINS as f64;
                steps.extend([(edge(b), v), (edge(b + 1), v)]);
            }
            chart.draw_series(LineSeries::new(steps, colour.stroke_width(2))).map_err(failed)?;
        }
        Ok(())
    })
}

/// The four pictures of `plot-poses`, with DeepLabCut's names for them.
///
/// # Errors
/// As [`trajectory`].
pub fn poses(tracks: &Tracks, style: &PlotStyle) -> Result<[(&'static str, Picture); 4]> {
    Ok([
        ("trajectory", trajectory(tracks, style)?),
        ("plot", traces(tracks, style)?),
        ("plot-likelihood", likelihood(tracks, style)?),
        ("hist", histogram(tracks, style)?),
    ])
}

#[cfg(test)]
mod tests;
