//! Videos whose files have moved: found again by name, and linked into the project; and a video's crop.

use super::config::VideoSet;
use super::create::{Probe, VideoMode, copy, link};
use super::{Project, is_video, slashed};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::picture::Picture;
use crate::watch::Watch;
use std::path::{Path, PathBuf};

/// Folders within folders that are searched.
const DEEP: usize = 12;

/// A video whose file is gone, and files that may be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The video's stem.
    pub video: String,
    /// The likeliest first: those of the very name, then those of the stem with another ending; the frame size that
    /// the project knows goes before others. Empty when there is none.
    pub found: Vec<PathBuf>,
}

/// Searches a folder and those in it for the project's videos that are gone. `probe` tells the size of a video's
/// frames, and is asked only where several files have the name.
///
/// # Errors
/// When the folder itself cannot be read; [`Kind::Cancelled`] when stopped. Folders inside that cannot be read are
/// passed over, with a warning.
pub fn find_moved(
    project: &Project,
    folder: &Path,
    probe: Probe<'_>,
    watch: &dyn Watch,
) -> Result<Vec<Moved>> {
    crate::watch::may_wait("looking for videos");
    let gone: Vec<_> = project.videos().into_iter().filter(|v| v.path.is_none()).map(|v| v.stem).collect();
    let mut moved: Vec<Moved> = gone.into_iter().map(|video| Moved { video, found: Vec::new() }).collect();
    let mut open = vec![(folder.to_path_buf(), 0)];
    watch.begin("search for videos", None);
    while let Some((dir, depth)) = open.pop() {
        watch.check()?;
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if depth == 0 => return Err(Error::io("search the folder", &dir, e)),
            Err(e) => {
                watch.warn(&format!("{}: not searched ({e})", dir.display()));
                continue;
            }
        };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            // A link to a folder may lead in a circle.
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                if depth < DEEP && !name.to_string_lossy().starts_with('.') {
                    open.push((path, depth + 1));
                }
            } else if is_video(&path) && path.is_file() {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                if let Some(m) = moved.iter_mut().find(|m| m.video == stem) {
                    m.found.push(path);
                }
            }
        }
        watch.advance(1);
    }
    watch.end();
    for m in &mut moved {
        let old_name = name_in_config(project, &m.video);
        let size = if m.found.len() > 1 { picture_size(project, &m.video) } else { None };
        m.found.sort_by_cached_key(|path| {
            let fits = size.is_none_or(|s| probe(path).is_ok_and(|found| found == s));
            let same = path.file_name().map(|n| n.to_string_lossy().into_owned()) == old_name;
            (!fits, !same, path.components().count(), path.clone())
        });
    }
    Ok(moved)
}

impl Project {
    /// Brings the file of a video that is gone back: a link (or a copy) in `videos/` under the video's name, whatever
    /// the file itself is called. `config.yaml` stays as it is.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the project has no such video or the file is not there; [`Kind::Exists`] when the
    /// video is there; [`Kind::Usage`] when the file is smaller than the pictures labelled from the video, and so
    /// another one; whatever `probe` finds wrong, and a failed write.
    pub fn relink(
        &self,
        video: &str,
        file: &Path,
        mode: VideoMode,
        probe: Probe<'_>,
        watch: &dyn Watch,
    ) -> Result<()> {
        match self.videos().into_iter().find(|v| v.stem == video) {
            Some(v) if v.path.is_none() => {}
            Some(v) => {
                return Err(Error::new(Kind::Exists, format!("the video `{video}` is there"))
                    .at(v.path.unwrap_or_default().display())
                    .mend("nothing has to be done"));
            }
            None => return self.video_path(video).map(drop),
        }
        let file = std::fs::canonicalize(file).map_err(|e| Error::io("find the video", file, e))?;
        if !is_video(&file) {
            return Err(Error::new(Kind::Usage, "this file is no video by its name")
                .at(file.display())
                .mend(format!("limn knows videos by their ending: {}", super::VIDEO_EXTENSIONS.join(", "))));
        }
        let (width, height) = probe(&file)?;
        if let Some((w, h)) = picture_size(self, video).filter(|(w, h)| *w > width || *h > height) {
            let what = format!(
                "this is not the video `{video}`: pictures of it are {w} x {h}, this file is {width} x {height}"
            );
            return Err(Error::new(Kind::Usage, what)
                .at(file.display())
                .mend("choose the file that the pictures were taken from"));
        }
        let folder = self.root.join("videos");
        files::make_folder(&folder)?;
        let ending = file.extension().unwrap_or_default().to_string_lossy();
        let place = folder.join(format!("{video}.{ending}"));
        if place.symlink_metadata().is_ok_and(|m| m.is_symlink()) && !place.exists() {
            // The link to where the file was.
            std::fs::remove_file(&place).map_err(|e| Error::io("replace the old link", &place, e))?;
        }
        if mode == VideoMode::Link {
            match link(&file, &place) {
                Ok(()) => return Ok(()),
                Err(e) => watch.note(&format!("{}: cannot be linked ({e}), so it is copied", file.display())),
            }
        }
        copy(&file, &place, watch)
    }

