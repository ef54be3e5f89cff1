//! What a click means: the three modes as users of DeepLabCut know them, and which body part is next. No egui here.

use crate::pose::{Keypoint, Skeleton};
use crate::project::Mark;
use std::ops::Range;

/// How a click goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Each body part is placed once, then comes the next that is still to do; a click never moves a placed one.
    #[default]
    Sequential,
    /// As sequential, but a click moves the current body part when it is placed already.
    Quick,
    /// The same body part through all frames of the video, then the next from the first frame on.
    Loop,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sequential, Self::Quick, Self::Loop];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "Sequential",
            Self::Quick => "Quick",
            Self::Loop => "Loop",
        }
    }

    /// What it does, in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Sequential => {
                "Each click places the next body part that is still to do. Placed ones move only by dragging."
            }
            Self::Quick => {
                "Each click places the current body part, or moves it when it is placed, and goes on."
            }
            Self::Loop => "The same body part through all frames of the video, then the next body part.",
        }
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Sequential => Self::Quick,
            Self::Quick => Self::Loop,
            Self::Loop => Self::Sequential,
        }
    }
}

/// One animal's points, or the body parts that exist once in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name, for people.
    pub name: String,
    /// Its points in the skeleton.
    pub points: Range<usize>,
}

/// The groups of a skeleton in its order; one for the plain case of one animal.
#[must_use]
pub fn groups(skeleton: &Skeleton) -> Vec<Group> {
    let per = skeleton.bodyparts.len();
    let mut groups: Vec<Group> = skeleton
        .individuals
        .iter()
        .enumerate()
        .filter(|_| per > 0)
        .map(|(i, name)| Group {
            name: if name.is_empty() { "Animal".to_owned() } else { name.clone() },
            points: i * per..(i + 1) * per,
        })
        .collect();
    let many = skeleton.individuals.len() * per;
    if !skeleton.unique_bodyparts.is_empty() {
        groups.push(Group { name: "Once in a frame".to_owned(), points: many..skeleton.points() });
    }
    groups
}

/// What a click on the picture does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The current body part is placed there.
    Place,
    /// The current body part, which is placed, moves there.
    Move,
    /// The mark that was hit becomes the current one.
    Select(usize),
    /// Nothing: the current body part is placed already.
    AlreadyThere,
}

/// What a click does while `now` is said of the current body part `part`, and `hit` is the point under the pointer.
/// `choose`: the user means marks, not places (Ctrl is held, or it is the second click of two).
#[must_use]
pub fn click(mode: Mode, part: usize, now: Mark, hit: Option<usize>, choose: bool) -> Deed {
    match (hit, now) {
        (Some(hit), _) if choose => Deed::Select(hit),
        // What is to do is placed wherever it is clicked: body parts may lie on top of each other.
        (_, Mark::Unlabeled | Mark::Hidden) => Deed::Place,
        (Some(hit), Mark::At(_)) if hit != part || mode != Mode::Quick => Deed::Select(hit),
        (_, Mark::At(_)) if mode == Mode::Quick => Deed::Move,
        (_, Mark::At(_)) => Deed::AlreadyThere,
    }
}

/// Where it goes on after the current body part was said (placed, moved or not visible).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onward {
    /// The body part that is next.
    pub part: usize,
    /// The frame that is next.
    pub frame: Step,
}

/// Which frame comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The same.
    Stay,
    /// The next of this video.
    Next,
    /// The first of this video.
    First,
}

/// Where it goes on after `part` of `group` was said; `said` tells of the points of this frame, with that one.
#[must_use]
pub fn onward(
    mode: Mode,
    part: usize,
    group: &Range<usize>,
    said: impl Fn(usize) -> Mark,
    last_frame: bool,
) -> Onward {
    let following = if part + 1 < group.end { part + 1 } else { part };
    match mode {
        Mode::Sequential => {
            let part = next_to_do(part, group, said).unwrap_or(part);
            Onward { part, frame: Step::Stay }
        }
        Mode::Quick => Onward { part: following, frame: Step::Stay },
        Mode::Loop if !last_frame => Onward { part, frame: Step::Next },
        Mode::Loop if following == part => Onward { part, frame: Step::Stay },
        Mode::Loop => Onward { part: following, frame: Step::First },
    }
}

/// The next point of the group after `part` of which nothing is said, from the start again at the end; `None` when
/// all is said.
#[must_use]
pub fn next_to_do(part: usize, group: &Range<usize>, said: impl Fn(usize) -> Mark) -> Option<usize> {
    let after = (part + 1).max(group.start)..group.end;
    after.chain(group.start..(part + 1).min(group.end)).find(|p| said(*p) == Mark::Unlabeled)
}

/// The body part to begin a frame with: the current one when it is to do, else the next that is.
#[must_use]
pub fn begin(mode: Mode, part: usize, group: &Range<usize>, said: impl Fn(usize) -> Mark) -> usize {
    if group.is_empty() {
        return part;
    }
    match mode {
        Mode::Loop => part.clamp(group.start, group.end - 1),
        Mode::Sequential | Mode::Quick => {
            group.clone().find(|p| said(*p) == Mark::Unlabeled).unwrap_or(group.start)
        }
    }
}

