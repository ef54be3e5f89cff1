//! What the window remembers of its user: recent projects, theme, size of things, own shortcuts, devices.
//!
//! `window.yaml` in the user's configuration folder (`$LIMN_CONFIG` names another). A file that cannot be understood
//! is kept beside the new one and told; nothing of a project stands here.

use super::keys::Keys;
use super::theme::Wish;
use crate::error::{Error, Kind, Result};
use crate::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const SCHEMA: u32 = 1;
const RECENT: usize = 12;

/// The user's preferences.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefs {
    /// Projects opened last, newest first.
    pub recent: Vec<PathBuf>,
    /// Light, dark, or as the desktop.
    pub theme: Wish,
    /// Size of text and buttons, on top of the display's own scale.
    pub zoom: f32,
    /// Own shortcuts.
    pub keys: Keys,
    /// Whether the jobs panel is shown.
    pub jobs_shown: bool,
    /// Name of the person who labels, for the next new project.
    pub scorer: String,
    /// Folder of the last new project.
    pub folder: PathBuf,
    /// The device to train and analyze on: `auto`, `cpu`, `cuda:0`.
    pub device: String,
}

impl Default for Prefs {
    fn default() -> Self {
        Self {
            recent: Vec::new(),
            theme: Wish::System,
            zoom: 1.0,
            keys: Keys::default(),
            jobs_shown: true,
            scorer: String::new(),
            folder: PathBuf::new(),
            device: "auto".into(),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct File {
    schema: u32,
    program: String,
    recent: Vec<PathBuf>,
    theme: Wish,
    zoom: Option<f32>,
    shortcuts: BTreeMap<String, Vec<String>>,
    jobs_shown: Option<bool>,
    scorer: String,
    folder: PathBuf,
    device: Option<String>,
    /// Keys of other versions, kept on write.
    #[serde(flatten)]
    other: BTreeMap<String, serde_yaml::Value>,
}

/// Where preferences are kept.
#[must_use]
pub fn path() -> Option<PathBuf> {
    std::env::var_os("LIMN_CONFIG")
        .map(PathBuf::from)
        .or_else(|| directories::ProjectDirs::from("", "", "limn").map(|d| d.config_dir().to_path_buf()))
        .map(|folder| folder.join("window.yaml"))
}

impl Prefs {
    /// Reads them; a missing file gives the usual ones. The second value is what to tell the user.
    #[must_use]
    pub fn read(path: &Path) -> (Self, Vec<String>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return (Self::default(), Vec::new()),
            Err(e) => return (Self::default(), vec![Error::io("read the preferences", path, e).to_string()]),
        };
        let file: File = match serde_yaml::from_str(&text) {
            Ok(file) => file,
            Err(e) => {
                let kept = path.with_extension("yaml.damaged");
                let words = match files::write_whole(&kept, text.as_bytes()) {
                    Ok(()) => format!("it is kept as {}", kept.display()),
                    Err(e) => e.to_string(),
                };
                return (
                    Self::default(),
                    vec![format!("{}: the preferences cannot be understood ({e}); {words}", path.display())],
                );
            }
        };
        let (keys, unknown) = Keys::from_file(&file.shortcuts);
        let told = unknown.into_iter().map(|what| format!("{}: left out {what}", path.display())).collect();
        let prefs = Self {
            recent: file.recent,
            theme: file.theme,
            zoom: file.zoom.filter(|z| z.is_finite()).unwrap_or(1.0).clamp(0.5, 3.0),
            keys,
            jobs_shown: file.jobs_shown.unwrap_or(true),
            scorer: file.scorer,
            folder: file.folder,
            device: file.device.unwrap_or_else(|| "auto".into()),
        };
        (prefs, told)
    }

    /// Writes them, whole.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let other = std::fs::read_to_string(path)
            .ok()
            .and_then(|text| serde_yaml::from_str::<File>(&text).ok())
            .map(|file| file.other)
            .unwrap_or_default();
        let file = File {
            schema: SCHEMA,
            program: format!("limn {}", crate::VERSION),
            recent: self.recent.clone(),
            theme: self.theme,
            zoom: Some(self.zoom),
            shortcuts: self.keys.to_file(),
            jobs_shown: Some(self.jobs_shown),
            scorer: self.scorer.clone(),
            folder: self.folder.clone(),
            device: Some(self.device.clone()),
            other,
        };
        let text = serde_yaml::to_string(&file).map_err(|e| {
            Error::new(Kind::Config, format!("cannot write the preferences: {e}")).at(path.display())
        })?;
        files::make_folder(&files::folder_of(path))?;
        files::write_whole(path, text.as_bytes())
    }

    /// Puts a project first among the recent ones.
    pub fn remember(&mut self, project: &Path) {
        self.recent.retain(|p| p != project);
        self.recent.insert(0, project.to_path_buf());
        self.recent.truncate(RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_come_back_and_damage_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/window.yaml");
        assert_eq!(Prefs::read(&path), (Prefs::default(), vec![]));
        let mut prefs = Prefs { zoom: 1.25, theme: Wish::Dark, scorer: "Ada".into(), ..Prefs::default() };
        prefs.remember(Path::new("/p/one"));
        prefs.remember(Path::new("/p/two"));
        prefs.remember(Path::new("/p/one"));
        prefs.write(&path).unwrap();
        assert_eq!(Prefs::read(&path), (prefs.clone(), vec![]));
        assert_eq!(prefs.recent, [PathBuf::from("/p/one"), "/p/two".into()]);

        std::fs::write(&path, "zoom: [").unwrap();
        let (fresh, told) = Prefs::read(&path);
        assert_eq!((fresh, told.len()), (Prefs::default(), 1));
        assert!(dir.path().join("a/window.yaml.damaged").exists());
    }
}
