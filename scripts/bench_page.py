#!/usr/bin/env python3
"""Writes what scripts/bench measured into the page of benchmarks, or prints it; needs Python alone.

    bench_page.py FOLDER --rounds 3 --load 0.1 --limn 'limn 0.1.0' --device cpu [--page docs/benchmarks.md]
    bench_page.py --check docs/benchmarks.md
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import sys

BEGIN, END = "<!-- inference: made by scripts/bench -->", "<!-- end -->"
NEEDED = ["fps", "ceiling_fps", "stages", "limit", "device", "precision", "net", "width", "height", "batch", "frames", "source"]
NEEDED_DECODE = ["decode_fps", "width", "height", "frames", "decoder"]
NEEDED_DEEPLABCUT = ["deeplabcut", "torch", "device", "threads", "precision", "backbone", "stride", "width", "height", "runs"]
NAMES = {"resnet_50": "ResNet-50", "resnet_18": "ResNet-18", "efficientnet_lite0": "EfficientNet-Lite0"}
PRECISIONS = {"fp32": "fp32 (its default)", "autocast": "torch's autocast (its option)"}
LIMN = ["resnet_50", "resnet_50-fp32", "resnet_18", "efficientnet_lite0"]
DEEPLABCUT = ["deeplabcut", "deeplabcut-autocast"]


def stop(text):
    sys.exit(f"bench: {text}")


def read(folder, name, rounds, needed):
    """The runs of one name, in their order; none where that was not measured."""
    runs = []
    for i in range(1, rounds + 1):
        path = folder / f"{name}-{i}.json"
        if not path.exists() and not runs:
            return []
        try:
            run = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            stop(f"{path} cannot be read: {error}")
        missing = [key for key in needed if not isinstance(run, dict) or key not in run]
        if missing:
            stop(f"{path} lacks {', '.join(missing)}")
        for key in ("fps", "ceiling_fps", "decode_fps"):
            if key in needed and not (isinstance(run[key], (int, float)) and run[key] > 0):
                stop(f"{path}: {key} is {run[key]!r}, and should be more than 0")
        runs.append(run)
    return runs


def number(x):
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def spread(values, unit=""):
    """The median, and the least and the most of several rounds."""
    text = number(statistics.median(values)) + unit
    return text if len(values) < 2 else f"{text} ({number(min(values))} to {number(max(values))})"


def percent(values):
    text = f"{100 * statistics.median(values):.0f} %"
    return text if len(values) < 2 else f"{text} ({100 * min(values):.0f} to {100 * max(values):.0f})"


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def row(*cells):
    return "| " + " | ".join(cell(c) for c in cells) + " |"


def processor():
    """The processor's name, as the system tells it."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on(run):
    """Device and threads of a run; where a program does not tell its threads, they are the cores it may use."""
    return f"{run.get('device_name') or run['device']}, {run.get('threads') or cores()} threads"


def size(run):
    return f"{run['width']}x{run['height']}"


def decoding(run):
    return "decode included" if run["source"] == "video" else "no decode"


def same(runs, name, keys):
    """Rounds are only worth a median where they measured the same thing."""
    for key in keys:
        if len({json.dumps(r.get(key)) for r in runs}) > 1:
            stop(f"the rounds of {name} differ in {key}: {', '.join(str(r.get(key)) for r in runs)}")


def busy(stages):
    """`decode 3 %, forward 99 %`, from numbers or from objects with `busy`."""
    shares = {k: v.get("busy") if isinstance(v, dict) else v for k, v in stages.items()}
    return ", ".join(f"{k} {100 * v:.0f} %" for k, v in shares.items() if isinstance(v, (int, float)))


