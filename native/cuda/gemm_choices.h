// Which algorithm was chosen for which product, in the process and in a file, so that a second run makes the same
// choices and, with them, the same bits.
#pragma once

#include <map>
#include <string>

namespace bertune::cuda {

class GemmChoices {
 public:
  // `path` may be empty: no file. One that cannot be read, or is of another format, counts as empty.
  explicit GemmChoices(std::string path);

  // ($XDG_CACHE_HOME or ~/.cache)/bertune/gemm-<gpu>-<version>.txt, or empty where neither is set.
  static std::string default_path(const std::string& gpu, const std::string& version);

  // The bytes of the algorithm, or null. Keys hold no white space.
  const std::string* find(const std::string& key) const;
  // For this process alone.
  void set(const std::string& key, const std::string& algorithm);
  // For this process and the file. Where another process has made a choice meanwhile, that one holds. Failing to write
  // is no error.
  void keep(const std::string& key, const std::string& algorithm);

 private:
  std::string path_;
  std::map<std::string, std::string> chosen_;  // here
  std::map<std::string, std::string> kept_;    // what of it is in the file
};

}  // namespace bertune::cuda
