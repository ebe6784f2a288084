// Where the ranks of a run find each other before NCCL can, by TCP, and where they learn afterwards of one that is lost.
//
// Rank 0 listens, the others connect and stay connected. A rank whose connection ends before it has said that it leaves is
// lost. One that has waited too long asks rank 0, who asks all: those that wait as well answer at once, so that it is known
// who is not, and is told to all.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "core/backend.h"

namespace bertune::cuda {

using Seconds = std::chrono::duration<double>;

// A TCP connection, over which messages go: a letter and a text. Nothing of it waits, but for room to send.
class Connection {
 public:
  struct Message {
    char kind = 0;  // 0: there is none
    std::string text;
  };

  Connection() = default;
  explicit Connection(int socket);
  ~Connection();
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;

  bool is_open() const { return socket_ >= 0; }
  int socket() const { return socket_; }
  // Closes itself where the other side is gone.
  void send(char kind, const std::string& text = {});
  // The next message that has come.
  Message receive();

 private:
  void close();

  int socket_ = -1;
  std::string received_;
};

class Meeting {
 public:
  // Returns when all ranks are there. `card`: what rank 0 has for all, and the others get. Throws RANK_LOST where not all come
  // within the limit, COLLECTIVE_UNAVAILABLE where rank 0 cannot listen.
  Meeting(const RanksMeeting& place, Seconds limit, std::string& card);

  // To be called now and then while waiting. Throws RANK_LOST where a rank is lost, or another rank has found so.
  void look();
  // Finds out who is lost, tells it to all and throws RANK_LOST: `reason` and then names, or `otherwise` where nobody is missing.
  [[noreturn]] void lose(const std::string& reason, const std::string& otherwise);
  // The same where the time is over.
  [[noreturn]] void give_up();
  // Nobody is to miss this rank from now on.
  void leave();

 private:
  struct Peer {
    Connection connection;
    std::string host;
    bool has_left = false;
  };

  void wait_for_all(const RanksMeeting& place, Seconds limit, const std::string& card);
  void find_first(const RanksMeeting& place, Seconds limit, std::string& card);
  // The ranks that have not come yet, in words.
  std::string absent() const;
  std::string name_of(int rank) const;
  // Rank 0: asks all, and gives the names of those that do not answer.
  std::string missing();
  // Throws RANK_LOST where this process ends.
  void expect_to_go_on() const;
  [[noreturn]] void tell(const std::string& text);
  // Other ranks: waits for what rank 0 has found out, "" where it says nothing.
  std::string wait_for_verdict(Seconds first);

  int rank_, size_;
  Seconds limit_;                       // of a call
  const std::atomic<bool>& is_ending_;  // the process
  std::vector<Peer> peers_;             // by rank; above rank 0 only that of rank 0
};

}  // namespace bertune::cuda
