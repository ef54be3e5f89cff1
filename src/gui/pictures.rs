//! Pictures loaded off the window's thread: full size for the canvas, small ones for lists.
//!
//! The views say each pass what they want to show; threads load it, the newest wish first, and what no pass wants any
//! more is not loaded at all. Memory is bounded: decoded pictures, textures and thumbnails each have their budget, and
//! the longest unused go first. A file that cannot be shown gives words instead and disturbs no other.
//!
//! ```no_run
//! use limn::gui::pictures::{Look, Pictures};
//! use std::{path::Path, sync::Arc};
//! # let ctx = eframe::egui::Context::default();
//! let repaint = ctx.clone();
//! let mut pictures = Pictures::new(Arc::new(move || repaint.request_repaint()));
//! // in each pass:
//! pictures.begin_pass(&ctx);
//! match pictures.picture(Path::new("labeled-data/m1/img017.png")) {
//!     Look::Loading => {}
//!     Look::Ready(image) => { let _ = image.size(); }
//!     Look::Failed(words) => { let _ = words; }
//! }
//! pictures.prefetch(Path::new("labeled-data/m1/img018.png"));
//! ```

use super::widgets::canvas::{CanvasImage, Tone, colour_image};
use crate::error::{Error, Kind};
use crate::picture::Picture;
use crate::watch::Wake;
use eframe::egui::{ColorImage, Context, TextureHandle, TextureOptions};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How much memory may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of decoded pictures.
    pub decoded: usize,
    /// Bytes of textures for the canvas.
    pub textures: usize,
    /// How many thumbnails.
    pub thumbnails: usize,
}

impl Default for Budget {
    /// 256 MB decoded, 192 MB of textures, 1024 thumbnails (some 20 MB).
    fn default() -> Self {
        Self { decoded: 256 << 20, textures: 192 << 20, thumbnails: 1024 }
    }
}

/// The longest side of a thumbnail in pixels.
pub const THUMBNAIL: usize = 96;
/// Textures handed to the graphics card in one pass; a large one takes milliseconds.
const UPLOADS: usize = 2;
/// Thumbnails handed to it in one pass.
const THUMBNAIL_UPLOADS: usize = 8;
/// Threads that load.
const THREADS: usize = 2;
/// So many textures stay whatever they take: the shown picture and its neighbours.
const LEAST_TEXTURES: usize = 3;

/// What there is of a picture in this pass.
pub enum Look<'a> {
    /// It is on its way.
    Loading,
    /// Here it is.
    Ready(&'a mut CanvasImage),
    /// It cannot be shown: what happened, where, and how to mend it.
    Failed(&'a str),
}

/// What there is of a thumbnail in this pass.
pub enum Thumbnail<'a> {
    /// It is on its way.
    Loading,
    /// Here it is.
    Ready(&'a TextureHandle),
    /// Its file cannot be shown.
    Failed(&'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Thumbnail,
    Neighbour,
    Shown,
}

#[derive(Debug)]
struct Wish {
    path: PathBuf,
    sort: Sort,
    /// The pass that wanted it last, and the order in it.
    pass: u64,
    order: u64,
    tone: Tone,
    max_side: usize,
}

/// What the threads and the window share.
#[derive(Default)]
struct Shared {
    desk: Mutex<Desk>,
    more: Condvar,
}

#[derive(Default)]
struct Desk {
    wishes: Vec<Wish>,
    /// Being loaded, so that no two threads load the same.
    busy: Vec<Busy>,
    decoded: Lru<Arc<Picture>>,
    budget: usize,
    done: Vec<Done>,
    closed: bool,
    /// Grows when a file was forgotten, so that what was loaded before is thrown away.
    forgotten: HashMap<PathBuf, u64>,
    epoch: u64,
}

struct Busy {
    path: PathBuf,
    small: bool,
    tone: Tone,
}

enum Made {
    Full { image: Arc<ColorImage>, size: [usize; 2], tone: Tone },
    Small(ColorImage),
    Failed(String),
}

struct Done {
    path: PathBuf,
    epoch: u64,
    made: Made,
}

impl Busy {
    fn is(&self, path: &Path, small: bool) -> bool {
        self.path == path && self.small == small
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A map that knows what was used least recently.
struct Lru<T> {
    entries: HashMap<PathBuf, (T, usize, u64)>,
    clock: u64,
    bytes: usize,
}

impl<T> Default for Lru<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), clock: 0, bytes: 0 }
    }
}

