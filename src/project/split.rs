//! Which labelled pictures a model is trained on and which it is tested on, fixed once and kept with the models.

use super::Project;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::pose::{FrameKey, Labels};
use crate::watch::Watch;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The newest form of the file that this program knows.
const SCHEMA: u32 = 1;

/// One shuffle: its pictures for training and testing.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The shuffle's number, from 1.
    pub shuffle: u32,
    /// The seed it was drawn with.
    pub seed: u64,
    /// The fraction of pictures that was to be trained on.
    pub train_fraction: f64,
    /// Whether whole videos were kept together.
    pub by_video: bool,
    /// How many shuffles it was drawn together with whose test sets share out the pictures, itself among them; 0 for one
    /// drawn by itself.
    pub folds: u32,
    /// SHA-256 of the keys of all pictures that were labelled then.
    pub labels_hash: String,
    /// Pictures to train on, sorted.
    pub train: Vec<FrameKey>,
    /// Pictures to test on, sorted.
    pub test: Vec<FrameKey>,
}

/// What `limn split` is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitRequest {
    /// Fraction of the labelled pictures to train on, above 0 and below 1, at most two decimals.
    pub train_fraction: f64,
    /// How many shuffles, numbered from 1.
    pub shuffles: u32,
    /// Shuffle `k` is drawn with `seed + k`.
    pub seed: u64,
    /// Keep all pictures of a video on one side.
    pub by_video: bool,
    /// Replace shuffles that a model was trained on.
    pub force: bool,
}

/// What `limn split --folds` is asked for: shuffles 1 to `folds`, in whose test sets every labelled picture is once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldsRequest {
    /// How many, from 2.
    pub folds: u32,
    /// Seed of the random choice.
    pub seed: u64,
    /// Keep all pictures of a video on one side.
    pub by_video: bool,
    /// Replace shuffles that a model was trained on.
    pub force: bool,
}

/// With so many labelled videos a split keeps them whole unless told otherwise.
///
/// Neighbouring frames look alike, so that a test on frames of videos that were trained on flatters. With only two
/// videos one half of what there is to see could not be learnt, and the test would measure that.
const VIDEOS_TO_SPARE: usize = 3;

/// All shuffles of an iteration, as `limn-models/iteration-<i>/splits.yaml` holds them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Splits {
    /// By shuffle number.
    pub shuffles: Vec<Split>,
}

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    program: String,
    shuffles: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    shuffle: u32,
    seed: u64,
    train_fraction: f64,
    by_video: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    folds: u32,
    labels_hash: String,
    train: Vec<String>,
    test: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// SHA-256 of the sorted keys, as lower-case hex.
