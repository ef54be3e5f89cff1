use super::*;
use crate::pose::{Keypoint, Skeleton};
use crate::project::{NewProject, VideoMode};
use crate::watch::Quiet;
use std::path::Path;

fn labels(counts: &[(&str, usize)]) -> Labels {
    let mut labels = Labels::new("Ada", Skeleton::single(["hand"]));
    for (video, n) in counts {
        for i in 0..*n {
            labels.set(&FrameKey::new(*video, format!("img{i:03}.png")), 0, Some(Keypoint::new(1.0, 2.0)));
        }
    }
    labels
}

fn project(dir: &Path) -> Project {
    let new = NewProject::single("reach", "Ada", ["hand"]);
    Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((4, 4)), &Quiet::default()).unwrap()
}

const ASK: SplitRequest =
    SplitRequest { train_fraction: 0.8, shuffles: 2, seed: 3, by_video: false, force: false };

#[test]
fn the_same_request_gives_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = project(dir.path());
    let l = labels(&[("a", 9), ("b", 2)]);
    let splits = Splits::draw(&mut p, &l, &ASK).unwrap();
    let text = std::fs::read_to_string(Splits::path(&p)).unwrap();
    for s in &splits {
        assert_eq!((s.train.len(), s.test.len()), (8, 3));
        let all: BTreeSet<_> = s.train.iter().chain(&s.test).collect();
        assert_eq!(all.len(), 11);
    }
    assert_ne!(splits[0].test, splits[1].test);
    Splits::draw(&mut p, &l, &ASK).unwrap();
    assert_eq!(text, std::fs::read_to_string(Splits::path(&p)).unwrap());
    assert_eq!(p.config.training_fraction, [0.95, 0.8]);
    assert_eq!(Splits::read(&p).unwrap().shuffles, splits);
    // Drawn by ChaCha8, the same on every machine.
    assert_eq!(splits[0].test[0].to_string(), "labeled-data/a/img003.png");
}

#[test]
fn a_trained_shuffle_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = project(dir.path());
    let l = labels(&[("a", 10)]);
    Splits::draw(&mut p, &l, &ASK).unwrap();
    let models = p.models_folder(0.8, 2);
    std::fs::create_dir_all(models.join("snapshot")).unwrap();
    Splits::draw(&mut p, &l, &ASK).unwrap(); // nothing would change
    let other = SplitRequest { seed: 4, ..ASK };
    let before = std::fs::read_to_string(Splits::path(&p)).unwrap();
    assert_eq!(Splits::draw(&mut p, &l, &other).unwrap_err().kind(), Kind::Exists);
    assert_eq!(before, std::fs::read_to_string(Splits::path(&p)).unwrap());
    Splits::draw(&mut p, &l, &SplitRequest { shuffles: 1, ..other.clone() }).unwrap();
    Splits::draw(&mut p, &l, &SplitRequest { force: true, ..other }).unwrap();
}

#[test]
fn one_more_shuffle_stands_beside_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = project(dir.path());
    let old = Splits::draw(&mut p, &labels(&[("a", 10)]), &ASK).unwrap();
    std::fs::create_dir_all(p.models_folder(0.8, 2).join("snapshot")).unwrap();
    let more = labels(&[("a", 10), ("b", 10)]);
    let new = Splits::draw_next(&mut p, &more, &SplitRequest { train_fraction: 0.9, ..ASK }).unwrap();
    assert_eq!((new.shuffle, new.train.len(), new.test.len()), (3, 18, 2));
    let all = Splits::read(&p).unwrap().shuffles;
    assert_eq!(all[..2], old);
    assert_eq!(all[2], new);
    assert_eq!(p.config.training_fraction, [0.95, 0.8, 0.9]);
    assert!(Splits::draw_next(&mut p, &labels(&[]), &ASK).is_err());
}

#[test]
fn labels_that_came_and_went() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = project(dir.path());
    let mut l = labels(&[("a", 10)]);
    let watch = Quiet::default();
    assert!(Splits::load(&p, 1, &l, &watch).unwrap_err().to_string().contains("limn split"));
    Splits::draw(&mut p, &l, &ASK).unwrap();
    l.frames.remove(&FrameKey::new("a", "img000.png"));
    l.set(&FrameKey::new("b", "img5.png"), 0, Some(Keypoint::new(1.0, 1.0)));
    let split = Splits::load(&p, 1, &l, &watch).unwrap();
    assert_eq!(split.train.len() + split.test.len(), 9);
    assert_eq!(watch.warnings().len(), 2);
    assert!(Splits::load(&p, 7, &l, &watch).unwrap_err().to_string().contains("there are: 1, 2"));
}