impl<T> Lru<T> {
    fn get(&mut self, path: &Path) -> Option<&mut T> {
        self.clock += 1;
        let clock = self.clock;
        self.entries.get_mut(path).map(|(value, _, used)| {
            *used = clock;
            value
        })
    }

    fn remove(&mut self, path: &Path) {
        if let Some((_, bytes, _)) = self.entries.remove(path) {
            self.bytes -= bytes;
        }
    }

    /// Puts one in and throws out the longest unused until the others take no more than `budget`, keeping at least
    /// `least`.
    fn put(&mut self, path: PathBuf, value: T, bytes: usize, budget: usize, least: usize) {
        self.remove(&path);
        self.clock += 1;
        self.bytes += bytes;
        self.entries.insert(path, (value, bytes, self.clock));
        while self.bytes > budget && self.entries.len() > least.max(1) {
            let oldest = self.entries.iter().min_by_key(|(_, (_, _, used))| *used).map(|(p, _)| p.clone());
            match oldest {
                Some(path) => self.remove(&path),
                None => break,
            }
        }
    }
}

/// The pictures of a window; see the [module](self).
pub struct Pictures {
    shared: Arc<Shared>,
    budget: Budget,
    pass: u64,
    order: u64,
    tone: Tone,
    max_side: usize,
    shown: Lru<(CanvasImage, Tone)>,
    small: Lru<TextureHandle>,
    failed: HashMap<PathBuf, String>,
}

impl Pictures {
    /// Starts the threads. They call `wake` when there is something new.
    #[must_use]
    pub fn new(wake: Wake) -> Self {
        Self::with_budget(wake, Budget::default())
    }

    /// As [`Pictures::new`] with another bound on memory.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // every thread has its own clone
    pub fn with_budget(wake: Wake, budget: Budget) -> Self {
        let shared = Arc::new(Shared::default());
        shared.desk().budget = budget.decoded;
        for number in 0..THREADS {
            let (shared, wake) = (Arc::clone(&shared), Arc::clone(&wake));
            // Without threads pictures stay "loading"; the window itself goes on.
            let _ = std::thread::Builder::new()
                .name(format!("pictures {number}"))
                .spawn(move || work(&shared, &*wake));
        }
        Self {
            shared,
            budget,
            pass: 1,
            order: 0,
            tone: Tone::default(),
            max_side: 2048,
            shown: Lru::default(),
            small: Lru::default(),
            failed: HashMap::new(),
        }
    }

    /// Brightness and contrast of full-size pictures from now on; those on show change as soon as they are made anew.
    pub fn set_tone(&mut self, tone: Tone) {
        self.tone = tone;
    }

    /// Brightness and contrast as they are wished.
    #[must_use]
    pub fn tone(&self) -> Tone {
        self.tone
    }

    /// Takes in what the threads have made, a few a pass; call it once at the start of each pass.
    pub fn begin_pass(&mut self, ctx: &Context) {
        self.max_side = ctx.input(|i| i.max_texture_side);
        self.pass += 1;
        let shared = Arc::clone(&self.shared);
        let mut desk = shared.desk();
        let pass = self.pass;
        desk.wishes.retain(|w| w.pass + 1 >= pass);
        let (mut full, mut small) = (0, 0);
        let mut later = Vec::new();
        for done in std::mem::take(&mut desk.done) {
            if desk.forgotten.get(&done.path).is_some_and(|epoch| *epoch > done.epoch) {
                continue;
            }
            match done.made {
                Made::Failed(ref words) => {
                    self.failed.insert(done.path, words.clone());
                }
                Made::Full { image, size, tone } if full < UPLOADS => {
                    full += 1;
                    let bytes = image.pixels.len() * 4;
                    if let Some((shown, of)) = self.shown.get(&done.path) {
                        shown.set(image, size);
                        *of = tone;
                    } else {
                        let image = CanvasImage::new(ctx, &done.path.to_string_lossy(), image, size);
                        self.shown.put(done.path, (image, tone), bytes, self.budget.textures, LEAST_TEXTURES);
                    }
                }
                Made::Small(image) if small < THUMBNAIL_UPLOADS => {
                    small += 1;
                    let name = format!("thumbnail {}", done.path.display());
                    let texture = ctx.load_texture(name, image, TextureOptions::LINEAR);
                    self.small.put(done.path, texture, 1, self.budget.thumbnails, 1);
                }
                _ => later.push(done),
            }
        }
        if !later.is_empty() {
            ctx.request_repaint();
        }
        desk.done = later;
    }

