//! Keypoints in space as a file of Neurodata Without Borders (NWB 2, Rübel et al. 2022) with the types of its extension
//! `ndx-pose`, one animal a file (feature `hdf5`). Written only.
//!
//! A reader must know the extension (`import ndx_pose` before `pynwb` opens the file): its specification is not kept in the
//! file. The specification of what is written is `docs/formats/tracks-3d.md`.
//!
//! ```
//! use limn::formats::nwb::{self, About, Clock, Subject};
//! use limn::pose::{Skeleton, Tracks3d};
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("day1_m1.nwb");
//! let about = About {
//!     identifier: "day1-m1".into(),
//!     description: "reaching for a pellet".into(),
//!     start: "2026-01-31T14:05:00+01:00".into(),
//!     subject: Subject { id: "m1".into(), species: Some("Mus musculus".into()), ..Subject::default() },
//!     clock: Clock::Rate(100.0),
//!     scorer: "limn_resnet50".into(),
//! };
//! nwb::write(&path, &Tracks3d::new(Skeleton::single(["snout"]), 200), 0, &about)?;
//! assert!(path.is_file());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::h5::raw::failed;
use super::header::check_names;
use super::part::Part;
use crate::error::{Error, Kind, Result};
use crate::pose::{PointName, Tracks3d};
use hdf5_metno::types::VarLenUnicode;
use hdf5_metno::{Dataset, File, Group, H5Type, Location};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The version of NWB whose rules are followed.
const NWB: &str = "2.7.0";

/// The name of the skeleton, also of the link to it.
const SKELETON: &str = "skeleton";

/// Names that stand in the same group as the body parts.
const TAKEN: [&str; 4] = [SKELETON, "description", "scorer", "source_software"];

/// What NWB wants to know besides the points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct About {
    /// What names this file among all others; must not be empty.
    pub identifier: String,
    /// What was recorded, in a sentence; must not be empty.
    pub description: String,
    /// When the recording began, with its offset from UTC: `2026-01-31T14:05:00+01:00`.
    pub start: String,
    /// Who was recorded.
    pub subject: Subject,
    /// When frames were taken, in seconds from `start`.
    pub clock: Clock,
    /// The model the points come from.
    pub scorer: String,
}

/// The animal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Subject {
    /// Its name; must not be empty.
    pub id: String,
    /// Latin name, such as `Mus musculus`.
    pub species: Option<String>,
    /// `M`, `F`, `U` (unknown) or `O` (other).
    pub sex: Option<String>,
    /// Age as an ISO 8601 duration, such as `P90D`.
    pub age: Option<String>,
}

/// When frames were taken, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Clock {
    /// Evenly, so many a second, the first at 0.
    Rate(f64),
    /// At these times, one for each frame.
    Times(Vec<f64>),
}

impl Default for Clock {
    fn default() -> Self {
        Self::Times(Vec::new())
    }
}

/// Writes the points of one individual (counted from 0), whole; unique body parts are left out, and edges are those of the
/// skeleton. Positions are 32-bit and in millimetres, NaN where nothing was found; confidence is the likelihood.
///
/// # Errors
/// [`Kind::Usage`] when there is no such individual or NWB's own rules are not met (an identifier, description, subject or start
/// missing, times that do not fit), [`Kind::Labels`] when a body part cannot be named so there; or the file cannot be written.
pub fn write(path: &Path, tracks: &Tracks3d, individual: usize, about: &About) -> Result<()> {
    check(tracks, individual, about).map_err(|e| e.at(path.display()))?;
    let (part, empty) = Part::beside(path)?;
    drop(empty);
    // No lock: nobody else knows this file yet.
    let made = File::with_options()
        .with_fapl(|access| access.file_locking(false))
        .create(part.now())
        .map_err(failed("make the NWB file"))
        .and_then(|file| {
            Writer { tracks, individual, about }.fill(&file)?;
            file.close().map_err(failed("close the NWB file"))
        });
    made.map_err(|e| e.at(path.display()).mend("check that the disk is not full, and try again"))?;
    part.keep()
}

