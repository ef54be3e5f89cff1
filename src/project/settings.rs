//! `limn.yaml`: limn's own settings of a project. DeepLabCut refuses unknown keys in `config.yaml`, so they stand beside
//! it, and a project works without them.

use crate::error::{Error, Kind, Result};
use crate::files;
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The newest form of the file that this program knows.
const SCHEMA: u32 = 1;

/// limn's own settings; every one may be left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Form of the file.
    #[serde(default)]
    schema: u32,
    /// The program that wrote it.
    #[serde(default)]
    program: String,
    /// Pairs of body parts that swap when an image is mirrored, instead of those found by their names; an empty list
    /// for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror_pairs: Option<Vec<[String; 2]>>,
    /// The network to train when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_net: Option<String>,
    /// The rig of the project's cameras, its file or folder, from the project's folder; none: `rig.yaml` there, if it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rig: Option<String>,
    /// Keys of other versions, kept on write.
    #[serde(flatten)]
    other: serde_yaml::Mapping,
}

impl Settings {
    /// Where the settings of the project in `root` stand.
    #[must_use]
    pub fn path(root: &Path) -> PathBuf {
        root.join("limn.yaml")
    }

    pub(super) fn read(root: &Path, watch: &dyn Watch) -> Result<Self> {
        let path = Self::path(root);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Error::io("read limn's settings", &path, e)),
        };
        let settings: Self = serde_yaml::from_str(&text).map_err(|e| {
            let line = e.location().map(|l| format!(":{}", l.line())).unwrap_or_default();
            Error::new(Kind::Config, format!("limn's settings cannot be used: {e}"))
                .at(format!("{}{line}", path.display()))
                .mend("mend this line, or move the file away to go on with the default settings")
        })?;
        if settings.schema > SCHEMA {
            return Err(Error::new(
                Kind::Config,
                format!("the settings have schema {}, and this limn knows up to {SCHEMA}", settings.schema),
            )
            .at(path.display())
            .mend("use a newer limn for this project"));
        }
        for key in settings.other.keys() {
            watch.warn(&format!(
                "{}: the key `{}` is unknown and has no effect",
                path.display(),
                key.as_str().unwrap_or("?")
            ));
        }
        Ok(settings)
    }

    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let path = Self::path(root);
        let stamped = Self { schema: SCHEMA, program: format!("limn {}", crate::VERSION), ..self.clone() };
        let text = serde_yaml::to_string(&stamped).map_err(|e| {
            Error::new(Kind::Config, format!("cannot write limn's settings: {e}")).at(path.display())
        })?;
        files::write_whole(&path, format!("# limn's own settings of this project\n{text}").as_bytes())
    }
}
