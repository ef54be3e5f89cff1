//! Frames for a window that must never wait: threads decode, the window asks what is there.
//!
//! Wishes are taken in any number; the latest counts. Frames around the cursor are fetched before they are asked for.
//! Where a jump would take long (hundreds of frames to decode first), a viewing copy is made in the background and
//! gives a picture at once; the exact one follows when the cursor rests. [`Shot::exact`] says which one a picture is.

use super::copies::{Copies, CopyReader};
use super::index::Index;
use super::reader::Reader;
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::watch::Watch;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many packets on from the last frame, decoding is as quick as the viewing copy.
const NEAR: usize = 6;
/// So many frames are brought along with a step back.
const BACK: usize = 15;
/// From so many packets on, the keyframe before it is shown meanwhile.
const FAR: usize = 24;
/// The cursor rests when it has not moved for so long.
const REST: Duration = Duration::from_millis(150);
/// After a longer rest the machine is free for frames before the cursor, and for the viewing copy.
const IDLE: Duration = Duration::from_millis(400);
/// A frame in memory is counted at four bytes a pixel, as a window keeps it.
const PIXEL_BYTES: usize = 4;

/// A frame as it can be shown.
#[derive(Debug)]
pub struct Shot<T> {
    /// Its number.
    pub frame: usize,
    /// Whether it is the video's own picture; else it is the lossy viewing copy, and nothing may be measured on it.
    pub exact: bool,
    /// Why there is no picture (the image is black then).
    pub missing: Option<String>,
    /// What the viewer made of it.
    pub image: T,
}

/// How far the video is open.
#[derive(Debug, Clone)]
pub enum State {
    /// Its frames are being listed.
    Opening {
        /// Packets read.
        done: u64,
        /// Of so many, when the file says it.
        total: Option<u64>,
    },
    /// Frames can be had.
    Ready(Arc<Index>),
    /// It cannot be opened.
    Failed(Arc<Error>),
}

/// How far the viewing copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copy {
    /// Not known before the video is open.
    Unknown,
    /// Every frame is quickly there without.
    Unneeded,
    /// It is being made, whenever nothing else is to do; the finished parts are in use.
    Making {
        /// Frames copied.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// It is whole.
    Whole,
    /// It could not be made, or not further, and why; jumps take longer.
    Off(String),
}

impl Copy {
    /// Whether nothing more will come.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Unknown | Self::Making { .. })
    }
}

/// What a [`FrameServer`] may use.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Memory for frames, counted at four bytes a pixel. Eight frames are always kept.
    pub memory_bytes: usize,
    /// The folder of viewing copies; `None` makes none.
    pub copies: Option<PathBuf>,
    /// How large that folder may grow, in bytes.
    pub copies_bytes: u64,
}

impl Default for ServerOptions {
    /// Half a gigabyte of memory; copies in the user's cache folder (or `$LIMN_CACHE`) up to 8 GB.
    fn default() -> Self {
        Self { memory_bytes: 512 << 20, copies: Copies::usual_root(), copies_bytes: 8 << 30 }
    }
}

/// Frames of one video, decoded on threads of its own. No call waits for them. Dropping it ends them.
///
/// ```
/// use limn::{picture::Picture, video::{FrameServer, State, Writer}};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("clip.mp4");
/// # let mut writer = Writer::create(&path, 64, 48, 25.0)?;
/// # (0..10).try_for_each(|_| writer.write(&Picture::new(64, 48)))?;
/// # writer.finish()?;
/// let wake = std::sync::Arc::new(|| { /* ask the window to look again */ });
/// let server = FrameServer::open(&path, 64 << 20, |p: &Picture| p.clone(), wake);
/// server.want(7);
/// let shot = loop {
///     match (server.get(7), server.state()) {
///         (Some(shot), _) => break shot,
///         (_, State::Failed(e)) => return Err(e.to_string().into()),
///         _ => std::thread::yield_now(), // a window would draw its next picture
///     }
/// };
/// assert!(shot.exact && shot.image.width() == 64);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameServer<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    desk: Mutex<Desk<T>>,
    /// A wish, a finished frame, or the end.
    changed: Condvar,
    make: Box<dyn Fn(&Picture) -> T + Send + Sync>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// What the threads and the window agree about.
