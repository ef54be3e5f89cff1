//! The label files of one folder: the only place that knows that labels lie in HDF5 and CSV.

use super::Project;
use super::marks::{HiddenFile, Mark, Marks, Rows};
use crate::error::{Error, Kind, Result};
use crate::formats::dlc_labels_csv;
use crate::pose::{FrameKey, LabeledFrame, Labels, PointName, Skeleton};
use crate::sealed::keep_copy;
use crate::watch::Watch;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The state of the label files when they were last read or written; another state means that somebody else wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    csv: FileStamp,
    h5: FileStamp,
    hidden: FileStamp,
}

impl Stamp {
    /// Whether there is a table.
    pub fn any_table(&self) -> bool {
        self.csv.is_some() || self.h5.is_some()
    }
}

/// Time, length and number of a file; `None` when it is not there.
pub(super) type FileStamp = Option<(SystemTime, u64, u64)>;

/// The label files of one folder: both tables, and the points that are not visible.
#[derive(Debug, Clone)]
pub(super) struct LabelFiles {
    csv: PathBuf,
    h5: PathBuf,
    hidden: PathBuf,
    /// Files that could not be read and must be kept before they are written over.
    damaged: Vec<PathBuf>,
    stamp: Stamp,
}

pub(super) fn stamp_of(path: &Path) -> FileStamp {
    let meta = std::fs::metadata(path).ok()?;
    // A file that was written whole and renamed is another one, even within one tick of the clock.
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let number = 0;
    Some((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), number))
}

#[cfg(feature = "hdf5")]
fn read_h5(path: &Path, watch: &dyn Watch) -> Result<Labels> {
    crate::formats::dlc_h5::read_labels(path, watch)
}

#[cfg(not(feature = "hdf5"))]
fn read_h5(path: &Path, _watch: &dyn Watch) -> Result<Labels> {
    Err(Error::new(Kind::Labels, "this build of limn cannot read HDF5")
        .at(path.display())
        .mend("use a limn that was built with the feature `hdf5`, or save the labels as CSV too"))
}

impl LabelFiles {
    pub fn new(project: &Project, video: &str) -> Self {
        Self::of_scorer(project, video, &project.config.scorer)
    }

    /// The files of one scorer, whoever it is.
    pub fn of_scorer(project: &Project, video: &str, scorer: &str) -> Self {
        let name = format!("CollectedData_{scorer}");
        let dir = project.labeled_data(video);
        Self {
            csv: dir.join(format!("{name}.csv")),
            h5: dir.join(format!("{name}.h5")),
            hidden: dir.join("not-visible.yaml"),
            damaged: Vec::new(),
            stamp: Stamp::default(),
        }
    }

    /// Reads what there is, brought into the project's points; `None` when nothing was labelled by this scorer.
    /// `lenient` lets a body part that has no columns yet begin empty.
    pub fn load(
        &mut self,
        project: &Project,
        video: &str,
        lenient: bool,
        watch: &dyn Watch,
    ) -> Result<Option<Marks>> {
        let tables = self.load_tables(project, video, lenient, watch)?;
        let none = tables.is_none();
        let mut marks = Marks::new(
            tables.unwrap_or_else(|| Labels::new(project.config.scorer.clone(), project.skeleton())),
        );
        match HiddenFile::read(&self.hidden) {
            Ok(Some(file)) => file.put_into(&mut marks, video),
            Ok(None) if none => return Ok(None),
            Ok(None) => {}
            Err(e) => {
                watch.warn(&format!(
                    "{}: {}; it is not used, and a copy is kept when labels are saved",
                    e.place().map_or_else(|| self.hidden.display().to_string(), str::to_owned),
                    e.what()
                ));
                self.damaged.push(self.hidden.clone());
            }
        }
        Ok(Some(marks))
    }

    fn load_tables(
        &mut self,
        project: &Project,
        video: &str,
        lenient: bool,
        watch: &dyn Watch,
    ) -> Result<Option<Labels>> {
        match self.either_or(watch)? {
            Some((labels, path)) => fit(labels, &path, project, video, lenient, watch).map(Some),
            None => {
                self.warn_of_others(project, video, watch);
                Ok(None)
            }
        }
    }

    /// The table as it lies there, with its own body parts and scorer.
    pub fn load_raw(&mut self, watch: &dyn Watch) -> Result<Option<Labels>> {
        Ok(self.either_or(watch)?.map(|(labels, _)| labels))
    }

    /// The table that counts, and the file it is from.
    fn either_or(&mut self, watch: &dyn Watch) -> Result<Option<(Labels, PathBuf)>> {
        self.stamp = self.now();
        Ok(Some(match (self.h5.is_file(), self.csv.is_file()) {
            (false, false) => return Ok(None),
            (false, true) => (dlc_labels_csv::read(&self.csv, watch)?, self.csv.clone()),
            (true, false) => (read_h5(&self.h5, watch)?, self.h5.clone()),
            (true, true) => self.either(watch)?,
        }))
    }

