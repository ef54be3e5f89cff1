use super::*;
use crate::formats::testing::{labels, openfield, same_tracks, tracks};
use crate::formats::{dlc_labels_csv, dlc_tracks_csv};
use crate::pose::Keypoint;
use crate::watch::Quiet;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn labels_come_back(labels in labels()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("CollectedData_ä b.h5");
        write_labels(&path, &labels).unwrap();
        prop_assert_eq!(read_labels(&path, &Quiet::default()).unwrap(), labels);
    }

    #[test]
    fn tracks_come_back((scorer, tracks) in tracks()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.h5");
        write_tracks(&path, &scorer, &tracks).unwrap();
        let (name, back) = read_tracks(&path, &Quiet::default()).unwrap();
        prop_assert_eq!(name, scorer);
        prop_assert!(same_tracks(&back, &tracks));
    }
}

/// A file written in blocks of these sizes, in turn.
fn in_blocks(path: &Path, tracks: &Tracks, blocks: &[usize]) {
    let mut file = TracksH5::create(path, "D", &tracks.skeleton, tracks.frames()).unwrap();
    let (mut rest, mut sizes) = (tracks.values(), blocks.iter().cycle());
    while !rest.is_empty() {
        let rows = sizes.next().unwrap() * tracks.skeleton.points() * 3;
        let (now, later) = rest.split_at(rows.min(rest.len()));
        file.rows(now).unwrap();
        rest = later;
    }
    file.finish().unwrap();
}

#[test]
fn rows_in_any_blocks_are_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole.h5"), dir.path().join("parts.h5"));
    // More than what is written at a time, in the table layout and in the fixed one; and no whole chunks.
    for (points, frames) in [(12, 20_011), (3000, 61), (2, 1), (1, 0)] {
        let skeleton = Skeleton::single((0..points).map(|i| format!("part{i}")));
        let values = (0..frames * points * 3).map(|i| if i % 7 == 0 { f32::NAN } else { i as f32 * 0.1 });
        let tracks = Tracks::from_values(skeleton, values.collect()).unwrap();
        write_tracks(&whole, "D", &tracks).unwrap();
        let bytes = std::fs::read(&whole).unwrap();
        for blocks in [&[1][..], &[4096], &[1, 430, 7000, 17]] {
            in_blocks(&parts, &tracks, blocks);
            assert!(std::fs::read(&parts).unwrap() == bytes, "{points} points in blocks of {blocks:?}");
        }
        let (_, back) = read_tracks(&parts, &Quiet::default()).unwrap();
        assert!(same_tracks(&back, &tracks));
    }
}

