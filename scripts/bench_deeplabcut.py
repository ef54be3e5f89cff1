#!/usr/bin/env python3
"""Measures DeepLabCut 3.0.2 on this machine, for scripts/bench: its own video analysis, and with --train its training.

Runs in an environment that has torch 2.11.0 and deeplabcut 3.0.2 (scripts/bench makes one). A throw-away project is made
with a network of random weights, as the values do not change the speed; nothing is fetched. Prints one JSON object on
standard output; everything that DeepLabCut says goes to standard error.

    python scripts/bench_deeplabcut.py VIDEO --frames 96 --batch 1,8 --device cpu
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a benchmark does not wait for a hub
os.environ.setdefault("MPLBACKEND", "Agg")
SCORER = "bench"
TRAINED_AT = 448  # the side of the crops that DeepLabCut trains a whole-picture network on


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=pathlib.Path)
    parser.add_argument("--frames", type=int, help="only the first frames of the video [default: all]")
    parser.add_argument("--batch", default="1,8", help="batch sizes for the analysis [default: 1,8]")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N [default: cpu]")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU [default: torch's own choice]")
    parser.add_argument("--precision", choices=["fp32", "autocast"], default="fp32",
                        help="autocast: with DeepLabCut's option of that name, which is off unless set; its training has no "
                             "such option, and gets torch's own around each step [default: fp32]")
    parser.add_argument("--net", default="resnet_50", help="DeepLabCut's name of the network [default: resnet_50]")
    parser.add_argument("--bodyparts", type=int, default=4)
    parser.add_argument("--ceiling-steps", type=int, default=3,
                        help="forward passes of the network alone per batch size, at least [default: 3]")
    parser.add_argument("--ceiling-seconds", type=float, default=5, help="seconds of them, at least [default: 5]")
    parser.add_argument("--no-analysis", action="store_true", help="with --train: only the training")
    parser.add_argument("--train", action="store_true", help="also measure training, batch 8")
    parser.add_argument("--train-steps", type=int, default=3, help="measured steps, after one to warm up [default: 3]")
    parser.add_argument("--train-batch", type=int, default=8)
    args = parser.parse_args()
    try:
        args.batches = [int(b) for b in args.batch.split(",")]
    except ValueError:
        parser.error(f"--batch {args.batch}: not numbers with commas between")
    positive = [*args.batches, args.bodyparts, args.ceiling_steps, args.train_steps, args.train_batch]
    positive += [n for n in (args.frames, args.threads) if n is not None]
    if min(positive) < 1:
        parser.error("counts must be 1 or more")
    if not args.video.is_file():
        parser.error(f"there is no video {args.video}")
    return args


def make_project(deeplabcut, args, folder):
    """A project with one labelled clip and the model folder of shuffle 1; gives the path of its config.yaml."""
    import cv2
    import numpy as np
    import pandas as pd

    config = pathlib.Path(deeplabcut.create_new_project("bench", SCORER, [str(args.video)], str(folder)))
    bodyparts = [f"part{i + 1}" for i in range(args.bodyparts)]
    # DeepLabCut wants a labelled data set before it makes a model. Where the labels lie is of no matter to the speed.
    train = args.train_batch * (1 + args.train_steps) if args.train else 4
    deeplabcut.auxiliaryfunctions.edit_config(str(config), {
        "bodyparts": bodyparts, "skeleton": [], "TrainingFraction": [round(train / (train + 2), 2)]})
    labelled = config.parent / "labeled-data" / args.video.stem
    labelled.mkdir(exist_ok=True)
    video, rows, points = cv2.VideoCapture(str(args.video)), [], []
    random = np.random.default_rng(0)
    ok, picture = video.read()
    if not ok:
        sys.exit(f"OpenCV reads no frame of {args.video}")
    for i in range(train + 2):
        name = f"img{i:04d}.png"
        cv2.imwrite(str(labelled / name), picture)
        rows.append(("labeled-data", args.video.stem, name))
        height, width = picture.shape[:2]
        points.append(random.uniform(0.1, 0.9, (args.bodyparts, 2)) * (width, height))
        ok, following = video.read()
        picture = following if ok else picture  # a short video: its last frame again
    columns = pd.MultiIndex.from_product([[SCORER], bodyparts, ["x", "y"]], names=["scorer", "bodyparts", "coords"])
    table = pd.DataFrame(np.reshape(points, (len(rows), -1)), index=pd.MultiIndex.from_tuples(rows), columns=columns)
    table.to_hdf(labelled / f"CollectedData_{SCORER}.h5", key="df_with_missing", mode="w")
    table.to_csv(labelled / f"CollectedData_{SCORER}.csv")
    deeplabcut.create_training_dataset(
        str(config), Shuffles=[1], userfeedback=False, net_type=args.net,
        trainIndices=[list(range(train))], testIndices=[[train, train + 1]])
    return config


def analyze(torch, args, config, batch, folder):
    """DeepLabCut's own analyze_videos, from opening the video to the written files; loading the model is told apart.

    Then the network alone, on one of the batches that the analysis gave it, in the memory layout that they have there.
    """
    from deeplabcut.pose_estimation_pytorch.apis import videos

    marks = {}

    class FirstFrames(videos.VideoIterator):
        """The video as DeepLabCut reads it, ending after some frames."""

        limit = args.frames

        def __len__(self):
            return self.get_n_frames()

        def get_n_frames(self, robust=False):
            count = super().get_n_frames(robust)
            return min(count, self.limit) if self.limit else count

        def __next__(self):
            if self.limit and self._index >= self.limit:
                self._index = 0
                self.reset()
                raise StopIteration
            return super().__next__()

    def load(*a, **k):
        runner = marks["runner"] = build(*a, **k)
        predict = runner.predict

        def seen(inputs, **more):
            marks.setdefault("batch", inputs)
            return predict(inputs, **more)

        runner.predict = seen
        marks["loaded"] = time.perf_counter()
        return runner

    def run(*a, **k):
        begin = time.perf_counter()
        predictions = infer(*a, **k)
        marks["inference"] = time.perf_counter() - begin
        marks["frames"] = len(predictions)
        return predictions

    build, infer, iterator = videos.utils.get_pose_inference_runner, videos.video_inference, videos.VideoIterator
    videos.utils.get_pose_inference_runner, videos.video_inference, videos.VideoIterator = load, run, FirstFrames
    try:
        # Once over a few frames before: memory, threads and kernels are there when it counts.
        for limit, out in ((batch * 2, folder / f"warm-{batch}"), (args.frames, folder / f"batch-{batch}")):
            FirstFrames.limit = limit
            begin = time.perf_counter()
            videos.analyze_videos(
                str(config), [str(args.video)], shuffle=1, device=args.device, batch_size=batch, destfolder=str(out),
                inference_cfg={"autocast": {"enabled": args.precision == "autocast"}})
            end = time.perf_counter()
    finally:
        videos.utils.get_pose_inference_runner, videos.video_inference, videos.VideoIterator = build, infer, iterator
    if not list(out.glob("*.h5")):
        sys.exit(f"DeepLabCut wrote no table of tracks at batch size {batch}")
    seconds = end - marks["loaded"]
    resident = marks["batch"].to(args.device)
    return {
        "fps": marks["frames"] / seconds, "frames": marks["frames"], "seconds": seconds,
        "inference_seconds": marks["inference"], "load_seconds": marks["loaded"] - begin,
        "ceiling_fps": ceiling(torch, args, marks["runner"].model, resident),
    }


def ceiling(torch, args, model, x):
    """Frames per second of the network alone, on a batch of the analysis that lies on the device already."""
    taken = []
    with torch.inference_mode(), torch.autocast(args.device.split(":")[0], enabled=args.precision == "autocast"):
        # Some seconds at least, as one short pass says little.
        while len(taken) <= args.ceiling_steps or sum(taken[1:]) < args.ceiling_seconds:
            begin = time.perf_counter()
            model(x)
            if args.device.startswith("cuda"):
                torch.cuda.synchronize(args.device)
            taken.append(time.perf_counter() - begin)
    return len(x) / statistics.median(taken[1:])


def train(torch, deeplabcut, args, config):
    """Images per second of DeepLabCut's own training loop: reading, augmentation, forward, backward, optimizer."""
    from deeplabcut.pose_estimation_pytorch.runners.train import PoseTrainingRunner

    ends, losses, shapes = [], [], set()
    step = PoseTrainingRunner.step

    def timed(self, batch, mode="train"):
        with torch.autocast(args.device.split(":")[0], dtype=torch.bfloat16, enabled=args.precision == "autocast"):
            loss = step(self, batch, mode)  # it gives the losses as numbers on the CPU, so that a GPU is done here
        if mode == "train":
            ends.append(time.perf_counter())
            losses.append(float(loss["total_loss"]))
            shapes.add(tuple(batch["image"].shape))
        return loss

    PoseTrainingRunner.step = timed
    try:
        deeplabcut.train_network(
            str(config), shuffle=1, device=args.device, batch_size=args.train_batch, epochs=1, save_epochs=1,
            display_iters=1)
    finally:
        PoseTrainingRunner.step = step
    wanted = {(args.train_batch, 3, TRAINED_AT, TRAINED_AT)}
    if shapes != wanted or len(ends) != 1 + args.train_steps:
        sys.exit(f"DeepLabCut trained {len(ends)} steps of {sorted(shapes)}; expected {1 + args.train_steps} of {wanted}")
    taken = [b - a for a, b in zip(ends, ends[1:])]
    return {
        "images_per_second": args.train_batch / statistics.median(taken), "seconds_per_step": taken,
        "steps": len(taken), "batch": args.train_batch, "crop": TRAINED_AT, "precision": args.precision, "losses": losses,
    }