struct Desk<T> {
    state: State,
    copy: Copy,
    copies: Option<Arc<Copies>>,
    wish: Option<usize>,
    wished: Instant,
    playing: bool,
    quit: bool,
    /// Where the exact reader stands, and whether it is at work.
    at: Option<usize>,
    busy: bool,
    shots: HashMap<usize, (Arc<Shot<T>>, u64)>,
    room: usize,
    clock: u64,
    newest: Option<Arc<Shot<T>>>,
    /// Frames before the cursor that are being fetched.
    run: Range<usize>,
}

impl<T: Send + Sync + 'static> FrameServer<T> {
    /// Opens and indexes the video on a thread of its own. `make` turns a picture into what the viewer keeps, on
    /// these threads; `wake` is called there whenever something new is to be had.
    pub fn open(
        path: &Path,
        memory_bytes: usize,
        make: impl Fn(&Picture) -> T + Send + Sync + 'static,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self::open_with(path, ServerOptions { memory_bytes, ..ServerOptions::default() }, make, wake)
    }

    /// Like [`FrameServer::open`], with more to choose.
    pub fn open_with(
        path: &Path,
        options: ServerOptions,
        make: impl Fn(&Picture) -> T + Send + Sync + 'static,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let desk = Desk {
            state: State::Opening { done: 0, total: None },
            copy: Copy::Unknown,
            copies: None,
            wish: None,
            wished: Instant::now(),
            playing: false,
            quit: false,
            at: None,
            busy: false,
            shots: HashMap::new(),
            room: 8,
            clock: 0,
            newest: None,
            run: 0..0,
        };
        let shared =
            Arc::new(Shared { desk: Mutex::new(desk), changed: Condvar::new(), make: Box::new(make), wake });
        let (own, path) = (Arc::clone(&shared), path.to_path_buf());
        let begun = spawn("frames", move || own.serve(&path, &options));
        if let Err(e) = begun {
            shared.lock().state = State::Failed(Arc::new(e));
        }
        Self { shared }
    }

    /// How far the video is open.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.lock().state.clone()
    }

    /// How far its viewing copy is.
    #[must_use]
    pub fn copy(&self) -> Copy {
        self.shared.lock().copy.clone()
    }

    /// Moves the cursor to a frame (numbers past the end mean the last). The latest wish counts; what was begun for
    /// an earlier one is left off.
    pub fn want(&self, frame: usize) {
        let mut desk = self.shared.lock();
        let frame = match &desk.state {
            State::Ready(index) => frame.min(index.len() - 1),
            _ => frame,
        };
        if desk.wish == Some(frame) {
            return;
        }
        desk.wish = Some(frame);
        desk.wished = Instant::now();
        if !desk.run.contains(&frame) && !desk.exact(frame) {
            desk.run = 0..0;
        }
        if let Some(shot) = desk.touch(frame) {
            desk.newest = Some(shot);
        }
        drop(desk);
        self.shared.changed.notify_all();
    }

    /// Says whether wishes come one after the other in time: then frames ahead are what counts.
    pub fn play(&self, playing: bool) {
        self.shared.lock().playing = playing;
        self.shared.changed.notify_all();
    }

    /// A frame, when it is in memory.
    #[must_use]
    pub fn get(&self, frame: usize) -> Option<Arc<Shot<T>>> {
        self.shared.lock().touch(frame)
    }

    /// The newest picture made for a wish: the wished frame, or on the way there a keyframe before it.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<Shot<T>>> {
        self.shared.lock().newest.clone()
    }

    /// How many frames are in memory, and how many may be.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        let desk = self.shared.lock();
        (desk.shots.len(), desk.room)
    }
}

impl<T> Drop for FrameServer<T> {
    fn drop(&mut self) {
        self.shared.lock().quit = true;
        self.shared.changed.notify_all();
    }
}

impl<T> std::fmt::Debug for FrameServer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let desk = self.shared.lock();
        write!(f, "FrameServer({:?}, wish {:?}, {} frames held)", desk.state, desk.wish, desk.shots.len())
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    std::thread::Builder::new().name(format!("limn {name}")).spawn(work).map(drop).map_err(|e| {
        Error::new(Kind::Io, format!("cannot start a thread for the video: {e}"))
            .mend("close other programs and try again")
    })
}

/// What the exact reader does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Wish(usize),
    Fill(usize),
    /// One of [`Desk::run`].
    Run(usize),
    Wait(Option<Duration>),
    Quit,
}

impl<T> Desk<T> {
    fn frames(&self) -> usize {
        match &self.state {
            State::Ready(index) => index.len(),
            _ => 0,
        }
    }