def block(args):
    folder, rounds = args.folder, args.rounds
    command = lambda name: f"`{(folder / f'{name}.command').read_text().strip()}`"
    limn = {name: read(folder, name, rounds, NEEDED) for name in LIMN}
    deeplabcut = {name: read(folder, name, rounds, NEEDED_DEEPLABCUT) for name in DEEPLABCUT}
    decode = read(folder, "decode", rounds, NEEDED_DECODE)
    if not any(limn.values()):
        stop(f"there is no run of limn in {folder}")

    date = datetime.date.today().isoformat()
    versions = args.limn + (f" ({args.commit})" if args.commit else "")
    for runs in deeplabcut.values():
        for run in runs[:1]:
            versions += f"; DeepLabCut {run['deeplabcut']}, torch {run['torch']}" if "DeepLabCut" not in versions else ""
    machine = f"{cores()} CPU cores ({processor()})"
    if args.gpu and args.device != "cpu":
        machine += f", {args.gpu}"
    medians = "One round" if rounds == 1 else f"Medians of {rounds} rounds in which the programs took turns, with the least and the most"
    lines = [
        "### Inference",
        f"Measured by `scripts/bench` on {date}: {machine}, {platform.system()} {platform.machine()}, load average {args.load:.2f} before it"
        + (" (**shared with other work**: alone all of it is faster)" if args.load > 0.5 else "") + f". {versions}. {medians}.",
        "Frames/s are end to end, from the video (made-up frames where a row says `no decode`) to the tracks; loading the network is left",
        "out. `Network alone` is the same network on a batch that lies ready on the device, in the same run."
        + (f" VIDEO is `{args.video}`." if args.video else ""),
        "",
        "| what | frames/s | network alone | reached of it | how | device | command |",
        "|---|---|---|---|---|---|---|",
    ]
    if decode:
        same(decode, "decode", ["width", "height", "frames", "decoder"])
        first = decode[0]
        every = first.get("device") or "cpu"
        threads = f"{every}, {first.get('threads') or cores()} threads"
        steps = [("decoding alone", "decode_fps", "only decode")]
        if "fps" in first:
            steps.append(("decoding, and conversion for the network", "fps", "decode included"))
        elif "convert_fps" in first:
            steps.append(("conversion for the network alone", "convert_fps", "no decode"))
        for what, key, included in steps:
            lines.append(row(f"limn, {what} ({first['decoder']})", spread([r[key] for r in decode]), "–", "–",
                             f"{size(first)}, {first['frames']} frames, {included}", threads, command("decode")))
    for name, runs in limn.items():
        if not runs:
            continue
        same(runs, name, ["net", "precision", "device", "width", "height", "frames", "source"])
        first = runs[0]
        batch = " or ".join(str(b) for b in sorted({r["batch"] for r in runs}))
        stride = f", stride {first.get('stride', 16)}"
        lines.append(row(
            f"limn, {NAMES.get(first['net'], first['net'])}{stride}", spread([r["fps"] for r in runs]),
            spread([r["ceiling_fps"] for r in runs]), percent([r["fps"] / r["ceiling_fps"] for r in runs]),
            f"{size(first)}, {first['precision']}, batch {batch}, {first['frames']} frames, {decoding(first)}", on(first), command(name)))
    for name, runs in deeplabcut.items():
        if not runs:
            continue
        same(runs, name, ["precision", "device", "width", "height", "backbone", "stride", "threads", "torch"])
        first = runs[0]
        for batch in sorted(first["runs"], key=int):
            each = [r["runs"][batch] for r in runs]
            lines.append(row(
                f"DeepLabCut, ResNet-50 ({first['backbone']}), stride {first['stride']}", spread([e["fps"] for e in each]),
                spread([e["ceiling_fps"] for e in each]), percent([e["fps"] / e["ceiling_fps"] for e in each]),
                f"{size(first)}, {PRECISIONS[first['precision']]}, batch {batch}, {each[0]['frames']} frames, decode included",
                on(first), command(name)))
    lines += ["", *ratios(limn, deeplabcut)]
    lines += ["What limits limn, and how busy each stage is (of the time; a stage waits for the slowest one):", ""]
    for runs in limn.values():
        if runs:
            middle = sorted(runs, key=lambda r: r["fps"])[len(runs) // 2]
            lines.append(f"- {NAMES.get(middle['net'], middle['net'])}, {middle['precision']}: {middle['limit']} ({busy(middle['stages'])})")
    return "\n".join(lines) + "\n"


def ratios(limn, deeplabcut):
    """limn against DeepLabCut's better batch size, round by round."""
    if not any(deeplabcut.values()):
        return ["DeepLabCut was not measured in this run.", ""]

    def best(name):
        runs = deeplabcut[name]
        batch = max(runs[0]["runs"], key=lambda b: statistics.median(r["runs"][b]["fps"] for r in runs))
        return batch, [r["runs"][batch]["fps"] for r in runs]

    lines = ["| ResNet-50, stride 16, the same video: limn's frames/s over DeepLabCut's | times |", "|---|---|"]
    pairs = [("resnet_50", "deeplabcut"), ("resnet_50-fp32", "deeplabcut"), ("resnet_50", "deeplabcut-autocast")]
    for ours, theirs in pairs:
        if limn[ours] and deeplabcut[theirs]:
            batch, fps = best(theirs)
            first, other = limn[ours][0], deeplabcut[theirs][0]
            if size(first) != size(other) or first["source"] != "video":
                stop(f"{ours} measured {size(first)} of a {first['source']} source, {theirs} {size(other)} of the video: no ratio")
            lines.append(row(
                f"limn in {limn[ours][0]['precision']}, DeepLabCut in {PRECISIONS[deeplabcut[theirs][0]['precision']]} at its better batch size, {batch}",
                spread([a["fps"] / b for a, b in zip(limn[ours], fps)])))
    return [*lines, ""]


def split(page):
    """What stands before and after the block."""
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or END not in text.split(BEGIN)[1]:
        stop(f"{page} needs the line `{BEGIN}` once, and `{END}` after it")
    before, rest = text.split(BEGIN)
    return before, rest.split(END, 1)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, nargs="?", help="where the runs' JSON lies")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--load", type=float, default=0.0, help="the load average before")
    parser.add_argument("--limn", default="limn", help="what limn --version prints")
    parser.add_argument("--commit", default="")
    parser.add_argument("--gpu", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--video", default="")
    parser.add_argument("--page", type=pathlib.Path, help="write into this page [default: print]")
    parser.add_argument("--check", type=pathlib.Path, help="only see whether this page has the place for it")
    args = parser.parse_args()
    if args.check:
        split(args.check)
        return
    if not args.folder:
        parser.error("a folder is needed")
    text = block(args)
    if not args.page:
        print(text, end="")
        return
    before, after = split(args.page)
    whole = args.page.with_name(args.page.name + ".new")
    whole.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")
    os.replace(whole, args.page)


if __name__ == "__main__":
    main()
