use super::style_of;
use crate::draw::{self, Style, plot};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::picture::Picture;
use crate::pose::{Keypoint, Skeleton};
use crate::project::Project;
use crate::train::session::{Evaluated, WorstFrame};
use crate::train::{Judged, LearningCurve, Reliability, Summary};
use crate::watch::Watch;
use base64::Engine as _;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The longer side of a close-up of a bad frame, in pixels.
const CLOSE_UP: f64 = 460.0;

/// Draws the worst test frames, the PCK curves, the reliability of the likelihood and how large errors are, and writes it
/// all with the tables into one page, `report.html`, that needs nothing beside it. Returns the page.
///
/// # Errors
/// When the folder cannot be written or a picture is gone.
pub fn evaluation_report(project: &Project, done: &Evaluated, watch: &dyn Watch) -> Result<PathBuf> {
    let style = style_of(&project.config);
    let skeleton = project.skeleton();
    let pictures = done.folder.join("pictures");
    files::make_folder(&pictures)?;
    let mut close_ups = Vec::new();
    for w in &done.worst_frames {
        watch.check()?;
        let Some(judged) = done.test.get(w.place) else { continue };
        let picture = Picture::load(&project.image_path(&judged.key))?;
        super::pictures::judged_picture(picture.clone(), "Test", judged, &skeleton, &style)
            .save_png(&done.folder.join(&w.picture))?;
        close_ups.push(jpeg(&close_up(&picture, judged, &skeleton, &style))?);
    }
    let mut plots = Vec::new();
    let curve = done.learning_curve.as_ref().map(label_curve).transpose()?;
    let all = drawn(done, &skeleton, &style)?.into_iter().chain(curve.map(|p| ("error-by-labels.png", p)));
    for (name, picture) in all {
        let path = done.folder.join(name);
        picture.save_png(&path)?;
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read the plot", &path, e))?;
        plots.push(format!("data:image/png;base64,{}", base64::prelude::BASE64_STANDARD.encode(bytes)));
    }
    let path = done.folder.join("report.html");
    files::write_whole(&path, page(&project.config.task, done, &plots, &close_ups).as_bytes())?;
    Ok(path)
}

/// The plots, each with the name of its file: PCK, reliability, errors.
fn drawn(done: &Evaluated, skeleton: &Skeleton, style: &Style) -> Result<[(&'static str, Picture); 3]> {
    let size =
        plot::PlotStyle { width: 1000, height: 560, marks: style.clone(), ..plot::PlotStyle::default() };
    let pck = &done.pck;
    let curve =
        |shares: &[f64]| pck.thresholds_px.iter().copied().zip(shares.iter().copied()).collect::<Vec<_>>();
    let parts: Vec<_> = pck
        .per_bodypart
        .iter()
        .map(|(name, shares)| {
            let titled = |n: crate::pose::PointName<'_>| {
                n.bodypart == name || name.strip_suffix(n.bodypart) == Some(&format!("{}/", n.individual))
            };
            let of = |i: &usize| skeleton.point(*i).is_some_and(titled);
            let place = (0..skeleton.points()).find(of).unwrap_or(0);
            plot::Curve { name: name.clone(), points: curve(shares), colour: style.colour(skeleton, place) }
        })
        .collect();
    let right = done.likelihood.within_px;
    let marks = [
        (done.human_px, format!("two people differ by {:.1} px", done.human_px)),
        (right, format!("{right:.0} px")),
    ];
    let groups = |r: &Reliability| {
        let group = |b: &crate::train::Bin| plot::Group {
            likelihood: b.likelihood,
            share: b.share,
            interval: b.share_ci95,
        };
        r.bins.iter().map(group).collect::<Vec<_>>()
    };
    let named = |name: &str, r: &Option<Reliability>| r.as_ref().map(|r| (name.to_owned(), groups(r)));
    let likelihood = &done.likelihood;
    let series: Vec<_> = [
        named("as the network says", &likelihood.raw),
        named("calibrated", &likelihood.calibrated_cross_fitted),
    ]
    .into_iter()
    .flatten()
    .collect();
    let errors: Vec<f64> = done.test.iter().flat_map(Judged::errors).map(|(_, e, _)| e).collect();
    Ok([
        ("pck.png", plot::pck(&curve(&pck.all), &parts, &marks, &size)?),
        (
            "reliability.png",
            plot::reliability(&series, &format!("share within {right:.0} px of the label"), &size)?,
        ),
        ("error-histogram.png", plot::error_histogram(&errors, 5.0 * done.human_px, &size)?),
    ])
}

