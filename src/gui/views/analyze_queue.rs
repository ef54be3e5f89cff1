//! Videos that wait to be analyzed, and the work that takes one after the other.

use crate::error::{Error, Kind, Result};
use crate::files;
use crate::gui::lock;
use crate::gui::widgets::words::counted;
use crate::infer::{Analysis, Engine, Follow, Request, Seen, analyze_seen, holds_pictures};
use crate::jobs::{Handle, Jobs, Wake};
use crate::net::Precision;
use crate::project::{Project, is_video, video_files};
use crate::watch::Watch;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// How a video stands.
#[derive(Debug, Clone)]
pub(super) enum Stand {
    /// It waits.
    Waiting,
    /// It is being analyzed; nothing is known of its speed yet.
    Running(Option<Seen>),
    /// It is done.
    Done(Box<Analysis>),
    /// It could not be analyzed; why, and how to mend it.
    Failed(String),
    /// It was stopped; what is done is kept.
    Stopped,
}

/// A video of the queue.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Its number, which stays while others come and go.
    pub(super) id: u64,
    pub(super) video: PathBuf,
    pub(super) stand: Stand,
}

/// With what the videos are analyzed.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The model folder.
    pub(super) model: PathBuf,
    /// The project whose body parts the model must find, unless it is a model of elsewhere.
    pub(super) project: Option<PathBuf>,
    pub(super) device: String,
    pub(super) precision: Option<Precision>,
    /// Where results go; beside each video when not given.
    pub(super) out: Option<PathBuf>,
    /// Analyze again what is finished.
    pub(super) force: bool,
    /// Look only around the animal.
    pub(super) follow: bool,
    /// Frames are made this much smaller for the network; 1 leaves them.
    pub(super) resize: f64,
}

/// The queue, shared with the thread that works on it.
#[derive(Clone, Default)]
pub(super) struct Queue {
    items: Arc<Mutex<Vec<Item>>>,
}

impl Queue {
    pub(super) fn items(&self) -> MutexGuard<'_, Vec<Item>> {
        lock(&self.items)
    }

    /// Adds videos that are not there yet, or are and were done with.
    pub(super) fn add(&self, videos: Vec<PathBuf>) {
        let mut items = self.items();
        let mut next = items.iter().map(|i| i.id).max().unwrap_or(0) + 1;
        for video in videos {
            match items.iter_mut().find(|i| i.video == video) {
                Some(item) => {
                    if !matches!(item.stand, Stand::Running(_)) {
                        item.stand = Stand::Waiting;
                    }
                }
                None => {
                    items.push(Item { id: next, video, stand: Stand::Waiting });
                    next += 1;
                }
            }
        }
    }

    /// Takes a video away, unless it is being analyzed.
    pub(super) fn remove(&self, id: u64) {
        self.items().retain(|i| i.id != id || matches!(i.stand, Stand::Running(_)));
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.items().iter().filter(|i| matches!(i.stand, Stand::Waiting)).count()
    }

    fn set(&self, id: u64, stand: Stand) {
        if let Some(item) = self.items().iter_mut().find(|i| i.id == id) {
            item.stand = stand;
        }
    }

    /// Marks the next waiting video as running and gives it.
    fn next(&self) -> Option<(u64, PathBuf)> {
        let mut items = self.items();
        let item = items.iter_mut().find(|i| matches!(i.stand, Stand::Waiting))?;
        item.stand = Stand::Running(None);
        Some((item.id, item.video.clone()))
    }

    /// Starts the work on all that waits, and on what is added meanwhile.
    pub(super) fn start(&self, jobs: &mut Jobs, terms: Terms, wake: Wake) -> Handle<usize> {
        // What was stopped or has failed before is tried again.
        for item in self.items().iter_mut() {
            if matches!(item.stand, Stand::Stopped | Stand::Failed(_)) {
                item.stand = Stand::Waiting;
            }
        }
        let queue = self.clone();
        let title = format!("Analyzing {}", counted(self.waiting(), "video"));
        jobs.start(title, move |watch| queue.work(&terms, watch, &wake))
    }

    /// How many videos were analyzed.
    fn work(&self, terms: &Terms, watch: &dyn Watch, wake: &Wake) -> Result<usize> {
        let engine = Engine::load(&terms.model, &terms.device, terms.precision)?;
        if let Some(root) = &terms.project {
            let skeleton = Project::open(root, watch)?.skeleton();
            engine.fits(&skeleton).map_err(|e| e.at(terms.model.display()))?;
        }
        let request = Request {
            out: terms.out.clone(),
            force: terms.force,
            follow: terms.follow.then(Follow::default),
            resize: Some(terms.resize),
            ..Request::default()
        };
        let mut places = BTreeSet::new();
        let mut done = 0;
        while let Some((id, video)) = self.next() {
            if let Err(e) = watch.check() {
                self.set(id, Stand::Stopped);
                return Err(e);
            }
            let seen = |seen: &Seen| {
                self.set(id, Stand::Running(Some(*seen)));
                wake();
            };
            let folder = terms.out.clone().unwrap_or_else(|| files::folder_of(&video));
            let alone = places.insert((folder, video.file_stem().map(ToOwned::to_owned)));
            let result = if alone {
                analyze_seen(&engine, &video, &request, watch, &seen)
            } else {
                Err(Error::new(
                    Kind::Usage,
                    "its results would overwrite those of another video of the same name",
                )
                .at(video.display())
                .mend("analyze it into another folder, or rename it"))
            };
            match result {
                Ok(analysis) => {
                    self.set(id, Stand::Done(Box::new(analysis)));
                    done += 1;
                }
                Err(e) if e.kind() == Kind::Cancelled => {
                    self.set(id, Stand::Stopped);
                    return Err(e);
                }
                // One bad video must not cost the others.
                Err(e) => {
                    watch.warn(&format!("{}: {}", video.display(), e.what()));
                    self.set(id, Stand::Failed(e.to_string()));
                }
            }
            wake();
        }
        Ok(done)
    }

    /// After the work ended: nothing runs any more, whatever became of it.
    pub(super) fn at_rest(&self) {
        for item in self.items().iter_mut() {
            if matches!(item.stand, Stand::Running(_)) {
                item.stand = Stand::Stopped;
            }
        }
    }
}

