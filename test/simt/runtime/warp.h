// Collectives of a warp: lanes arrive at a rendezvous, the last one does the work of all.
#pragma once

#include "block.h"

namespace simt {

// The rendezvous, where the current fiber completes it; otherwise null.
Rendezvous* arrive(Op op, unsigned mask, const char* file, int line);
// Lets the others go on, once the last one has done the work.
void dismiss(Rendezvous* meeting);

}  // namespace simt