    /// A picture to show now, by its file.
    pub fn picture(&mut self, path: &Path) -> Look<'_> {
        if self.failed.contains_key(path) {
            return self.failed.get(path).map_or(Look::Loading, |words| Look::Failed(words));
        }
        let wanted = self.tone;
        if self.shown.get(path).is_none_or(|(_, tone)| *tone != wanted) {
            self.wish(path, Sort::Shown);
        }
        match self.shown.get(path) {
            Some((image, _)) => Look::Ready(image),
            None => Look::Loading,
        }
    }

    /// A picture that will probably be shown next.
    pub fn prefetch(&mut self, path: &Path) {
        let wanted = self.tone;
        if !self.failed.contains_key(path) && self.shown.get(path).is_none_or(|(_, tone)| *tone != wanted) {
            self.wish(path, Sort::Neighbour);
        }
    }

    /// A small picture for a list, no side longer than [`THUMBNAIL`] pixels, without tone.
    pub fn thumbnail(&mut self, path: &Path) -> Thumbnail<'_> {
        if self.failed.contains_key(path) {
            return self.failed.get(path).map_or(Thumbnail::Loading, |words| Thumbnail::Failed(words));
        }
        if self.small.get(path).is_none() {
            self.wish(path, Sort::Thumbnail);
        }
        self.small.get(path).map_or(Thumbnail::Loading, |texture| Thumbnail::Ready(texture))
    }

    /// Why a picture could not be shown, when that is known.
    #[must_use]
    pub fn failure(&self, path: &Path) -> Option<&str> {
        self.failed.get(path).map(String::as_str)
    }

    /// Forgets a file that has changed or is to be tried again.
    pub fn forget(&mut self, path: &Path) {
        self.failed.remove(path);
        self.shown.remove(path);
        self.small.remove(path);
        let mut desk = self.shared.desk();
        desk.decoded.remove(path);
        desk.epoch += 1;
        let epoch = desk.epoch;
        desk.forgotten.insert(path.to_path_buf(), epoch);
    }

    /// Tries all files again that could not be shown.
    pub fn forget_failures(&mut self) {
        let paths: Vec<PathBuf> = self.failed.keys().cloned().collect();
        for path in paths {
            self.forget(&path);
        }
    }

    /// Whether nothing is wished or being made: for tests and screenshots that wait for a picture.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let desk = self.shared.desk();
        desk.wishes.is_empty() && desk.busy.is_empty() && desk.done.is_empty()
    }

    fn wish(&mut self, path: &Path, sort: Sort) {
        self.order += 1;
        let (pass, order, tone, max_side) = (self.pass, self.order, self.tone, self.max_side);
        let mut desk = self.shared.desk();
        let small = sort == Sort::Thumbnail;
        if let Some(wish) =
            desk.wishes.iter_mut().find(|w| w.path == path && (w.sort == Sort::Thumbnail) == small)
        {
            *wish = Wish { path: std::mem::take(&mut wish.path), sort, pass, order, tone, max_side };
            return;
        }
        // What is being made, or lies ready for one of the next passes, need not be made twice.
        let under_way = desk.busy.iter().any(|b| b.is(path, small) && (small || b.tone == tone));
        let made = under_way
            || desk.done.iter().any(|d| {
                d.path == path
                    && match &d.made {
                        Made::Full { tone: of, .. } => !small && *of == tone,
                        Made::Small(_) => small,
                        Made::Failed(_) => true,
                    }
            });
        if !made {
            desk.wishes.push(Wish { path: path.to_path_buf(), sort, pass, order, tone, max_side });
            drop(desk);
            self.shared.more.notify_one();
        }
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        // The threads end by themselves; waiting for a slow disk would hold up the window.
        let mut desk = self.shared.desk();
        desk.closed = true;
        desk.wishes.clear();
        drop(desk);
        self.shared.more.notify_all();
    }
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pictures({} shown, {} small)", self.shown.entries.len(), self.small.entries.len())
    }
}

