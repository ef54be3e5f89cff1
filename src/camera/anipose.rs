//! Anipose's `calibration.toml` (Karashchuk et al. 2021), read and written.
//!
//! Each `[cam_N]` has name, size, camera matrix, distortion, rotation vector and translation, as OpenCV has them, from the world
//! into the camera's frame. Anipose counts the centre of the top-left pixel as (0, 0) and limn as (0.5, 0.5), so that principal
//! points are half a pixel larger here. Anipose's lengths are those its board was measured in, which must be millimetres.
//!
//! ```
//! use limn::camera::{Camera, Lens, Rig, anipose};
//! let camera = Camera::new("left", [640, 480], Lens::plain(600.0, [640, 480]));
//! let text = anipose::text(&[camera.clone()])?;
//! assert!(text.contains("name = \"left\"") && text.contains("319.5"));
//! let rig = Rig::from_cameras(anipose::parse(&text)?)?;
//! assert_eq!(rig.calibrated()?, [camera]);
//! # Ok::<(), limn::Error>(())
//! ```

use super::{Camera, Lens, LensModel, Mount, Rig};
use crate::error::{Error, Kind, Result};
use crate::files;
use std::path::Path;
use toml::{Table, Value};

/// Half a pixel: where limn counts the centre of the top-left pixel, and OpenCV zero.
const HALF: f64 = 0.5;

/// Reads the cameras of a `calibration.toml`, in the order of their numbers.
///
/// # Errors
/// [`Kind::Format`] with file, line and section when it is no such file, a number is missing or is none, two cameras have one
/// name, or a lens has distortion that limn does not know.
pub fn read(path: &Path) -> Result<Vec<Camera>> {
    parse(&files::read_text(path)?).map_err(|e| match e.place() {
        Some(place) => {
            let again = Error::new(e.kind(), e.what()).at(format!("{}, {place}", path.display()));
            again.mend(e.how_to_mend().unwrap_or_default())
        }
        None => e.at(path.display()),
    })
}

/// Reads the text of a `calibration.toml`.
///
/// # Errors
/// As [`read`], without the file's name.
pub fn parse(text: &str) -> Result<Vec<Camera>> {
    let all: Table = text.parse().map_err(|e: toml::de::Error| {
        let what = format!("the calibration is no TOML: {}", e.message());
        let error = Error::new(Kind::Format, what).mend("export it again from Anipose");
        match e.span() {
            Some(span) => error.at(format!("line {}", line_at(text, span.start))),
            None => error,
        }
    })?;
    let mut cameras: Vec<(u64, Camera)> = Vec::new();
    for (section, value) in &all {
        // Others (`metadata`, what other programs add) say nothing of a camera.
        let (Some(number), Some(table)) = (section.strip_prefix("cam_"), value.as_table()) else { continue };
        let section = Section { text, name: section, table };
        let camera = section.camera()?;
        if cameras.iter().any(|(_, c)| c.name == camera.name) {
            let what = format!("two cameras are called `{}`", camera.name);
            return Err(section.wrong("name", what, "give each camera a name of its own"));
        }
        cameras.push((number.parse().unwrap_or(u64::MAX), camera));
    }
    if cameras.is_empty() {
        return Err(Error::new(Kind::Format, "the calibration has no cameras")
            .mend("give Anipose's calibration.toml, with a section [cam_0], [cam_1], ... for each camera"));
    }
    cameras.sort_by_key(|(number, _)| *number);
    Ok(cameras.into_iter().map(|(_, camera)| camera).collect())
}

/// Writes a `calibration.toml` that Anipose reads, whole or not at all.
///
/// # Errors
/// When a number is not finite, or the file cannot be written.
pub fn write(path: &Path, cameras: &[Camera]) -> Result<()> {
    files::write_whole(path, text(cameras).map_err(|e| e.at(path.display()))?.as_bytes())
}