#[test]
fn only_whole_tracks_appear() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.h5");
    std::fs::write(&path, "old").unwrap();
    let new = || TracksH5::create(&path, "D", &Skeleton::single(["a"]), 2).unwrap();
    let mut file = new();
    file.rows(&[]).unwrap();
    file.rows(&[1.0, 2.0, 0.5]).unwrap();
    let ragged = file.rows(&[1.0, 2.0]).unwrap_err();
    assert!(ragged.kind() == Kind::Usage && ragged.place().unwrap().ends_with("v.h5, frame 1"), "{ragged}");
    let more = file.rows(&[0.0; 6]).unwrap_err();
    assert!(more.what().contains("more rows were given than the 2"), "{more}");
    let fewer = file.finish().unwrap_err();
    assert!(fewer.what().contains("1 rows were given, the file is for 2"), "{fewer}");
    drop(new());
    assert!(TracksH5::create(&path, "nan", &Skeleton::single(["a"]), 2).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let mut file = new();
    file.rows(&[1.0, 2.0, 0.5, f32::NAN, f32::NAN, f32::NAN]).unwrap();
    file.finish().unwrap();
    assert_eq!(read_tracks(&path, &Quiet::default()).unwrap().1.row(0), [1.0, 2.0, 0.5]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn small() -> Labels {
    let mut labels = Labels::new("Ann", Skeleton::single(["snout", "tail base"]));
    labels.set(&FrameKey::new("m1", "img1.png"), 1, Some(Keypoint::new(0.1, 2.0)));
    labels.set(&FrameKey::new("m1", "img2.png"), 0, None);
    labels
}

/// pandas, when this machine has it: `LIMN_PYTHON`, else `python3` that can import it.
fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    let python = std::env::var_os("LIMN_PYTHON").unwrap_or_else(|| "python3".into());
    let run = |script: &str, arguments: &[&Path]| {
        std::process::Command::new(&python).args(["-W", "ignore", "-c", script]).args(arguments).output()
    };
    if !run("import pandas, tables", &[]).is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: {} cannot import pandas and tables; set LIMN_PYTHON", python.display());
        return None;
    }
    let output = run(script, arguments).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// What pandas sees of a file, as text: level names, columns, index, and values as Python writes them.
const SHOW: &str = "
import sys, pandas as pd
for path in sys.argv[1:]:
    df = pd.read_hdf(path)
    print(list(df.columns.names), list(df.index.names), sorted({str(t) for t in df.dtypes}))
    print(df.columns.tolist())
    for i, row in zip(df.index.tolist(), df.to_numpy().tolist()):
        print(i, row)
";

fn multi() -> Skeleton {
    Skeleton {
        individuals: vec!["m2".into(), "m1 鼠".into()],
        bodyparts: vec!["tail".into(), "snout ä".into()],
        unique_bodyparts: vec!["corner".into()],
        edges: vec![],
        multi_animal: true,
    }
}

#[test]
fn pandas_reads_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_labels(&at("single.h5"), &small()).unwrap();
    write_labels(&at("empty.h5"), &Labels::new("Ann", Skeleton::single(["a"]))).unwrap();
    let mut labels = Labels::new("Ann B", multi());
    labels.set(&FrameKey::new("v", "img1.png"), 1, Some(Keypoint::new(1.5, 0.1)));
    labels.set(&FrameKey::new("v", "img1.png"), 4, Some(Keypoint::new(3.0, 4.0)));
    write_labels(&at("multi.h5"), &labels).unwrap();
    let mut tracks = Tracks::new(Skeleton::single(["a", "b ä🐭\\"]), 3);
    tracks.set(1, 1, Keypoint::new(0.5, 2.0), 0.25);
    write_tracks(&at("tracks.h5"), "DLC_limn", &tracks).unwrap();
    let mut many = Tracks::new(multi(), 2);
    many.set(1, 4, Keypoint::new(0.5, 2.0), 0.25);
    write_tracks(&at("many.h5"), "DLC_limn", &many).unwrap();
    write_tracks(&at("none.h5"), "D", &Tracks::new(Skeleton::single(["a"]), 0)).unwrap();
    let files = ["single", "empty", "multi", "tracks", "many", "none"].map(|n| at(&format!("{n}.h5")));
    let Some(shown) = python(SHOW, &files.each_ref().map(|p| p.as_path())) else { return };
    let nan = |n: usize| vec!["nan"; n].join(", ");
    let expected = format!(
        "['scorer', 'bodyparts', 'coords'] [None, None, None] ['float64']\n\
         [('Ann', 'snout', 'x'), ('Ann', 'snout', 'y'), ('Ann', 'tail base', 'x'), ('Ann', 'tail base', 'y')]\n\
         ('labeled-data', 'm1', 'img1.png') [nan, nan, 0.1, 2.0]\n\
         ('labeled-data', 'm1', 'img2.png') [nan, nan, nan, nan]\n\
         ['scorer', 'bodyparts', 'coords'] [None, None, None] ['float64']\n\
         [('Ann', 'a', 'x'), ('Ann', 'a', 'y')]\n\
         ['scorer', 'individuals', 'bodyparts', 'coords'] [None, None, None] ['float64']\n\
         [('Ann B', 'm2', 'tail', 'x'), ('Ann B', 'm2', 'tail', 'y'), ('Ann B', 'm2', 'snout ä', 'x'), \
         ('Ann B', 'm2', 'snout ä', 'y'), ('Ann B', 'm1 鼠', 'tail', 'x'), ('Ann B', 'm1 鼠', 'tail', 'y'), \
         ('Ann B', 'm1 鼠', 'snout ä', 'x'), ('Ann B', 'm1 鼠', 'snout ä', 'y'), \
         ('Ann B', 'single', 'corner', 'x'), ('Ann B', 'single', 'corner', 'y')]\n\
         ('labeled-data', 'v', 'img1.png') [nan, nan, 1.5, 0.1, {n4}, 3.0, 4.0]\n\
         ['scorer', 'bodyparts', 'coords'] [None] ['float32']\n\
         [('DLC_limn', 'a', 'x'), ('DLC_limn', 'a', 'y'), ('DLC_limn', 'a', 'likelihood'), \
         ('DLC_limn', 'b ä🐭\\\\', 'x'), ('DLC_limn', 'b ä🐭\\\\', 'y'), ('DLC_limn', 'b ä🐭\\\\', 'likelihood')]\n\
         0 [{n6}]\n1 [nan, nan, nan, 0.5, 2.0, 0.25]\n2 [{n6}]\n",
        n4 = nan(4),
        n6 = nan(6)
    );
    assert!(shown.starts_with(&expected), "{shown}\nexpected\n{expected}");
    let rest: Vec<&str> = shown[expected.len()..].lines().collect();
    assert!(
        rest[0].starts_with("['scorer', 'individuals', 'bodyparts', 'coords'] [None] ['float32']"),
        "{shown}"
    );
    assert_eq!(rest[3], format!("1 [{}, 0.5, 2.0, 0.25]", nan(12)));
    assert_eq!(rest[4], "['scorer', 'bodyparts', 'coords'] [None] ['float32']");
    assert_eq!(rest.len(), 6, "{shown}");
}

