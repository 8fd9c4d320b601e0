#include "common/command_line.h"

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "common/bad_input.h"
#include "common/plain_text.h"

namespace {

constexpr int kMostThreads = 1024;

int thread_count(std::string_view text) {
  int count = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc{} || rest != end || count < 1 || count > kMostThreads) {
    throw BadInput("--threads: expected a number from 1 to " + std::to_string(kMostThreads) +
                   ", found " + visible(text));
  }
  return count;
}

}  // namespace

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  std::vector<std::string_view> files;
  for (int index = 1; index < argc; ++index) {
    const std::string_view word = argv[index];
    if (word == "--help" || word == "-h") {
      arguments.help = true;
      return arguments;
    }
    if (word == "--threads" || word == "--logits") {
      if (++index == argc) {
        throw BadInput(std::string{word} + ": expected a value after it, found none");
      }
      if (word == "--threads") {
        arguments.threads = thread_count(argv[index]);
      } else {
        arguments.logits = argv[index];
      }
    } else if (word.size() > 1 && word.front() == '-') {
      throw BadInput(visible(word) + ": no such option; --help shows which there are");
    } else {
      files.push_back(word);
    }
  }
  if (files.size() != 2) {
    throw BadInput("expected a model and an image, found " + std::to_string(files.size()) +
                   " file names; --help shows the order");
  }
  arguments.model = files[0];
  arguments.image = files[1];
  return arguments;
}
