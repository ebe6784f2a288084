// The magnitudes of those low-rank updates that have one (DoRA, see core/backend.h): what a pass needs, made from the
// weights, and their gradients.
#pragma once

#include <deque>
#include <optional>

#include "core/arena.h"
#include "model/config.h"

namespace bertune {

// The magnitude of one module's update.
struct Magnitude {
  const Parameter* weight;  // W (n,k)
  const Parameter* a;       // (r,k)
  const Parameter* b;       // (n,r)
  Parameter* m;             // (n)
  double scaling;
  Acc* norm;       // (n)
  Acc* scale;      // (n)
  Real* scaled_b;  // (n,r)

  // Computes the last three.
  void make(Backend& backend) const;
};

class Magnitudes {
 public:
  // Takes the magnitudes that modules have rows for, and tells their updates.
  Magnitudes(ParameterTable& parameters, std::optional<LoraConfig>& lora);
  // Call it once the parameters have their memory.
  void allocate(Backend& backend);
  size_t bytes() const { return arena_.bytes(); }

  // Computes what passes need; refresh does so only once until weights_changed, so never in a recording.
  void make(Backend& backend) const;
  void refresh(Backend& backend);
  void weights_changed() { fresh_ = false; }
  // Turns the gradients that backward left into those by m and B.
  void finish_gradients(Backend& backend) const;
  // Fills m with the norms that the rows have, so that nothing changes. Throws INVALID_OPTION for another parameter.
  void initialize(Backend& backend, const Parameter& parameter) const;

 private:
  std::deque<Magnitude> all_;  // a deque: pointers to its elements stay valid
  Arena arena_;
  bool fresh_ = false;
};

}  // namespace bertune