def measure(args, folder):
    begin = time.perf_counter()
    import timm
    import torch

    create = timm.create_model

    def without_fetching(*a, **k):
        return create(*a, **{**k, "pretrained": False})

    timm.create_model = without_fetching
    import cv2
    import deeplabcut
    from deeplabcut.pose_estimation_pytorch.config import PoseConfig
    from deeplabcut.pose_estimation_pytorch.models import PoseModel

    imported = time.perf_counter() - begin
    cuda = args.device.startswith("cuda")
    if cuda and not torch.cuda.is_available():
        sys.exit(f"--device {args.device}: torch {torch.__version__} sees no CUDA device here")
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    config = make_project(deeplabcut, args, folder)
    (model_file,) = config.parent.glob("dlc-models-pytorch/*/*/train/pytorch_config.yaml")
    settings = PoseConfig.from_yaml(model_file)
    torch.save({"model": PoseModel.build(settings["model"]).state_dict()}, model_file.parent / "snapshot-000.pt")
    backbone = settings["model"]["backbone"]
    video = cv2.VideoCapture(str(args.video))
    width, height = (int(video.get(k)) for k in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    video.release()

    result = {
        "program": "DeepLabCut", "deeplabcut": deeplabcut.__version__, "torch": torch.__version__,
        "timm": timm.__version__, "python": sys.version.split()[0], "device": args.device,
        "device_name": torch.cuda.get_device_name(args.device) if cuda else None, "threads": torch.get_num_threads(),
        "precision": args.precision, "net": args.net, "backbone": backbone["model_name"],
        "stride": backbone["output_stride"], "bodyparts": args.bodyparts, "init": "random", "source": "video",
        "video": args.video.name, "width": width, "height": height, "import_seconds": imported, "runs": {},
    }
    for batch in [] if args.no_analysis else args.batches:
        result["runs"][str(batch)] = analyze(torch, args, config, batch, folder)
    if args.train:
        result["train"] = train(torch, deeplabcut, args, config)
    return result


def main():
    args = arguments()
    args.video = args.video.resolve()
    # Standard output is for the JSON alone, whatever libraries print.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="limn-bench-") as folder:
        result = measure(args, pathlib.Path(folder))
    print(json.dumps(result), file=out, flush=True)


if __name__ == "__main__":
    main()
