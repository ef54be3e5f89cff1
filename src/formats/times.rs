//! The table of times beside tracks, limn's own: `<tracks>_times.csv` with `frame,time_s` and more.
//!
//! ```
//! use limn::formats::times;
//! let dir = tempfile::tempdir()?;
//! let tracks = dir.path().join("day1_3d.csv");
//! times::write(&dir.path().join("day1_3d_times.csv"), &[0.0, 0.04, 0.08])?;
//! assert_eq!(times::beside(&tracks), Some(vec![0.0, 0.04, 0.08]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::Result;
use crate::files;
use std::fmt::Write;
use std::path::Path;

/// The times of all frames in seconds, where limn's table of them lies beside the tracks, is whole, and they rise.
#[must_use]
pub fn beside(tracks: &Path) -> Option<Vec<f64>> {
    let stem = tracks.file_stem()?.to_string_lossy();
    let text = std::fs::read_to_string(tracks.with_file_name(format!("{stem}_times.csv"))).ok()?;
    let mut lines = text.lines();
    lines.next().filter(|head| head.starts_with("frame,time_s"))?;
    let times: Vec<f64> = lines.map(|l| l.split(',').nth(1)?.parse().ok()).collect::<Option<_>>()?;
    times.windows(2).all(|w| matches!(w, [a, b] if a < b)).then_some(times)
}

/// Writes such a table, without what is only known of videos.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, times: &[f64]) -> Result<()> {
    let mut text = String::from("frame,time_s\n");
    for (frame, time) in times.iter().enumerate() {
        let _ = writeln!(text, "{frame},{time}"); // into memory
    }
    files::write_whole(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_whole_tables_that_rise_are_taken() {
        let dir = tempfile::tempdir().unwrap();
        let times = |text: &str| {
            std::fs::write(dir.path().join("p_times.csv"), text).unwrap();
            super::beside(&dir.path().join("p.csv"))
        };
        assert_eq!(times("frame,time_s,decoded\n0,0.5,1\n1,0.75,1\n"), Some(vec![0.5, 0.75]));
        assert_eq!(times("frame,time_s\n0,0.5\n1,0.5\n"), None);
        assert_eq!(times("frame,time_s\n0,\n"), None);
        assert_eq!(times("frame,picture\n0,a.png\n"), None);
        assert!(super::beside(&dir.path().join("other.csv")).is_none());
    }
}
