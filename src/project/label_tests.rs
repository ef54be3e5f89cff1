use super::*;
use crate::picture::Picture;
use crate::project::{NewProject, Severity, VideoMode};
use crate::watch::Quiet;
use std::path::{Path, PathBuf};

fn project(dir: &Path) -> Project {
    let new = NewProject::single("reach", "Ada", ["hand", "elbow"]);
    Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((4, 4)), &Quiet::default()).unwrap()
}

fn key(n: u32) -> FrameKey {
    FrameKey::new("m1", format!("img{n:02}.png"))
}

fn csv(p: &Project) -> PathBuf {
    p.labeled_data("m1").join("CollectedData_Ada.csv")
}

const TABLE: &str = "scorer,,,Ada,Ada,Ada,Ada\nbodyparts,,,elbow,elbow,hand,hand\ncoords,,,x,y,x,y\n\
                     labeled-data,m1,img01.png,1.5,2.25,,\nlabeled-data,m1,img02.png,3.0,4.0,5.0,6.0\n";

fn put(p: &Project, table: &str) {
    std::fs::create_dir_all(p.labeled_data("m1")).unwrap();
    std::fs::write(csv(p), table).unwrap();
}

#[test]
fn a_point_that_was_taken_away_is_not_hidden_again() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    let watch = Quiet::default();
    let hidden = p.labeled_data("m1").join("not-visible.yaml");
    let edit = |mark: Mark| {
        let mut store = LabelStore::edit(&p, &watch).unwrap();
        store.set_all(&[PointEdit::new(key(1), 0, mark)]).unwrap();
        store.flush(&watch).unwrap();
    };
    edit(Mark::Hidden);
    let old = std::fs::read(&hidden).unwrap();
    edit(Mark::At(Keypoint::new(1.0, 2.0)));
    // The crash: the tables have the place already, the other file does not know yet.
    std::fs::write(&hidden, &old).unwrap();
    let is = |store: LabelStore| store.mark(&key(1), 0);
    assert_eq!(is(LabelStore::read(&p, &watch).unwrap()), Mark::At(Keypoint::new(1.0, 2.0)));
    edit(Mark::Unlabeled);
    assert_eq!(is(LabelStore::read(&p, &watch).unwrap()), Mark::Unlabeled);
}

#[test]
fn edits_survive_a_crash_and_a_save() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    put(&p, TABLE);
    let watch = Quiet::default();
    let mut store = LabelStore::edit(&p, &watch).unwrap();
    assert_eq!(
        store.labels().frames[&key(1)].points,
        [None, Some(Keypoint::new(1.5, 2.25))],
        "matched by name"
    );
    let exact = Keypoint::new(0.1 + 0.2, 1.0 / 3.0);
    store.set(&key(1), 0, Some(exact)).unwrap();
    store.set(&key(2), 1, None).unwrap();
    store.clear_frame(&key(3)).unwrap();
    assert!(store.set(&key(1), 2, None).is_err());
    assert!(store.set(&key(1), 0, Some(Keypoint::new(f64::NAN, 1.0))).is_err());
    assert!(store.set(&FrameKey::new("../m1", "a.png"), 0, None).is_err());
    let meant = store.labels().clone();
    drop(store); // the crash

    let looked = LabelStore::read(&p, &watch).unwrap();
    assert_eq!(*looked.labels(), meant);
    assert!(watch.warnings().is_empty());
    let mut store = LabelStore::edit(&p, &watch).unwrap();
    assert_eq!(*store.labels(), meant);
    assert!(watch.warnings()[0].contains("of 3 pictures are recovered"), "{:?}", watch.warnings());
    assert_eq!(store.unsaved(), 3);
    assert_eq!(store.flush(&watch).unwrap(), 1);
    assert_eq!((store.unsaved(), store.flush(&watch).unwrap()), (0, 0));
    assert!(!p.labeled_data("m1").join("labels.journal").exists());
    drop(store);
    let store = LabelStore::read(&p, &watch).unwrap();
    assert_eq!(*store.labels(), meant);
}

