// The one exception type of the native code, and the checks that throw it.
#pragma once

#include <stdexcept>
#include <string>

namespace bertune {

// `code` is one of those in lib/errors.ts, e.g. "INVALID_OPTION".
class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

[[noreturn]] inline void throw_check(const char* expression, const char* file, int line) {
  throw Error("INTERNAL", std::string("Check failed: ") + expression + " at " + file + ":" + std::to_string(line));
}

}  // namespace bertune

// A condition that holds unless the library itself is wrong. Stays on in release builds.
#define BERTUNE_CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::bertune::throw_check(#expression, __FILE__, __LINE__))