#[must_use]
fn hash_of<'a>(keys: impl Iterator<Item = &'a FrameKey>) -> String {
    let mut sha = Sha256::new();
    for key in keys {
        sha.update(format!("{key}\n"));
    }
    sha.finalize().iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

impl Splits {
    /// Where the splits of the project's current iteration stand.
    #[must_use]
    pub fn path(project: &Project) -> PathBuf {
        project.iteration_folder().join("splits.yaml")
    }

    /// Reads the splits of the current iteration; none when there is no file yet.
    ///
    /// # Errors
    /// [`Kind::Config`] when the file cannot be used.
    pub fn read(project: &Project) -> Result<Self> {
        crate::watch::may_wait("reading splits");
        let path = Self::path(project);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Error::io("read the splits", &path, e)),
        };
        let broken = |what: String, line: Option<usize>| {
            let line = line.map(|l| format!(":{l}")).unwrap_or_default();
            Error::new(Kind::Config, what)
                .at(format!("{}{line}", path.display()))
                .mend("move the file away and run `limn split` with the old seed and fraction again")
        };
        let file: File = serde_yaml::from_str(&text)
            .map_err(|e| broken(format!("the splits cannot be read: {e}"), e.location().map(|l| l.line())))?;
        if file.schema > SCHEMA {
            return Err(broken(
                format!("the splits have schema {}, and this limn knows up to {SCHEMA}", file.schema),
                None,
            )
            .mend("use a newer limn for this project"));
        }
        let mut splits = Self::default();
        for e in file.shuffles {
            let keys = |list: &[String]| -> Result<Vec<FrameKey>> {
                list.iter()
                    .map(|key| match key.split('/').collect::<Vec<_>>()[..] {
                        ["labeled-data", video, image] => Ok(FrameKey::new(video, image)),
                        _ => Err(broken(format!("`{key}` names no labelled picture"), None)),
                    })
                    .collect()
            };
            if splits.shuffles.iter().any(|s| s.shuffle == e.shuffle) {
                return Err(broken(format!("shuffle {} is there twice", e.shuffle), None));
            }
            let (train, test) = (keys(&e.train)?, keys(&e.test)?);
            if let Some(both) = test.iter().find(|k| train.contains(k)) {
                return Err(broken(format!("shuffle {} has {both} in train and in test", e.shuffle), None));
            }
            splits.shuffles.push(Split {
                shuffle: e.shuffle,
                seed: e.seed,
                train_fraction: e.train_fraction,
                by_video: e.by_video,
                folds: e.folds,
                labels_hash: e.labels_hash,
                train,
                test,
            });
        }
        splits.shuffles.sort_by_key(|s| s.shuffle);
        Ok(splits)
    }

    fn write(&self, project: &Project) -> Result<()> {
        let path = Self::path(project);
        let keys = |list: &[FrameKey]| list.iter().map(ToString::to_string).collect();
        let file = File {
            schema: SCHEMA,
            program: format!("limn {}", crate::VERSION),
            shuffles: self
                .shuffles
                .iter()
                .map(|s| Entry {
                    shuffle: s.shuffle,
                    seed: s.seed,
                    train_fraction: s.train_fraction,
                    by_video: s.by_video,
                    folds: s.folds,
                    labels_hash: s.labels_hash.clone(),
                    train: keys(&s.train),
                    test: keys(&s.test),
                })
                .collect(),
        };
        let text = serde_yaml::to_string(&file).map_err(|e| {
            Error::new(Kind::Config, format!("cannot write the splits: {e}")).at(path.display())
        })?;
        files::make_folder(&project.iteration_folder())?;
        files::write_whole(&path, text.as_bytes())
    }

    /// Draws the shuffles asked for and stores them; the fraction is added to `TrainingFraction` of `config.yaml`.
    /// The same request on the same labels gives the same file. Other shuffles of the file stay.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a fraction or number that makes no sense, [`Kind::Labels`] when fewer than two pictures are
    /// labelled, [`Kind::Exists`] when a model was trained on a shuffle that would change.
    pub fn draw(project: &mut Project, labels: &Labels, request: &SplitRequest) -> Result<Vec<Split>> {
        let new = drawn(labels, request).map_err(|e| e.at(project.root().display()))?;
        Self::replace(project, new, request.train_fraction, request.force)
    }

    /// Draws shuffles for cross-validation: every labelled picture (or every video) is in the test set of exactly one of
    /// them. Shuffles 1 to `folds` are replaced, others stay.
    ///
    /// # Errors
    /// As [`Splits::draw`]; [`Kind::Labels`] too when there are fewer pictures (or videos) than folds.
    pub fn draw_folds(project: &mut Project, labels: &Labels, request: &FoldsRequest) -> Result<Vec<Split>> {
        let new = folded(labels, request).map_err(|e| e.at(project.root().display()))?;
        let fraction = new.first().map_or(0.5, |s| s.train_fraction);
        Self::replace(project, new, fraction, request.force)
    }

    /// Whether whole videos should be kept together when nobody says: from three labelled videos on.
    #[must_use]
    pub fn videos_to_spare(labels: &Labels) -> bool {
        videos_of(labels.labeled_frames().map(|(k, _)| k)).len() >= VIDEOS_TO_SPARE
    }

    /// How many videos have labelled pictures.
    #[must_use]
    pub fn labeled_videos(labels: &Labels) -> usize {
        videos_of(labels.labeled_frames().map(|(k, _)| k)).len()
    }

    /// Puts new shuffles in the place of those with their numbers.
    fn replace(
        project: &mut Project,
        new: Vec<Split>,
        train_fraction: f64,
        force: bool,
    ) -> Result<Vec<Split>> {
        let mut splits = Self::read(project)?;
        for split in &new {
            let old = splits.shuffles.iter().position(|s| s.shuffle == split.shuffle);
            let Some(i) = old else {
                splits.shuffles.push(split.clone());
                continue;
            };
            let was = &splits.shuffles[i];
            let models = project.models_folder(was.train_fraction, was.shuffle);
            let trained = std::fs::read_dir(&models).is_ok_and(|mut d| d.next().is_some());
            if trained && was != split && !force {
                return Err(Error::new(
                    Kind::Exists,
                    format!("a model was trained on shuffle {}, whose split would change", split.shuffle),
                )
                .at(models.display())
                .mend("raise `iteration` in config.yaml to begin a new round, or give `--force` if the model is not needed"));
            }
            splits.shuffles[i] = split.clone();
        }
        splits.shuffles.sort_by_key(|s| s.shuffle);
        splits.store(project, train_fraction)?;
        Ok(new)
    }

    /// Draws one shuffle more, beside those that are there and with the next number, and stores it: after new pictures
    /// were labelled, or to try other ones. `request.shuffles` has no meaning here.
    ///
    /// # Errors
    /// As [`Splits::draw`].
    pub fn draw_next(project: &mut Project, labels: &Labels, request: &SplitRequest) -> Result<Split> {
        let mut splits = Self::read(project)?;
        let shuffles = splits.shuffles.iter().map(|s| s.shuffle).max().unwrap_or(0).saturating_add(1);
        let request = SplitRequest { shuffles, ..request.clone() };
        let mut new = drawn(labels, &request).map_err(|e| e.at(project.root().display()))?;
        let Some(split) = new.pop() else {
            return Err(Error::new(Kind::Usage, "no shuffle was drawn"));
        };
        splits.shuffles.push(split.clone());
        splits.store(project, request.train_fraction)?;
        Ok(split)
    }

    /// A split that was drawn elsewhere or before, under the next free number; [`Splits::adopt`] stores it.
    ///
    /// # Errors
    /// When `splits.yaml` cannot be read.
    pub fn numbered(project: &Project, split: &Split) -> Result<Split> {
        let last = Self::read(project)?.shuffles.iter().map(|s| s.shuffle).max();
        Ok(Split { shuffle: last.unwrap_or(0).saturating_add(1), ..split.clone() })
    }

    /// Stores a split that [`Splits::numbered`] gave.
    ///
    /// # Errors
    /// As [`Splits::draw`]; when its number was taken meanwhile.
    pub fn adopt(project: &mut Project, split: &Split) -> Result<()> {
        let mut splits = Self::read(project)?;
        if splits.shuffles.iter().any(|s| s.shuffle == split.shuffle) {
            return Err(Error::new(Kind::Exists, format!("there is a shuffle {} by now", split.shuffle))
                .at(Self::path(project).display())
                .mend("run it again"));
        }
        splits.shuffles.push(split.clone());
        splits.store(project, split.train_fraction)
    }

    fn store(&self, project: &mut Project, train_fraction: f64) -> Result<()> {
        let known = |f: &f64| (f - train_fraction).abs() < 1e-9;
        if !project.config.training_fraction.iter().any(known) {
            project.config.training_fraction.push(train_fraction);
        }
        self.write(project)?;
        project.config.save()
    }

    /// The split of one shuffle, as far as its pictures are still labelled.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no such shuffle, [`Kind::Labels`] when none of its pictures is left. Pictures
    /// that are gone and pictures labelled since are warnings.
    pub fn load(project: &Project, shuffle: u32, labels: &Labels, watch: &dyn Watch) -> Result<Split> {
        let all = Self::read(project)?;
        let numbers: Vec<String> = all.shuffles.iter().map(|s| s.shuffle.to_string()).collect();
        let Some(split) = all.shuffles.into_iter().find(|s| s.shuffle == shuffle) else {
            let (what, mend) = if numbers.is_empty() {
                ("no train/test split was made yet".to_owned(), "make one with `limn split`".to_owned())
            } else {
                (format!("there is no shuffle {shuffle}"), format!("there are: {}", numbers.join(", ")))
            };
            return Err(Error::new(Kind::NotFound, what).at(Self::path(project).display()).mend(mend));
        };
        Self::still_labelled(project, split, labels, watch)
    }

    /// What is left of a split whose pictures may no longer be labelled.
    ///
    /// # Errors
    /// As [`Splits::load`].
    pub fn still_labelled(
        project: &Project,
        mut split: Split,
        labels: &Labels,
        watch: &dyn Watch,
    ) -> Result<Split> {
        let shuffle = split.shuffle;
        let now: BTreeSet<&FrameKey> = labels.labeled_frames().map(|(k, _)| k).collect();
        let before = split.train.len() + split.test.len();
        split.train.retain(|k| now.contains(k));
        split.test.retain(|k| now.contains(k));
        let left = split.train.len() + split.test.len();
        if left < before {
            watch.warn(&format!(
                "{} pictures of shuffle {shuffle} are no longer labelled and are left out",
                before - left
            ));
        }
        if now.len() > left {
            watch.warn(&format!(
                "{} pictures were labelled after shuffle {shuffle} was made and are not used; run `limn split` to use them",
                now.len() - left
            ));
        }
        if split.train.is_empty() {
            return Err(Error::new(
                Kind::Labels,
                format!("no picture is left to train shuffle {shuffle} on"),
            )
            .at(Self::path(project).display())
            .mend("run `limn split` again"));
        }
        Ok(split)
    }
}

