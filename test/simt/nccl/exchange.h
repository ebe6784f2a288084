// What processes of the stand-in for NCCL share: a piece of memory with a place for each, in which they add up arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stand_in {

class Exchange {
 public:
  // Opens the memory of that name, or makes it.
  Exchange(const std::string& name, int rank, int size);
  ~Exchange();
  Exchange(const Exchange&) = delete;

  // Whether all have come. The name is given up then: nothing is left behind.
  bool is_complete();

  // Begins to add up; `signature` has to be that of the others.
  void begin(char* values, size_t bytes, bool is_double, uint64_t signature);
  // Goes as far as it can. True once the values are the sums, the same bits everywhere: ranks are added in order.
  bool advance();
  // The others add up something else.
  bool is_mismatched() const { return is_mismatched_; }

 private:
  struct Place;
  struct Header;

  Header& header() const;
  Place& place(int rank) const;
  char* data(int rank) const;
  template <typename T>
  void add_up(size_t bytes);
  // Whether all have come to this turn.
  bool all_have(bool read, uint64_t turn) const;

  std::string name_;
  int rank_, size_;
  size_t bytes_;
  char* memory_;
  uint64_t turn_ = 0;  // a piece of an array each
  char* values_ = nullptr;
  size_t left_ = 0;
  bool is_double_ = false, is_written_ = false, is_mismatched_ = false;
  uint64_t signature_ = 0;
};

}  // namespace stand_in