#[test]
fn a_second_editor_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    let watch = Quiet::default();
    let first = LabelStore::edit(&p, &watch).unwrap();
    let e = LabelStore::edit(&p, &watch).unwrap_err();
    assert_eq!(e.kind(), Kind::Exists);
    assert!(e.what().contains(&std::process::id().to_string()), "{e}");
    let mut looker = LabelStore::read(&p, &watch).unwrap();
    assert_eq!(looker.set(&key(1), 0, None).unwrap_err().kind(), Kind::Usage);
    drop(first);
    LabelStore::edit(&p, &watch).unwrap();
}

#[test]
fn what_another_program_wrote_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    put(&p, TABLE);
    let watch = Quiet::default();
    let mut store = LabelStore::edit(&p, &watch).unwrap();
    store.set(&key(1), 0, Some(Keypoint::new(9.0, 9.0))).unwrap();
    let theirs = format!("{TABLE}labeled-data,m1,img05.png,7.0,7.0,,\n");
    put(&p, &theirs);
    assert_eq!(store.flush(&watch).unwrap_err().kind(), Kind::Exists);
    assert_eq!(std::fs::read_to_string(csv(&p)).unwrap(), theirs);
    drop(store);
    let mut store = LabelStore::edit(&p, &watch).unwrap();
    store.flush(&watch).unwrap();
    assert_eq!(store.labels().frames.len(), 3);
    assert_eq!(store.labels().frames[&key(1)].points[0], Some(Keypoint::new(9.0, 9.0)));
}

/// Writes a table as another program, while this one reads back what it has written.
struct Meddler(Mutex<Option<PathBuf>>);

impl Watch for Meddler {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn status(&self, _: &str) {}
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn end(&self) {}
    fn stopped(&self) -> bool {
        if let Some(path) = self.0.lock().unwrap().take() {
            std::fs::write(path, TABLE.replace("1.5", "8.5")).unwrap();
        }
        false
    }
}

#[test]
fn what_is_written_while_saving_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    put(&p, TABLE);
    let mut store = LabelStore::edit(&p, &Quiet::default()).unwrap();
    store.set(&key(1), 0, Some(Keypoint::new(9.0, 9.0))).unwrap();
    let meddler = Meddler(Mutex::new(Some(csv(&p))));
    assert_eq!(store.flush(&meddler).unwrap_err().kind(), Kind::Exists);
    assert!(meddler.0.lock().unwrap().is_none());
    assert_eq!(std::fs::read_to_string(csv(&p)).unwrap(), TABLE.replace("1.5", "8.5"));
    assert_eq!((store.unsaved(), store.flush(&meddler).unwrap_err().kind()), (1, Kind::Exists));
}

#[test]
fn tables_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    let fault = |table: &str| {
        put(&p, table);
        let e = LabelStore::read(&p, &Quiet::default()).unwrap_err();
        assert!(e.kind() == Kind::Labels && e.how_to_mend().is_some() && e.place().is_some(), "{e}");
        assert_eq!(std::fs::read_to_string(csv(&p)).unwrap(), table);
        e.to_string()
    };
    assert!(
        fault(&TABLE.replace("hand", "thumb")).contains("the body part `thumb`, which config.yaml lacks")
    );
    let narrow = "scorer,,,Ada,Ada\nbodyparts,,,hand,hand\ncoords,,,x,y\nlabeled-data,m1,img01.png,1.0,2.0\n";
    assert!(fault(narrow).contains("no columns for `elbow`"));
    fault(&TABLE.replace("1.5", "wide"));
    fault("nonsense\n");
    fault("");
    // To edit, a new body part begins unlabelled.
    put(&p, narrow);
    let watch = Quiet::default();
    let store = LabelStore::edit(&p, &watch).unwrap();
    assert_eq!(store.labels().frames[&key(1)].points, [Some(Keypoint::new(1.0, 2.0)), None]);
    assert_eq!(watch.warnings().len(), 1);
    drop(store);
    // A folder that was renamed, and one of somebody else.
    put(&p, &TABLE.replace("m1", "old"));
    let store = LabelStore::read(&p, &watch).unwrap();
    assert_eq!(store.labels().frames.len(), 2);
    assert!(store.labels().frames.contains_key(&key(1)));
    std::fs::rename(csv(&p), p.labeled_data("m1").join("CollectedData_Bob.csv")).unwrap();
    let watch = Quiet::default();
    assert!(LabelStore::read(&p, &watch).unwrap().labels().frames.is_empty());
    assert!(watch.warnings()[0].contains("another scorer"), "{:?}", watch.warnings());
}

