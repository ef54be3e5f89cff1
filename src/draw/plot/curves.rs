//! How a training went.

use super::{DARK, GRID, PlotStyle, axes, canvas, draw_runs, failed, legend, number, span};
use crate::draw::text_width;
use crate::error::Result;
use crate::picture::Picture;
use plotters::prelude::*;

const BLUE_LINE: RGBColor = RGBColor(31, 119, 180);
const ORANGE_LINE: RGBColor = RGBColor(255, 127, 14);

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

/// Loss (above, logarithmic) and errors in pixels (below) against the step of training.
///
/// # Errors
/// As [`super::trajectory`].
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
/// As [`super::trajectory`].
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
        let longest = parts.iter().map(|p| text_width(&p.name, size)).fold(0.0, f64::max);
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
            let x = (f64::from(left.dim_in_pixel().0) - text_width(&part.name, size) - 2.0).max(0.0);
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
