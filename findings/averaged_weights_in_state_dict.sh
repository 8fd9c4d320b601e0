#!/bin/sh
# A checkpoint's state_dict holds the averaged weights, and the key called "ema" the raw ones.
#
# The guess: in a checkpoint saved while a training averages its weights, state_dict is what the
# optimizer trained, and a key that names an average holds the average. timm (state_dict,
# state_dict_ema) and torchvision's references (model, model_ema) write it so. At least, one package
# keeps one order, and keys that tell raw from averaged hold different weights.
#
# The behaviour, on a single weight that is n after n steps, so that each average is known by hand:
# - mmengine's EMAHook exchanges the two: state_dict is the average, ema_state_dict the raw weights.
# - Lightning's WeightAveraging and EMAWeightAveraging: state_dict is the average, current_model_state
#   the raw weights. averaging_state, beside them, is a counter.
# - Lightning's StochasticWeightAveraging: state_dict is raw, and the average is under callbacks.
# - Lightning's trainer.save_checkpoint after fit, with EMAWeightAveraging: current_model_state is the
#   average, too, for it has replaced the network's weights. The raw weights are gone.
# Docstrings of both packages mention the exchange (EMAHook, WeightAveraging.on_save_checkpoint);
# the files do not say it.
#
# Versions: lightning 2.6.6, mmengine 0.10.7, torch 2.13.0, Python 3.11.
#
# Why it matters: whoever prefers the key called "ema", or believes that state_dict is raw, gets the
# other weights: of the same shapes, working, and a little worse or better than was reported. Nothing
# fails. A way out: go by the tool that wrote the file, or ask; never by the name of the key alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 lightning==2.6.6 \
    addict==2.4.0 matplotlib==3.11.2 opencv-python-headless==5.0.0.93 pyyaml==6.0.4 rich==15.0.0 \
    termcolor==3.3.0 yapf==0.43.0
"$folder/venv/bin/pip" install --quiet --no-deps mmengine==0.10.7 # it asks for the OpenCV of desktops
cat > "$folder/show.py" <<'PYTHON'
import logging
import sys
import warnings
from pathlib import Path

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")

EPOCHS, STEPS_PER_EPOCH, STEP = 2, 4, 6
DECAY = 0.5
INPUTS = [{"x": torch.ones(1)}] * STEPS_PER_EPOCH


def zero_weight():
    """A layer whose loss, -weight, moves the weight from 0 by 1 per step of SGD at rate 1."""
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    return layer


class LightningNetwork(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = zero_weight()

    def training_step(self, batch, index):
        return -self.layer(batch["x"]).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


class MMEngineNetwork(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = zero_weight()

    def forward(self, x, mode):
        return {"loss": -self.layer(x).mean()}


def by_lightning(averaging, folder):
    """Checkpoints from within training and from after it."""
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[averaging, ModelCheckpoint(folder, "within", every_n_train_steps=STEP)],
    )
    trainer.fit(LightningNetwork(), DataLoader(INPUTS, batch_size=1))
    trainer.save_checkpoint(folder / "after.ckpt")
    return [torch.load(folder / name, weights_only=False) for name in ("within.ckpt", "after.ckpt")]


def by_mmengine(folder):
    """A checkpoint from within training; it is this program's own, so it is loaded whole."""
    runner = Runner(
        MMEngineNetwork(),
        str(folder),
        train_dataloader=DataLoader(INPUTS, batch_size=1),
        train_cfg={"by_epoch": False, "max_iters": EPOCHS * STEPS_PER_EPOCH},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 1.0}},
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": STEP, "by_epoch": False}},
        custom_hooks=[{"type": "EMAHook", "momentum": 1 - DECAY}],
        log_level="ERROR",
    )
    runner.train()
    return torch.load(folder / f"iter_{STEP}.pth", weights_only=False)


def ema(step):
    average = 1.0
    for weight in range(2, step + 1):
        average = DECAY * average + (1 - DECAY) * weight
    return average


def show(title, checkpoint, *paths):
    print(title)
    for path in paths:
        found = checkpoint
        for key in path.split("/"):
            found = found[key]
        print(f"  {path}: {found[next(k for k in found if k.endswith('layer.weight'))].item()}")


folder = Path(sys.argv[1])
last = EPOCHS * STEPS_PER_EPOCH
print("by hand")
starts = [epoch * STEPS_PER_EPOCH for epoch in range(EPOCHS)]
mean = sum(starts) / EPOCHS
print(f"  step {STEP}: raw {float(STEP)}, EMA {ema(STEP)}, mean at the starts of epochs {mean}")
print(f"  step {last}: raw {float(last)}, EMA {ema(last)}")
within, after = by_lightning(EMAWeightAveraging(decay=DECAY), folder / "ema")
show(f"Lightning, EMAWeightAveraging, step {STEP}", within, "state_dict", "current_model_state")
show("Lightning, EMAWeightAveraging, after training", after, "state_dict", "current_model_state")
within, _ = by_lightning(StochasticWeightAveraging(1.0, swa_epoch_start=1), folder / "swa")
average = "callbacks/StochasticWeightAveraging/average_model_state"
show(f"Lightning, StochasticWeightAveraging, step {STEP}", within, "state_dict", average)
show(f"mmengine, EMAHook, step {STEP}", by_mmengine(folder / "mmengine"), "state_dict", "ema_state_dict")
PYTHON
cat > "$folder/expected" <<'TEXT'
by hand
  step 6: raw 6.0, EMA 5.03125, mean at the starts of epochs 2.0
  step 8: raw 8.0, EMA 7.0078125
Lightning, EMAWeightAveraging, step 6
  state_dict: 5.03125
  current_model_state: 6.0
Lightning, EMAWeightAveraging, after training
  state_dict: 7.0078125
  current_model_state: 7.0078125
Lightning, StochasticWeightAveraging, step 6
  state_dict: 6.0
  callbacks/StochasticWeightAveraging/average_model_state: 2.0
mmengine, EMAHook, step 6
  state_dict: 5.03125
  ema_state_dict: 6.0
TEXT
"$folder/venv/bin/python" "$folder/show.py" "$folder/checkpoints" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-11-30:
#   by hand
#     step 6: raw 6.0, EMA 5.03125, mean at the starts of epochs 2.0
#     step 8: raw 8.0, EMA 7.0078125
#   Lightning, EMAWeightAveraging, step 6
#     state_dict: 5.03125
#     current_model_state: 6.0
#   Lightning, EMAWeightAveraging, after training
#     state_dict: 7.0078125
#     current_model_state: 7.0078125
#   Lightning, StochasticWeightAveraging, step 6
#     state_dict: 6.0
#     callbacks/StochasticWeightAveraging/average_model_state: 2.0
#   mmengine, EMAHook, step 6
#     state_dict: 5.03125
#     ema_state_dict: 6.0
