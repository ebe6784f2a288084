#include "addon/file_lock.h"

#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "addon/convert.h"
#include "addon/errors.h"

namespace bertune {

Napi::Value lock_file(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsNumber()) refuse_field("a file descriptor", "fd");
    const int fd = info[0].As<Napi::Number>().Int32Value();
    const bool shared = info[1].IsBoolean() && info[1].As<Napi::Boolean>().Value();
    int status;
    do {
      status = flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
    } while (status != 0 && errno == EINTR);
    if (status == 0) return Napi::Boolean::New(info.Env(), true);
    if (errno == EWOULDBLOCK) return Napi::Boolean::New(info.Env(), false);
    throw Error("OUTPUT_REFUSED", std::string("Expected to lock a file but ") + std::strerror(errno));
  });
}

}  // namespace bertune