/// The text of a `calibration.toml`.
///
/// # Errors
/// When a number is not finite.
pub fn text(cameras: &[Camera]) -> Result<String> {
    let mut all = Table::new();
    let numbers = |n: &[f64]| Value::Array(n.iter().map(|v| Value::Float(*v)).collect());
    for (i, camera) in cameras.iter().enumerate() {
        let (lens, pose) = (&camera.lens, &camera.pose);
        let place = |e: Error| e.at(format!("camera `{}`", camera.name));
        lens.check().map_err(place)?;
        let turn: [f64; 3] = pose.rotation.scaled_axis().into();
        let shift: [f64; 3] = pose.translation.vector.into();
        if !turn.iter().chain(&shift).all(|n| n.is_finite()) {
            let error = Error::new(Kind::Config, "it is not known where the camera stands");
            return Err(place(error.mend("calibrate this camera again")));
        }
        let ([fx, fy], [cx, cy]) = (lens.focal, lens.centre.map(|c| c - HALF));
        let matrix = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]];
        let size = camera.size.map(|s| Value::Integer(i64::try_from(s).unwrap_or(i64::MAX)));
        let distortion: Vec<f64> = lens.distortion.into_iter().take(lens.model.coefficients()).collect();
        let table = [
            ("name", Value::String(camera.name.clone())),
            ("size", Value::Array(size.to_vec())),
            ("matrix", Value::Array(matrix.iter().map(|row| numbers(row)).collect())),
            ("distortions", numbers(&distortion)),
            ("rotation", numbers(&turn)),
            ("translation", numbers(&shift)),
            ("fisheye", Value::Boolean(lens.model == LensModel::Fisheye)),
        ];
        all.insert(format!("cam_{i}"), section(table));
    }
    let program = Value::String(format!("limn {}", crate::VERSION));
    all.insert(
        "metadata".into(),
        section([("program", program), ("unit", Value::String("millimeters".into()))]),
    );
    toml::to_string(&all)
        .map_err(|e| Error::new(Kind::Format, format!("cannot write the calibration: {e}")).because(e))
}

fn section<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl Rig {
    /// A rig of cameras that were calibrated elsewhere, without board and without offsets.
    ///
    /// # Errors
    /// As [`Rig::check`]: no cameras, a name that file names cannot have, or twice the same.
    pub fn from_cameras(cameras: Vec<Camera>) -> Result<Self> {
        let cameras = cameras.into_iter().map(|c| Mount {
            name: c.name.clone(),
            model: c.lens.model,
            offset: 0,
            camera: Some(c),
        });
        let rig = Self { cameras: cameras.collect(), ..Self::default() };
        rig.check()?;
        Ok(rig)
    }
}

/// One `[cam_N]`.
struct Section<'a> {
    text: &'a str,
    name: &'a str,
    table: &'a Table,
}

const AGAIN: &str = "export the calibration again from Anipose";

impl Section<'_> {
    /// An error about one key of this section.
    fn wrong(&self, key: &str, what: String, mend: &str) -> Error {
        // The line of the key, or of the section when the key is not there.
        let head = format!("[{}]", self.name);
        let mut lines = self.text.lines().zip(1..).skip_while(|(line, _)| line.trim() != head);
        let section = lines.next().map(|(_, n)| n);
        let mut inside = lines.take_while(|(line, _)| !line.starts_with('['));
        let own = inside.find(|(line, _)| line.split('=').next().is_some_and(|k| k.trim() == key));
        let place = match own.map(|(_, n)| n).or(section) {
            Some(line) => format!("line {line}, [{}] {key}", self.name),
            None => format!("[{}] {key}", self.name),
        };
        Error::new(Kind::Format, what).at(place).mend(mend)
    }

    /// Finite numbers; whole ones are taken as well.
    fn numbers(&self, key: &str, value: Option<&Value>) -> Result<Vec<f64>> {
        let wrong = |what: &str| Err(self.wrong(key, format!("`{key}` {what}"), AGAIN));
        let Some(value) = value else { return wrong("is missing") };
        let Some(list) = value.as_array() else { return wrong("is no list of numbers") };
        #[allow(clippy::cast_precision_loss)] // whole numbers here are pixels
        let number = |v: &Value| v.as_float().or_else(|| v.as_integer().map(|i| i as f64));
        match list.iter().map(number).collect::<Option<Vec<f64>>>() {
            None => wrong("holds something that is no number"),
            Some(n) if n.iter().any(|v| !v.is_finite()) => wrong("holds a number that is not finite"),
            Some(n) => Ok(n),
        }
    }

    fn exactly<const N: usize>(&self, key: &str, value: Option<&Value>) -> Result<[f64; N]> {
        let numbers = self.numbers(key, value)?;
        let found = numbers.len();
        numbers
            .try_into()
            .map_err(|_| self.wrong(key, format!("`{key}` has {found} numbers where {N} belong"), AGAIN))
    }

    fn camera(&self) -> Result<Camera> {
        let name = match self.table.get("name") {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Integer(name)) => name.to_string(),
            _ => {
                let what = "the camera has no name".into();
                return Err(self.wrong("name", what, "add `name`, as in the names of its videos"));
            }
        };
        let size: [f64; 2] = self.exactly("size", self.table.get("size"))?;
        if !size.iter().all(|s| (1.0..=1e6).contains(s) && s.fract() == 0.0) {
            let what = format!("a frame cannot be {} x {} pixels", size[0], size[1]);
            return Err(self.wrong("size", what, "write width and height of this camera's videos"));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
        let size = size.map(|s| s as usize);
        let model = match self.table.get("fisheye") {
            None | Some(Value::Boolean(false)) => LensModel::Pinhole,
            Some(Value::Boolean(true)) => LensModel::Fisheye,
            Some(_) => {
                let what = "`fisheye` is neither true nor false".into();
                return Err(self.wrong("fisheye", what, "write true or false"));
            }
        };
        let rows: &[Value] = self.table.get("matrix").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        let [first, second, third] = rows else {
            return Err(self.wrong("matrix", "`matrix` is missing or has not 3 rows".into(), AGAIN));
        };
        let [fx, skew, cx] = self.exactly("matrix", Some(first))?;
        let [zero, fy, cy] = self.exactly("matrix", Some(second))?;
        if skew != 0.0 || zero != 0.0 || self.exactly("matrix", Some(third))? != [0.0, 0.0, 1.0] {
            let what = "the camera matrix has a skew or another scale, which limn's lenses do not have";
            return Err(self.wrong("matrix", what.into(), "calibrate again without skew"));
        }
        let centre = [cx + HALF, cy + HALF];
        let lens = Lens { model, focal: [fx, fy], centre, distortion: self.distortion(model)? };
        lens.check().map_err(|e| self.wrong("matrix", e.what().to_owned(), "calibrate this camera again"))?;
        let turn: [f64; 3] = self.exactly("rotation", self.table.get("rotation"))?;
        let shift: [f64; 3] = self.exactly("translation", self.table.get("translation"))?;
        let pose =
            Camera::pose_of(turn, shift).map_err(|e| self.wrong("rotation", e.what().to_owned(), AGAIN))?;
        Ok(Camera { name, size, lens, pose })
    }

    fn distortion(&self, model: LensModel) -> Result<[f64; 5]> {
        let mut given = self.numbers("distortions", self.table.get("distortions"))?;
        let most = model.coefficients();
        // Coefficients of 0 bend nothing, whichever model they belong to.
        while given.len() > most && given.last() == Some(&0.0) {
            given.pop();
        }
        if given.len() > most {
            let what = format!("the lens has {} distortion coefficients, limn knows {most}", given.len());
            let mend = "calibrate again with 5 coefficients (k1 k2 p1 p2 k3), or 4 for a fisheye";
            return Err(self.wrong("distortions", what, mend));
        }
        let mut all = [0.0; 5];
        all.iter_mut().zip(given).for_each(|(to, from)| *to = from);
        Ok(all)
    }
}

fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::Keypoint;
    use nalgebra::{Isometry3, Vector3};
    use proptest::prelude::*;

    /// As Anipose writes it.
    const TEXT: &str = "\
[cam_0]
name = \"A\"
size = [ 640, 480,]
matrix = [ [ 533.5, 0.0, 341.25,], [ 0.0, 534, 232.75,], [ 0.0, 0.0, 1.0,],]
distortions = [ -0.28, 0.04, 0.001, -0.0001, 0.1,]
rotation = [ 0.1, -0.2, 0.3,]
translation = [ 10, -20.5, 300.0,]

[cam_10]
name = \"C\"
size = [ 640, 480,]
matrix = [ [ 500.0, 0.0, 320.0,], [ 0.0, 500.0, 240.0,], [ 0.0, 0.0, 1.0,],]
distortions = [ 0.1, 0.2, 0.3, 0.4,]
rotation = [ 0.0, 0.0, 0.0,]
translation = [ 0.0, 0.0, 0.0,]
fisheye = true

[cam_2]
name = 7
size = [ 640, 480,]
matrix = [ [ 500.0, 0.0, 320.0,], [ 0.0, 500.0, 240.0,], [ 0.0, 0.0, 1.0,],]
distortions = [ 0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0,]
rotation = [ 0.0, 0.0, 0.0,]
translation = [ 0.0, 0.0, 0.0,]