/// One thread: takes the most urgent wish until the window is gone.
fn work(shared: &Shared, wake: &(dyn Fn() + Send + Sync)) {
    loop {
        let mut desk = shared.desk();
        let (wish, known, epoch) = loop {
            if desk.closed {
                return;
            }
            let urgent = desk
                .wishes
                .iter()
                .enumerate()
                .filter(|(_, w)| !desk.busy.iter().any(|b| b.is(&w.path, w.sort == Sort::Thumbnail)))
                .max_by_key(|(_, w)| (w.pass, w.sort, std::cmp::Reverse(w.order)))
                .map(|(at, _)| at);
            if let Some(at) = urgent {
                let wish = desk.wishes.swap_remove(at);
                let known = desk.decoded.get(&wish.path).map(|p| Arc::clone(p));
                let small = wish.sort == Sort::Thumbnail;
                desk.busy.push(Busy { path: wish.path.clone(), small, tone: wish.tone });
                break (wish, known, desk.epoch);
            }
            desk = shared.more.wait(desk).unwrap_or_else(PoisonError::into_inner);
        };
        drop(desk);
        let small = wish.sort == Sort::Thumbnail;
        let fresh = known.is_none();
        let loaded = known.map_or_else(|| load(&wish.path), Ok);
        let made = match &loaded {
            Ok(picture) if small => {
                let side = THUMBNAIL.min(wish.max_side.max(1));
                Made::Small(colour_image(picture, Tone::default(), side))
            }
            Ok(picture) => Made::Full {
                image: Arc::new(colour_image(picture, wish.tone, wish.max_side)),
                size: [picture.width(), picture.height()],
                tone: wish.tone,
            },
            Err(words) => Made::Failed(words.clone()),
        };
        let mut desk = shared.desk();
        desk.busy.retain(|b| !b.is(&wish.path, small));
        let current = desk.forgotten.get(&wish.path).is_none_or(|e| *e <= epoch);
        if let Ok(picture) = loaded
            && fresh
            && !small
            && current
        {
            let (bytes, budget) = (picture.rgb().len(), desk.budget);
            desk.decoded.put(wish.path.clone(), picture, bytes, budget, 1);
        }
        desk.done.push(Done { path: wish.path, epoch, made });
        drop(desk);
        wake();
    }
}