/// Files as pandas writes them: both layouts, one-text index, several blocks, objects, other keys.
const WRITE: &str = r"
import sys, os, numpy as np, pandas as pd
out = sys.argv[1]
names = ['scorer', 'individuals', 'bodyparts', 'coords']
three = pd.MultiIndex.from_tuples([('labeled-data', 'v', 'img10.png'), ('labeled-data', 'v', 'img2.png')])
one = ['labeled-data/v/img10.png', 'labeled-data\\v\\img2.png']
c = [('Ann', 'm1', 'snout ä'), ('Ann', 'm1', 'tail'), ('Ann', 'm2', 'snout ä'), ('Ann', 'm2', 'tail'), ('Ann', 'single', 'corner')]
c = pd.MultiIndex.from_tuples([k + (xy,) for k in c for xy in 'xy'], names=names)
v = np.arange(20.).reshape(2, 10); v[0, 2:4] = np.nan
def save(name, df, key='df_with_missing', **kw): df.to_hdf(os.path.join(out, name), key=key, mode='w', **kw)
df = pd.DataFrame(v, columns=c, index=three)
save('fixed.h5', df); df.to_csv(os.path.join(out, 'fixed.csv'))
save('key.h5', df, key='some/key')
save('one.h5', df.set_axis(one))
save('table.h5', df.set_axis(one), format='table')
save('packed.h5', df.set_axis(one), format='table', complevel=5, complib='zlib')
mixed = pd.concat([df.iloc[:, :4].astype('float32'), df.iloc[:, 4:8], df.iloc[:, 8:].astype(int)], axis=1)
save('blocks.h5', mixed)
save('blocks_table.h5', mixed.set_axis(one), format='table')
save('order.h5', df.set_axis(df.columns.set_levels([['Ann'], ['m1', 'm2', 'single'], ['corner', 'snout ä', 'tail'], ['x', 'y']]), axis=1)[df.columns[::-1]])
o = df.copy(); o = pd.concat([o.iloc[:, [n]].astype(object) if n < 4 else o.iloc[:, [n]] for n in range(10)], axis=1)
o.iloc[0, 2] = None
save('object.h5', o)
s = df.loc[:, [('Ann', 'm1', 'snout ä', 'x'), ('Ann', 'm1', 'snout ä', 'y')]].droplevel('individuals', axis=1)
save('single.h5', s); save('empty.h5', s.iloc[:0])
big = pd.DataFrame(np.arange(800.).reshape(400, 2), columns=s.columns, index=pd.MultiIndex.from_tuples([('labeled-data', 'v', f'img{i:03}.png') for i in range(400)]))
save('big.h5', big)
with pd.HDFStore(os.path.join(out, 'two.h5'), 'w') as f: f.put('a', df); f.put('df_with_missing', s)
with pd.HDFStore(os.path.join(out, 'ab.h5'), 'w') as f: f.put('a', df); f.put('b', s)
t = pd.DataFrame(np.arange(24, dtype=np.float32).reshape(4, 6), columns=pd.MultiIndex.from_product([['DLC'], ['snout ä', 'tail'], ['x', 'y', 'likelihood']], names=['scorer', 'bodyparts', 'coords']))
t.iloc[1, 0:3] = np.nan
t.to_csv(os.path.join(out, 't.csv')); save('t_table.h5', t, format='table'); save('t_fixed.h5', t); save('t_64.h5', t.astype(float), key='tracks', format='table')
";

