use super::*;

fn walk(frames: usize) -> Tracks {
    let mut t = Tracks::new(Skeleton::single(["snout", "tailbase"]), frames);
    for f in 0..frames {
        let a = f as f64 / 40.0;
        let likelihood = if f % 97 == 0 { 0.1 } else { 0.97 };
        t.set(f, 0, Keypoint::new(200.0 + 90.0 * a.cos(), 150.0 + 80.0 * (1.3 * a).sin()), likelihood);
        if f % 50 > 3 {
            t.set(f, 1, Keypoint::new(230.0 + 90.0 * a.cos(), 160.0 + 80.0 * (1.3 * a).sin()), 0.9);
        }
    }
    t
}

/// How many pixels have exactly or nearly the colour.
fn ink(p: &Picture, colour: [u8; 3]) -> usize {
    p.rgb().chunks_exact(3).filter(|c| c.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 40)).count()
}

#[test]
fn every_plot_shows_every_part() {
    let tracks = walk(900);
    let style = PlotStyle {
        width: 640,
        height: 400,
        fps: Some(30.0),
        frame: Some((400, 300)),
        title: "video m1".into(),
        ..PlotStyle::default()
    };
    for (name, picture) in poses(&tracks, &style).unwrap() {
        let chart = (0..400 * 500).map(|i| picture.get(i % 500, i / 500)).filter(|c| *c != [255; 3]).count();
        assert!(chart > 2000, "{name} is nearly blank");
        for i in 0..2 {
            let found = ink(&picture, style.marks.colour(&tracks.skeleton, i));
            assert!(found > 100, "{name}: part {i} has {found} pixels");
        }
    }
}

#[test]
fn curves_and_errors() {
    let rows: Vec<_> = (0..5000)
        .map(|i| Progress {
            step: f64::from(i),
            loss: Some(0.5 / f64::from(i + 1)),
            train_px: (i % 500 == 0).then(|| 2.0 + 100.0 / f64::from(i + 10)),
            test_px: (i % 500 == 0).then(|| 3.0 + 120.0 / f64::from(i + 10)),
        })
        .collect();
    let p = learning_curve(&rows, &PlotStyle::default()).unwrap();
    assert!(ink(&p, [31, 119, 180]) > 300 && ink(&p, [255, 127, 14]) > 300);
    let parts = [("snout", 1.0), ("a long name", 4.0), ("tail", f64::NAN)].map(|(name, v)| PartError {
        name: name.into(),
        train: Some(v),
        test: Some(2.0 * v),
    });
    let p = part_errors(&parts, &PlotStyle::default()).unwrap();
    let (blue, orange) = (ink(&p, [31, 119, 180]), ink(&p, [255, 127, 14]));
    assert!(blue > 5000 && (1.7..2.3).contains(&(orange as f64 / blue as f64)), "{blue} {orange}");
}

#[test]
fn nothing_and_oddities_are_safe() {
    let style = PlotStyle { width: 320, height: 200, ..PlotStyle::default() };
    let mut odd = Tracks::new(Skeleton::single(["a"]), 3);
    odd.set(0, 0, Keypoint::new(f64::INFINITY, 1.0), 1.0);
    odd.set(1, 0, Keypoint::new(-1e30, 1e30), f64::NAN);
    odd.set(2, 0, Keypoint::new(-1e30, 1e30), 1.0);
    for tracks in [
        odd,
        Tracks::new(Skeleton::default(), 0),
        Tracks::new(Skeleton::single(["a"]), 0),
        Tracks::new(Skeleton::single(["a"]), 1),
        Tracks::new(Skeleton::single((0..60).map(|i| format!("part {i}"))), 4),
    ] {
        poses(&tracks, &style).unwrap();
    }
    learning_curve(&[], &style).unwrap();
    let nan = Progress { step: f64::NAN, loss: Some(0.0), train_px: Some(f64::INFINITY), test_px: None };
    learning_curve(&[nan], &style).unwrap();
    part_errors(&[], &style).unwrap();
    let small = PlotStyle { width: 3, ..style };
    assert_eq!(part_errors(&[], &small).err().map(|e| e.kind()), Some(Kind::Usage));
}

#[test]
fn measurements_are_drawn() {
    let style = PlotStyle::default();
    let curve: Vec<_> = (0..100).map(|i| (f64::from(i) / 10.0, 1.0 - (-f64::from(i) / 20.0).exp())).collect();
    let part = Curve { name: "snout".into(), points: curve.clone(), colour: [200, 40, 40] };
    let marks = [(2.7, "two people".to_owned()), (99.0, "beyond".to_owned())];
    let p = pck(&curve, &[part], &marks, &style).unwrap();
    assert!(ink(&p, [200, 40, 40]) > 100 && ink(&p, [60, 60, 66]) > 1000);
    let group = |l: f64, share| Group { likelihood: l, share, interval: [share - 0.1, share + 0.1] };
    let series = [("raw", 0.2), ("calibrated", 0.0)]
        .map(|(n, off)| (n.to_owned(), vec![group(0.3, 0.3 + off), group(0.8, 0.8 + off)]));
    assert!(ink(&reliability(&series, "within 5 px", &style).unwrap(), [31, 119, 180]) > 300);
    let p = error_histogram(&[0.0, 1.0, 1.1, 99.0, f64::NAN, f64::INFINITY], 13.0, &style).unwrap();
    assert!(ink(&p, [31, 119, 180]) > 3000 && ink(&p, [214, 39, 40]) > 1000);
    let measured = [(20.0, 5.0, Some([4.0, 6.0])), (40.0, 3.0, None)];
    let p = error_by_labels(&measured, &curve, Some((90.0, 2.0, Some([1.5, 2.5]))), &style).unwrap();
    assert!(ink(&p, [31, 119, 180]) > 200 && ink(&p, [255, 127, 14]) > 100);
    // Nothing and oddities.
    pck(&[], &[], &[], &style).unwrap();
    reliability(&[], "", &style).unwrap();
    error_histogram(&[], f64::NAN, &style).unwrap();
    error_by_labels(&[], &[], None, &style).unwrap();
}

#[test]
fn thinning_keeps_extremes_and_gaps() {
    let n = 100_000;
    let runs = thin(n, 1000, |f| match f {
        40_000..50_000 => None,
        70_001 => Some(99.0),
        _ => Some((f % 7) as f64),
    });
    assert_eq!(runs.len(), 2);
    let kept: usize = runs.iter().map(Vec::len).sum();
    assert!(kept <= 4000, "{kept}");
    assert!(runs[1].contains(&(70_001.0, 99.0)));
    assert!(runs[0].iter().any(|p| p.1 == 0.0) && runs[0].iter().any(|p| p.1 == 6.0));
    assert!(runs.iter().flatten().all(|p| !(40_000.0..50_000.0).contains(&p.0)));
    let flicker = thin(n, 1000, |f| (f % 2 == 0).then_some(1.0));
    assert!(flicker.len() <= 8000);
}
