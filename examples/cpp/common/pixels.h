/// From a raw RGB file to a model's input.

#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "common/metadata.h"

/// Rows from top to bottom, pixels from left to right, R, G and B of each: height * width * 3
/// bytes, resized and cropped.
using Pixels = std::vector<std::uint8_t>;

/// Throws BadInput: no such file, or one of another length.
Pixels read_pixels(const std::filesystem::path& path, const Metadata& metadata);

/// The pixels in the order of the model's axes, for a model that takes them as they are.
Pixels arranged(const Pixels& pixels, const Metadata& metadata);

/// The same for a model that takes normalised images: (x / 255 - mean) / std.
std::vector<float> normalised(const Pixels& pixels, const Metadata& metadata);
