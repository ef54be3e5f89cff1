use super::Positions;
use crate::camera::corrections::Corrections;
use crate::error::{Error, Kind, Result};
use crate::formats::{anipose_csv, dlc_3d, dlc_tracks_csv};
use crate::pose::{Skeleton, Tracks, Tracks3d};
use crate::watch::Watch;
use nalgebra::Vector3;
use serde::Deserialize;
use std::path::Path;

/// The tracks of a file, of whichever sort.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// In pixels.
    Plane(Tracks),
    /// In millimetres.
    Space(Tracks3d),
}

impl Found {
    /// Reads tracks of any sort: Anipose's CSV, or DeepLabCut's CSV and (feature `hdf5`) HDF5 with points in the plane or in
    /// space. The content decides, the extension only between CSV and HDF5.
    ///
    /// # Errors
    /// When it is none of them, or is damaged.
    pub fn read(path: &Path, watch: &dyn Watch) -> Result<Self> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        match extension.as_str() {
            "csv" if anipose_csv::is_one(path) => anipose_csv::read(path, watch).map(Self::Space),
            "csv" => either(dlc_tracks_csv::read(path, watch), || dlc_3d::read_csv(path, watch)),
            #[cfg(feature = "hdf5")]
            "h5" | "hdf5" => {
                let plane = crate::formats::dlc_h5::read_tracks(path, watch);
                either(plane, || dlc_3d::read_h5(path, watch))
            }
            #[cfg(not(feature = "hdf5"))]
            "h5" | "hdf5" => Err(Error::new(Kind::Format, "this build of limn cannot read HDF5 files")
                .at(path.display())
                .mend("give the CSV beside it, or use a limn that was built with the feature `hdf5`")),
            _ => Err(Error::new(Kind::Usage, "this is no file of tracks")
                .at(path.display())
                .mend("give a .csv or .h5 file that limn, DeepLabCut or Anipose wrote")),
        }
    }

    /// Puts in what a person corrected, where the file is `<session>_3d.csv` and `<session>_corrections.yaml` lies beside it, unless
    /// the note beside it says that these corrections are in it; how many points, and what could not be used.
    ///
    /// # Errors
    /// When the corrections cannot be read.
    pub fn correct(&mut self, path: &Path) -> Result<(usize, Vec<String>)> {
        #[derive(Deserialize)]
        struct Note {
            corrections: Option<String>,
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let (Self::Space(tracks), Some(session)) = (self, stem.strip_suffix("_3d")) else {
            return Ok((0, Vec::new()));
        };
        let beside = path.with_file_name(format!("{session}_corrections.yaml"));
        let note = std::fs::read_to_string(path.with_file_name(format!("{stem}_meta.yaml"))).ok();
        let known = note.and_then(|text| serde_yaml::from_str::<Note>(&text).ok()?.corrections);
        if known.is_some() && known == Corrections::checksum(&beside) {
            return Ok((0, Vec::new()));
        }
        Ok(Corrections::read(&beside, session)?.apply(&[], tracks))
    }
}

/// The first, or the second where only that one is of its sort; else what is wrong with the first.
fn either(
    plane: Result<(String, Tracks)>,
    space: impl FnOnce() -> Result<(String, Tracks3d)>,
) -> Result<Found> {
    match plane {
        Ok((_, tracks)) => Ok(Found::Plane(tracks)),
        Err(e) if matches!(e.kind(), Kind::Cancelled | Kind::NotFound | Kind::Io) => Err(e),
        // A table of points in space fails at its `z`; one that fails elsewhere as well is told of as it is.
        Err(e) if e.what().contains("coordinate called `z`") => {
            space().map(|(_, tracks)| Found::Space(tracks))
        }
        Err(e) => Err(e),
    }
}

impl Positions for Found {
    fn skeleton(&self) -> &Skeleton {
        match self {
            Self::Plane(t) => &t.skeleton,
            Self::Space(t) => &t.skeleton,
        }
    }
    fn frames(&self) -> usize {
        match self {
            Self::Plane(t) => t.frames(),
            Self::Space(t) => t.frames(),
        }
    }
    fn at(&self, frame: usize, point: usize) -> Option<(Vector3<f64>, f64)> {
        match self {
            Self::Plane(t) => t.at(frame, point),
            Self::Space(t) => t.at(frame, point),
        }
    }
    fn unit(&self) -> &'static str {
        match self {
            Self::Plane(t) => t.unit(),
            Self::Space(t) => t.unit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Quiet;

    #[test]
    fn every_sort_is_known_by_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| Found::read(&dir.path().join(name), &Quiet::default());
        let (plane, space) =
            (Tracks::new(Skeleton::single(["a"]), 2), Tracks3d::new(Skeleton::single(["a"]), 2));
        dlc_tracks_csv::write(&dir.path().join("p.csv"), "D", &plane).unwrap();
        dlc_3d::write_csv(&dir.path().join("s.csv"), "D", &space).unwrap();
        anipose_csv::write(&dir.path().join("a.csv"), &space).unwrap();
        assert!(matches!(read("p.csv"), Ok(Found::Plane(_))));
        assert!(matches!(read("s.csv"), Ok(Found::Space(_))));
        assert!(matches!(read("a.csv"), Ok(Found::Space(_))));
        #[cfg(feature = "hdf5")]
        {
            crate::formats::dlc_h5::write_tracks(&dir.path().join("p.h5"), "D", &plane).unwrap();
            dlc_3d::write_h5(&dir.path().join("s.h5"), "D", &space).unwrap();
            assert!(matches!(read("p.h5"), Ok(Found::Plane(_))));
            assert!(matches!(read("s.h5"), Ok(Found::Space(_))));
        }
        assert_eq!(read("none.csv").unwrap_err().kind(), Kind::NotFound);
        assert_eq!(read("p.txt").unwrap_err().kind(), Kind::Usage);
        std::fs::write(dir.path().join("x.csv"), "1,2,3\n").unwrap();
        assert!(read("x.csv").unwrap_err().what().contains("header row is missing"));
    }
}
