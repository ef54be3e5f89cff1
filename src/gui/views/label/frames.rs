//! The list of frames: what is done, progress by video, and the way from one to the next. No egui here.

use crate::gui::widgets::words::counted;
use crate::pose::{FrameKey, Labels};
use crate::project::Hidden;
use std::collections::HashSet;
use std::ops::Range;

/// How far one frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Nothing is said of any point.
    #[default]
    ToDo,
    /// Something is said of some.
    Begun,
    /// Every point is placed or marked as not visible.
    Done,
}

impl Progress {
    /// In a word or two.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ToDo => "to do",
            Self::Begun => "begun",
            Self::Done => "done",
        }
    }
}

/// Which frames are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Those that are not done.
    ToDo,
    /// Those that are.
    Done,
}

impl Filter {
    /// All of them, with what they are called.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::All, "All"), (Self::ToDo, "To do"), (Self::Done, "Done")];

    fn shows(self, progress: Progress) -> bool {
        match self {
            Self::All => true,
            Self::ToDo => progress != Progress::Done,
            Self::Done => progress == Progress::Done,
        }
    }
}

/// The frames of one video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrames {
    /// The video's stem.
    pub name: String,
    /// Its frames in [`Frames::keys`].
    pub frames: Range<usize>,
    /// How many are done.
    pub done: usize,
    /// How many are begun.
    pub begun: usize,
}

impl VideoFrames {
    /// Such as "12 of 20 frames done, 3 begun".
    #[must_use]
    pub fn words(&self) -> String {
        words(self.done, self.begun, self.frames.len())
    }
}

/// Such as "12 of 20 frames done, 3 begun".
#[must_use]
pub fn words(done: usize, begun: usize, all: usize) -> String {
    let begun = if begun > 0 { format!(", {begun} begun") } else { String::new() };
    format!("{done} of {} done{begun}", counted(all, "frame"))
}

/// A line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A video's heading, by its number.
    Video(usize),
    /// A frame, by its number.
    Frame(usize),
}

/// All frames of the project in the order of their keys, with what is done.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    keys: Vec<FrameKey>,
    progress: Vec<Progress>,
    videos: Vec<VideoFrames>,
}

impl Frames {
    /// Takes the pictures on disk, sorted, and adds those that only have labels: their pictures may come back.
    pub fn list(&mut self, pictures: &[FrameKey], labels: &Labels) {
        self.keys.clear();
        let mut pictures = pictures.iter().peekable();
        let mut labeled = labels.labeled_frames().map(|(k, _)| k).peekable();
        loop {
            let next = match (pictures.peek(), labeled.peek()) {
                (Some(a), Some(b)) if *a == *b => {
                    labeled.next();
                    pictures.next()
                }
                (Some(a), Some(b)) if *a < *b => pictures.next(),
                (Some(_), None) => pictures.next(),
                (_, Some(_)) => labeled.next(),
                (None, None) => break,
            };
            self.keys.extend(next.cloned());
        }
        self.videos.clear();
        for (i, key) in self.keys.iter().enumerate() {
            match self.videos.last_mut() {
                Some(video) if video.name == key.video => video.frames.end = i + 1,
                _ => self.videos.push(VideoFrames {
                    name: key.video.clone(),
                    frames: i..i + 1,
                    done: 0,
                    begun: 0,
                }),
            }
        }
        self.progress = vec![Progress::ToDo; self.keys.len()];
    }

    /// Counts anew what is done; a millisecond for ten thousand frames.
    pub fn count(&mut self, labels: &Labels, hidden: &Hidden) {
        let points = labels.skeleton.points();
        let mut said = vec![0usize; self.keys.len()];
        // Both are sorted by key: one walk through both.
        let mut at = 0;
        let mut seek = |key: &FrameKey| {
            while self.keys.get(at).is_some_and(|k| k < key) {
                at += 1;
            }
            (self.keys.get(at) == Some(key)).then_some(at)
        };
        for (key, frame) in &labels.frames {
            if let Some(slot) = seek(key).and_then(|i| said.get_mut(i)) {
                *slot += frame.labeled();
            }
        }
        for (key, _) in hidden.iter() {
            if let Some(slot) = self.index_of(key).and_then(|i| said.get_mut(i)) {
                *slot += 1;
            }
        }
        for (progress, said) in self.progress.iter_mut().zip(&said) {
            *progress = match *said {
                0 => Progress::ToDo,
                n if n >= points => Progress::Done,
                _ => Progress::Begun,
            };
        }
        for video in &mut self.videos {
            let of = |wanted| self.progress[video.frames.clone()].iter().filter(|p| **p == wanted).count();
            (video.done, video.begun) = (of(Progress::Done), of(Progress::Begun));
        }
    }

    /// All keys, sorted.
    #[must_use]
    pub fn keys(&self) -> &[FrameKey] {
        &self.keys
    }

    /// How far a frame is.
    #[must_use]
    pub fn progress(&self, frame: usize) -> Progress {
        self.progress.get(frame).copied().unwrap_or_default()
    }

    /// The videos, in the order of their names.
    #[must_use]
    pub fn videos(&self) -> &[VideoFrames] {
        &self.videos
    }

    /// Of all videos together: "12 of 20 frames done, 3 begun".
    #[must_use]
    pub fn words(&self) -> String {
        let sum = |of: fn(&VideoFrames) -> usize| self.videos.iter().map(of).sum();
        words(sum(|v| v.done), sum(|v| v.begun), self.keys.len())
    }