fn drawn(labels: &Labels, request: &SplitRequest) -> Result<Vec<Split>> {
    let usage = |what: String, mend: &str| Err(Error::new(Kind::Usage, what).mend(mend));
    let fraction = request.train_fraction;
    if !(fraction > 0.0 && fraction < 1.0) {
        return usage(
            format!("the train fraction {fraction} leaves nothing to train or nothing to test on"),
            "give a fraction above 0 and below 1, such as 0.95",
        );
    }
    // It becomes part of folder names as a percentage.
    if ((fraction * 100.0).round() / 100.0 - fraction).abs() > 1e-9 {
        return usage(
            format!("the train fraction {fraction} has more than two decimals"),
            "round it, such as 0.95",
        );
    }
    if request.shuffles == 0 || request.shuffles > 1000 {
        return usage(format!("{} shuffles cannot be made", request.shuffles), "ask for 1 to 1000");
    }
    let keys = labelled(labels)?;
    let n = keys.len();
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts
    let want = ((n as f64 * fraction) as usize).clamp(1, n - 1);
    let labels_hash = hash_of(keys.iter());
    (1..=request.shuffles)
        .map(|shuffle| {
            let mut rng = ChaCha8Rng::seed_from_u64(request.seed.wrapping_add(u64::from(shuffle)));
            let (mut train, mut test) = if request.by_video {
                by_video(&keys, want, &mut rng)?
            } else {
                by_frame(&keys, want, &mut rng)
            };
            train.sort();
            test.sort();
            Ok(Split {
                shuffle,
                seed: request.seed,
                train_fraction: fraction,
                by_video: request.by_video,
                folds: 0,
                labels_hash: labels_hash.clone(),
                train,
                test,
            })
        })
        .collect()
}