    /// Whose tables lie in the folder, by the files' names.
    pub fn scorers(project: &Project, video: &str) -> Result<Vec<String>> {
        let dir = project.labeled_data(video);
        let failed = |e| Error::io("read the folder", &dir, e);
        let mut found = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let stem = name.strip_suffix(".csv").or_else(|| name.strip_suffix(".h5"));
            found.extend(stem.and_then(|s| s.strip_prefix("CollectedData_")).map(str::to_owned));
        }
        Ok(found.into_iter().collect())
    }

    /// Both are there: the HDF5, as DeepLabCut does, unless the CSV is newer and says something else.
    fn either(&mut self, watch: &dyn Watch) -> Result<(Labels, PathBuf)> {
        let from_csv = dlc_labels_csv::read(&self.csv, watch);
        watch.check()?;
        if cfg!(not(feature = "hdf5")) {
            watch.warn(&format!(
                "{}: this build of limn cannot read HDF5, so the CSV beside it is used",
                self.h5.display()
            ));
            return Ok((from_csv?, self.csv.clone()));
        }
        match (read_h5(&self.h5, watch), from_csv) {
            (Ok(h5), Ok(csv)) => {
                let Some((count, first)) = difference(&h5, &csv) else { return Ok((h5, self.h5.clone())) };
                let newer = self.stamp.csv.map(|s| s.0) > self.stamp.h5.map(|s| s.0);
                let (which, why) = if newer {
                    ("CSV", "it is newer; DeepLabCut would use the HDF5 until limn saves both")
                } else {
                    ("HDF5", "as DeepLabCut does")
                };
                watch.warn(&format!(
                    "{}: CSV and HDF5 differ in {count} pictures, first {first}; the {which} is used ({why})",
                    self.csv.display()
                ));
                Ok(if newer { (csv, self.csv.clone()) } else { (h5, self.h5.clone()) })
            }
            (Err(e), Ok(csv)) => {
                watch.warn(&format!(
                    "{}: damaged ({}), so the CSV beside it is used; a copy is kept when labels are saved",
                    self.h5.display(),
                    e.what()
                ));
                self.damaged.push(self.h5.clone());
                Ok((csv, self.csv.clone()))
            }
            (Ok(h5), Err(e)) => {
                watch.warn(&format!(
                    "{}: {}; the HDF5 beside it is used, and a copy of the CSV is kept when labels are saved",
                    e.place().map_or_else(|| self.csv.display().to_string(), str::to_owned),
                    e.what()
                ));
                self.damaged.push(self.csv.clone());
                Ok((h5, self.h5.clone()))
            }
            (Err(e), Err(_)) => Err(e),
        }
    }

    fn warn_of_others(&self, project: &Project, video: &str, watch: &dyn Watch) {
        let others = Self::scorers(project, video).unwrap_or_default();
        if !others.is_empty() {
            watch.warn(&format!(
                "{}: holds labels of another scorer only ({}), which are not used; the `scorer` of config.yaml must be in \
                 the file's name",
                crate::files::folder_of(&self.csv).display(),
                others.join(", ")
            ));
        }
    }

    /// Clears away what a killed program left half written here; the caller holds the lock, so nobody else is at it.
    pub fn clear_away(&self) {
        let entries = std::fs::read_dir(crate::files::folder_of(&self.csv)).into_iter().flatten().flatten();
        for path in entries.map(|e| e.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with(".limn-") {
                continue;
            }
            // Pictures under such names are another program's, which may be extracting them.
            let _ = match (path.is_dir(), name.ends_with(".yaml")) {
                (true, _) => std::fs::remove_dir_all(&path),
                (false, true) => std::fs::remove_file(&path),
                (false, false) => Ok(()),
            };
        }
    }

    /// Whether the file of points that are not visible is gone, or could not be read when the files were.
    pub fn lacks_hidden(&self) -> bool {
        !self.hidden.is_file() || self.damaged.contains(&self.hidden)
    }

    /// The state of the files as they lie there now.
    pub fn now(&self) -> Stamp {
        Stamp { csv: stamp_of(&self.csv), h5: stamp_of(&self.h5), hidden: stamp_of(&self.hidden) }
    }

    /// Whether somebody else wrote since they were last read or written.
    pub fn changed(&self) -> bool {
        self.now() != self.stamp
    }

    /// What lies there now is known and may be written over.
    pub fn accept(&mut self, stamp: Stamp) {
        self.stamp = stamp;
    }

    /// When the label files were last written.
    pub fn last_written(&self) -> Option<SystemTime> {
        [self.stamp.csv, self.stamp.h5].into_iter().flatten().map(|s| s.0).max()
    }

    /// Keeps copies of the files as they are, beside them.
    pub fn keep_copies(&self, why: &str) -> Result<Vec<PathBuf>> {
        let there = [&self.csv, &self.h5].into_iter().filter(|p| p.is_file());
        there.map(|path| keep_copy(path, why)).collect()
    }

    /// Keeps copies of all files as they are, beside them.
    pub fn keep_all_copies(&self, why: &str) -> Result<Vec<PathBuf>> {
        let mut kept = self.keep_copies(why)?;
        if self.hidden.is_file() {
            kept.push(keep_copy(&self.hidden, why)?);
        }
        Ok(kept)
    }

    /// Takes both tables away.
    pub fn remove_tables(&self) -> Result<()> {
        for path in [&self.csv, &self.h5].into_iter().filter(|p| p.is_file()) {
            std::fs::remove_file(path).map_err(|e| Error::io("remove the table", path, e))?;
        }
        Ok(())
    }

    /// Writes both tables whole, reads back what was written, and then replaces the old ones; then the points that
    /// are not visible, when these changed. `rows` are all of this folder.
    pub fn save(
        &mut self,
        rows: &Rows,
        hidden_too: bool,
        project: &Project,
        watch: &dyn Watch,
    ) -> Result<()> {
        let mut labels = Labels::new(project.config.scorer.clone(), project.skeleton());
        let places =
            |row: &Vec<Mark>| LabeledFrame { points: row.iter().copied().map(Mark::place).collect() };
        labels.frames = rows.iter().map(|(k, row)| (k.clone(), places(row))).collect();
        self.save_tables(&labels, watch)?;
        let mut file = HiddenFile::read(&self.hidden).ok().flatten().unwrap_or_default();
        let before = file.scorers.clone();
        file.take_from(rows, &labels.scorer, &labels.skeleton);
        // Also when the file says more than was read from it: one that a crash kept from following its tables names points that were
        // placed since, and once such a point is taken away it would be hidden again.
        if hidden_too || before != file.scorers {
            let written = file.write(&self.hidden);
            self.stamp.hidden = stamp_of(&self.hidden);
            written?;
        }
        Ok(())
    }

    /// The tables alone, of any scorer.
    pub fn save_tables(&mut self, labels: &Labels, watch: &dyn Watch) -> Result<()> {
        self.must_be_unchanged()?;
        for path in std::mem::take(&mut self.damaged) {
            let copy = keep_copy(&path, "damaged")?;
            watch.warn(&format!("{}: the damaged file is kept as {}", path.display(), copy.display()));
        }
        #[cfg(not(feature = "hdf5"))]
        if self.h5.exists() {
            watch.warn(&format!(
                "{}: this build of limn cannot write HDF5; DeepLabCut sees the old labels until limn with `hdf5` saves",
                self.h5.display()
            ));
        }
        // Nothing takes the place of the old files before both are whole and read back as written.
        let same = |path: &Path, read: &Labels| match difference(labels, read) {
            None => Ok(()),
            Some((count, first)) => Err(Error::new(
                Kind::Labels,
                format!("{count} pictures read back otherwise than written, first {first}"),
            )
            .at(path.display())
            .mend("check the disk; the edits stay in the journal")),
        };
        let replacing = std::cell::Cell::new(false);
        let write_csv = |csv: &Path| {
            dlc_labels_csv::write(csv, labels)?;
            same(csv, &dlc_labels_csv::read(csv, watch)?)?;
            // Asked again as late as can be: writing and reading back took its time.
            self.must_be_unchanged()?;
            replacing.set(true);
            Ok(())
        };
        #[cfg(feature = "hdf5")]
        let written = crate::files::write_together([&self.h5, &self.csv], |[h5, csv]| {
            crate::formats::dlc_h5::write_labels(h5, labels)?;
            same(h5, &read_h5(h5, watch)?)?;
            write_csv(csv)
        });
        #[cfg(not(feature = "hdf5"))]
        let written = crate::files::write_together([&self.csv], |[csv]| write_csv(csv));
        if replacing.get() {
            // Also after a failure between the two renames: what lies there now is ours.
            (self.stamp.csv, self.stamp.h5) = (stamp_of(&self.csv), stamp_of(&self.h5));
        }
        written
    }

    fn must_be_unchanged(&self) -> Result<()> {
        if !self.changed() {
            return Ok(());
        }
        Err(Error::new(Kind::Exists, "the labels were changed by another program meanwhile")
            .at(self.csv.display())
            .mend("open the project again; your edits are safe in the journal and will be put on top"))
    }
}

