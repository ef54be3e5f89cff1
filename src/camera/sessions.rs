use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Recordings sorted by session and camera.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sessions {
    /// For each session one place per camera of the rig; none where this camera has no recording of it.
    pub by_name: BTreeMap<String, Vec<Option<PathBuf>>>,
    /// Files that name no camera of the rig.
    pub others: Vec<PathBuf>,
}

impl Sessions {
    /// Sorts `paths` by their names; see [`super::Rig::files`].
    ///
    /// # Errors
    /// When two files claim the same camera of one session.
    pub fn of(cameras: &[&str], pattern: Option<&str>, paths: &[PathBuf]) -> Result<Self> {
        let mut found = Self::default();
        for path in paths {
            let stem = video_stem(path);
            let named = pattern.map_or_else(|| by_word(cameras, &stem), |p| by_pattern(cameras, p, &stem));
            let Some((camera, session)) = named else {
                found.others.push(path.clone());
                continue;
            };
            let row = found.by_name.entry(session.clone()).or_insert_with(|| vec![None; cameras.len()]);
            if let Some(other) = &row[camera] {
                let what = format!(
                    "two files are of camera `{}` in session `{session}`: {} and {}",
                    cameras[camera],
                    other.display(),
                    path.display()
                );
                return Err(Error::new(Kind::Usage, what).mend(
                    "name only one of them, or tell limn how files are named with `files` in rig.yaml",
                ));
            }
            row[camera] = Some(path.clone());
        }
        Ok(found)
    }
}

/// Names of cameras that the names of videos suggest: the word by which several videos of one session differ, as `left` and
/// `right` in `s1_left`, `s1_right`, `s2_left`, `s2_right`. None where there is no such word.
#[must_use]
pub fn suggest_cameras<S: AsRef<str>>(stems: &[S]) -> Vec<String> {
    let split = |s: &str| s.split(['-', '_', '.', ' ']).map(str::to_owned).collect::<Vec<_>>();
    let all: Vec<Vec<String>> = stems.iter().map(|s| split(s.as_ref())).collect();
    let most = all.iter().map(Vec::len).max().unwrap_or(0);
    let likely = |w: &str| {
        let w = w.to_lowercase();
        ["cam", "left", "right", "top", "side", "front", "back", "bottom"].iter().any(|k| w.contains(k))
    };
    let mut best: Option<((usize, usize, usize), Vec<String>)> = None;
    for place in 0..most {
        // What stays when the word is taken out tells sessions apart.
        let mut sessions: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for words in all.iter().filter(|w| place < w.len()) {
            let mut rest = words.clone();
            let word = rest.remove(place);
            sessions.entry(rest).or_default().push(word);
        }
        let several: Vec<&Vec<String>> = sessions.values().filter(|w| w.len() > 1).collect();
        let mut names: Vec<String> = several.iter().flat_map(|w| w.iter().cloned()).collect();
        names.sort();
        names.dedup();
        let covered = several.iter().map(|w| w.len()).sum();
        // Words that sound like cameras first, then the later word: sessions are usually named first.
        let rank = (covered, names.iter().filter(|n| likely(n)).count(), place);
        if names.len() > 1 && best.as_ref().is_none_or(|(b, _)| *b < rank) {
            best = Some((rank, names));
        }
    }
    best.map_or_else(Vec::new, |(_, names)| names)
}

/// The stem of the video that a file is about: what a model's name follows (`m1DLC_Resnet50_...`) is cut off.
fn video_stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let cut = ["DLC_", "DeepCut_"].iter().filter_map(|mark| stem.find(mark)).min();
    cut.filter(|at| *at > 0).map_or(stem.clone(), |at| stem[..at].to_owned())
}