    fn touch(&mut self, frame: usize) -> Option<Arc<Shot<T>>> {
        self.clock += 1;
        let clock = self.clock;
        let (shot, used) = self.shots.get_mut(&frame)?;
        *used = clock;
        Some(Arc::clone(shot))
    }

    fn exact(&self, frame: usize) -> bool {
        self.shots.get(&frame).is_some_and(|(s, _)| s.exact)
    }

    fn copied(&self, frame: usize) -> bool {
        self.copies.as_ref().is_some_and(|c| c.has(frame))
    }

    /// Whether the exact frame is only a few packets away.
    fn near(&self, frame: usize) -> bool {
        self.at.is_some_and(|at| frame > at && frame - at <= NEAR)
    }

    /// The frames kept ready after and before the cursor.
    fn window(&self, wish: usize) -> (Range<usize>, Range<usize>) {
        let (ahead, behind) =
            if self.playing { (self.room / 2, 0) } else { (self.room * 3 / 8, self.room / 4) };
        let end = (wish + 1 + ahead.min(120)).min(self.frames());
        ((wish + 1).min(end)..end, wish.saturating_sub(behind.min(60))..wish)
    }

    fn task(&mut self) -> Task {
        if self.quit {
            return Task::Quit;
        }
        let Some(wish) = self.wish else { return Task::Wait(None) };
        let rested = self.wished.elapsed();
        if !self.exact(wish) {
            // While somebody drags through the video, the copy answers, and the machine is left to it.
            let wait = if self.playing || self.near(wish) || !self.copied(wish) {
                Duration::ZERO
            } else {
                REST.saturating_sub(rested)
            };
            if !wait.is_zero() {
                return Task::Wait(Some(wait));
            }
            // A step back: the way from the keyframe is long, so the frames before it are brought along.
            if self.exact(wish + 1) && !self.near(wish) && !self.run.contains(&wish) {
                self.run = wish.saturating_sub(BACK.min(self.room / 4))..wish + 1;
            }
            if !self.run.contains(&wish) {
                return Task::Wish(wish);
            }
            let first = self.run.clone().find(|n| !self.exact(*n));
            return Task::Run(first.unwrap_or(wish));
        }
        let (ahead, behind) = self.window(wish);
        if let Some(n) = ahead.into_iter().find(|n| !self.exact(*n)) {
            return Task::Fill(n);
        }
        if behind.is_empty() || behind.clone().all(|n| self.exact(n)) {
            return Task::Wait(None);
        }
        if rested < IDLE && self.run.is_empty() {
            return Task::Wait(Some(IDLE.saturating_sub(rested)));
        }
        // Frames before the cursor are fetched in one go from a keyframe, and only when half of them are used up.
        if self.run.end != behind.end || self.run.is_empty() {
            let kept = behind.clone().rev().take_while(|n| self.exact(*n)).count();
            self.run = if kept * 2 < behind.len() { behind.start..behind.end - kept } else { 0..0 };
        }
        match self.run.clone().find(|n| !self.exact(*n)) {
            Some(n) => Task::Run(n),
            None => {
                self.run = 0..0;
                Task::Wait(None)
            }
        }
    }

    /// Puts a shot in; the one used longest ago makes room, but none around the cursor.
    fn keep(&mut self, shot: Shot<T>, interim: bool) {
        let frame = shot.frame;
        let shot = Arc::new(shot);
        if interim || self.wish == Some(frame) {
            self.newest = Some(Arc::clone(&shot));
        }
        self.clock += 1;
        self.shots.insert(frame, (shot, self.clock));
        let wish = self.wish.unwrap_or(frame);
        let (ahead, behind) = self.window(wish);
        let around = behind.start..ahead.end.max(wish + 1);
        while self.shots.len() > self.room {
            let oldest = self
                .shots
                .iter()
                .filter(|(n, _)| **n != frame)
                .min_by_key(|(n, (_, used))| (around.contains(n), *used))
                .map(|(n, _)| *n);
            let Some(n) = oldest else { break };
            self.shots.remove(&n);
        }
    }
}

