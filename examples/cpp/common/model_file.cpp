#include "common/model_file.h"

#include <array>
#include <fstream>
#include <string_view>

#include "common/bad_input.h"
#include "common/plain_text.h"

namespace {

constexpr std::string_view kZip = "PK\x03\x04";

std::string expect_file(const std::filesystem::path& path) {
  std::string where = visible(path.string());
  if (!std::filesystem::is_regular_file(path)) {
    throw BadInput(where + ": expected a model file, found none; check the path");
  }
  return where;
}

/// A TorchScript archive is a zip; an ONNX model is one protobuf message and never begins so.
bool is_zip(const std::filesystem::path& path) {
  std::array<char, kZip.size()> begin{};
  std::ifstream(path, std::ios::binary).read(begin.data(), begin.size());
  return std::string_view(begin.data(), begin.size()) == kZip;
}

}  // namespace

std::string expect_onnx(const std::filesystem::path& path) {
  const std::string where = expect_file(path);
  if (is_zip(path)) {
    throw BadInput(where +
                   ": expected an ONNX model, found an archive; classify_torchscript runs "
                   "TorchScript");
  }
  return where;
}

std::string expect_torchscript(const std::filesystem::path& path) {
  const std::string where = expect_file(path);
  if (!is_zip(path)) {
    throw BadInput(where +
                   ": expected a TorchScript archive, found something else; an ONNX model runs in "
                   "classify_onnxruntime or classify_openvino");
  }
  return where;
}