/// Reads a picture; in words why not.
fn load(path: &Path) -> Result<Arc<Picture>, String> {
    // A damaged file must not end the thread, whatever the decoder makes of it.
    let loaded = std::panic::catch_unwind(|| Picture::load(path)).unwrap_or_else(|_| {
        Err(Error::new(Kind::Format, "cannot decode the picture")
            .at(path.display())
            .mend("extract this frame again, or remove the file and its labels"))
    });
    match loaded {
        Ok(picture) if picture.width() > 0 && picture.height() > 0 => Ok(Arc::new(picture)),
        Ok(_) => Err(format!("the picture has no pixels\n  where: {}", path.display())),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::{Color32, RawInput};
    use std::time::{Duration, Instant};

    /// Passes with `views` until it answers.
    fn until<T>(
        ctx: &Context,
        pictures: &mut Pictures,
        mut views: impl FnMut(&mut Pictures) -> Option<T>,
    ) -> T {
        let patience = Instant::now() + Duration::from_secs(30);
        loop {
            let mut answer = None;
            let mut out = ctx.run_ui(RawInput::default(), |ui| {
                pictures.begin_pass(ui.ctx());
                answer = views(pictures);
            });
            out.textures_delta.clear();
            if let Some(answer) = answer {
                return answer;
            }
            assert!(Instant::now() < patience, "nothing came");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn folder(count: u8) -> (tempfile::TempDir, Vec<PathBuf>) {
        let dir = tempfile::tempdir().unwrap();
        let paths = (0..count)
            .map(|n| {
                let path = dir.path().join(format!("img{n:02}.png"));
                Picture::from_rgb(120, 100, vec![n * 10 + 50; 36_000]).unwrap().save_png(&path).unwrap();
                path
            })
            .collect();
        (dir, paths)
    }

    #[test]
    fn pictures_come_with_their_tone_and_a_corrupt_one_disturbs_no_other() {
        let (dir, paths) = folder(3);
        let bad = dir.path().join("bad.png");
        std::fs::write(&bad, b"\x89PNG\r\n\x1a\n cut off").unwrap();
        let ctx = Context::default();
        let mut pictures = Pictures::new(Arc::new(|| {}));
        let colour = |pictures: &mut Pictures, path: &Path| match pictures.picture(path) {
            Look::Ready(image) => Some((image.size(), image.pixels().pixels[0])),
            _ => None,
        };
        let (size, first) = until(&ctx, &mut pictures, |p| {
            p.prefetch(&paths[2]);
            colour(p, &paths[1])
        });
        assert_eq!((size, first), ([120, 100], Color32::from_gray(60)));
        let words = until(&ctx, &mut pictures, |p| match p.picture(&bad) {
            Look::Failed(words) => Some(words.to_owned()),
            _ => None,
        });
        assert!(words.contains("bad.png") && words.contains("extract this frame again"), "{words}");
        assert!(matches!(pictures.thumbnail(&bad), Thumbnail::Failed(_)));

        pictures.set_tone(Tone { brightness: 0.2, contrast: 0.0 });
        let bright = until(&ctx, &mut pictures, |p| {
            colour(p, &paths[1]).map(|c| c.1).filter(|c| *c != Color32::from_gray(60))
        });
        assert_eq!(bright, Color32::from_gray(111));

        // Mended and forgotten, it is read again.
        std::fs::copy(&paths[0], &bad).unwrap();
        pictures.forget(&bad);
        assert_eq!(until(&ctx, &mut pictures, |p| colour(p, &bad)).0, [120, 100]);
    }

    #[test]
    fn memory_is_bounded_and_thumbnails_are_small() {
        let (_dir, paths) = folder(12);
        let ctx = Context::default();
        let budget = Budget { decoded: 80_000, textures: 100_000, thumbnails: 5 };
        let mut pictures = Pictures::with_budget(Arc::new(|| {}), budget);
        for path in &paths {
            until(&ctx, &mut pictures, |p| matches!(p.picture(path), Look::Ready(_)).then_some(()));
            let size = until(&ctx, &mut pictures, |p| match p.thumbnail(path) {
                Thumbnail::Ready(texture) => Some(texture.size()),
                _ => None,
            });
            assert_eq!(size, [96, 80]);
        }
        assert_eq!(pictures.small.entries.len(), 5);
        assert_eq!(pictures.shown.entries.len(), LEAST_TEXTURES);
        assert!(pictures.shared.desk().decoded.bytes <= 80_000);
        // The last ones are those that stayed.
        assert!(pictures.shown.get(&paths[11]).is_some() && pictures.shown.get(&paths[0]).is_none());
    }

    #[test]
    fn what_nobody_wants_any_more_is_not_loaded() {
        let (_dir, paths) = folder(4);
        let ctx = Context::default();
        let mut pictures = Pictures::new(Arc::new(|| {}));
        // Both threads are held up, so that the wishes stay on the desk.
        let desk = pictures.shared.clone();
        let tone = Tone { brightness: 1.0, contrast: 0.0 };
        desk.desk().busy = paths.iter().map(|p| Busy { path: p.clone(), small: false, tone }).collect();
        let pass = |pictures: &mut Pictures, path: &Path| {
            let mut out = ctx.run_ui(RawInput::default(), |ui| {
                pictures.begin_pass(ui.ctx());
                let _ = pictures.picture(path);
            });
            out.textures_delta.clear();
        };
        for path in &paths {
            pass(&mut pictures, path);
        }
        let wishes: Vec<_> = desk.desk().wishes.iter().map(|w| w.path.clone()).collect();
        assert!(wishes.contains(&paths[3]) && !wishes.contains(&paths[0]), "{wishes:?}");
    }
}
