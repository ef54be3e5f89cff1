//! Frames taken out of the project's videos for labelling: chosen first, then written.

use super::{Project, ProjectVideo};
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

/// Frames of one video that were chosen to be taken, by [`choose`] or by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The video's stem.
    pub video: String,
    /// Its file.
    pub path: PathBuf,
    /// How many frames it has.
    pub total: usize,
    /// The chosen frames, 0-based, rising.
    pub frames: Vec<usize>,
    /// Those of them whose picture is there already; [`take`] leaves them untouched.
    pub there: Vec<usize>,
    /// `x1, x2, y1, y2` within the frame, to which the pictures are cut; `None` takes them whole.
    pub crop: Option<[usize; 4]>,
}

impl Choice {
    /// Frames of a video picked by hand. Numbers are put in order; each counts once.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a frame is past the end of the video of `total` frames.
    pub fn by_hand(
        project: &Project,
        video: &str,
        path: &Path,
        total: usize,
        frames: &[usize],
        crop: Option<[usize; 4]>,
    ) -> Result<Self> {
        let mut frames = frames.to_vec();
        frames.sort_unstable();
        frames.dedup();
        if let Some(n) = frames.last().filter(|n| **n >= total) {
            return Err(Error::new(Kind::Usage, format!("there is no frame {n}: the video has {total}"))
                .at(path.display())
                .mend(format!("choose from 0 to {}", total.saturating_sub(1))));
        }
        let file = |n: &usize| {
            project.image_path(&FrameKey::new(video, project.image_name(video, *n as u64, total as u64)))
        };
        let there = frames.iter().copied().filter(|n| file(n).exists()).collect();
        Ok(Self { video: video.to_owned(), path: path.to_path_buf(), total, frames, there, crop })
    }
}

/// Takes frames out of the project's videos for labelling, as PNG files under `labeled-data/`: [`choose`], then
/// [`take`].
///
/// # Errors
/// When a wanted video is gone or cannot be read, or the folder cannot be written. Pictures of videos done before
/// stay.
pub fn extract(project: &Project, wish: &Extraction, watch: &dyn Watch) -> Result<Vec<Extracted>> {
    let videos = wanted(project, wish, watch)?;
    let mut done = Vec::new();
    for video in &videos {
        // One after the other: what is chosen is taken before the next video is looked at.
        let (choice, reader) = one(project, wish, video, watch)?;
        done.push(write(project, &choice, Some(reader), watch)?);
    }
    Ok(done)
}

/// Chooses frames of the project's videos without writing anything.
///
/// # Errors
/// When a wanted video is gone or cannot be read, or 0 frames are asked for.
pub fn choose(project: &Project, wish: &Extraction, watch: &dyn Watch) -> Result<Vec<Choice>> {
    crate::watch::may_wait("choosing frames");
    wanted(project, wish, watch)?.iter().map(|video| Ok(one(project, wish, video, watch)?.0)).collect()
}

/// Writes the chosen frames as PNG files under `labeled-data/`. A picture that is there already stays as it is; a
/// frame that cannot be decoded is left out, with a warning.
///
/// # Errors
/// When a video is gone or cannot be read, has no such frame, or the folder cannot be written. Pictures written
/// before stay.
pub fn take(project: &Project, choices: &[Choice], watch: &dyn Watch) -> Result<Vec<Extracted>> {
    crate::watch::may_wait("extracting frames");
    let chosen = choices.iter().filter(|c| !c.frames.is_empty());
    chosen.map(|choice| write(project, choice, None, watch)).collect()
}

fn wanted(project: &Project, wish: &Extraction, watch: &dyn Watch) -> Result<Vec<ProjectVideo>> {
    if wish.count == 0 {
        return Err(Error::new(Kind::Usage, "0 frames were asked for").mend("give --count a number above 0"));
    }
    let mut videos = project.videos();
    if wish.videos.is_empty() {
        // A listed video whose file is gone is told of, unless its frames were extracted long ago.
        for v in videos.iter().filter(|v| v.path.is_none()) {
            watch.warn(&format!("the video `{}` is not there; no frames were taken from it", v.stem));
        }
        videos.retain(|v| v.path.is_some());
    } else {
        for stem in &wish.videos {
            project.video_path(stem)?;
        }
        videos.retain(|v| wish.videos.contains(&v.stem));
        videos.sort_by_key(|v| wish.videos.iter().position(|s| *s == v.stem));
    }
    if videos.is_empty() {
        return Err(Error::new(Kind::NotFound, "the project has no video to take frames from")
            .at(project.root().join("videos").display())
            .mend("add one with `limn add-videos`"));
    }
    Ok(videos)
}

fn one(
    project: &Project,
    wish: &Extraction,
    video: &ProjectVideo,
    watch: &dyn Watch,
) -> Result<(Choice, Reader)> {
    let stem = &video.stem;
    let path = project.video_path(stem)?;
    let mut reader = Reader::open(&path, watch)?;
    let total = reader.index().len();
    let window = frames::window(total, project.config.start, project.config.stop);
    let size = (reader.index().width(), reader.index().height());
    let area = video.crop.filter(|_| wish.crop).map(|c| clamp(c, size.0, size.1));
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
    Ok((Choice::by_hand(project, stem, &path, total, &frames, area)?, reader))
}

