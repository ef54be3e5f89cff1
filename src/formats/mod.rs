//! One file per format, read and write. Nothing here knows where a project keeps its files.
//!
//! | module | format | specification |
//! |---|---|---|
//! | [`dlc_labels_csv`] | DeepLabCut's label table as CSV | `docs/formats/dlc-labels.md` |
//! | [`dlc_tracks_csv`] | DeepLabCut's predictions as CSV | `docs/formats/dlc-tracks.md` |
//! | `dlc_h5` (feature `hdf5`) | both as pandas HDF5 files | the same two pages |
//! | [`dlc_3d`] | DeepLabCut's keypoints in space, as CSV and (feature `hdf5`) as pandas HDF5 file | `docs/formats/tracks-3d.md` |
//! | [`anipose_csv`] | keypoints in space as Anipose's CSV, with deviations | `docs/formats/tracks-3d.md` |
//! | `candidates` (feature `hdf5`) | limn's own: several candidates for every point | `docs/formats/limn-candidates.md` |
//! | [`times`] | limn's own: the time of every frame | `docs/formats/tracks-3d.md` |
//! | `nwb` (feature `hdf5`) | keypoints in space for NWB with `ndx-pose`, written only | `docs/formats/tracks-3d.md` |
//!
//! ```
//! use limn::formats::dlc_labels_csv;
//! use limn::pose::{FrameKey, Keypoint, Labels, Skeleton};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("CollectedData_Ann.csv");
//! let mut labels = Labels::new("Ann", Skeleton::single(["snout", "tailbase"]));
//! labels.set(&FrameKey::new("m1", "img07.png"), 0, Some(Keypoint::new(10.5, 20.25)));
//! dlc_labels_csv::write(&path, &labels)?;
//! assert_eq!(dlc_labels_csv::read(&path, &Quiet::default())?, labels);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::Result;
use crate::pose::Tracks;
use crate::watch::Watch;
use std::path::Path;

pub mod anipose_csv;
#[cfg(feature = "hdf5")]
pub mod candidates;
mod csv_table;
pub mod dlc_3d;
#[cfg(feature = "hdf5")]
pub mod dlc_h5;
pub mod dlc_labels_csv;
pub mod dlc_tracks_csv;
#[cfg(feature = "hdf5")]
mod h5;
mod header;
#[cfg(feature = "hdf5")]
pub mod nwb;
#[cfg(feature = "hdf5")]
mod pandas;
mod part;
#[cfg(test)]
mod testing;
pub mod times;

/// Whether a table of this name, without its ending, is one of those that limn and DeepLabCut write beside 2D tracks, and no
/// tracks itself.
///
/// ```
/// use limn::formats::is_beside_tracks;
/// assert!(is_beside_tracks("day1DLC_x_sd") && is_beside_tracks("day1_3d") && !is_beside_tracks("day1DLC_x"));
/// ```
#[must_use]
pub fn is_beside_tracks(stem: &str) -> bool {
    let endings = [
        "_candidates",
        "_sd",
        "_times",
        "_meta",
        "_kinematics",
        "_3d",
        "_3d_deviations",
        "_DLC_3D",
        "_full",
        "_skeleton",
    ];
    endings.iter().any(|e| stem.ends_with(e))
}

/// Reads 2D tracks from HDF5 or CSV, by the file's ending; the scorer and the tracks.
///
/// # Errors
/// As the readers of both; for HDF5 also where this build cannot read it.
pub fn read_tracks(path: &Path, watch: &dyn Watch) -> Result<(String, Tracks)> {
    #[cfg(feature = "hdf5")]
    if path.extension().is_some_and(|e| e == "h5") {
        return dlc_h5::read_tracks(path, watch);
    }
    #[cfg(not(feature = "hdf5"))]
    if path.extension().is_some_and(|e| e == "h5") {
        return Err(crate::error::Error::new(
            crate::error::Kind::Format,
            "this build of limn cannot read HDF5",
        )
        .at(path.display())
        .mend("give the .csv beside it, or use a limn that was built with the feature `hdf5`"));
    }
    dlc_tracks_csv::read(path, watch)
}
