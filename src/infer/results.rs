//! What analyses left on disk: finding it again, and reading it back for somebody who looks at it.

use super::engine::Engine;
use super::input::Input;
use super::plan::Settings;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::formats::{dlc_h5, is_beside_tracks, read_tracks, times};
use crate::pose::{Skeleton, Tracks};
use crate::project::{Project, is_video, video_files};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Written beside the tracks: what made them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    schema: u32,
    program: String,
    pub scorer: String,
    model: String,
    pub video: String,
    video_bytes: u64,
    /// What the video was known by; notes of schema 1 have none.
    #[serde(default)]
    fingerprint: Option<String>,
    pub frames: usize,
    pub missing: usize,
    pub fps_of_video: f64,
    width: usize,
    height: usize,
    pub device: String,
    /// What was looked at; notes of schema 1 are of whole frames, all of them.
    #[serde(default)]
    settings: Option<Settings>,
    /// How far the model's points lie from held-out labels along one axis, in pixels, by body part; none where it was
    /// not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accuracy_px: Option<BTreeMap<String, f64>>,
    #[serde(skip)]
    pub skeleton: Skeleton,
}

impl Meta {
    pub fn new(engine: &Engine, video: &Path, input: &Input, settings: &Settings) -> Self {
        let (width, height) = input.size();
        Self {
            schema: 2,
            program: format!("limn {}", crate::VERSION),
            scorer: engine.card().scorer.clone(),
            model: engine.identity().to_owned(),
            video: name(video),
            video_bytes: input.bytes(),
            fingerprint: Some(input.fingerprint().to_owned()),
            frames: input.frames(),
            missing: 0,
            fps_of_video: input.fps(),
            width,
            height,
            device: engine.words(),
            settings: Some(settings.clone()),
            accuracy_px: engine.card().accuracy.as_ref().map(|a| a.by_bodypart(&engine.card().skeleton())),
            skeleton: engine.card().skeleton(),
        }
    }

    pub fn read(path: &Path) -> Option<Self> {
        serde_yaml::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    pub fn text(&self) -> Result<String> {
        serde_yaml::to_string(self)
            .map_err(|e| Error::new(Kind::Format, format!("cannot write the analysis' note: {e}")))
    }

    /// What these are results of, when an analysis with the facts of `now` must not replace them unasked: another video of
    /// that name, or other settings. Another model replaces its forerunner's.
    pub fn other_than(&self, now: &Self) -> Option<&'static str> {
        let (video, settings) = self.same_as(now);
        match (video, settings) {
            (false, _) => Some("another video of this name"),
            (true, false) => Some("other settings"),
            (true, true) => None,
        }
    }

    /// Whether video and settings are the same.
    fn same_as(&self, now: &Self) -> (bool, bool) {
        let whole =
            Settings { frames: [0, now.frames], crop: None, resize: 1.0, follow: None, candidates: 1 };
        let video = match (&self.fingerprint, &now.fingerprint) {
            (Some(old), Some(new)) => old == new,
            _ => self.video_bytes == now.video_bytes,
        };
        let settings = |m: &Self| m.settings.clone().unwrap_or_else(|| whole.clone());
        (video && self.frames == now.frames, settings(self) == settings(now))
    }

    /// Whether these results are what an analysis with the facts of `now` would give, or nearer to fp32 than that.
    pub fn vouches_for(&self, now: &Self) -> bool {
        let exact = |m: &Self| m.device.ends_with("fp32");
        self.same_as(now) == (true, true) && self.model == now.model && (exact(self) || !exact(now))
    }
}

/// `<out>/<video stem><scorer><end>`, where DeepLabCut looks for results.
#[must_use]
pub fn result_path(out: &Path, video: &Path, scorer: &str, end: &str) -> PathBuf {
    // A folder of pictures is named whole: what follows a point in it is no file ending.
    let stem = if video.is_dir() { name(video) } else { stem(video) };
    out.join(format!("{stem}{scorer}{end}"))
}

