#include "report.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace simt {
namespace {

struct CodePlace {
  std::string file;
  uintptr_t offset;
};

// The library or program that a code address lies in, and where in it.
bool find_code(const void* code, CodePlace& place) {
  Dl_info info;
  link_map* map = nullptr;
  if (!code || !dladdr1(code, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP)) return false;
  if (!map || !info.dli_fname) return false;
  place.offset = reinterpret_cast<uintptr_t>(code) - map->l_addr;
  place.file = info.dli_fname;
  if (map->l_name[0]) return true;
  char program[512];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program);
  if (length > 0) place.file.assign(program, static_cast<size_t>(length));
  return true;
}

// What addr2line says, "?" where there is no such tool.
std::string ask_addr2line(const void* code, const char* options) {
  CodePlace place;
  if (!find_code(code, place)) return "?";
  char command[1024];
  snprintf(command, sizeof command, "addr2line -C -s %s -e '%s' %#lx 2>/dev/null", options, place.file.c_str(),
           static_cast<unsigned long>(place.offset));
  std::string text;
  FILE* pipe = popen(command, "r");
  if (!pipe) return "?";
  char part[512];
  while (fgets(part, sizeof part, pipe)) text += part;
  pclose(pipe);
  return text.substr(0, text.find('\n'));
}

void erase_all(std::string& text, const std::string& part) {
  for (size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

}  // namespace

std::string kernel_name(const void* kernel) {
  std::string name = ask_addr2line(kernel, "-f");
  erase_all(name, "(anonymous namespace)::");
  name = name.substr(0, name.find('('));
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  return name.empty() ? "?" : name;
}

std::string source_line(const void* code) {
  const std::string line = ask_addr2line(code, "");
  return line.empty() ? "?" : line.substr(0, line.find(" (discriminator"));
}

const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

std::string at_site(const CallSite& site) {
  return std::string(site.name) + " " + base_name(site.file) + ":" + std::to_string(site.line);
}

std::string hex(unsigned mask) {
  char text[16];
  snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

std::string as_ranges(const std::vector<int>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(numbers[i]);
    if (last > i) text += "-" + std::to_string(numbers[last]);
    i = last + 1;
  }
  return text;
}

std::string describe_block(const Block& block) {
  char text[64];
  snprintf(text, sizeof text, "block (%u,%u,%u)", block.index.x, block.index.y, block.index.z);
  return text;
}

std::string describe_thread(const Block& block, int linear) {
  const uint3 index = block.warps[linear / kLanes].lanes[linear % kLanes].index;
  char text[64];
  snprintf(text, sizeof text, "thread (%u,%u,%u) of ", index.x, index.y, index.z);
  return text + describe_block(block);
}

}  // namespace simt
