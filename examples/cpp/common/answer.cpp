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

double sigmoid(double logit) { return 1 / (1 + std::exp(-logit)); }

std::string name_of(const Metadata& metadata, std::size_t index) {
  return metadata.labels.empty() ? std::to_string(index) : metadata.labels[index];
}

void print_share(std::ostream& out, double share, const std::string& name) {
  out << std::fixed << std::setprecision(1) << std::setw(7) << 100 * share << "%  " << name << '\n';
}

void print_classes(std::ostream& out, const Answer& answer) {
  const bool several = answer.metadata.task == Task::kMultiLabel;
  const std::vector<double> shares = several ? std::vector<double>{} : probabilities(answer.logits);
  for (const std::size_t index : most_probable(answer.logits)) {
    const double logit = answer.logits[index];
    const bool is_no = several && !(logit > answer.metadata.threshold_logit);
    print_share(out, several ? sigmoid(logit) : shares[index],
                (is_no ? "no " : "") + name_of(answer.metadata, index));
  }
}

void print_binary(std::ostream& out, const Answer& answer) {
  const double logit = answer.logits.front();
  const std::size_t chosen = logit > answer.metadata.threshold_logit ? 1 : 0;
  for (const std::size_t index : {chosen, 1 - chosen}) {
    print_share(out, sigmoid(index == 1 ? logit : -logit), name_of(answer.metadata, index));
  }
}

void print_numbers(std::ostream& out, const Answer& answer) {
  out << std::defaultfloat << std::setprecision(6);
  for (std::size_t index = 0; index < answer.logits.size(); ++index) {
    out << std::setw(12) << answer.logits[index] << "  " << name_of(answer.metadata, index) << '\n';
  }
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
  switch (answer.metadata.task) {
    case Task::kRegression:
      return print_numbers(out, answer);
    case Task::kBinary:
      return print_binary(out, answer);
    case Task::kSingleLabel:
    case Task::kMultiLabel:
      return print_classes(out, answer);
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
