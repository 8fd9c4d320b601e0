/// Classifies an image with the ONNX artefact in ONNX Runtime.

#include <onnxruntime_cxx_api.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "common/bad_input.h"
#include "common/model_file.h"
#include "common/pixels.h"
#include "common/plain_text.h"
#include "common/program.h"

namespace {

constexpr std::string_view kSources = "/onnxruntime_src/";

/// A library that is older than the header lacks what the header's classes call.
void check_library(const OrtApiBase& base) {
  if (base.GetApi(ORT_API_VERSION) == nullptr) {
    throw BadInput("expected ONNX Runtime 1." + std::to_string(ORT_API_VERSION) +
                   " or later, for which this program was compiled, found " +
                   base.GetVersionString());
  }
}

std::string_view after(std::string_view text, std::string_view mark) {
  const auto found = text.find(mark);
  return found == std::string_view::npos ? text : text.substr(found + mark.size());
}

/// What ONNX Runtime says, without a place and a signature in its own sources before it.
std::string cause(const Ort::Exception& problem) {
  const std::string_view text = after(problem.what(), "failed:");
  const bool has_place = text.substr(0, kSources.size()) == kSources;
  return last_line(has_place ? after(text, ") ") : text);
}

Ort::SessionOptions options_for(int threads) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(threads);
  options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  return options;
}

Ort::Session load(const Ort::Env& env, const Arguments& arguments, const std::string& where) {
  try {
    return Ort::Session(env, arguments.model.c_str(), options_for(arguments.threads));
  } catch (const Ort::Exception& problem) {
    throw BadInput(where + ": ONNX Runtime " + Ort::GetVersionString() + " cannot load it: " +
                   cause(problem) + "; take a newer one, or export the model again");
  }
}

Metadata metadata_of(const Ort::Session& session, const std::string& where) {
  Ort::AllocatorWithDefaultOptions allocator;
  const auto document =
      session.GetModelMetadata().LookupCustomMetadataMapAllocated(kOnnxKey, allocator);
  if (document == nullptr) {
    refuse_without_metadata(where);
  }
  return parse_metadata(document.get(), where);
}

template <typename Number>
std::vector<float> logits_of(Ort::Session& session, std::vector<Number> input,
                             const Metadata& metadata) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto shape = metadata.input_shape();
  const auto batch = Ort::Value::CreateTensor<Number>(memory, input.data(), input.size(),
                                                      shape.data(), shape.size());
  Ort::AllocatorWithDefaultOptions allocator;
  const auto input_name = session.GetInputNameAllocated(0, allocator);
  const auto output_name = session.GetOutputNameAllocated(0, allocator);
  const std::array<const char*, 1> inputs{input_name.get()};
  const std::array<const char*, 1> outputs{output_name.get()};
  const auto answers = session.Run(Ort::RunOptions{nullptr}, inputs.data(), &batch, inputs.size(),
                                   outputs.data(), outputs.size());
  const Ort::Value& logits = answers.front();
  const auto type = logits.GetTensorTypeAndShapeInfo();
  if (type.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
    throw BadInput("expected logits of type float32, found another type");
  }
  const auto* first = logits.GetTensorData<float>();
  return {first, first + type.GetElementCount()};
}

Answer classify(const Arguments& arguments) {
  const std::string where = expect_onnx(arguments.model);
  check_library(*OrtGetApiBase());
  // What goes wrong is said once, by the exception.
  const Ort::Env env(ORT_LOGGING_LEVEL_FATAL);
  Ort::Session session = load(env, arguments, where);
  const Metadata metadata = metadata_of(session, where);
  const Pixels pixels = read_pixels(arguments.image, metadata);
  try {
    if (metadata.takes_pixels) {
      return {metadata, logits_of(session, arranged(pixels, metadata), metadata)};
    }
    return {metadata, logits_of(session, normalised(pixels, metadata), metadata)};
  } catch (const Ort::Exception& problem) {
    throw BadInput(where + ": ONNX Runtime " + Ort::GetVersionString() +
                   " cannot run it: " + cause(problem));
  }
}

}  // namespace

int main(int argc, char** argv) { return run("classify_onnxruntime", classify, argc, argv); }
