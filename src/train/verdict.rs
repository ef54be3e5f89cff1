//! What a measured error means, said so that nobody has to know the field to read it.

use super::evaluate::Report;
use std::fmt::Write as _;

/// Two people who labelled the same mouse differed by so many pixels on average, at 640 x 480 (Mathis et al. 2018,
/// DeepLabCut, Nature Neuroscience 21:1281: 2.69 px).
pub const HUMAN_PX: f64 = 2.69;
const HUMAN_DIAGONAL: f64 = 800.0; // of 640 x 480
/// A mean over fewer frames says little.
const FEW: usize = 20;

/// What the errors mean and what to do next, in plain sentences. `frame` is the size of the pictures in pixels, width
/// by height; (0, 0) when it is not known.
///
/// ```
/// use limn::train::{Report, verdict};
/// use limn::pose::Skeleton;
/// let nothing = Report::of(&[], &[], &Skeleton::single(["snout"]), &[]);
/// assert!(verdict(&nothing, (640, 480)).starts_with("No test frame"));
/// ```
#[must_use]
pub fn verdict(report: &Report, frame: (usize, usize)) -> String {
    let test = &report.test;
    let Some(mean) = test.mean_error_px else {
        let train = report.train.mean_error_px.map_or_else(String::new, |px| {
            format!(" On frames it was trained on, it is off by {} on average.", pixels(px))
        });
        return format!(
            "No test frame has a label, so nobody knows how good the network is on frames it has not seen.{train} \
             Draw a split that keeps some labelled frames for testing."
        );
    };
    let mut text = format!("On frames it has not seen, the network is off by {} on average", pixels(mean));
    if let Some(median) = test.median_error_px {
        let _ = write!(text, " (half of the points within {})", pixels(median));
    }
    text.push_str(". ");

    let human = human(frame);
    text.push_str("Two people labelling the same mouse at 640x480 differ by about 2.7 px");
    if frame != (0, 0) && (human - HUMAN_PX).abs() > 0.3 {
        let _ = write!(text, ", which is {} at the {}x{} of these frames", pixels(human), frame.0, frame.1);
    }
    let ratio = mean / human;
    text.push_str(match ratio {
        r if r <= 1.25 => ", so this is as good as a person. ",
        r if r <= 2.0 => ", so this is close to what a person does, and good enough for most uses. ",
        r if r <= 5.0 => ", so a person is still clearly better. ",
        _ => ", so this network is not of use yet. ",
    });

    if let Some([low, high]) = test.mean_error_px_ci95
        && (test.n_frames < FEW || high - low > mean)
    {
        let _ = write!(
            text,
            "Only {} test frames measured this: the true average may lie anywhere between {} and {}. ",
            test.n_frames,
            pixels(low),
            pixels(high)
        );
    } else if test.n_frames < FEW {
        let s = if test.n_frames == 1 { "frame" } else { "frames" };
        let _ = write!(text, "Only {} test {s} measured this, which is little to go by. ", test.n_frames);
    }

    let spread = test.median_error_px.zip(test.p95_error_px).filter(|(median, _)| mean > 2.0 * median);
    if let Some((_, p95)) = spread {
        let _ = write!(
            text,
            "Most points are good and a few are far off (1 in 20 by more than {}): look at those frames for body \
             parts that are hidden, swapped or labelled wrongly. ",
            pixels(p95)
        );
    }
    let worst = worst(report, mean);
    if !worst.is_empty() && ratio > 1.0 {
        let _ = write!(text, "The weakest body parts are {}. ", worst.join(" and "));
    }
    text.push_str(&advice(report, mean, human));
    text.trim_end().to_owned()
}

/// What to do next.
fn advice(report: &Report, mean: f64, human: f64) -> String {
    let ratio = mean / human;
    let train = report.train.mean_error_px;
    if ratio <= 1.25 {
        return "It is ready to analyze videos.".to_owned();
    }
    match train {
        // It has learnt its frames by heart and not what they have in common.
        Some(px) if px < 0.5 * mean => format!(
            "On frames it was trained on it is off by {} only, so it needs more variety: label 20 to 50 more frames \
             that look different from those it has (other videos, animals, postures, light), then train again.",
            pixels(px)
        ),
        Some(px) if px > 2.0 * human => format!(
            "It is off by {} even on frames it was trained on, so it has not learnt enough yet: train longer, and \
             check the labels for slips.",
            pixels(px)
        ),
        _ if ratio <= 2.0 => {
            "It can analyze videos; labelling the frames it gets wrong and training again makes it better."
                .to_owned()
        }
        _ => "Label 20 to 50 more frames like those it gets wrong, then train again.".to_owned(),
    }
}