/// The body part `by` steps further in the group, round the ends.
#[must_use]
pub fn turn(part: usize, group: &Range<usize>, by: isize) -> usize {
    let count = group.len();
    if count == 0 {
        return part;
    }
    let at = part.saturating_sub(group.start).min(count - 1);
    group.start + (at as isize + by).rem_euclid(count as isize) as usize
}

/// Moves a point into the picture of `size` pixels, where it has left it: labels lie strictly inside.
#[must_use]
pub fn held_inside(at: Keypoint, size: [usize; 2]) -> Keypoint {
    const EDGE: f64 = 0.1;
    let hold = |v: f64, side: usize| v.clamp(EDGE, (side as f64 - EDGE).max(EDGE));
    Keypoint::new(hold(at.x, size[0]), hold(at.y, size[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Mark = Mark::At(Keypoint::new(1.0, 1.0));

    #[test]
    fn clicks_in_each_mode() {
        for mode in Mode::ALL {
            assert_eq!(click(mode, 2, Mark::Unlabeled, None, false), Deed::Place);
            assert_eq!(click(mode, 2, Mark::Hidden, None, false), Deed::Place);
            // Over another mark too, unless marks are meant.
            assert_eq!(click(mode, 2, Mark::Unlabeled, Some(0), false), Deed::Place);
            assert_eq!(click(mode, 2, Mark::Unlabeled, Some(0), true), Deed::Select(0));
            assert_eq!(click(mode, 2, HERE, Some(0), false), Deed::Select(0));
        }
        assert_eq!(click(Mode::Sequential, 2, HERE, None, false), Deed::AlreadyThere);
        assert_eq!(click(Mode::Loop, 2, HERE, None, false), Deed::AlreadyThere);
        assert_eq!(click(Mode::Quick, 2, HERE, None, false), Deed::Move);
        assert_eq!(click(Mode::Quick, 2, HERE, Some(2), false), Deed::Move);
    }

    #[test]
    fn where_it_goes_on() {
        let said =
            |done: &'static [usize]| move |p: usize| if done.contains(&p) { HERE } else { Mark::Unlabeled };
        let on = |part, frame| Onward { part, frame };
        let group = 3..6; // the second of two animals
        assert_eq!(onward(Mode::Sequential, 3, &group, said(&[3, 4]), false), on(5, Step::Stay));
        assert_eq!(onward(Mode::Sequential, 5, &group, said(&[5]), false), on(3, Step::Stay));
        assert_eq!(onward(Mode::Sequential, 5, &group, said(&[3, 4, 5]), true), on(5, Step::Stay));
        assert_eq!(onward(Mode::Quick, 3, &group, said(&[3, 4]), false), on(4, Step::Stay));
        assert_eq!(onward(Mode::Quick, 5, &group, said(&[3, 4, 5]), false), on(5, Step::Stay));
        assert_eq!(onward(Mode::Loop, 4, &group, said(&[4]), false), on(4, Step::Next));
        assert_eq!(onward(Mode::Loop, 4, &group, said(&[4]), true), on(5, Step::First));
        assert_eq!(onward(Mode::Loop, 5, &group, said(&[5]), true), on(5, Step::Stay));
        let hidden = |p: usize| if p == 4 { Mark::Hidden } else { Mark::Unlabeled };
        assert_eq!(onward(Mode::Sequential, 3, &group, hidden, false).part, 5, "not visible is said");

        assert_eq!(begin(Mode::Sequential, 0, &group, said(&[3])), 4);
        assert_eq!(begin(Mode::Quick, 5, &group, said(&[3, 4, 5])), 3);
        assert_eq!(begin(Mode::Loop, 4, &group, said(&[])), 4);
        assert_eq!(turn(5, &group, 1), 3);
        assert_eq!(turn(3, &group, -1), 5);
        assert_eq!(turn(0, &group, 1), 4, "from outside the group");
    }

    #[test]
    fn groups_and_edges() {
        let skeleton = Skeleton {
            individuals: vec!["m1".into(), "m2".into()],
            bodyparts: vec!["a".into(), "b".into()],
            unique_bodyparts: vec!["corner".into()],
            edges: vec![],
            multi_animal: true,
        };
        let all = groups(&skeleton);
        assert_eq!(all.iter().map(|g| g.points.clone()).collect::<Vec<_>>(), [0..2, 2..4, 4..5]);
        assert_eq!(groups(&Skeleton::single(["a", "b"]))[0].points, 0..2);
        assert!(groups(&Skeleton::default()).is_empty());

        for p in [Keypoint::new(-5.0, 3.0), Keypoint::new(640.0, 480.0), Keypoint::new(0.0, 1e9)] {
            assert!(held_inside(p, [640, 480]).inside(640.0, 480.0));
        }
        assert_eq!(held_inside(Keypoint::new(0.3, 479.7), [640, 480]), Keypoint::new(0.3, 479.7));
    }
}
