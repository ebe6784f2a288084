#include "cuda/gemm_choices.h"

#include <unistd.h>

#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace bertune::cuda {
namespace {

constexpr const char* kFormat = "bertune gemm choices, format 2";

std::string to_hex(const std::string& bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

// Empty where it is not hex.
std::string from_hex(const std::string& hex) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (hex.size() % 2 != 0) return {};
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit(hex[i]), low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return {};
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

// Lines of a key and hex bytes after the line of the format.
std::map<std::string, std::string> read_file(const std::string& path) {
  std::map<std::string, std::string> choices;
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line != kFormat) return choices;
  while (std::getline(file, line)) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const std::string bytes = from_hex(line.substr(space + 1));
    if (!bytes.empty()) choices[line.substr(0, space)] = bytes;
  }
  return choices;
}

// By a file of its own that is then renamed: a reader sees the old file or the new one.
void write_file(const std::string& path, const std::map<std::string, std::string>& choices) {
  std::error_code failed;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failed);
  if (failed) return;
  const std::string own = path + "." + std::to_string(getpid());
  std::ofstream file(own, std::ios::trunc);
  file << kFormat << '\n';
  for (const auto& [key, bytes] : choices) file << key << ' ' << to_hex(bytes) << '\n';
  file.close();
  if (file) std::filesystem::rename(own, path, failed);
  if (!file || failed) std::filesystem::remove(own, failed);
}

std::string file_name_part(const std::string& text) {
  std::string part;
  for (const char c : text) part += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  return part;
}

}  // namespace

GemmChoices::GemmChoices(std::string path) : path_(std::move(path)) {
  if (!path_.empty()) kept_ = read_file(path_);
  chosen_ = kept_;
}

std::string GemmChoices::default_path(const std::string& gpu, const std::string& version) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (cache && *cache) {
    folder = cache;
  } else if (home && *home) {
    folder = std::filesystem::path(home) / ".cache";
  } else {
    return {};
  }
  return folder / "bertune" / ("gemm-" + file_name_part(gpu) + "-" + file_name_part(version) + ".txt");
}

const std::string* GemmChoices::find(const std::string& key) const {
  const auto found = chosen_.find(key);
  return found == chosen_.end() ? nullptr : &found->second;
}

void GemmChoices::set(const std::string& key, const std::string& algorithm) { chosen_[key] = algorithm; }

void GemmChoices::keep(const std::string& key, const std::string& algorithm) {
  chosen_[key] = algorithm;
  if (path_.empty()) return;
  // Others' choices since we read the file are kept; of two for one product, theirs.
  auto merged = read_file(path_);
  const auto before = kept_.find(key), theirs = merged.find(key);
  const bool is_new = theirs != merged.end() && (before == kept_.end() || before->second != theirs->second);
  if (is_new) {
    chosen_[key] = theirs->second;
  } else {
    merged[key] = algorithm;
  }
  for (const auto& [name, bytes] : kept_) merged.emplace(name, bytes);
  kept_ = std::move(merged);
  write_file(path_, kept_);
}

}  // namespace bertune::cuda
