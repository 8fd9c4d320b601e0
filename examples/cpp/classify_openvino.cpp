/// Classifies an image with the ONNX artefact in OpenVINO on the CPU.

#include <memory>
#include <openvino/core/version.hpp>
#include <openvino/runtime/core.hpp>
#include <string>
#include <vector>

#include "common/bad_input.h"
#include "common/model_file.h"
#include "common/pixels.h"
#include "common/plain_text.h"
#include "common/program.h"

namespace {

/// "2026.4.1", without the number of its build.
std::string version() {
  const std::string whole = ov::get_openvino_version().buildNumber;
  return whole.substr(0, whole.find('-'));
}

ov::AnyMap settings(int threads) {
  ov::AnyMap settings{
      {"PERFORMANCE_HINT", "LATENCY"},
      {"NUM_STREAMS", 1},
      // A CPU that has bfloat16 instructions would else compute in it what is left in float.
      {"INFERENCE_PRECISION_HINT", "f32"},
  };
  if (threads > 0) {
    settings["INFERENCE_NUM_THREADS"] = threads;
  }
  return settings;
}

/// The ONNX front end keeps the model's metadata under the name of its framework.
Metadata metadata_of(const ov::Model& model, const std::string& where) {
  if (!model.has_rt_info("framework", kOnnxKey)) {
    refuse_without_metadata(where);
  }
  return parse_metadata(model.get_rt_info<std::string>("framework", kOnnxKey), where);
}

ov::Shape shape_of(const Metadata& metadata) {
  const auto shape = metadata.input_shape();
  return {shape.begin(), shape.end()};
}

/// A network of convolutions would run, and answer nonsense, at another size, too.
void check_input(const ov::Model& model, const Metadata& metadata, const std::string& where) {
  const auto type = metadata.takes_pixels ? ov::element::u8 : ov::element::f32;
  if (model.inputs().size() != 1 || model.input().get_element_type() != type ||
      !model.input().get_partial_shape().compatible(shape_of(metadata))) {
    throw BadInput(where + ": expected one input " + type.to_string() + " " +
                   shape_of(metadata).to_string() +
                   ", as its metadata says, found another; do not trust this file");
  }
}

template <typename Number>
ov::Tensor tensor_of(std::vector<Number>& input, const Metadata& metadata) {
  return {ov::element::from<Number>(), shape_of(metadata), input.data()};
}

template <typename Number>
std::vector<float> logits_of(ov::CompiledModel& compiled, std::vector<Number> input,
                             const Metadata& metadata) {
  ov::InferRequest request = compiled.create_infer_request();
  request.set_input_tensor(tensor_of(input, metadata));
  request.infer();
  const ov::Tensor logits = request.get_output_tensor(0);
  const auto* first = logits.data<float>();
  return {first, first + logits.get_size()};
}

/// The model is compiled for one image: a tenth faster on small networks than for any number.
ov::CompiledModel compile(ov::Core& core, const std::shared_ptr<ov::Model>& model,
                          const Metadata& metadata, int threads) {
  model->reshape(shape_of(metadata));
  return core.compile_model(model, "CPU", settings(threads));
}

Answer classify(const Arguments& arguments) {
  const std::string where = expect_onnx(arguments.model);
  try {
    ov::Core core;
    const std::shared_ptr<ov::Model> model = core.read_model(arguments.model.string());
    const Metadata metadata = metadata_of(*model, where);
    check_input(*model, metadata, where);
    const Pixels pixels = read_pixels(arguments.image, metadata);
    ov::CompiledModel compiled = compile(core, model, metadata, arguments.threads);
    if (metadata.takes_pixels) {
      return {metadata, logits_of(compiled, arranged(pixels, metadata), metadata)};
    }
    return {metadata, logits_of(compiled, normalised(pixels, metadata), metadata)};
  } catch (const ov::Exception& problem) {
    throw BadInput(where + ": OpenVINO " + version() +
                   " cannot run it: " + last_line(problem.what()));
  }
}

}  // namespace

int main(int argc, char** argv) { return run("classify_openvino", classify, argc, argv); }