#[test]
fn check_finds_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let p = project(dir.path());
    let find =
        |p: &Project| LabelStore::read(p, &Quiet::default()).unwrap().check(&Quiet::default()).unwrap();
    assert!(find(&p).iter().any(|x| x.severity == Severity::Error && x.what == "no picture is labelled"));
    put(
        &p,
        "scorer,,,Ada,Ada,Ada,Ada\nbodyparts,,,hand,hand,elbow,elbow\ncoords,,,x,y,x,y\n\
         labeled-data,m1,img01.png,1.5,2.5,,\nlabeled-data,m1,img1.png,30.0,4.0,,\n\
         labeled-data,m1,img02.png,3.0,4.0,,\nlabeled-data,m1,img03.png,3.0,4.0,,\n",
    );
    for name in ["img01.png", "img1.png"] {
        Picture::new(20, 10).save_png(&p.labeled_data("m1").join(name)).unwrap();
    }
    std::fs::write(p.labeled_data("m1").join("img03.png"), b"no picture").unwrap();
    let found = find(&p);
    let has = |severity, place: &str, what: &str| {
        let hit =
            found.iter().any(|x| x.severity == severity && x.place.contains(place) && x.what.contains(what));
        assert!(hit, "{place}: {what} in {found:#?}");
    };
    has(Severity::Error, "m1/img02.png", "gone");
    has(Severity::Error, "m1/img03.png", "picture");
    has(Severity::Warning, "m1/img1.png", "outside");
    has(Severity::Warning, "img", "labelled twice");
    has(Severity::Warning, "elbow", "never labelled");
    has(Severity::Note, "labeled-data/m1", "video_sets");
    assert!(found.is_sorted_by_key(|x| x.severity));
}

#[cfg(feature = "hdf5")]
mod both_files {
    use super::*;
    use std::time::{Duration, SystemTime};

    /// A project whose two label files agree, and the paths of them.
    fn saved(dir: &Path) -> (Project, PathBuf, PathBuf) {
        let p = project(dir);
        put(&p, TABLE);
        let mut store = LabelStore::edit(&p, &Quiet::default()).unwrap();
        store.set(&key(1), 0, Some(Keypoint::new(8.0, 8.0))).unwrap();
        store.flush(&Quiet::default()).unwrap();
        let (csv, h5) = (csv(&p), p.labeled_data("m1").join("CollectedData_Ada.h5"));
        assert!(h5.exists());
        (p, csv, h5)
    }

    fn first(p: &Project, watch: &Quiet) -> Option<Keypoint> {
        LabelStore::read(p, watch).unwrap().labels().frames[&key(1)].points[0]
    }