fn write(
    project: &Project,
    choice: &Choice,
    mut reader: Option<Reader>,
    watch: &dyn Watch,
) -> Result<Extracted> {
    let stem = &choice.video;
    let folder = project.labeled_data(stem);
    let mut new = 0;
    let mut taken = Vec::with_capacity(choice.frames.len());
    files::make_folder(&folder)?;
    watch.begin(&format!("extract {stem}"), Some(choice.frames.len() as u64));
    for n in &choice.frames {
        watch.check()?;
        let key = FrameKey::new(stem, project.image_name(stem, *n as u64, choice.total as u64));
        let file = project.image_path(&key);
        if !file.exists() {
            let reader = match &mut reader {
                Some(reader) => reader,
                None => reader.insert(opened(choice, watch)?),
            };
            match reader.frame(*n)? {
                Decoded::Picture(p) => {
                    choice.crop.map_or_else(|| p.clone(), |a| cut(&p, a)).save_png(&file)?;
                    new += 1;
                }
                Decoded::Missing(reason) => {
                    watch.warn(&format!("{stem}: frame {n} cannot be decoded ({reason}); it was left out"));
                    watch.advance(1);
                    continue;
                }
            }
        }
        taken.push(*n);
        watch.advance(1);
    }
    watch.end();
    Ok(Extracted { video: stem.clone(), folder, frames: taken, new })
}

/// The video of a choice, when it is still the one chosen from.
fn opened(choice: &Choice, watch: &dyn Watch) -> Result<Reader> {
    let reader = Reader::open(&choice.path, watch)?;
    if reader.index().len() != choice.total {
        return Err(Error::new(
            Kind::Video,
            format!(
                "the video has {} frames, but had {} when frames were chosen",
                reader.index().len(),
                choice.total
            ),
        )
        .at(choice.path.display())
        .mend("choose the frames again"));
    }
    Ok(reader)
}

#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)] // clamped to the picture
fn clamp([x1, x2, y1, y2]: [i64; 4], width: usize, height: usize) -> [usize; 4] {
    let within = |v: i64, limit: usize| (v.max(0) as usize).min(limit);
    [within(x1, width), within(x2, width), within(y1, height), within(y2, height)]
}

/// Cuts a picture; an empty or senseless area gives an empty picture.
fn cut(picture: &Picture, [x1, x2, y1, y2]: [usize; 4]) -> Picture {
    let mut out = Picture::new(x2.saturating_sub(x1), y2.saturating_sub(y1));
    for y in y1..y2 {
        for x in x1..x2 {
            out.set(x - x1, y - y1, picture.get(x, y));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{NewProject, VideoMode};
    use crate::video::Writer;
    use crate::watch::Quiet;

    #[test]
    fn choosing_writes_nothing_and_taking_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let clip = dir.path().join("m1.mp4");
        let mut writer = Writer::create(&clip, 96, 64, 30.0).unwrap();
        for n in 0..40_u8 {
            let mut p = Picture::new(96, 64);
            p.rgb_mut().fill(n * 6);
            writer.write(&p).unwrap();
        }
        writer.finish().unwrap();
        let watch = Quiet::default();
        let made = NewProject::single("reach", "Ada", ["hand"]);
        let probe = |_: &Path| Ok((96, 64));
        let project =
            Project::create(dir.path(), &made, std::slice::from_ref(&clip), VideoMode::Link, &probe, &watch)
                .unwrap();
        let wish = Extraction { method: Method::Uniform, count: 5, seed: 1, videos: Vec::new(), crop: false };
        let chosen = choose(&project, &wish, &watch).unwrap();
        assert_eq!((chosen.len(), chosen[0].frames.len(), chosen[0].total), (1, 5, 40));
        assert!(chosen[0].there.is_empty() && !project.labeled_data("m1").exists());

        // Two of the five unticked, one added by hand, one part of the picture.
        let mut mine = chosen[0].clone();
        mine.frames = vec![39, mine.frames[0], mine.frames[1], mine.frames[1]];
        let mine =
            Choice::by_hand(&project, "m1", &mine.path, 40, &mine.frames, Some([0, 48, 0, 32])).unwrap();
        let taken = take(&project, std::slice::from_ref(&mine), &watch).unwrap();
        assert_eq!((taken[0].new, taken[0].frames.clone()), (mine.frames.len(), mine.frames.clone()));
        let last = project.labeled_data("m1").join("img39.png");
        let picture = Picture::load(&last).unwrap();
        assert_eq!((picture.width(), picture.height()), (48, 32));
        assert!(picture.get(3, 3)[0].abs_diff(39 * 6) < 6);

        let new = (0..40).find(|n| !mine.frames.contains(n)).unwrap();
        // What is there stays, whoever chooses it again.
        std::fs::write(&last, b"mine").unwrap();
        let again = Choice::by_hand(&project, "m1", &mine.path, 40, &[39, new], None).unwrap();
        assert_eq!(again.there, [39]);
        let taken = take(&project, &[again], &watch).unwrap();
        assert_eq!((taken[0].new, taken[0].frames.len()), (1, 2));
        assert_eq!(std::fs::read(&last).unwrap(), b"mine");
        assert_eq!(extract(&project, &wish, &watch).unwrap()[0].frames, chosen[0].frames);

        let past = Choice::by_hand(&project, "m1", &clip, 40, &[40], None).unwrap_err();
        assert_eq!(past.kind(), Kind::Usage);
        let other = Choice { total: 41, frames: vec![7], ..mine };
        let e = take(&project, &[Choice { there: Vec::new(), ..other }], &watch).unwrap_err();
        assert!(e.what().contains("had 41"), "{e}");
    }
}
