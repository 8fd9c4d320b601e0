/// What a model says of an image, checked and shown.

#pragma once

#include <cstddef>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "common/metadata.h"

struct Answer {
  Metadata metadata;
  std::vector<float> logits;  ///< One per class.
};

/// Throws BadInput: not one finite logit per class.
void check(const Answer& answer, const std::string& where);

/// Prints the five most probable classes, of equal logits the lowest class first; of a binary model
/// the answer first, and all numbers of a regression.
void print_top(std::ostream& out, const Answer& answer);

/// Writes the logits as raw float32. Throws BadInput: the file cannot be written.
void write_logits(const std::filesystem::path& path, const Answer& answer);
