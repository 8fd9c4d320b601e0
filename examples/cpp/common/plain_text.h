/// Text from strangers (file names, labels, messages of the runtimes), made safe to show.

#pragma once

#include <string>
#include <string_view>

/// The text with a question mark in place of every control character: a label that moves the
/// cursor could write over what was printed before it.
std::string visible(std::string_view text);

/// The last line that says something, visible, at most 300 bytes: the runtimes put the places in
/// their own sources first.
std::string last_line(std::string_view text);
