#include "common/pixels.h"

#include <cstddef>
#include <fstream>
#include <string>

#include "common/bad_input.h"
#include "common/plain_text.h"

namespace {

/// Each step is rounded to float32, as where the ranges were calibrated. The programs are compiled
/// with -ffp-contract=off: fused steps would round once and differ in the last bit.
float normalise(std::uint8_t value, float mean, float std) {
  return (static_cast<float>(value) / 255.0F - mean) / std;
}

/// Calls `store(target, pixel, channel)` for each number of the model's input in its order.
template <typename Store>
void in_order(const Metadata& metadata, Store store) {
  const std::size_t area = metadata.height * metadata.width;
  for (std::size_t pixel = 0; pixel < area; ++pixel) {
    for (std::size_t channel = 0; channel < kChannels; ++channel) {
      const std::size_t source = pixel * kChannels + channel;
      store(metadata.channels_last ? source : channel * area + pixel, source, channel);
    }
  }
}

}  // namespace

Pixels read_pixels(const std::filesystem::path& path, const Metadata& metadata) {
  const std::string where = visible(path.string());
  const std::size_t expected = metadata.height * metadata.width * kChannels;
  if (!std::filesystem::is_regular_file(path)) {
    throw BadInput(where + ": expected a file of raw RGB pixels, found none; check the path");
  }
  const std::uintmax_t found = std::filesystem::file_size(path);
  if (found != expected) {
    throw BadInput(where + ": expected " + std::to_string(expected) + " bytes (" +
                   std::to_string(metadata.height) + " x " + std::to_string(metadata.width) +
                   " pixels of R, G and B), found " + std::to_string(found) +
                   "; resize and crop the image first");
  }
  Pixels pixels(expected);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(expected));
  if (!file) {
    throw BadInput(where + ": cannot be read");
  }
  return pixels;
}

Pixels arranged(const Pixels& pixels, const Metadata& metadata) {
  Pixels input(pixels.size());
  in_order(metadata, [&](std::size_t target, std::size_t source, std::size_t) {
    input[target] = pixels[source];
  });
  return input;
}

std::vector<float> normalised(const Pixels& pixels, const Metadata& metadata) {
  std::vector<float> input(pixels.size());
  in_order(metadata, [&](std::size_t target, std::size_t source, std::size_t channel) {
    input[target] = normalise(pixels[source], metadata.mean[channel], metadata.std[channel]);
  });
  return input;
}
