// Runs a launch: its blocks one after the other, or some at a time; of those one fiber at a time, until it has to wait.
#pragma once

#include <string>

#include "block.h"

namespace simt {

extern Fiber* current_fiber;  // null: no kernel runs
extern const Launch* current_launch;

void run_launch(const Launch& launch);

// Lets others run until the current fiber is made ready again.
void wait_for_others();
void make_ready(Warp& warp, unsigned lanes);
uint64_t random_for_schedule();

// Whether nothing ahead of the launch can run any more, as far as the thread has made sure of it.
bool has_waited(const Fiber& fiber);

// Fails the launch and leaves the current fiber for good.
[[noreturn]] void fail_thread(const std::string& text);
void fail_launch(const std::string& text);
[[noreturn]] void leave_fiber();
bool launch_failed();

}  // namespace simt
