//! The networks answer as torchvision's and timm's do: weights and image made by formula, answers of
//! `scripts/parity.py` in `tests/data/parity.json`.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)] // in the helpers of tests too

use limn::net::{
    Act, Backbone, Conv, ConvNorm, ConvShape, Device, HeadSpec, Kind, Mode, Net, NetSpec, Norm, Params,
    Tensor, Upsample, channels_last,
};

/// `count` numbers in 0..1 that depend on the name and their index alone, as in `scripts/parity.py`.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let h = name.bytes().fold(0x811C_9DC5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (0..count as u32).map(move |i| {
        let mut x = i.wrapping_mul(0x9E37_79B1).wrapping_add(h);
        x ^= x >> 16;
        x = x.wrapping_mul(0x85EB_CA6B);
        x ^= x >> 13;
        x = x.wrapping_mul(0xC2B2_AE35);
        x ^= x >> 16;
        f64::from(x) / 4_294_967_296.0
    })
}

fn fill(params: &Params) {
    for p in params.iter() {
        let name = p.name.trim_start_matches("backbone.");
        let shape = p.tensor.size();
        let fan_in: i64 = shape[1..].iter().product();
        let value = |u: f64| {
            if name.ends_with("running_var") {
                0.75 + 0.5 * u
            } else if u > 0.9 && (name.ends_with("_bn0.bias") || name.ends_with("_bn1.bias")) {
                6.0
            } else if name.ends_with("running_mean") || name.ends_with("bias") {
                0.2 * (u - 0.5)
            } else if shape.len() == 1 {
                0.5 + 0.5 * u
            } else {
                (2.0 * u - 1.0) * (6.0 / fan_in as f64).sqrt()
            }
        };
        let values: Vec<f32> = uniform(name, p.tensor.numel()).map(|u| value(u) as f32).collect();
        params.set(&p.name, &Tensor::from_slice(&values).view(shape.as_slice())).unwrap();
    }
}

fn image(height: i64, width: i64) -> Tensor {
    let values: Vec<f32> =
        uniform("image", (3 * height * width) as usize).map(|u| (4.0 * u - 2.0) as f32).collect();
    Tensor::from_slice(&values).view([1, 3, height, width])
}

fn flat(t: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(t.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
}

#[test]
fn every_backbone_answers_as_the_original() {
    let file =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/parity.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&file).unwrap();
    let cases = expected["cases"].as_array().unwrap();
    assert!(cases.len() >= 13);
    for case in cases {
        let (net, stride) = (case["net"].as_str().unwrap(), case["stride"].as_u64().unwrap() as usize);
        let mut params = Params::new(Device::Cpu);
        let backbone = Backbone::new(&mut params, net, stride, None).unwrap();
        fill(&params);
        let maps = tch::no_grad(|| backbone.forward(&image(64, 96), Mode::eval(Kind::Float)).unwrap().maps);
        let wanted = case["maps"].as_array().unwrap();
        assert_eq!(maps.len(), wanted.len());
        for ((_, got), want) in maps.iter().zip(wanted) {
            let shape: Vec<i64> = serde_json::from_value(want["shape"].clone()).unwrap();
            assert_eq!(got.size(), shape, "{net} at {stride}");
            let got = flat(got);
            let std = want["std"].as_f64().unwrap();
            let close = |a: f64, b: &serde_json::Value, what: &str| {
                let b = b.as_f64().unwrap();
                let scale = std + b.abs();
                assert!((a - b).abs() < 1e-4 * scale, "{net} at {stride} {shape:?}: {what} {a} is not {b}");
            };
            let mean = got.iter().sum::<f64>() / got.len() as f64;
            let spread = got.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / got.len() as f64;
            close(mean, &want["mean"], "mean");
            close(spread.sqrt(), &want["std"], "std");
            let samples = want["samples"].as_array().unwrap();
            for (i, want) in samples.iter().enumerate() {
                // numpy.linspace(0, len - 1, samples), cut to integers
                let at = (got.len() - 1) as f64 / (samples.len() - 1) as f64 * i as f64;
                let at = if i + 1 == samples.len() { got.len() - 1 } else { at as usize };
                close(got[at], want, "sample");
            }
        }
    }
}

fn spec(net: &str, upsample: Upsample) -> NetSpec {
    let head = HeadSpec { width: 32, upsample, ..HeadSpec::default() };
    NetSpec { net: net.into(), backbone_stride: 16, output_stride: 8, points: 4, head }
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[]) / b.std(true).double_value(&[])
}

#[test]
fn folding_changes_nothing_and_bf16_little() {
    for (net, upsample) in [("resnet_18", Upsample::Bilinear), ("efficientnet_lite0", Upsample::Transposed)] {
        let make = || {
            let net = Net::new(&spec(net, upsample), Device::Cpu, 3).unwrap();
            fill(net.params());
            net
        };
        let x = image(80, 112);
        let plain = tch::no_grad(|| make().forward(&x, Mode::eval(Kind::Float)).unwrap());
        assert!(plain.logits.std(true).double_value(&[]) > 0.1);
        let folded = make().fold(Mode::eval(Kind::Float)).unwrap().forward(&x).unwrap();
        assert!(difference(&folded.logits, &plain.logits) < 1e-4, "{net}");
        assert!(difference(&folded.offsets, &plain.offsets) < 1e-4, "{net}");
        for depthwise_f32 in [false, true] {
            let mode = Mode { depthwise_f32, ..Mode::eval(Kind::BFloat16) };
            let half = make().fold(mode).unwrap().forward(&x).unwrap();
            assert_eq!(half.logits.kind(), Kind::Float);
            let d = difference(&half.logits, &plain.logits);
            assert!(d > 0.0 && d < 0.2, "{net}: {d}");
        }
    }
}

