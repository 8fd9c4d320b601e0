#include "common/program.h"

#include <exception>
#include <iostream>

#include "common/bad_input.h"
#include "common/plain_text.h"

namespace {

constexpr const char* kUsage =
    " MODEL IMAGE.rgb [--threads N] [--logits FILE]\n\n"
    "Prints the five most probable classes of an image: raw RGB, already resized and cropped.\n\n"
    "  --threads N    threads to use; the runtime's own choice by default\n"
    "  --logits FILE  also write the logits, as raw float32\n";

void answer_to(const Arguments& arguments, Classify classify) {
  const Answer answer = classify(arguments);
  check(answer, visible(arguments.model.string()));
  if (!arguments.logits.empty()) {
    write_logits(arguments.logits, answer);
  }
  std::cout << visible(arguments.image.string()) << '\n';
  print_top(std::cout, answer);
}

}  // namespace

int run(const std::string& program, Classify classify, int argc, char** argv) {
  try {
    const Arguments arguments = parse(argc, argv);
    if (arguments.help) {
      std::cout << "Usage: " << program << kUsage;
    } else {
      answer_to(arguments, classify);
    }
    return 0;
  } catch (const BadInput& problem) {
    std::cerr << program << ": " << problem.what() << '\n';
    return 2;
  } catch (const std::exception& problem) {
    std::cerr << program << ": failed: " << last_line(problem.what()) << '\n';
    return 1;
  }
}
