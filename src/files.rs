//! Files written whole: to a temporary name in the same folder, synced, then renamed.
//!
//! A reader sees the old file or the new one, never a half of either, whatever stops the program.
//!
//! ```
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("labels.csv");
//! limn::files::write_whole(&path, b"a,b\n")?;
//! assert_eq!(std::fs::read(&path)?, b"a,b\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` so that it appears whole or not at all.
///
/// # Errors
/// When the folder cannot be written or the disk is full; the old file, if any, is untouched then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// Like [`write_whole`], for writers that want the open file.
///
/// # Errors
/// As [`write_whole`], and whatever `fill` returns.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    crate::watch::may_wait("writing a file");
    let failed = |e| Error::io("write the file", path, e);
    let mut temp = temporary_beside(path)?;
    fill(temp.as_file_mut()).map_err(failed)?;
    keep(temp, path)
}

/// Like [`write_whole`], for libraries that open the path themselves (HDF5, video, images by name): `fill` gets a
/// temporary path with the same extension in the same folder.
///
/// # Errors
/// As [`write_whole`], and whatever `fill` returns.
pub fn write_path(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    crate::watch::may_wait("writing a file");
    let temp = temporary_beside(path)?;
    fill(temp.path())?;
    // The library may have replaced the file, so sync what now has the name.
    File::open(temp.path()).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync the file", path, e))?;
    keep(temp, path)
}

/// Writes files of one folder that belong together: `fill` gets a temporary path for each, in a folder of their own
/// with the same names, and they take their places, in this order, only when all of them are whole. Errors name the
/// later places.
///
/// # Errors
/// As [`write_whole`], and whatever `fill` returns; the old files, if any, are untouched then.
pub fn write_together<const N: usize>(
    paths: [&Path; N],
    fill: impl FnOnce([&Path; N]) -> Result<()>,
) -> Result<()> {
    let Some(folder) = paths.first().map(|p| folder_of(p)) else { return Ok(()) };
    let temp = temporary_folder(&folder)?;
    let new = paths.map(|p| temp.path().join(p.file_name().unwrap_or_default()));
    fill(std::array::from_fn(|i| new[i].as_path())).map_err(|e| e.relocated(temp.path(), &folder))?;
    take_places(new.iter().map(PathBuf::as_path).zip(paths))?;
    sync_folder(&folder)
}

/// Renames whole files to their places, in order; each keeps the rights of the one it replaces.
///
/// # Errors
/// When the operating system refuses; those before are in their places then.
pub fn take_places<'a>(moves: impl IntoIterator<Item = (&'a Path, &'a Path)>) -> Result<()> {
    for (new, path) in moves {
        let failed = |e| Error::io("write the file", path, e);
        if let Ok(old) = fs::metadata(path) {
            fs::set_permissions(new, old.permissions()).map_err(failed)?;
        }
        fs::rename(new, path).map_err(failed)?;
    }
    Ok(())
}

/// This user's folder for what can be fetched or computed again: `$LIMN_CACHE`, else the platform's; `None` when the
/// user has no home.
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("LIMN_CACHE").filter(|v| !v.is_empty()) {
        Some(dir) => Some(PathBuf::from(dir)),
        None => directories::ProjectDirs::from("", "", "limn").map(|d| d.cache_dir().to_path_buf()),
    }
}

/// Whether new files can be made in a folder, asked before long work whose results go there.
///
/// # Errors
/// When the operating system refuses.
pub fn must_be_writable(folder: &Path) -> Result<()> {
    temporary_folder(folder).map(drop)
}

fn temporary_folder(folder: &Path) -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(".limn-")
        .tempdir_in(folder)
        .map_err(|e| Error::io("write in the folder", folder, e))
}

fn temporary_beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let dir = folder_of(path);
    let suffix = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    tempfile::Builder::new()
        .prefix(".limn-")
        .suffix(&suffix)
        .tempfile_in(&dir)
        .map_err(|e| Error::io("write in the folder", &dir, e))
}

fn keep(temp: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    let failed = |e| Error::io("write the file", path, e);
    temp.as_file().sync_all().map_err(failed)?;
    #[cfg(unix)]
    {
        // Temporary files are private; a project's files have the rights any new file would have.
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_or(0o644, |m| m.permissions().mode() & 0o777);
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    temp.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(&folder_of(path))
}

/// Makes a rename or a new file in `dir` durable.
///
/// # Errors
/// When the folder cannot be opened.
pub fn sync_folder(dir: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(()); // folders cannot be synced there; a rename is journaled by NTFS
    }
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| Error::io("sync the folder", dir, e))
}

/// Makes a folder and its parents.
///
/// # Errors
/// When the operating system refuses.
pub fn make_folder(dir: &Path) -> Result<()> {
    crate::watch::may_wait("making a folder");
    fs::create_dir_all(dir).map_err(|e| Error::io("make the folder", dir, e))
}

/// Reads a text file.
///
/// # Errors
/// When it is not there, not readable, or not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    crate::watch::may_wait("reading a file");
    fs::read_to_string(path).map_err(|e| Error::io("read the file", path, e))
}

/// The folder a path lies in, `.` when it has none.
#[must_use]
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_belong_together_are_replaced_together() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        write_whole(&a, b"old").unwrap();
        let failed = write_together([&a, &b], |[a, b]| {
            write_whole(a, b"new")?;
            read_text(b).map(drop)
        });
        assert_eq!(failed.unwrap_err().place(), b.to_str());
        assert_eq!(fs::read(&a).unwrap(), b"old");
        write_together([&a, &b], |[a, b]| write_whole(a, b"new").and_then(|()| write_whole(b, b"new")))
            .unwrap();
        assert_eq!((fs::read(&a).unwrap(), fs::read(&b).unwrap()), (b"new".to_vec(), b"new".to_vec()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary folder is left");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        write_whole(&path, b"old").unwrap();
        let failed = write_with(&path, |f| {
            f.write_all(b"half")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert!(failed.unwrap_err().to_string().contains("free some space"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