/// The keys of all labelled pictures, sorted; at least two.
fn labelled(labels: &Labels) -> Result<Vec<FrameKey>> {
    let keys: Vec<FrameKey> = labels.labeled_frames().map(|(k, _)| k.clone()).collect();
    if keys.len() > 1 {
        return Ok(keys);
    }
    let what = if keys.is_empty() { "no picture is labelled" } else { "only one picture is labelled" };
    Err(Error::new(Kind::Labels, format!("{what}, and a split needs one to train and one to test on"))
        .mend("label more pictures with `limn label`, in DeepLabCut's labeller or any program that writes its table; 20 to 200 are usual"))
}

fn videos_of<'a>(keys: impl Iterator<Item = &'a FrameKey>) -> BTreeSet<&'a str> {
    keys.map(|k| k.video.as_str()).collect()
}

fn folded(labels: &Labels, request: &FoldsRequest) -> Result<Vec<Split>> {
    let folds = request.folds as usize;
    if !(2..=1000).contains(&folds) {
        return Err(
            Error::new(Kind::Usage, format!("{folds} folds cannot be made")).mend("ask for 2 to 1000")
        );
    }
    let keys = labelled(labels)?;
    let mut rng = ChaCha8Rng::seed_from_u64(request.seed);
    // What stays together: the pictures of a video, or one picture. By size, so that the folds become even.
    let mut groups: Vec<Vec<&FrameKey>> = if request.by_video {
        let of = |video: &str| keys.iter().filter(|k| k.video == video).collect();
        videos_of(keys.iter()).into_iter().map(of).collect()
    } else {
        keys.iter().map(|k| vec![k]).collect()
    };
    if groups.len() < folds {
        let what = if request.by_video { "videos with labelled pictures" } else { "labelled pictures" };
        return Err(Error::new(Kind::Labels, format!("{} {what} make no {folds} folds", groups.len())).mend(
            if request.by_video {
                "ask for fewer folds, or give `--by-frame`"
            } else {
                "ask for fewer folds"
            },
        ));
    }
    groups.shuffle(&mut rng);
    groups.sort_by_key(|g| std::cmp::Reverse(g.len()));
    let mut tests: Vec<Vec<FrameKey>> = vec![Vec::new(); folds];
    for group in groups {
        // The emptiest fold, the first of several.
        if let Some(test) = tests.iter_mut().min_by_key(|t| t.len()) {
            test.extend(group.into_iter().cloned());
        }
    }
    // It becomes part of folder names as a percentage, as DeepLabCut has it.
    let train_fraction = (100.0 * (1.0 - 1.0 / f64::from(request.folds))).round().clamp(1.0, 99.0) / 100.0;
    let labels_hash = hash_of(keys.iter());
    Ok(tests
        .into_iter()
        .zip(1..)
        .map(|(mut test, shuffle)| {
            test.sort();
            let train = keys.iter().filter(|k| test.binary_search(k).is_err()).cloned().collect();
            Split {
                shuffle,
                seed: request.seed,
                train_fraction,
                by_video: request.by_video,
                folds: request.folds,
                labels_hash: labels_hash.clone(),
                train,
                test,
            }
        })
        .collect())
}