/// Reads the tracks that [`super::analyze`] wrote for a video.
///
/// # Errors
/// When there are none, or they cannot be read.
pub fn tracks_of(video: &Path, out: Option<&Path>, scorer: &str, watch: &dyn Watch) -> Result<Tracks> {
    crate::watch::may_wait("reading tracks");
    let folder = out.map_or_else(|| files::folder_of(video), Path::to_owned);
    let path = result_path(&folder, video, scorer, ".h5");
    if !path.exists() {
        return Err(Error::new(Kind::NotFound, "this video has not been analyzed with this model")
            .at(path.display())
            .mend("run `limn analyze` on it first"));
    }
    dlc_h5::read_tracks(&path, watch).map(|(_, tracks)| tracks)
}

/// The tracks of one video by one model, as they lie on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultFacts {
    /// The video, where it can be found.
    pub video: Option<PathBuf>,
    /// Its file name without extension.
    pub stem: String,
    /// The file with the tracks: `.h5`, or `.csv` where there is no other.
    pub tracks: PathBuf,
    /// The name of the model that made them.
    pub scorer: String,
    /// When the file was written last.
    pub when: Option<SystemTime>,
    /// Rows, as limn's note beside the tracks has it; unknown for those of other programs.
    pub frames: Option<usize>,
    /// Frames that could not be decoded.
    pub missing: usize,
    /// What computed it, in words; empty for other programs.
    pub device: String,
}

/// Tracks in memory, with what belongs to them.
#[derive(Debug)]
pub struct Loaded {
    /// The name of the model that made them.
    pub scorer: String,
    /// The tracks.
    pub tracks: Tracks,
    /// The time of every frame in seconds, when limn's table of times lies beside the tracks and fits.
    pub times: Option<Vec<f64>>,
}

/// All results of a project: in `videos/`, beside its videos wherever those are, and in the folders of `more`. The
/// newest come first.
#[must_use]
pub fn results(project: &Project, more: &[PathBuf]) -> Vec<ResultFacts> {
    let videos: Vec<PathBuf> = project.videos().into_iter().filter_map(|v| v.path).collect();
    let mut folders = BTreeSet::from([project.root().join("videos")]);
    folders.extend(videos.iter().map(|v| files::folder_of(v)));
    folders.extend(more.iter().cloned());
    let mut found: Vec<ResultFacts> = folders.iter().flat_map(|f| results_in(f, &videos)).collect();
    found.sort_by(|a, b| b.when.cmp(&a.when).then_with(|| a.tracks.cmp(&b.tracks)));
    found
}

/// The results in one folder, sorted by name; `videos` may lie elsewhere and are found by their file names. A folder
/// that cannot be read has none.
#[must_use]
pub fn results_in(folder: &Path, videos: &[PathBuf]) -> Vec<ResultFacts> {
    crate::watch::may_wait("looking for results");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    paths.sort();
    let mut here: Vec<PathBuf> = video_files(folder);
    here.extend(videos.iter().filter(|v| is_video(v)).cloned());
    let mut found: Vec<ResultFacts> = Vec::new();
    for note in &paths {
        let Some(base) = name(note).strip_suffix("_meta.yaml").map(str::to_owned) else { continue };
        let Some(meta) = Meta::read(note) else { continue };
        let Some(tracks) =
            ["h5", "csv"].map(|e| folder.join(format!("{base}.{e}"))).into_iter().find(|p| p.is_file())
        else {
            continue;
        };
        found.push(ResultFacts {
            video: here.iter().find(|v| name(v) == meta.video).cloned(),
            stem: stem(Path::new(&meta.video)),
            when: written(&tracks),
            tracks,
            scorer: meta.scorer,
            frames: Some(meta.frames),
            missing: meta.missing,
            device: meta.device,
        });
    }
    // Those of DeepLabCut carry no note; their names begin with the video's and go on with the scorer.
    for tracks in &paths {
        let base = stem(tracks);
        let ends = tracks.extension().is_some_and(|e| e == "h5" || e == "csv");
        if !ends || is_beside_tracks(&base) || found.iter().any(|f| stem(&f.tracks) == base) {
            continue;
        }
        let of = here.iter().filter(|v| base.starts_with(&stem(v))).max_by_key(|v| stem(v).len());
        let Some((video, scorer)) = of.and_then(|v| Some((v, base.strip_prefix(&stem(v))?))) else {
            continue;
        };
        if !scorer.starts_with("DLC") && !scorer.starts_with("DeepCut") {
            continue;
        }
        let h5 = tracks.with_extension("h5");
        let tracks = if h5.is_file() { h5 } else { tracks.clone() };
        found.push(ResultFacts {
            video: Some(video.clone()),
            stem: stem(video),
            when: written(&tracks),
            tracks,
            scorer: scorer.to_owned(),
            frames: None,
            missing: 0,
            device: String::new(),
        });
    }
    found
}

