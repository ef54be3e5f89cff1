//! A file that is written over a long time beside the place it will have.

use crate::error::{Error, Result};
use crate::files;
use std::fs::File;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// The file in the making; dropped before [`keep`](Self::keep), nothing is left of it.
#[derive(Debug)]
pub(super) struct Part {
    /// The name it will have.
    pub path: PathBuf,
    temp: TempPath,
}

impl Part {
    /// An empty file in the folder of `path`, open.
    pub fn beside(path: &Path) -> Result<(Self, File)> {
        crate::watch::may_wait("writing a file");
        let folder = files::folder_of(path);
        let suffix = path.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
        let (file, temp) = tempfile::Builder::new()
            .prefix(".limn-")
            .suffix(&format!("{suffix}.part"))
            .tempfile_in(&folder)
            .map_err(|e| Error::io("write in the folder", &folder, e))?
            .into_parts();
        Ok((Self { path: path.to_owned(), temp }, file))
    }

    /// Where it lies now, for libraries that open it themselves.
    #[cfg(feature = "hdf5")]
    pub fn now(&self) -> &Path {
        &self.temp
    }

    /// Gives the file, which must be closed, its name.
    pub fn keep(self) -> Result<()> {
        let Self { path, temp } = self;
        files::write_path(&path, |whole| {
            temp.persist(whole).map_err(|e| Error::io("write the file", &path, e.error))
        })
    }
}