    /// Sets the part of a video's frames that pictures are taken from, `x1, x2, y1, y2` in pixels, in `config.yaml`.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the part is empty or begins outside the frame, [`Kind::NotFound`] when the project has no
    /// such video, and a failed write; the project is unchanged then.
    pub fn set_crop(&mut self, video: &str, crop: [i64; 4]) -> Result<()> {
        let [x1, x2, y1, y2] = crop;
        if x1 < 0 || y1 < 0 || x1 >= x2 || y1 >= y2 {
            return Err(Error::new(
                Kind::Usage,
                format!("x {x1} to {x2}, y {y1} to {y2} is no part of a picture"),
            )
            .at(video)
            .mend("x1 is below x2, y1 below y2, and none below 0"));
        }
        let mut config = self.config.clone();
        match config.video_sets.iter_mut().find(|v| v.stem() == video) {
            Some(set) if set.crop == Some(crop) => return Ok(()),
            Some(set) => set.crop = Some(crop),
            // It only lies in `videos/` so far.
            None => {
                let path = slashed(&self.video_path(video)?);
                config.video_sets.push(VideoSet { path, crop: Some(crop) });
            }
        }
        config.save()?;
        self.config = config;
        Ok(())
    }
}

/// The file name that `config.yaml` has for a video.
fn name_in_config(project: &Project, video: &str) -> Option<String> {
    let set = project.config.video_sets.iter().find(|v| v.stem() == video)?;
    set.path.rsplit(['/', '\\']).next().map(str::to_owned)
}

