//! Renaming, adding and removing body parts, with the labels carried along.
//!
//! What is to be done is first written down (`labeled-data/.limn-bodyparts.json`), then done to the tables of every folder,
//! then to `config.yaml` and `limn.yaml`, and struck out last. Each of these is done so that doing it again changes nothing;
//! so after a crash the work is finished by whoever next opens the labels to edit them. Models trained before keep the
//! names they were trained with.
//!
//! ```
//! use limn::project::{BodypartChange, NewProject, Project, VideoMode};
//! use limn::watch::Quiet;
//! let dir = tempfile::tempdir()?;
//! let new = NewProject::single("reaching", "Ada", ["hand", "elbow"]);
//! let project = Project::create(dir.path(), &new, &[], VideoMode::Link, &|_| Ok((4, 4)), &Quiet::default())?;
//! let change = BodypartChange::Rename { from: "hand".into(), to: "paw".into() };
//! let project = change.apply(&project, &Quiet::default())?;
//! assert_eq!(project.skeleton().bodyparts, ["paw", "elbow"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::Project;
use super::config::{Config, Cutoff};
use super::history::History;
use super::label_files::LabelFiles;
use super::label_store::{LabelStore, lock};
use super::marks::{HiddenFile, Named};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{LabeledFrame, Labels, PointName, Skeleton};
use crate::sealed::keep_copy;
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::PathBuf;

/// The newest form of the file that this program knows.
const SCHEMA: u32 = 1;

/// A change of the body parts of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodypartChange {
    /// Gives a body part another name.
    Rename {
        /// As it is called now.
        from: String,
        /// As it is to be called.
        to: String,
    },
    /// Adds body parts, at the end of the list; in a project of several animals every one of them has them.
    Add {
        /// Their names.
        names: Vec<String>,
    },
    /// Takes a body part out, with its labels. Copies of the tables are kept as `<table>.before-removing-<name>`.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Intent {
    schema: u32,
    program: String,
    change: BodypartChange,
}

fn intent_path(project: &Project) -> PathBuf {
    project.root().join("labeled-data").join(".limn-bodyparts.json")
}

/// An error while a change is under way: what lies there is neither old nor new.
pub(super) fn must_be_finished(project: &Project) -> Result<()> {
    let path = intent_path(project);
    if path.exists() {
        return Err(Error::new(Kind::Labels, "a change of the body parts is not finished yet")
            .at(path.display())
            .mend("wait for the limn that does it, or open the labels to edit them, which finishes it"));
    }
    Ok(())
}

/// Finishes a change that was interrupted, when there is one; gives the project after it. The caller holds the lock.
pub(super) fn finish(project: &Project, _lock: &File, watch: &dyn Watch) -> Result<Option<Project>> {
    let path = intent_path(project);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read what is to be done to the body parts", &path, e)),
    };
    let intent: Intent = serde_json::from_str(&text).map_err(|e| {
        Error::new(
            Kind::Labels,
            format!("a change of the body parts was interrupted, and cannot be read: {e}"),
        )
        .at(path.display())
        .mend("check the body parts in the tables and in config.yaml by hand, then remove this file")
    })?;
    if intent.schema > SCHEMA {
        return Err(Error::new(Kind::Labels, "a change of the body parts by a newer limn was interrupted")
            .at(path.display())
            .mend("open the labels with that limn, which finishes it"));
    }
    let changed = intent.change.run(project, watch)?;
    watch.warn(&format!("an interrupted change was finished: {}", intent.change.done()));
    Ok(Some(changed))
}

impl BodypartChange {
    /// Makes the change, in all tables, `config.yaml` and `limn.yaml`; gives the project after it. Edits that are only in
    /// the journals are written to the tables first.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the names cannot be used, [`Kind::Exists`] when another limn edits the labels, what
    /// [`LabelStore::edit`] refuses, and failed writes: after one of these the change may be half done, and is finished
    /// when the labels are next opened to edit them.
    pub fn apply(&self, project: &Project, watch: &dyn Watch) -> Result<Project> {
        let lock = lock(project)?;
        let again = || lock.try_clone().map_err(|e| Error::io("lock the labels", project.root(), e));
        finish(project, &lock, watch)?;
        let project = Project::open(project.config.path(), watch)?;
        self.check(&project.config)?;
        let mut store = LabelStore::open(&project, Some(again()?), watch)?;
        store.flush(watch)?;
        drop(store);
        self.note_down(&project)?;
        self.run(&project, watch)
    }