/// Error against the number of labelled frames.
fn label_curve(curve: &LearningCurve) -> Result<Picture> {
    let measured: Vec<_> =
        curve.points.iter().map(|p| (p.frames as f64, p.mean_error_px, p.mean_error_px_ci95)).collect();
    let last = measured.last().map_or(0.0, |m| m.0);
    let expected =
        curve.gain.as_ref().map(|g| (last + g.more_frames as f64, g.error_px, Some(g.error_px_ci95)));
    let first = measured.first().map_or(1.0, |m| m.0);
    let end = expected.map_or(last, |e| e.0);
    let step = |i: i32| first + (end - first) * f64::from(i) / 100.0;
    let fit = curve.fit.map_or(Vec::new(), |fit| (0..=100).map(|i| (step(i), fit.at(step(i)))).collect());
    let size = plot::PlotStyle { width: 1000, height: 560, ..plot::PlotStyle::default() };
    plot::error_by_labels(&measured, &fit, expected, &size)
}

/// The part of a frame that holds labels and predictions, enlarged, with both drawn on it.
fn close_up(picture: &Picture, judged: &Judged, skeleton: &Skeleton, style: &Style) -> Picture {
    let (width, height) = (picture.width() as f64, picture.height() as f64);
    let labelled = judged.label.iter().zip(&judged.prediction).filter(|(l, _)| l.is_some());
    let places: Vec<Keypoint> = labelled
        .flat_map(|(l, (p, _))| l.iter().copied().chain([*p]))
        .filter(|p| p.x.is_finite() && p.y.is_finite())
        .collect();
    // From where to where on one axis: around all places, not too tight, within the picture.
    let range = |of: fn(&Keypoint) -> f64, end: f64| -> (f64, f64) {
        let (low, high) =
            places.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return (0.0, end);
        }
        let room = (0.35 * (high - low)).max(0.06 * width.hypot(height));
        ((low - room).floor().clamp(0.0, end - 1.0), (high + room).ceil().clamp(1.0, end))
    };
    let ((left, right), (top, bottom)) = (range(|p| p.x, width), range(|p| p.y, height));
    let (w, h) = ((right - left).max(1.0), (bottom - top).max(1.0));
    let scale = CLOSE_UP / w.max(h);
    let side = |v: f64| (v * scale).round().max(1.0) as u32;
    let whole = image::RgbImage::from_raw(width as u32, height as u32, picture.rgb().to_vec());
    let part = whole.map(|whole| {
        let cut = image::imageops::crop_imm(&whole, left as u32, top as u32, w as u32, h as u32).to_image();
        image::imageops::resize(&cut, side(w), side(h), image::imageops::FilterType::CatmullRom)
    });
    let part = part.and_then(|p| Picture::from_rgb(p.width() as usize, p.height() as usize, p.into_raw()));
    let Some(mut part) = part else { return picture.clone() };
    let to = |p: Keypoint| Keypoint::new((p.x - left) * scale, (p.y - top) * scale);
    let label: Vec<_> = judged.label.iter().map(|l| l.map(to)).collect();
    let found: Vec<_> = judged.prediction.iter().map(|(p, l)| Some((to(*p), *l))).collect();
    let marks = Style { radius: 5.0, ..style.clone() };
    draw::evaluation(&mut part, skeleton, &label, &found, &marks);
    part
}

/// A picture as the source of an `img`, small enough for a page that is mailed.
fn jpeg(picture: &Picture) -> Result<String> {
    use image::ImageEncoder;
    let mut bytes = Vec::new();
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 88)
        .write_image(picture.rgb(), width, height, image::ExtendedColorType::Rgb8)
        .map_err(|e| Error::new(Kind::Format, format!("cannot encode the picture: {e}")))?;
    Ok(format!("data:image/jpeg;base64,{}", base64::prelude::BASE64_STANDARD.encode(bytes)))
}

