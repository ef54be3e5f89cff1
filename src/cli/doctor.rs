use super::{Report, Terminal};
use crate::error::Result;
use serde_json::{Map, Value, json};

/// Tell what this machine offers limn, and how to get what is missing
#[derive(clap::Args)]
pub(super) struct Args {}

/// One line of the findings.
struct Finding {
    what: &'static str,
    found: String,
    /// How to mend it, when something is missing.
    mend: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, found: found.into(), mend: None }
    }

    fn missing(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, found: found.into(), mend: Some(mend.into()) }
    }
}

pub(super) fn run(_: &Args, _: &Terminal) -> Result<Report> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = vec![
        Finding::good("limn", crate::VERSION),
        Finding::good(
            "system",
            format!("{} {}, {threads} threads", std::env::consts::OS, std::env::consts::ARCH),
        ),
    ];
    computing(&mut all)?;
    videos(&mut all);
    all.push(if cfg!(feature = "hdf5") {
        Finding::good("HDF5 tables", "yes")
    } else {
        Finding::missing("HDF5 tables", "not in this build", "build with the feature `hdf5`")
    });
    all.push(if cfg!(feature = "vision") {
        Finding::good("OpenCV", "yes")
    } else {
        Finding::missing(
            "OpenCV",
            "not in this build: no training, no k-means",
            "build with the feature `vision`",
        )
    });
    let mut text = String::new();
    let mut json = Map::new();
    for f in &all {
        text += &format!("{:<24} {}\n", f.what, f.found);
        if let Some(mend) = &f.mend {
            text += &format!("{:<24} mend: {mend}\n", "");
        }
        json.insert(f.what.to_owned(), json!({ "found": f.found, "mend": f.mend }));
    }
    Ok(Report::new(text, Value::Object(json)))
}

#[cfg(feature = "torch")]
fn computing(all: &mut Vec<Finding>) -> Result<()> {
    use crate::net::{device, registry, weights};
    let facts = device::facts();
    let (_, words) = device::choose("auto")?;
    all.push(Finding::good("computes on", words));
    all.push(Finding::good(
        "libtorch",
        facts.libtorch.map_or_else(|| "found".to_owned(), |p| p.display().to_string()),
    ));
    match facts.no_cuda {
        None => all.push(Finding::good("GPUs", facts.gpus.join("; "))),
        Some(why) => all.push(Finding::missing(
            "GPU",
            format!("none: {why}"),
            "nothing to do on a machine without an NVIDIA GPU; with one, install its driver and run `scripts/setup --cuda`",
        )),
    }
    let cache = weights::Cache::of_user()?;
    let (have, lack): (Vec<_>, Vec<_>) = registry()?.iter().partition(|e| cache.has(e));
    let names =
        |list: &[&crate::net::Entry]| list.iter().map(|e| e.net.as_str()).collect::<Vec<_>>().join(", ");
    if !have.is_empty() {
        all.push(Finding::good(
            "pretrained weights",
            format!("{} in {}", names(&have), cache.folder.display()),
        ));
    }
    if !lack.is_empty() {
        let mend = "resnets are downloaded at their first use; for the others run `scripts/setup --weights all`, \
                    or give a file with --weights";
        all.push(Finding::missing("weights not here yet", names(&lack), mend));
    }
    Ok(())
}

#[cfg(not(feature = "torch"))]
fn computing(all: &mut Vec<Finding>) -> Result<()> {
    all.push(Finding::missing("networks", "not in this build", "build with the feature `torch`"));
    Ok(())
}

#[cfg(feature = "video")]
fn videos(all: &mut Vec<Finding>) {
    let facts = crate::video::facts();
    let words: Vec<_> = facts.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    all.push(Finding::good("video", words.join("; ")));
}

#[cfg(not(feature = "video"))]
fn videos(all: &mut Vec<Finding>) {
    all.push(Finding::missing("video", "not in this build", "build with the feature `video`"));
}
