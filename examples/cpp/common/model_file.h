/// Which kind of artefact a file is, before a runtime is handed it.

#pragma once

#include <filesystem>
#include <string>

/// Name of the file for a message. Throws BadInput: there is no such file, or it is no ONNX model
/// but an archive.
std::string expect_onnx(const std::filesystem::path& path);

/// Name of the file for a message. Throws BadInput: there is no such file, or it is no archive.
std::string expect_torchscript(const std::filesystem::path& path);