    #[test]
    fn the_newer_csv_or_else_the_hdf5() {
        let dir = tempfile::tempdir().unwrap();
        let (p, csv, _) = saved(dir.path());
        let watch = Quiet::default();
        assert_eq!(first(&p, &watch), Some(Keypoint::new(8.0, 8.0)));
        assert!(watch.warnings().is_empty(), "{:?}", watch.warnings());
        let text = std::fs::read_to_string(&csv).unwrap();
        std::fs::write(&csv, text.replace("8.0,8.0", "9.0,9.0")).unwrap();
        for (age, expected, says) in [(60, 8.0, "HDF5 is used"), (0, 9.0, "CSV is used")] {
            let watch = Quiet::default();
            let time = SystemTime::now() + Duration::from_secs(30) - Duration::from_secs(age);
            File::options().write(true).open(&csv).unwrap().set_modified(time).unwrap();
            assert_eq!(first(&p, &watch), Some(Keypoint::new(expected, expected)));
            let said = watch.warnings().join("\n");
            assert!(
                said.contains(says) && said.contains("differ in 1 pictures, first labeled-data/m1/img01"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_damaged_hdf5_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (p, csv, h5) = saved(dir.path());
        let whole = std::fs::read(&h5).unwrap();
        let torn = &whole[..whole.len() / 3];
        std::fs::write(&h5, torn).unwrap();
        let watch = Quiet::default();
        let mut store = LabelStore::edit(&p, &watch).unwrap();
        assert!(watch.warnings()[0].contains("damaged"), "{:?}", watch.warnings());
        store.set(&key(2), 0, None).unwrap();
        assert_eq!(std::fs::read(&h5).unwrap(), torn, "nothing is overwritten before saving");
        store.flush(&watch).unwrap();
        let kept = p.labeled_data("m1").join("CollectedData_Ada.h5.damaged");
        assert_eq!(std::fs::read(kept).unwrap(), torn);
        drop(store);
        // The same for the CSV; with both damaged there is nothing to go on from.
        std::fs::write(&csv, "rubbish").unwrap();
        assert_eq!(first(&p, &watch), Some(Keypoint::new(8.0, 8.0)));
        std::fs::write(&h5, torn).unwrap();
        assert!(LabelStore::edit(&p, &watch).is_err());
        assert_eq!(std::fs::read_to_string(&csv).unwrap(), "rubbish");
    }
}

/// The real project, copied; `None` where the data are not there.
fn openfield() -> Option<(tempfile::TempDir, Project)> {
    let data = std::env::var_os("LIMN_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from)
        .join("openfield");
    if !data.is_dir() {
        eprintln!("skipped: no {}", data.display());
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("openfield");
    let frames = folder.join("labeled-data/m4s1");
    std::fs::create_dir_all(&frames).unwrap();
    std::fs::copy(data.join("config.yaml"), folder.join("config.yaml")).unwrap();
    for entry in std::fs::read_dir(data.join("labeled-data/m4s1")).unwrap() {
        let entry = entry.unwrap();
        std::fs::write(frames.join(entry.file_name()), std::fs::read(entry.path()).unwrap()).unwrap();
    }
    Project::open(&folder, &Quiet::default()).ok().map(|p| (dir, p))
}

#[test]
fn a_real_project_of_an_old_layout() {
    let Some((_dir, mut p)) = openfield() else { return };
    let before = std::fs::read_to_string(p.config.path()).unwrap();
    let watch = Quiet::default();
    let mut store = LabelStore::edit(&p, &watch).unwrap();
    // The data come with an HDF5 file, which a build without that feature passes over, saying so.
    assert_eq!(watch.warnings().len(), usize::from(cfg!(not(feature = "hdf5"))), "{:?}", watch.warnings());
    assert_eq!(store.labels().labeled_frames().count(), 116);
    let found = store.check(&watch).unwrap();
    assert!(found.iter().all(|x| x.severity != Severity::Error), "{found:#?}");

    // Two labels swapped by mistake are found, and the others stay unsuspected.
    let known = found.len();
    let k = FrameKey::new("m4s1", "img0010.png");
    let (left, right) = (store.labels().frames[&k].points[1], store.labels().frames[&k].points[2]);
    store.set_all(&[PointEdit::new(k.clone(), 1, right), PointEdit::new(k, 2, left)]).unwrap();
    let found = store.check(&watch).unwrap();
    assert!(
        found.iter().any(|x| x.place.ends_with("m4s1/img0010.png") && x.what.contains("other way round"))
    );
    assert_eq!(found.len(), known + 1, "{found:#?}");
    assert!(known <= 5, "{found:#?}");
    store.flush(&watch).unwrap();

    // Saving the configuration changes the placeholder path and nothing else.
    p.config.save().unwrap();
    let after = std::fs::read_to_string(p.config.path()).unwrap();
    let differing: Vec<_> = before.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    assert!(differing[0].1.starts_with("project_path: /") && before.lines().count() == after.lines().count());
}
