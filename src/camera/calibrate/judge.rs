use super::bundle::{self, Fit, Scene};
use super::select::{CELLS, cell};
use super::start::{Link, median};
use super::{Shot, Sight};
use crate::camera::{Board, Rig};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How good one camera's calibration is.
#[derive(Debug, Clone, Serialize)]
pub struct CameraFacts {
    /// Its name.
    pub name: String,
    /// Boards used.
    pub boards: usize,
    /// Corners used.
    pub corners: usize,
    /// Root mean square error of its corners when it is calibrated by itself, in pixels.
    pub rms_alone_px: f64,
    /// The same with all cameras together.
    pub rms_px: f64,
    /// Median error of a corner.
    pub median_px: f64,
    /// Largest error of a corner.
    pub largest_px: f64,
    /// Share of the picture's parts (8 x 6) in which a corner was seen.
    pub coverage: f64,
    /// Focal lengths in pixels.
    pub focal_px: [f64; 2],
    /// Their standard deviations.
    pub focal_deviation_px: [f64; 2],
    /// Standard deviation of the camera's place against the first camera, in millimetres: the largest of x, y, z.
    pub place_deviation_mm: f64,
    /// Sides of the picture where nothing was seen.
    #[serde(skip)]
    pub blank: Vec<&'static str>,
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Nothing to do.
    Good,
    /// Usable; what is found could be better.
    Fair,
    /// Film again.
    Poor,
}

impl Grade {
    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
        }
    }
}

/// What to think of a calibration.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// In one word.
    pub grade: Grade,
    /// What was found, each with what to film again; worst first.
    pub findings: Vec<String>,
}

impl Verdict {
    /// In a line or several.
    #[must_use]
    pub fn words(&self) -> String {
        let mut text = format!("this calibration is {}", self.grade.word());
        for finding in &self.findings {
            text += &format!("\n  - {finding}");
        }
        text
    }
}

pub(super) fn facts(
    scene: &Scene,
    board: &Board,
    sights: &[Sight],
    fit: &Fit,
    alone: &[f64],
) -> Vec<CameraFacts> {
    let of = |(i, camera): (usize, &crate::camera::Camera)| {
        let own: Vec<&Sight> = sights.iter().filter(|s| s.camera == i).collect();
        let mut errors: Vec<f64> = own.iter().flat_map(|s| bundle::errors(scene, board, s)).collect();
        let cells: BTreeSet<usize> =
            own.iter().flat_map(|s| &s.corners).map(|c| cell(camera.size, c.at)).collect();
        let filled = |of: &dyn Fn(usize, usize) -> bool| cells.iter().any(|c| of(c % CELLS[0], c / CELLS[0]));
        let sides = [
            ("left", filled(&|x, _| x == 0)),
            ("right", filled(&|x, _| x + 1 == CELLS[0])),
            ("upper", filled(&|_, y| y == 0)),
            ("lower", filled(&|_, y| y + 1 == CELLS[1])),
        ];
        let deviations = fit.deviations.get(i).copied().unwrap_or_default();
        CameraFacts {
            name: camera.name.clone(),
            boards: own.len(),
            corners: errors.len(),
            rms_alone_px: alone.get(i).copied().unwrap_or(f64::NAN),
            rms_px: bundle::rms(scene, board, own.iter().copied()),
            median_px: median(&mut errors),
            largest_px: errors.last().copied().unwrap_or(f64::NAN), // sorted by `median`
            coverage: cells.len() as f64 / (CELLS[0] * CELLS[1]) as f64,
            focal_px: camera.lens.focal,
            focal_deviation_px: [deviations[0], deviations[1]],
            place_deviation_mm: deviations.fixed_rows::<3>(12).max(),
            blank: sides.into_iter().filter(|(_, filled)| !filled).map(|(name, _)| name).collect(),
        }
    };
    scene.cameras.iter().enumerate().map(of).collect()
}