/// Text as HTML shows it.
fn safe(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

const STYLE: &str = "\
body{font:16px/1.5 system-ui,-apple-system,'Segoe UI',Ubuntu,sans-serif;color:#26262b;background:#fff;\
max-width:1000px;margin:2.5em auto;padding:0 1.5em}\
h1{font-size:1.7em;margin:0 0 .2em}h2{font-size:1.2em;margin:2.2em 0 .5em}\
.quiet{color:#6d6d76;font-size:.9em}.verdict{font-size:1.1em;background:#f4f6fa;border-left:4px solid #1f77b4;\
padding:.9em 1.1em;margin:1.2em 0}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92em}\
th,td{padding:.35em .6em;text-align:right;border-bottom:1px solid #e4e4e8}\
th{font-weight:600;color:#55555d;vertical-align:bottom}th:first-child,td:first-child{text-align:left}\
tr.all td{font-weight:600}img.plot{width:100%;height:auto}\
.frames{display:grid;grid-template-columns:repeat(auto-fill,minmax(280px,1fr));gap:1.2em}\
figure{margin:0;break-inside:avoid}figure img{width:100%;height:auto;border-radius:3px}\
figcaption{font-size:.85em;color:#55555d;overflow-wrap:anywhere}\
@media print{body{margin:0;max-width:none;font-size:11pt}h2{break-after:avoid}table,img{break-inside:avoid}}";

fn page(task: &str, done: &Evaluated, plots: &[String], close_ups: &[String]) -> String {
    let mut out = String::new();
    let several = done.members.len() > 1;
    let title = format!("How good is the network? {}", safe(task));
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"/>\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p class=\"quiet\">{} on {}, evaluated {} by {}</p>\n<p class=\"verdict\">{}</p>\n",
        if several { format!("{} networks", done.members.len()) } else { safe(&done.scorer) },
        safe(&done.device),
        safe(&done.evaluated),
        safe(&done.program),
        safe(&done.verdict)
    );
    errors_table(&mut out, done);
    let plot = |out: &mut String, at: usize, head: &str, alt: &str, words: &str| {
        let Some(source) = plots.get(at) else { return };
        let _ = write!(
            out,
            "<h2>{head}</h2>\n<p>{words}</p>\n<p><img class=\"plot\" src=\"{source}\" alt=\"{alt}\"/></p>\n"
        );
    };
    plot(
        &mut out,
        0,
        "How many points are how near",
        "PCK curves",
        "The share of labelled points of test frames that the network puts within a distance of the label (percentage of \
         correct keypoints, PCK).",
    );
    let words = format!(
        "Points are grouped by likelihood, as many in each group. On the dashed line a likelihood means what it says: of \
         points with 0.9, nine in ten are within {:.0} px. The calibrated likelihood of each frame comes from a map that \
         was fitted on other test frames alone. Bars are 95 % intervals.",
        done.likelihood.within_px
    );
    plot(&mut out, 1, "What the likelihood is worth", "reliability diagram", &words);
    plot(
        &mut out,
        2,
        "How large errors are",
        "histogram of errors",
        "Every labelled point of the test frames; those beyond the scale are in the last bar.",
    );
    if let Some(curve) = &done.learning_curve {
        let words = format!(
            "{} Bars are 95 % intervals by bootstrap over the test frames; another draw of training frames would move the \
             points too.",
            safe(&curve.words)
        );
        plot(&mut out, 3, "What more labels would bring", "error against number of labels", &words);
    }
    worst_frames(&mut out, &done.worst_frames, close_ups, several);
    about(&mut out, done);
    out.push_str("</body>\n</html>\n");
    out
}

fn px(v: Option<f64>) -> String {
    v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"))
}

fn interval(v: Option<[f64; 2]>) -> String {
    v.map_or_else(|| "–".to_owned(), |[low, high]| format!("{low:.2} – {high:.2}"))
}

fn errors_table(out: &mut String, done: &Evaluated) {
    out.push_str(
        "<h2>Error in pixels</h2>\n<table>\n<thead><tr><th></th><th>points</th><th>mean</th><th>95 % interval</th>\
         <th>half within</th><th>95 % within</th>",
    );
    for at in &done.pck.fixed {
        let _ = write!(out, "<th>share within {} px</th>", at.within_px);
    }
    out.push_str(
        "<th>points above cut-off</th><th>mean of those</th><th>95 % interval</th></tr></thead>\n<tbody>\n",
    );
    let mut row = |name: &str, class: &str, s: &Summary, shares: &[Option<f64>]| {
        let _ = write!(
            out,
            "<tr{class}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            safe(name),
            s.n_points,
            px(s.mean_error_px),
            interval(s.mean_error_px_ci95),
            px(s.median_error_px),
            px(s.p95_error_px)
        );
        for share in shares {
            let words = share.map_or_else(|| "–".to_owned(), |v| format!("{:.0} %", 100.0 * v));
            let _ = write!(out, "<td>{words}</td>");
        }
        let _ = writeln!(
            out,
            "<td>{}</td><td>{}</td><td>{}</td></tr>",
            s.n_points_pcutoff,
            px(s.mean_error_px_pcutoff),
            interval(s.mean_error_px_pcutoff_ci95)
        );
    };
    let fixed = &done.pck.fixed;
    let all: Vec<_> = fixed.iter().map(|f| f.all).collect();
    row("All, test frames", " class=\"all\"", &done.report.test, &all);
    for (name, summary) in &done.report.per_bodypart {
        let shares: Vec<_> = fixed.iter().map(|f| f.per_bodypart.get(name).copied().flatten()).collect();
        row(name, "", summary, &shares);
    }
    row("All, training frames", " class=\"all\"", &done.report.train, &vec![None; fixed.len()]);
    let mut cutoffs: Vec<f64> = done.report.pcutoff.clone();
    cutoffs.dedup();
    let cutoffs = cutoffs.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    let _ = write!(
        out,
        "</tbody>\n</table>\n<p class=\"quiet\">Distance between label and prediction over labelled points. Body parts are \
         of test frames, which the network was not trained on. Intervals by bootstrap over frames. Cut-off: a likelihood of \
         {cutoffs}. Two people differ by about {:.1} px on frames of {} x {}.</p>\n",
        done.human_px, done.frame_px.0, done.frame_px.1
    );
}

