// A library of NVIDIA's that is looked for and opened at run time: what is missing is an error of ours that says so, and
// not the loader's.
#pragma once

#include <string>
#include <vector>

namespace bertune::cuda {

struct WantedLibrary {
  const char* code;                // of the error
  const char* words;               // what it is and does: "cuBLASLt, which multiplies matrices on the GPU,"
  const char* advice;              // how to get it, as a sentence without its full stop
  const char* variable;            // of the environment, which names a file that is all there is then
  std::vector<std::string> names;  // that the loader is asked for, and that are looked for in the folders below
  std::vector<std::string> pip;    // packages that have it: see pip_files.h
};

class OpenedLibrary {
 public:
  // Throws the wanted library's code, with what was looked for and where.
  explicit OpenedLibrary(const WantedLibrary& wanted);
  ~OpenedLibrary();
  OpenedLibrary(const OpenedLibrary&) = delete;
  OpenedLibrary& operator=(const OpenedLibrary&) = delete;

  // The file, or the name by which the loader found it.
  const std::string& path() const { return path_; }

  // Throws where the library has no such function.
  template <typename Function>
  void look_up(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(find(name));
  }

 private:
  void* find(const char* name) const;

  const char *code_, *advice_;
  void* handle_ = nullptr;
  std::string path_;
};

}  // namespace bertune::cuda
