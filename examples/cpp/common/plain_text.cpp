#include "common/plain_text.h"

#include <cstddef>

namespace {

constexpr std::size_t kLongest = 300;
constexpr std::string_view kEnd = " \t\r\n.";  // our own sentences go on after it

/// Those of ASCII, and in UTF-8 those from U+0080 to U+009F, which begin with 0xC2.
bool is_control(unsigned char byte, unsigned char before) {
  return byte < 0x20 || byte == 0x7F || (before == 0xC2 && byte >= 0x80 && byte < 0xA0);
}

std::string_view without_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kEnd) + 1);  // npos + 1 is 0
}

}  // namespace

std::string visible(std::string_view text) {
  std::string shown;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    const auto before = static_cast<unsigned char>(shown.empty() ? '\0' : shown.back());
    if (!is_control(byte, before)) {
      shown.push_back(character);
      continue;
    }
    if (byte >= 0x80) {
      shown.pop_back();  // the first of its two bytes
    }
    shown.push_back('?');
  }
  return shown;
}

std::string last_line(std::string_view text) {
  const std::string_view whole = without_end(text);
  const std::string_view line = whole.substr(whole.find_last_of('\n') + 1);
  return visible(line.substr(0, kLongest));
}