/// The size of the pictures taken from a video, when there is one that can be read.
fn picture_size(project: &Project, video: &str) -> Option<(usize, usize)> {
    let entries = std::fs::read_dir(project.labeled_data(video)).ok()?;
    let mut pictures: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")))
        .collect();
    pictures.sort();
    pictures.iter().find_map(|p| Picture::size_of(p).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::NewProject;
    use crate::watch::Quiet;

    fn probe(path: &Path) -> Result<(usize, usize)> {
        // Here a file's bytes are its width.
        let bytes = std::fs::read(path).map_err(|e| Error::io("open the video", path, e))?;
        Ok((bytes.len(), 64))
    }

    #[test]
    fn a_moved_video_is_found_and_linked_again() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("here")).unwrap();
        for name in ["m1.mp4", "m2.mp4"] {
            std::fs::write(at("here").join(name), [0; 96]).unwrap();
        }
        let watch = Quiet::default();
        let new = NewProject::single("reach", "Ada", ["hand"]);
        let project =
            Project::create(dir.path(), &new, &[at("here")], VideoMode::Link, &probe, &watch).unwrap();
        assert!(find_moved(&project, dir.path(), &probe, &watch).unwrap().is_empty());
        let config = std::fs::read(project.config.path()).unwrap();

        // The disk was cleared up: m1 lies deeper, and something else has its name; m2 is gone.
        std::fs::create_dir_all(at("there/2024/raw")).unwrap();
        std::fs::rename(at("here/m1.mp4"), at("there/2024/raw/m1.mp4")).unwrap();
        std::fs::remove_file(at("here/m2.mp4")).unwrap();
        std::fs::write(at("there/m1.mp4"), [0; 40]).unwrap();
        std::fs::write(at("there/m1.avi"), [0; 96]).unwrap();
        let project = Project::open(project.root(), &watch).unwrap();
        std::fs::create_dir_all(project.labeled_data("m1")).unwrap();
        Picture::new(96, 64).save_png(&project.labeled_data("m1").join("img1.png")).unwrap();
        let moved = find_moved(&project, &at("there"), &probe, &watch).unwrap();
        assert_eq!(moved.len(), 2);
        assert_eq!(moved[0].found, [at("there/2024/raw/m1.mp4"), at("there/m1.avi"), at("there/m1.mp4")]);
        assert!(moved[1].found.is_empty());
        assert_eq!(find_moved(&project, &at("nowhere"), &probe, &watch).unwrap_err().kind(), Kind::NotFound);

        let ask = |file: &str| project.relink("m1", &at(file), VideoMode::Link, &probe, &watch);
        assert_eq!(ask("there/m1.mp4").unwrap_err().kind(), Kind::Usage, "smaller than its pictures");
        assert_eq!(ask("there/none.mp4").unwrap_err().kind(), Kind::NotFound);
        ask("there/2024/raw/m1.mp4").unwrap();
        assert_eq!(ask("there/2024/raw/m1.mp4").unwrap_err().kind(), Kind::Exists);
        assert!(project.video_path("m1").unwrap().is_file());
        // A file of another name and ending takes the video's name.
        std::fs::write(at("there/renamed.avi"), [0; 96]).unwrap();
        project.relink("m2", &at("there/renamed.avi"), VideoMode::Copy, &probe, &watch).unwrap();
        assert_eq!(project.video_path("m2").unwrap(), project.root().join("videos/m2.avi"));
        assert_eq!(std::fs::read(project.config.path()).unwrap(), config, "config.yaml is as it was");
        assert_eq!(
            project
                .relink("m9", &at("there/renamed.avi"), VideoMode::Copy, &probe, &watch)
                .unwrap_err()
                .kind(),
            Kind::NotFound
        );
    }

    #[test]
    fn a_crop_is_written_in_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m1.mp4"), [0; 96]).unwrap();
        let watch = Quiet::default();
        let new = NewProject::single("reach", "Ada", ["hand"]);
        let made =
            Project::create(dir.path(), &new, &[dir.path().join("m1.mp4")], VideoMode::Link, &probe, &watch);
        let mut project = made.unwrap();
        let file = project.config.path().to_path_buf();
        let text = std::fs::read_to_string(&file).unwrap() + "# mine\n";
        std::fs::write(&file, &text).unwrap();
        let mut project_again = Project::open(project.root(), &watch).unwrap();
        project_again.set_crop("m1", [10, 60, 5, 50]).unwrap();
        let now = std::fs::read_to_string(&file).unwrap();
        assert_eq!(now, text.replace("crop: 0, 96, 0, 64", "crop: 10, 60, 5, 50"));
        assert_eq!(Project::open(project.root(), &watch).unwrap().videos()[0].crop, Some([10, 60, 5, 50]));
        assert_eq!(project.set_crop("m1", [10, 10, 5, 50]).unwrap_err().kind(), Kind::Usage);
        assert_eq!(project.set_crop("m7", [0, 10, 5, 50]).unwrap_err().kind(), Kind::NotFound);
        // A video that only lies in `videos/` is listed with its crop.
        std::fs::write(project.root().join("videos/m2.mp4"), [0; 96]).unwrap();
        let mut project = Project::open(project.root(), &watch).unwrap();
        project.set_crop("m2", [0, 10, 5, 50]).unwrap();
        let videos = Project::open(project.root(), &watch).unwrap().videos();
        assert!(videos[1].listed && videos[1].crop == Some([0, 10, 5, 50]));
    }
}