fn by_frame(keys: &[FrameKey], want: usize, rng: &mut ChaCha8Rng) -> (Vec<FrameKey>, Vec<FrameKey>) {
    let mut train = keys.to_vec();
    train.shuffle(rng);
    let test = train.split_off(want);
    (train, test)
}

/// Videos in random order go to the test side where that brings it nearer to its share; at least one on each side.
fn by_video(keys: &[FrameKey], want: usize, rng: &mut ChaCha8Rng) -> Result<(Vec<FrameKey>, Vec<FrameKey>)> {
    let videos = videos_of(keys.iter());
    if videos.len() < 2 {
        return Err(Error::new(
            Kind::Labels,
            "all labelled pictures are of one video, which cannot be split by video",
        )
        .mend("leave out `--by-video`, or label pictures of another video"));
    }
    let size = |video: &str| keys.iter().filter(|k| k.video == video).count();
    let mut order: Vec<&str> = videos.into_iter().collect();
    order.shuffle(rng);
    let share = keys.len() - want;
    let mut tested: BTreeSet<&str> = BTreeSet::new();
    let mut count = 0;
    for video in &order {
        let with = count + size(video);
        if with.abs_diff(share) < count.abs_diff(share) && tested.len() + 1 < order.len() {
            tested.insert(video);
            count = with;
        }
    }
    if tested.is_empty() {
        // Every video has far more than the share: one at random, but none of the larger half.
        let mut sizes: Vec<usize> = order.iter().map(|v| size(v)).collect();
        sizes.sort_unstable();
        tested.extend(order.iter().find(|v| size(v) <= sizes[(sizes.len() - 1) / 2]));
    }
    Ok(keys.iter().cloned().partition(|k| !tested.contains(k.video.as_str())))
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
