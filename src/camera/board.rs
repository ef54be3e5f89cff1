use crate::error::{Error, Kind, Result};
use nalgebra::Vector3;
use serde::{Deserialize, Serialize};

/// A calibration board: a flat pattern whose measures are known. Lengths in millimetres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Board {
    /// Black and white squares; all inner corners must be seen at once.
    Checkerboard {
        /// Inner corners across.
        columns: usize,
        /// Inner corners down.
        rows: usize,
        /// Side of a square.
        square: f64,
    },
    /// A checkerboard with an ArUco marker in every white square, which may be seen in part (Garrido-Jurado et al. 2014).
    Charuco {
        /// Squares across.
        columns: usize,
        /// Squares down.
        rows: usize,
        /// Side of a square.
        square: f64,
        /// Side of a marker.
        marker: f64,
        /// OpenCV's name of the markers' dictionary, such as `DICT_4X4_50`.
        dictionary: String,
    },
}

impl Board {
    /// Corners across and down.
    #[must_use]
    pub fn corners(&self) -> [usize; 2] {
        match self {
            Self::Checkerboard { columns, rows, .. } => [*columns, *rows],
            Self::Charuco { columns, rows, .. } => [columns.saturating_sub(1), rows.saturating_sub(1)],
        }
    }

    /// How many corners it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.corners().iter().product()
    }

    /// Side of a square in millimetres.
    #[must_use]
    pub fn square(&self) -> f64 {
        match self {
            Self::Checkerboard { square, .. } | Self::Charuco { square, .. } => *square,
        }
    }

    /// Where corner `index` lies on the board, in millimetres: row after row from the first corner, x across, y down, z 0.
    #[must_use]
    pub fn corner(&self, index: usize) -> Vector3<f64> {
        let across = self.corners()[0].max(1);
        Vector3::new((index % across) as f64, (index / across) as f64, 0.0) * self.square()
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// [`Kind::Config`] that names what cannot be.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| {
            Err(Error::new(Kind::Config, what).mend("measure the board and mend `board` in rig.yaml"))
        };
        let [across, down] = self.corners();
        // OpenCV finds no checkerboards of two corners.
        let least = if matches!(self, Self::Checkerboard { .. }) { 3 } else { 2 };
        if !(least..=100).contains(&across) || !(least..=100).contains(&down) {
            return wrong(format!(
                "a board of {across} x {down} inner corners cannot be used: {least} to 100 each way"
            ));
        }
        if !(self.square() > 0.0 && self.square().is_finite()) {
            return wrong(format!("the side of a square cannot be {} mm", self.square()));
        }
        match self {
            Self::Charuco { marker, square, .. } if !(*marker > 0.0 && marker < square) => {
                wrong(format!("a marker of {marker} mm does not fit into a square of {square} mm"))
            }
            Self::Charuco { columns, rows, dictionary, .. } => {
                // Every other square has a marker.
                let (needed, there) =
                    (columns * rows / 2, dictionary.rsplit('_').next().and_then(|n| n.parse().ok()));
                match there {
                    Some(there) if needed > there => {
                        wrong(format!("the {needed} markers of this board are more than {dictionary} has"))
                    }
                    _ => Ok(()),
                }
            }
            Self::Checkerboard { .. } => Ok(()),
        }
    }

    /// In words: `checkerboard of 9 x 6 inner corners, squares of 30 mm`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Checkerboard { columns, rows, square } => {
                format!("checkerboard of {columns} x {rows} inner corners, squares of {square} mm")
            }
            Self::Charuco { columns, rows, square, marker, dictionary } => format!(
                "ChArUco board of {columns} x {rows} squares of {square} mm, markers of {marker} mm from {dictionary}"
            ),
        }
    }
}
