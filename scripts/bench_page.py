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

BEGINS = {"infer": "<!-- inference: made by scripts/bench -->", "train": "<!-- training: made by scripts/bench -->"}
END = "<!-- end -->"
NEEDED = ["fps", "ceiling_fps", "stages", "limit", "device", "precision", "net", "width", "height", "batch", "frames", "source"]
NEEDED_TRAIN = ["images_per_s", "ceiling_images_per_s", "of_ceiling", "loader", "loader_busy", "waited", "limit", "device", "precision", "net",
                "stride", "crop", "batch", "frozen_stages", "steps"]
NEEDED_DECODE = ["decode_fps", "width", "height", "frames", "decoder"]
NEEDED_DEEPLABCUT = ["deeplabcut", "torch", "device", "threads", "precision", "backbone", "stride", "width", "height", "runs"]
NAMES = {"resnet_50": "ResNet-50", "resnet_18": "ResNet-18", "efficientnet_lite0": "EfficientNet-Lite0"}
PRECISIONS = {"fp32": "fp32 (its default)", "autocast": "torch's autocast (its option)"}
LIMN = ["resnet_50", "resnet_50-fp32", "resnet_18", "efficientnet_lite0"]
DEEPLABCUT = ["deeplabcut", "deeplabcut-autocast"]
LIMN_TRAIN = ["train-resnet_50", "train-resnet_50-fp32"]
DEEPLABCUT_TRAIN = ["train-deeplabcut", "train-deeplabcut-autocast"]
TRAIN_PRECISIONS = {"fp32": "fp32 (all it has)", "autocast": "bf16, by torch's autocast around its step (it has no such option)"}


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
        for key in ("fps", "ceiling_fps", "decode_fps", "images_per_s", "ceiling_images_per_s"):
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


def heading(args, title, deeplabcut):
    """What was measured when, on which machine, with which versions."""
    date = datetime.date.today().isoformat()
    versions = args.limn + (f" ({args.commit})" if args.commit else "")
    for runs in deeplabcut.values():
        for run in runs[:1]:
            versions += f"; DeepLabCut {run['deeplabcut']}, torch {run['torch']}" if "DeepLabCut" not in versions else ""
    machine = f"{cores()} CPU cores ({processor()})"
    if args.gpu and args.device != "cpu":
        machine += f", {args.gpu}"
    medians = "One round" if args.rounds == 1 else f"Medians of {args.rounds} rounds in which the programs took turns, with the least and the most"
    return [
        f"### {title}",
        f"Measured by `scripts/bench` on {date}: {machine}, {platform.system()} {platform.machine()}, load average {args.load:.2f} before it"
        + (" (**shared with other work**: alone all of it is faster)" if args.load > 0.5 else "") + f". {versions}. {medians}.",
    ]


def commands(folder):
    return lambda name: f"`{(folder / f'{name}.command').read_text().strip()}`"


def of_deeplabcut(train):
    """Images per second over all measured steps, as limn counts."""
    taken = train["seconds_per_step"]
    return train["batch"] * len(taken) / sum(taken)


