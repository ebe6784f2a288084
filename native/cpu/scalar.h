// On the CPU, both of the backend's opaque scalars are T.
#pragma once

#include "core/backend.h"

namespace bertune {

template <typename T>
T* scalars(Real* pointer) {
  return reinterpret_cast<T*>(pointer);
}
template <typename T>
const T* scalars(const Real* pointer) {
  return reinterpret_cast<const T*>(pointer);
}
template <typename T>
T* scalars(Acc* pointer) {
  return reinterpret_cast<T*>(pointer);
}
template <typename T>
const T* scalars(const Acc* pointer) {
  return reinterpret_cast<const T*>(pointer);
}

}  // namespace bertune
