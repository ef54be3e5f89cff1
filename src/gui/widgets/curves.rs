//! Curves over the steps of a training: loss, errors, with a legend and a name that can be read out.

use crate::gui::theme::Theme;
use eframe::egui::{self, Color32};
use egui_plot::{AxisHints, Legend, Line, MarkerShape, Plot, PlotPoint, Points};

/// One curve.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// x and y; a gap where one of them is not finite.
    pub points: &'a [[f64; 2]],
    /// Its colour.
    pub colour: Color32,
    /// Whether each point is a measurement of its own, and gets a dot.
    pub dots: bool,
}

/// Draws curves over one axis of steps, `height` points high and as wide as there is room. `what` names the y axis with
/// its unit ("Error (px)"), and the whole for a screen reader, followed by the newest values.
pub fn curves(ui: &mut egui::Ui, id: &str, what: &str, curves: &[Curve<'_>], height: f32) -> egui::Response {
    let newest = curves.iter().filter_map(|c| {
        let [_, y] = c.points.iter().rev().find(|p| p[1].is_finite())?;
        Some(format!("{} {}", c.name, short(*y)))
    });
    let name = format!("{what}: {}", newest.collect::<Vec<_>>().join(", "));
    let runs: Vec<(&Curve<'_>, Vec<Vec<PlotPoint>>)> = curves.iter().map(|c| (c, runs(c.points))).collect();
    let theme = Theme::of(ui);
    let axis = |hints: AxisHints<'static>, words: &str, far: f32| {
        let words = egui::RichText::new(words).size(11.5).color(theme.weak);
        hints.label(words).tick_label_color(theme.weak).label_spacing(egui::Rangef::new(far * 0.8, far))
    };
    let shown = Plot::new(id)
        .height(height)
        .include_y(0.0)
        .custom_x_axes(vec![axis(AxisHints::new_x(), "Steps", 60.0)])
        .custom_y_axes(vec![axis(AxisHints::new_y(), what, 20.0).min_thickness(44.0)])
        .grid_color(theme.line)
        .cursor_color(theme.weak)
        .allow_scroll(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .legend(Legend::default().background_alpha(0.6).text_style(egui::TextStyle::Small))
        .show(ui, |plot| {
            for (curve, runs) in &runs {
                for run in runs {
                    plot.line(Line::new(curve.name, run.as_slice()).color(curve.colour).width(1.8));
                }
                if curve.dots {
                    let dots: Vec<[f64; 2]> = curve
                        .points
                        .iter()
                        .copied()
                        .filter(|p| p[0].is_finite() && p[1].is_finite())
                        .collect();
                    plot.points(
                        Points::new(curve.name, dots)
                            .color(curve.colour)
                            .radius(3.0)
                            .shape(MarkerShape::Circle),
                    );
                }
            }
        });
    shown.response.accessible_name(name)
}

/// Stretches without gaps.
fn runs(points: &[[f64; 2]]) -> Vec<Vec<PlotPoint>> {
    points
        .split(|p| !(p[0].is_finite() && p[1].is_finite()))
        .filter(|run| !run.is_empty())
        .map(|run| run.iter().map(|p| PlotPoint::from(*p)).collect())
        .collect()
}

/// A number with as many digits as say something.
#[must_use]
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 || v == 0.0 => format!("{value:.1}"),
        v if v >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// A curve that never grows beyond so many points: when it would, neighbours are averaged, and from then on each point
/// stands for twice as many.
#[derive(Debug, Clone, Default)]
pub struct Thinned {
    points: Vec<[f64; 2]>,
    each: usize,
    open: [f64; 2],
    in_open: usize,
}

impl Thinned {
    const MOST: usize = 2000;

    /// Adds a point; one that is not finite is left out.
    #[allow(clippy::cast_precision_loss)] // counts
    pub fn push(&mut self, point: [f64; 2]) {
        if !(point[0].is_finite() && point[1].is_finite()) {
            return;
        }
        self.each = self.each.max(1);
        self.open[0] += point[0];
        self.open[1] += point[1];
        self.in_open += 1;
        if self.in_open < self.each {
            return;
        }
        let n = self.in_open as f64;
        self.points.push([self.open[0] / n, self.open[1] / n]);
        (self.open, self.in_open) = ([0.0; 2], 0);
        if self.points.len() >= Self::MOST {
            let halves = |c: &[[f64; 2]]| [(c[0][0] + c[1][0]) / 2.0, (c[0][1] + c[1][1]) / 2.0];
            self.points = self.points.chunks_exact(2).map(halves).collect();
            self.each *= 2;
        }
    }

    /// The points.
    #[must_use]
    pub fn points(&self) -> &[[f64; 2]] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_course_in_few_points() {
        let mut thin = Thinned::default();
        for i in 0..100_000 {
            thin.push([f64::from(i), f64::from(i) * 2.0]);
        }
        thin.push([f64::NAN, 1.0]);
        assert!(thin.points().len() < Thinned::MOST && thin.points().len() > Thinned::MOST / 4);
        assert!(thin.points().iter().all(|[x, y]| (y - 2.0 * x).abs() < 1e-6));
        assert!(thin.points().windows(2).all(|w| w[0][0] < w[1][0]));
    }

    #[test]
    fn gaps_part_a_curve() {
        let n = f64::NAN;
        let runs = runs(&[[0.0, n], [1.0, 1.0], [2.0, 2.0], [3.0, n], [4.0, 4.0]]);
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!([short(123.4), short(2.34), short(0.0123), short(0.0)], ["123", "2.3", "0.012", "0.0"]);
    }
}
