#include "common/answer.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iomanip>
#include <numeric>

#include "common/bad_input.h"
#include "common/plain_text.h"

namespace {

constexpr std::size_t kShown = 5;

std::vector<std::size_t> most_probable(const std::vector<float>& logits) {
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto shown = static_cast<std::ptrdiff_t>(std::min(kShown, order.size()));
  std::partial_sort(
      order.begin(), order.begin() + shown, order.end(), [&](std::size_t one, std::size_t other) {
        return logits[one] != logits[other] ? logits[one] > logits[other] : one < other;
      });
  order.resize(static_cast<std::size_t>(shown));
  return order;
}

/// Softmax in double precision: the difference of two float32 numbers cannot overflow there.
std::vector<double> probabilities(const std::vector<float>& logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> weights(logits.size());
  std::transform(logits.begin(), logits.end(), weights.begin(),
                 [&](float logit) { return std::exp(logit - highest); });
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) {
    weight /= sum;
  }
  return weights;
}

}  // namespace

void check(const Answer& answer, const std::string& where) {
  const std::size_t expected = answer.metadata.num_classes;
  if (answer.logits.size() != expected) {
    throw BadInput(where + ": expected " + std::to_string(expected) +
                   " logits as its metadata says, found " + std::to_string(answer.logits.size()) +
                   "; do not trust this file");
  }
  const auto bad = std::count_if(answer.logits.begin(), answer.logits.end(),
                                 [](float logit) { return !std::isfinite(logit); });
  if (bad > 0) {
    throw BadInput(where + ": expected finite logits, found " + std::to_string(bad) + " of " +
                   std::to_string(expected) +
                   " NaN or infinite; the model is broken for this input");
  }
}

void print_top(std::ostream& out, const Answer& answer) {
  const std::vector<double> shares = probabilities(answer.logits);
  const std::vector<std::string>& labels = answer.metadata.labels;
  out << std::fixed << std::setprecision(1);
  for (const std::size_t index : most_probable(answer.logits)) {
    out << std::setw(7) << 100 * shares[index] << "%  "
        << (labels.empty() ? std::to_string(index) : labels[index]) << '\n';
  }
}

void write_logits(const std::filesystem::path& path, const Answer& answer) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(answer.logits.data()),
             static_cast<std::streamsize>(answer.logits.size() * sizeof(float)));
  file.close();
  if (!file) {
    throw BadInput(visible(path.string()) + ": cannot be written; check the folder");
  }
}
