// Words for what went wrong.
#pragma once

#include <string>
#include <vector>

#include "block.h"

namespace simt {

std::string kernel_name(const void* kernel);
std::string source_line(const void* code);  // "layernorm.cu:42"

const char* base_name(const char* path);
std::string at_site(const CallSite& site);
std::string hex(unsigned mask);
std::string as_ranges(const std::vector<int>& numbers);  // "0-3,7" for 0 1 2 3 7
std::string describe_block(const Block& block);
std::string describe_thread(const Block& block, int linear);

}  // namespace simt