#[test]
fn what_pandas_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    if python(WRITE, &[dir.path()]).is_none() {
        return;
    }
    let read = |name: &str| {
        let watch = Quiet::default();
        (read_labels(&dir.path().join(name), &watch).map_err(|e| format!("{name}: {e}")), watch.warnings())
    };
    let (fixed, warnings) = read("fixed.h5");
    let fixed = fixed.unwrap();
    assert!(warnings.is_empty());
    assert_eq!((fixed.scorer.as_str(), fixed.frames.len()), ("Ann", 2));
    assert_eq!(fixed.skeleton.individuals, ["m1", "m2"]);
    assert_eq!(fixed.skeleton.bodyparts, ["snout ä", "tail"]);
    assert_eq!(fixed.skeleton.unique_bodyparts, ["corner"]);
    let first = &fixed.frames[&FrameKey::new("v", "img10.png")].points;
    assert_eq!(
        (first[0], first[1], first[4]),
        (Some(Keypoint::new(0.0, 1.0)), None, Some(Keypoint::new(8.0, 9.0)))
    );
    for name in ["key", "one", "table", "packed", "blocks", "blocks_table", "object"] {
        let (labels, warnings) = read(&format!("{name}.h5"));
        assert_eq!(labels.unwrap(), fixed, "{name}");
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    // The CSV that pandas writes is read too, and is what limn writes, to the byte.
    let same = |name: &str, write: &dyn Fn(&Path) -> Result<()>| {
        let ours = dir.path().join("ours.csv");
        write(&ours).unwrap();
        let text = |path: &Path| std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
        assert_eq!(text(&ours), text(&dir.path().join(name)));
    };
    assert_eq!(dlc_labels_csv::read(&dir.path().join("fixed.csv"), &Quiet::default()).unwrap(), fixed);
    same("fixed.csv", &|path| dlc_labels_csv::write(path, &fixed));
    let (scorer, tracks) = dlc_tracks_csv::read(&dir.path().join("t.csv"), &Quiet::default()).unwrap();
    same("t.csv", &|path| dlc_tracks_csv::write(path, &scorer, &tracks));
    let reversed = read("order.h5").0.unwrap();
    assert_eq!(reversed.skeleton.individuals, ["m2", "m1"]);
    assert_eq!(reversed.frames[&FrameKey::new("v", "img10.png")].points[3], Some(Keypoint::new(0.0, 1.0)));
    assert_eq!(read("single.h5").0.unwrap().skeleton, Skeleton::single(["snout ä"]));
    assert_eq!(read("empty.h5").0.unwrap(), Labels::new("Ann", Skeleton::single(["snout ä"])));
    let big = read("big.h5").0.unwrap();
    assert_eq!(big.frames[&FrameKey::new("v", "img399.png")].points[0], Some(Keypoint::new(798.0, 799.0)));
    let (two, warnings) = read("two.h5");
    assert_eq!(two.unwrap().skeleton.points(), 1);
    assert!(warnings[0].contains("a, df_with_missing") && warnings[0].contains("two.h5"), "{warnings:?}");
    let several = read("ab.h5").0.unwrap_err();
    assert!(several.contains("several tables: a, b") && several.contains("keep one"), "{several}");
    assert!(read("t_table.h5").0.unwrap_err().contains("numbered"));
    for name in ["t_table.h5", "t_fixed.h5", "t_64.h5"] {
        let (scorer, tracks) = read_tracks(&dir.path().join(name), &Quiet::default()).unwrap();
        assert_eq!((scorer.as_str(), tracks.frames()), ("DLC", 4));
        assert_eq!(tracks.skeleton, Skeleton::single(["snout ä", "tail"]));
        assert!(tracks.get(1, 0).is_none());
        assert_eq!(tracks.row(1)[3..], [9.0, 10.0, 11.0]);
        assert_eq!(tracks.row(3), [18.0, 19.0, 20.0, 21.0, 22.0, 23.0]);
    }
}

