/// What the user can mend: it becomes one sentence and exit code 2.

#pragma once

#include <stdexcept>

struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};