pub(super) fn verdict(
    rig: &Rig,
    facts: &[CameraFacts],
    links: &[Link],
    dropped: &[(usize, Shot, f64)],
    rms: f64,
) -> Verdict {
    let mut found: Vec<(Grade, String)> = Vec::new();
    let mut say = |grade: Grade, what: String| found.push((grade, what));
    let name = |c: usize| rig.cameras.get(c).map_or("", |m| m.name.as_str());
    // A wrong session or offset shows as one pair that does not agree, while each camera by itself is fine.
    let alone = facts.iter().map(|f| f.rms_alone_px).fold(0.0, f64::max);
    for link in links.iter().filter(|l| l.disagreement > (6.0 * alone).max(4.0)) {
        let [a, b] = link.cameras.map(name);
        if link.mirrored {
            // Who is at odds with most others is the one.
            let odd = |c: usize| links.iter().filter(|l| l.mirrored && l.cameras.contains(&c)).count();
            let which = match odd(link.cameras[0]).cmp(&odd(link.cameras[1])) {
                Ordering::Greater => format!("`{a}`"),
                Ordering::Less => format!("`{b}`"),
                Ordering::Equal => format!("one of `{a}` and `{b}`"),
            };
            say(
                Grade::Poor,
                format!(
                    "{which} sees the board mirrored: take the mirror away, or flip its videos before use"
                ),
            );
            continue;
        }
        say(
            Grade::Poor,
            format!(
                "`{a}` and `{b}` see different boards ({:.0} px apart) though each is fine by itself: are their \
                 recordings of the same moment (`frame_offset`), their names not swapped, neither of them mirrored?",
                link.disagreement
            ),
        );
    }
    if rms > 2.0 {
        say(
            Grade::Poor,
            format!(
                "corners are {rms:.1} px off: is the board flat, sharp and of the stated measures, and the cameras fixed?"
            ),
        );
    }
    for f in facts {
        let n = &f.name;
        if f.boards == 0 {
            say(Grade::Poor, format!("`{n}`: none of its boards fits those of the others"));
            continue;
        }
        if f.rms_px > 1.0 && rms <= 2.0 {
            say(
                Grade::Fair,
                format!(
                    "`{n}`: corners are {:.1} px off; film the board held still and in more light",
                    f.rms_px
                ),
            );
        }
        if f.boards < 10 {
            say(
                Grade::Fair,
                format!("`{n}` saw only {} boards; film 30 or more at different places", f.boards),
            );
        }
        let spread = f.focal_deviation_px.iter().zip(f.focal_px).map(|(d, f)| d / f).fold(0.0, f64::max);
        if spread > 0.005 {
            let grade = if spread > 0.02 { Grade::Poor } else { Grade::Fair };
            say(
                grade,
                format!(
                    "`{n}`: its focal length is only known to {:.1} %; film the board tilted by 30 to 45 degrees, near and far",
                    spread * 100.0
                ),
            );
        }
        if !f.blank.is_empty() {
            say(
                Grade::Fair,
                format!(
                    "`{n}` never saw the board at the {} edge of its picture; film it there",
                    f.blank.join(" and ")
                ),
            );
        } else if f.coverage < 0.5 {
            say(
                Grade::Fair,
                format!(
                    "`{n}` saw the board in {:.0} % of its picture; move it through the rest",
                    f.coverage * 100.0
                ),
            );
        }
    }
    // A camera that is joined to the others by few shots stands on them.
    if rig.cameras.len() > 1 {
        for (c, mount) in rig.cameras.iter().enumerate() {
            let most = links.iter().filter(|l| l.cameras.contains(&c)).map(|l| l.shots).max().unwrap_or(0);
            if most < 8 {
                say(
                    Grade::Fair,
                    format!(
                        "`{}` shares only {most} shots with another camera; film more that both see",
                        mount.name
                    ),
                );
            }
        }
    }
    let used: usize = facts.iter().map(|f| f.boards).sum();
    if dropped.len() * 5 > used + dropped.len() {
        say(
            Grade::Fair,
            format!("{} of {} boards did not fit and were left out", dropped.len(), used + dropped.len()),
        );
    }
    found.sort_by_key(|(grade, _)| std::cmp::Reverse(*grade));
    let grade = found.first().map_or(Grade::Good, |f| f.0);
    Verdict { grade, findings: found.into_iter().map(|f| f.1).collect() }
}
