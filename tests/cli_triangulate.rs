//! Points in space from the command line, as a user runs it.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/ring.rs"]
mod ring;
mod support;

use limn::formats::dlc_tracks_csv;
use ring::{ring, simulate};
use support::json;

#[test]
fn tracks_become_points_and_one_session_does_not_hold_up_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let rig = ring(3);
    rig.write(&dir.path().join("rig.yaml")).unwrap();
    let truth = simulate(&rig, 60, 0.5, 0.0, 21);
    let write = |name: &str, camera: usize| {
        let tracks = truth.tracks[camera].as_ref().unwrap();
        dlc_tracks_csv::write(&dir.path().join(name), "DLC_x", tracks).unwrap();
    };
    (0..3).for_each(|i| write(&format!("a_cam{i}DLC_x.csv"), i));
    let (folder, out) = (dir.path().to_str().unwrap(), dir.path().join("3d"));
    let out = out.to_str().unwrap();
    let (code, report) = json(&["triangulate", folder, folder, "--out", out]);
    assert_eq!(code, 0, "{report}");
    let session = &report["sessions"][0];
    assert!(session["session"] == "a" && session["frames"] == 60, "{report}");
    assert!((0.3..0.7).contains(&session["noise_px"].as_f64().unwrap()), "{report}");
    let cameras = session["cameras"].as_array().unwrap();
    assert!(cameras.iter().all(|c| c["median_px"].as_f64().unwrap() < 1.0), "{report}");
    assert!(session["share_by_cameras"][3].as_f64().unwrap() > 0.95, "{report}");
    for path in session["written"].as_array().unwrap() {
        assert!(std::path::Path::new(path.as_str().unwrap()).is_file(), "{path}");
    }
    // One camera alone tells no distance; the other session is done all the same.
    write("b_cam1DLC_x.csv", 1);
    let (code, report) = json(&["triangulate", folder, folder, "--out", out, "--method", "smooth"]);
    assert!(code == 1 && report["failed"][0] == "b" && report["sessions"][0]["session"] == "a", "{report}");
    assert!(report["warnings"].to_string().contains("one camera tells no distance"), "{report}");
    let (code, report) = json(&["triangulate", folder, folder, "--method", "guess"]);
    assert!(code == 2, "{report}");
}