#[test]
fn openfield_h5_and_csv_agree() {
    let Some(h5) = openfield("labeled-data/m4s1/CollectedData_Pranav.h5") else { return };
    let watch = Quiet::default();
    let from_h5 = read_labels(&h5, &watch).unwrap();
    let from_csv = dlc_labels_csv::read(&h5.with_extension("csv"), &watch).unwrap();
    assert_eq!(from_h5.frames.len(), 116);
    assert_eq!(from_h5, from_csv);
    assert!(watch.warnings().is_empty(), "{:?}", watch.warnings());
}

#[test]
fn many_columns_go_into_the_fixed_layout() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wide.h5");
    let mut tracks = Tracks::new(Skeleton::single((0..3000).map(|i| format!("part{i}"))), 2);
    tracks.set(1, 2999, Keypoint::new(1.0, 2.0), 0.5);
    write_tracks(&path, "D", &tracks).unwrap();
    let (_, back) = read_tracks(&path, &Quiet::default()).unwrap();
    assert!(same_tracks(&back, &tracks));
}

#[test]
fn damaged_files_are_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        (read_labels(&path, &Quiet::default()), read_tracks(&path, &Quiet::default()).map(|_| ()))
    };
    let error = read_labels(&dir.path().join("no.h5"), &Quiet::default()).unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("no.h5"));
    for garbage in [&b""[..], b"no HDF5 at all", b"\x89HDF\r\n\x1a\n", &[0x89; 5000]] {
        let error = read(garbage).0.unwrap_err();
        assert!(error.to_string().contains("a.h5"), "{error}");
        assert!(error.how_to_mend().unwrap().contains("damaged"), "{error}");
    }
    let labels = small();
    write_labels(&path, &labels).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Cut short anywhere: an error, never other labels.
    for cut in (0..whole.len()).step_by(211) {
        if let Ok(read) = read(&whole[..cut]).0 {
            assert_eq!(read, labels, "cut at {cut}");
        }
    }
    // Any byte changed: no panic and no endless work.
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        let _ = read(&bytes);
    }
}

#[test]
fn the_same_labels_are_the_same_file_and_bad_ones_are_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    write_labels(&path, &small()).unwrap();
    let first = std::fs::read(&path).unwrap();
    write_labels(&path, &small()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
    let mut bad = small();
    bad.set(&FrameKey::new("m1", "img1.png"), 0, Some(Keypoint::new(f64::NAN, 1.0)));
    assert!(write_labels(&path, &bad).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), first);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