/// How many pictures differ, and the first of them. Points are compared by name, to a millionth of a pixel.
fn difference(a: &Labels, b: &Labels) -> Option<(usize, FrameKey)> {
    let points = |l: &Labels, key: &FrameKey| {
        let frame = l.frames.get(key);
        let mut all: Vec<(PointName<'_>, i64, i64)> = Vec::new();
        for (name, p) in l.skeleton.names().zip(frame.map_or(&[][..], |f| &f.points)) {
            #[allow(clippy::cast_possible_truncation)] // pixels in millionths
            if let Some(p) = p {
                all.push((name, (p.x * 1e6).round() as i64, (p.y * 1e6).round() as i64));
            }
        }
        all.sort_unstable();
        all.iter()
            .map(|(n, x, y)| (n.individual.to_owned(), n.bodypart.to_owned(), *x, *y))
            .collect::<Vec<_>>()
    };
    let keys: std::collections::BTreeSet<&FrameKey> = a.frames.keys().chain(b.frames.keys()).collect();
    let differing: Vec<_> = keys.into_iter().filter(|k| points(a, k) != points(b, k)).collect();
    differing.first().map(|first| (differing.len(), (*first).clone()))
}

/// Brings a table into the project's points, by name.
fn fit(
    table: Labels,
    path: &Path,
    project: &Project,
    video: &str,
    lenient: bool,
    watch: &dyn Watch,
) -> Result<Labels> {
    let ours = project.skeleton();
    let theirs = &table.skeleton;
    let fault =
        |what: String, mend: String| Err(Error::new(Kind::Labels, what).at(path.display()).mend(mend));
    if ours.multi_animal != theirs.multi_animal {
        let (is, should) =
            if theirs.multi_animal { ("several animals", "false") } else { ("one animal", "true") };
        return fault(
            format!("the table is of a project with {is}, but `multianimalproject` is {}", ours.multi_animal),
            format!("set `multianimalproject: {should}` in config.yaml, or convert the table"),
        );
    }
    if let Some(extra) = theirs.names().find(|n| ours.index_of(*n).is_none()) {
        let known = |s: &Skeleton, n: PointName<'_>| {
            s.individuals.iter().any(|i| i == n.individual) || n.individual == "single"
        };
        return if known(&ours, extra) {
            fault(
                format!("the table has the body part `{}`, which config.yaml lacks", extra.bodypart),
                format!(
                    "add `- {}` to the body parts in config.yaml, or remove its columns from the table",
                    extra.bodypart
                ),
            )
        } else {
            fault(
                format!("the table has the individual `{}`, which config.yaml lacks", extra.individual),
                format!(
                    "add `- {}` to `individuals` in config.yaml, or rename it in the table",
                    extra.individual
                ),
            )
        };
    }
    let missing: Vec<String> = ours.names().filter(|n| theirs.index_of(*n).is_none()).map(said).collect();
    if !missing.is_empty() {
        let what = format!("the table has no columns for {}, which config.yaml lists", missing.join(", "));
        if !lenient {
            return fault(
                what,
                "open the project in the labeler and save, which adds empty columns, or remove the body part from config.yaml"
                    .into(),
            );
        }
        watch.warn(&format!("{}: {what}; it begins unlabelled", path.display()));
    }
    if table.scorer != project.config.scorer {
        watch.warn(&format!(
            "{}: the table names the scorer `{}`, config.yaml `{}`; DeepLabCut would not find these labels",
            path.display(),
            table.scorer,
            project.config.scorer
        ));
    }
    let places: Vec<Option<usize>> = ours.names().map(|n| theirs.index_of(n)).collect();
    let mut labels = Labels::new(project.config.scorer.clone(), ours);
    let mut moved = 0;
    for (key, frame) in table.frames {
        let key = if key.video == video {
            key
        } else {
            moved += 1;
            FrameKey::new(video, key.image)
        };
        let points = places.iter().map(|p| p.and_then(|i| frame.points.get(i).copied().flatten())).collect();
        let frame = LabeledFrame { points };
        if labels.frames.get(&key).is_some_and(|f| *f != frame) {
            return fault(
                format!("{key} has two rows with different labels"),
                "keep the row that is right and remove the other".into(),
            );
        }
        labels.frames.insert(key, frame);
    }
    if moved > 0 {
        watch.warn(&format!(
            "{}: {moved} rows name another folder than `labeled-data/{video}`, where the table lies; they are taken for \
             pictures of this one",
            path.display()
        ));
    }
    Ok(labels)
}

fn said(name: PointName<'_>) -> String {
    if name.individual.is_empty() {
        format!("`{}`", name.bodypart)
    } else {
        format!("`{}` of `{}`", name.bodypart, name.individual)
    }
}