impl<T> Shared<T> {
    /// Nothing is left half done under this lock, so a thread that panicked with it has broken nothing.
    fn lock(&self) -> MutexGuard<'_, Desk<T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    fn tell(&self) {
        self.changed.notify_all();
        (self.wake)();
    }

    /// Waits for a change, or for so long.
    fn pause(&self, desk: MutexGuard<'_, Desk<T>>, time: Option<Duration>) {
        match time {
            Some(time) => drop(self.changed.wait_timeout(desk, time)),
            None => drop(self.changed.wait(desk)),
        }
    }

    /// The thread of exact frames, from opening on.
    fn serve(self: &Arc<Self>, path: &Path, options: &ServerOptions) {
        let opening = OpeningWatch { shared: self };
        let index = match Index::open(path, &opening) {
            Ok(index) => Arc::new(index),
            Err(e) => {
                self.lock().state = State::Failed(Arc::new(e));
                return self.tell();
            }
        };
        let mut forward = match Reader::with_index(Arc::clone(&index)) {
            Ok(reader) => Some(reader),
            Err(e) => {
                self.lock().state = State::Failed(Arc::new(e));
                return self.tell();
            }
        };
        // Fetches frames before the cursor, so that the other stays where the next step needs it.
        let mut backward: Option<Reader> = None;
        {
            let mut desk = self.lock();
            desk.room = (options.memory_bytes / (index.width() * index.height() * PIXEL_BYTES).max(1)).max(8);
            desk.wish = desk.wish.map(|n| n.min(index.len() - 1));
            desk.state = State::Ready(Arc::clone(&index));
            if !Copies::help(&index) {
                desk.copy = Copy::Unneeded;
            }
        }
        self.tell();
        if Copies::help(&index) {
            let (own, index, options) = (Arc::clone(self), Arc::clone(&index), options.clone());
            let begun = spawn("viewing copy", move || own.copy(&index, &options));
            if let Err(e) = begun {
                self.lock().copy = Copy::Off(e.what().to_owned());
            }
        }

        let mut picture = Picture::new(index.width(), index.height());
        loop {
            let mut desk = self.lock();
            let task = desk.task();
            desk.busy = !matches!(task, Task::Wait(_));
            let n = match task {
                Task::Quit => return,
                Task::Wait(time) => {
                    self.pause(desk, time);
                    continue;
                }
                Task::Wish(n) | Task::Fill(n) | Task::Run(n) => n,
            };
            let (copied, playing) = (desk.copied(n), desk.playing);
            drop(desk);
            let is_run = matches!(task, Task::Run(_));
            let reader = if is_run { &mut backward } else { &mut forward };
            if reader.is_none() {
                *reader = Reader::with_index(Arc::clone(&index)).ok();
            }
            let Some(r) = reader else {
                self.keep(n, true, Some("the video is no longer there".into()), &mut picture);
                self.rest_on_trouble(n);
                continue;
            };
            // A newer wish that is not there yet goes before everything; but one a little further on is on this way,
            // and who plays faster than the machine decodes must see something.
            let wanted = || {
                let desk = self.lock();
                let on_the_way = |w: usize| w >= n && w - n <= NEAR;
                let there = |w: usize| match task {
                    Task::Wish(_) => false,
                    Task::Run(_) => {
                        desk.run.contains(&w)
                            || desk.exact(w) && desk.window(w).0.into_iter().all(|n| desk.exact(n))
                    }
                    _ => desk.exact(w),
                };
                !desk.quit && desk.wish.is_none_or(|w| on_the_way(w) || there(w))
            };
            if task == Task::Wish(n) && !copied && !playing && r.way(n) > FAR {
                let key = r.keyframe_of(n);
                if r.way(key) < r.way(n) / 2
                    && let Ok(None) = r.frame_while(key, &mut picture, &wanted)
                {
                    self.put(key, true, None, &picture, true);
                }
            }
            match r.frame_while(n, &mut picture, &wanted) {
                Ok(None) => self.put(n, true, None, &picture, false),
                Ok(Some(why)) => self.keep(n, true, Some(why), &mut picture),
                Err(e) if e.kind() == Kind::Cancelled => {
                    if !is_run {
                        self.lock().at = None;
                    }
                    continue;
                }
                Err(e) => {
                    *reader = None;
                    self.keep(n, true, Some(e.what().to_owned()), &mut picture);
                    self.rest_on_trouble(n);
                    continue;
                }
            }
            if !is_run {
                self.lock().at = Some(n);
            }
        }
    }

    /// A file that cannot be read is tried again with the next wish, or after a second.
    fn rest_on_trouble(&self, n: usize) {
        let desk = self.lock();
        if desk.wish == Some(n) && !desk.quit {
            self.pause(desk, Some(Duration::from_secs(1)));
        }
        self.lock().shots.retain(|_, (s, _)| s.missing.is_none());
    }

    /// Puts in a frame without a picture.
    fn keep(&self, n: usize, exact: bool, missing: Option<String>, picture: &mut Picture) {
        picture.rgb_mut().fill(0);
        self.put(n, exact, missing, picture, false);
    }

    fn put(&self, n: usize, exact: bool, missing: Option<String>, picture: &Picture, interim: bool) {
        let image = (self.make)(picture);
        let mut desk = self.lock();
        if !exact && desk.exact(n) {
            return;
        }
        let news = interim || desk.wish == Some(n);
        desk.keep(Shot { frame: n, exact, missing, image }, interim);
        drop(desk);
        self.changed.notify_all();
        if news {
            (self.wake)();
        }
    }

    /// The thread that shows frames from the viewing copy; it starts the one that makes it.
    fn copy(self: &Arc<Self>, index: &Arc<Index>, options: &ServerOptions) {
        let Some(root) = &options.copies else {
            self.lock().copy = Copy::Off("there is no folder for it".into());
            return;
        };
        let copies = match Copies::open(Arc::clone(index), root, options.copies_bytes) {
            Ok(copies) => Arc::new(copies),
            Err(e) => {
                self.lock().copy = Copy::Off(e.what().to_owned());
                return self.tell();
            }
        };
        self.lock().copies = Some(Arc::clone(&copies));
        let (own, made, of) = (Arc::clone(self), Arc::clone(&copies), Arc::clone(index));
        if let Err(e) = spawn("copying", move || own.make_copy(&made, &of)) {
            self.lock().copy = Copy::Off(e.what().to_owned());
        }
        self.tell();
        let mut reader = CopyReader::new(copies);
        let mut picture = Picture::new(index.width(), index.height());
        let mut failed = None;
        loop {
            let desk = self.lock();
            if desk.quit {
                return;
            }
            let task = desk.wish.filter(|w| {
                failed != Some(*w) && !desk.shots.contains_key(w) && !desk.near(*w) && desk.copied(*w)
            });
            let Some(n) = task else {
                self.pause(desk, None);
                continue;
            };
            drop(desk);
            failed = None;
            if reader.frame_into(n, &mut picture) {
                self.put(n, false, None, &picture, false);
            } else {
                failed = Some(n);
            }
        }
    }

    /// The thread that makes the copy while nothing else is to do.
    fn make_copy(self: &Arc<Self>, copies: &Arc<Copies>, index: &Arc<Index>) {
        let total = index.len();
        let wanted = || {
            loop {
                let desk = self.lock();
                if desk.quit {
                    return false;
                }
                let rested = desk.wished.elapsed();
                if !desk.busy && !desk.playing && (rested >= IDLE || desk.wish.is_none()) {
                    return true;
                }
                self.pause(desk, Some(Duration::from_millis(100)));
            }
        };
        let mut reader: Option<Reader> = None;
        loop {
            let near = {
                let mut desk = self.lock();
                if desk.quit {
                    return;
                }
                let done = copies.done();
                desk.copy = if done == total { Copy::Whole } else { Copy::Making { done, total } };
                desk.wish.unwrap_or(0)
            };
            self.tell();
            let Some(part) = copies.next(near) else { return };
            if reader.is_none() {
                reader = Reader::with_index(Arc::clone(index)).ok();
            }
            let made = match &mut reader {
                Some(reader) => copies.make(part, reader, &wanted),
                None => Err(Error::new(Kind::Video, "the video is no longer there")),
            };
            if let Err(e) = made {
                if e.kind() != Kind::Cancelled {
                    self.lock().copy = Copy::Off(e.what().to_owned());
                    self.tell();
                }
                return;
            }
        }
    }
}

/// Hands the progress of indexing on, and stops it with the server.
struct OpeningWatch<'s, T> {
    shared: &'s Shared<T>,
}

impl<T: Send + Sync> OpeningWatch<'_, T> {
    fn update(&self, change: impl FnOnce(&mut u64, &mut Option<u64>)) {
        if let State::Opening { done, total } = &mut self.shared.lock().state {
            change(done, total);
        }
        (self.shared.wake)();
    }
}

impl<T: Send + Sync> Watch for OpeningWatch<'_, T> {
    fn begin(&self, _stage: &str, total: Option<u64>) {
        self.update(|done, all| (*done, *all) = (0, total));
    }
    fn advance(&self, units: u64) {
        self.update(|done, _| *done += units);
    }
    fn status(&self, _text: &str) {}
    fn note(&self, _text: &str) {}
    fn warn(&self, _text: &str) {}
    fn end(&self) {}
    fn stopped(&self) -> bool {
        self.shared.lock().quit
    }
}