    /// The number of a frame by its key.
    #[must_use]
    pub fn index_of(&self, key: &FrameKey) -> Option<usize> {
        self.keys.binary_search(key).ok()
    }

    /// The video a frame is of.
    #[must_use]
    pub fn video_of(&self, frame: usize) -> Option<&VideoFrames> {
        let at = self.videos.partition_point(|v| v.frames.end <= frame);
        self.videos.get(at).filter(|v| v.frames.contains(&frame))
    }

    /// The frame `by` further among those that `filter` lists; stays at the ends.
    #[must_use]
    pub fn step(&self, frame: usize, by: isize, filter: Filter) -> usize {
        let shown = |i: &usize| filter.shows(self.progress(*i));
        let mut at = frame;
        for _ in 0..by.unsigned_abs() {
            let next = if by > 0 {
                (at + 1..self.keys.len()).find(shown)
            } else {
                (0..at.min(self.keys.len())).rev().find(shown)
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// The next frame with nothing said, round the end; when there is none, the next that is only begun.
    #[must_use]
    pub fn next_unlabeled(&self, frame: usize) -> Option<usize> {
        let count = self.keys.len();
        let round = || (1..=count).map(move |i| (frame + i) % count);
        let find = |wanted| round().find(|i| self.progress(*i) == wanted && *i != frame);
        find(Progress::ToDo).or_else(|| find(Progress::Begun))
    }

    /// The nearest frame of the same video that has labels: before it (`-1`) or after it (`1`).
    #[must_use]
    pub fn labeled_neighbour(&self, frame: usize, way: i8, labels: &Labels) -> Option<usize> {
        let video = self.video_of(frame)?.frames.clone();
        let has = |i: &usize| {
            self.progress(*i) != Progress::ToDo
                && self.keys.get(*i).and_then(|k| labels.frames.get(k)).is_some_and(|f| f.labeled() > 0)
        };
        if way < 0 { (video.start..frame).rev().find(has) } else { (frame + 1..video.end).find(has) }
    }

    /// The lines of the list: a heading for each video and, unless it is folded, its frames that `filter` shows.
    #[must_use]
    pub fn rows(&self, filter: Filter, folded: &HashSet<String>) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.keys.len() + self.videos.len());
        for (number, video) in self.videos.iter().enumerate() {
            rows.push(Row::Video(number));
            if !folded.contains(&video.name) {
                let shown = video.frames.clone().filter(|i| filter.shows(self.progress(*i)));
                rows.extend(shown.map(Row::Frame));
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{Keypoint, Skeleton};

    fn key(video: &str, n: usize) -> FrameKey {
        FrameKey::new(video, format!("img{n:02}.png"))
    }

    fn some() -> (Frames, Labels) {
        let pictures: Vec<_> = (0..3).map(|n| key("a", n)).chain((0..4).map(|n| key("b", n))).collect();
        let mut labels = Labels::new("Ada", Skeleton::single(["x", "y"]));
        let at = Some(Keypoint::new(1.0, 1.0));
        for (k, points) in [(key("a", 1), 2), (key("b", 0), 1), (key("b", 9), 2)] {
            (0..points).for_each(|p| labels.set(&k, p, at));
        }
        labels.set(&key("b", 2), 0, None); // a row without any label
        let mut frames = Frames::default();
        frames.list(&pictures, &labels);
        frames.count(&labels, &Hidden::default());
        (frames, labels)
    }

    #[test]
    fn progress_is_counted_by_video() {
        let (frames, labels) = some();
        assert_eq!(frames.keys().len(), 8, "one has labels and no picture");
        let words: Vec<_> = frames.videos().iter().map(VideoFrames::words).collect();
        assert_eq!(words, ["1 of 3 frames done", "1 of 5 frames done, 1 begun"]);
        assert_eq!(frames.words(), "2 of 8 frames done, 1 begun");
        assert_eq!(frames.progress(3), Progress::Begun);
        assert_eq!(frames.video_of(3).map(|v| v.name.as_str()), Some("b"));
        assert_eq!(frames.index_of(&key("b", 9)), Some(7));
        assert_eq!(frames.labeled_neighbour(5, -1, &labels), Some(3));
        assert_eq!(frames.labeled_neighbour(3, -1, &labels), None, "never of another video");
        assert_eq!(frames.labeled_neighbour(5, 1, &labels), Some(7));
    }

    #[test]
    fn ways_through_the_frames() {
        let (frames, _) = some();
        assert_eq!(frames.step(0, 1, Filter::All), 1);
        assert_eq!(frames.step(0, 1, Filter::ToDo), 2);
        assert_eq!(frames.step(0, -1, Filter::All), 0);
        assert_eq!(frames.step(7, 3, Filter::All), 7);
        assert_eq!(frames.step(5, -1, Filter::Done), 1);
        assert_eq!(frames.next_unlabeled(2), Some(4));
        assert_eq!(frames.next_unlabeled(6), Some(0), "round the end");
        assert_eq!(Frames::default().next_unlabeled(0), None);

        let rows = frames.rows(Filter::ToDo, &HashSet::from(["a".to_owned()]));
        let wanted =
            [Row::Video(0), Row::Video(1), Row::Frame(3), Row::Frame(4), Row::Frame(5), Row::Frame(6)];
        assert_eq!(rows, wanted);
        assert_eq!(frames.rows(Filter::All, &HashSet::new()).len(), 10);
    }
}