/// Up to two body parts that are far worse than the average, measured often enough to say so.
fn worst(report: &Report, mean: f64) -> Vec<String> {
    let mut parts: Vec<(f64, &String)> = report
        .per_bodypart
        .iter()
        .filter(|(_, s)| s.n_points >= 3)
        .filter_map(|(name, s)| Some((s.mean_error_px?, name)))
        .filter(|(px, _)| *px > 1.5 * mean)
        .collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    parts.iter().take(2).map(|(px, name)| format!("{name} ({})", pixels(*px))).collect()
}

/// What two people differ by on frames of this size, in pixels.
#[allow(clippy::cast_precision_loss)] // pixels
pub(super) fn human((width, height): (usize, usize)) -> f64 {
    let diagonal = (width as f64).hypot(height as f64);
    if diagonal > 0.0 { HUMAN_PX * diagonal / HUMAN_DIAGONAL } else { HUMAN_PX }
}

fn pixels(px: f64) -> String {
    if px < 100.0 { format!("{px:.1} px") } else { format!("{px:.0} px") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{FrameKey, Keypoint, Skeleton};
    use crate::train::Judged;

    /// Frames of three points: `ear` and `snout` off by `px`, `tail` by `tail`.
    fn judged(frames: usize, px: f64, tail: f64) -> Vec<Judged> {
        (0..frames)
            .map(|n| {
                let off = |e: f64| e * if n % 2 == 0 { 0.8 } else { 1.2 };
                Judged {
                    key: FrameKey::new("v", format!("img{n}.png")),
                    label: vec![Some(Keypoint::new(50.0, 50.0)); 3],
                    prediction: [off(px), off(px), off(tail)]
                        .map(|e| (Keypoint::new(50.0 + e, 50.0), 0.9))
                        .to_vec(),
                }
            })
            .collect()
    }

    fn of(test: &[Judged], train: &[Judged], frame: (usize, usize)) -> String {
        verdict(&Report::of(test, train, &Skeleton::single(["ear", "snout", "tail"]), &[]), frame)
    }

    #[test]
    fn a_good_network_is_called_good() {
        let said = of(&judged(40, 2.5, 2.5), &judged(12, 2.0, 2.0), (640, 480));
        assert!(said.contains("off by 2.5 px on average (half of the points within 2.5 px)"), "{said}");
        assert!(said.contains("2.7 px, so this is as good as a person") && said.contains("ready"), "{said}");
        assert!(!said.contains("weakest") && !said.contains("Only"), "{said}");
        // The same pixels on frames half as large are twice the mistake.
        let said = of(&judged(40, 2.5, 2.5), &judged(12, 2.0, 2.0), (320, 240));
        assert!(said.contains("1.3 px at the 320x240") && said.contains("close to"), "{said}");
    }

    #[test]
    fn a_bad_one_hears_what_to_do() {
        let by_heart = of(&judged(40, 9.0, 30.0), &judged(12, 2.0, 2.0), (640, 480));
        assert!(by_heart.contains("weakest body parts are tail (30.0 px)"), "{by_heart}");
        assert!(by_heart.contains("not of use yet") && by_heart.contains("more variety"), "{by_heart}");
        let raw = of(&judged(40, 20.0, 20.0), &judged(12, 19.0, 19.0), (640, 480));
        assert!(raw.contains("train longer"), "{raw}");
    }

    #[test]
    fn few_test_frames_are_said_to_be_few() {
        let said = of(&judged(4, 2.0, 2.0), &[], (640, 480));
        assert!(said.contains("Only 4 test frames") && said.contains("between 1.6 px and 2.4 px"), "{said}");
        assert!(of(&judged(1, 2.0, 2.0), &[], (0, 0)).contains("Only 1 test frame measured"));
        let none = of(&[], &judged(4, 2.0, 2.0), (640, 480));
        assert!(none.starts_with("No test frame") && none.contains("off by 2.0 px"), "{none}");
    }
}
