// Finds and opens a library of NVIDIA's at run time: if it is missing, our own error says so, not the loader's.
#pragma once

#include <string>
#include <vector>

namespace bertune::cuda {

struct WantedLibrary {
  const char* code;                // of the error
  const char* words;               // what it is and does: "cuBLASLt, which multiplies matrices on the GPU,"
  const char* advice;              // how to get it, as a sentence without its full stop
  const char* variable;            // environment variable that names a file; if set, nothing else is tried
  std::vector<std::string> names;  // file names to ask the loader for, and to look for in packages
  std::vector<std::string> pip;    // packages that contain it: see pip_files.h
};

class OpenedLibrary {
 public:
  // Throws an error with the wanted library's code, saying what it looked for and where.
  explicit OpenedLibrary(const WantedLibrary& wanted);
  ~OpenedLibrary();
  OpenedLibrary(const OpenedLibrary&) = delete;
  OpenedLibrary& operator=(const OpenedLibrary&) = delete;

  // The file, or the name by which the loader found it.
  const std::string& path() const { return path_; }

  // Throws if the library has no such function.
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