/// Reads tracks back, from `.h5` or `.csv`, with the times of the frames where limn wrote them.
///
/// # Errors
/// When the file is gone or holds no tracks.
pub fn load(tracks: &Path, watch: &dyn Watch) -> Result<Loaded> {
    if !tracks.extension().is_some_and(|e| e == "h5" || e == "csv") {
        return Err(Error::new(Kind::Usage, "these are no tracks that limn reads")
            .at(tracks.display())
            .mend("give the .h5 or the .csv file of an analysis"));
    }
    let (scorer, read) = read_tracks(tracks, watch)?;
    watch.check()?;
    let times = times::beside(tracks).filter(|t| t.len() == read.frames());
    Ok(Loaded { scorer, tracks: read, times })
}

fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn written(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|m| m.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dlc_tracks_csv;
    use crate::pose::{Keypoint, Skeleton};
    use crate::watch::Quiet;

    #[test]
    fn results_of_limn_and_of_deeplabcut_are_found_and_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: &str| dir.path().join(n);
        for video in ["m1.mp4", "m10.mp4"] {
            std::fs::write(path(video), b"").unwrap();
        }
        let mut tracks = Tracks::new(Skeleton::single(["a"]), 3);
        tracks.set(1, 0, Keypoint::new(4.0, 5.0), 0.5);
        let theirs = "DLC_resnet50_xJan1shuffle1_100";
        dlc_h5::write_tracks(&path(&format!("m10{theirs}.h5")), theirs, &tracks).unwrap();
        dlc_tracks_csv::write(&path(&format!("m10{theirs}.csv")), theirs, &tracks).unwrap();
        std::fs::write(path("m10 notes.csv"), b"a,b\n").unwrap();
        let ours = "DLC_Resnet18_xJan1shuffle1_snapshot_9";
        dlc_tracks_csv::write(&path(&format!("m1{ours}.csv")), ours, &tracks).unwrap();
        std::fs::write(
            path(&format!("m1{ours}_times.csv")),
            "frame,time_s,decoded\n0,0.0,1\n1,0.5,1\n2,1.0,0\n",
        )
        .unwrap();
        let meta = format!(
            "schema: 1\nprogram: limn\nscorer: {ours}\nmodel: x\nvideo: m1.mp4\nvideo_bytes: 0\nframes: 3\nmissing: 1\n\
             fps_of_video: 2.0\nwidth: 8\nheight: 8\ndevice: CPU\n"
        );
        std::fs::write(path(&format!("m1{ours}_meta.yaml")), meta).unwrap();
        std::fs::write(path("m2_meta.yaml"), "no: note").unwrap();

        let found = results_in(dir.path(), &[]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[0].scorer.as_str(), found[0].missing, found[0].frames), (ours, 1, Some(3)));
        assert_eq!(found[0].video, Some(path("m1.mp4")));
        assert_eq!((found[1].stem.as_str(), found[1].scorer.as_str()), ("m10", theirs));
        assert!(found[1].tracks.extension().unwrap() == "h5");
        let loaded = load(&found[0].tracks, &Quiet::default()).unwrap();
        assert_eq!(loaded.times, Some(vec![0.0, 0.5, 1.0]));
        assert_eq!(loaded.tracks.get(1, 0), tracks.get(1, 0));
        let loaded = load(&found[1].tracks, &Quiet::default()).unwrap();
        assert_eq!((loaded.times, loaded.scorer.as_str()), (None, theirs));
        assert_eq!(load(&path("m1.mp4"), &Quiet::default()).unwrap_err().kind(), Kind::Usage);
        assert!(results_in(&path("nowhere"), &[]).is_empty());
    }
}
