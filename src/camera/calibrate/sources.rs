use super::{Corner, Seen, Shot, Sight, corners, detect};
use crate::camera::{Board, Rig};
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::watch::Watch;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Pictures looked at together, by all cores.
const AT_ONCE: usize = 8;
/// Pictures kept of each camera that show no board, to say why.
const SAMPLES: usize = 6;

/// What one file of a camera shows.
struct Found {
    size: Option<[usize; 2]>,
    /// The rig's frame (none of a picture), and the corners.
    boards: Vec<(Option<usize>, Vec<Corner>)>,
    /// Some pictures without a board,
    without: Vec<Picture>,
    /// and some with one.
    with: Vec<Picture>,
}

/// Looks for the rig's board in videos, pictures, and folders of them, sorted to cameras and sessions by their names. Of each
/// video about `frames` frames are looked at, evenly through it and at the same moments in all cameras of a session.
///
/// # Errors
/// When no file belongs to a camera, one cannot be read, or no board is found anywhere (with what may be the reason); when
/// stopped.
pub fn look(rig: &Rig, given: &[PathBuf], frames: usize, watch: &dyn Watch) -> Result<Seen> {
    let board = rig.board()?;
    let files = unfolded(given)?;
    let sessions = rig.sessions(&files)?;
    if sessions.by_name.is_empty() {
        let names: Vec<&str> = rig.cameras.iter().map(|m| m.name.as_str()).collect();
        return Err(Error::new(Kind::Usage, "no file's name has the name of a camera")
            .at(given.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "))
            .mend(format!(
                "the cameras are {}; tell how files are named with `files` in rig.yaml",
                names.join(", ")
            )));
    }
    for other in &sessions.others {
        watch.warn(&format!("{}: no camera of the rig is named there; left out", other.display()));
    }
    let count = rig.cameras.len();
    let mut seen = Seen {
        sizes: vec![None; count],
        own_files: vec![0; count],
        without: vec![Vec::new(); count],
        with: vec![Vec::new(); count],
        ..Seen::default()
    };
    watch.begin("look for the board", None);
    for (session, paths) in &sessions.by_name {
        let films: Vec<(usize, &PathBuf)> =
            paths.iter().enumerate().filter_map(|(c, p)| Some((c, p.as_ref()?))).collect();
        seen.files.extend(
            films.iter().map(|(_, p)| p.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        );
        let wanted = moments(rig, &films, frames, watch)?;
        let found = films
            .par_iter()
            .map(|(c, path)| {
                let offset = rig.cameras[*c].offset;
                Ok((*c, *path, one(board, path, offset, wanted.as_deref(), watch)?))
            })
            .collect::<Result<Vec<_>>>()?;
        for (camera, path, found) in found {
            if let Some(size) = found.size {
                let known = seen.sizes[camera].get_or_insert(size);
                if *known != size {
                    let what = format!(
                        "{}x{} pixels, where others of this camera have {}x{}",
                        size[0], size[1], known[0], known[1]
                    );
                    return Err(Error::new(Kind::Usage, what).at(path.display()).mend(
                        "calibrate with recordings of one size: lenses are in pixels of the full frame",
                    ));
                }
            }
            for (frame, corners) in found.boards {
                let shot = Shot { session: session.clone(), frame };
                let number = seen.shots.iter().rposition(|s| *s == shot).unwrap_or_else(|| {
                    seen.shots.push(shot);
                    seen.shots.len() - 1
                });
                seen.sights.push(Sight { camera, shot: number, corners });
            }
            seen.own_files[camera] += 1;
            for (all, some) in [(&mut seen.without, found.without), (&mut seen.with, found.with)] {
                let room = SAMPLES.saturating_sub(all[camera].len());
                all[camera].extend(some.into_iter().take(room));
            }
        }
    }
    watch.end();
    if seen.sights.is_empty() {
        let error = Error::new(Kind::Compute, format!("the board is seen nowhere ({})", board.words()));
        let without = seen.without.concat();
        return Err(match detect::suspicion(board, &without) {
            Some((what, mend)) => {
                let error = Error::new(
                    Kind::Compute,
                    format!("the board is seen nowhere ({}): {what}", board.words()),
                );
                error.mend(mend)
            }
            None => {
                error.mend("check that the pictures show it whole, sharp and bright, and `board` in rig.yaml")
            }
        });
    }
    Ok(seen)
}

/// Files, and those in folders, sorted by name.
fn unfolded(files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in files {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(|e| Error::io("look into the folder", path, e))?;
            let mut inside: Vec<PathBuf> = entries
                .filter_map(|e| Some(e.ok()?.path()))
                .filter(|p| (is_picture(p) || is_video(p)) && !is_drawn(p))
                .collect();
            inside.sort();
            all.extend(inside);
        } else if path.is_file() {
            all.push(path.clone());
        } else {
            return Err(Error::new(Kind::NotFound, "this file or folder does not exist")
                .at(path.display())
                .mend("check the path"));
        }
    }
    Ok(all)
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|e| endings.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

fn is_picture(path: &Path) -> bool {
    ends_with(path, &["png", "jpg", "jpeg"])
}

/// What an earlier calibration drew into a folder of this name, as Anipose calls that of its videos.
fn is_drawn(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let drawn = ["coverage-", "errors-"].iter().any(|b| name.starts_with(b));
    drawn && path.with_file_name("boards.csv").is_file()
}

fn is_video(path: &Path) -> bool {
    ends_with(path, &["mp4", "avi", "mov", "mkv", "m4v", "mpg", "mpeg", "webm", "wmv"])
}

/// The rig's frames to look at in the videos of a session; none of pictures.
#[cfg(feature = "video")]
fn moments(
    rig: &Rig,
    films: &[(usize, &PathBuf)],
    frames: usize,
    watch: &dyn Watch,
) -> Result<Option<Vec<usize>>> {
    let mut last = None;
    for (camera, path) in films.iter().filter(|(_, p)| !is_picture(p)) {
        let length = crate::video::Index::open(path, watch)?.len();
        let end = i64::try_from(length).unwrap_or(i64::MAX).saturating_sub(rig.cameras[*camera].offset);
        let end = usize::try_from(end).unwrap_or(0);
        last = Some(last.map_or(end, |l: usize| l.max(end)));
    }
    Ok(last.map(|end| {
        let step = end.div_ceil(frames.max(1)).max(1);
        (0..end).step_by(step).collect()
    }))
}

#[cfg(not(feature = "video"))]
fn moments(_: &Rig, films: &[(usize, &PathBuf)], _: usize, _: &dyn Watch) -> Result<Option<Vec<usize>>> {
    match films.iter().find(|(_, p)| !is_picture(p)) {
        None => Ok(None),
        Some((_, path)) => Err(Error::new(Kind::Video, "this build of limn cannot open videos")
            .at(path.display())
            .mend("use a limn that was built with the feature `video`")),
    }
}

fn size_of(picture: &Picture) -> [usize; 2] {
    [picture.width(), picture.height()]
}

/// The board in one file.
fn one(
    board: &Board,
    path: &Path,
    offset: i64,
    wanted: Option<&[usize]>,
    watch: &dyn Watch,
) -> Result<Found> {
    let mut found = Found { size: None, boards: Vec::new(), without: Vec::new(), with: Vec::new() };
    if is_picture(path) {
        watch.check()?;
        let picture = Picture::load(path)?;
        found.size = Some(size_of(&picture));
        let corners = corners(board, &picture)?;
        watch.advance(1);
        if corners.is_empty() {
            found.without.push(picture);
        } else {
            found.boards.push((None, corners));
            found.with.push(picture);
        }
        return Ok(found);
    }
    film(board, path, offset, wanted.unwrap_or_default(), &mut found, watch)?;
    Ok(found)
}

#[cfg(feature = "video")]
fn film(
    board: &Board,
    path: &Path,
    offset: i64,
    wanted: &[usize],
    found: &mut Found,
    watch: &dyn Watch,
) -> Result<()> {
    let mut reader = crate::video::Reader::open(path, watch)?;
    let length = reader.index().len();
    found.size = Some([reader.index().width(), reader.index().height()]);
    let frames: Vec<(usize, usize)> = wanted
        .iter()
        .filter_map(|n| {
            let own = usize::try_from(i64::try_from(*n).ok()?.checked_add(offset)?).ok()?;
            (own < length).then_some((*n, own))
        })
        .collect();
    let mut pictures: Vec<Picture> = Vec::new();
    for batch in frames.chunks(AT_ONCE) {
        watch.check()?;
        pictures.resize_with(batch.len(), || Picture::new(1, 1));
        let mut read = Vec::with_capacity(batch.len());
        for ((frame, own), picture) in batch.iter().zip(&mut pictures) {
            // A frame that cannot be decoded shows no board.
            if reader.frame_into(*own, picture)?.is_none() {
                read.push((*frame, &*picture));
            }
        }
        let corners = read.par_iter().map(|(_, p)| corners(board, p)).collect::<Result<Vec<_>>>()?;
        for ((frame, picture), corners) in read.into_iter().zip(corners) {
            if !corners.is_empty() {
                found.boards.push((Some(frame), corners));
                if found.with.len() < SAMPLES {
                    found.with.push(picture.clone());
                }
            } else if found.without.len() < SAMPLES {
                found.without.push(picture.clone());
            }
        }
        watch.advance(batch.len() as u64);
    }
    Ok(())
}

#[cfg(not(feature = "video"))]
fn film(_: &Board, _: &Path, _: i64, _: &[usize], _: &mut Found, _: &dyn Watch) -> Result<()> {
    Ok(())
}