#[test]
fn too_few_and_senseless() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = project(dir.path());
    let mut kind =
        |n: usize, ask: &SplitRequest| Splits::draw(&mut p, &labels(&[("a", n)]), ask).map(|s| s[0].clone());
    assert_eq!(kind(0, &ASK).unwrap_err().kind(), Kind::Labels);
    assert_eq!(kind(1, &ASK).unwrap_err().kind(), Kind::Labels);
    let two = kind(2, &SplitRequest { train_fraction: 0.01, ..ASK }).unwrap();
    assert_eq!((two.train.len(), two.test.len()), (1, 1));
    for f in [0.0, 1.0, -1.0, f64::NAN, 0.955] {
        assert_eq!(
            kind(9, &SplitRequest { train_fraction: f, ..ASK }).unwrap_err().kind(),
            Kind::Usage,
            "{f}"
        );
    }
    assert_eq!(kind(9, &SplitRequest { shuffles: 0, ..ASK }).unwrap_err().kind(), Kind::Usage);
    assert_eq!(kind(9, &SplitRequest { by_video: true, ..ASK }).unwrap_err().kind(), Kind::Labels);
}

#[test]
fn videos_stay_together() {
    for seed in 0..20 {
        let ask = SplitRequest { by_video: true, seed, shuffles: 1, ..ASK };
        let s =
            drawn(&labels(&[("a", 10), ("b", 10), ("c", 3), ("d", 2), ("e", 30)]), &ask).unwrap().remove(0);
        assert!(!s.test.is_empty() && !s.train.is_empty());
        assert!(s.test.iter().all(|k| s.train.iter().all(|t| t.video != k.video)));
        assert!(s.test.len() <= 20, "{}", s.test.len());
    }
    // Videos that are all larger than the share: not always the same one, and not the largest.
    let large = labels(&[("a", 30), ("b", 40), ("c", 50)]);
    let tested: BTreeSet<usize> = (0..20)
        .map(|seed| {
            let ask = SplitRequest { by_video: true, train_fraction: 0.95, seed, shuffles: 1, ..ASK };
            drawn(&large, &ask).unwrap().remove(0).test.len()
        })
        .collect();
    assert_eq!(tested.into_iter().collect::<Vec<_>>(), [30, 40]);
}

#[test]
fn folds_share_out_all_pictures() {
    let l = labels(&[("a", 10), ("b", 7), ("c", 3), ("d", 2), ("e", 30)]);
    for (folds, by_video) in [(2, false), (5, false), (7, false), (52, false), (2, true), (5, true)] {
        let ask = FoldsRequest { folds, seed: 4, by_video, force: false };
        let splits = folded(&l, &ask).unwrap();
        assert_eq!(splits.len(), folds as usize);
        let mut tested: Vec<_> = splits.iter().flat_map(|s| s.test.clone()).collect();
        tested.sort();
        assert_eq!(tested, labelled(&l).unwrap(), "each picture is tested once");
        for s in &splits {
            assert_eq!(s.train.len() + s.test.len(), 52);
            assert!(!s.test.is_empty() && s.test.iter().all(|k| !s.train.contains(k)));
            assert!(!by_video || s.test.iter().all(|k| s.train.iter().all(|t| t.video != k.video)));
            assert!(by_video || s.test.len().abs_diff(52 / folds as usize) <= 1);
        }
        assert_eq!(splits, folded(&l, &ask).unwrap());
    }
    let wrong = |folds, by_video| {
        folded(&l, &FoldsRequest { folds, seed: 0, by_video, force: false }).unwrap_err().kind()
    };
    assert_eq!(
        (wrong(1, false), wrong(53, false), wrong(6, true)),
        (Kind::Usage, Kind::Labels, Kind::Labels)
    );
}

#[test]
fn folds_are_kept_under_names_as_deeplabcut_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut p = project(dir.path());
    let l = labels(&[("a", 9)]);
    let ask = FoldsRequest { folds: 3, seed: 0, by_video: false, force: false };
    let folds = Splits::draw_folds(&mut p, &l, &ask).unwrap();
    assert_eq!(Splits::read(&p).unwrap().shuffles, folds);
    assert_eq!((folds[0].train_fraction, folds[0].folds), (0.67, 3));
    assert!(p.shuffle_name(0.67, 3).ends_with("trainset67shuffle3"), "{}", p.shuffle_name(0.67, 3));
    assert_eq!(p.config.training_fraction, [0.95, 0.67]);
    std::fs::create_dir_all(p.models_folder(0.67, 2).join("snapshot")).unwrap();
    let other = FoldsRequest { seed: 1, ..ask };
    assert_eq!(Splits::draw_folds(&mut p, &l, &other).unwrap_err().kind(), Kind::Exists);
    assert!(!Splits::videos_to_spare(&labels(&[("a", 9), ("b", 9)])));
    assert!(Splits::videos_to_spare(&labels(&[("a", 1), ("b", 1), ("c", 1)])));
}
