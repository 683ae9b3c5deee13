// Whole files.
#pragma once

#include <string>
#include <vector>

#include "../guest/sha384.h"

// Throw std::runtime_error.
sha384::Digest digest_of_file(const std::string& path);
void write_file(const std::string& path, const std::vector<unsigned char>& bytes);