#[test]
fn a_norm_in_the_layer_equals_a_folded_one() {
    // Batch statistics of one batch, then kept as running ones (momentum 1), must give the same answer twice.
    let mut params = Params::new(Device::Cpu);
    let conv = Conv::new(&mut params, "c", ConvShape::new(3, 8, 3), true, Some(1)).unwrap();
    let norm = Norm::new(&mut params, "n", 8, 1e-3, 1.0, Some(1)).unwrap();
    let unit = ConvNorm::new(conv, norm, Act::Relu6);
    let x = image(16, 24);
    let train = Mode::train(Kind::Float);
    let batch = unit.forward(&x, train).unwrap();
    let count = (16 * 24) as f64;
    let var = &params.get("n.running_var").unwrap().tensor;
    params.set("n.running_var", &(var * ((count - 1.0) / count))).unwrap(); // torch keeps the unbiased one
    for mode in [Mode::eval(Kind::Float), Mode { frozen_bn: true, ..train }] {
        assert!(difference(&unit.forward(&x, mode).unwrap(), &batch) < 1e-4);
    }
}

#[test]
fn training_in_bf16_gives_fp32_gradients_close_to_those_of_fp32() {
    let net = Net::new(&spec("efficientnet_lite0", Upsample::Bilinear), Device::Cpu, 5).unwrap();
    let gradients = |mode: Mode| {
        net.params().zero_grad();
        let maps = net.forward(&channels_last(&image(64, 64)).unwrap(), mode).unwrap();
        (maps.logits.square().mean(Kind::Float) + maps.offsets.square().mean(Kind::Float)).backward();
        let names = [
            "backbone._blocks.12._project_conv.weight",
            "head.level8.mix.conv.weight",
            "head.heatmap.weight",
        ];
        names.map(|n| {
            let n = n.replace(".mix", "");
            let g = net.params().get(&n).unwrap_or_else(|| panic!("{n}")).tensor.grad();
            assert!(g.defined() && g.kind() == Kind::Float, "{n}");
            g.copy()
        })
    };
    let exact = gradients(Mode { frozen_bn: true, ..Mode::train(Kind::Float) });
    let rough = gradients(Mode { frozen_bn: true, ..Mode::train(Kind::BFloat16) });
    for (a, b) in exact.iter().zip(&rough) {
        let cosine = (a * b).sum(Kind::Float) / (a.norm() * b.norm());
        assert!(cosine.double_value(&[]) > 0.95, "{cosine:?}");
    }
    // Batch statistics in bf16 stay fp32 and finite.
    let _ = gradients(Mode::train(Kind::BFloat16));
    assert!(net.params().iter().all(|p| p.tensor.kind() == Kind::Float));
}

#[test]
fn frozen_stages_get_no_gradients_and_do_not_move() {
    for net in ["resnet_18", "efficientnet_lite0"] {
        let net = Net::new(&spec(net, Upsample::Bilinear), Device::Cpu, 5).unwrap();
        let before = net.params().snapshot().unwrap();
        let mode = Mode { frozen_stages: 2, ..Mode::train(Kind::Float) };
        net.forward(&image(64, 64), mode).unwrap().logits.sum(Kind::Float).backward();
        let (mut frozen, mut moved) = (0, 0);
        for p in net.params().iter() {
            let first = ["conv1", "bn1", "layer1.", "_conv_stem", "_bn0", "_blocks.0."]
                .iter()
                .any(|f| p.name.starts_with(&format!("backbone.{f}")));
            if first {
                assert!(!p.tensor.grad().defined(), "{}", p.name);
                assert_eq!(p.tensor, before[&p.name], "{}", p.name);
                frozen += 1;
            } else if p.name.ends_with("running_var") {
                assert_ne!(p.tensor, before[&p.name], "{}", p.name);
                moved += 1;
            } else if p.is_backbone() && p.decays() {
                assert!(p.tensor.grad().defined(), "{}", p.name);
            }
        }
        assert!(frozen > 5 && moved > 5, "{frozen} {moved}");
    }
}

#[test]
fn any_image_size_gives_cells_for_every_pixel() {
    let net = Net::new(&spec("resnet_18", Upsample::Transposed), Device::Cpu, 5).unwrap();
    for (h, w) in [(33, 65), (8, 8), (1, 100)] {
        let maps = tch::no_grad(|| net.forward(&image(h, w), Mode::eval(Kind::Float)).unwrap());
        assert_eq!(maps.logits.size(), [1, 4, (h + 7) / 8, (w + 7) / 8]);
        assert_eq!(maps.offsets.size(), [1, 8, (h + 7) / 8, (w + 7) / 8]);
    }
    let bytes = Tensor::from_slice(&[255_u8, 0, 128]).view([1, 1, 1, 3]);
    let x = flat(&net.normalise(&bytes).unwrap());
    for (got, want) in x.iter().zip([(1.0 - 0.485) / 0.229, -0.456 / 0.224, (128.0 / 255.0 - 0.406) / 0.225])
    {
        assert!((got - want).abs() < 1e-5);
    }
    assert!(
        net.forward(&Tensor::zeros([1, 4, 8, 8], (Kind::Float, Device::Cpu)), Mode::eval(Kind::Float))
            .is_err()
    );
}
