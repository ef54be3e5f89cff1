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

/// One row of a training's log. Errors are mean distances in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Optimiser steps so far.
    pub step: f64,
    /// Training loss, when measured here.
    pub loss: Option<f64>,
    /// Error on training pictures, when measured here.
    pub train_px: Option<f64>,
    /// Error on test pictures, when measured here.
    pub test_px: Option<f64>,
}

/// Mean error of one body part in pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartError {
    /// The body part.
    pub name: String,
    /// On training pictures.
    pub train: Option<f64>,
    /// On test pictures.
    pub test: Option<f64>,
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const DARK: RGBColor = RGBColor(60, 60, 66);
const GRID: RGBColor = RGBColor(228, 228, 232);
const BLUE_LINE: RGBColor = RGBColor(31, 119, 180);
const ORANGE_LINE: RGBColor = RGBColor(255, 127, 14);

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
    let longest = entries.iter().map(|(n, _)| super::text_width(n, 16.0)).fold(0.0, f64::max) as u32;
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
    } else if size >= 1e6 || size < 1e-3 {
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
    for run in runs {
        let run: Vec<_> = run.into_iter().map(|(f, v)| (f * unit, v)).collect();
        match run.as_slice() {
            [one] => chart.draw_series([Circle::new(*one, 1, colour.filled())]).map(|_| ()),
            _ => chart.draw_series(LineSeries::new(run, colour.stroke_width(1))).map(|_| ()),
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
    let all = |pick: fn(Keypoint) -> f64| {
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
            for run in paths(tracks, i, style, 0.7 / scale) {
                match run.as_slice() {
                    [one] => chart.draw_series([Circle::new(*one, 1, colour.filled())]).map(|_| ()),
                    _ => chart.draw_series(LineSeries::new(run, colour.stroke_width(1))).map(|_| ()),
                }
                .map_err(failed)?;
            }
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
            Some(p) => {
                if run.last().is_none_or(|l| p.distance(Keypoint::new(l.0, l.1)) >= step) {
                    run.push((p.x, p.y));
                }
            }
            None if !run.is_empty() => runs.push(Vec::new()),
            None => {}
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
        let picks: [(fn(Keypoint) -> f64, &str); 2] = [(|p| p.x, "x (pixels)"), (|p| p.y, "y (pixels)")];
        for (panel, (pick, name)) in panels.iter().zip(picks) {
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

/// Loss (above, logarithmic) and errors in pixels (below) against the step of training.
///
/// # Errors
/// As [`trajectory`].
pub fn learning_curve(rows: &[Progress], style: &PlotStyle) -> Result<Picture> {
    let column = |pick: fn(&Progress) -> Option<f64>| -> Vec<(f64, f64)> {
        let found: Vec<_> = rows
            .iter()
            .filter_map(|r| Some((r.step, pick(r)?)))
            .filter(|(s, v)| s.is_finite() && v.is_finite())
            .collect();
        // Single steps are noisy; a long log shows the mean of each pixel column.
        let per = found.len().div_ceil(style.width.max(1)).max(1);
        found
            .chunks(per)
            .map(|c| {
                let n = c.len() as f64;
                (c.iter().map(|p| p.0).sum::<f64>() / n, c.iter().map(|p| p.1).sum::<f64>() / n)
            })
            .collect()
    };
    let loss: Vec<_> =
        column(|r| r.loss).into_iter().filter(|p| p.1 > 0.0).map(|(s, v)| (s, v.log10())).collect();
    let (train, test) = (column(|r| r.train_px), column(|r| r.test_px));
    let steps = rows.iter().map(|r| r.step).filter(|s| s.is_finite()).fold(1.0, f64::max);
    let both = || train.iter().chain(&test).map(|p| p.1);
    canvas(style, |area| {
        let names = [("loss", DARK), ("train error", BLUE_LINE), ("test error", ORANGE_LINE)];
        let area = legend(area, &names.map(|(n, c)| (n.to_owned(), c)))?;
        let panels = area.split_evenly((2, 1));
        let [above, below] = panels.as_slice() else { return Ok(()) };
        let power = |v: &f64| format!("{:.2e}", 10f64.powf(*v));
        let mut chart = axes(above, 0.0..steps, span(loss.iter().map(|p| p.1)), "step", "loss", &power)?;
        draw_runs(&mut chart, vec![loss.clone()], 1.0, DARK.mix(0.9))?;
        let y = 0.0..span(both()).end.max(1e-3);
        let mut chart = axes(below, 0.0..steps, y, "step", "mean error (pixels)", &|v| number(*v))?;
        for (series, colour) in [(&train, BLUE_LINE), (&test, ORANGE_LINE)] {
            let line = LineSeries::new(series.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line).map_err(failed)?;
            if series.len() < 120 {
                let dots = series.iter().map(|p| Circle::new(*p, 4, colour.filled()));
                chart.draw_series(dots).map_err(failed)?;
            }
        }
        Ok(())
    })
}

/// Mean error of each body part in pixels, training and test beside each other.
///
/// # Errors
/// As [`trajectory`].
pub fn part_errors(parts: &[PartError], style: &PlotStyle) -> Result<Picture> {
    let good = |v: Option<f64>| v.filter(|v| v.is_finite() && *v >= 0.0);
    let most = parts.iter().flat_map(|p| [good(p.train), good(p.test)]).flatten().fold(0.0, f64::max);
    let most = if most > 0.0 { most * 1.12 } else { 1.0 };
    canvas(style, |area| {
        let names = [("train", BLUE_LINE), ("test", ORANGE_LINE)].map(|(n, c)| (n.to_owned(), c));
        let area = legend(area, &names)?;
        let (width, height) = area.dim_in_pixel();
        let row = (f64::from(height) - 64.0) / parts.len().max(1) as f64;
        let size = (row * 0.5).clamp(5.0, 16.0);
        let longest = parts.iter().map(|p| super::text_width(&p.name, size)).fold(0.0, f64::max);
        let (left, right) = area.split_horizontally(((longest as u32) + 24).min(width / 2));
        let mut chart = ChartBuilder::on(&right)
            .margin(8)
            .margin_right(20)
            .x_label_area_size(48)
            .build_cartesian_2d(0.0..most, 0.0..parts.len().max(1) as f64)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .disable_y_mesh()
            .axis_style(RGBColor(150, 150, 155))
            .label_style(("sans-serif", 15).into_font().color(&DARK))
            .axis_desc_style(("sans-serif", 17).into_font().color(&DARK))
            .x_desc("mean error (pixels)")
            .x_label_formatter(&|v| number(*v))
            .draw()
            .map_err(failed)?;
        for (i, part) in parts.iter().enumerate() {
            let base = (parts.len() - 1 - i) as f64; // the first on top
            for (value, colour, from) in [(part.train, BLUE_LINE, 0.52), (part.test, ORANGE_LINE, 0.16)] {
                if let Some(v) = good(value) {
                    let corners = [(0.0, base + from), (v, base + from + 0.32)];
                    chart.draw_series([Rectangle::new(corners, colour.filled())]).map_err(failed)?;
                    if row > 18.0 {
                        let font = ("sans-serif", (row * 0.28).clamp(9.0, 14.0)).into_font().color(&DARK);
                        let place = EmptyElement::at((v, base + from + 0.16))
                            + Text::new(format!("{v:.2}"), (4, -(row * 0.14).clamp(4.0, 7.0) as i32), font);
                        chart.draw_series([place]).map_err(failed)?;
                    }
                }
            }
            let y = 8.0 + row * (i as f64 + 0.5) - size * 0.5;
            let x = (f64::from(left.dim_in_pixel().0) - super::text_width(&part.name, size) - 2.0).max(0.0);
            let words = Text::new(
                part.name.clone(),
                (x as i32, y as i32),
                ("sans-serif", size).into_font().color(&DARK),
            );
            left.draw(&words).map_err(failed)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(frames: usize) -> Tracks {
        let mut t = Tracks::new(Skeleton::single(["snout", "tailbase"]), frames);
        for f in 0..frames {
            let a = f as f64 / 40.0;
            let likelihood = if f % 97 == 0 { 0.1 } else { 0.97 };
            t.set(f, 0, Keypoint::new(200.0 + 90.0 * a.cos(), 150.0 + 80.0 * (1.3 * a).sin()), likelihood);
            if f % 50 > 3 {
                t.set(f, 1, Keypoint::new(230.0 + 90.0 * a.cos(), 160.0 + 80.0 * (1.3 * a).sin()), 0.9);
            }
        }
        t
    }

    /// How many pixels have exactly or nearly the colour.
    fn ink(p: &Picture, colour: [u8; 3]) -> usize {
        p.rgb().chunks_exact(3).filter(|c| c.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 40)).count()
    }

    #[test]
    fn every_plot_shows_every_part() {
        let tracks = walk(900);
        let style = PlotStyle {
            width: 640,
            height: 400,
            fps: Some(30.0),
            frame: Some((400, 300)),
            title: "video m1".into(),
            ..PlotStyle::default()
        };
        for (name, picture) in poses(&tracks, &style).unwrap() {
            let chart =
                (0..400 * 500).map(|i| picture.get(i % 500, i / 500)).filter(|c| *c != [255; 3]).count();
            assert!(chart > 2000, "{name} is nearly blank");
            for i in 0..2 {
                let found = ink(&picture, style.marks.colour(&tracks.skeleton, i));
                assert!(found > 100, "{name}: part {i} has {found} pixels");
            }
        }
    }

    #[test]
    fn curves_and_errors() {
        let rows: Vec<_> = (0..5000)
            .map(|i| Progress {
                step: f64::from(i),
                loss: Some(0.5 / f64::from(i + 1)),
                train_px: (i % 500 == 0).then(|| 2.0 + 100.0 / f64::from(i + 10)),
                test_px: (i % 500 == 0).then(|| 3.0 + 120.0 / f64::from(i + 10)),
            })
            .collect();
        let p = learning_curve(&rows, &PlotStyle::default()).unwrap();
        assert!(ink(&p, [31, 119, 180]) > 300 && ink(&p, [255, 127, 14]) > 300);
        let parts = [("snout", 1.0), ("a long name", 4.0), ("tail", f64::NAN)].map(|(name, v)| PartError {
            name: name.into(),
            train: Some(v),
            test: Some(2.0 * v),
        });
        let p = part_errors(&parts, &PlotStyle::default()).unwrap();
        let (blue, orange) = (ink(&p, [31, 119, 180]), ink(&p, [255, 127, 14]));
        assert!(blue > 5000 && (1.7..2.3).contains(&(orange as f64 / blue as f64)), "{blue} {orange}");
    }

    #[test]
    fn nothing_and_oddities_are_safe() {
        let style = PlotStyle { width: 320, height: 200, ..PlotStyle::default() };
        let mut odd = Tracks::new(Skeleton::single(["a"]), 3);
        odd.set(0, 0, Keypoint::new(f64::INFINITY, 1.0), 1.0);
        odd.set(1, 0, Keypoint::new(-1e30, 1e30), f64::NAN);
        odd.set(2, 0, Keypoint::new(-1e30, 1e30), 1.0);
        for tracks in [
            odd,
            Tracks::new(Skeleton::default(), 0),
            Tracks::new(Skeleton::single(["a"]), 0),
            Tracks::new(Skeleton::single(["a"]), 1),
            Tracks::new(Skeleton::single((0..60).map(|i| format!("part {i}"))), 4),
        ] {
            poses(&tracks, &style).unwrap();
        }
        learning_curve(&[], &style).unwrap();
        let nan = Progress { step: f64::NAN, loss: Some(0.0), train_px: Some(f64::INFINITY), test_px: None };
        learning_curve(&[nan], &style).unwrap();
        part_errors(&[], &style).unwrap();
        let small = PlotStyle { width: 3, ..style };
        assert_eq!(part_errors(&[], &small).err().map(|e| e.kind()), Some(Kind::Usage));
    }

    #[test]
    fn thinning_keeps_extremes_and_gaps() {
        let n = 100_000;
        let runs = thin(n, 1000, |f| match f {
            40_000..50_000 => None,
            70_001 => Some(99.0),
            _ => Some((f % 7) as f64),
        });
        assert_eq!(runs.len(), 2);
        let kept: usize = runs.iter().map(Vec::len).sum();
        assert!(kept <= 4000, "{kept}");
        assert!(runs[1].contains(&(70_001.0, 99.0)));
        assert!(runs[0].iter().any(|p| p.1 == 0.0) && runs[0].iter().any(|p| p.1 == 6.0));
        assert!(runs.iter().flatten().all(|p| !(40_000.0..50_000.0).contains(&p.0)));
        let flicker = thin(n, 1000, |f| (f % 2 == 0).then_some(1.0));
        assert!(flicker.len() <= 8000);
    }
}