def training(args):
    folder, rounds, command = args.folder, args.rounds, commands(args.folder)
    limn = {name: read(folder, name, rounds, NEEDED_TRAIN) for name in LIMN_TRAIN}
    deeplabcut = {name: read(folder, name, rounds, [*NEEDED_DEEPLABCUT, "train"]) for name in DEEPLABCUT_TRAIN}
    if not any(limn.values()):
        stop(f"there is no training of limn in {folder}")
    lines = heading(args, "Training", deeplabcut) + [
        "Images/s are whole steps: cutting and varying crops, forward pass, loss, backward pass, optimizer (limn's moving average of the",
        "weights too). `One batch` is the same steps on a batch that lies ready, in the same run. `Waited` is the share of the time in",
        "which the steps waited for crops. All of the network is trained, from random weights."
        + (f" VIDEO is `{args.video}`; limn's crops are cut from made-up pictures of 640x480." if args.video else ""),
        "",
        "| what | images/s | seconds a step | one batch, images/s | reached of it | waited | how | device | command |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, runs in limn.items():
        if not runs:
            continue
        same(runs, name, ["net", "precision", "device", "stride", "crop", "batch", "frozen_stages", "loader"])
        first = runs[0]
        lines.append(row(
            f"limn, {NAMES.get(first['net'], first['net'])}, stride {first['stride']}", spread([r["images_per_s"] for r in runs]),
            spread([r["batch"] / r["images_per_s"] for r in runs]), spread([r["ceiling_images_per_s"] for r in runs]),
            percent([r["of_ceiling"] for r in runs]), percent([r["waited"] for r in runs]),
            f"crops of {first['crop']} px, batch {first['batch']}, {first['precision']}, {first['steps']} steps, loader: {first['loader']}",
            on(first), command(name)))
    for name, runs in deeplabcut.items():
        if not runs:
            continue
        same(runs, name, ["precision", "device", "backbone", "stride", "threads", "torch"])
        first, each = runs[0], [r["train"] for r in runs]
        lines.append(row(
            f"DeepLabCut, ResNet-50 ({first['backbone']}), stride {first['stride']}", spread([of_deeplabcut(t) for t in each]),
            spread([t["batch"] / of_deeplabcut(t) for t in each]), "–", "–", "–",
            f"crops of {each[0]['crop']} px, batch {each[0]['batch']}, {TRAIN_PRECISIONS[first['precision']]}, {each[0]['steps']} steps",
            on(first), command(name)))
    pairs = [(ours, theirs) for theirs in DEEPLABCUT_TRAIN for ours in LIMN_TRAIN if limn[ours] and deeplabcut[theirs]]
    lines += [""] + (["| ResNet-50, stride 16, the same crops and batch: limn's images/s over DeepLabCut's | times |", "|---|---|"]
                     if pairs else ["DeepLabCut's training was not measured in this run."])
    for ours, theirs in pairs:
        first, other = limn[ours][0], deeplabcut[theirs][0]
        if any(first[key] != other["train"][key] for key in ("crop", "batch")) or first["stride"] != other["stride"]:
            stop(f"{ours} and {theirs} did not train on the same: no ratio")
        lines.append(row(
            f"limn in {first['precision']}, DeepLabCut in {TRAIN_PRECISIONS[other['precision']]}",
            spread([a["images_per_s"] / of_deeplabcut(b["train"]) for a, b in zip(limn[ours], deeplabcut[theirs])])))
    lines += ["", "What limits limn:", ""]
    for runs in limn.values():
        if runs:
            middle = sorted(runs, key=lambda r: r["images_per_s"])[len(runs) // 2]
            device = middle.get("device_busy")
            lines.append(f"- {middle['precision']}: {middle['limit']} (loader busy {100 * middle['loader_busy']:.0f} %, "
                         f"device busy {'unknown' if device is None else f'{100 * device:.0f} %'})")
    return "\n".join(lines) + "\n"


def inference(args):
    folder, rounds = args.folder, args.rounds
    command = commands(folder)
    limn = {name: read(folder, name, rounds, NEEDED) for name in LIMN}
    deeplabcut = {name: read(folder, name, rounds, NEEDED_DEEPLABCUT) for name in DEEPLABCUT}
    decode = read(folder, "decode", rounds, NEEDED_DECODE)
    if not any(limn.values()):
        stop(f"there is no run of limn in {folder}")

    lines = heading(args, "Inference", deeplabcut) + [
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


def split(text, page, half):
    """What stands before and after the block of one half."""
    begin = BEGINS[half]
    if text.count(begin) != 1 or END not in text.split(begin)[1]:
        stop(f"{page} needs the line `{begin}` once, and `{END}` after it")
    before, rest = text.split(begin)
    return before + begin, END + rest.split(END, 1)[1]


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
    parser.add_argument("--only", choices=["infer", "train"], help="one half [default: both]")
    parser.add_argument("--page", type=pathlib.Path, help="write into this page [default: print]")
    parser.add_argument("--check", type=pathlib.Path, help="only see whether this page has the places for it")
    args = parser.parse_args()
    halves = [args.only] if args.only else ["infer", "train"]
    page = args.check or args.page
    whole = page.read_text(encoding="utf-8") if page else ""
    for half in halves if page else []:
        split(whole, page, half)
    if args.check:
        return
    if not args.folder:
        parser.error("a folder is needed")
    texts = {half: {"infer": inference, "train": training}[half](args) for half in halves}
    if not args.page:
        print("\n".join(texts.values()), end="")
        return
    for half, text in texts.items():
        before, after = split(whole, args.page, half)
        whole = f"{before}\n{text}{after}"
    new = args.page.with_name(args.page.name + ".new")
    new.write_text(whole, encoding="utf-8")
    os.replace(new, args.page)


if __name__ == "__main__":
    main()
