use super::{Board, Camera, Lens, LensModel, Sessions};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::sealed::keep_copy;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The newest form of the file that this program knows.
const VERSION: u32 = 1;
/// Cameras do not begin further apart, in frames: hours.
const MOST_OFFSET: u64 = 1_000_000;

/// Several cameras that film the same scene: what `rig.yaml` says. The format is `docs/formats/limn-rig.md`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rig {
    /// The cameras, in the order of all results.
    pub cameras: Vec<Mount>,
    /// How file names name camera and session, such as `{session}_{camera}`; none: the camera's name stands in the file's
    /// name as a word of its own, and what is left is the session.
    pub files: Option<String>,
    /// The calibration board; none where the calibration came from elsewhere.
    pub board: Option<Board>,
    /// How the calibration came about, for people.
    pub calibration: Option<Made>,
}

/// One place of a rig.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mount {
    /// The name, as in file names.
    pub name: String,
    /// What sort of lens to calibrate.
    pub model: LensModel,
    /// How many frames this camera's recordings began before the rig's frame 0: frame `n` of the rig is its frame
    /// `n + offset`.
    pub offset: i64,
    /// The calibration, once there is one.
    pub camera: Option<Camera>,
}

/// How a calibration came about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// When, as `2026-01-31`.
    pub date: String,
    /// From which files, as they were named.
    pub from: Vec<String>,
    /// Boards that were used.
    pub boards: usize,
    /// Root mean square of the reprojection error over all corners of all cameras, in pixels.
    pub rms_px: f64,
    /// What was thought of it: `good`, `fair`, `poor`.
    pub verdict: String,
}

impl Made {
    /// Whether the calibration should not be used.
    #[must_use]
    pub fn is_poor(&self) -> bool {
        self.verdict == "poor"
    }
}