fn worst_frames(out: &mut String, worst: &[WorstFrame], close_ups: &[String], several: bool) {
    if worst.is_empty() {
        return;
    }
    out.push_str(
        "<h2>The worst test frames</h2>\n<p>Labels are crosses, predictions dots (x below the cut-off); a close-up each. \
         Look here first: hidden, swapped or wrongly labelled body parts show at once.</p>\n<div class=\"frames\">\n",
    );
    for (w, source) in worst.iter().zip(close_ups) {
        let shuffle = if several { format!(", shuffle {}", w.shuffle) } else { String::new() };
        let _ = writeln!(
            out,
            "<figure><img src=\"{source}\" alt=\"{0}\"/><figcaption>{0}{shuffle}: {1:.1} px on average, {2} {3:.1} px</figcaption></figure>",
            safe(&w.image),
            w.mean_error_px,
            safe(&w.worst_point),
            w.worst_error_px
        );
    }
    out.push_str("</div>\n");
}

/// With what all this was measured.
fn about(out: &mut String, done: &Evaluated) {
    out.push_str(
        "<h2>What was measured</h2>\n<table>\n<thead><tr><th>model</th><th>shuffle</th><th>split</th><th>training frames</th>\
         <th>test frames</th><th>mean test error (px)</th><th>steps</th><th>trained</th><th>on</th></tr></thead>\n<tbody>\n",
    );
    for m in &done.members {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            safe(&m.scorer),
            m.shuffle,
            if m.by_video { "whole videos" } else { "frames" },
            m.train_frames,
            m.test.n_frames,
            px(m.test.mean_error_px),
            m.steps,
            safe(&m.trained),
            safe(&m.trained_on)
        );
    }
    out.push_str("</tbody>\n</table>\n");
    if let Some(p) = &done.pooled {
        let _ = writeln!(
            out,
            "<p>Each test frame was judged by networks that did not train on it: {} different frames, {} of them by more than \
             one network; those count each time.</p>",
            p.frames, p.repeated
        );
    }
    let _ = writeln!(
        out,
        "<p class=\"quiet\">Tables for scripts lie beside this page: results.json, errors.csv, pck.csv, worst.csv. Model \
         folder: {}</p>",
        safe(&done.snapshot.display().to_string())
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::FrameKey;

    #[test]
    fn names_are_escaped() {
        assert_eq!(safe("<a href='x'> & \"b\""), "&lt;a href=&#39;x&#39;&gt; &amp; &quot;b&quot;");
        let worst = WorstFrame {
            image: "labeled-data/<script>/a&b.png".into(),
            shuffle: 1,
            mean_error_px: 9.0,
            worst_point: "\"tail\"".into(),
            worst_error_px: 12.0,
            picture: String::new(),
            place: 0,
        };
        let mut out = String::new();
        worst_frames(&mut out, &[worst], &["data:x".into()], true);
        assert!(!out.contains("<script>") && out.contains("&lt;script&gt;/a&amp;b.png"), "{out}");
        assert!(out.contains("&quot;tail&quot; 12.0 px") && out.contains("shuffle 1"), "{out}");
    }

    #[test]
    fn close_ups_hold_all_places() {
        let mut picture = Picture::new(640, 480);
        picture.rgb_mut().fill(128);
        let skeleton = Skeleton::single(["a", "b"]);
        let judged = |x: f64, to: f64| Judged {
            key: FrameKey::new("v", "a.png"),
            label: vec![Some(Keypoint::new(x, 200.0)), None],
            prediction: vec![(Keypoint::new(to, 210.0), 0.9), (Keypoint::new(0.0, 0.0), 0.9)],
        };
        let style = Style { alpha: 1.0, ..Style::default() };
        for (x, to) in [(100.0, 104.0), (639.5, 0.5), (5.0, 5.0), (1.0, f64::NAN)] {
            let close = close_up(&picture, &judged(x, to), &skeleton, &style);
            assert_eq!(close.width().max(close.height()), 460, "{x} {to}");
            let colour = style.colour(&skeleton, 0);
            let seen = close.rgb().chunks_exact(3).filter(|c| **c == colour).count();
            assert!(seen > 10, "{x} {to}: {seen}");
        }
        assert!(jpeg(&picture).unwrap().starts_with("data:image/jpeg;base64,/9j/"));
    }
}