/// The videos that files and folders mean, for a job.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut videos = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = video_files(path);
            if found.is_empty() && holds_pictures(path) {
                videos.push(path.clone()); // its pictures are the frames
            } else if found.is_empty() {
                return Err(none_in(path));
            } else {
                videos.extend(found);
            }
        } else if !path.is_file() {
            return Err(Error::new(Kind::NotFound, "there is no such video")
                .at(path.display())
                .mend("check the path"));
        } else if is_video(path) {
            videos.push(path.clone());
        } else {
            return Err(Error::new(Kind::Usage, "this is no video that limn knows by its ending")
                .at(path.display())
                .mend("give an .mp4, .avi, .mov, .mkv or the like"));
        }
    }
    Ok(videos)
}

fn none_in(path: &Path) -> Error {
    Error::new(Kind::NotFound, "there are neither videos nor pictures in this folder")
        .at(path.display())
        .mend("give video files, or a folder that holds some (mp4, avi, mov, ...) or pictures (png, jpg)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_takes_one_video_after_the_other() {
        let queue = Queue::default();
        queue.add(vec!["a.mp4".into(), "b.mp4".into(), "a.mp4".into()]);
        assert_eq!(queue.waiting(), 2);
        let (first, video) = queue.next().unwrap();
        assert_eq!(video, PathBuf::from("a.mp4"));
        queue.remove(first);
        queue.add(vec![video]);
        let count = queue.items().len();
        assert_eq!((count, queue.waiting()), (2, 1), "what runs stays as it is");
        queue.set(first, Stand::Failed("no".into()));
        queue.add(vec!["a.mp4".into()]);
        assert_eq!(queue.waiting(), 2, "tried again");
        queue.next().unwrap();
        queue.at_rest();
        assert!(matches!(queue.items()[0].stand, Stand::Stopped));
        queue.remove(first);
        assert_eq!(queue.items().len(), 1);
    }

    #[test]
    fn folders_are_searched_and_nonsense_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: &str| dir.path().join(n);
        for name in ["b.mp4", "a.avi", "a_labeled.mp4", "notes.txt"] {
            std::fs::write(path(name), b"").unwrap();
        }
        assert_eq!(expand(&[dir.path().into()]).unwrap(), [path("a.avi"), path("b.mp4")]);
        assert_eq!(expand(&[path("notes.txt")]).unwrap_err().kind(), Kind::Usage);
        assert_eq!(expand(&[path("c.mp4")]).unwrap_err().kind(), Kind::NotFound);
        std::fs::create_dir(path("empty")).unwrap();
        assert_eq!(expand(&[path("empty")]).unwrap_err().kind(), Kind::NotFound);
    }
}
