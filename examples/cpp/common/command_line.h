/// What a program is asked to do: `classify_x MODEL IMAGE.rgb [--threads N] [--logits FILE]`.

#pragma once

#include <filesystem>

struct Arguments {
  std::filesystem::path model;
  std::filesystem::path image;
  int threads = 0;               ///< At least 1; 0 leaves the choice to the runtime.
  std::filesystem::path logits;  ///< Where to write them; empty for nowhere.
  bool help = false;
};

/// Throws BadInput.
Arguments parse(int argc, char** argv);
