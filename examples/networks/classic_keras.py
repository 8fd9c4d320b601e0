"""The ResNet that many Keras tutorials write out: blocks of the user's own class, "SAME", NHWC.

    eightbit quantize classic_keras.py:resnet34 ...

A model with layers of one's own has no file that says what it computes: `keras:FILE` refuses it.
So this file is run: Keras 3 on torch makes of the model a module of torch, which takes the images
channels last. Weights saved by `model.save_weights("resnet34.weights.h5")`, in whatever backend,
are loaded here. Needs `pip install keras h5py`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras import layers
from torch import Tensor, nn

WEIGHTS = Path("resnet34.weights.h5")


def _shortcut(channels: int, strides: int) -> keras.Sequential:
    return keras.Sequential(
        [
            layers.Conv2D(channels, 1, strides=strides, use_bias=False, name="conv1"),
            layers.BatchNormalization(momentum=0.9, epsilon=1.001e-5, name="BatchNorm"),
        ],
        name="shortcut",
    )


class BasicBlock(layers.Layer):
    """Two 3 x 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, out_channel: int, strides: int = 1, project: bool = False, **more) -> None:
        super().__init__(**more)
        options = {"padding": "SAME", "use_bias": False}
        self.conv1 = layers.Conv2D(out_channel, 3, strides=strides, **options)
        self.bn1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.conv2 = layers.Conv2D(out_channel, 3, **options)
        self.bn2 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.downsample = _shortcut(out_channel, strides) if project else None
        self.relu = layers.ReLU()
        self.add = layers.Add()

    def call(self, inputs, training=False):
        """Map (N, H, W, C) to (N, H / strides, W / strides, out_channel)."""
        identity = inputs if self.downsample is None else self.downsample(inputs)
        x = self.relu(self.bn1(self.conv1(inputs), training=training))
        x = self.bn2(self.conv2(x), training=training)
        return self.relu(self.add([identity, x]))


class Bottleneck(layers.Layer):
    """1 x 1, 3 x 3, 1 x 1; the stride is that of the second."""

    expansion = 4

    def __init__(self, out_channel: int, strides: int = 1, project: bool = False, **more) -> None:
        super().__init__(**more)
        wide = out_channel * self.expansion
        self.conv1 = layers.Conv2D(out_channel, 1, use_bias=False)
        self.bn1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.conv2 = layers.Conv2D(out_channel, 3, strides=strides, padding="SAME", use_bias=False)
        self.bn2 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.conv3 = layers.Conv2D(wide, 1, use_bias=False)
        self.bn3 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.downsample = _shortcut(wide, strides) if project else None
        self.relu = layers.ReLU()
        self.add = layers.Add()

    def call(self, inputs, training=False):
        """Map (N, H, W, C) to (N, H / strides, W / strides, 4 * out_channel)."""
        identity = inputs if self.downsample is None else self.downsample(inputs)
        x = self.relu(self.bn1(self.conv1(inputs), training=training))
        x = self.relu(self.bn2(self.conv2(x), training=training))
        x = self.bn3(self.conv3(x), training=training)
        return self.relu(self.add([identity, x]))


def build(
    block: type[BasicBlock] | type[Bottleneck],
    blocks_num: Sequence[int],
    side: int = 224,
    num_classes: int = 1000,
    include_top: bool = True,
) -> keras.Model:
    """A functional model of such blocks; its answers are logits, without a softmax."""
    images = keras.Input((side, side, 3))
    x = layers.Conv2D(64, 7, strides=2, padding="SAME", use_bias=False, name="conv1")(images)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="bn1")(x)
    # Behind a ReLU zeros are what "SAME" puts there, and torch has an operator for them.
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(layers.ReLU()(x))
    x = layers.MaxPooling2D(3, strides=2)(x)
    channels = 64
    for stage, count in enumerate(blocks_num):
        width = 64 * 2**stage
        for number in range(count):
            strides = 2 if stage and not number else 1
            project = strides != 1 or channels != width * block.expansion
            name = f"block{stage + 1}_unit_{number + 1}"
            x = block(width, strides, project and number == 0, name=name)(x)
            channels = width * block.expansion
    if include_top:
        x = layers.Dense(num_classes, name="logits")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, x)


class ChannelsSecond(nn.Module):
    """A Keras model on images as torch has them, (N, C, H, W)."""

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        return self.model(x.permute(0, 2, 3, 1), training=False)


def _of(block: type[BasicBlock] | type[Bottleneck], blocks_num: Sequence[int]) -> nn.Module:
    model = build(block, blocks_num)
    if WEIGHTS.exists():
        model.load_weights(WEIGHTS)
    return ChannelsSecond(model)


def resnet34() -> nn.Module:
    """With the weights that lie in the current folder, if there are any."""
    return _of(BasicBlock, (3, 4, 6, 3))


def resnet50() -> nn.Module:
    """Likewise."""
    return _of(Bottleneck, (3, 4, 6, 3))


def resnet101() -> nn.Module:
    """Likewise."""
    return _of(Bottleneck, (3, 4, 23, 3))
