#include "cuda/pip_files.h"

#include <glob.h>

#include <cstdlib>
#include <sstream>

namespace bertune::cuda {

std::vector<std::string> pip_files(const std::vector<std::string>& packages, const std::string& name) {
  std::vector<std::string> files;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.empty()) continue;
    for (const std::string& package : packages) {
      const std::string pattern = folder + "/../lib*/python3*/*-packages/nvidia/" + package + "/lib/" + name;
      glob_t found{};
      if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
      }
      globfree(&found);
    }
  }
  return files;
}

}  // namespace bertune::cuda
