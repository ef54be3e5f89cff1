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