/// The camera's name as a word of its own; the longest one where several fit, and its last place: `left_turn_left`.
fn by_word(cameras: &[&str], stem: &str) -> Option<(usize, String)> {
    let word = |at: usize, len: usize| {
        let (before, after) = (&stem[..at], &stem[at + len..]);
        let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        let name = &stem[at..at + len];
        // `left01`: a number may follow a name that ends with a letter.
        let numbered = after.starts_with(|c: char| c.is_ascii_digit()) && name.ends_with(char::is_alphabetic);
        apart(before.chars().next_back()) && (numbered || apart(after.chars().next()))
    };
    let mut best: Option<(usize, usize)> = None;
    for (i, name) in cameras.iter().enumerate() {
        let longer = best.is_none_or(|(b, _)| cameras[b].len() < name.len());
        if let Some((at, _)) = stem.match_indices(name).filter(|(at, _)| word(*at, name.len())).last()
            && longer
        {
            best = Some((i, at));
        }
    }
    let (camera, at) = best?;
    let trim = |text: &str| text.trim_matches(['-', '_', '.', ' ']).to_owned();
    let rest = [trim(&stem[..at]), trim(&stem[at + cameras[camera].len()..])];
    let session: Vec<String> = rest.into_iter().filter(|p| !p.is_empty()).collect();
    Some((camera, if session.is_empty() { "session".into() } else { session.join("_") }))
}

fn by_pattern(cameras: &[&str], pattern: &str, stem: &str) -> Option<(usize, String)> {
    let fits = |name: &str| -> Option<String> {
        let full = pattern.replace("{camera}", name);
        let Some((before, after)) = full.split_once("{session}") else {
            return (full == stem).then(|| "session".to_owned());
        };
        let middle = stem.strip_prefix(before)?.strip_suffix(after)?;
        (!middle.is_empty()).then(|| middle.to_owned())
    };
    (0..cameras.len()).filter_map(|i| Some((i, fits(cameras[i])?))).max_by_key(|(i, _)| cameras[*i].len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn names_tell_camera_and_session() {
        let files =
            paths(&["d/t1_cam1.mp4", "d/t1_cam10.mp4", "cam1-t2DLC_Resnet50_x.h5", "cam1x.mp4", "cam10.mp4"]);
        let found = Sessions::of(&["cam1", "cam10"], None, &files).unwrap();
        assert_eq!(found.by_name["t1"], [Some(files[0].clone()), Some(files[1].clone())]);
        assert_eq!(found.by_name["t2"], [Some(files[2].clone()), None]);
        assert_eq!(found.by_name["session"], [None, Some(files[4].clone())]);
        assert_eq!(found.others, [files[3].clone()]);
        let numbered =
            Sessions::of(&["left"], None, &paths(&["left01.jpg", "cleft01.jpg", "leftx.jpg"])).unwrap();
        assert_eq!((numbered.by_name["01"].len(), numbered.others.len()), (1, 2));
        let turns = paths(&["left_turn_left.mp4", "left_turn_right.mp4"]);
        let found = Sessions::of(&["left", "right"], None, &turns).unwrap();
        assert_eq!(found.by_name["left_turn"], [Some(turns[0].clone()), Some(turns[1].clone())]);
        let twice = Sessions::of(&["a"], None, &paths(&["x_a.mp4", "a_x.avi"])).unwrap_err();
        assert!(twice.what().contains("x_a.mp4"), "{twice}");
    }

    #[test]
    fn names_of_cameras_are_suggested_by_what_differs() {
        assert_eq!(suggest_cameras(&["s1_left", "s1_right", "s2_left", "s2_right"]), ["left", "right"]);
        assert_eq!(suggest_cameras(&["cam2-a", "cam1-a", "cam1-b", "cam2-b", "test"]), ["cam1", "cam2"]);
        assert_eq!(suggest_cameras(&["day1_x", "day1_y"]), ["x", "y"]);
        assert!(suggest_cameras(&["one", "a_b_c"]).is_empty() && suggest_cameras::<&str>(&[]).is_empty());
    }

    #[test]
    fn a_pattern_decides_where_words_do_not() {
        let files = paths(&["A12.mp4", "B12.mp4", "B13.mp4", "C1.mp4"]);
        let found = Sessions::of(&["A", "B"], Some("{camera}{session}"), &files).unwrap();
        assert_eq!(found.by_name["12"], [Some(files[0].clone()), Some(files[1].clone())]);
        assert_eq!(found.by_name["13"], [None, Some(files[2].clone())]);
        assert_eq!(found.others, [files[3].clone()]);
    }
}