fn check(tracks: &Tracks3d, individual: usize, about: &About) -> Result<()> {
    let wrong = |what: String, mend: &str| Err(Error::new(Kind::Usage, what).mend(mend));
    let skeleton = &tracks.skeleton;
    check_names(&about.scorer, skeleton)?;
    if individual >= skeleton.individuals.len() || skeleton.bodyparts.is_empty() {
        return wrong(
            format!("there is no individual {individual} among {}", skeleton.individuals.len()),
            "individuals are counted from 0",
        );
    }
    let needed = [
        ("identifier", &about.identifier),
        ("description of the session", &about.description),
        ("name of the subject", &about.subject.id),
    ];
    for (what, text) in needed {
        if text.trim().is_empty() {
            return wrong(format!("the {what} is missing, which NWB asks for"), "give it");
        }
    }
    if about.start.parse::<jiff::Timestamp>().is_err() {
        return wrong(
            format!("`{}` is no time at which a recording can begin", about.start),
            "write it as 2026-01-31T14:05:00+01:00",
        );
    }
    if let Some(sex) = about.subject.sex.as_deref().filter(|s| !["M", "F", "U", "O"].contains(s)) {
        return wrong(format!("NWB knows no sex `{sex}`"), "write M, F, U (unknown) or O (other)");
    }
    match &about.clock {
        Clock::Rate(rate) if !(*rate > 0.0 && rate.is_finite()) => {
            return wrong(format!("{rate} frames a second are none"), "give the rate of the recording");
        }
        Clock::Times(times) if times.len() != tracks.frames() => {
            let what = format!("{} times were given for {} frames", times.len(), tracks.frames());
            return wrong(what, "give one time for every frame");
        }
        Clock::Times(times) if !times.windows(2).all(|w| matches!(w, [a, b] if a < b)) => {
            return wrong("the times of the frames do not rise".into(), "give times in seconds that rise");
        }
        _ => {}
    }
    if let Some(name) =
        skeleton.bodyparts.iter().find(|n| n.contains(['/', ':']) || *n == "." || TAKEN.contains(&n.as_str()))
    {
        return Err(Error::new(Kind::Labels, format!("no body part can be called `{name}` in NWB"))
            .mend("rename it in the project's configuration"));
    }
    let most = skeleton.edge_indices().into_iter().flatten().max().unwrap_or(0);
    if u8::try_from(most).is_err() {
        return wrong("a skeleton has edges of 256 body parts at most in NWB".into(), "leave out the edges");
    }
    Ok(())
}

struct Writer<'a> {
    tracks: &'a Tracks3d,
    individual: usize,
    about: &'a About,
}

