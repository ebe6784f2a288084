// Matrix instructions of a warp: mma.sync m16n8k16 and ldmatrix, with the layouts of the PTX manual.
#include <cstring>

#include "race.h"
#include "report.h"
#include "scheduler.h"
#include "shared_memory.h"
#include "warp.h"

#if defined(__x86_64__) && defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
#define SIMT_FAST_VARIANTS __attribute__((target_clones("avx2", "default")))
#else
#define SIMT_FAST_VARIANTS
#endif

namespace simt {
namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

// inp (16,16) and weight (16,8) as the registers of the lanes hold them; out (16,8).
struct Tiles {
  double inp[16][16];
  double weight[16][8];
  double out[16][8];
};

double decode(uint32_t pair, bool high, bool is_half) {
  const auto bits = static_cast<unsigned short>(high ? pair >> 16 : pair);
  return is_half ? f16_to_f32(bits) : __uint_as_float(static_cast<unsigned>(bits) << 16);
}

void gather(const Warp& warp, bool is_half, Tiles& tiles) {
  for (int lane = 0; lane < kLanes; ++lane) {
    const MatrixOperands& operands = warp.lanes[lane].matrix;
    const int group = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < 2; ++i) {
      const bool high = i == 1;
      tiles.inp[group][pair + i] = decode(operands.a[0], high, is_half);
      tiles.inp[group + 8][pair + i] = decode(operands.a[1], high, is_half);
      tiles.inp[group][pair + 8 + i] = decode(operands.a[2], high, is_half);
      tiles.inp[group + 8][pair + 8 + i] = decode(operands.a[3], high, is_half);
      tiles.weight[pair + i][group] = decode(operands.b[0], high, is_half);
      tiles.weight[pair + 8 + i][group] = decode(operands.b[1], high, is_half);
      tiles.out[group][pair + i] = operands.c[i];
      tiles.out[group + 8][pair + i] = operands.c[2 + i];
    }
  }
}

void scatter(const Warp& warp, const Tiles& tiles) {
  for (int lane = 0; lane < kLanes; ++lane) {
    MatrixOperands& operands = warp.lanes[lane].matrix;
    const int group = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < 2; ++i) {
      operands.c[i] = static_cast<float>(tiles.out[group][pair + i]);
      operands.c[2 + i] = static_cast<float>(tiles.out[group + 8][pair + i]);
    }
  }
}

// In double: products are exact, and the order of the sum, which the hardware does not tell, hardly matters.
SIMT_FAST_VARIANTS void multiply(Tiles& tiles) {
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) {
        tiles.out[row][column] += tiles.inp[row][k] * tiles.weight[k][column];
      }
    }
  }
}

struct LdmatrixShape {
  int count;  // of 8x8 matrices
  bool transposed;
};

LdmatrixShape shape_of(Op op) {
  const bool transposed = op == Op::kLdmatrixX2Trans || op == Op::kLdmatrixX4Trans;
  const bool four = op == Op::kLdmatrixX4 || op == Op::kLdmatrixX4Trans;
  return {four ? 4 : 2, transposed};
}

// Lane 8·i + r gives the address of row r of matrix i.
void read_rows(Warp& warp, const CallSite& site, int count, uint16_t (&matrices)[4][8][8]) {
  for (int lane = 0; lane < 8 * count; ++lane) {
    Fiber& fiber = warp.lanes[lane];
    const void* row = fiber.rows.row;
    const auto who = [&] { return at_site(site) + ": the row address of lane " + std::to_string(lane); };
    if (reinterpret_cast<uintptr_t>(row) % 16) fail_thread(who() + " is not 16-byte aligned");
    if (!is_shared_range(*fiber.block, row, 16)) fail_thread(who() + " is not in shared memory");
    race_access(fiber, row, 16, AccessKind::kRead, site);
    memcpy(matrices[lane / 8][lane % 8], row, 16);
  }
}

void load_matrices(Warp& warp, const Rendezvous& meeting) {
  const LdmatrixShape shape = shape_of(meeting.op);
  uint16_t matrices[4][8][8];
  read_rows(warp, meeting.site, shape.count, matrices);
  for (int lane = 0; lane < kLanes; ++lane) {
    const int group = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < shape.count; ++i) {
      const auto& matrix = matrices[i];
      const uint32_t low = shape.transposed ? matrix[pair][group] : matrix[group][pair];
      const uint32_t high = shape.transposed ? matrix[pair + 1][group] : matrix[group][pair + 1];
      warp.lanes[lane].rows.registers[i] = low | high << 16;
    }
  }
}

}  // namespace

void warp_multiply(Op op, float* c, const uint32_t* a, const uint32_t* b, const char* file, int line) {
  MatrixOperands& operands = current_fiber->matrix;
  memcpy(operands.a, a, sizeof operands.a);
  memcpy(operands.b, b, sizeof operands.b);
  memcpy(operands.c, c, sizeof operands.c);
  if (Rendezvous* meeting = arrive(op, kAllLanes, file, line)) {
    Tiles tiles;
    gather(*current_fiber->warp, op == Op::kMmaF16, tiles);
    multiply(tiles);
    scatter(*current_fiber->warp, tiles);
    dismiss(meeting);
  } else {
    wait_for_others();
  }
  memcpy(c, operands.c, sizeof operands.c);
}

void warp_load_matrices(Op op, uint32_t* registers, const void* row, const char* file, int line) {
  MatrixRows& rows = current_fiber->rows;
  rows.row = row;
  if (Rendezvous* meeting = arrive(op, kAllLanes, file, line)) {
    load_matrices(*current_fiber->warp, *meeting);
    dismiss(meeting);
  } else {
    wait_for_others();
  }
  memcpy(registers, rows.registers, static_cast<size_t>(shape_of(op).count) * sizeof(uint32_t));
}

}  // namespace simt
