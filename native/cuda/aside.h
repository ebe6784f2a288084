// The second stream of a backend, for work that nothing waits for at once: gradients of weights beside the path of the
// gradients of inputs, updates beside the forward pass. Its operations have scratch memory of their own. Forks and joins
// are events, so a recorded step contains it as branches.
#pragma once

#include <memory>
#include <vector>

#include "cuda/context.h"
#include "cuda/stream.h"

namespace bertune::cuda {

class Aside {
 public:
  // Makes the stream unless `one_stream`.
  Aside(Context& context, bool one_stream);
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  bool exists() const { return stream_ != nullptr; }

  // As in Backend.
  void begin();
  int end();
  void wait_for(int mark);

  void join();
  // What join does, after operations that failed, wherever they were.
  void abandon();
  // The host waits for both streams.
  void synchronize() const;

  // The scratch memory of the stream that is not the context's.
  Scratch& scratch() { return scratch_; }
  const Scratch& scratch() const { return scratch_; }

 private:
  void swap();

  Context& context_;
  std::unique_ptr<Stream> stream_;
  const cudaStream_t main_;
  Scratch scratch_;
  Event fork_;
  std::vector<std::unique_ptr<Event>> events_;  // of marks, from 1
  int marks_ = 0;                               // made since they started anew
  int waited_for_ = 0;                          // the latest that the main stream waits for
};

}  // namespace bertune::cuda