impl Writer<'_> {
    fn fill(&self, file: &File) -> Result<()> {
        let about = self.about;
        self.typed(file, "/", "core", "NWBFile")?;
        attribute(file, "nwb_version", NWB)?;
        for name in ["acquisition", "analysis", "stimulus/presentation", "stimulus/templates"] {
            group(file, name)?;
        }
        set_text(file, "identifier", &about.identifier)?;
        set_text(file, "session_description", &about.description)?;
        set_text(file, "session_start_time", &about.start)?;
        set_text(file, "timestamps_reference_time", &about.start)?;
        texts(file, "file_create_date", &[&jiff::Timestamp::now().to_string()])?;
        let subject = self.container(file, "general/subject", "core", "Subject")?;
        let of = &about.subject;
        set_text(&subject, "subject_id", &of.id)?;
        for (name, text) in [("species", &of.species), ("sex", &of.sex), ("age", &of.age)] {
            if let Some(text) = text {
                set_text(&subject, name, text)?;
            }
        }
        let behavior = self.container(file, "processing/behavior", "core", "ProcessingModule")?;
        attribute(&behavior, "description", "Where the animal is and what it does")?;
        self.skeleton(file)?;
        self.pose(file)
    }

    fn skeleton(&self, file: &File) -> Result<()> {
        let skeleton = &self.tracks.skeleton;
        self.container(file, "processing/behavior/Skeletons", "ndx-pose", "Skeletons")?;
        let at = format!("processing/behavior/Skeletons/{SKELETON}");
        let own = self.container(file, &at, "ndx-pose", "Skeleton")?;
        let nodes: Vec<&str> = skeleton.bodyparts.iter().map(String::as_str).collect();
        texts(&own, "nodes", &nodes)?;
        let edges: Vec<u8> =
            skeleton.edge_indices().into_iter().flatten().filter_map(|i| u8::try_from(i).ok()).collect();
        array(&own, "edges", &[edges.len() / 2, 2], &edges)?;
        own.link_soft("/general/subject", "subject").map_err(failed("write the skeleton"))
    }

    fn pose(&self, file: &File) -> Result<()> {
        let base = "processing/behavior/PoseEstimation";
        let pose = self.container(file, base, "ndx-pose", "PoseEstimation")?;
        set_text(
            &pose,
            "description",
            "Keypoints of one animal in space, triangulated from several cameras",
        )?;
        set_text(&pose, "scorer", &self.about.scorer)?;
        let software = set_text(&pose, "source_software", "limn")?;
        attribute(&software, "version", crate::VERSION)?;
        let target = format!("/processing/behavior/Skeletons/{SKELETON}");
        pose.link_soft(&target, SKELETON).map_err(failed("write the skeleton"))?;
        let skeleton = &self.tracks.skeleton;
        let individual = skeleton.individuals.get(self.individual).map_or("", String::as_str);
        let mut first: Option<&str> = None;
        for bodypart in &skeleton.bodyparts {
            let Some(point) = skeleton.index_of(PointName { individual, bodypart }) else { continue };
            let at = format!("{base}/{bodypart}");
            let series = self.container(file, &at, "ndx-pose", "PoseEstimationSeries")?;
            attribute(&series, "description", &format!("Where {bodypart} is"))?;
            attribute(&series, "comments", "NaN where it was not found")?;
            let (mut positions, mut confidence) = (Vec::new(), Vec::new());
            for numbers in (0..self.tracks.frames()).filter_map(|f| self.tracks.row(f).get(point)) {
                positions.extend_from_slice(&numbers[..3]);
                confidence.push(numbers[8]);
            }
            let data = array(&series, "data", &[confidence.len(), 3], &positions)?;
            attribute(&data, "unit", "millimeters")?;
            number(&data, "conversion", &1.0f32)?;
            number(&data, "offset", &0.0f32)?;
            number(&data, "resolution", &-1.0f32)?;
            let confidence = array(&series, "confidence", &[confidence.len()], &confidence)?;
            attribute(&confidence, "definition", "Mean likelihood of the points that the used cameras saw")?;
            set_text(&series, "reference_frame", "World of the calibrated cameras, right-handed: x, y, z")?;
            self.clock(&series, first)?;
            first.get_or_insert(bodypart);
        }
        Ok(())
    }

    /// The times of a series; those of later ones are the first one's.
    fn clock(&self, series: &Group, first: Option<&str>) -> Result<()> {
        match (&self.about.clock, first) {
            (Clock::Rate(rate), _) => {
                let start = scalar(series, "starting_time", &0.0f64)?;
                #[allow(clippy::cast_possible_truncation)] // NWB's own width
                number(&start, "rate", &(*rate as f32))?;
                attribute(&start, "unit", "seconds")
            }
            (Clock::Times(_), Some(first)) => series
                .link_soft(&format!("/processing/behavior/PoseEstimation/{first}/timestamps"), "timestamps")
                .map_err(failed("write the times")),
            (Clock::Times(times), None) => {
                let set = array(series, "timestamps", &[times.len()], times)?;
                number(&set, "interval", &1i32)?;
                attribute(&set, "unit", "seconds")
            }
        }
    }

    /// A group that is an object of NWB.
    fn container(&self, file: &File, at: &str, namespace: &str, kind: &str) -> Result<Group> {
        let made = group(file, at)?;
        self.typed(&made, at, namespace, kind)?;
        Ok(made)
    }

    fn typed(&self, object: &Location, at: &str, namespace: &str, kind: &str) -> Result<()> {
        attribute(object, "namespace", namespace)?;
        attribute(object, "neurodata_type", kind)?;
        attribute(object, "object_id", &self.id(at))
    }

    /// A UUID (version 8, RFC 9562) that is the same for the same object of the same file.
    fn id(&self, at: &str) -> String {
        let digest = Sha256::digest(format!("limn nwb\0{}\0{at}", self.about.identifier));
        let mut bytes = [0u8; 16];
        bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

fn group(file: &File, at: &str) -> Result<Group> {
    file.create_group(at).map_err(failed("make a group"))
}

fn unicode(text: &str) -> Result<VarLenUnicode> {
    text.parse().map_err(|e| {
        Error::new(Kind::Usage, format!("{text:?} cannot stand in an NWB file: {e}"))
            .mend("write other words")
    })
}

fn attribute(at: &Location, name: &str, text: &str) -> Result<()> {
    number(at, name, &unicode(text)?)
}

fn number<T: H5Type>(at: &Location, name: &str, value: &T) -> Result<()> {
    let made = at.new_attr::<T>().create(name);
    made.and_then(|a| a.write_scalar(value)).map_err(failed("write an attribute"))
}

fn scalar<T: H5Type>(at: &Group, name: &str, value: &T) -> Result<Dataset> {
    let set = at.new_dataset::<T>().create(name).map_err(failed("make a value"))?;
    set.write_scalar(value).map_err(failed("write a value"))?;
    Ok(set)
}

fn set_text(at: &Group, name: &str, text: &str) -> Result<Dataset> {
    scalar(at, name, &unicode(text)?)
}

fn texts(at: &Group, name: &str, list: &[&str]) -> Result<Dataset> {
    let list = list.iter().map(|t| unicode(t)).collect::<Result<Vec<_>>>()?;
    array(at, name, &[list.len()], &list)
}

fn array<T: H5Type>(at: &Group, name: &str, shape: &[usize], values: &[T]) -> Result<Dataset> {
    let made = at.new_dataset::<T>().shape(shape.to_vec()).create(name);
    let set = made.map_err(failed("make an array"))?;
    if !values.is_empty() {
        set.write_raw(values).map_err(failed("write an array"))?;
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::{Skeleton, Spot};
    use std::path::PathBuf;

    fn about() -> About {
        About {
            identifier: "day1-m2".into(),
            description: "a walk".into(),
            start: "2026-01-31T14:05:00+01:00".into(),
            subject: Subject {
                id: "m2".into(),
                species: Some("Mus musculus".into()),
                sex: Some("U".into()),
                age: Some("P90D".into()),
            },
            clock: Clock::Times(vec![0.0, 0.5, 0.75]),
            scorer: "limn_x".into(),
        }
    }

    /// Two animals; the second one's nose is found in the middle frame.
    fn tracks() -> Tracks3d {
        let skeleton = Skeleton {
            individuals: vec!["m1".into(), "m2".into()],
            bodyparts: vec!["nose".into(), "tail base".into()],
            unique_bodyparts: vec!["corner".into()],
            edges: vec![["tail base".into(), "nose".into()]],
            multi_animal: true,
        };
        let mut tracks = Tracks3d::new(skeleton, 3);
        let at = [1.5, -2.5, 300.0];
        let spot = Spot { at, deviation: [0.5; 3], error: 0.25, cameras: 3, likelihood: 0.75 };
        tracks.set(1, 2, Some(spot));
        tracks
    }

    fn written(dir: &Path, name: &str, about: &About) -> PathBuf {
        let path = dir.join(name);
        write(&path, &tracks(), 1, about).unwrap();
        path
    }

    #[test]
    fn the_file_has_what_the_extension_asks_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(written(dir.path(), "a.nwb", &about())).unwrap();
        let series = file.group("processing/behavior/PoseEstimation/nose").unwrap();
        let data = series.dataset("data").unwrap();
        assert_eq!(data.shape(), [3, 3]);
        let values = data.read_raw::<f32>().unwrap();
        assert!(values[0].is_nan() && values[3..6] == [1.5, -2.5, 300.0]);
        let unit: VarLenUnicode = data.attr("unit").unwrap().read_scalar().unwrap();
        assert_eq!(unit.as_str(), "millimeters");
        assert_eq!(series.dataset("confidence").unwrap().read_raw::<f32>().unwrap()[1], 0.75);
        // The second one's times are the first one's.
        let other = file.group("processing/behavior/PoseEstimation/tail base").unwrap();
        assert_eq!(other.dataset("timestamps").unwrap().read_raw::<f64>().unwrap(), [0.0, 0.5, 0.75]);
        let edges = file.dataset("processing/behavior/PoseEstimation/skeleton/edges").unwrap();
        assert_eq!(edges.read_raw::<u8>().unwrap(), [1, 0]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_nwb_cannot_hold_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.nwb");
        let refused = |tracks: &Tracks3d, individual, about: &About, what: &str| {
            let error = write(&path, tracks, individual, about).unwrap_err();
            assert!(error.what().contains(what) && error.how_to_mend().is_some(), "{what}: {error}");
            assert!(error.place().unwrap().contains("a.nwb"), "{error}");
        };
        refused(&tracks(), 2, &about(), "no individual 2 among 2");
        refused(&tracks(), 0, &About { identifier: " ".into(), ..about() }, "identifier is missing");
        refused(&tracks(), 0, &About { start: "2026-01-31 14:05".into(), ..about() }, "2026-01-31 14:05");
        refused(&tracks(), 0, &About { clock: Clock::Times(vec![0.0]), ..about() }, "1 times");
        refused(&tracks(), 0, &About { clock: Clock::Times(vec![0.0, 2.0, 1.0]), ..about() }, "do not rise");
        refused(&tracks(), 0, &About { clock: Clock::Rate(-1.0), ..about() }, "-1 frames");
        let sex = Subject { sex: Some("male".into()), ..about().subject };
        refused(&tracks(), 0, &About { subject: sex, ..about() }, "no sex `male`");
        for name in ["a/b", "scorer"] {
            let tracks = Tracks3d::new(Skeleton::single([name]), 3);
            refused(&tracks, 0, &about(), name);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// What pynwb reads, after its own validation of the whole file.
    const SHOW: &str = "
import sys, ndx_pose, pynwb
for path in sys.argv[1:]:
    with pynwb.NWBHDF5IO(path, 'r') as io:
        assert not pynwb.validate(io=io), pynwb.validate(io=io)
        nwb = io.read()
        pose = nwb.processing['behavior']['PoseEstimation']
        series = pose.pose_estimation_series['nose']
        print(nwb.subject.subject_id, nwb.session_start_time.isoformat(), sorted(pose.pose_estimation_series))
        print(series.data[1].tolist(), series.confidence[1], series.unit, pose.scorer)
        other = pose.pose_estimation_series['tail base']
        print(other.rate, None if other.timestamps is None else list(map(float, other.timestamps)))
        print(list(pose.skeleton.nodes), pose.skeleton.edges[:].tolist(), pose.skeleton.subject is nwb.subject)
";

    #[test]
    fn pynwb_reads_and_accepts_it() {
        let python = std::env::var_os("LIMN_PYTHON").unwrap_or_else(|| "python3".into());
        let run = |script: &str, files: &[PathBuf]| {
            std::process::Command::new(&python).args(["-W", "ignore", "-c", script]).args(files).output()
        };
        if !run("import pynwb, ndx_pose", &[]).is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: {} cannot import pynwb and ndx_pose; set LIMN_PYTHON", python.display());
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let even = About { clock: Clock::Rate(50.0), ..about() };
        let files = [written(dir.path(), "a.nwb", &about()), written(dir.path(), "b.nwb", &even)];
        let output = run(SHOW, &files).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let same = |clock: &str| {
            format!(
                "m2 2026-01-31T14:05:00+01:00 ['nose', 'tail base']\n[1.5, -2.5, 300.0] 0.75 millimeters limn_x\n\
                 {clock}\n['nose', 'tail base'] [[1, 0]] True\n"
            )
        };
        let seen = String::from_utf8(output.stdout).unwrap();
        assert_eq!(seen, same("None [0.0, 0.5, 0.75]") + &same("50.0 None"));
    }
}