/// `rig.yaml` as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    limn_rig: u32,
    #[serde(default)]
    program: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    board: Option<Board>,
    cameras: Vec<CameraOnDisk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calibration: Option<Made>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CameraOnDisk {
    name: String,
    #[serde(default)]
    lens: LensModel,
    #[serde(default)]
    frame_offset: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calibrated: Option<NumbersOnDisk>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumbersOnDisk {
    /// Width, height.
    size: [usize; 2],
    focal: [f64; 2],
    centre: [f64; 2],
    distortion: Vec<f64>,
    /// Axis times angle, radians, from the world into the camera's frame.
    rotation: [f64; 3],
    /// Millimetres.
    translation: [f64; 3],
}

impl Rig {
    /// The file of a rig, given itself or its folder.
    #[must_use]
    pub fn path(given: &Path) -> PathBuf {
        if given.is_dir() { given.join("rig.yaml") } else { given.to_owned() }
    }

    /// Reads `rig.yaml`, given itself or its folder.
    ///
    /// # Errors
    /// When it is not there, is of a newer version, or says what cannot be; with the line where the file is no such YAML.
    pub fn read(given: &Path) -> Result<Self> {
        let path = Self::path(given);
        let text = files::read_text(&path).map_err(|e| {
            e.mend("write a rig.yaml (docs/guide/06-cameras.md), or begin one with `limn calibrate --new`")
        })?;
        Self::parse(&text).map_err(|e| match e.place() {
            Some(line) if line.starts_with("line ") => {
                let at = format!("{}:{}", path.display(), &line[5..]);
                let again = Error::new(e.kind(), e.what()).at(at);
                again.mend(e.how_to_mend().unwrap_or_default())
            }
            _ => e.at(path.display()),
        })
    }

    /// Reads the text of a `rig.yaml`.
    ///
    /// # Errors
    /// As [`Rig::read`].
    pub fn parse(text: &str) -> Result<Self> {
        let disk: OnDisk = serde_yaml::from_str(text).map_err(|e| {
            let error = Error::new(Kind::Config, format!("the rig cannot be used: {e}"))
                .mend("compare it with docs/formats/limn-rig.md");
            match e.location() {
                Some(l) => error.at(format!("line {}", l.line())),
                None => error,
            }
        })?;
        if disk.limn_rig > VERSION {
            let what = format!("the rig has version {}, and this limn knows up to {VERSION}", disk.limn_rig);
            return Err(Error::new(Kind::Config, what).mend("use a newer limn"));
        }
        let cameras = disk.cameras.into_iter().map(CameraOnDisk::mount).collect::<Result<_>>()?;
        let rig = Self { cameras, files: disk.files, board: disk.board, calibration: disk.calibration };
        rig.check()?;
        Ok(rig)
    }

    /// Writes `rig.yaml`, whole or not at all.
    ///
    /// # Errors
    /// When the rig says what cannot be, or the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
        files::write_whole(path, self.text()?.as_bytes())
    }

    /// Writes over a `rig.yaml`; one that holds comments, or a calibration, is kept beside it as `rig.yaml.before`,
    /// `rig.yaml.before-2` and so on.
    ///
    /// # Errors
    /// As [`Rig::write`].
    pub fn replace(&self, path: &Path) -> Result<()> {
        self.check()?;
        if let Ok(before) = std::fs::read_to_string(path)
            && before
                .lines()
                .any(|l| l.trim_start().starts_with('#') || l.contains(" #") || l.contains("calibrated"))
            && before != self.text()?
        {
            keep_copy(path, "before")?;
        }
        self.write(path)
    }

    /// The text of `rig.yaml`.
    ///
    /// # Errors
    /// When a number cannot be written.
    pub fn text(&self) -> Result<String> {
        let disk = OnDisk {
            limn_rig: VERSION,
            program: format!("limn {}", crate::VERSION),
            files: self.files.clone(),
            board: self.board.clone(),
            cameras: self.cameras.iter().map(CameraOnDisk::of).collect(),
            calibration: self.calibration.clone(),
        };
        serde_yaml::to_string(&disk)
            .map_err(|e| Error::new(Kind::Format, format!("cannot write the rig: {e}")))
    }

    /// Whether names, board and numbers can be used together.
    ///
    /// # Errors
    /// [`Kind::Config`] that names the first fault.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String, mend: &str| Err(Error::new(Kind::Config, what).mend(mend));
        if self.cameras.is_empty() {
            return wrong("the rig has no cameras".into(), "name the cameras under `cameras`");
        }
        for (i, mount) in self.cameras.iter().enumerate() {
            let name = &mount.name;
            let usual = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
            if name.trim() != name || name.is_empty() || !name.chars().all(usual) {
                return wrong(
                    format!("`{name}` cannot be the name of a camera"),
                    "use letters, digits, `-`, `_` and `.`, as in the names of its videos",
                );
            }
            if self.cameras[..i].iter().any(|m| m.name == *name) {
                return wrong(
                    format!("two cameras are called `{name}`"),
                    "give each camera a name of its own",
                );
            }
            if mount.offset.unsigned_abs() > MOST_OFFSET {
                return wrong(
                    format!("camera `{name}` began {} frames before the others", mount.offset),
                    "mend `frame_offset`: it is counted in frames",
                );
            }
            if let Some(camera) = &mount.camera {
                camera.check().map_err(|e| e.at(format!("camera `{name}`")))?;
            }
        }
        if let Some(pattern) = &self.files
            && pattern.matches("{camera}").count() != 1
        {
            return wrong(
                format!("`{pattern}` does not say where a file's name has the camera's"),
                "write `{camera}` once, and `{session}` for what tells recordings apart: `{session}_{camera}`",
            );
        }
        self.board.as_ref().map_or(Ok(()), Board::check)
    }

    /// The board.
    ///
    /// # Errors
    /// When the rig has none.
    pub fn board(&self) -> Result<&Board> {
        self.board.as_ref().ok_or_else(|| {
            Error::new(Kind::Config, "the rig does not say what its calibration board is")
                .mend("add `board` to rig.yaml (docs/formats/limn-rig.md)")
        })
    }

    /// All cameras, calibrated.
    ///
    /// # Errors
    /// That names those which are not.
    pub fn calibrated(&self) -> Result<Vec<Camera>> {
        let missing: Vec<&str> =
            self.cameras.iter().filter(|m| m.camera.is_none()).map(|m| m.name.as_str()).collect();
        if missing.is_empty() {
            return Ok(self.cameras.iter().filter_map(|m| m.camera.clone()).collect());
        }
        Err(Error::new(Kind::Config, format!("these cameras are not calibrated: {}", missing.join(", ")))
            .mend("run `limn calibrate` on videos of the board first"))
    }

    /// Which of `paths` were filmed by which camera at the same time.
    ///
    /// # Errors
    /// When two files claim the same camera of one session.
    pub fn sessions(&self, paths: &[PathBuf]) -> Result<Sessions> {
        let names: Vec<&str> = self.cameras.iter().map(|m| m.name.as_str()).collect();
        Sessions::of(&names, self.files.as_deref(), paths)
    }
}

impl CameraOnDisk {
    fn of(mount: &Mount) -> Self {
        let calibrated = mount.camera.as_ref().map(|c| NumbersOnDisk {
            size: c.size,
            focal: c.lens.focal,
            centre: c.lens.centre,
            distortion: c.lens.distortion[..c.lens.model.coefficients()].to_vec(),
            rotation: c.pose.rotation.scaled_axis().into(),
            translation: c.pose.translation.vector.into(),
        });
        Self { name: mount.name.clone(), lens: mount.model, frame_offset: mount.offset, calibrated }
    }

