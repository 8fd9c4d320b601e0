"""Writes the files beside it with Keras itself: KERAS_BACKEND=torch python make.py (keras 3.15)."""

import json
from pathlib import Path

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent
SIDE = 13


def photo() -> np.ndarray:
    """One image, float32 (1, SIDE, SIDE, 3), pixels in 0..255."""
    pixels = np.arange(SIDE * SIDE * 3, dtype=np.int64) * 37 % 256
    return pixels.reshape(1, SIDE, SIDE, 3).astype(np.float32)


def block() -> keras.Model:
    """A model that is a layer of another, and is called twice."""
    return keras.Sequential(
        [
            layers.Input((7, 7, 8)),
            layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2, activation="relu6"),
            layers.BatchNormalization(epsilon=1e-2, scale=False),
        ],
        name="block",
    )


def gate(x: keras.KerasTensor) -> keras.KerasTensor:
    """Squeeze and excitation."""
    small = layers.Reshape((1, 1, -1))(layers.GlobalAveragePooling2D()(x))
    small = layers.Conv2D(4, 1, activation="swish")(small)
    return layers.Multiply()([x, layers.Conv2D(8, 1, activation="hard_sigmoid")(small)])


def functional() -> keras.Model:
    """Every kind of padding, and what is in the way of another order of dimensions."""
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.RandomFlip()(images)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 1, 2])(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(max_value=6)(layers.BatchNormalization()(x))
    shared = block()
    x = layers.Add()([shared(x), shared(shared(x))])
    x = gate(x)
    x = layers.Concatenate()([x, layers.AveragePooling2D(2, 1, padding="same")(x)])
    x = layers.MaxPooling2D(2, 1, padding="same")(layers.LeakyReLU(0.1)(x))
    x = layers.Conv2D(6, (2, 3), strides=(2, 1), padding="same", groups=2, activation="silu")(x)
    x = layers.ZeroPadding2D(((0, 1), (2, 1)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2)(x)
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.ZeroPadding2D(1)(x))
    x = layers.UpSampling2D(2)(layers.Cropping2D(((0, 0), (0, 1)))(x))
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Dense(9, activation="gelu")(x)
    return keras.Model(images, layers.Dense(5, activation="softmax")(x), name="golden")


def main() -> None:
    """Write the model both ways, and its logits."""
    keras.utils.set_random_seed(0)
    model = functional()
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers():
        weights = [value + rng.uniform(-0.05, 0.1, value.shape) for value in layer.get_weights()]
        layer.set_weights(weights)
    model.save(HERE / "golden.keras")
    model.save(HERE / "golden.h5")
    model.layers[-1].activation = keras.activations.linear
    logits = keras.ops.convert_to_numpy(model(photo(), training=False))
    (HERE / "golden.json").write_text(json.dumps([float(value) for value in logits[0]]) + "\n")


if __name__ == "__main__":
    main()
