/// What an artefact says about itself: enough to feed it and to name its classes.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Under this key an ONNX model keeps its metadata.
inline constexpr const char* kOnnxKey = "eightbit";

inline constexpr std::size_t kChannels = 3;

/// What the outputs of a model mean.
enum class Task { kSingleLabel, kBinary, kMultiLabel, kRegression };

struct Metadata {
  std::size_t num_classes;  ///< Number of outputs.
  Task task;
  double threshold_logit;  ///< A binary or multi-label model says yes to what is higher.
  /// One per class, of a binary model two, visible; empty where they are not known.
  std::vector<std::string> labels;
  std::size_t height;               ///< Of the image, in pixels.
  std::size_t width;                ///< Of the image, in pixels.
  std::array<float, kChannels> mean;
  std::array<float, kChannels> std;
  bool takes_pixels;   ///< uint8, 0 to 255; otherwise float32, normalised.
  bool channels_last;  ///< (N, H, W, C); otherwise (N, C, H, W).
  std::string engine;  ///< torch's quantized engine, such as "onednn"; empty for any.

  /// Of a batch of one image.
  std::array<std::int64_t, 4> input_shape() const;
};

/// Throws BadInput: a document of so many bytes is not worth the memory to read it.
void check_length(std::size_t bytes, const std::string& where);

/// Reads the JSON document of an artefact.
///
/// Throws BadInput, beginning with `where`: it is invalid, too big or of a newer version.
Metadata parse_metadata(std::string_view document, const std::string& where);

/// Throws BadInput: the artefact carries no metadata, so that nothing says how to feed it.
[[noreturn]] void refuse_without_metadata(const std::string& where);