    /// What was done, for people.
    #[must_use]
    pub fn done(&self) -> String {
        match self {
            Self::Rename { from, to } => {
                format!("The body part {from} is called {to} now; its labels were carried along.")
            }
            Self::Add { names } if names.len() == 1 => {
                format!("The body part {} was added.", names.join(", "))
            }
            Self::Add { names } => format!("The body parts {} were added.", names.join(", ")),
            Self::Remove { name } => format!(
                "The body part {name} was removed; copies of the tables with its labels are kept beside them, ending in \
                 `.{}`.",
                reason(name)
            ),
        }
    }

    fn check(&self, config: &Config) -> Result<()> {
        let all: Vec<&String> = match config.multi_animal {
            true => config.multi_animal_bodyparts.iter().chain(&config.unique_bodyparts).collect(),
            false => config.bodyparts.iter().collect(),
        };
        let wrong = |what: String, mend: String| {
            Err(Error::new(Kind::Usage, what).at(config.path().display()).mend(mend))
        };
        let there = |name: &String| all.contains(&name);
        let listed = || {
            let names: Vec<_> = all.iter().map(|n| n.as_str()).collect();
            format!("the body parts are: {}", names.join(", "))
        };
        let (old, new): (Option<&String>, &[String]) = match self {
            Self::Rename { from, to } => (Some(from), std::slice::from_ref(to)),
            Self::Add { names } => (None, names),
            Self::Remove { name } => (Some(name), &[]),
        };
        if let Some(name) = old.filter(|n| !there(n)) {
            return wrong(format!("there is no body part `{name}`"), listed());
        }
        for (i, name) in new.iter().enumerate() {
            let odd = name.trim().is_empty() || name.contains([',', '\n', '\r', '"']);
            if odd || name.trim() != name || name.eq_ignore_ascii_case("nan") {
                let mend = "it becomes a column name in CSV files: use letters, digits, `_` and `-`";
                return wrong(format!("`{name}` cannot be the name of a body part"), mend.into());
            }
            if there(name) || new[..i].contains(name) {
                return wrong(format!("there is a body part `{name}` already"), listed());
            }
        }
        match self {
            Self::Add { names } if names.is_empty() => {
                wrong("no body part was named".into(), "name at least one".into())
            }
            Self::Remove { .. } if all.len() == 1 => {
                wrong("a project needs at least one body part".into(), "add another one first".into())
            }
            _ => Ok(()),
        }
    }

    fn note_down(&self, project: &Project) -> Result<()> {
        let path = intent_path(project);
        let program = format!("limn {}", crate::VERSION);
        let intent = Intent { schema: SCHEMA, program, change: self.clone() };
        let text = serde_json::to_string(&intent)
            .map_err(|e| Error::new(Kind::Labels, e.to_string()).at(path.display()))?;
        files::write_whole(&path, text.as_bytes())
    }

    fn run(&self, project: &Project, watch: &dyn Watch) -> Result<Project> {
        let mut project = Project::open(project.config.path(), watch)?;
        for video in project.labeled_videos()? {
            self.do_folder(&project, &video, watch)?;
        }
        self.do_config(&mut project)?;
        match self {
            Self::Rename { from, to } => History::renamed(&project, from, to)?,
            Self::Remove { name } => History::removed(&project, name)?,
            Self::Add { .. } => {}
        }
        let path = intent_path(&project);
        std::fs::remove_file(&path)
            .map_err(|e| Error::io("finish the change of the body parts", &path, e))?;
        files::sync_folder(&files::folder_of(&path))?;
        Ok(project)
    }

