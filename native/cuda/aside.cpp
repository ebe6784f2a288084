#include "cuda/aside.h"

namespace bertune::cuda {

Aside::Aside(Context& context, bool one_stream) : context_(context), main_(context.stream) {
  if (!one_stream) stream_ = std::make_unique<Stream>(Stream::Priority::kLeast);
}

void Aside::begin() {
  if (!exists()) return;
  BERTUNE_CHECK(context_.stream == main_);
  BERTUNE_CUDA(cudaEventRecord(fork_.get(), main_));
  BERTUNE_CUDA(cudaStreamWaitEvent(stream_->get(), fork_.get(), 0));
  swap();
}

int Aside::end() {
  if (!exists()) return 0;
  swap();
  const auto made = static_cast<size_t>(marks_);
  if (events_.size() == made) events_.push_back(std::make_unique<Event>());
  BERTUNE_CUDA(cudaEventRecord(events_[made]->get(), stream_->get()));
  return ++marks_;
}

void Aside::wait_for(int mark) {
  if (mark <= waited_for_) return;
  BERTUNE_CUDA(cudaStreamWaitEvent(main_, events_[static_cast<size_t>(mark - 1)]->get(), 0));
  waited_for_ = mark;
}

void Aside::join() {
  wait_for(marks_);
  marks_ = waited_for_ = 0;
}

void Aside::abandon() {
  if (!exists()) return;
  if (context_.is_aside) swap();
  // By an event that exists, and unchecked: the first failure is the one to report, and a stream that cannot be waited for
  // does nothing any more.
  cudaEventRecord(fork_.get(), stream_->get());
  cudaStreamWaitEvent(main_, fork_.get(), 0);
  marks_ = waited_for_ = 0;
}

void Aside::synchronize() const {
  BERTUNE_CUDA(cudaStreamSynchronize(main_));
  if (exists()) BERTUNE_CUDA(cudaStreamSynchronize(stream_->get()));
}

void Aside::swap() {
  context_.stream = context_.stream == main_ ? stream_->get() : main_;
  context_.is_aside = context_.stream != main_;
  context_.scratch.swap(scratch_);
}

}  // namespace bertune::cuda
