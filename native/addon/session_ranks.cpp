// The calls of a session that concern the ranks it trains with.
#include "addon/convert.h"
#include "addon/errors.h"
#include "addon/float_array.h"
#include "addon/job.h"
#include "addon/session.h"

namespace bertune {
namespace {

Collective& ranks_of(SessionCore& core) {
  if (!core.ranks) throw Error("INVALID_OPTION", "Expected a session that has joined other ranks");
  return *core.ranks;
}

RanksMeeting convert_meeting(const Napi::Object& value, double seconds) {
  RanksMeeting meeting{};
  meeting.size = static_cast<int>(get_integer(value, "size", 1, 1 << 20));
  meeting.rank = static_cast<int>(get_integer(value, "rank", 0, meeting.size - 1));
  meeting.port = static_cast<int>(get_integer(value, "port", 1, 65535));
  meeting.seconds = seconds;
  meeting.is_ending = &JobQueue::process_ends();
  const std::string address = get_string(value, "address");
  if (address.size() >= sizeof meeting.address) refuse_field("the name of a machine", "address");
  address.copy(meeting.address, sizeof meeting.address - 1);
  return meeting;
}

}  // namespace

Napi::Value Session::join_ranks(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    const double seconds = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 0;
    if (!(seconds > 0 && seconds <= 1e6)) refuse_field("a number of seconds", "limit");
    std::string library;
    RanksMeeting meeting{};
    if (info[0].IsString()) {
      library = info[0].As<Napi::String>().Utf8Value();
    } else {
      meeting = convert_meeting(get_object(info[0], "place"), seconds);
    }
    auto place = std::make_shared<std::pair<int, int>>();
    return submit(
        info,
        [=](SessionCore& core) {
          core.ranks.reset();
          core.ranks = library.empty() ? join_collective(*core.backend, meeting)
                                       : join_collective(library, seconds, JobQueue::process_ends());
          // The device may make other gradients from now on.
          core.classifier->reserve({}, {});
          core.update_figures();
          *place = {core.ranks->rank(), core.ranks->size()};
        },
        [place](Napi::Env env) {
          const Napi::Object result = Napi::Object::New(env);
          result.Set("rank", place->first);
          result.Set("size", place->second);
          return result;
        });
  });
}

Napi::Value Session::all_reduce(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    auto values = std::make_shared<std::vector<double>>(copy_doubles(info[0], "values"));
    return submit(
        info,
        [values](SessionCore& core) {
          ranks_of(core).all_reduce(values->data(), static_cast<int64_t>(values->size()), Dtype::kF64);
        },
        [values](Napi::Env env) { return to_float64_array(env, *values); });
  });
}

Napi::Value Session::leave_ranks(const Napi::CallbackInfo& info) {
  return translate_errors(info.Env(), [&]() -> Napi::Value {
    return submit(
        info,
        [](SessionCore& core) {
          ranks_of(core).done();
          core.ranks.reset();
        },
        nullptr);
  });
}

}  // namespace bertune
