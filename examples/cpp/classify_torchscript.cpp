/// Classifies an image with the TorchScript artefact in libtorch.

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/import.h>  // torch/script.h takes twice as long to compile
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <string>
#include <vector>

#include "common/bad_input.h"
#include "common/model_file.h"
#include "common/pixels.h"
#include "common/plain_text.h"
#include "common/program.h"

namespace {

constexpr const char* kExtraFile = "extra/eightbit.json";

/// torch warns whoever loads a quantized model of what will be removed from torch; the user of a
/// program can do nothing about it.
class Silence : public c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

/// To be read before the module is loaded: it names the engine, and weights are packed for an
/// engine as they are loaded.
Metadata metadata_of(const Arguments& arguments, const std::string& where) {
  caffe2::serialize::PyTorchStreamReader archive(arguments.model.string());
  if (!archive.hasRecord(kExtraFile)) {
    refuse_without_metadata(where);
  }
  check_length(archive.getRecordSize(kExtraFile), where);  // it is unpacked as a whole
  const auto [data, size] = archive.getRecord(kExtraFile);
  return parse_metadata({static_cast<const char*>(data.get()), size}, where);
}

/// As it is called in Python: "onednn".
std::string name_of(at::QEngine engine) {
  std::string name = c10::toString(engine);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return name;
}

void use_engine(const std::string& wanted, const std::string& where) {
  std::string known;
  for (const at::QEngine engine : at::Context::supportedQEngines()) {
    if (name_of(engine) == wanted) {
      at::globalContext().setQEngine(engine);
      return;
    }
    known += (known.empty() ? "" : ", ") + name_of(engine);
  }
  throw BadInput(where + ": needs torch's quantized engine " + visible(wanted) +
                 ", which torch " TORCH_VERSION " lacks on this CPU; there are: " + known +
                 "; use the ONNX artefact, or quantize again on this machine");
}

template <typename Number>
std::vector<float> logits_of(torch::jit::Module& module, std::vector<Number> input,
                             const Metadata& metadata) {
  const auto batch = at::from_blob(input.data(), at::IntArrayRef(metadata.input_shape()),
                                   c10::CppTypeToScalarType<Number>::value);
  const at::Tensor logits = module.forward({batch}).toTensor().contiguous();
  const auto* first = logits.const_data_ptr<float>();
  return {first, first + logits.numel()};
}

/// Throws BadInput with the last line of what torch says; its errors have two bases.
template <typename Action>
auto explained(const std::string& what, Action action) {
  try {
    return action();
  } catch (const BadInput&) {
    throw;
  } catch (const c10::Error& problem) {
    throw BadInput(what + last_line(problem.what_without_backtrace()));
  } catch (const std::exception& problem) {
    throw BadInput(what + last_line(problem.what()));
  }
}

torch::jit::Module load(const Arguments& arguments) {
  torch::jit::Module module = torch::jit::load(arguments.model.string(), c10::kCPU);
  module.eval();
  return module;
}

Answer classify(const Arguments& arguments) {
  const std::string where = expect_torchscript(arguments.model);
  const c10::InferenceMode no_gradients;
  Silence silence;
  const c10::WarningUtils::WarningHandlerGuard quiet(&silence);
  if (arguments.threads > 0) {
    at::set_num_threads(arguments.threads);
  }
  const std::string torch = where + ": torch " TORCH_VERSION " cannot ";
  const Metadata metadata =
      explained(torch + "load it: ", [&] { return metadata_of(arguments, where); });
  const Pixels pixels = read_pixels(arguments.image, metadata);
  if (!metadata.engine.empty()) {
    use_engine(metadata.engine, where);
  }
  torch::jit::Module module = explained(torch + "load it: ", [&] { return load(arguments); });
  return explained(torch + "run it: ", [&]() -> Answer {
    if (metadata.takes_pixels) {
      return {metadata, logits_of(module, arranged(pixels, metadata), metadata)};
    }
    return {metadata, logits_of(module, normalised(pixels, metadata), metadata)};
  });
}

}  // namespace

int main(int argc, char** argv) { return run("classify_torchscript", classify, argc, argv); }