    fn mount(self) -> Result<Mount> {
        let Self { name, lens: model, frame_offset: offset, calibrated } = self;
        let camera = match calibrated {
            None => None,
            Some(n) => {
                let mut distortion = [0.0; 5];
                let most = model.coefficients();
                if n.distortion.len() > most {
                    let what =
                        format!("{} distortion coefficients, where this lens has {most}", n.distortion.len());
                    return Err(Error::new(Kind::Config, what)
                        .at(format!("camera `{name}`"))
                        .mend("calibrate again, or mend `lens`"));
                }
                distortion[..n.distortion.len()].copy_from_slice(&n.distortion);
                let lens = Lens { model, focal: n.focal, centre: n.centre, distortion };
                let pose = Camera::pose_of(n.rotation, n.translation)
                    .map_err(|e| e.at(format!("camera `{name}`")))?;
                Some(Camera { name: name.clone(), size: n.size, lens, pose })
            }
        };
        Ok(Mount { name, model, offset, camera })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;

    fn rig() -> Rig {
        let size = [640, 480];
        let camera = Camera::new("left", size, Lens::plain(533.25, size)).looking(
            Vector3::new(10.0, -300.0, 400.0),
            Vector3::zeros(),
            Vector3::z(),
        );
        let left = Mount { name: "left".into(), camera: Some(camera), ..Mount::default() };
        let right = Mount { name: "right".into(), model: LensModel::Fisheye, offset: -3, camera: None };
        Rig {
            cameras: vec![left, right],
            files: Some("{session}_{camera}".into()),
            board: Some(Board::Charuco {
                columns: 7,
                rows: 5,
                square: 20.0,
                marker: 15.0,
                dictionary: "DICT_4X4_50".into(),
            }),
            calibration: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rig.yaml");
        rig().write(&path).unwrap();
        let read = Rig::read(dir.path()).unwrap();
        let (a, b) = (read.cameras[0].camera.as_ref().unwrap(), rig().cameras[0].camera.clone().unwrap());
        assert!((a.position() - b.position()).norm() < 1e-9 && a.lens == b.lens);
        assert_eq!(Rig { cameras: vec![], ..read.clone() }, Rig { cameras: vec![], ..rig() });
        assert_eq!(read.cameras[1], rig().cameras[1]);
        assert!(read.calibrated().unwrap_err().what().contains("right"));
    }

    #[test]
    fn a_calibration_is_never_written_over_without_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rig.yaml");
        rig().write(&path).unwrap();
        let first = std::fs::read(&path).unwrap();
        for offset in [5, 6] {
            let mut other = rig();
            other.cameras[0].offset = offset;
            other.replace(&path).unwrap();
        }
        assert_eq!(std::fs::read(dir.path().join("rig.yaml.before")).unwrap(), first);
        assert!(dir.path().join("rig.yaml.before-2").is_file());
    }

    #[test]
    fn what_cannot_be_is_said_with_its_place() {
        let wrong = |text: &str| Rig::parse(text).unwrap_err();
        assert!(wrong("limn_rig: 9\ncameras: []").what().contains("version 9"));
        assert!(wrong("limn_rig: 1\ncameras: []").what().contains("no cameras"));
        let twice = "limn_rig: 1\ncameras: [{name: a}, {name: a}]";
        assert!(wrong(twice).what().contains("two cameras"));
        assert!(wrong("limn_rig: 1\ncameras:\n- name: a\n  lens: cube\n").place().is_some());
        assert!(wrong("limn_rig: 1\nfiles: x\ncameras: [{name: a}]").what().contains('x'));
        let board =
            "limn_rig: 1\ncameras: [{name: a}]\nboard: {kind: checkerboard, columns: 9, rows: 6, square: 0}";
        assert!(wrong(board).what().contains("0 mm"));
        for (numbers, part) in [
            ("size: [0, 0], rotation: [0, 0, 0], translation: [0, 0, 0]", "0 x 0"),
            ("size: [640, 480], rotation: [.nan, 0, 0], translation: [0, 0, 0]", "rotation"),
            ("size: [640, 480], rotation: [1e200, 0, 0], translation: [0, 0, 0]", "rotation"),
            ("size: [640, 480], rotation: [0, 0, 0], translation: [0, .inf, 0]", "translation"),
        ] {
            let lens = "focal: [500, 500], centre: [320, 240], distortion: []";
            let text = format!("limn_rig: 1\ncameras: [{{name: a, calibrated: {{{lens}, {numbers}}}}}]");
            assert!(wrong(&text).what().contains(part), "{}", wrong(&text));
        }
        assert!(
            wrong("limn_rig: 1\ncameras: [{name: a, frame_offset: -9223372036854775808}]")
                .what()
                .contains("began")
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rig.yaml"), "limn_rig: 1\ncameras:\n- name: a\n  lens: cube\n")
            .unwrap();
        let place = Rig::read(dir.path()).unwrap_err();
        assert!(place.place().unwrap().contains("rig.yaml:"), "{place}");
    }
}