[metadata]
adjusted = false
error = 0.5
";

    #[test]
    fn what_anipose_writes_is_read() {
        let cameras = parse(TEXT).unwrap();
        let names: Vec<&str> = cameras.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["A", "7", "C"], "by number, not by letters");
        let a = &cameras[0];
        assert_eq!((a.size, a.lens.focal, a.lens.centre), ([640, 480], [533.5, 534.0], [341.75, 233.25]));
        assert_eq!(a.lens.distortion, [-0.28, 0.04, 0.001, -0.0001, 0.1]);
        assert_eq!(cameras[2].lens.model, LensModel::Fisheye);
        assert_eq!(cameras[1].lens.distortion, [0.1, 0.2, 0.3, 0.4, 0.0]);
        // A point on the axis of a camera at the origin is seen at Anipose's principal point, half a pixel further here.
        let seen = cameras[1].project(&Vector3::new(0.0, 0.0, 100.0)).unwrap();
        assert!(seen.distance(Keypoint::new(320.5, 240.5)) < 1e-9);
        // From the world into the camera's frame.
        let axis = Vector3::new(0.1, -0.2, 0.3);
        let turned = nalgebra::Rotation3::new(axis) * Vector3::x() + Vector3::new(10.0, -20.5, 300.0);
        assert!(((a.pose * nalgebra::Point3::new(1.0, 0.0, 0.0)).coords - turned).norm() < 1e-12);
    }

    #[test]
    fn faults_name_section_line_and_mend() {
        let cases = [
            ("name = \"A\"", "name = ", "no TOML", "line 2"),
            ("size = [ 640, 480,]", "size = [640]", "has 1 numbers where 2 belong", "line 3, [cam_0] size"),
            ("size = [ 640, 480,]", "size = [0, 480]", "0 x 480", "line 3, [cam_0] size"),
            ("-0.28", "\"x\"", "no number", "line 5, [cam_0] distortions"),
            ("[ 533.5, 0.0,", "[ 533.5, 0.2,", "skew", "line 4, [cam_0] matrix"),
            ("533.5", "-533.5", "focal", "line 4, [cam_0] matrix"),
            ("0.1,]\nrot", "0.1, 1, 2, 3,]\nrot", "8 distortion coefficients", "line 5, [cam_0] distortions"),
            ("rotation = [ 0.1, -0.2, 0.3,]\n", "", "`rotation` is missing", "line 1, [cam_0] rotation"),
            ("name = \"C\"", "name = \"A\"", "two cameras", "line 10, [cam_10] name"),
            ("fisheye = true", "fisheye = 1", "neither", "line 16, [cam_10] fisheye"),
            ("300.0", "nan", "not finite", "line 7, [cam_0] translation"),
        ];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calibration.toml");
        for (from, to, what, place) in cases {
            std::fs::write(&path, TEXT.replacen(from, to, 1)).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.what().contains(what), "{what}: {error}");
            let at = error.place().unwrap();
            assert!(at.contains(place) && at.contains("calibration.toml"), "{place}: {error}");
            assert!(error.how_to_mend().is_some_and(|m| !m.is_empty()));
        }
        assert!(parse("[metadata]\nerror = 1\n").unwrap_err().what().contains("no cameras"));
    }

    #[test]
    fn the_page_shows_a_rig_that_is_read() {
        let page = include_str!("../../docs/formats/limn-rig.md");
        let example = page.split("```").find_map(|block| block.strip_prefix("yaml\n")).unwrap();
        let rig = Rig::parse(example).unwrap();
        assert_eq!((rig.cameras.len(), rig.board.map(|b| b.count())), (2, Some(54)));
        assert_eq!(rig.cameras[0].camera.as_ref().map(|c| c.size), Some([640, 480]));
    }

    fn camera() -> impl Strategy<Value = Camera> {
        let number = -300.0..300.0f64;
        let pose = proptest::array::uniform6(number.clone());
        let lens = (100.0..2000.0f64, 100.0..2000.0f64, number.clone(), number);
        let bend = (any::<bool>(), proptest::array::uniform5(-0.5..0.5f64));
        (pose, lens, bend).prop_map(|([a, b, c, x, y, z], (fx, fy, cx, cy), (fisheye, mut distortion))| {
            let model = if fisheye { LensModel::Fisheye } else { LensModel::Pinhole };
            if fisheye {
                distortion[4] = 0.0;
            }
            let pose = Isometry3::new(Vector3::new(x, y, z), Vector3::new(a, b, c) * 0.01);
            let lens = Lens { model, focal: [fx, fy], centre: [cx, cy], distortion };
            Camera { name: String::new(), size: [1280, 1024], lens, pose }
        })
    }

    proptest! {
        #[test]
        fn cameras_come_back(cameras in proptest::collection::vec(camera(), 1..13)) {
            let named = |(i, c): (usize, Camera)| Camera { name: format!("cam \"{i}\" ä"), ..c };
            let cameras: Vec<Camera> = cameras.into_iter().enumerate().map(named).collect();
            let back = parse(&text(&cameras).unwrap()).unwrap();
            prop_assert_eq!(back.len(), cameras.len());
            for (a, b) in back.iter().zip(&cameras) {
                prop_assert_eq!((&a.name, a.size, a.lens.model), (&b.name, b.size, b.lens.model));
                for (x, y) in a.lens.numbers().iter().zip(b.lens.numbers()) {
                    prop_assert!((x - y).abs() < 1e-9);
                }
                prop_assert!((a.matrix() - b.matrix()).abs().max() < 1e-9);
            }
        }
    }
}
