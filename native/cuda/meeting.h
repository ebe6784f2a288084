// Where the ranks of a run find each other by TCP, before NCCL can connect them, and learn later of a rank that is lost.
//
// Rank 0 listens; the others connect and stay connected. A rank whose connection ends before it says that it is leaving is
// lost. A rank that has waited too long asks rank 0, which asks all. Those that are also waiting answer at once, so rank 0
// learns who is not, and tells all.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "core/backend.h"

namespace bertune::cuda {

using Seconds = std::chrono::duration<double>;

// A TCP connection for messages, each a letter and a text. It never blocks, except for room to send.
class Connection {
 public:
  struct Message {
    char kind = 0;  // 0: no message
    std::string text;
  };

  Connection() = default;
  explicit Connection(int socket);
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;

  bool is_open() const { return socket_ >= 0; }
  int socket() const { return socket_; }
  // Closes the connection if the other side is gone.
  void send(char kind, const std::string& text = {});
  // The next message that has arrived.
  Message receive();

 private:
  void close();

  int socket_ = -1;
  std::string received_;
};

class Meeting {
 public:
  // Returns when all ranks are there. `card`: what rank 0 sends and the others receive. Throws RANK_LOST if a rank is missing
  // at the time limit, COLLECTIVE_UNAVAILABLE if rank 0 cannot listen.
  Meeting(const RanksMeeting& place, Seconds limit, std::string& card);

  // Call it now and then while waiting. Throws RANK_LOST if a rank is lost or another rank says that one is.
  void look();
  // Finds out who is lost, tells all and throws RANK_LOST with `reason` and the names, or `otherwise` if nobody is missing.
  [[noreturn]] void lose(const std::string& reason, const std::string& otherwise);
  // The same when time is up.
  [[noreturn]] void give_up();
  // Says that this rank is leaving, so that nobody misses it.
  void leave();

 private:
  struct Peer {
    Connection connection;
    std::string host;
    bool has_left = false;
  };

  void wait_for_all(const RanksMeeting& place, Seconds limit, const std::string& card);
  void find_first(const RanksMeeting& place, Seconds limit, std::string& card);
  // The ranks that have not arrived yet, in words.
  std::string absent() const;
  std::string name_of(int rank) const;
  // Rank 0: asks all, and returns the names of those that do not answer.
  std::string missing();
  // Throws RANK_LOST where this process ends.
  void expect_to_go_on() const;
  [[noreturn]] void tell(const std::string& text);
  // Other ranks: waits for what rank 0 found out; "" if it says nothing.
  std::string wait_for_verdict(Seconds first);

  int rank_, size_;
  Seconds limit_;                       // of a call
  const std::atomic<bool>& is_ending_;  // the process
  std::vector<Peer> peers_;             // by rank; on other ranks than 0, only rank 0
};

}  // namespace bertune::cuda