    /// The name that a body part has after the change; `None` when it is gone.
    fn after<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        match self {
            Self::Rename { from, to } if from == name => Some(to),
            Self::Remove { name: gone } if gone == name => None,
            _ => Some(name),
        }
    }

    /// All tables of one folder, of whatever scorer, and the marks of points that are not visible.
    fn do_folder(&self, project: &Project, video: &str, watch: &dyn Watch) -> Result<()> {
        for scorer in LabelFiles::scorers(project, video)? {
            let mut files = LabelFiles::of_scorer(project, video, &scorer);
            let table = match files.load_raw(watch) {
                Ok(Some(table)) => table,
                Ok(None) => continue,
                Err(e) if scorer != project.config.scorer => {
                    watch.warn(&format!("{e}\nThis table of another scorer stays as it is."));
                    continue;
                }
                Err(e) => return Err(e),
            };
            let Some(changed) = self.table(&table) else { continue };
            if let Self::Remove { name } = self {
                files.keep_copies(&reason(name))?;
            }
            if changed.skeleton.points() == 0 {
                files.remove_tables()?; // they held nothing but what was removed; the copies have it
                continue;
            }
            files.save_tables(&changed, watch)?;
        }
        let path = project.labeled_data(video).join("not-visible.yaml");
        let Ok(Some(mut marks)) = HiddenFile::read(&path) else { return Ok(()) };
        let before = marks.clone();
        for points in marks.scorers.values_mut().flat_map(|pictures| pictures.values_mut()) {
            let renamed = |n: &Named| {
                Some(Named {
                    individual: n.individual.clone(),
                    bodypart: self.after(&n.bodypart)?.to_owned(),
                })
            };
            *points = points.iter().filter_map(renamed).collect();
        }
        if marks != before {
            if let Self::Remove { name } = self {
                keep_copy(&path, &reason(name))?;
            }
            marks.write(&path)?;
        }
        Ok(())
    }

    /// A table after the change; `None` when it has nothing to do with it.
    fn table(&self, table: &Labels) -> Option<Labels> {
        let old = &table.skeleton;
        let rename = |names: &[String]| -> Vec<String> {
            names.iter().filter_map(|n| self.after(n)).map(str::to_owned).collect()
        };
        let mut skeleton = Skeleton {
            bodyparts: rename(&old.bodyparts),
            unique_bodyparts: rename(&old.unique_bodyparts),
            edges: Vec::new(),
            ..old.clone()
        };
        if let Self::Add { names } = self {
            let new =
                names.iter().filter(|n| !old.bodyparts.contains(n) && !old.unique_bodyparts.contains(n));
            skeleton.bodyparts.extend(new.cloned());
        }
        if (&skeleton.bodyparts, &skeleton.unique_bodyparts) == (&old.bodyparts, &old.unique_bodyparts) {
            return None;
        }
        let before = |name: PointName<'_>| {
            let bodypart = match self {
                Self::Rename { from, to } if to == name.bodypart => from,
                _ => name.bodypart,
            };
            old.index_of(PointName { individual: name.individual, bodypart })
        };
        let places: Vec<Option<usize>> = skeleton.names().map(before).collect();
        let mut labels = Labels::new(table.scorer.clone(), skeleton);
        for (key, frame) in &table.frames {
            let at = |p: &Option<usize>| p.and_then(|i| frame.points.get(i).copied().flatten());
            labels.frames.insert(key.clone(), LabeledFrame { points: places.iter().map(at).collect() });
        }
        Some(labels)
    }

    fn do_config(&self, project: &mut Project) -> Result<()> {
        let config = &mut project.config;
        let lists = if config.multi_animal {
            [&mut config.multi_animal_bodyparts, &mut config.unique_bodyparts]
        } else {
            [&mut config.bodyparts, &mut Vec::new()]
        };
        match self {
            Self::Rename { from, to } => {
                lists.into_iter().flatten().filter(|n| *n == from).for_each(|n| n.clone_from(to));
                config.skeleton.iter_mut().flatten().filter(|n| *n == from).for_each(|n| n.clone_from(to));
            }
            Self::Add { names } => {
                let [parts, unique] = lists;
                let new: Vec<String> =
                    names.iter().filter(|n| !parts.contains(n) && !unique.contains(n)).cloned().collect();
                if let Cutoff::Each(all) = &mut config.pcutoff {
                    all.extend(new.iter().map(|_| 0.6)); // DeepLabCut's usual one
                }
                parts.extend(new);
            }
            Self::Remove { name } => {
                let [parts, unique] = lists;
                if let (Cutoff::Each(all), Some(at)) =
                    (&mut config.pcutoff, parts.iter().position(|n| n == name))
                    && at < all.len()
                {
                    all.remove(at);
                }
                parts.retain(|n| n != name);
                unique.retain(|n| n != name);
                config.skeleton.retain(|edge| !edge.contains(name));
            }
        }
        for (_, table) in &mut config.super_animal_conversion {
            let kept =
                table.drain(..).filter_map(|(ours, theirs)| Some((self.after(&ours)?.to_owned(), theirs)));
            *table = kept.collect();
        }
        config.save()?;
        let before = project.settings.mirror_pairs.clone();
        if let Some(pairs) = &mut project.settings.mirror_pairs {
            let follow = |[a, b]: [String; 2]| Some([self.after(&a)?.to_owned(), self.after(&b)?.to_owned()]);
            *pairs = std::mem::take(pairs).into_iter().filter_map(follow).collect();
        }
        if project.settings.mirror_pairs != before {
            project.save_settings()?;
        }
        Ok(())
    }
}

/// What copies of tables are called for.
fn reason(bodypart: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    format!("before-removing-{}", bodypart.chars().map(plain).collect::<String>())
}

#[cfg(test)]
#[path = "bodyparts_tests.rs"]
mod tests;
