/// What the programs have in common: they differ in the runtime that gives the answer.

#pragma once

#include <string>

#include "common/answer.h"
#include "common/command_line.h"

/// Loads the model, reads the image as its metadata says, and runs it. Throws BadInput.
using Classify = Answer (*)(const Arguments& arguments);

/// Returns the exit code: 0, or 2 after one sentence about what the user can mend, or 1 after one
/// about anything else.
int run(const std::string& program, Classify classify, int argc, char** argv);
