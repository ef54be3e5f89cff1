use super::Project;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::frames;
use crate::picture::Picture;
use crate::pose::FrameKey;
use crate::video::{Decoded, Reader};
use crate::watch::Watch;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How frames are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Frames that look different from each other: one from each of the clusters of shrunken frames.
    Kmeans,
    /// At random, evenly over the video.
    Uniform,
}

/// What to extract.
#[derive(Debug, Clone)]
pub struct Extraction {
    /// How.
    pub method: Method,
    /// How many from each video.
    pub count: usize,
    /// Seed of the choice.
    pub seed: u64,
    /// Only these videos, by stem; all when empty.
    pub videos: Vec<String>,
    /// Cut pictures to the videos' `crop`; labels are then in pixels of the cut, as in DeepLabCut.
    pub crop: bool,
}

/// What was extracted from one video.
#[derive(Debug, Clone, Serialize)]
pub struct Extracted {
    /// The video's stem.
    pub video: String,
    /// Its folder of pictures.
    pub folder: PathBuf,
    /// The chosen frames, 0-based.
    pub frames: Vec<usize>,
    /// How many of them were new; the others were there before and stay untouched.
    pub new: usize,
}

/// Takes frames out of the project's videos for labelling, as PNG files under `labeled-data/`.
///
/// # Errors
/// When a wanted video is gone or cannot be read, or the folder cannot be written. Pictures of videos done before
/// stay.
pub fn extract(project: &Project, wish: &Extraction, watch: &dyn Watch) -> Result<Vec<Extracted>> {
    if wish.count == 0 {
        return Err(Error::new(Kind::Usage, "0 frames were asked for").mend("give --count a number above 0"));
    }
    let videos = project.videos();
    let chosen: Vec<_> = if wish.videos.is_empty() {
        // A listed video whose file is gone is told of, unless its frames were extracted long ago.
        for v in videos.iter().filter(|v| v.path.is_none()) {
            watch.warn(&format!("the video `{}` is not there; no frames were taken from it", v.stem));
        }
        videos.iter().filter(|v| v.path.is_some()).map(|v| v.stem.clone()).collect()
    } else {
        wish.videos.clone()
    };
    if chosen.is_empty() {
        return Err(Error::new(Kind::NotFound, "the project has no video to take frames from")
            .at(project.root().join("videos").display())
            .mend("add one with `limn add-videos`"));
    }
    chosen
        .iter()
        .map(|stem| {
            let path = project.video_path(stem)?;
            let crop = videos.iter().find(|v| v.stem == *stem).and_then(|v| v.crop).filter(|_| wish.crop);
            one(project, wish, stem, &path, crop, watch)
        })
        .collect()
}

fn one(
    project: &Project,
    wish: &Extraction,
    stem: &str,
    path: &Path,
    crop: Option<[i64; 4]>,
    watch: &dyn Watch,
) -> Result<Extracted> {
    let mut reader = Reader::open(path, watch)?;
    let total = reader.index().len();
    let window = frames::window(total, project.config.start, project.config.stop);
    let area = crop.map(|c| clamp(c, reader.index().width(), reader.index().height()));
    let frames = match wish.method {
        Method::Uniform => frames::uniform(window, wish.count, wish.seed),
        #[cfg(feature = "vision")]
        Method::Kmeans => frames::kmeans(
            &mut reader,
            window,
            wish.count,
            wish.seed,
            &frames::Options::default(),
            area,
            watch,
        )?,
        #[cfg(not(feature = "vision"))]
        Method::Kmeans => {
            return Err(Error::new(Kind::Usage, "this build cannot cluster frames")
                .mend("use --method uniform, or a limn built with the feature `vision`"));
        }
    };
    if frames.len() < wish.count {
        watch.warn(&format!(
            "{stem}: only {} of the {} wanted frames could be found",
            frames.len(),
            wish.count
        ));
    }
    let folder = project.labeled_data(stem);
    files::make_folder(&folder)?;
    let mut new = 0;
    let mut taken = Vec::with_capacity(frames.len());
    watch.begin(&format!("extract {stem}"), Some(frames.len() as u64));
    for frame in frames {
        watch.check()?;
        let key = FrameKey::new(stem, project.image_name(stem, frame as u64, total as u64));
        let file = project.image_path(&key);
        if !file.exists() {
            match reader.frame(frame)? {
                Decoded::Picture(p) => {
                    area.map_or(p.clone(), |a| cut(&p, a)).save_png(&file)?;
                    new += 1;
                }
                Decoded::Missing(reason) => {
                    watch.warn(&format!(
                        "{stem}: frame {frame} cannot be decoded ({reason}); it was left out"
                    ));
                    continue;
                }
            }
        }
        taken.push(frame);
        watch.advance(1);
    }
    watch.end();
    Ok(Extracted { video: stem.to_owned(), folder, frames: taken, new })
}

#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)] // clamped to the picture
fn clamp([x1, x2, y1, y2]: [i64; 4], width: usize, height: usize) -> [usize; 4] {
    let within = |v: i64, limit: usize| (v.max(0) as usize).min(limit);
    [within(x1, width), within(x2, width), within(y1, height), within(y2, height)]
}

fn cut(picture: &Picture, [x1, x2, y1, y2]: [usize; 4]) -> Picture {
    let mut out = Picture::new(x2.saturating_sub(x1), y2.saturating_sub(y1));
    for y in y1..y2 {
        for x in x1..x2 {
            out.set(x - x1, y - y1, picture.get(x, y));
        }
    }
    out
}
