#include "cuda/lora.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {

template <typename T>
void lora_forward_add(Context&, const LoraForwardAdd&) {
  throw Error("INTERNAL", "lora_forward_add is not written yet");
}
template <typename T>
void lora_backward(Context&, const LoraBackward&) {
  throw Error("INTERNAL", "lora_backward is not written yet");
}

template void lora_forward_add<float>(Context&, const LoraForwardAdd&);
template void lora_forward_add<bf16>(Context&, const LoraForwardAdd&);
template void lora_backward<float>(Context&, const LoraBackward&);
template void lora_backward<bf16>(Context&, const LoraBackward&);

}  // namespace bertune::cuda
