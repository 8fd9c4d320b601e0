#include "common/metadata.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "common/bad_input.h"
#include "common/plain_text.h"

namespace {

using Json = nlohmann::json;

constexpr int kNewestVersion = 1;
constexpr std::size_t kMostBytes = 16 << 20;
constexpr std::size_t kMostClasses = 1'000'000;
constexpr std::size_t kLongestSide = 8192;  // 200 MB of pixels; no classifier sees more

/// The file is a stranger's: a number that is believed unseen could ask for all memory.
std::size_t count_within(const Json& value, std::size_t most) {
  const auto count = value.get<double>();
  if (!value.is_number_integer() || count < 1 || count > static_cast<double>(most)) {
    throw BadInput("expected a count from 1 to " + std::to_string(most) + ", found " +
                   value.dump());
  }
  return value.get<std::size_t>();
}

/// Height and width; a square's are one number.
std::pair<std::size_t, std::size_t> sides_of(const Json& size) {
  if (!size.is_array()) {
    const std::size_t side = count_within(size, kLongestSide);
    return {side, side};
  }
  if (size.size() != 2) {
    throw BadInput("expected height and width, found " + size.dump());
  }
  return {count_within(size.at(0), kLongestSide), count_within(size.at(1), kLongestSide)};
}

std::array<float, kChannels> per_channel(const Json& values) {
  std::array<float, kChannels> numbers{};
  if (values.size() != kChannels) {
    throw BadInput("expected a number for each of R, G and B, found " + values.dump());
  }
  for (std::size_t channel = 0; channel < kChannels; ++channel) {
    numbers[channel] = values.at(channel).get<float>();
    if (!std::isfinite(numbers[channel])) {
      throw BadInput("expected a finite number, found " + values.dump());
    }
  }
  return numbers;
}

Task task_of(const Json& spec, std::size_t num_classes) {
  // A single output that does not say more decides between two classes.
  const std::string usual = num_classes == 1 ? "binary" : "single-label";
  const auto word = spec.value("task", usual);
  const std::array<std::pair<const char*, Task>, 4> known{{{"single-label", Task::kSingleLabel},
                                                           {"binary", Task::kBinary},
                                                           {"multi-label", Task::kMultiLabel},
                                                           {"regression", Task::kRegression}}};
  for (const auto& [name, task] : known) {
    if (word == name && (task != Task::kBinary || num_classes == 1)) {
      return task;
    }
  }
  throw BadInput("task: expected one of " + std::to_string(num_classes) +
                 " outputs that this program knows, found " + visible(word));
}

double threshold_logit_of(const Json& spec) {
  const auto threshold = spec.value("threshold", 0.5);
  if (!(threshold > 0 && threshold < 1)) {
    throw BadInput("threshold: expected a probability between 0 and 1, found " +
                   std::to_string(threshold));
  }
  return std::log(threshold / (1 - threshold));
}

std::vector<std::string> class_names(const Json& spec, std::size_t num_classes) {
  const auto found = spec.find("labels");
  if (found == spec.end() || found->is_null()) {
    return {};
  }
  auto names = found->get<std::vector<std::string>>();
  if (names.size() != num_classes) {
    throw BadInput("expected " + std::to_string(num_classes) + " labels, found " +
                   std::to_string(names.size()));
  }
  for (std::string& name : names) {
    name = visible(name);
  }
  return names;
}

/// One word of a few; the rest of the program relies on there being no other.
bool is_second(const Json& input, const char* key, const char* first, const char* second) {
  const auto word = input.value(key, std::string{first});
  if (word != first && word != second) {
    throw BadInput(std::string{key} + ": expected " + first + " or " + second + ", found " +
                   visible(word));
  }
  return word == second;
}

void check_version(const Json& document) {
  const Json& version = document.at("format_version");
  if (version != kNewestVersion) {
    throw BadInput("expected format_version " + std::to_string(kNewestVersion) +
                   " or lower, found " + version.dump() +
                   "; a newer eightbit wrote it: build the examples that came with it");
  }
}

Metadata read(const Json& document) {
  check_version(document);
  const Json& spec = document.at("spec");
  const Json& preprocessing = spec.at("preprocessing");
  // Artefacts that do not say what they take, take preprocessed images.
  const Json input = document.value("input", Json::object());
  Metadata metadata{};
  metadata.num_classes = count_within(spec.at("num_classes"), kMostClasses);
  metadata.task = task_of(spec, metadata.num_classes);
  metadata.threshold_logit = threshold_logit_of(spec);
  metadata.labels =
      class_names(spec, metadata.task == Task::kBinary ? 2 : metadata.num_classes);
  std::tie(metadata.height, metadata.width) = sides_of(preprocessing.at("crop"));
  metadata.mean = per_channel(preprocessing.at("mean"));
  metadata.std = per_channel(preprocessing.at("std"));
  metadata.takes_pixels = is_second(input, "dtype", "float32", "uint8");
  metadata.channels_last = is_second(input, "layout", "NCHW", "NHWC");
  const auto engine = document.find("engine");
  if (engine != document.end() && !engine->is_null()) {
    metadata.engine = engine->get<std::string>();
  }
  return metadata;
}

}  // namespace

std::array<std::int64_t, 4> Metadata::input_shape() const {
  const auto rows = static_cast<std::int64_t>(height);
  const auto columns = static_cast<std::int64_t>(width);
  const auto channels = static_cast<std::int64_t>(kChannels);
  if (channels_last) {
    return {1, rows, columns, channels};
  }
  return {1, channels, rows, columns};
}

void check_length(std::size_t bytes, const std::string& where) {
  if (bytes > kMostBytes) {
    throw BadInput(where + ": eightbit metadata: expected at most " + std::to_string(kMostBytes) +
                   " bytes, found more; do not trust this file");
  }
}

Metadata parse_metadata(std::string_view document, const std::string& where) {
  check_length(document.size(), where);
  const std::string begin = where + ": eightbit metadata: ";
  try {
    return read(Json::parse(document));
  } catch (const BadInput& problem) {
    throw BadInput(begin + problem.what());
  } catch (const Json::exception& problem) {
    throw BadInput(begin + "it is damaged: " + last_line(problem.what()));
  }
}

void refuse_without_metadata(const std::string& where) {
  throw BadInput(where +
                 ": expected an artefact with its preprocessing inside, found a model without "
                 "eightbit metadata");
}
